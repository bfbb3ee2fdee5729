"""Plots of numbers: confusion matrix, accuracy of each class, history, learning-rate test."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from planetvision.core.errors import SettingsError
from planetvision.results.plots.accuracies import draw_accuracies, find_wrong_accuracies
from planetvision.results.plots.layout import (
    MAX_LABEL_INCHES,
    POINTS_PER_INCH,
    TITLE_POINTS,
    add_title,
    count_noun,
    fit_inches,
    measure_inches,
)
from planetvision.results.plots.style import (
    ACCENT_COLOR,
    FAINT_COLOR,
    INK_COLOR,
    MATRIX_COLORMAP,
    MUTED_COLOR,
    NEUTRAL_COLOR,
    PAPER_COLOR,
    create_figure,
    use_style,
)
from planetvision.results.plots.validation import check_classes, describe

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "HISTORY_COLUMNS",
    "plot_confusion_matrix",
    "plot_history",
    "plot_per_class_accuracy",
    "plot_rate_search",
]

HISTORY_COLUMNS = (
    "stage",
    "epoch",
    "train_loss",
    "train_accuracy",
    "val_loss",
    "val_accuracy",
    "learning_rate",
    "seconds",
)

NO_SAMPLES = "–"  # noqa: RUF001 - an en dash, in a cell


def plot_confusion_matrix(
    matrix: NDArray[np.integer[Any]], *, classes: Sequence[str], normalize: bool = False
) -> Figure:
    """Returns the confusion matrix as a figure.

    A cell's colour is always its share of the row, so that a class with few images is as readable
    as one with many. The numbers are images or, normalised, percent of the row; then the number of
    images stands beside each true class, and a class without images has dashes.

    Convention:
        `matrix` is (C, C), `matrix[i, j]` images of class i were called class j.

    Args:
        matrix: The counts.
        classes: The names of the C classes.
        normalize: Whether the numbers are percent of the true class.

    Raises:
        SettingsError: If the matrix is not square, not of integers or has a negative count, or
            the names do not fit it.
    """
    matrix = np.asarray(matrix)
    _check_matrix(matrix, classes)
    from matplotlib.patches import Rectangle

    num_classes = len(classes)
    totals = matrix.sum(axis=1)
    shares = matrix / np.maximum(totals, 1)[:, None]
    if normalize:
        texts = [
            [_write_percent(matrix[i, j], totals[i]) for j in range(num_classes)]
            for i in range(num_classes)
        ]
    else:
        texts = [[str(count) for count in row] for row in matrix.tolist()]

    # Inches of a cell and points of a label that were found legible by eye.
    cell = float(np.interp(num_classes, [2, 7, 15, 30, 40], [0.95, 0.62, 0.46, 0.37, 0.35]))
    label_points = float(np.interp(num_classes, [2, 15, 40], [9.5, 8.5, 7.5]))
    widest = max((text for row in texts for text in row), key=len)
    points = min(10.0, 0.78 * cell / measure_inches(widest, 1.0))

    columns = [fit_inches(name, label_points, MAX_LABEL_INCHES) for name in classes]
    rows = columns
    if normalize:
        rows = [f"{row} ({total:,})" for row, total in zip(rows, totals.tolist(), strict=True)]
    row_width = max(measure_inches(row, label_points) for row in rows)
    column_widths = [measure_inches(column, label_points) for column in columns]
    angle = _get_label_angle(max(column_widths), cell, num_classes)
    slope = math.radians(angle)
    line = 1.2 * label_points / POINTS_PER_INCH

    left = 0.55 + row_width
    bottom = 0.5 + max(max(column_widths) * math.sin(slope) + line * math.cos(slope), line)
    side, top, right = num_classes * cell, 0.55, 1.0
    width, height = left + side + right, bottom + side + top

    figure = create_figure(width, height)
    with use_style():
        axes = figure.add_axes((left / width, bottom / height, side / width, side / height))
        picture = axes.imshow(shares, cmap=MATRIX_COLORMAP, vmin=0, vmax=1)
        colors = np.asarray(picture.to_rgba(shares))
        for i, j in np.ndindex(num_classes, num_classes):
            axes.text(
                j,
                i,
                texts[i][j],
                ha="center",
                va="center",
                fontsize=points,
                color=_get_text_color(colors[i, j].tolist(), matrix[i, j] == 0),
            )
        for i in range(num_classes):
            axes.add_patch(
                Rectangle(
                    (i - 0.5, i - 0.5), 1, 1, fill=False, edgecolor=NEUTRAL_COLOR, linewidth=0.8
                )
            )
        axes.spines[:].set_visible(True)
        axes.tick_params(length=0, pad=4)
        axes.set_xticks(range(num_classes), columns, rotation=angle, fontsize=label_points)
        if 0 < angle < 90:
            for label in axes.get_xticklabels():
                label.set(ha="right", va="top", rotation_mode="anchor")
        axes.set_yticks(range(num_classes), rows, fontsize=label_points)
        axes.set_xlabel("predicted class", labelpad=6)
        axes.set_ylabel("true class (images)" if normalize else "true class", labelpad=8)
        bar_axes = figure.add_axes(
            ((left + side + 0.18) / width, bottom / height, 0.13 / width, side / height)
        )
        bar = figure.colorbar(picture, cax=bar_axes, ticks=[0, 0.5, 1])
        bar.ax.set_yticklabels(["0%", "50%", "100%"])
        bar.ax.tick_params(length=2)
        bar.outline.set_visible(False)
        bar.set_label("share of the true class", labelpad=2)
        add_title(figure, f"Confusion matrix, {count_noun(int(matrix.sum()), 'image')}")
    return figure


def _check_matrix(matrix: NDArray[np.integer[Any]], classes: Sequence[str]) -> None:
    if (
        matrix.ndim != 2
        or matrix.shape[0] != matrix.shape[1]
        or matrix.size == 0
        or not np.issubdtype(matrix.dtype, np.integer)
    ):
        raise SettingsError(
            f"`matrix` must be an integer array of shape (C, C), got {describe(matrix)}. Pass "
            "the counts, rows for the true classes; `normalize=True` makes percent of them."
        )
    problems = check_classes(classes, len(matrix), "`matrix`")
    if matrix.min() < 0:
        problems.append(
            f"`matrix` must hold counts of at least 0, got {matrix.min()}. Count the images again."
        )
    if problems:
        raise SettingsError.from_problems(problems)


def _write_percent(count: int, total: int) -> str:
    """Returns percent without decimals; what is not all or nothing is not written as 100% or 0%."""
    if total == 0:
        return NO_SAMPLES
    percent = 100 * count / total
    if 0 < percent < 0.5:
        return "<1%"
    if 99.5 <= percent < 100:
        return ">99%"
    return f"{percent:.0f}%"


def _get_label_angle(widest_inches: float, cell: float, num_classes: int) -> int:
    """Returns how far labels under a matrix are turned: as little as they fit."""
    if widest_inches <= 0.94 * cell:
        return 0
    return 45 if num_classes <= 12 else 90


def _get_luminance(color: Sequence[float]) -> float:
    """Returns the relative luminance in [0, 1] of an RGB colour of values in [0, 1].

    References:
        W3C, "Web Content Accessibility Guidelines 2.2" (2023), "relative luminance".
    """
    linear = [
        value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4
        for value in color[:3]
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _get_text_color(background: Sequence[float], is_nothing: bool) -> str:
    if is_nothing:
        return FAINT_COLOR
    # There the ink, of luminance 0.018, and white have the same contrast: 3.9.
    return INK_COLOR if _get_luminance(background) > 0.217 else PAPER_COLOR


def plot_per_class_accuracy(
    correct: NDArray[np.integer[Any]],
    total: NDArray[np.integer[Any]],
    *,
    classes: Sequence[str],
    intervals: NDArray[np.floating[Any]],
) -> Figure:
    """Returns the accuracy of each class as a dot with its confidence interval and its counts.

    Convention:
        `correct` and `total` are (C,), `intervals` is (C, 2): low and high ends in [0, 1]. The
        interval of a class without images is not looked at.

    Args:
        correct: How many images of each class were called right.
        total: How many images of each class there are.
        classes: The names of the C classes.
        intervals: The confidence interval of each accuracy.

    Raises:
        SettingsError: If shapes, types or ranges are not as above, or an interval does not hold
            its accuracy; all faults are named.
    """
    correct, total, intervals = np.asarray(correct), np.asarray(total), np.asarray(intervals)
    _check_accuracies(correct, total, classes, intervals)

    return draw_accuracies(
        correct,
        total,
        labels=classes,
        intervals=intervals,
        title=f"Accuracy of each class, {count_noun(int(total.sum()), 'image')}",
    )


def _check_accuracies(
    correct: NDArray[np.integer[Any]],
    total: NDArray[np.integer[Any]],
    classes: Sequence[str],
    intervals: NDArray[np.floating[Any]],
) -> None:
    problems = []
    for name, counts in (("correct", correct), ("total", total)):
        if counts.ndim != 1 or not np.issubdtype(counts.dtype, np.integer) or counts.size == 0:
            problems.append(
                f"`{name}` must be an integer array of shape (C,), got {describe(counts)}. "
                "Pass one count a class."
            )
    if not problems and correct.shape != total.shape:
        problems.append(
            f"`correct` and `total` must be of one length, got {len(correct)} and {len(total)}. "
            "Pass one count a class to both."
        )
    if problems:
        raise SettingsError.from_problems(problems)
    problems = check_classes(classes, len(total), "`total`")
    if intervals.shape != (len(total), 2) or not np.issubdtype(intervals.dtype, np.floating):
        problems.append(
            f"`intervals` must be a float array of shape ({len(total)}, 2), got "
            f"{describe(intervals)}. Pass the low and the high end of each class."
        )
    else:
        problems += find_wrong_accuracies(
            correct, total, intervals, names=("`correct`", "`total`", "`intervals`"), item="class"
        )
    if problems:
        raise SettingsError.from_problems(problems)


def plot_history(history: pd.DataFrame) -> Figure:
    """Returns loss, accuracy and learning rate over the epochs of all stages.

    Convention:
        `history` has one row an epoch and the columns `stage`, `epoch`, `train_loss`,
        `train_accuracy`, `val_loss`, `val_accuracy`, `learning_rate`, `seconds`. `epoch` counts
        on through the stages; accuracies are in [0, 1]. A value may be NaN where there is none.

    Args:
        history: The history, at least one epoch long.

    Raises:
        SettingsError: If columns are missing, there is no epoch, or the epochs do not rise.
    """
    _check_history(history)
    width, height, left = 7.2, 6.2, 0.82
    plot = width - left - 0.25
    figure = create_figure(width, height)
    epochs = history["epoch"].to_numpy(dtype=float)
    with use_style():
        from matplotlib.ticker import MaxNLocator

        # Inches from the bottom, and the height, of each panel.
        loss, accuracy, rate = (
            figure.add_axes((left / width, low / height, plot / width, high / height))
            for low, high in ((3.7, 1.85), (1.7, 1.75), (0.55, 0.9))
        )
        for axes, kind in ((loss, "loss"), (accuracy, "accuracy")):
            for part, name in (("train", "training"), ("val", "validation")):
                _draw_curve(axes, epochs, _get_values(history, f"{part}_{kind}"), name)
            axes.set_ylabel(kind)
        _set_loss_limits(loss, history)
        _set_accuracy_limits(accuracy, history)
        _draw_learning_rate(rate, epochs, _get_values(history, "learning_rate"))
        for axes in (loss, accuracy, rate):
            axes.set_xlim(epochs[0] - 0.5, epochs[-1] + 0.5)
            axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
            axes.tick_params(axis="both", length=2)
            axes.grid(axis="y")
            axes.set_axisbelow(True)
            axes.yaxis.set_label_coords(-0.6 / plot, 0.5)
            if axes is not rate:
                axes.tick_params(axis="x", labelbottom=False)
        rate.set_xlabel("epoch")
        _mark_stages([loss, accuracy, rate], epochs, history["stage"].astype(str).tolist(), plot)
        handles, names = loss.get_legend_handles_labels()
        if not handles:
            handles, names = accuracy.get_legend_handles_labels()
        if handles:
            figure.legend(
                handles,
                names,
                loc="upper right",
                bbox_to_anchor=(1 - 0.25 / width, 1 - 0.17 / height),
                ncols=2,
                borderaxespad=0,
                handlelength=2.6,
            )
        add_title(figure, "Training history")
    return figure


def plot_rate_search(search: pd.DataFrame, *, suggestion: float) -> Figure:
    """Returns the loss over the learning rate of a range test, with the rate that it suggests.

    Args:
        search: The columns `learning_rate`, over 0, and `loss`.
        suggestion: The rate to mark.

    Raises:
        SettingsError: If columns are missing, or there is no step.
    """
    missing = [name for name in ("learning_rate", "loss") if name not in search.columns]
    if missing or not len(search):
        what = f"none called {', '.join(missing)}" if missing else "no rows"
        raise SettingsError(
            f"`search` must have the columns learning_rate and loss, got {what}. Pass the table of "
            "a range test."
        )
    figure = create_figure(7.2, 3.6)
    with use_style():
        axes = figure.add_axes((0.11, 0.15, 0.85, 0.7))
        axes.plot(search["learning_rate"], search["loss"], color=ACCENT_COLOR, linewidth=1.8)
        axes.set_xscale("log")
        axes.axvline(suggestion, color=INK_COLOR, linewidth=0.8, linestyle="--")
        axes.annotate(
            f"{suggestion:.1e}",
            (suggestion, 1),
            xycoords=("data", "axes fraction"),
            xytext=(4, -4),
            textcoords="offset points",
            va="top",
        )
        axes.set_xlabel("learning rate of the head")
        axes.set_ylabel("loss, smoothed")
        axes.grid(axis="y")
        axes.set_axisbelow(True)
        figure.text(0.02, 0.945, "Learning-rate range test", fontsize=TITLE_POINTS, va="top")
    return figure


def _check_history(history: pd.DataFrame) -> None:
    missing = [name for name in HISTORY_COLUMNS if name not in history.columns]
    if missing:
        raise SettingsError(
            f"`history` must have the columns {', '.join(HISTORY_COLUMNS)}, got none called "
            f"{', '.join(missing)}. Pass the table that a training returned."
        )
    if len(history) == 0:
        raise SettingsError(
            "`history` must hold at least one epoch, got an empty table. Train first."
        )
    epochs = history["epoch"].to_numpy(dtype=float)
    if not (np.diff(epochs) > 0).all() or not np.isfinite(epochs).all():
        raise SettingsError(
            f"`epoch` of `history` must rise from row to row, got {epochs.tolist()!r:.80}. Let it "
            "count on through the stages."
        )


def _get_values(history: pd.DataFrame, name: str) -> NDArray[np.float64]:
    """Returns a column as floats, whatever is not finite as NaN."""
    values = history[name].to_numpy(dtype=float, na_value=np.nan)
    return np.where(np.isfinite(values), values, np.nan)


def _draw_curve(
    axes: Axes, epochs: NDArray[np.float64], values: NDArray[np.float64], name: str
) -> None:
    """Draws one curve, dashed for training and solid for validation; nothing where all is NaN."""
    known = np.isfinite(values)
    if not known.any():
        return
    is_validation = name == "validation"
    axes.plot(
        epochs[known],
        values[known],
        label=name,
        color=ACCENT_COLOR if is_validation else MUTED_COLOR,
        linestyle="-" if is_validation else (0, (4, 2)),
        linewidth=1.8 if is_validation else 1.4,
        # A curve of one epoch is a point, and a long one would be a string of beads.
        marker="o" if len(epochs) <= 30 else None,
        markersize=3.6,
        markerfacecolor=ACCENT_COLOR if is_validation else PAPER_COLOR,
    )


def _set_loss_limits(axes: Axes, history: pd.DataFrame) -> None:
    values = np.concatenate([_get_values(history, name) for name in ("train_loss", "val_loss")])
    values = values[np.isfinite(values)]
    if values.size and values.min() >= 0:
        axes.set_ylim(0, float(values.max()) * 1.08 or 1.0)


def _set_accuracy_limits(axes: Axes, history: pd.DataFrame) -> None:
    names = ("train_accuracy", "val_accuracy")
    values = np.concatenate([_get_values(history, name) for name in names])
    values = values[np.isfinite(values)]
    low = float(values.min()) if values.size else 0.0
    # Down to the next tenth below, so that small wiggles near 100% do not look large.
    floor = max(0.0, math.floor(low * 10 - 0.5) / 10)
    axes.set_ylim(floor, 1 + 0.04 * (1 - floor))
    axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.4g}%")


def _draw_learning_rate(
    axes: Axes, epochs: NDArray[np.float64], values: NDArray[np.float64]
) -> None:
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    axes.plot(epochs, values, color=INK_COLOR, linewidth=1.4, drawstyle="steps-mid")
    axes.plot(epochs, values, "o", color=INK_COLOR, markersize=2.4 if len(epochs) <= 30 else 0)
    axes.set_ylabel("learning rate")
    positive = values[values > 0]
    if positive.size and positive.max() / positive.min() > 20:
        # A cosine ends near 0: more than four decades would flatten everything else.
        low = max(float(positive.min()), float(positive.max()) * 1e-4)
        axes.set_yscale("log", nonpositive="mask")
        axes.set_ylim(low / 2, float(positive.max()) * 2)
        axes.yaxis.set_major_locator(LogLocator(numticks=4))
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.tick_params(axis="y", which="minor", length=0)
    elif positive.size:
        axes.set_ylim(0, float(positive.max()) * 1.15)
        axes.locator_params(axis="y", nbins=3)
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))


def _mark_stages(
    panels: Sequence[Axes], epochs: NDArray[np.float64], stages: Sequence[str], plot_inches: float
) -> None:
    """Writes each stage's name over its epochs, and draws a line where the next one begins.

    A last stage too short for its name, as fine-tuning often is, has it end with the plot, over
    what the name before leaves free.
    """
    first = [0] + [row for row in range(1, len(stages)) if stages[row] != stages[row - 1]]
    borders = [epochs[0] - 0.5]
    borders += [float(epochs[row - 1] + epochs[row]) / 2 for row in first[1:]]
    borders += [epochs[-1] + 0.5]
    for border in borders[1:-1]:
        for axes in panels:
            axes.axvline(border, color=NEUTRAL_COLOR, linewidth=1.0, linestyle=(0, (1, 2)))
    points, gap = 8.5, 0.08
    starts = [
        (border - borders[0]) * plot_inches / (borders[-1] - borders[0]) for border in borders
    ]
    free = 0.0  # where the names so far end, in inches
    for index, row in enumerate(first):
        left, right, side = starts[index], starts[index + 1] - gap, "left"
        if row == first[-1] and measure_inches(stages[row], points) > right - left:
            left, right, side = free, plot_inches, "right"
        name = fit_inches(stages[row], points, right - left)
        if measure_inches(name, points) > right - left:  # not even an ellipsis fits
            continue
        free = left + measure_inches(name, points) + 2 * gap
        panels[0].text(
            (left if side == "left" else right) / plot_inches,
            1.03,
            name,
            transform=panels[0].transAxes,
            ha=side,
            va="bottom",
            fontsize=points,
            color=MUTED_COLOR,
        )
