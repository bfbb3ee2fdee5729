"""Curves: values worked by hand, scikit-learn as reference, and what must hold of any answers."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn import metrics as reference

from planetvision.core.errors import SettingsError
from planetvision.core.files import write_table
from planetvision.evaluation import (
    compute_areas,
    compute_classwise_calibration_error,
    compute_precision_recall_curves,
    compute_reliability,
    compute_risk_area,
    compute_risk_coverage,
    compute_roc_curves,
    wilson_interval,
)
from planetvision.evaluation.metrics import compute_calibration_error

CLASSES = ["earth", "mars", "moon"]
# Earth is found at once; the second mars is third of four by its probability of mars.
TARGETS = np.array([0, 1, 1, 0])
PROBABILITIES = np.array([[0.7, 0.2, 0.1], [0.1, 0.9, 0.0], [0.4, 0.3, 0.3], [0.5, 0.4, 0.1]])


def draw_answers(
    data: st.DataObject, num_classes: int = 3
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    n = data.draw(st.integers(1, 30))
    rng = np.random.default_rng(data.draw(st.integers(0, 10_000)))
    probabilities = rng.dirichlet([0.5] * num_classes, size=n)
    if data.draw(st.booleans()):  # ties
        probabilities = probabilities.round(1)
    return rng.integers(0, num_classes, n), probabilities


def get_rows(frame: pd.DataFrame, name: str) -> list[list[float]]:
    rows: list[list[float]] = frame[frame["class"] == name].drop(columns="class").values.tolist()
    return rows


def test_roc_curves_have_the_corners_worked_by_hand() -> None:
    frame = compute_roc_curves(TARGETS, PROBABILITIES, classes=CLASSES)
    assert frame.columns.tolist() == [
        "class",
        "false_positive_rate",
        "true_positive_rate",
        "threshold",
    ]
    assert get_rows(frame, "mars") == [
        [0.0, 0.0, math.inf],
        [0.0, 0.5, 0.9],
        [0.5, 0.5, 0.4],
        [0.5, 1.0, 0.3],
        [1.0, 1.0, 0.2],
    ]


def test_precision_recall_curves_have_the_corners_worked_by_hand() -> None:
    frame = compute_precision_recall_curves(TARGETS, PROBABILITIES, classes=CLASSES)
    assert frame.columns.tolist() == ["class", "precision", "recall", "threshold"]
    assert get_rows(frame, "mars") == [
        [0.5, 1.0, 0.2],
        [pytest.approx(2 / 3), 1.0, 0.3],
        [0.5, 0.5, 0.4],
        [1.0, 0.5, 0.9],
        [1.0, 0.0, math.inf],
    ]


def test_areas_have_the_values_worked_by_hand_and_leave_out_the_class_that_never_occurs() -> None:
    areas = compute_areas(TARGETS, PROBABILITIES, classes=CLASSES)
    # Of the four pairs of a mars and another image, three are in order.
    assert areas["per_class"] == {
        "earth": {"roc_auc": 1.0, "average_precision": 1.0},
        "mars": {"roc_auc": 0.75, "average_precision": pytest.approx(0.5 * 1 + 0.5 * 2 / 3)},
        "moon": {"roc_auc": None, "average_precision": None},
    }
    assert areas["macro"] == {
        "roc_auc": pytest.approx((1 + 0.75) / 2),
        "average_precision": pytest.approx((1 + 5 / 6) / 2),
    }
    json.dumps(areas, allow_nan=False)


def test_class_without_images_or_without_others_has_no_curve() -> None:
    roc = compute_roc_curves(np.array([1, 1]), PROBABILITIES[:2], classes=CLASSES)
    assert len(roc) == 0
    assert roc["threshold"].dtype == float
    precise = compute_precision_recall_curves(np.array([1, 1]), PROBABILITIES[:2], classes=CLASSES)
    assert set(precise["class"]) == {"mars"}
    areas = compute_areas(np.array([1, 1]), PROBABILITIES[:2], classes=CLASSES)
    assert areas["macro"] == {"roc_auc": None, "average_precision": 1.0}


@settings(deadline=None, max_examples=15)
@given(st.data())
def test_curves_enclose_the_areas_of_scikit_learn(data: st.DataObject) -> None:
    targets, probabilities = draw_answers(data)
    roc = compute_roc_curves(targets, probabilities, classes=CLASSES)
    precise = compute_precision_recall_curves(targets, probabilities, classes=CLASSES)
    areas = compute_areas(targets, probabilities, classes=CLASSES)["per_class"]
    for index, name in enumerate(CLASSES):
        shown, scores = targets == index, probabilities[:, index]
        curve = roc[roc["class"] == name]
        if 0 < shown.sum() < len(shown):
            expected = reference.roc_auc_score(shown, scores)
            x, y = curve["false_positive_rate"], curve["true_positive_rate"]
            assert reference.auc(x, y) == pytest.approx(expected)
            assert areas[name]["roc_auc"] == pytest.approx(expected)
            for _, row in curve.iterrows():
                called = scores >= row["threshold"]
                assert row["true_positive_rate"] == pytest.approx(called[shown].mean())
                assert row["false_positive_rate"] == pytest.approx(called[~shown].mean())
        else:
            assert curve.empty
            assert areas[name]["roc_auc"] is None
        curve = precise[precise["class"] == name]
        if shown.any():
            expected = reference.average_precision_score(shown, scores)
            area = -np.diff(curve["recall"]) @ curve["precision"].to_numpy()[:-1]
            assert area == pytest.approx(expected)
            assert areas[name]["average_precision"] == pytest.approx(expected)
            assert curve["precision"].iloc[0] == pytest.approx(shown.mean()), "all are called so"
        else:
            assert curve.empty


def test_curves_are_the_same_after_a_csv(tmp_path: Path) -> None:
    for compute in (compute_roc_curves, compute_precision_recall_curves):
        frame = compute(TARGETS, PROBABILITIES, classes=CLASSES)
        write_table(tmp_path / "curves.csv", frame)
        copy = pd.read_csv(tmp_path / "curves.csv")
        pd.testing.assert_frame_equal(copy, frame, check_dtype=False)


def test_curves_name_integer_classes_and_names_that_are_no_text() -> None:
    two = PROBABILITIES[:, :2]
    assert set(compute_roc_curves(TARGETS, two, classes=[3, 5])["class"]) == {"3", "5"}
    strange = compute_roc_curves(TARGETS, two, classes=["mars\udcff", "moon"])
    assert strange["class"].iloc[0] == "mars\udcff"


def test_reliability_has_the_values_worked_by_hand() -> None:
    probabilities = np.array([[0.75, 0.25], [0.6, 0.4], [0.7, 0.3], [0.05, 0.95], [1.0, 0.0]])
    frame = compute_reliability(np.array([0, 1, 0, 1, 1]), probabilities, bins=4)
    assert frame["low"].tolist() == [0, 0.25, 0.5, 0.75]
    assert frame["high"].tolist() == [0.25, 0.5, 0.75, 1]
    assert frame["images"].tolist() == [0, 0, 3, 2], "0.75 belongs to the bin that it closes"
    assert frame["confidence"].tolist()[2:] == pytest.approx([(0.75 + 0.6 + 0.7) / 3, 0.975])
    assert frame["accuracy"].tolist()[2:] == pytest.approx([2 / 3, 0.5])
    ends = frame[["accuracy_low", "accuracy_high"]].to_numpy()
    assert ends[2] == pytest.approx(wilson_interval(2, 3))
    assert ends[3] == pytest.approx(wilson_interval(1, 2))
    assert frame.iloc[:2, 3:].isna().all(axis=None)


@settings(deadline=None, max_examples=15)
@given(st.data())
def test_reliability_weighs_up_to_the_calibration_error(data: st.DataObject) -> None:
    targets, probabilities = draw_answers(data)
    bins = data.draw(st.integers(1, 20))
    frame = compute_reliability(targets, probabilities, bins=bins)
    gaps = (frame["confidence"] - frame["accuracy"]).abs() * frame["images"]
    expected = compute_calibration_error(probabilities, targets, bins=bins)
    assert gaps.sum() / len(targets) == pytest.approx(expected)
    assert frame["images"].sum() == len(targets)
    full = frame[frame["images"] > 0]
    assert (full["confidence"] <= full["high"] + 1e-9).all()
    assert (full["accuracy_low"] <= full["accuracy"]).all()
    assert (full["accuracy"] <= full["accuracy_high"]).all()


def test_reliability_agrees_with_scikit_learn_on_the_bins_that_are_full() -> None:
    rng = np.random.default_rng(0)
    first = rng.uniform(0.5, 1, 300)  # no value lies on an edge, where the two close differently
    targets = (rng.random(300) > first).astype(int)
    frame = compute_reliability(targets, np.stack([first, 1 - first], axis=1), bins=10)
    share, mean = reference_curve(targets == 0, first, bins=10)
    full = frame[frame["images"] > 0]
    assert full["accuracy"].tolist() == pytest.approx(share.tolist())
    assert full["confidence"].tolist() == pytest.approx(mean.tolist())


def reference_curve(
    right: NDArray[np.bool_], confidences: NDArray[np.float64], *, bins: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    from sklearn.calibration import calibration_curve

    share, mean = calibration_curve(right, confidences, n_bins=bins)
    return share, mean


def test_classwise_calibration_error_has_the_value_worked_by_hand() -> None:
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.1, 0.9]])
    found = compute_classwise_calibration_error(
        np.array([0, 1, 1, 1]), probabilities, classes=["mars", "moon"], bins=2
    )
    # Mars: over 0.5 the mean is 0.85 and one of two shows it; below 0.2 and none.
    assert found["per_class"]["mars"] == pytest.approx((2 * 0.35 + 2 * 0.2) / 4)
    assert found["mean"] == pytest.approx(0.275)
    json.dumps(found, allow_nan=False)


@settings(deadline=None, max_examples=15)
@given(st.data())
def test_classwise_calibration_error_agrees_with_a_plain_loop(data: st.DataObject) -> None:
    targets, probabilities = draw_answers(data)
    found = compute_classwise_calibration_error(targets, probabilities, classes=CLASSES, bins=5)
    expected = []
    for index in range(3):
        error = 0.0
        for low in range(5):
            inside = np.ceil(probabilities[:, index] * 5).clip(1) == low + 1
            if inside.any():
                gap = (targets[inside] == index).mean() - probabilities[inside, index].mean()
                error += abs(gap) * inside.mean()
        expected.append(error)
    assert list(found["per_class"].values()) == pytest.approx(expected, abs=1e-9)
    assert found["mean"] == pytest.approx(np.mean(expected), abs=1e-9)


def test_classwise_calibration_error_of_sure_and_right_answers_is_0() -> None:
    targets = np.array([0, 2, 1])
    found = compute_classwise_calibration_error(targets, np.eye(3)[targets], classes=CLASSES)
    assert found["mean"] == 0


def test_risk_coverage_has_the_steps_worked_by_hand() -> None:
    right = np.array([True, False, True, True, False])
    uncertainty = np.array([0.1, 0.9, 0.5, 0.2, 0.5])
    frame = compute_risk_coverage(right, uncertainty)
    assert frame["coverage"].tolist() == pytest.approx([0.2, 0.4, 0.8, 1.0])
    assert frame["risk"].tolist() == pytest.approx([0, 0, 1 / 4, 2 / 5])
    assert frame["threshold"].tolist() == [0.1, 0.2, 0.5, 0.9]


def test_risk_area_has_the_value_worked_by_hand() -> None:
    right = np.array([True, False, True, True])
    area = compute_risk_area(right, np.array([1.0, 2.0, 3.0, 4.0]))
    assert area["aurc"] == pytest.approx((0 + 1 / 2 + 1 / 3 + 1 / 4) / 4)
    assert area["excess"] == pytest.approx((1 / 2 + 1 / 3) / 4), "the best has its 1/4 at the end"
    best = compute_risk_area(right, np.array([1.0, 9.0, 3.0, 4.0]))
    assert best == {"aurc": pytest.approx(1 / 16), "excess": 0}
    tied = compute_risk_area(right, np.zeros(4))
    assert tied["aurc"] == 0.25, "one step: all or nothing"


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.tuples(st.booleans(), st.integers(-3, 3)), min_size=1, max_size=20),
    st.floats(0.1, 10),
)
def test_risk_coverage_holds_what_it_must(rows: list[tuple[bool, int]], scale: float) -> None:
    right = np.array([row[0] for row in rows])
    uncertainty = np.array([row[1] for row in rows], dtype=float)
    frame = compute_risk_coverage(right, uncertainty)
    for _, row in frame.iterrows():
        answered = uncertainty <= row["threshold"]
        assert row["coverage"] == pytest.approx(answered.mean())
        assert row["risk"] == pytest.approx((~right[answered]).mean())
    assert frame["coverage"].is_monotonic_increasing
    assert frame["coverage"].iloc[-1] == 1
    area = compute_risk_area(right, uncertainty)
    assert 0 <= area["excess"] <= area["aurc"] <= 1
    # Only the order counts.
    assert compute_risk_area(right, uncertainty * scale + 7) == pytest.approx(area)


def test_risk_coverage_takes_an_uncertainty_without_end() -> None:
    frame = compute_risk_coverage(np.array([True, False]), np.array([1.0, np.inf]))
    copy = pd.read_csv(io.StringIO(frame.to_csv(index=False)))
    assert copy["threshold"].tolist() == [1, math.inf]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"probabilities": np.zeros(3)}, r"shape \(N, C\), got \(3,\)\. Pass one row"),
        ({"probabilities": np.zeros((0, 3))}, r"shape \(N, C\), got \(0, 3\)"),
        ({"targets": np.array([0, 1])}, r"of shape \(4,\), got one of shape \(2,\)"),
        ({"targets": np.zeros(4)}, r"must be an integer array .* type float64\. Pass the index"),
        ({"targets": np.array([0, 1, 3, 0])}, r"from 0 to 2, got 0 to 3\. Leave out"),
        ({"probabilities": PROBABILITIES * 9}, r"in \[0, 1\], got 0 to 8\.1\. .* not logits"),
        ({"probabilities": np.full((4, 3), np.nan)}, r"got nan to nan\. Leave out"),
        ({"classes": ["mars"]}, r"name the 3 columns of `probabilities`, got 1 names\. Pass"),
        ({"bins": 0}, r"`bins` must be at least 1, got 0\. Pass 15"),
        ({"bins": 0, "classes": []}, r"2 settings are wrong"),
    ],
)
def test_answers_that_do_not_fit_say_what_is_wrong(changed: dict[str, Any], message: str) -> None:
    given = {"targets": TARGETS, "probabilities": PROBABILITIES, "classes": CLASSES, "bins": 15}
    with pytest.raises(SettingsError, match=message):
        compute_classwise_calibration_error(**{**given, **changed})


@pytest.mark.parametrize(
    ("right", "uncertainty", "message"),
    [
        (np.array([1, 0]), np.array([0.1, 0.2]), r"`right` must be a bool array .* int64\. Pass"),
        (np.array([], dtype=bool), np.array([]), r"got one of shape \(0,\)"),
        (np.array([True]), np.array([0.1, 0.2]), r"must be 1 numbers, .* got shape \(2,\)\. Leave"),
        (np.array([True]), np.array([np.nan]), r"got NaN\. Leave out"),
    ],
)
def test_ranking_that_does_not_fit_says_what_is_wrong(
    right: NDArray[np.bool_], uncertainty: NDArray[np.float64], message: str
) -> None:
    with pytest.raises(SettingsError, match=message):
        compute_risk_coverage(right, uncertainty)
