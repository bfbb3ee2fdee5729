"""Mixing, targets and losses against what they are by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn import functional

from planetvision.core.settings import Recipe, Stage
from planetvision.training.objective import Objective

LOGITS = torch.tensor([[2.0, -1.0, 0.5], [0.1, 0.2, -0.3], [0.0, 3.0, 1.0], [1.0, 1.0, -2.0]])
TARGETS = torch.tensor([0, 2, 1, 1])
COUNTS = torch.tensor([4.0, 2.0])


def make(*, counts: torch.Tensor | None = COUNTS, stage: Any = None, **recipe: Any) -> Objective:
    chosen = Stage(name="s", epochs=1, learning_rate=1.0, trainable_blocks=None, **(stage or {}))
    return Objective(Recipe(name="r", stages=(chosen,), **recipe), chosen, counts)


def test_losses_are_the_cross_entropy_with_smoothing_of_torch() -> None:
    objective = make(label_smoothing=0.2)
    expected = functional.cross_entropy(LOGITS, TARGETS, label_smoothing=0.2, reduction="none")
    torch.testing.assert_close(objective.get_losses(LOGITS, TARGETS), expected)


def test_focal_loss_weighs_what_is_right_less() -> None:
    shares = LOGITS.softmax(dim=1)[torch.arange(4), TARGETS]
    expected = -((1 - shares) ** 3) * shares.log()
    losses = make(loss="focal", loss_options={"gamma": 3.0}).get_losses(LOGITS, TARGETS)
    torch.testing.assert_close(losses, expected)


def test_weights_are_those_of_the_classes_also_of_mixed_targets() -> None:
    objective = make(class_weights="balanced")
    assert objective.get_weights(torch.tensor([0, 1, 1])).tolist() == [0.75, 1.5, 1.5]
    mixed = torch.tensor([[0.5, 0.5], [1.0, 0.0]])
    assert objective.get_weights(mixed).tolist() == [1.125, 0.75]
    assert make(class_weights="none").get_weights(mixed).tolist() == [1.0, 1.0]


@pytest.mark.parametrize("name", ["mixup", "cutmix"])
def test_mixed_images_have_the_targets_of_their_parts(name: str) -> None:
    torch.manual_seed(3)
    objective = make(stage={name: 1.0})
    images = torch.stack([torch.full((3, 16, 16), value, dtype=torch.uint8) for value in (0, 255)])
    (mixed,), targets = objective.mix((images,), torch.tensor([0, 1]))
    assert mixed.shape == images.shape
    assert mixed.dtype == torch.float32
    # White is class 1: its share of the pixels is its share of the target.
    torch.testing.assert_close(mixed.mean(dim=(1, 2, 3)), targets[:, 1], atol=0.01, rtol=0)
    assert 0 < float(targets[0, 1]) < 1
    assert (len(set(mixed[0].flatten().tolist())) == 1) == (name == "mixup")
    losses = objective.get_losses(LOGITS[:2], targets)
    parts = [
        functional.cross_entropy(LOGITS[:2], torch.tensor([one, one]), reduction="none")
        for one in (0, 1)
    ]
    torch.testing.assert_close(losses, targets[:, 0] * parts[0] + targets[:, 1] * parts[1])


def test_both_kinds_of_mixing_take_turns_by_chance() -> None:
    torch.manual_seed(0)
    objective = make(stage={"mixup": 1.0, "cutmix": 1.0})
    images = torch.stack([torch.full((3, 16, 16), value, dtype=torch.uint8) for value in (0, 255)])
    kinds = {
        len(set(objective.mix((images,), torch.tensor([0, 1]))[0][0][0].flatten().tolist())) == 1
        for _ in range(20)
    }
    assert kinds == {True, False}


def test_nothing_is_mixed_unless_asked_for() -> None:
    inputs = (torch.zeros(2, 3, 4, 4), torch.ones(2, 5))
    mixed, targets = make().mix(inputs, TARGETS[:2])
    assert mixed is inputs
    assert torch.equal(targets, TARGETS[:2])


def test_images_of_no_class_are_taught_to_be_as_likely_of_one_as_of_another() -> None:
    targets = torch.tensor([0, -1, 1, -1])
    losses = make().get_losses(LOGITS, targets)
    expected = -LOGITS.log_softmax(dim=1).mean(dim=1)
    torch.testing.assert_close(losses[1::2], expected[1::2])
    known = functional.cross_entropy(LOGITS, targets.clamp(min=0), reduction="none")
    torch.testing.assert_close(losses[::2], known[::2])


def test_images_of_no_class_count_what_the_recipe_says() -> None:
    targets = torch.tensor([0, -1, 1])
    plain = make(class_weights="none", negatives_weight=0.25)
    assert plain.get_weights(targets).tolist() == [1.0, 0.25, 1.0]
    balanced = make(class_weights="balanced", negatives_weight=0.25)
    assert balanced.get_weights(targets).tolist() == [0.75, 0.25, 1.5]
