"""Deletion and insertion curves of attribution maps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from planetvision.core.errors import SettingsError
from planetvision.results.plots.layout import (
    add_axes,
    add_title,
    count_noun,
    set_unit_square,
    write_above,
    write_area,
)
from planetvision.results.plots.style import ACCENT_COLOR, create_figure, use_style
from planetvision.results.plots.validation import describe

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def plot_faithfulness(
    deletion: NDArray[np.floating[Any]], insertion: NDArray[np.floating[Any]]
) -> Figure:
    """Returns how the probability falls and rises as what a map points at is taken out and put in.

    The lines are means over the images, the bands their 95% intervals (Student's). Beside each
    name stands the mean of its line: of a faithful map low for deletion and high for insertion.

    Convention:
        Both are (N, S), N images and S steps of equal size from no pixel to all, the hottest
        first; probabilities in [0, 1].

    Args:
        deletion: The probabilities while pixels are taken out.
        insertion: The probabilities while pixels are put in.

    Raises:
        SettingsError: If shapes or values are not as above; both are named.

    References:
        Petsiuk, V., Das, A. and Saenko, K. (2018), "RISE: Randomized Input Sampling for
        Explanation of Black-box Models", section 4.1, arXiv:1806.07421.
    """
    curves = {"deletion": np.asarray(deletion), "insertion": np.asarray(insertion)}
    problems = [
        f"`{name}` must be a float array of shape (N, S) with at least two steps and values in "
        f"[0, 1], got {describe(values)}. Pass one row per image."
        for name, values in curves.items()
        if values.ndim != 2
        or len(values) == 0
        or values.shape[1] < 2
        or not np.issubdtype(values.dtype, np.floating)
        or not (values.min() >= -1e-6 and values.max() <= 1 + 1e-6)
    ]
    if problems:
        raise SettingsError.from_problems(problems)
    left, right, top, bottom, gap, side = 0.72, 0.3, 0.92, 0.62, 0.4, 2.75
    width, height = left + right + gap + 2 * side, top + bottom + side
    total = count_noun(len(curves["deletion"]), "image")
    figure = create_figure(width, height)
    with use_style():
        for index, (name, values) in enumerate(curves.items()):
            axes = add_axes(figure, left + index * (side + gap), bottom, side, side)
            set_unit_square(axes)
            axes.tick_params(labelleft=index == 0)
            mean = _draw_band(axes, values)
            area = float((mean[1:] + mean[:-1]).mean() / 2)
            better, done = (("low", "taken out"), ("high", "put in"))[index]
            write_above(axes, f"{name} ({better} is good)", write_area(area))
            axes.set_xlabel(f"share of the pixels {done}, hottest first", labelpad=3)
            if index == 0:
                axes.set_ylabel("probability of the class")
        band = "; band: the 95% interval of the mean" if len(curves["deletion"]) > 1 else ""
        title = f"Deletion and insertion of what the map points at, {total}"
        add_title(figure, title, f"beside each name the area{band}")
    return figure


def _draw_band(axes: Axes, values: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Draws the mean of the rows and its interval, and returns the mean."""
    from scipy import stats

    shares = np.linspace(0, 1, values.shape[1])
    mean: NDArray[np.float64] = values.mean(axis=0, dtype=np.float64)
    if len(values) > 1:
        reach = stats.t.ppf(0.975, len(values) - 1) * stats.sem(values, axis=0)
        axes.fill_between(
            shares,
            (mean - reach).clip(0, 1),
            (mean + reach).clip(0, 1),
            color=ACCENT_COLOR,
            alpha=0.2,
            linewidth=0,
        )
    axes.plot(shares, mean, color=ACCENT_COLOR, linewidth=1.9, clip_on=False)
    return mean
