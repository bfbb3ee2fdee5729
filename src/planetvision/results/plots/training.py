"""Plots of a training: its history, and the learning-rate range test."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from planetvision.core.errors import SettingsError
from planetvision.results.plots.layout import add_axes, add_title, fit_inches, measure_inches
from planetvision.results.plots.style import (
    ACCENT_COLOR,
    INK_COLOR,
    MUTED_COLOR,
    NEUTRAL_COLOR,
    PAPER_COLOR,
    create_figure,
    use_style,
)
from planetvision.results.plots.validation import check_frame

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


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


def plot_history(history: pd.DataFrame) -> Figure:
    """Returns loss, accuracy and learning rate over the epochs of all stages.

    Convention:
        `history` has one row per epoch and the columns `stage`, `epoch`, `train_loss`,
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
            add_axes(figure, left, low, plot, high)
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
            axes.grid(axis="y")
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
    remedy = "Pass the table of a range test."
    check_frame(search, "search", ("learning_rate", "loss"), remedy, shares=())
    if not len(search):
        raise SettingsError(f"`search` must have at least one row, got none. {remedy}")
    figure = create_figure(7.2, 3.6)
    with use_style():
        axes = add_axes(figure, 0.8, 0.54, 6.1, 2.5)
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
        add_title(figure, "Learning-rate range test")
    return figure


def _check_history(history: pd.DataFrame) -> None:
    remedy = "Pass the table that a training returned."
    check_frame(history, "history", HISTORY_COLUMNS, remedy, shares=())
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
