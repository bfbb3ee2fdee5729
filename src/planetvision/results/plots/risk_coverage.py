"""Risk-coverage curves: the error rate if uncertain images are left out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from planetvision.core.errors import SettingsError
from planetvision.core.text import format_share
from planetvision.results.plots.layout import (
    LABEL_POINTS,
    MAX_LABEL_INCHES,
    WIDTH_INCHES,
    add_axes,
    add_title,
    fit_inches,
    write_note,
)
from planetvision.results.plots.style import (
    ACCENT_COLOR,
    BAD_COLOR,
    FAINT_COLOR,
    GOOD_COLOR,
    INK_COLOR,
    create_figure,
    use_style,
)
from planetvision.results.plots.validation import check_frame

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


RISK_COLUMNS = ("coverage", "risk")
# Lines that can be distinguished in gray: the dashes differ where the lightness does not.
LINE_COLORS = (ACCENT_COLOR, BAD_COLOR, GOOD_COLOR, INK_COLOR)
LINE_STYLES: tuple[Any, ...] = (
    "-",
    (0, (5, 2)),
    (0, (1, 1.2)),
    (0, (6, 2, 1, 2)),
    (0, (3, 1, 3, 4)),
)
MAX_RANKINGS = 8


def plot_risk_coverage(frames: pd.DataFrame | Mapping[str, pd.DataFrame]) -> Figure:
    """Returns the share of wrong answers over the share of images that are answered.

    Beside each name stands the mean of its line, of which less is better. The best possible ranking
    puts all wrong answers last. Where very few images are answered, a line may
    leave the figure at the top.

    Convention:
        A table has the columns `coverage`, rising to 1, and `risk`, both in [0, 1]. The risk of a
        row holds from the coverage of the row before.

    Args:
        frames: The steps, or those of several rankings of the same images by name.

    Raises:
        SettingsError: If there is no table or more than 8, columns are missing, a value is
            outside [0, 1], or coverage does not rise to 1.
    """
    named = dict(frames) if isinstance(frames, Mapping) else {"": frames}
    if not 1 <= len(named) <= MAX_RANKINGS:
        raise SettingsError(
            f"`frames` must hold 1 to {MAX_RANKINGS} tables, got {len(named)}. More lines cannot "
            "be distinguished: draw the rest in another figure."
        )
    for name, frame in named.items():
        _check_risk(frame, f"frames[{name!r}]" if name else "frames")
    curves = {name: _get_steps(frame) for name, frame in named.items()}
    rows = math.ceil((len(named) + 1) / 2)
    left, right, top, bottom, plot = 0.75, 0.25, 0.6 + 0.18 * rows, 0.6, 2.7
    height = top + plot + bottom
    figure = create_figure(WIDTH_INCHES, height)
    with use_style():
        axes = add_axes(figure, left, bottom, WIDTH_INCHES - left - right, plot)
        for index, (name, (x, y)) in enumerate(curves.items()):
            area = format_share(float(np.diff(x) @ y[1:]))
            label = f"{fit_inches(name, LABEL_POINTS, MAX_LABEL_INCHES - 0.6)}: mean risk {area}"
            axes.plot(
                x,
                y,
                color=LINE_COLORS[index % len(LINE_COLORS)],
                linestyle=LINE_STYLES[index % len(LINE_STYLES)],
                linewidth=1.8,
                zorder=3,
                drawstyle="steps-pre",
                label=label if name else f"mean risk {area}",
            )
        _draw_best(axes, float(next(iter(curves.values()))[1][-1]))
        _set_risk_limits(axes, list(curves.values()))
        axes.set_xlim(0, 1)
        axes.xaxis.set_major_formatter(lambda value, _: f"{100 * value:.4g}%")
        axes.set_xlabel("share of the images that is answered")
        axes.set_ylabel("wrong among the answered")
        axes.grid(axis="y")
        axes.yaxis.set_label_coords(-0.56 / (WIDTH_INCHES - left - right), 0.5)
        handles, labels = axes.get_legend_handles_labels()
        figure.legend(
            handles,
            labels,
            loc="upper left",
            bbox_to_anchor=(0.15 / WIDTH_INCHES, 1 - 0.42 / height),
            ncols=2,
            borderaxespad=0,
            borderpad=0,
            handlelength=3.2,
        )
        add_title(figure, "Wrong answers if the uncertain images are left out")
    return figure


def _get_steps(frame: pd.DataFrame) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Returns coverage and risk, with the start of the first step before them."""
    x, y = (frame[name].to_numpy(dtype=np.float64) for name in RISK_COLUMNS)
    return np.append(0.0, x), np.append(y[0], y)


def _draw_best(axes: Axes, risk: float) -> None:
    """Draws what a ranking would give that has the right answers first, of any number of images."""
    coverage = np.linspace(0.005, 1, 200)
    best = np.maximum(0, 1 - (1 - risk) / coverage)
    axes.plot(coverage, best, color=FAINT_COLOR, linewidth=0.9, label="best possible")


def _set_risk_limits(
    axes: Axes, curves: Sequence[tuple[NDArray[np.float64], NDArray[np.float64]]]
) -> None:
    # One wrong answer among the first few would flatten all that follows.
    highest = max(float(y[(x >= 0.05)].max()) for x, y in curves)
    high = highest * 1.12 or 0.05
    axes.set_ylim(-0.02 * high, high)  # a line at 0 is seen whole
    axes.spines["bottom"].set_visible(False)
    axes.locator_params(axis="y", nbins=5)
    axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.3g}%")
    if not highest:
        write_note(axes, "no answer is wrong")


def _check_risk(frame: pd.DataFrame, name: str) -> None:
    remedy = "Pass the table of `compute_risk_coverage`."
    check_frame(frame, name, RISK_COLUMNS, remedy)
    coverage = frame["coverage"].to_numpy(dtype=float)
    if not len(coverage) or not (np.diff(coverage) > 0).all() or not np.isclose(coverage[-1], 1):
        raise SettingsError(
            f"`coverage` of `{name}` must rise to 1, got {coverage.tolist()!r:.60}. {remedy}"
        )
