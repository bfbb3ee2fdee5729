"""Freezing, parameter groups, optimizer and schedule of a stage."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim.lr_scheduler import LambdaLR

from planetvision.core.errors import SettingsError
from planetvision.core.settings import Stage
from planetvision.models.network import PlanetNet
from planetvision.training.optimizers import OPTIMIZERS
from planetvision.training.schedules import SCHEDULES


def apply_stage(network: nn.Module, stage: Stage) -> None:
    """Freezes the layers of the network that the stage does not train.

    Raises:
        SettingsError: If the stage freezes blocks or sets their rates, and the network is not a
            `PlanetNet`.
    """
    if isinstance(network, PlanetNet):
        network.set_trainable(stage.trainable_blocks, freeze_batch_norm=stage.freeze_batch_norm)
        return
    rates = [name for name in ("backbone_rate", "layer_decay") if getattr(stage, name) != 1]
    if rates:
        raise SettingsError(
            f"stage '{stage.name}': {' and '.join(f'`{name}`' for name in rates)} need the blocks "
            f"of a `PlanetNet`, got a {type(network).__name__}. Wrap it in a `PlanetNet`, or "
            "pass 1."
        )
    if stage.trainable_blocks is not None:
        raise SettingsError(
            f"stage '{stage.name}': `trainable_blocks` is {stage.trainable_blocks}, which needs a "
            f"`PlanetNet`, got a {type(network).__name__}. Wrap it in a `PlanetNet`, or pass "
            "trainable_blocks=None to train all of it."
        )
    network.requires_grad_(True)


def learns_batch_statistics(module: nn.Module) -> bool:
    """Returns whether a BatchNorm layer updates its statistics."""
    return any(isinstance(part, _BatchNorm) and part.training for part in module.modules())


def check_optimizer(stage: Stage) -> None:
    """Checks the optimizer of a stage and its options.

    Raises:
        UnknownNameError: If the optimizer is unknown.
        SettingsError: If it does not take the options.
    """
    weights = [nn.Parameter(torch.zeros(1, 1)), nn.Parameter(torch.zeros(1))]
    OPTIMIZERS.get(stage.optimizer).create(
        _decay_groups(weights, stage.learning_rate, stage.weight_decay),
        learning_rate=stage.learning_rate,
        options=stage.optimizer_options,
    )


def create_optimizer(network: nn.Module, stage: Stage) -> torch.optim.Optimizer:
    """Returns the stage's optimizer of the trainable weights.

    The parameter groups start with the head, followed by the blocks from the last to the first.
    Weights outside the blocks, such as a class token, count as a block before the first.

    Raises:
        UnknownNameError: If the optimizer is unknown.
        SettingsError: If it does not take the stage's options.
    """
    members: dict[float, list[nn.Parameter]] = {}
    for weight, its_rate in _get_rates(network, stage).items():
        if weight.requires_grad:
            members.setdefault(its_rate, []).append(weight)
    groups = [
        group
        for its_rate, weights in members.items()
        for group in _decay_groups(weights, its_rate, stage.weight_decay)
    ]
    return OPTIMIZERS.get(stage.optimizer).create(
        groups, learning_rate=stage.learning_rate, options=stage.optimizer_options
    )


def _get_rates(network: nn.Module, stage: Stage) -> dict[nn.Parameter, float]:
    if not isinstance(network, PlanetNet):
        return dict.fromkeys(network.parameters(), stage.learning_rate)
    rates = dict.fromkeys(network.head.parameters(), stage.learning_rate)
    rate = stage.learning_rate * stage.backbone_rate
    for block in reversed(network.blocks):
        for weight in (weight for module in block for weight in module.parameters()):
            rates.setdefault(weight, rate)
        rate *= stage.layer_decay
    for weight in network.backbone.parameters():
        rates.setdefault(weight, rate)
    return rates


def _decay_groups(
    weights: Sequence[nn.Parameter], learning_rate: float, weight_decay: float
) -> list[dict[str, Any]]:
    """Returns parameter groups with weight decay for matrices and kernels only."""
    wide = [weight for weight in weights if weight.ndim > 1]
    thin = [weight for weight in weights if weight.ndim <= 1]
    groups = [(wide, weight_decay), (thin, 0.0)]
    return [
        {"params": members, "lr": learning_rate, "weight_decay": decay}
        for members, decay in groups
        if members
    ]


def create_scheduler(
    optimizer: torch.optim.Optimizer, stage: Stage, *, name: str, steps_per_epoch: int
) -> LambdaLR:
    """Returns the schedule of that name over all steps of the stage."""
    schedule = SCHEDULES.get(name).build
    total = stage.epochs * steps_per_epoch
    warmup = stage.warmup_epochs * steps_per_epoch
    return LambdaLR(optimizer, lambda step: schedule(step, total, warmup))
