"""Histograms of the OOD score."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from planetvision.core.errors import SettingsError
from planetvision.core.text import format_share
from planetvision.results.plots.layout import (
    DASHES,
    TICK_POINTS,
    WIDTH_INCHES,
    add_axes,
    add_title,
    count_noun,
    write_above,
)
from planetvision.results.plots.style import ACCENT_COLOR, INK_COLOR, create_figure, use_style
from planetvision.results.plots.validation import describe

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def plot_novelty(
    known: NDArray[np.floating[Any]],
    negatives: NDArray[np.floating[Any]] | None = None,
    threshold: float | None = None,
) -> Figure:
    """Returns how novelty is spread over images of known bodies and over negatives.

    A bar at an end of the axis also holds the images that lie beyond it, should a few be far from
    all the rest.

    Convention:
        `known` is (N,) and `negatives` is (M,), finite, on one scale.

    Args:
        known: The novelty of images of known bodies.
        negatives: That of negatives, if there are any.
        threshold: The novelty over which the answer is `unknown`, if there is one.

    Raises:
        SettingsError: If `known` is empty, a novelty is not finite, or the threshold is NaN.
    """
    parts = {"known bodies": np.asarray(known, dtype=np.float64)}
    if negatives is not None and len(negatives):
        parts["something else"] = np.asarray(negatives, dtype=np.float64)
    for name, values in zip(("known", "negatives"), parts.values(), strict=False):
        if values.ndim != 1 or not values.size or not np.isfinite(values).all():
            raise SettingsError(
                f"`{name}` must be finite numbers of shape (N,), got {describe(values)}. Leave out "
                "the images that could not be read."
            )
    if threshold is not None and math.isnan(threshold):
        raise SettingsError("`threshold` must be a number, got nan. Pass None without any.")
    limit = threshold if threshold is not None and math.isfinite(threshold) else None
    low, high = _find_novelty_range(np.concatenate(list(parts.values())), limit)
    edges = np.linspace(low, high, 41)

    left, right, top, bottom, panel, heading = 0.75, 0.25, 0.92, 0.6, 1.15, 0.4
    height = top + bottom + len(parts) * (panel + heading) - heading
    plot = WIDTH_INCHES - left - right
    figure = create_figure(WIDTH_INCHES, height)
    with use_style():
        for index, (name, values) in enumerate(parts.items()):
            low = height - top - panel - index * (panel + heading)
            axes = add_axes(figure, left, low, plot, panel)
            _draw_novelty(axes, values, edges, limit)
            axes.yaxis.set_label_coords(-0.56 / plot, 0.5)
            total = f"{name}, {count_noun(len(values), 'image')}"
            beyond = ""
            if limit is not None:
                beyond = f"{format_share(float((values > limit).mean()))} called unknown"
            write_above(axes, total, beyond)
            axes.tick_params(labelbottom=index == len(parts) - 1)
        axes.set_xlabel("novelty: how little an image is like those of the training")
        drawn = f"dashed: the threshold, {limit:.4g}" if limit is not None else "no threshold"
        add_title(figure, "Novelty of the images", drawn)
    return figure


def _find_novelty_range(values: NDArray[np.float64], limit: float | None) -> tuple[float, float]:
    """Returns between which values to draw: all of them but for single ones far away."""
    low, high = np.percentile(values, [1, 99]).tolist()
    slack = 0.5 * (high - low)
    low, high = max(values.min(), low - slack), min(values.max(), high + slack)
    if limit is not None:
        low, high = min(low, limit), max(high, limit)
    margin = 0.03 * (high - low) or max(abs(high), 1.0) * 0.1
    return float(low - margin), float(high + margin)


def _draw_novelty(
    axes: Axes, values: NDArray[np.float64], edges: NDArray[np.float64], limit: float | None
) -> None:
    from matplotlib.ticker import MaxNLocator

    counts, _ = np.histogram(values.clip(edges[0], edges[-1]), edges)
    axes.bar(edges[:-1], counts, width=np.diff(edges), align="edge", color=ACCENT_COLOR)
    axes.set_xlim(edges[0], edges[-1])
    axes.set_ylim(0, float(counts.max()) * 1.1)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=4, integer=True, min_n_ticks=1))
    axes.tick_params(labelsize=TICK_POINTS)
    axes.set_ylabel("images")
    axes.grid(axis="y")
    if limit is not None:
        axes.axvline(limit, color=INK_COLOR, linewidth=1.2, linestyle=DASHES)
