"""The objects that the epochs of a stage use, and validation scores."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader

from planetvision.core.settings import Stage
from planetvision.data.loading import EpochSampler
from planetvision.inference.temperature import fit_temperature, get_cross_entropy
from planetvision.training.averaging import BestWeights, MovingAverage
from planetvision.training.objective import Objective, check_targets


@dataclass(frozen=True, kw_only=True)
class Validation:
    """Scores on the validation images.

    Args:
        loss: The mean cross-entropy.
        accuracy: The accuracy, in [0, 1].
        calibrated_loss: The mean cross-entropy at the optimal temperature.
    """

    loss: float
    accuracy: float
    calibrated_loss: float

    @classmethod
    def from_logits(cls, logits: torch.Tensor, targets: torch.Tensor) -> Validation:
        """Returns the scores of logits, (N, C), given the class of each image, (N,)."""
        check_targets(targets, logits.shape[1])
        answers, truth = logits.double().numpy(), targets.numpy()
        loss = get_cross_entropy(answers, truth)
        calibrated = math.nan
        if math.isfinite(loss):
            temperature = fit_temperature(answers, truth)
            calibrated = get_cross_entropy(answers, truth, temperature=temperature)
        return cls(
            loss=loss,
            accuracy=float((answers.argmax(axis=1) == truth).mean()),
            calibrated_loss=calibrated,
        )


@dataclass(kw_only=True)
class StageRun:
    """The objects that the epochs of one stage use.

    Args:
        stage: The stage.
        module: The network, or its trainable layers if features are cached.
        objective: The training objective.
        optimizer: The optimizer.
        scheduler: The learning-rate schedule, which steps with the optimizer.
        train_loader: Training batches: images or cached features, then the targets.
        val_loader: The same for validation, or None.
        sampler: The sampler of the training batches; None for a loader given by the user.
        best: The best weights so far.
        average: The moving average of the weights, or None.
        refresh: Updates the cached features for an epoch number; None without a cache.
        num_chunks: The number of chunks per batch, whose gradients are added.
        num_epochs: The number of completed epochs.
    """

    stage: Stage
    module: nn.Module
    objective: Objective
    optimizer: Any
    scheduler: Any
    train_loader: DataLoader[Any]
    val_loader: DataLoader[Any] | None
    sampler: EpochSampler | None
    best: BestWeights
    average: MovingAverage | None = None
    refresh: Callable[[int], None] | None = None
    num_chunks: int = 1
    num_epochs: int = 0

    def state_dict(self) -> dict[str, Any]:
        """Returns the state for `load_state_dict`, without the weights."""
        parts = {"optimizer": self.optimizer, "scheduler": self.scheduler, "best": self.best}
        if self.average is not None:
            parts["average"] = self.average
        states = {name: part.state_dict() for name, part in parts.items()}
        return {**states, "num_epochs": self.num_epochs}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores the state from `state_dict`."""
        self.optimizer.load_state_dict(state["optimizer"])
        self.scheduler.load_state_dict(state["scheduler"])
        self.best.load_state_dict(state["best"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        self.num_epochs = state["num_epochs"]
