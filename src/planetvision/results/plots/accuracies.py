"""Accuracies per class or slice: a dot, its interval and its counts in each row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from planetvision.core.errors import SettingsError
from planetvision.results.plots.layout import (
    MAX_LABEL_INCHES,
    add_axes,
    add_title,
    count_noun,
    fit_inches,
    measure_inches,
)
from planetvision.results.plots.style import (
    ACCENT_COLOR,
    FAINT_COLOR,
    MUTED_COLOR,
    PAPER_COLOR,
    create_figure,
    use_style,
)
from planetvision.results.plots.validation import check_classes, check_frame, describe

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


SLICE_COLUMNS = ("heading", "slice", "right", "images", "low", "high")
LABEL_POINTS = 9.0
ROW_INCHES = 0.29
PLOT_INCHES = 4.0
HEADING_GAP = 0.4  # rows


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
        interval of a class without images is ignored.

    Args:
        correct: How many images of each class were classified correctly.
        total: How many images of each class there are.
        classes: The names of the C classes.
        intervals: The confidence interval of each accuracy.

    Raises:
        SettingsError: If shapes, types or ranges are not as above, or an interval does not hold
            its accuracy; all faults are named.
    """
    correct, total, intervals = np.asarray(correct), np.asarray(total), np.asarray(intervals)
    _check_accuracies(correct, total, classes, intervals)

    return _draw_accuracies(
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
        problems += _find_wrong_accuracies(
            correct, total, intervals, names=("`correct`", "`total`", "`intervals`"), item="class"
        )
    if problems:
        raise SettingsError.from_problems(problems)


def plot_slices(rows: pd.DataFrame) -> Figure:
    """Returns the accuracy on each slice of the images, with its interval and its counts.

    Convention:
        `rows` has the columns `heading` (what the images are grouped by), `slice` (the name of the
        slice), `right`, `images`, and `low` and `high`, the ends of the confidence interval in
        [0, 1], which are ignored without images. Rows of one heading are neighbours.

    Args:
        rows: The slices, at least one.

    Raises:
        SettingsError: If columns are missing, there is no row, or counts or intervals are invalid.
    """
    check_frame(rows, "rows", SLICE_COLUMNS, "Pass one row a part.", shares=())
    right, images = (rows[name].to_numpy() for name in ("right", "images"))
    intervals = rows[["low", "high"]].to_numpy(dtype=np.float64, na_value=np.nan)
    if not len(rows) or not all(np.issubdtype(n.dtype, np.integer) for n in (right, images)):
        raise SettingsError(
            "`rows` must have at least one row, with integers for `right` and `images`, got "
            f"{count_noun(len(rows), 'row')} with {right.dtype} and {images.dtype}. Pass counts."
        )
    problems = _find_wrong_accuracies(
        right, images, intervals, names=("`right`", "`images`", "`low` and `high`"), item="row"
    )
    if problems:
        raise SettingsError.from_problems(problems)
    return _draw_accuracies(
        right,
        images,
        labels=rows["slice"].astype(str).tolist(),
        intervals=intervals,
        headings=rows["heading"].astype(str).tolist(),
        title="Accuracy on parts of the images",
    )


def _draw_accuracies(
    correct: NDArray[np.integer[Any]],
    total: NDArray[np.integer[Any]],
    *,
    labels: Sequence[str],
    intervals: NDArray[np.floating[Any]],
    title: str,
    headings: Sequence[str] = (),
) -> Figure:
    """Returns a figure with one row per share: its name, a dot with its interval, its counts.

    Args:
        correct: How many of each were right.
        total: How many there were.
        labels: The name of each.
        intervals: Low and high end of each accuracy.
        title: The title.
        headings: What each row stands under; rows under one heading are neighbours. Empty for
            rows without headings.
    """
    labels = [fit_inches(label, LABEL_POINTS, MAX_LABEL_INCHES) for label in labels]
    headings = [fit_inches(heading, LABEL_POINTS, MAX_LABEL_INCHES) for heading in headings]
    places, heading_places, num_rows = _place_rows(len(labels), headings)
    counts = [f"{hit:,} / {n:,}" for hit, n in zip(correct.tolist(), total.tolist(), strict=True)]
    counted = "right / images"
    column = max(measure_inches(text, LABEL_POINTS) for text in [*counts, counted])
    left = 0.3 + max(measure_inches(text, LABEL_POINTS) for text in [*labels, *headings])
    rows = ROW_INCHES * num_rows
    top, bottom, right = 0.74, 0.6, 0.45 + column
    width, height = left + PLOT_INCHES + right, top + rows + bottom

    figure = create_figure(width, height)
    with use_style():
        axes = add_axes(figure, left, bottom, PLOT_INCHES, rows)
        axes.set_xlim(-0.01, 1.01)
        axes.set_ylim(num_rows - 0.5, -0.5)
        axes.spines[["left", "bottom"]].set_visible(False)
        axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0%", "25%", "50%", "75%", "100%"])
        axes.set_yticks(places, labels, fontsize=LABEL_POINTS)
        axes.tick_params(length=0, pad=6)
        axes.grid(axis="x")
        axes.set_xlabel("accuracy, with its confidence interval", labelpad=6)
        count_x = 1 + (0.2 + column) / PLOT_INCHES  # in widths of the axes
        for place, count, n, hit, interval in zip(
            places, counts, total.tolist(), correct.tolist(), intervals.tolist(), strict=True
        ):
            _write_beside(axes, count_x, place, count, ha="right")
            if n:
                _draw_accuracy(axes, place, hit / n, interval)
            else:
                _draw_nothing(axes, place)
        _write_beside(axes, count_x, -0.72, counted, ha="right", va="bottom")
        for heading, place in heading_places:
            _write_beside(axes, -(left - 0.15) / PLOT_INCHES, place, heading, ha="left")
        add_title(figure, title)
    return figure


def _place_rows(
    num_labels: int, headings: Sequence[str]
) -> tuple[list[float], list[tuple[str, float]], float]:
    """Returns where each row and each heading stands, and how many rows high all of it is."""
    places: list[float] = []
    heading_places: list[tuple[str, float]] = []
    place = 0.0
    for index in range(num_labels):
        if headings and (index == 0 or headings[index] != headings[index - 1]):
            place += HEADING_GAP if index else 0.0
            heading_places.append((headings[index], place))
            place += 1
        places.append(place)
        place += 1
    return places, heading_places, place


def _write_beside(
    axes: Axes, x: float, y: float, text: str, *, ha: str, va: str = "center"
) -> None:
    """Writes a text beside the axes: `x` in their widths, `y` in rows."""
    axes.text(
        x,
        y,
        text,
        transform=axes.get_yaxis_transform(),
        ha=ha,
        va=va,
        fontsize=LABEL_POINTS,
        color=MUTED_COLOR,
    )


def _draw_accuracy(axes: Axes, place: float, accuracy: float, interval: Sequence[float]) -> None:
    axes.plot(
        interval,
        [place, place],
        color=ACCENT_COLOR,
        alpha=0.45,
        linewidth=3.2,
        solid_capstyle="butt",
        clip_on=False,
    )
    axes.plot([accuracy], [place], "o", color=ACCENT_COLOR, markersize=6.5, clip_on=False)


def _draw_nothing(axes: Axes, place: float) -> None:
    axes.text(
        0.0,
        place,
        "no images",
        ha="left",
        va="center",
        color=FAINT_COLOR,
        backgroundcolor=PAPER_COLOR,
        fontsize=LABEL_POINTS,
        style="italic",
    )


def _find_wrong_accuracies(
    correct: NDArray[np.integer[Any]],
    total: NDArray[np.integer[Any]],
    intervals: NDArray[np.floating[Any]],
    *,
    names: tuple[str, str, str],
    item: str,
) -> list[str]:
    """Returns the problems of counts and intervals of the right shapes, one sentence each.

    Args:
        correct: How many of each were right.
        total: How many there were.
        intervals: Low and high end of each accuracy; ignored where the total is 0.
        names: What the caller calls the three.
        item: What each of them is, such as "class".
    """
    if (correct < 0).any() or (correct > total).any():
        index = int(np.argmax((correct < 0) | (correct > total)))
        return [
            f"{names[0]} must lie from 0 to {names[1]}, got {correct[index]} of {total[index]} "
            f"for {item} {index}. Pass counts, not shares."
        ]
    accuracy = correct / np.maximum(total, 1)
    low, high = intervals[:, 0], intervals[:, 1]
    tolerance = 1e-6
    holds = (low >= -tolerance) & (low <= accuracy + tolerance)
    holds &= (high <= 1 + tolerance) & (high >= accuracy - tolerance)
    return [
        f"{names[2]} must lie in [0, 1] and hold the accuracy {accuracy[index]:g} of {item} "
        f"{index}, got {low[index]:g} to {high[index]:g}. Pass shares, in the order of the counts."
        for index in np.flatnonzero(~holds & (total > 0)).tolist()
    ]
