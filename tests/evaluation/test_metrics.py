"""Metrics: values worked by hand, and scikit-learn as reference."""

from __future__ import annotations

import json
import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as reference

from planetvision.core.errors import DataError
from planetvision.evaluation import compute_metrics, wilson_interval
from planetvision.evaluation.bootstrap import bootstrap_intervals
from planetvision.evaluation.metrics import compute_calibration_error, compute_rejection

CLASSES = ["earth", "mars", "moon"]
RATES = ("precision", "recall", "f1")


def answer(labels: list[str], confidence: float = 0.8) -> npt.NDArray[np.float64]:
    """Probabilities that answer these labels, the rest spread evenly."""
    rest = (1 - confidence) / (len(CLASSES) - 1)
    rows = [[confidence if name == label else rest for name in CLASSES] for label in labels]
    return np.array(rows)


def test_metrics_have_the_values_worked_by_hand() -> None:
    true = ["earth", "earth", "earth", "mars", "mars", "moon"]
    answers = ["earth", "earth", "mars", "mars", "mars", "earth"]
    metrics = compute_metrics(true, answer(answers), classes=CLASSES)
    assert metrics["n"] == 6
    assert metrics["accuracy"] == pytest.approx(4 / 6)
    assert metrics["confusion_matrix"] == [[2, 1, 0], [0, 2, 0], [1, 0, 0]]
    assert metrics["classes"] == CLASSES
    earth, mars, moon = (metrics["per_class"][name] for name in CLASSES)
    assert (earth["precision"], earth["recall"]) == pytest.approx((2 / 3, 2 / 3))
    assert (mars["precision"], mars["recall"], mars["f1"]) == pytest.approx((2 / 3, 1, 0.8))
    assert (earth["support"], mars["support"], moon["support"]) == (3, 2, 1)
    assert moon["precision"] is None, "it was never answered"
    assert (moon["recall"], moon["f1"]) == (0, 0)
    assert metrics["macro_f1"] == pytest.approx((2 / 3 + 0.8 + 0) / 3)
    assert metrics["balanced_accuracy"] == pytest.approx((2 / 3 + 1 + 0) / 3)
    assert metrics["averages"]["macro"]["precision"] == pytest.approx((2 / 3 + 2 / 3 + 0) / 3)
    assert metrics["averages"]["weighted"]["f1"] == pytest.approx((3 * 2 / 3 + 2 * 0.8) / 6)
    assert metrics["averages"]["weighted"]["support"] == 6
    # Four answers had 0.8 for the truth and two had 0.1.
    expected = -(4 * math.log(0.8) + 2 * math.log(0.1)) / 6
    assert metrics["cross_entropy"] == pytest.approx(expected)


@settings(deadline=None, max_examples=40)
@given(st.data())
def test_metrics_agree_with_scikit_learn(data: st.DataObject) -> None:
    n = data.draw(st.integers(1, 40))
    true = data.draw(st.lists(st.sampled_from(CLASSES), min_size=n, max_size=n))
    seed = data.draw(st.integers(0, 10_000))
    probabilities = np.random.default_rng(seed).dirichlet([0.5] * 3, size=n)
    answers = [CLASSES[index] for index in probabilities.argmax(axis=1)]
    metrics = compute_metrics(true, probabilities, classes=CLASSES)
    occurring = sorted(set(true))
    assert metrics["accuracy"] == pytest.approx(reference.accuracy_score(true, answers))
    expected_f1 = reference.f1_score(
        true, answers, labels=occurring, average="macro", zero_division=0
    )
    assert metrics["macro_f1"] == pytest.approx(expected_f1)
    expected_recall = reference.recall_score(
        true, answers, labels=occurring, average="macro", zero_division=0
    )
    assert metrics["balanced_accuracy"] == pytest.approx(expected_recall)
    expected_loss = reference.log_loss(true, probabilities, labels=CLASSES)
    assert metrics["cross_entropy"] == pytest.approx(expected_loss, rel=1e-6, abs=1e-9)
    expected_matrix = reference.confusion_matrix(true, answers, labels=CLASSES)
    assert metrics["confusion_matrix"] == expected_matrix.tolist()
    report = reference.classification_report(
        true, answers, labels=CLASSES, output_dict=True, zero_division=0
    )
    for name in CLASSES:
        ours = metrics["per_class"][name]
        for ours_key, theirs in (("precision", "precision"), ("recall", "recall")):
            assert (ours[ours_key] or 0.0) == pytest.approx(report[name][theirs])
        assert ours["support"] == report[name]["support"]


def test_class_without_images_has_none_and_is_left_out_of_the_means() -> None:
    metrics = compute_metrics(["earth", "mars"], answer(["earth", "mars"]), classes=CLASSES)
    moon = metrics["per_class"]["moon"]
    assert moon.pop("support") == 0
    assert set(moon) == {f"{name}{end}" for name in RATES for end in ("", "_ci95")}
    assert set(moon.values()) == {None}
    assert metrics["missing_classes"] == ["moon"]
    assert (metrics["macro_f1"], metrics["balanced_accuracy"]) == (1.0, 1.0)
    assert metrics["confusion_matrix"][2] == [0, 0, 0]


