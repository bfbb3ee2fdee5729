"""Confusion matrices."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from planetvision.core.errors import SettingsError
from planetvision.results.plots.layout import (
    MAX_LABEL_INCHES,
    POINTS_PER_INCH,
    add_axes,
    add_title,
    count_noun,
    fit_inches,
    measure_inches,
)
from planetvision.results.plots.style import (
    FAINT_COLOR,
    INK_COLOR,
    MATRIX_COLORMAP,
    NEUTRAL_COLOR,
    PAPER_COLOR,
    create_figure,
    use_style,
)
from planetvision.results.plots.validation import check_classes, describe

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


NO_SAMPLES = "–"  # noqa: RUF001 - an en dash, in a cell
# On the colour of this share, ink and white have the same contrast: 3.9.
DARK_SHARE = 0.668


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
    num_classes = len(classes)
    totals = matrix.sum(axis=1)
    shares = matrix / np.maximum(totals, 1)[:, None]
    texts = matrix.astype(str)
    if normalize:
        pairs = zip(matrix, totals, strict=True)
        texts = np.array([[_write_percent(n, total) for n in row] for row, total in pairs])

    # Inches of a cell and points of a label that were found legible by eye.
    cell = float(np.interp(num_classes, [2, 7, 15, 30, 40], [0.95, 0.62, 0.46, 0.37, 0.35]))
    label_points = float(np.interp(num_classes, [2, 15, 40], [9.5, 8.5, 7.5]))
    widest = max(texts.ravel().tolist(), key=len)
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
        axes = add_axes(figure, left, bottom, side, side)
        picture = axes.imshow(shares, cmap=MATRIX_COLORMAP, vmin=0, vmax=1)
        _draw_cells(axes, shares, texts, points)
        axes.spines[:].set_visible(True)
        axes.tick_params(length=0, pad=4)
        axes.set_xticks(range(num_classes), columns, rotation=angle, fontsize=label_points)
        if 0 < angle < 90:
            for label in axes.get_xticklabels():
                label.set(ha="right", va="top", rotation_mode="anchor")
        axes.set_yticks(range(num_classes), rows, fontsize=label_points)
        axes.set_xlabel("predicted class", labelpad=6)
        axes.set_ylabel("true class (images)" if normalize else "true class", labelpad=8)
        bar_axes = add_axes(figure, left + side + 0.18, bottom, 0.13, side)
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


def _draw_cells(
    axes: Axes, shares: NDArray[np.float64], texts: NDArray[np.str_], points: float
) -> None:
    """Writes the number into each cell, and frames those of the diagonal."""
    from matplotlib.patches import Rectangle

    for (i, j), share in np.ndenumerate(shares):
        color = INK_COLOR if share < DARK_SHARE else PAPER_COLOR
        style: dict[str, Any] = {"fontsize": points, "color": color if share else FAINT_COLOR}
        axes.text(j, i, str(texts[i, j]), ha="center", va="center", **style)
    for i in range(len(shares)):
        frame: dict[str, Any] = {"fill": False, "edgecolor": NEUTRAL_COLOR, "linewidth": 0.8}
        axes.add_patch(Rectangle((i - 0.5, i - 0.5), 1, 1, **frame))
