"""What the network adds to trivial answers, in one line."""

from __future__ import annotations

from dataclasses import replace

import pytest

from planetvision.core.settings import Recipe
from planetvision.evaluation.audit.added_value import compare_with_network, score_frozen_stage
from planetvision.results import Baseline, EpochRecord, TrainingHistory
from planetvision.training import RECIPES


def baseline(accuracy: float, name: str = "nearest neighbour on the mean colour") -> Baseline:
    return Baseline(name=name, accuracy=accuracy, n=105, accuracy_ci95=(0.0, 1.0))


def record(stage: str, epoch: int, val_accuracy: float | None) -> EpochRecord:
    return EpochRecord(
        stage=stage,
        epoch=epoch,
        train_loss=0.1,
        train_accuracy=1.0,
        val_loss=0.1,
        val_accuracy=val_accuracy,
        learning_rate=1e-3,
        seconds=1.0,
    )


def balanced() -> Recipe:
    recipe: Recipe = RECIPES.get("balanced").build()
    return recipe


def test_baseline_far_below_the_network_says_nothing() -> None:
    assert compare_with_network([baseline(0.77)], 0.98, scored="test") is None
    assert compare_with_network([], 0.98, scored="test") is None


@pytest.mark.parametrize("accuracy", [0.971, 0.98, 0.99])
def test_baseline_within_a_point_is_named_in_one_line(accuracy: float) -> None:
    line = compare_with_network([baseline(accuracy), baseline(0.5)], 0.98, scored="validation")
    assert line is not None
    assert "\n" not in line
    assert "On the 105 images of the validation part the network is right on 98.0%" in line
    assert f"nearest neighbour on the mean colour {accuracy:.1%}" in line
    assert "50.0%" not in line


def test_frozen_stage_is_scored_by_its_best_epoch() -> None:
    history = TrainingHistory(
        [record("head", 1, 0.9), record("head", 2, 0.96), record("fine-tune", 3, 0.99)]
    )
    found = score_frozen_stage(history, balanced(), num_val=100)
    assert found is not None
    assert found.name == "linear head on frozen features"
    assert (found.accuracy, found.n) == (0.96, 100)


def test_recipe_that_is_all_frozen_or_never_has_no_such_baseline() -> None:
    history = TrainingHistory([record("head", 1, 0.9), record("all", 2, 0.9)])
    assert score_frozen_stage(history, RECIPES.get("probe").build(), num_val=100) is None
    assert score_frozen_stage(history, RECIPES.get("scratch").build(), num_val=100) is None
    unfrozen = replace(balanced(), stages=balanced().stages[::-1])
    assert score_frozen_stage(history, unfrozen, num_val=100) is None


def test_history_without_validation_has_no_such_baseline() -> None:
    history = TrainingHistory([record("head", 1, None)])
    assert score_frozen_stage(history, balanced(), num_val=100) is None