def test_class_without_images_that_was_answered_has_precision_0() -> None:
    metrics = compute_metrics(["earth", "mars"], answer(["moon", "mars"]), classes=CLASSES)
    assert metrics["per_class"]["moon"]["precision"] == 0
    assert metrics["per_class"]["moon"]["recall"] is None
    assert metrics["macro_f1"] == pytest.approx(0.5)


def test_intervals_are_wilsons_for_shares_and_the_bootstraps_for_the_rest() -> None:
    true = ["earth"] * 20 + ["mars"] * 20 + ["moon"] * 20
    answers = ["earth"] * 15 + ["mars"] * 25 + ["moon"] * 20
    metrics = compute_metrics(true, answer(answers), classes=CLASSES)
    assert metrics["per_class"]["mars"]["precision_ci95"] == wilson_interval(20, 25)
    assert metrics["top2_accuracy_ci95"] == wilson_interval(60, 60)
    # Stratified or not, the mean recall of 3 x 20 images with 55 right has about this error.
    low, high = metrics["balanced_accuracy_ci95"]
    spread = math.sqrt(0.75 * 0.25 / 20) / 3
    assert low == pytest.approx(55 / 60 - 1.96 * spread, abs=0.015)
    assert high == pytest.approx(55 / 60 + 1.96 * spread, abs=0.015)
    low, high = metrics["per_class"]["mars"]["f1_ci95"]
    assert low < 40 / 45 < high
    assert metrics["per_class"]["moon"]["f1_ci95"] is None, "it was right in every sample"
    assert metrics["bootstrap"] == {"num_samples": 1000, "num_groups": 60}


