"""Reliability diagrams: accuracy over confidence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from planetvision.core.errors import SettingsError
from planetvision.core.text import format_share
from planetvision.results.plots.layout import (
    DASHES,
    TICK_POINTS,
    add_axes,
    add_title,
    count_noun,
    set_unit_square,
    write_above,
)
from planetvision.results.plots.style import (
    ACCENT_COLOR,
    FAINT_COLOR,
    NEUTRAL_COLOR,
    create_figure,
    use_style,
)
from planetvision.results.plots.validation import check_frame

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


RELIABILITY_COLUMNS = (
    "low",
    "high",
    "images",
    "confidence",
    "accuracy",
    "accuracy_low",
    "accuracy_high",
)


def plot_reliability(after: pd.DataFrame, before: pd.DataFrame | None = None) -> Figure:
    """Returns accuracy over confidence, with how many images have it.

    A dot on the dashed line is as often right as it is sure, one under it is too sure.

    Convention:
        A table has one row per bin and the columns `low`, `high`, `images`, `confidence`,
        `accuracy`, `accuracy_low` and `accuracy_high`, in [0, 1] where the bin has images.

    Args:
        after: The bins, after calibration where there was one.
        before: The bins before it, to be drawn at their left.

    Raises:
        SettingsError: If columns are missing, a value is outside [0, 1], or there are no images.
    """
    tables = {"after": after} if before is None else {"before": before, "after": after}
    for name, table in tables.items():
        _check_reliability(table, name)
    left, right, top, gap = 0.72, 0.3, 0.8, 0.62
    side, between, histogram, bottom = 2.78, 0.16, 0.72, 0.6
    width = left + right + len(tables) * (side + gap) - gap
    height = top + side + between + histogram + bottom
    total = int(after["images"].sum())
    figure = create_figure(width, height)
    with use_style():
        for index, (name, table) in enumerate(tables.items()):
            x = left + index * (side + gap)
            upper = add_axes(figure, x, bottom + histogram + between, side, side)
            lower = add_axes(figure, x, bottom, side, histogram)
            full = table[table["images"] > 0]
            _draw_reliability(upper, full)
            _draw_counts(lower, full)
            gaps = (full["confidence"] - full["accuracy"]).abs()
            error = float((gaps * full["images"]).sum() / full["images"].sum())
            stage = f"{name} calibration: error" if len(tables) > 1 else "calibration error"
            write_above(upper, f"{stage} {format_share(error)}")
            for axes in (upper, lower):
                axes.yaxis.set_label_coords(-0.54 / side, 0.5)
            if index == 0:
                upper.set_ylabel("accuracy, with its interval")
                lower.set_ylabel("images")
        add_title(figure, f"Confidence and accuracy, {count_noun(total, 'image')}")
    return figure


def _draw_reliability(axes: Axes, bins: pd.DataFrame) -> None:
    set_unit_square(axes)
    axes.tick_params(labelbottom=False)
    axes.plot([0, 1], [0, 1], color=FAINT_COLOR, linewidth=0.9, linestyle=DASHES)
    axes.vlines(
        bins["confidence"],
        bins["accuracy_low"],
        bins["accuracy_high"],
        color=ACCENT_COLOR,
        alpha=0.45,
        linewidth=2.6,
        clip_on=False,
    )
    axes.plot(
        bins["confidence"],
        bins["accuracy"],
        "o",
        color=ACCENT_COLOR,
        markersize=5.5,
        clip_on=False,
        label="accuracy",
    )


def _draw_counts(axes: Axes, bins: pd.DataFrame) -> None:
    from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

    axes.bar(
        bins["low"],
        bins["images"],
        width=bins["high"] - bins["low"],
        align="edge",
        color=NEUTRAL_COLOR,
        edgecolor="white",
        linewidth=0.6,
    )
    low, high = int(bins["images"].min()), int(bins["images"].max())
    if high > 20 * low:  # a few images beside many would be no bar at all
        axes.set_yscale("log")
        axes.set_ylim(0.5, high * 1.6)
        axes.yaxis.set_major_locator(LogLocator(numticks=4))
        axes.yaxis.set_minor_locator(NullLocator())
    else:
        axes.set_ylim(0, high * 1.1)
        axes.yaxis.set_major_locator(MaxNLocator(nbins=3, integer=True, min_n_ticks=1))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.set_xlim(0, 1)
    axes.set_xticks([0, 0.5, 1], ["0%", "50%", "100%"])
    axes.tick_params(labelsize=TICK_POINTS)
    axes.set_xlabel("confidence", labelpad=3)


def _check_reliability(table: pd.DataFrame, name: str) -> None:
    remedy = "Pass the table of `compute_reliability`."
    shares = ("low", "high")
    check_frame(table, name, RELIABILITY_COLUMNS, remedy, shares=shares)
    if not table["images"].sum() > 0:
        raise SettingsError(f"`{name}` must have bins with images, got none. {remedy}")
    full = table[table["images"] > 0]
    check_frame(full, name, RELIABILITY_COLUMNS, remedy, shares=RELIABILITY_COLUMNS[3:])
