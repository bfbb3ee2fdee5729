"""`TrainingState`: the state of a training, for callbacks and checkpoints."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from planetvision.core.devices import is_main_process
from planetvision.core.errors import TrainingError
from planetvision.core.settings import Recipe
from planetvision.results.history import EpochRecord, TrainingHistory
from planetvision.training.distributed import agree_on_any
from planetvision.training.stage_run import Validation

if TYPE_CHECKING:
    from accelerate import Accelerator


@dataclass(kw_only=True, eq=False)
class TrainingState:
    """State of a training.

    Args:
        network: The network.
        recipe: The recipe.
        seed: The seed of the training.
        history: One record per epoch.
        val_loss: The validation loss of the kept weights.
        val_accuracy: Their validation accuracy, in [0, 1].
        is_resumed: Whether the training continues from a checkpoint.
        deadline: The time of `time.monotonic` at which the training ends, in seconds.
        class_counts: The number of training images of each class, (C,), if the recipe needs it.
    """

    network: nn.Module
    recipe: Recipe
    seed: int
    history: TrainingHistory = field(default_factory=TrainingHistory)
    val_loss: float | None = None
    val_accuracy: float | None = None
    is_resumed: bool = False
    deadline: float = math.inf
    class_counts: torch.Tensor | None = None
    _accelerator: Accelerator | None = None

    @property
    def accelerator(self) -> Accelerator:
        """The Accelerate engine.

        Raises:
            TrainingError: If no training runs.
        """
        if self._accelerator is None:
            raise TrainingError("The trainer has an accelerator only while `fit` runs.")
        return self._accelerator

    @property
    def is_main_process(self) -> bool:
        """Whether this is the main process, which writes files and output."""
        if self._accelerator is None:
            return is_main_process()
        return bool(self._accelerator.is_main_process)

    def is_over(self) -> bool:
        """Returns whether the time limit is reached in any process; all stop at the same step."""
        if math.isinf(self.deadline):
            return False
        return agree_on_any(self.accelerator, time.monotonic() > self.deadline)

    def keep_scores(self, validation: Validation | None) -> None:
        """Stores the scores of the current weights."""
        if validation is not None:
            self.val_loss, self.val_accuracy = validation.loss, validation.accuracy

    def to_dict(self, stage: int) -> dict[str, Any]:
        """Returns the state for a checkpoint, without the weights.

        Args:
            stage: The position of the current stage in the recipe.
        """
        scaler = self.accelerator.scaler
        return {
            "stage": stage,
            "history": [dataclasses.asdict(record) for record in self.history],
            "val_loss": self.val_loss,
            "val_accuracy": self.val_accuracy,
            # A stage starts with the gradient scale of the one before; another could overflow.
            "scaler": None if scaler is None else scaler.state_dict(),
        }

    def load_dict(self, stored: Mapping[str, Any]) -> None:
        """Restores history and scores from the result of `to_dict`."""
        self.history.records[:] = [EpochRecord(**record) for record in stored["history"]]
        self.val_loss, self.val_accuracy = stored["val_loss"], stored["val_accuracy"]

    def load_scaler(self, stored: Mapping[str, Any]) -> None:
        """Restores the gradient scale from the result of `to_dict`."""
        if self.accelerator.scaler is not None and (scaler := stored.get("scaler")):
            self.accelerator.scaler.load_state_dict(scaler)
