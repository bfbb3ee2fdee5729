"""Plots of what lies behind an accuracy: curves, calibration, slices, novelty, faithfulness."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from planetvision.core.errors import SettingsError
from planetvision.core.text import format_share
from planetvision.results.plots.accuracies import draw_accuracies, find_wrong_accuracies
from planetvision.results.plots.layout import (
    MAX_LABEL_INCHES,
    add_title,
    count_noun,
    fit_inches,
    measure_inches,
    wrap_inches,
)
from planetvision.results.plots.style import (
    ACCENT_COLOR,
    BAD_COLOR,
    FAINT_COLOR,
    GOOD_COLOR,
    INK_COLOR,
    MUTED_COLOR,
    NEUTRAL_COLOR,
    create_figure,
    use_style,
)
from planetvision.results.plots.validation import describe

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "plot_faithfulness",
    "plot_novelty",
    "plot_precision_recall_curves",
    "plot_reliability",
    "plot_risk_coverage",
    "plot_roc_curves",
    "plot_slices",
]

ROC_COLUMNS = ("class", "false_positive_rate", "true_positive_rate")
PRECISION_COLUMNS = ("class", "recall", "precision")
RELIABILITY_COLUMNS = (
    "low",
    "high",
    "images",
    "confidence",
    "accuracy",
    "accuracy_low",
    "accuracy_high",
)
RISK_COLUMNS = ("coverage", "risk")
SLICE_COLUMNS = ("heading", "slice", "right", "images", "low", "high")

# Wider figures would have texts too small to read where a page shows them 700 pixels wide.
WIDTH_INCHES = 7.2
LABEL_POINTS = 8.5
TICK_POINTS = 8.0
DASHES: Any = (0, (4, 2))
# Lines that are told apart in gray: the dashes differ where the lightness does not.
LINE_COLORS = (ACCENT_COLOR, BAD_COLOR, GOOD_COLOR, INK_COLOR)
LINE_STYLES: tuple[Any, ...] = (
    "-",
    (0, (5, 2)),
    (0, (1, 1.2)),
    (0, (6, 2, 1, 2)),
    (0, (3, 1, 3, 4)),
)
MAX_RANKINGS = 8


class _Curve(NamedTuple):
    """One panel: a class, its curve, what guessing would give, and the area."""

    name: str
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    guess: tuple[float, float]
    area: float


def plot_roc_curves(frame: pd.DataFrame, *, classes: Sequence[str] | None = None) -> Figure:
    """Returns the ROC curve of each class in a panel of its own, with the area under it.

    Convention:
        `frame` has the columns `class`, `false_positive_rate` and `true_positive_rate`, rates in
        [0, 1] that rise from row to row of a class.

    Args:
        frame: The corners of the curves.
        classes: The classes to draw, in order; one without rows has a panel that says so. None
            draws those that have rows.

    Raises:
        SettingsError: If columns are missing, a rate is none, or there is no class to draw.
    """
    _check_frame(frame, "frame", ROC_COLUMNS, "Pass the table of `compute_roc_curves`.")
    curves = []
    for name in _list_classes(frame, classes):
        x, y = _get_curve(frame, name, ROC_COLUMNS)
        area = float((np.diff(x) * (y[1:] + y[:-1])).sum() / 2)
        curves.append(_Curve(name, x, y, (0.0, 1.0), area))
    return _draw_panels(
        curves,
        title="ROC curve of each class against the rest",
        x_label="false positive rate",
        y_label="true positive rate",
        measure="area under it",
        steps=False,
    )


def plot_precision_recall_curves(
    frame: pd.DataFrame, *, classes: Sequence[str] | None = None
) -> Figure:
    """Returns precision over recall of each class in a panel of its own, with its average.

    Convention:
        `frame` has the columns `class`, `precision` and `recall`, in [0, 1]. Recall falls from row
        to row of a class, and in the first all images are called so.

    Args:
        frame: The corners of the curves.
        classes: The classes to draw, in order; one without rows has a panel that says so. None
            draws those that have rows.

    Raises:
        SettingsError: If columns are missing, a value is none, or there is no class to draw.
    """
    _check_frame(
        frame, "frame", PRECISION_COLUMNS, "Pass the table of `compute_precision_recall_curves`."
    )
    curves = []
    for name in _list_classes(frame, classes):
        x, y = _get_curve(frame, name, PRECISION_COLUMNS)
        share = float(y[0]) if len(y) else 0.0
        area = float(-(np.diff(x) @ y[:-1])) if len(y) else 0.0
        # The precision where none of its images is found would be drawn as a spike of no width.
        drawn = np.where(x > 0, y, y[x > 0][-1:]) if (x > 0).any() else y
        curves.append(_Curve(name, x, drawn, (share, share), area))
    return _draw_panels(
        curves,
        title="Precision over recall of each class",
        x_label="recall",
        y_label="precision",
        measure="average precision",
        steps=True,
    )


def _list_classes(frame: pd.DataFrame, classes: Sequence[str] | None) -> list[str]:
    names = list(dict.fromkeys(map(str, frame["class"] if classes is None else classes)))
    if not names:
        raise SettingsError(
            "`frame` must hold at least one curve, got an empty table. Pass `classes` to draw "
            "panels that say so."
        )
    return names


def _get_curve(
    frame: pd.DataFrame, name: str, columns: Sequence[str]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    rows = frame.loc[np.array([str(other) == name for other in frame["class"]], dtype=bool)]
    x, y = (rows[column].to_numpy(dtype=np.float64) for column in columns[1:])
    return x, y


def _write_area(area: float) -> str:
    """Returns three decimals; what is not all or nothing is not written as 1 or 0."""
    if 0.9995 <= area < 1 - 1e-9:
        return ">0.999"
    if 0 < area < 0.0005:
        return "<0.001"
    return f"{area:.3f}"


def _draw_panels(
    curves: Sequence[_Curve], *, title: str, x_label: str, y_label: str, measure: str, steps: bool
) -> Figure:
    """Returns the curves as small multiples: one hue, nothing that could cover another."""
    num_columns = len(curves) if len(curves) <= 3 else 4 if len(curves) <= 12 else 5
    num_rows = math.ceil(len(curves) / num_columns)
    left, right, bottom, gap = 0.68, 0.25, 0.56, 0.24
    side = min(3.0, (WIDTH_INCHES - left - right - gap * (num_columns - 1)) / num_columns)
    areas = [_write_area(curve.area) if len(curve.x) else "" for curve in curves]
    room = side - max(measure_inches(area, LABEL_POINTS) for area in areas) - 0.08
    names = [wrap_inches(curve.name, LABEL_POINTS, room, max_rows=2) for curve in curves]
    heading = 0.3 + 0.15 * (max(map(len, names)) - 1)
    top = 0.62 + heading
    # The title and the line under it need this much.
    width = max(4.2, left + right + gap * (num_columns - 1) + side * num_columns)
    height = top + bottom + num_rows * side + (num_rows - 1) * heading

    known = [curve.area for curve in curves if len(curve.x)]
    mean = f", {_write_area(float(np.mean(known)))} on average" if len(known) > 1 else ""
    figure = create_figure(width, height)
    with use_style():
        for index, curve in enumerate(curves):
            row, column = divmod(index, num_columns)
            low = height - top - side - row * (side + heading)
            axes = figure.add_axes(
                (
                    (left + column * (side + gap)) / width,
                    low / height,
                    side / width,
                    side / height,
                )
            )
            _set_unit_square(axes)
            axes.tick_params(labelleft=column == 0, labelbottom=index + num_columns >= len(curves))
            name = "\n".join(names[index])
            for x, text, ha in ((0, name, "left"), (1, areas[index], "right")):
                axes.text(x, 1.04, text, ha=ha, va="bottom", fontsize=LABEL_POINTS)
            if len(curve.x):
                _draw_panel(axes, curve, steps=steps)
            else:
                axes.text(
                    0.5,
                    0.5,
                    "no curve:\ntoo few images",
                    ha="center",
                    va="center",
                    fontsize=TICK_POINTS,
                    color=FAINT_COLOR,
                    style="italic",
                )
        middle = (left + (num_columns * (side + gap) - gap) / 2) / width
        figure.text(middle, 0.14 / height, x_label, ha="center", va="bottom", color=MUTED_COLOR)
        figure.text(
            0.12 / width,
            1 - (top + side / 2) / height,
            y_label,
            ha="left",
            va="center",
            rotation=90,
            color=MUTED_COLOR,
        )
        add_title(figure, title, f"beside each name the {measure}{mean}; dashed: guessing")
    return figure


def _draw_panel(axes: Axes, curve: _Curve, *, steps: bool) -> None:
    axes.plot([0, 1], curve.guess, color=FAINT_COLOR, linewidth=0.9, linestyle=DASHES)
    axes.fill_between(
        curve.x,
        curve.y,
        color=ACCENT_COLOR,
        alpha=0.13,
        linewidth=0,
        step="post" if steps else None,
    )
    axes.plot(
        curve.x,
        curve.y,
        color=ACCENT_COLOR,
        linewidth=1.9,
        clip_on=False,
        zorder=3,  # over the sides of the panel, where a perfect curve runs
        solid_joinstyle="miter",
        drawstyle="steps-post" if steps else "default",
        label=curve.name,
    )


def _set_unit_square(axes: Axes) -> None:
    """Lets both axes go from 0 to 100%, with labels that do not run into those of a neighbour."""
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    ticks, labels = [0, 0.5, 1], ["0%", "50%", "100%"]
    axes.set_xticks(ticks, labels, fontsize=TICK_POINTS)
    axes.set_yticks(ticks, labels, fontsize=TICK_POINTS)
    for label, side in zip(axes.get_xticklabels(), ("left", "center", "right"), strict=True):
        label.set(ha=side)
    axes.tick_params(length=2)
    axes.grid(visible=True)
    axes.set_axisbelow(True)


def plot_reliability(after: pd.DataFrame, before: pd.DataFrame | None = None) -> Figure:
    """Returns accuracy over confidence, with how many images have it.

    A dot on the dashed line is as often right as it is sure, one under it is too sure.

    Convention:
        A table has one row a bin and the columns `low`, `high`, `images`, `confidence`,
        `accuracy`, `accuracy_low` and `accuracy_high`, in [0, 1] where the bin has images.

    Args:
        after: The bins, after calibration where there was one.
        before: The bins before it, to be drawn at their left.

    Raises:
        SettingsError: If columns are missing, a value is none, or there are no images.
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
            x = (left + index * (side + gap)) / width
            upper = figure.add_axes(
                (x, (bottom + histogram + between) / height, side / width, side / height)
            )
            lower = figure.add_axes((x, bottom / height, side / width, histogram / height))
            full = table[table["images"] > 0]
            _draw_reliability(upper, full)
            _draw_counts(lower, full)
            gaps = (full["confidence"] - full["accuracy"]).abs()
            error = float((gaps * full["images"]).sum() / full["images"].sum())
            stage = f"{name} calibration: error" if len(tables) > 1 else "calibration error"
            upper.text(
                0, 1.04, f"{stage} {format_share(error)}", va="bottom", fontsize=LABEL_POINTS
            )
            for axes in (upper, lower):
                axes.yaxis.set_label_coords(-0.54 / side, 0.5)
            if index == 0:
                upper.set_ylabel("accuracy, with its interval")
                lower.set_ylabel("images")
        add_title(figure, f"Confidence and accuracy, {count_noun(total, 'image')}")
    return figure


