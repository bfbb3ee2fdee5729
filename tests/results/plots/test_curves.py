"""Curves, calibration, slices, novelty and faithfulness: what is drawn, and that all of it fits."""

from __future__ import annotations

from itertools import combinations
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.backend_bases import RendererBase
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.container import BarContainer
from matplotlib.figure import Figure
from numpy.typing import NDArray

from planetvision.core.errors import SettingsError
from planetvision.evaluation import (
    compute_areas,
    compute_precision_recall_curves,
    compute_reliability,
    compute_risk_area,
    compute_risk_coverage,
    compute_roc_curves,
    wilson_interval,
)
from planetvision.results.plots import (
    plot_faithfulness,
    plot_novelty,
    plot_precision_recall_curves,
    plot_reliability,
    plot_risk_coverage,
    plot_roc_curves,
    plot_slices,
)

BODIES = ["earth", "mars", "moon", "venus"]


def make_answers(
    num_images: int, num_classes: int, sureness: float
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    rng = np.random.default_rng(0)
    targets = rng.integers(0, num_classes, num_images)
    logits = rng.normal(size=(num_images, num_classes))
    logits[np.arange(num_images), targets] += sureness
    powers = np.exp(logits)
    return targets, powers / powers.sum(axis=1, keepdims=True)


def check_texts(figure: Figure) -> None:
    """Everything lies inside the figure, and no text lies over another."""
    figure.draw_without_rendering()
    renderer = cast("RendererBase", FigureCanvasAgg(figure).get_renderer())  # type: ignore[no-untyped-call]
    box = figure.get_tightbbox(renderer)
    width, height = figure.get_size_inches()
    assert box.x0 >= 0, "clipped at the left"
    assert box.y0 >= 0, "clipped at the bottom"
    assert box.x1 <= width, "clipped at the right"
    assert box.y1 <= height, "clipped at the top"
    texts = [*figure.texts, *(text for axes in figure.axes for text in axes.texts)]
    texts += [text for legend in figure.legends for text in legend.get_texts()]
    boxes = {text.get_text(): text.get_window_extent(renderer) for text in texts if text.get_text()}
    for (one, first), (other, second) in combinations(boxes.items(), 2):
        assert not first.overlaps(second), f"{one!r} lies over {other!r}"
    # Texts of 9 points are then 10 pixels high where the figure is shown 700 pixels wide.
    assert width <= 8.6, "too wide to be read there"


def get_texts(axes: Axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


def get_points(axes: Axes, index: int) -> list[list[float]]:
    points: list[list[float]] = np.asarray(axes.lines[index].get_xydata()).tolist()
    return points


def get_bars(axes: Axes) -> list[float]:
    (bars,) = (held for held in axes.containers if isinstance(held, BarContainer))
    return [bar.get_height() for bar in bars]


@pytest.mark.parametrize(
    ("compute", "plot", "kind"),
    [
        (compute_roc_curves, plot_roc_curves, "roc_auc"),
        (compute_precision_recall_curves, plot_precision_recall_curves, "average_precision"),
    ],
)
def test_curves_have_a_panel_a_class_with_its_area(compute: Any, plot: Any, kind: str) -> None:
    targets, probabilities = make_answers(60, 4, 1.0)
    figure = plot(compute(targets, probabilities, classes=BODIES))
    areas = compute_areas(targets, probabilities, classes=BODIES)
    assert len(figure.axes) == 4
    for axes, name in zip(figure.axes, BODIES, strict=True):
        assert get_texts(axes) == [name, f"{areas['per_class'][name][kind]:.3f}"]
        assert (axes.get_xlim(), axes.get_ylim()) == ((0, 1), (0, 1))
    assert f"{areas['macro'][kind]:.3f} on average" in figure.texts[-1].get_text()


def test_roc_curve_is_the_one_of_the_table() -> None:
    frame = pd.DataFrame(
        {
            "class": ["mars"] * 4,
            "false_positive_rate": [0.0, 0.0, 0.5, 1.0],
            "true_positive_rate": [0.0, 0.5, 1.0, 1.0],
        }
    )
    figure = plot_roc_curves(frame)
    (axes,) = figure.axes
    assert get_points(axes, 0) == [[0, 0], [1, 1]], "guessing"
    assert get_points(axes, 1) == [[0, 0], [0, 0.5], [0.5, 1], [1, 1]]
    assert axes.lines[0].is_dashed()
    assert not axes.lines[1].is_dashed()
    assert get_texts(axes) == ["mars", "0.875"]
    assert {text.get_text() for text in figure.texts} >= {
        "false positive rate",
        "true positive rate",
    }


def test_precision_recall_curve_is_in_steps_without_a_spike_at_recall_0() -> None:
    frame = pd.DataFrame(
        {"class": ["mars"] * 4, "recall": [1.0, 0.5, 0, 0], "precision": [0.25, 0.6, 0, 1]}
    )
    (axes,) = plot_precision_recall_curves(frame).axes
    assert get_points(axes, 0) == [[0, 0.25], [1, 0.25]], "all are called so"
    assert get_points(axes, 1) == [[1, 0.25], [0.5, 0.6], [0, 0.6], [0, 0.6]]
    assert axes.lines[1].get_drawstyle() == "steps-post"
    assert get_texts(axes) == ["mars", "0.425"]


def test_curve_of_a_perfect_classifier_is_drawn_over_the_sides_of_its_panel() -> None:
    targets, probabilities = make_answers(40, 4, 50.0)
    frame = compute_roc_curves(targets, probabilities, classes=BODIES)
    for axes in plot_roc_curves(frame).axes:
        line = axes.lines[1]
        assert line.get_zorder() > axes.spines["left"].get_zorder()
        assert not line.get_clip_on()
        assert get_texts(axes)[1] == "1.000"


def test_area_that_is_nearly_1_is_not_written_as_1() -> None:
    targets, scores = np.arange(4000) >= 2000, np.arange(4000) / 4000
    scores[1999], scores[2000] = scores[2000], scores[1999]
    frame = compute_roc_curves(
        targets.astype(int), np.stack([1 - scores, scores], axis=1), classes=["mars", "moon"]
    )
    assert get_texts(plot_roc_curves(frame).axes[0])[1] == ">0.999"


def test_class_without_images_has_a_panel_that_says_so() -> None:
    targets, probabilities = make_answers(30, 4, 1.0)
    frame = compute_roc_curves(targets % 3, probabilities, classes=BODIES)
    figure = plot_roc_curves(frame, classes=BODIES)
    check_texts(figure)
    assert [len(axes.lines) for axes in figure.axes] == [2, 2, 2, 0]
    assert get_texts(figure.axes[3])[0] == "venus"
    assert "no curve" in get_texts(figure.axes[3])[-1]
    assert len(plot_roc_curves(frame).axes) == 3


@pytest.mark.slow
@pytest.mark.parametrize(
    ("plot", "num_images", "num_classes", "name"),
    [
        (plot_roc_curves, 3, 2, "mars"),
        (plot_roc_curves, 50, 1, "moon"),
        (plot_roc_curves, 90, 40, "a long name"),
        (plot_precision_recall_curves, 3, 2, "mars"),
        (plot_precision_recall_curves, 60, 7, "W" * 60),
    ],
)
def test_curves_of_any_number_fit_the_figure(
    plot: Any, num_images: int, num_classes: int, name: str
) -> None:
    targets, probabilities = make_answers(num_images, num_classes, 2.0)
    names = [f"{name} {index}" for index in range(num_classes)]
    if plot is plot_roc_curves:
        frame = compute_roc_curves(targets, probabilities, classes=names)
    else:
        frame = compute_precision_recall_curves(targets, probabilities, classes=names)
    figure = plot(frame, classes=names)
    assert len(figure.axes) == num_classes
    check_texts(figure)


def make_bins() -> pd.DataFrame:
    targets, probabilities = make_answers(80, 4, 1.5)
    return compute_reliability(targets, probabilities, bins=10)


def test_reliability_draws_dots_intervals_counts_and_the_error() -> None:
    bins = make_bins()
    full = bins[bins["images"] > 0]
    figure = plot_reliability(bins)
    upper, lower = figure.axes
    assert get_points(upper, 0) == [[0, 0], [1, 1]]
    assert get_points(upper, 1) == full[["confidence", "accuracy"]].to_numpy().tolist()
    segments = np.array(upper.collections[0].get_segments())  # type: ignore[attr-defined]
    assert segments[:, :, 1].tolist() == full[["accuracy_low", "accuracy_high"]].values.tolist()
    assert get_bars(lower) == full["images"].tolist()
    error = ((full["confidence"] - full["accuracy"]).abs() * full["images"]).sum() / 80
    assert get_texts(upper) == [f"calibration error {100 * error:.1f}%"]
    assert "80 images" in figure.texts[0].get_text()


def test_reliability_before_and_after_stand_side_by_side() -> None:
    targets, probabilities = make_answers(80, 4, 1.5)
    figure = plot_reliability(make_bins(), compute_reliability(targets, probabilities**9))
    headings = [text for axes in figure.axes for text in get_texts(axes)]
    assert [heading.split(":")[0] for heading in headings] == [
        "before calibration",
        "after calibration",
    ]
    before, after = figure.axes[0].get_position(), figure.axes[2].get_position()
    assert before.x1 < after.x0
    assert get_points(figure.axes[2], 1) != get_points(figure.axes[0], 1)


def test_reliability_shows_few_images_beside_many() -> None:
    bins = make_bins()
    bins["images"] = [0] * 8 + [2, 1000]
    bins.loc[8:, "confidence":"accuracy_high"] = 0.9
    lower = plot_reliability(bins).axes[1]
    assert lower.get_yscale() == "log"
    assert lower.get_ylim()[0] < 1


@pytest.mark.parametrize(("num_images", "sureness"), [(3, 0.1), (500, 60.0), (300, 1.0)])
def test_reliability_of_any_number_fits_the_figure(num_images: int, sureness: float) -> None:
    bins = compute_reliability(*make_answers(num_images, 7, sureness))
    check_texts(plot_reliability(bins, bins if num_images > 3 else None))


def test_risk_coverage_draws_each_ranking_in_steps_with_its_mean() -> None:
    right = np.array([True, True, False, True])
    rankings = {"confidence": np.arange(4.0), "novelty": np.array([1.0, 2, 0, 3])}
    frames = {name: compute_risk_coverage(right, values) for name, values in rankings.items()}
    figure = plot_risk_coverage(frames)
    (axes,) = figure.axes
    assert get_points(axes, 0) == [[0, 0], [0.25, 0], [0.5, 0], [0.75, 1 / 3], [1, 0.25]]
    assert get_points(axes, 1)[:2] == [[0, 1], [0.25, 1]]
    assert axes.lines[0].get_drawstyle() == "steps-pre"
    assert not axes.lines[0].is_dashed()
    assert axes.lines[1].is_dashed(), "told apart without colour"
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    means = [100 * compute_risk_area(right, values)["aurc"] for values in rankings.values()]
    assert names == [
        f"confidence: mean risk {means[0]:.1f}%",
        f"novelty: mean risk {means[1]:.1f}%",
        "best possible",
    ]
    best = np.asarray(axes.lines[2].get_xydata())
    assert best[-1].tolist() == [1, 0.25]
    assert best[best[:, 0] < 0.75, 1].max() == 0


def test_risk_coverage_without_a_wrong_answer_says_so() -> None:
    frame = compute_risk_coverage(np.ones(5, dtype=bool), np.arange(5.0))
    figure = plot_risk_coverage(frame)
    assert get_texts(figure.axes[0]) == ["no answer is wrong"]
    assert figure.axes[0].get_ylim()[0] < 0, "the line at 0 is seen"
    check_texts(figure)


def test_risk_coverage_is_not_flattened_by_the_first_answers() -> None:
    right = np.ones(1000, dtype=bool)
    right[[0, 999]] = False
    (axes,) = plot_risk_coverage(compute_risk_coverage(right, np.arange(1000.0))).axes
    assert axes.get_ylim()[1] < 0.05


@pytest.mark.parametrize(("num_images", "num_rankings"), [(1, 1), (3, 2), (100, 8)])
def test_risk_coverage_of_any_number_fits_the_figure(num_images: int, num_rankings: int) -> None:
    rng = np.random.default_rng(0)
    right = rng.random(num_images) < 0.7
    frames = {
        f"a rather long name of a ranking {index}" if index else "x": compute_risk_coverage(
            right, rng.random(num_images)
        )
        for index in range(num_rankings)
    }
    figure = plot_risk_coverage(frames)
    figure.draw_without_rendering()
    lines = figure.axes[0].lines
    assert len({(line.get_color(), line.get_linestyle(), line.is_dashed()) for line in lines}) > 1
    check_texts(plot_risk_coverage(frames["x"]))
    box = figure.legends[0].get_window_extent()
    assert box.x1 < figure.get_size_inches()[0] * figure.dpi
    assert box.y0 > figure.axes[0].get_window_extent().y1


def make_slices() -> pd.DataFrame:
    parts = [
        ("size of the disc", "small", 20, 31),
        ("size of the disc", "large", 120, 121),
        ("lit share", "under a half", 3, 9),
        ("lit share", "half and more", 0, 0),
    ]
    rows = [(*part, *(wilson_interval(part[2], part[3]) or (None, None))) for part in parts]
    return pd.DataFrame(rows, columns=["heading", "slice", "right", "images", "low", "high"])


def test_slices_stand_under_their_headings() -> None:
    rows = make_slices()
    figure = plot_slices(rows)
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == rows["slice"].tolist()
    places = {text.get_text(): text.get_position()[1] for text in axes.texts}
    ticks = axes.get_yticks().tolist()
    assert places["size of the disc"] == ticks[0] - 1
    assert places["lit share"] == pytest.approx(ticks[2] - 1)
    assert places["lit share"] > ticks[1] + 1, "a gap parts the headings"
    assert [places[count] for count in ("20 / 31", "120 / 121", "3 / 9", "0 / 0")] == ticks
    assert places["no images"] == ticks[3]
    assert get_points(axes, 1) == [[20 / 31, ticks[0]]]
    assert [x for x, _ in get_points(axes, 0)] == list(wilson_interval(20, 31) or ())
    check_texts(figure)


@pytest.mark.parametrize("num_rows", [1, 12])
def test_slices_of_any_number_fit_the_figure(num_rows: int) -> None:
    rows = pd.DataFrame(
        {
            "heading": [
                f"a heading that is very, very, very long {i // 5}" for i in range(num_rows)
            ],
            "slice": [f"a/long/path/of/a/group/of/images/{index}" for index in range(num_rows)],
            "right": 1_000_000,
            "images": 1_000_000,
            "low": 1.0,
            "high": 1.0,
        }
    )
    figure = plot_slices(rows)
    check_texts(figure)
    assert len(figure.axes[0].get_yticks()) == num_rows


def test_novelty_draws_every_image_and_the_threshold() -> None:
    known, negatives = np.array([0.0, 0.1, 0.1, 0.9]), np.array([0.8, 1.0])
    figure = plot_novelty(known, negatives, 0.5)
    upper, lower = figure.axes
    assert [sum(get_bars(axes)) for axes in figure.axes] == [4, 2]
    assert get_texts(upper) == ["known bodies, 4 images", "25.0% called unknown"]
    assert get_texts(lower) == ["something else, 2 images", "100% called unknown"]
    assert [get_points(axes, 0) for axes in figure.axes] == [[[0.5, 0], [0.5, 1]]] * 2
    assert upper.get_xlim() == lower.get_xlim()
    assert "0.5" in figure.texts[1].get_text()
    check_texts(figure)


def test_novelty_without_threshold_or_others_has_one_panel_without_line() -> None:
    for threshold in (None, float("inf")):
        figure = plot_novelty(np.array([0.2, 0.3]), np.array([]), threshold)
        (axes,) = figure.axes
        assert not axes.lines
        assert get_texts(axes) == ["known bodies, 2 images"]


def test_novelty_of_one_image_far_away_does_not_squeeze_the_rest() -> None:
    known = np.append(np.linspace(0, 1, 200), 1e6)
    (axes,) = plot_novelty(known, threshold=0.9).axes
    assert axes.get_xlim()[1] < 2
    assert sum(get_bars(axes)) == 201
    assert get_bars(axes)[-1] == 1


@pytest.mark.parametrize(
    ("known", "threshold"),
    [
        (np.array([0.2]), None),
        (np.zeros(3), 0.3),
        (np.full(5, -7e3), -1e5),
        (np.geomspace(1e-9, 1e9, 500), 0.3),
    ],
)
def test_novelty_of_any_scale_fits_the_figure(
    known: NDArray[np.float64], threshold: float | None
) -> None:
    figure = plot_novelty(known, known + 1, threshold)
    check_texts(figure)
    assert sum(get_bars(figure.axes[0])) == len(known)
    if threshold is not None:
        low, high = figure.axes[0].get_xlim()
        assert low < threshold < high


def test_faithfulness_draws_means_bands_and_areas() -> None:
    deletion = np.array([[1.0, 0.2, 0.0], [0.8, 0.4, 0.0]])
    insertion = np.array([[0.0, 0.7, 1.0], [0.0, 0.9, 1.0]])
    figure = plot_faithfulness(deletion, insertion)
    left, right = figure.axes
    assert get_points(left, 0) == [[0, 0.9], [0.5, pytest.approx(0.3)], [1, 0]]
    assert get_points(right, 0) == [[0, 0], [0.5, pytest.approx(0.8)], [1, 1]]
    assert get_texts(left) == ["deletion (low is good)", "0.375"]
    assert get_texts(right) == ["insertion (high is good)", "0.650"]
    # Student's t of one degree of freedom is 12.7 there: two images say next to nothing.
    band = left.collections[0].get_paths()[0].get_extents()
    assert (band.y0, band.y1) == (0, 1)
    check_texts(figure)


def test_faithfulness_band_is_the_interval_of_the_mean() -> None:
    rng = np.random.default_rng(0)
    values = rng.uniform(0.4, 0.6, (30, 2))
    figure = plot_faithfulness(values, values)
    vertices = np.asarray(figure.axes[0].collections[0].get_paths()[0].vertices)
    at_start = vertices[vertices[:, 0] == 0, 1]
    # 2.045 is Student's t of 29 degrees of freedom at 97.5%.
    reach = 2.045 * values[:, 0].std(ddof=1) / np.sqrt(30)
    assert at_start.max() == pytest.approx(values[:, 0].mean() + reach, rel=1e-4)
    assert at_start.min() == pytest.approx(values[:, 0].mean() - reach, rel=1e-4)


def test_faithfulness_of_one_image_has_no_band() -> None:
    one = np.linspace(0, 1, 11)[None]
    figure = plot_faithfulness(1 - one, one)
    assert not figure.axes[0].collections
    assert "interval" not in figure.texts[1].get_text()
    assert figure.texts[0].get_text().endswith("1 image")
    check_texts(figure)


ROC = pd.DataFrame({"class": ["a"], "false_positive_rate": [0.0], "true_positive_rate": [0.0]})
RISK = pd.DataFrame({"coverage": [0.5, 1.0], "risk": [0.0, 0.1]})


@pytest.mark.parametrize(
    ("plot", "arguments", "message"),
    [
        (plot_roc_curves, [ROC.drop(columns="class")], r"got none called class\. Pass the table"),
        (plot_roc_curves, [ROC.iloc[:0]], r"at least one curve, got an empty table\. Pass `cl"),
        (plot_roc_curves, [ROC.replace(0.0, 7.0)], r"`false_positive_rate` of `frame` .* \[7\.0\]"),
        (plot_precision_recall_curves, [ROC], r"got none called recall, precision\. Pass"),
        (plot_reliability, [RISK], r"`after` must have the columns low, .* none called low, high"),
        (plot_reliability, [make_bins(), RISK], r"`before` must have the columns"),
        (plot_reliability, [make_bins().assign(images=0)], r"bins with images, got none\. Pass"),
        (plot_reliability, [make_bins().assign(accuracy=9.0)], r"`accuracy` of `after` must lie"),
        (plot_risk_coverage, [{}], r"hold 1 to 8 tables, got 0\. More lines"),
        (plot_risk_coverage, [{"a": ROC}], r"`frames\['a'\]` must have the columns coverage, risk"),
        (plot_risk_coverage, [RISK.iloc[:1]], r"`coverage` of `frames` must rise to 1, got \[0\.5"),
        (plot_risk_coverage, [RISK.iloc[::-1]], r"must rise to 1, got \[1\.0, 0\.5\]"),
        (plot_slices, [RISK], r"none called heading, slice, right, images, low, high\. Pass one"),
        (plot_slices, [make_slices().iloc[:0]], r"at least one row, .* got 0 rows"),
        (plot_slices, [make_slices().assign(right=0.5)], r"got 4 rows with float64 and int64"),
        (plot_slices, [make_slices().assign(right=99)], r"`right` must lie from 0 to `images`, go"),
        (
            plot_slices,
            [make_slices().assign(low=0.9)],
            r"(?s)`low` and `high` must .* 0\.6.* row 0",
        ),
        (plot_novelty, [np.array([])], r"`known` must be finite numbers .* shape \(0,\)"),
        (plot_novelty, [np.zeros(2), np.array([np.nan])], r"`negatives` must be finite numbers"),
        (
            plot_novelty,
            [np.zeros(2), None, np.nan],
            r"`threshold` must be a number, got nan\. Pass",
        ),
        (plot_faithfulness, [np.zeros((2, 1)), np.ones(3)], r"(?s)2 settings.*deletion.*insertion"),
        (plot_faithfulness, [np.zeros((2, 3)), np.full((2, 3), 1.5)], r"`insertion` must be a fl"),
    ],
)
def test_plot_of_what_does_not_fit_says_what_it_got(
    plot: Any, arguments: list[Any], message: str
) -> None:
    with pytest.raises(SettingsError, match=message):
        plot(*arguments)
