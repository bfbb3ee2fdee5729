"""What a stage means for a network: what learns, in which parameter groups, by which optimizer."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from planetvision.config import Stage
from planetvision.network import PlanetNet
from planetvision.schedules import SCHEDULES

__all__ = ["apply_stage", "create_optimizer", "create_scheduler"]

_OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "sgd": lambda groups, **options: torch.optim.SGD(
        groups, momentum=0.9, nesterov=True, **options
    ),
}


def apply_stage(network: PlanetNet, stage: Stage) -> None:
    """Freezes and frees the parts of the network as the stage says."""
    network.set_trainable(stage.trainable_blocks, freeze_batch_norm=stage.freeze_batch_norm)


def _decay_groups(
    parameters: Iterable[nn.Parameter], learning_rate: float, weight_decay: float
) -> list[dict[str, Any]]:
    """Matrices and kernels decay; biases and norms, which have one axis, do not."""
    learning = [parameter for parameter in parameters if parameter.requires_grad]
    wide = [parameter for parameter in learning if parameter.ndim > 1]
    thin = [parameter for parameter in learning if parameter.ndim <= 1]
    groups = [(wide, weight_decay), (thin, 0.0)]
    return [
        {"params": members, "lr": learning_rate, "weight_decay": decay}
        for members, decay in groups
        if members
    ]


def create_optimizer(network: PlanetNet, stage: Stage) -> torch.optim.Optimizer:
    """Returns the stage's optimizer over what learns: the head at the full rate comes first."""
    rate = stage.learning_rate
    groups = _decay_groups(network.head.parameters(), rate, stage.weight_decay)
    groups += _decay_groups(
        network.backbone.parameters(), rate * stage.backbone_rate, stage.weight_decay
    )
    return _OPTIMIZERS[stage.optimizer](groups, lr=rate)


def create_scheduler(
    optimizer: torch.optim.Optimizer, stage: Stage, *, name: str, steps_per_epoch: int
) -> LambdaLR:
    """Returns the schedule `name` over all steps of the stage."""
    schedule = SCHEDULES.get(name).build
    total = stage.epochs * steps_per_epoch
    warmup = stage.warmup_epochs * steps_per_epoch
    return LambdaLR(optimizer, lambda step: schedule(step, total, warmup))
