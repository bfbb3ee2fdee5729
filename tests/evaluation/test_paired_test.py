"""The paired test of two models."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planetvision.core.errors import DataError, DataWarning
from planetvision.evaluation.paired_test import compare_predictions, compute_paired_interval
from planetvision.results import Comparison, Predictions

CLASSES = ("earth", "mars", "moon")
NAMES = ("old", "new")


def answer(*labels: str | None, classes: tuple[str, ...] = CLASSES) -> Predictions:
    """An answer of None is an image that could not be read."""
    share = 0.2 / (len(classes) - 1)
    return Predictions(
        paths=tuple(f"{row}.png" for row in range(len(labels))),
        sources=tuple(f"{row}.png" for row in range(len(labels))),
        classes=classes,
        probabilities=np.array(
            [
                [float("nan") if label is None else 0.8 if name == label else share]
                for label in labels
                for name in classes
            ]
        ).reshape(len(labels), len(classes)),
        errors=tuple("" if label else "Cannot read it." for label in labels),
    )


def compare_counts(both: int, only_first: int, only_second: int, neither: int) -> Comparison:
    first = ["earth"] * (both + only_first) + ["mars"] * (only_second + neither)
    second = ["earth"] * both + ["mars"] * only_first + ["earth"] * only_second + ["moon"] * neither
    return compare_predictions(answer(*first), answer(*second), ["earth"] * len(first), names=NAMES)


def test_test_is_the_exact_one_of_mcnemar() -> None:
    comparison = compare_counts(100, 9, 2, 7)
    assert (comparison.both_right, comparison.both_wrong, comparison.n) == (100, 7, 118)
    # Both tails of 11 throws of a coin: at most 2 heads, at least 9.
    expected = 2 * (comb(11, 0) + comb(11, 1) + comb(11, 2)) / 2**11
    assert comparison.p_value == pytest.approx(expected)
    assert comparison.accuracies == (109 / 118, 102 / 118)
    assert comparison.difference == pytest.approx(7 / 118)
    assert str(comparison) == (
        "old is right on 9 images that new gets wrong, and new on 2 that old gets wrong (of 118). "
        "Were they equally good, so uneven a count would come up in 6.5% of such tests: these "
        "images do not tell which is better."
    )


def test_clear_advantage_names_the_better_model_whichever_comes_first() -> None:
    comparison = compare_counts(100, 1, 14, 0)
    assert comparison.better == "new"
    assert str(comparison).endswith(
        "old is right on 1 image that new gets wrong, and new on 14 that old gets wrong (of 115). "
        "Were they equally good, so uneven a count would come up in 0.1% of such tests: new is "
        "better on images like these."
    )
    assert compare_counts(100, 14, 1, 0).better == "old"


@pytest.mark.parametrize(
    ("counts", "sentence"),
    [
        (
            (3, 0, 0, 0),
            "old and new are right on the same 3 of 3 images: these images do not tell which is "
            "better.",
        ),
        (
            (0, 0, 0, 3),
            "old and new are right on no image: these images do not tell which is better.",
        ),
        (
            (5, 2, 2, 1),
            "old is right on 2 images that new gets wrong, and new on 2 that old gets wrong (of "
            "10), which is even: these images do not tell which is better.",
        ),
        (
            (0, 3, 0, 0),
            "old is right on 3 images that new gets wrong, and new on 0 that old gets wrong (of "
            "3). Were they equally good, so uneven a count would come up in 25.0% of such tests: "
            "these images do not tell which is better.",
        ),
    ],
)
def test_few_or_even_images_tell_nothing(counts: tuple[int, int, int, int], sentence: str) -> None:
    comparison = compare_counts(*counts)
    assert str(comparison) == sentence
    assert comparison.better is None
    low, high = comparison.difference_ci95
    assert low <= comparison.difference <= high
    assert high - low > 0.4


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        # Newcombe 1998, method 10.
        ((36, 12, 2, 0), (0.0569, 0.3404)),
        # Fagerland, Lydersen & Laake 2014, doi:10.1002/sim.6148, airway hyper-responsiveness.
        ((1, 1, 7, 12), (-0.507, -0.026)),
    ],
)
def test_interval_is_that_of_published_examples(
    counts: tuple[int, int, int, int], expected: tuple[float, float]
) -> None:
    assert compute_paired_interval(*counts) == pytest.approx(expected, abs=5e-4)


def test_interval_of_two_perfect_models_is_as_wide_as_that_of_one() -> None:
    # Each is Wilson's 0.965 to 1: what the one may be below the other is that distance.
    low, high = compute_paired_interval(105, 0, 0, 0)
    assert (low, high) == pytest.approx((-0.0353, 0.0353), abs=1e-4)


@given(st.lists(st.integers(0, 60), min_size=4, max_size=4).filter(any))
def test_interval_holds_the_difference_and_turns_with_the_models(counts: list[int]) -> None:
    both, first, second, neither = counts
    low, high = compute_paired_interval(both, first, second, neither)
    difference = (first - second) / sum(counts)
    assert -1 <= low <= difference + 1e-12
    assert difference - 1e-12 <= high <= 1
    assert low < high
    turned = compute_paired_interval(both, second, first, neither)
    assert turned == pytest.approx((-high, -low))


def test_interval_of_no_images_is_an_error() -> None:
    with pytest.raises(DataError, match="needs at least 1 image, got none"):
        compute_paired_interval(0, 0, 0, 0)


def test_image_that_one_model_could_not_read_counts_for_neither() -> None:
    first = answer("earth", None, "moon")
    second = answer("earth", "mars", "mars")
    comparison = compare_predictions(first, second, ["earth", "mars", "moon"], names=NAMES)
    assert (comparison.n, comparison.both_right, comparison.only_first) == (2, 1, 1)
    assert [row.path for row in comparison.failed] == ["1.png"]
    assert "1 image could not be read" in comparison.remarks
    frame = comparison.to_frame()
    assert frame["right_a"].tolist() == [True, None, True]
    assert frame["right_b"].tolist() == [True, None, False]
    assert frame["label_b"].tolist() == ["earth", "mars", "mars"]
    assert frame["error"].tolist() == ["", "Cannot read it.", ""]


def test_images_that_none_could_read_are_an_error() -> None:
    with pytest.raises(DataError, match=r"no image could be read by both models\.[^/]*Cannot"):
        compare_predictions(answer("earth", None), answer(None, "mars"), CLASSES[:2], names=NAMES)


def test_class_that_one_model_does_not_know_is_left_out_with_a_warning() -> None:
    first = answer("earth", "mars", "moon", "moon")
    second = answer("earth", "venus", "earth", "venus", classes=("earth", "mars", "venus"))
    labels = ["earth", "mars", "moon", "mars"]
    with pytest.warns(DataWarning, match=r"images are left out: moon \(1\)\. old knows earth, "):
        comparison = compare_predictions(first, second, labels, names=NAMES)
    # On mars, which both know, the answer venus of the one is wrong like any other.
    assert (comparison.both_right, comparison.only_first, comparison.both_wrong) == (1, 1, 1)
    assert comparison.left_out == {"moon": 1}
    assert comparison.to_frame()["path"].tolist() == ["0.png", "1.png", "3.png"]
    assert comparison.remarks[-2:] == [
        "left out, since not both models know the class: moon (1)",
        "old also knows moon; new also knows venus: an answer of such a class is wrong here",
    ]


def test_models_without_a_class_in_common_are_an_error() -> None:
    with pytest.raises(DataError, match=r"known to both models: earth \(1\)\. Of the models, old"):
        compare_predictions(
            answer("earth"), answer("a", classes=("a", "b")), ["earth"], names=NAMES
        )


def test_answers_for_other_images_are_an_error() -> None:
    with pytest.raises(DataError, match="for 2 images and for 1, and 2 labels"):
        compare_predictions(answer("earth", "mars"), answer("earth"), CLASSES[:2], names=NAMES)
    moved = answer("earth", "mars")
    other = Predictions(**{**vars(moved), "paths": ("1.png", "0.png")})
    with pytest.raises(DataError, match=r"What differs:\n  - '0\.png' and '1\.png'"):
        compare_predictions(moved, other, CLASSES[:2], names=NAMES)