def test_bootstrap_draws_whole_groups() -> None:
    true = ["earth"] * 20 + ["mars"] * 20
    answers = ["earth"] * 20 + ["mars"] * 10 + ["earth"] * 10
    probabilities = answer(answers)
    apart = compute_metrics(true, probabilities, classes=CLASSES)["macro_f1_ci95"]
    groups = [index // 10 for index in range(40)]
    together = compute_metrics(true, probabilities, classes=CLASSES, groups=groups)
    assert np.ptp(together["macro_f1_ci95"]) > 2 * np.ptp(apart)
    assert together["bootstrap"]["num_groups"] == 4
    one = compute_metrics(true, probabilities, classes=CLASSES, groups=["a"] * 40)
    assert one["macro_f1_ci95"] is None, "of one group nothing is known about others"


def test_interval_of_a_mean_is_that_of_scipy() -> None:
    values = np.random.default_rng(3).normal(size=200)
    [found] = bootstrap_intervals(
        lambda weights: weights @ values[:, None] / weights.sum(axis=1, keepdims=True),
        np.arange(200),
    )
    expected = stats.bootstrap(
        (values,), np.mean, method="percentile", rng=np.random.default_rng(0)
    ).confidence_interval
    assert found == pytest.approx((expected.low, expected.high), abs=0.02)


def test_interval_of_the_auroc_covers_it_and_ties_count_half() -> None:
    generator = np.random.default_rng(0)
    known, negatives = generator.integers(0, 6, 60) / 1.0, generator.integers(2, 8, 60) / 1.0
    found = compute_rejection(np.ones(60, bool), known, negatives, threshold=9.0)
    low, high = found["auroc_ci95"]
    assert low < found["auroc"] < high
    # Hanley & McNeil (1982), equation 1, for 60 against 60.
    area = found["auroc"]
    q1, q2 = area / (2 - area), 2 * area**2 / (1 + area)
    error = math.sqrt((area * (1 - area) + 59 * (q1 - area**2) + 59 * (q2 - area**2)) / 3600)
    assert high - low == pytest.approx(2 * 1.96 * error, rel=0.25)


def test_metrics_are_what_json_can_hold() -> None:
    metrics = compute_metrics(["earth", "mars"], answer(["earth", "mars"]), classes=CLASSES)
    copy = json.loads(json.dumps(metrics, allow_nan=False))
    assert copy["accuracy"] == 1.0
    assert copy["accuracy_ci95"] == list(metrics["accuracy_ci95"])


def test_probability_of_0_for_the_truth_gives_a_finite_loss() -> None:
    metrics = compute_metrics(["mars"], np.array([[1.0, 0.0, 0.0]]), classes=CLASSES)
    assert metrics["cross_entropy"] == pytest.approx(708.4, abs=0.1)  # -log of the least double


def test_integer_labels_keep_their_type_in_the_list_of_classes() -> None:
    metrics = compute_metrics([3, 5, 5], np.array([[0.9, 0.1]] * 3), classes=[3, 5])
    assert metrics["classes"] == [3, 5]
    assert set(metrics["per_class"]) == {"3", "5"}
    assert metrics["accuracy"] == pytest.approx(1 / 3)


def test_unknown_labels_are_all_named() -> None:
    with pytest.raises(
        DataError, match=r"model does not know: io, pluto\. It knows earth, mars, moon\."
    ) as caught:
        compute_metrics(["pluto", "io", "mars"], answer(["mars"] * 3), classes=CLASSES)
    assert caught.value.problems == ("io", "pluto")


def test_no_images_raise() -> None:
    with pytest.raises(DataError, match="There is nothing to evaluate: no image could be read"):
        compute_metrics([], np.empty((0, 3)), classes=CLASSES)


@pytest.mark.parametrize(
    ("successes", "trials", "expected"),
    [
        # Newcombe 1998, Two-sided confidence intervals for the single proportion, doi:
        # 10.1002/(SICI)1097-0258(19980430)17:8<857::AID-SIM777>3.0.CO;2-E, table I, method 3.
        (81, 263, (0.2553, 0.3662)),
        (15, 148, (0.0624, 0.1605)),
        (0, 20, (0.0, 0.1611)),
        (1, 29, (0.0061, 0.1718)),
        (29, 29, (0.8830, 1.0)),
    ],
)
def test_wilson_interval_has_the_published_values(
    successes: int, trials: int, expected: tuple[float, float]
) -> None:
    assert wilson_interval(successes, trials) == pytest.approx(expected, abs=5e-5)


@given(st.integers(1, 500), st.data())
def test_wilson_interval_holds_the_share_and_is_symmetric(trials: int, data: st.DataObject) -> None:
    successes = data.draw(st.integers(0, trials))
    interval = wilson_interval(successes, trials)
    mirrored = wilson_interval(trials - successes, trials)
    assert interval is not None
    assert mirrored is not None
    low, high = interval
    assert 0 <= low <= successes / trials <= high <= 1
    assert mirrored == pytest.approx((1 - high, 1 - low), abs=1e-12)


def test_wilson_interval_of_a_higher_confidence_is_wider() -> None:
    narrow, wide = wilson_interval(8, 10, confidence=0.5), wilson_interval(8, 10, confidence=0.99)
    assert narrow is not None
    assert wide is not None
    assert wide[0] < narrow[0] < 0.8 < narrow[1] < wide[1]


def test_wilson_interval_without_trials_is_none() -> None:
    assert wilson_interval(0, 0) is None


def test_calibration_error_has_the_value_worked_by_hand() -> None:
    # Two bins of ten: confidence 0.85 and right in 3 of 4; 0.55 and right in 0 of 1.
    probabilities = np.array([[0.85, 0.15]] * 4 + [[0.45, 0.55]])
    targets = np.array([0, 0, 0, 1, 0])
    expected = 4 / 5 * (0.85 - 0.75) + 1 / 5 * 0.55
    assert compute_calibration_error(probabilities, targets, bins=10) == pytest.approx(expected)
    assert compute_calibration_error(np.eye(2), np.array([0, 1])) == 0
    assert compute_calibration_error(np.eye(2), np.array([1, 0])) == 1


def test_top2_counts_the_first_two() -> None:
    probabilities = np.array([[0.5, 0.3, 0.2], [0.5, 0.3, 0.2], [0.5, 0.3, 0.2]])
    metrics = compute_metrics(["earth", "mars", "moon"], probabilities, classes=CLASSES)
    assert (metrics["accuracy"], metrics["top2_accuracy"]) == pytest.approx((1 / 3, 2 / 3))


def test_rejection_has_the_values_worked_by_hand() -> None:
    right = np.array([True, True, False, True])
    novelty = np.array([0.1, 0.5, 0.9, 1.5])
    found = compute_rejection(right, novelty, np.array([0.8, 2.0, 3.0]), threshold=1.0)
    assert (found["num_known"], found["coverage"]) == (4, 0.75)
    assert found["accuracy_of_answered"] == pytest.approx(2 / 3)
    assert found["coverage_ci95"] == wilson_interval(3, 4)
    assert (found["num_negatives"], found["negatives_answered"]) == (3, pytest.approx(1 / 3))
    # Of the twelve pairs the others are farther in ten: 0.8 is nearer than 0.9 and 1.5.
    assert found["auroc"] == pytest.approx(10 / 12)
    json.dumps(found, allow_nan=False)


def test_rejection_without_a_threshold_or_others_answers_all() -> None:
    found = compute_rejection(np.array([True]), np.array([9.0]), None, threshold=math.inf)
    assert (found["threshold"], found["coverage"]) == (None, 1)
    assert "auroc" not in found
    nothing = compute_rejection(np.array([True]), np.array([9.0]), np.array([1.0]), threshold=0.5)
    assert (nothing["coverage"], nothing["accuracy_of_answered"]) == (0, None)
