"""Confusion matrices, accuracies per class and training histories."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.backend_bases import RendererBase
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from planetvision.core.errors import SettingsError
from planetvision.results.plots import (
    plot_confusion_matrix,
    plot_history,
    plot_per_class_accuracy,
)
from planetvision.results.plots.style import FAINT_COLOR, save_figure


def get_cells(figure: Figure, num_classes: int) -> list[list[str]]:
    texts = [text.get_text() for text in figure.axes[0].texts]
    return [texts[row * num_classes : (row + 1) * num_classes] for row in range(num_classes)]


def get_labels(axes: Axes, side: str) -> list[str]:
    labels = axes.get_xticklabels() if side == "x" else axes.get_yticklabels()
    return [label.get_text() for label in labels]


def draw(figure: Figure) -> RendererBase:
    """Draws the figure, and returns what knows where everything went."""
    figure.draw_without_rendering()
    return cast("RendererBase", FigureCanvasAgg(figure).get_renderer())  # type: ignore[no-untyped-call]


def check_nothing_clipped(figure: Figure) -> None:
    """Everything that is drawn, texts too, lies inside the figure."""
    box = figure.get_tightbbox(draw(figure))
    width, height = figure.get_size_inches()
    assert box.x0 >= 0, "clipped at the left"
    assert box.y0 >= 0, "clipped at the bottom"
    assert box.x1 <= width, "clipped at the right"
    assert box.y1 <= height, "clipped at the top"


def make_matrix(num_classes: int) -> NDArray[np.int64]:
    matrix = np.random.default_rng(0).integers(0, 3, (num_classes, num_classes))
    return np.asarray(matrix + 90 * np.eye(num_classes, dtype=int), dtype=np.int64)


def make_names(num_classes: int) -> list[str]:
    return [f"a rather long name of body {index}" for index in range(num_classes)]


def test_confusion_matrix_writes_every_count_in_its_cell() -> None:
    matrix = np.array([[5, 1, 0], [0, 12345, 2], [3, 0, 7]])
    figure = plot_confusion_matrix(matrix, classes=["mars", "moon", "sun"])
    assert get_cells(figure, 3) == [["5", "1", "0"], ["0", "12345", "2"], ["3", "0", "7"]]
    positions = [text.get_position() for text in figure.axes[0].texts]
    assert positions == [(column, row) for row in range(3) for column in range(3)]
    assert get_labels(figure.axes[0], "x") == ["mars", "moon", "sun"]
    assert get_labels(figure.axes[0], "y") == ["mars", "moon", "sun"]
    assert figure.axes[0].get_ylabel() == "true class"
    assert figure.axes[0].get_xlabel() == "predicted class"
    assert "12,363 images" in figure.texts[0].get_text()


def test_confusion_matrix_normalised_shows_percent_counts_and_dashes() -> None:
    matrix = np.array([[3, 1, 0], [0, 0, 0], [1, 1, 998]])
    figure = plot_confusion_matrix(matrix, classes=["mars", "moon", "sun"], normalize=True)
    assert get_cells(figure, 3) == [
        ["75%", "25%", "0%"],
        ["\u2013", "\u2013", "\u2013"],
        ["<1%", "<1%", ">99%"],
    ]
    assert get_labels(figure.axes[0], "y") == ["mars (4)", "moon (0)", "sun (1,000)"]
    assert get_labels(figure.axes[0], "x") == ["mars", "moon", "sun"]


@pytest.mark.parametrize("normalize", [False, True])
def test_confusion_matrix_colours_are_shares_of_the_row(normalize: bool) -> None:
    matrix = np.array([[1, 3], [0, 1000]])
    figure = plot_confusion_matrix(matrix, classes=["mars", "moon"], normalize=normalize)
    shown = figure.axes[0].images[0].get_array()
    assert shown is not None
    assert shown.tolist() == [[0.25, 0.75], [0.0, 1.0]]
    assert figure.axes[0].images[0].get_clim() == (0, 1)


def test_confusion_matrix_numbers_are_readable_on_every_share() -> None:
    matrix = np.array([[share, 100 - share] for share in range(1, 100)])
    square = np.zeros((99, 99), int)
    square[:, :2] = matrix
    figure = plot_confusion_matrix(square[:40, :40], classes=[str(i) for i in range(40)])
    luminance = np.array([0.2126, 0.7152, 0.0722])

    def get_luminance(color: ArrayLike) -> float:
        values = np.asarray(color, dtype=float)[:3]
        linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
        return float(linear @ luminance)

    texts = figure.axes[0].texts
    picture = figure.axes[0].images[0]
    shares = picture.get_array()
    assert shares is not None
    contrasts = []
    for row in range(40):
        for column in range(2):
            cell = get_luminance(picture.to_rgba(shares[row, column]))
            ink = get_luminance(to_rgba(texts[row * 40 + column].get_color()))
            contrasts.append((max(cell, ink) + 0.05) / (min(cell, ink) + 0.05))
    assert min(contrasts) >= 3.8
    assert len({texts[0].get_color(), texts[1].get_color(), texts[2].get_color()}) == 3
    assert texts[2].get_color() == FAINT_COLOR


@pytest.mark.slow
@pytest.mark.parametrize(
    ("num_classes", "normalize"),
    [(1, False), (2, False), (2, True), (7, True), (12, False), (13, True), (40, False)],
)
def test_confusion_matrix_with_long_names_clips_nothing(num_classes: int, normalize: bool) -> None:
    names = make_names(num_classes)
    names[0] = "W" * 200
    figure = plot_confusion_matrix(make_matrix(num_classes), classes=names, normalize=normalize)
    check_nothing_clipped(figure)
    assert get_labels(figure.axes[0], "x")[0].endswith("…")


def test_confusion_matrix_numbers_stay_inside_their_cells() -> None:
    matrix = np.full((30, 30), 100_000)
    figure = plot_confusion_matrix(matrix, classes=[str(index) for index in range(30)])
    renderer = draw(figure)
    cell = figure.axes[0].get_window_extent().width / 30
    widths = [text.get_window_extent(renderer).width for text in figure.axes[0].texts[:3]]
    assert max(widths) < 0.9 * cell


def test_confusion_matrix_of_names_with_dollars_is_drawn_as_written(tmp_path: Path) -> None:
    names = ["a$b^$c", "two\nlines"]
    figure = plot_confusion_matrix(np.eye(2, dtype=int), classes=names)
    assert get_labels(figure.axes[0], "x") == ["a$b^$c", "two lines"]
    figure.savefig(tmp_path / "own.png")  # outside of the style's block
    assert not any(label.get_parse_math() for label in figure.axes[0].get_xticklabels())


def test_confusion_matrix_ignores_the_callers_settings(tmp_path: Path) -> None:
    def draw(name: str) -> bytes:
        figure = plot_confusion_matrix(np.eye(2, dtype=int), classes=["mars", "moon"])
        save_figure(figure, tmp_path / name)
        return (tmp_path / name).read_bytes()

    plain = draw("a.png")
    with mpl.rc_context({"font.size": 30, "axes.facecolor": "red", "image.origin": "lower"}):
        before = dict(mpl.rcParams)
        assert draw("b.png") == plain
        assert dict(mpl.rcParams) == before


@pytest.mark.parametrize(
    ("matrix", "classes", "message"),
    [
        (np.zeros((2, 3), int), ["a", "b"], r"shape \(C, C\), got an array of shape \(2, 3\)"),
        (np.zeros((2, 2)), ["a", "b"], r"got .*float64\. Pass the counts, rows for the true"),
        (np.zeros((0, 0), int), [], r"got an array of shape \(0, 0\)"),
        (np.array([[1, -2], [0, 1]]), ["a", "b"], r"counts of at least 0, got -2\. Count"),
        (np.eye(2, dtype=int), ["a"], r"name the 2 classes of `matrix`, got 1 names\. Pass one"),
        (np.eye(2, dtype=int), "ab", r"`classes` must be a sequence of strings, got str 'ab'"),
        (np.eye(2, dtype=int), [1, 2], r"sequence of strings, got list \[1, 2\]"),
    ],
)
def test_confusion_matrix_with_wrong_input_says_what_it_got(
    matrix: NDArray[np.int64], classes: list[str], message: str
) -> None:
    with pytest.raises(SettingsError, match=message):
        plot_confusion_matrix(matrix, classes=classes)


def test_confusion_matrix_reports_all_problems_at_once() -> None:
    with pytest.raises(SettingsError, match="2 settings are wrong") as caught:
        plot_confusion_matrix(np.array([[-1]]), classes=["a", "b"])
    assert len(caught.value.problems) == 2


ACCURACIES: dict[str, Any] = {
    "correct": np.array([9, 0, 1]),
    "total": np.array([10, 0, 4]),
    "intervals": np.array([[0.6, 0.98], [np.nan, np.nan], [0.05, 0.7]]),
    "classes": ["mars", "moon", "sun"],
}


def test_per_class_accuracy_draws_dots_intervals_and_counts() -> None:
    figure = plot_per_class_accuracy(**ACCURACIES)
    axes = figure.axes[0]
    assert get_labels(axes, "y") == ["mars", "moon", "sun"]
    lines = [np.asarray(line.get_xydata()).tolist() for line in axes.lines]
    assert lines == [
        [[0.6, 0.0], [0.98, 0.0]],
        [[0.9, 0.0]],
        [[0.05, 2.0], [0.7, 2.0]],
        [[0.25, 2.0]],
    ]
    texts = {text.get_text(): text.get_position() for text in axes.texts}
    assert [texts[count][1] for count in ("9 / 10", "0 / 0", "1 / 4")] == [0, 1, 2]
    assert texts["9 / 10"][0] > 1, "the counts stand right of the axes"
    assert texts["no images"] == (0.0, 1)
    assert axes.yaxis_inverted(), "the first class is on top"
    assert "14 images" in figure.texts[0].get_text()


def test_per_class_accuracy_without_empty_class_has_no_such_mark() -> None:
    figure = plot_per_class_accuracy(
        np.array([1]), np.array([1]), classes=["mars"], intervals=np.array([[0.2, 1.0]])
    )
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert texts == ["1 / 1", "right / images"]
    assert figure.texts[0].get_text() == "Accuracy of each class, 1 image"


@pytest.mark.parametrize("num_classes", [1, 2, 7, 40])
def test_per_class_accuracy_clips_nothing_and_grows_by_row(num_classes: int) -> None:
    total = np.full(num_classes, 1_000_000)
    figure = plot_per_class_accuracy(
        total, total, classes=make_names(num_classes), intervals=np.ones((num_classes, 2))
    )
    check_nothing_clipped(figure)
    assert figure.get_size_inches()[1] == pytest.approx(0.74 + 0.6 + 0.29 * num_classes)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"correct": np.array([1.0, 0, 1])}, r"`correct` must be an integer array .* float64"),
        ({"total": np.array([[10, 0, 4]])}, r"`total` must be an integer array of shape \(C,\)"),
        ({"total": np.array([10, 4])}, r"must be of one length, got 3 and 2\. Pass one count"),
        ({"correct": np.array([9, 1, 1])}, r"from 0 to `total`, got 1 of 0 for class 1\. Pass"),
        ({"correct": np.array([-1, 0, 1])}, r"got -1 of 10 for class 0"),
        ({"classes": ["mars"]}, r"name the 3 classes of `total`, got 1 names"),
        ({"intervals": np.zeros((2, 3))}, r"float array of shape \(3, 2\), got .*\(2, 3\)"),
        (
            {"intervals": np.array([[0.95, 0.98], [0, 0], [0.05, 0.7]])},
            r"hold the accuracy 0\.9 of class 0, got 0\.95 to 0\.98\. Pass shares",
        ),
        (
            {"intervals": np.array([[60.0, 98.0], [0, 0], [np.nan, 0.7]])},
            r"(?s)2 settings are wrong.*class 0, got 60 to 98.*class 2, got nan to 0\.7",
        ),
    ],
)
def test_per_class_accuracy_with_wrong_input_says_what_it_got(
    changed: dict[str, Any], message: str
) -> None:
    with pytest.raises(SettingsError, match=message):
        plot_per_class_accuracy(**{**ACCURACIES, **changed})


def make_history(**changed: object) -> pd.DataFrame:
    columns: dict[str, object] = {
        "stage": ["head", "head", "head", "fine", "fine"],
        "epoch": [1, 2, 3, 4, 5],
        "train_loss": [1.9, 1.2, 0.8, 0.5, 0.4],
        "train_accuracy": [0.31, 0.6, 0.8, 0.9, 0.95],
        "val_loss": [1.8, 1.3, 0.9, 0.8, 0.7],
        "val_accuracy": [0.4, 0.55, 0.7, 0.8, 0.85],
        "learning_rate": [1e-3, 1e-3, 5e-4, 1e-5, 1e-6],
        "seconds": [1.0] * 5,
    }
    return pd.DataFrame(columns | changed)


def get_curve(axes: Axes, name: str) -> list[list[float]]:
    (line,) = [line for line in axes.lines if line.get_label() == name]
    columns: list[list[float]] = np.asarray(line.get_xydata()).T.tolist()
    return columns


def test_history_draws_each_column_over_the_epochs() -> None:
    history = make_history()
    loss, accuracy, rate = plot_history(history).axes
    for axes, kind in ((loss, "loss"), (accuracy, "accuracy")):
        assert axes.get_ylabel() == kind
        for part, name in (("train", "training"), ("val", "validation")):
            curve = get_curve(axes, name)
            assert curve == [[1, 2, 3, 4, 5], history[f"{part}_{kind}"].tolist()]
    assert rate.get_ylabel() == "learning rate"
    assert np.asarray(rate.lines[0].get_ydata()).tolist() == history["learning_rate"].tolist()


def test_history_tells_training_from_validation_without_colour() -> None:
    figure = plot_history(make_history())
    lines = {line.get_label(): line for line in figure.axes[0].lines}
    assert lines["training"].is_dashed()
    assert not lines["validation"].is_dashed()
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["training", "validation"]


def test_history_marks_and_names_the_stages() -> None:
    figure = plot_history(make_history())
    names = {text.get_text(): text.get_position()[0] for text in figure.axes[0].texts}
    assert names == {"head": 0, "fine": pytest.approx(0.6)}
    for axes in figure.axes:
        borders = [
            line for line in axes.lines if np.asarray(line.get_xdata()).tolist() == [3.5, 3.5]
        ]
        assert len(borders) == 1
        assert axes.get_xlim() == (0.5, 5.5)


def test_history_of_one_stage_has_no_border() -> None:
    figure = plot_history(make_history(stage=["head"] * 5))
    assert [text.get_text() for text in figure.axes[0].texts] == ["head"]
    assert len(figure.axes[0].lines) == 2


def test_history_without_validation_shows_training_alone() -> None:
    empty = [float("nan")] * 5
    figure = plot_history(make_history(val_loss=empty, val_accuracy=empty))
    assert [line.get_label() for line in figure.axes[0].lines][:1] == ["training"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["training"]


def test_history_passes_over_single_missing_values() -> None:
    history = make_history(val_loss=[1.8, float("nan"), 0.9, float("inf"), 0.7])
    assert get_curve(plot_history(history).axes[0], "validation") == [[1, 3, 5], [1.8, 0.9, 0.7]]


def test_history_shows_rates_that_differ_much_on_a_log_axis() -> None:
    assert plot_history(make_history()).axes[2].get_yscale() == "log"
    linear = plot_history(make_history(learning_rate=[1e-3, 8e-4, 5e-4, 2e-4, 0.0])).axes[2]
    assert linear.get_yscale() == "linear"
    assert linear.get_ylim()[0] == 0


def test_history_accuracy_is_in_percent_and_ends_at_100() -> None:
    figure = plot_history(make_history())
    draw(figure)
    low, high = figure.axes[1].get_ylim()
    assert low <= 0.3
    assert 1 < high < 1.05
    shown = [
        label.get_text()
        for label, tick in zip(
            figure.axes[1].get_yticklabels(), figure.axes[1].get_yticks(), strict=True
        )
        if low <= tick <= high
    ]
    assert shown[-1] == "100%"


@pytest.mark.parametrize("epochs", [1, 3, 60])
def test_history_of_any_length_clips_nothing(epochs: int, tmp_path: Path) -> None:
    history = pd.concat([make_history()] * 12).iloc[:epochs]
    history["epoch"] = range(1, epochs + 1)
    history["stage"] = ["a stage with a long name" if i % 4 else "x" for i in range(epochs)]
    figure = plot_history(history)
    check_nothing_clipped(figure)
    save_figure(figure, tmp_path / "history.png")
    assert (tmp_path / "history.png").stat().st_size > 1000


def test_history_stage_names_do_not_overlap() -> None:
    history = pd.concat([make_history()] * 12)
    history["epoch"] = range(60)
    history["stage"] = [f"stage {index // 5} with a long name" for index in range(60)]
    figure = plot_history(history)
    renderer = draw(figure)
    boxes = [text.get_window_extent(renderer) for text in figure.axes[0].texts]
    assert len(boxes) == 12
    assert all(a.x1 < b.x0 for a, b in pairwise(boxes))


def test_history_ends_the_name_of_a_short_last_stage_with_the_plot() -> None:
    history = pd.concat([make_history()] * 8)
    history["epoch"] = range(40)
    history["stage"] = ["head"] * 37 + ["fine-tuning"] * 3
    figure = plot_history(history)
    renderer = draw(figure)
    head, last = figure.axes[0].texts
    assert [head.get_text(), last.get_text()] == ["head", "fine-tuning"]
    ends = last.get_window_extent(renderer)
    assert ends.x1 == pytest.approx(figure.axes[0].get_window_extent(renderer).x1, abs=2)
    assert head.get_window_extent(renderer).x1 < ends.x0


def test_history_names_no_stage_that_is_too_short_even_for_an_ellipsis() -> None:
    history = pd.concat([make_history()] * 60)
    history["epoch"] = range(300)
    history["stage"] = ["head"] + ["fine"] * 299
    assert [text.get_text() for text in plot_history(history).axes[0].texts] == ["fine"]


def test_history_with_missing_columns_names_them() -> None:
    with pytest.raises(SettingsError, match=r"got none called val_loss, seconds\. Pass the table"):
        plot_history(make_history().drop(columns=["val_loss", "seconds"]))


def test_history_without_epochs_raises() -> None:
    with pytest.raises(SettingsError, match=r"at least one epoch, got an empty table\. Train"):
        plot_history(make_history().iloc[:0])


def test_history_whose_epochs_start_again_raises() -> None:
    with pytest.raises(
        SettingsError, match=r"must rise from row to row, got \[1\.0, 2\.0, 3\.0, 1"
    ):
        plot_history(make_history(epoch=[1, 2, 3, 1, 2]))