def _draw_reliability(axes: Axes, bins: pd.DataFrame) -> None:
    _set_unit_square(axes)
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
    axes.tick_params(length=2, labelsize=TICK_POINTS)
    axes.set_xlabel("confidence", labelpad=3)


def _check_reliability(table: pd.DataFrame, name: str) -> None:
    remedy = "Pass the table of `compute_reliability`."
    shares = ("low", "high")
    _check_frame(table, name, RELIABILITY_COLUMNS, remedy, shares=shares)
    if not table["images"].sum() > 0:
        raise SettingsError(f"`{name}` must have bins with images, got none. {remedy}")
    full = table[table["images"] > 0]
    _check_frame(full, name, RELIABILITY_COLUMNS, remedy, shares=RELIABILITY_COLUMNS[3:])


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
        SettingsError: If there is no table or more than 8, columns are missing, a value is none,
            or coverage does not rise to 1.
    """
    named = dict(frames) if isinstance(frames, Mapping) else {"": frames}
    if not 1 <= len(named) <= MAX_RANKINGS:
        raise SettingsError(
            f"`frames` must hold 1 to {MAX_RANKINGS} tables, got {len(named)}. More lines cannot "
            "be told apart: draw the rest in another figure."
        )
    for name, frame in named.items():
        _check_risk(frame, f"frames[{name!r}]" if name else "frames")
    curves = {name: _get_steps(frame) for name, frame in named.items()}
    rows = math.ceil((len(named) + 1) / 2)
    left, right, top, bottom, plot = 0.75, 0.25, 0.6 + 0.18 * rows, 0.6, 2.7
    height = top + plot + bottom
    figure = create_figure(WIDTH_INCHES, height)
    with use_style():
        axes = figure.add_axes(
            (
                left / WIDTH_INCHES,
                bottom / height,
                (WIDTH_INCHES - left - right) / WIDTH_INCHES,
                plot / height,
            )
        )
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
        axes.set_axisbelow(True)
        axes.tick_params(length=2)
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
        axes.text(
            0.5,
            0.5,
            "no answer is wrong",
            transform=axes.transAxes,
            ha="center",
            va="center",
            color=FAINT_COLOR,
            style="italic",
        )


def _check_risk(frame: pd.DataFrame, name: str) -> None:
    remedy = "Pass the table of `compute_risk_coverage`."
    _check_frame(frame, name, RISK_COLUMNS, remedy)
    coverage = frame["coverage"].to_numpy(dtype=float)
    if not len(coverage) or not (np.diff(coverage) > 0).all() or not np.isclose(coverage[-1], 1):
        raise SettingsError(
            f"`coverage` of `{name}` must rise to 1, got {coverage.tolist()!r:.60}. {remedy}"
        )


def plot_slices(rows: pd.DataFrame) -> Figure:
    """Returns the accuracy on each part of the images, with its interval and its counts.

    Convention:
        `rows` has the columns `heading` (what the images are parted by), `slice` (the name of the
        part), `right`, `images`, and `low` and `high`, the ends of the confidence interval in
        [0, 1], which are not looked at without images. Rows of one heading are neighbours.

    Args:
        rows: The parts, at least one.

    Raises:
        SettingsError: If columns are missing, there is no row, or counts or intervals are none.
    """
    _check_frame(rows, "rows", SLICE_COLUMNS, "Pass one row a part.", shares=())
    right, images = (rows[name].to_numpy() for name in ("right", "images"))
    intervals = rows[["low", "high"]].to_numpy(dtype=np.float64, na_value=np.nan)
    if not len(rows) or not all(np.issubdtype(n.dtype, np.integer) for n in (right, images)):
        raise SettingsError(
            "`rows` must have at least one row, with integers for `right` and `images`, got "
            f"{count_noun(len(rows), 'row')} with {right.dtype} and {images.dtype}. Pass counts."
        )
    problems = find_wrong_accuracies(
        right, images, intervals, names=("`right`", "`images`", "`low` and `high`"), item="row"
    )
    if problems:
        raise SettingsError.from_problems(problems)
    return draw_accuracies(
        right,
        images,
        labels=rows["slice"].astype(str).tolist(),
        intervals=intervals,
        headings=rows["heading"].astype(str).tolist(),
        title="Accuracy on parts of the images",
    )


def plot_novelty(
    known: NDArray[np.floating[Any]],
    others: NDArray[np.floating[Any]] | None = None,
    threshold: float | None = None,
) -> Figure:
    """Returns how novelty is spread over images of known bodies and over others.

    A bar at an end of the axis also holds the images that lie beyond it, should a few be far from
    all the rest.

    Convention:
        `known` is (N,) and `others` is (M,), finite, on one scale.

    Args:
        known: The novelty of images of known bodies.
        others: That of images of something else, if there are any.
        threshold: The novelty over which an image is called unknown, if there is one.

    Raises:
        SettingsError: If `known` is empty, a novelty is not finite, or the threshold is NaN.
    """
    parts = {"known bodies": np.asarray(known, dtype=np.float64)}
    if others is not None and len(others):
        parts["something else"] = np.asarray(others, dtype=np.float64)
    for name, values in zip(("known", "others"), parts.values(), strict=False):
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
            axes = figure.add_axes(
                (
                    left / WIDTH_INCHES,
                    (height - top - panel - index * (panel + heading)) / height,
                    plot / WIDTH_INCHES,
                    panel / height,
                )
            )
            _draw_novelty(axes, values, edges, limit)
            axes.yaxis.set_label_coords(-0.56 / plot, 0.5)
            total = f"{name}, {count_noun(len(values), 'image')}"
            axes.text(0, 1.04, total, transform=axes.transAxes, va="bottom", fontsize=LABEL_POINTS)
            if limit is not None:
                share = format_share(float((values > limit).mean()))
                axes.text(
                    1,
                    1.04,
                    f"{share} called unknown",
                    transform=axes.transAxes,
                    ha="right",
                    va="bottom",
                    fontsize=LABEL_POINTS,
                )
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
    axes.tick_params(length=2, labelsize=TICK_POINTS)
    axes.set_ylabel("images")
    axes.grid(axis="y")
    axes.set_axisbelow(True)
    if limit is not None:
        axes.axvline(limit, color=INK_COLOR, linewidth=1.2, linestyle=DASHES)


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
        f"[0, 1], got {describe(values)}. Pass one row an image."
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
            axes = figure.add_axes(
                (
                    (left + index * (side + gap)) / width,
                    bottom / height,
                    side / width,
                    side / height,
                )
            )
            _set_unit_square(axes)
            axes.tick_params(labelleft=index == 0)
            mean = _draw_band(axes, values)
            area = float((mean[1:] + mean[:-1]).mean() / 2)
            better, done = (("low", "taken out"), ("high", "put in"))[index]
            axes.text(0, 1.04, f"{name} ({better} is good)", va="bottom", fontsize=LABEL_POINTS)
            axes.text(1, 1.04, _write_area(area), ha="right", va="bottom", fontsize=LABEL_POINTS)
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


def _check_frame(
    frame: pd.DataFrame,
    name: str,
    columns: Sequence[str],
    remedy: str,
    *,
    shares: Sequence[str] | None = None,
) -> None:
    """Checks that the columns are there and that some of them hold shares.

    Args:
        frame: The table.
        name: What the caller calls it.
        columns: The columns that it must have.
        remedy: What to do.
        shares: Which of them lie in [0, 1]; None for all but `class`.

    Raises:
        SettingsError: If a column is missing, or one of the shares is none.
    """
    missing = [column for column in columns if column not in getattr(frame, "columns", ())]
    if missing:
        raise SettingsError(
            f"`{name}` must have the columns {', '.join(columns)}, got none called "
            f"{', '.join(missing)}. {remedy}"
        )
    if shares is None:
        shares = [column for column in columns if column != "class"]
    tolerance = 1e-6
    for column in shares:
        values = frame[column].to_numpy(dtype=np.float64, na_value=np.nan)
        if not ((values >= -tolerance) & (values <= 1 + tolerance)).all():  # NaN is neither
            raise SettingsError(
                f"`{column}` of `{name}` must lie in [0, 1], got {values.tolist()!r:.60}. {remedy}"
            )
