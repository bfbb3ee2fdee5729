"""Parameter groups, optimizers and schedules of a stage."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from planetvision.core.settings import Stage
from planetvision.models.network import PlanetNet, create_network
from planetvision.training.stages import apply_stage, create_optimizer, create_scheduler

STAGE = Stage(
    name="fine-tune",
    epochs=4,
    learning_rate=0.5,
    backbone_rate=0.1,
    trainable_blocks=1,
    weight_decay=0.01,
    optimizer="sgd",
)


@pytest.fixture
def network() -> PlanetNet:
    return create_network("tiny", num_classes=3, weights="none", seed=0)


def test_groups_are_what_learns_with_its_rate_and_decay(network: PlanetNet) -> None:
    apply_stage(network, STAGE)
    groups = create_optimizer(network, STAGE).param_groups
    last = network.backbone.get_submodule("blocks.3")
    conv, norm = last[0], last[1]  # type: ignore[index]
    expected = [
        ([network.head.weight], 0.5, 0.01),
        ([network.head.bias], 0.5, 0.0),
        ([conv.weight], 0.05, 0.01),
        ([norm.weight, norm.bias], 0.05, 0.0),
    ]
    assert len(groups) == len(expected)
    for group, (weights, rate, decay) in zip(groups, expected, strict=True):
        assert [id(weight) for weight in group["params"]] == [id(weight) for weight in weights]
        assert group["lr"] == pytest.approx(rate)
        assert group["weight_decay"] == decay


def test_frozen_backbone_gives_the_head_alone(network: PlanetNet) -> None:
    stage = replace(STAGE, trainable_blocks=0)
    apply_stage(network, stage)
    groups = create_optimizer(network, stage).param_groups
    held = {id(weight) for group in groups for weight in group["params"]}
    assert held == {id(weight) for weight in network.head.parameters()}


@pytest.mark.parametrize(
    ("name", "kind"),
    [("adam", torch.optim.Adam), ("adamw", torch.optim.AdamW), ("sgd", torch.optim.SGD)],
)
def test_optimizer_is_the_one_named(network: PlanetNet, name: str, kind: type) -> None:
    optimizer = create_optimizer(network, replace(STAGE, optimizer=name))
    assert type(optimizer) is kind
    if name == "sgd":
        assert optimizer.defaults["momentum"] == 0.9


def test_scheduler_scales_the_rate_of_every_group(network: PlanetNet) -> None:
    stage = replace(STAGE, warmup_epochs=1)
    optimizer = create_optimizer(network, stage)
    scheduler = create_scheduler(optimizer, stage, name="linear", steps_per_epoch=2)
    rates = []
    for _ in range(8):
        rates.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        scheduler.step()
    # Two steps of warm-up to the peak at step 2, then six steps down to 0.
    shares = [1 / 3, 2 / 3, 1, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6]
    assert [row[0] for row in rates] == pytest.approx([0.5 * share for share in shares])
    assert [row[-1] for row in rates] == pytest.approx([0.05 * share for share in shares])
