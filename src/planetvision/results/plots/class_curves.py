"""ROC and precision-recall curves, one panel per class."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from planetvision.core.errors import SettingsError
from planetvision.results.plots.layout import (
    DASHES,
    LABEL_POINTS,
    TICK_POINTS,
    WIDTH_INCHES,
    add_axes,
    add_title,
    measure_inches,
    set_unit_square,
    wrap_inches,
    write_above,
    write_area,
    write_note,
)
from planetvision.results.plots.style import (
    ACCENT_COLOR,
    FAINT_COLOR,
    MUTED_COLOR,
    create_figure,
    use_style,
)
from planetvision.results.plots.validation import check_frame

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


ROC_COLUMNS = ("class", "false_positive_rate", "true_positive_rate")
PRECISION_COLUMNS = ("class", "recall", "precision")


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
        classes: The classes to draw, in order; one without rows has a panel with a note. None
            draws those that have rows.

    Raises:
        SettingsError: If columns are missing, a rate is outside [0, 1], or there is no class.
    """
    check_frame(frame, "frame", ROC_COLUMNS, "Pass the table of `compute_roc_curves`.")
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
        to row of a class, and in the first row every image gets this class.

    Args:
        frame: The corners of the curves.
        classes: The classes to draw, in order; one without rows has a panel with a note. None
            draws those that have rows.

    Raises:
        SettingsError: If columns are missing, a value is outside [0, 1], or there is no class.
    """
    check_frame(
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
            "panels with a note."
        )
    return names


def _get_curve(
    frame: pd.DataFrame, name: str, columns: Sequence[str]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    rows = frame.loc[np.array([str(other) == name for other in frame["class"]], dtype=bool)]
    x, y = (rows[column].to_numpy(dtype=np.float64) for column in columns[1:])
    return x, y


def _draw_panels(
    curves: Sequence[_Curve], *, title: str, x_label: str, y_label: str, measure: str, steps: bool
) -> Figure:
    """Returns the curves as small multiples: one hue, nothing that could cover another."""
    num_columns = len(curves) if len(curves) <= 3 else 4 if len(curves) <= 12 else 5
    num_rows = math.ceil(len(curves) / num_columns)
    left, right, bottom, gap = 0.68, 0.25, 0.56, 0.24
    side = min(3.0, (WIDTH_INCHES - left - right - gap * (num_columns - 1)) / num_columns)
    areas = [write_area(curve.area) if len(curve.x) else "" for curve in curves]
    room = side - max(measure_inches(area, LABEL_POINTS) for area in areas) - 0.08
    names = [wrap_inches(curve.name, LABEL_POINTS, room, max_rows=2) for curve in curves]
    heading = 0.3 + 0.15 * (max(map(len, names)) - 1)
    top = 0.62 + heading
    # The title and the line under it need this much.
    width = max(4.2, left + right + gap * (num_columns - 1) + side * num_columns)
    height = top + bottom + num_rows * side + (num_rows - 1) * heading

    known = [curve.area for curve in curves if len(curve.x)]
    mean = f", {write_area(float(np.mean(known)))} on average" if len(known) > 1 else ""
    figure = create_figure(width, height)
    with use_style():
        for index, curve in enumerate(curves):
            row, column = divmod(index, num_columns)
            low = height - top - side - row * (side + heading)
            axes = add_axes(figure, left + column * (side + gap), low, side, side)
            set_unit_square(axes)
            axes.tick_params(labelleft=column == 0, labelbottom=index + num_columns >= len(curves))
            write_above(axes, "\n".join(names[index]), areas[index])
            if len(curve.x):
                _draw_panel(axes, curve, steps=steps)
            else:
                write_note(axes, "no curve:\ntoo few images", fontsize=TICK_POINTS)
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
