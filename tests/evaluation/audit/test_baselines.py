"""Trivial baselines: on images whose answer is known by hand."""

from __future__ import annotations

import numpy as np
import pytest

from planetvision.data.catalog import Catalog, SplitName
from planetvision.data.survey import Survey, SurveyedImage
from planetvision.evaluation.audit.baselines import MAJORITY, score_features, score_pixels
from planetvision.results import Baseline

SPLITS: tuple[SplitName, ...] = ("train", "train", "train", "test", "test", "test", "test")
LABELS = ("mars", "mars", "earth", "mars", "mars", "earth", "earth")


def create(levels: list[int], patterns: list[int] | None = None) -> tuple[Catalog, Survey]:
    """Images of one gray level each, with a bright pixel where the pattern says."""
    images = []
    for level, place in zip(levels, patterns or [0] * len(levels), strict=True):
        thumbnail = np.full((32, 32, 3), 10, np.uint8)
        thumbnail[place] = 200
        images.append(SurveyedImage(mean_color=np.full(3, level, np.float32), thumbnail=thumbnail))
    catalog = Catalog(sources=tuple("abcdefg"), labels=LABELS, splits=SPLITS)
    return catalog, Survey(tuple(images))


def by_name(baselines: tuple[Baseline, ...]) -> dict[str, float]:
    return {baseline.name: baseline.accuracy for baseline in baselines}


def test_majority_answers_the_largest_class_of_the_training_part() -> None:
    scores = by_name(score_pixels(*create([0] * 7), scored="test"))
    assert scores[MAJORITY] == 0.5


def test_nearest_mean_colour_is_right_where_colours_tell() -> None:
    catalog, survey = create([10, 12, 90, 14, 80, 95, 20])
    scores = by_name(score_pixels(catalog, survey, scored="test"))
    # 14 is near mars, 80 is near earth and shows mars, 95 is near earth, 20 is near mars.
    assert scores["nearest neighbour on the mean colour"] == 0.5
    assert scores["nearest neighbour on 32 x 32 pixels"] in (0.0, 0.5, 1.0)


def test_nearest_pixels_see_what_the_mean_colour_does_not() -> None:
    catalog, survey = create([50] * 7, [3, 3, 20, 3, 3, 20, 20])
    scores = by_name(score_pixels(catalog, survey, scored="test"))
    assert scores["nearest neighbour on 32 x 32 pixels"] == 1.0


def test_baseline_carries_number_and_wilson_interval() -> None:
    catalog, survey = create([50] * 7, [3, 3, 20, 3, 3, 20, 20])
    best = score_pixels(catalog, survey, scored="test")[-1]
    assert best.n == 4
    # 4 of 4: 1 / (1 + z^2 / 4) with z = 1.96.
    assert best.accuracy_ci95 == pytest.approx((0.5101, 1.0), abs=1e-3)
    assert str(best) == (
        "nearest neighbour on 32 x 32 pixels: 100% (4 of 4; 95 % interval 51.0% to 100%)"
    )


def test_linear_baseline_separates_what_a_line_separates() -> None:
    catalog, _ = create([0] * 7)
    features = np.array([[0, 1], [0, 2], [5, 0], [0, 3], [1, 2], [4, 0], [6, 1]], np.float32)
    baseline = score_features(catalog, features, name="linear", scored="test")
    assert (baseline.name, baseline.accuracy, baseline.n) == ("linear", 1.0, 4)
    crossed = features[[0, 1, 2, 5, 6, 3, 4]]
    assert score_features(catalog, crossed, name="linear", scored="test").accuracy == 0.0
