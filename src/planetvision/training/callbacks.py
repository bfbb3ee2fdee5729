"""Hooks into training: progress bars, TensorBoard, and whatever a user adds."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from planetvision.config import Stage
from planetvision.errors import MissingExtraError
from planetvision.results.history import EpochRecord

if TYPE_CHECKING:
    from planetvision.training.trainer import Trainer

__all__ = ["Callback", "ProgressBar", "TensorBoardLogger"]


class Callback:
    """The hooks of training; every one is empty, override those you need.

    Example:
        >>> class PrintLoss(Callback):
        ...     def on_epoch_end(self, trainer, record):
        ...         print(record.epoch, record.train_loss)
    """

    def on_fit_begin(self, trainer: Trainer) -> None:
        """Runs once, before the first stage."""

    def on_stage_begin(self, trainer: Trainer, stage: Stage) -> None:
        """Runs before the first epoch of each stage, when it is known what learns."""

    def on_step_end(self, trainer: Trainer, loss: float) -> None:
        """Runs after each optimizer step, with that batch's loss."""

    def on_epoch_end(self, trainer: Trainer, record: EpochRecord) -> None:
        """Runs after each epoch and its validation."""

    def on_stage_end(self, trainer: Trainer, stage: Stage) -> None:
        """Runs after each stage, when its best weights are restored."""

    def on_fit_end(self, trainer: Trainer) -> None:
        """Runs once, after the last stage, and also when training fails."""


class ProgressBar(Callback):
    """A bar of epochs for each stage, with losses and accuracies."""

    def __init__(self) -> None:
        self._bar: tqdm[Any] | None = None

    def on_stage_begin(self, trainer: Trainer, stage: Stage) -> None:
        """Opens the bar."""
        self._bar = tqdm(total=stage.epochs, desc=f"stage {stage.name}", unit="epoch")

    def on_epoch_end(self, trainer: Trainer, record: EpochRecord) -> None:
        """Moves it on."""
        if self._bar is None:
            return
        shown = {"loss": f"{record.train_loss:.3f}"}
        if record.val_accuracy is not None:
            shown["val_accuracy"] = f"{record.val_accuracy:.3f}"
        self._bar.set_postfix(shown)
        self._bar.update()

    def on_stage_end(self, trainer: Trainer, stage: Stage) -> None:
        """Closes it."""
        self._close()

    def on_fit_end(self, trainer: Trainer) -> None:
        """Closes it, if training failed in between."""
        self._close()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


class TensorBoardLogger(Callback):
    """Writes losses, accuracies and learning rates for TensorBoard.

    Args:
        folder: Where the event files go.

    Raises:
        MissingExtraError: If the package tensorboard is not installed.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as cause:
            raise MissingExtraError.for_feature(
                "Logging for TensorBoard", package="tensorboard", extra="tensorboard"
            ) from cause
        self._create = SummaryWriter
        self.folder = Path(folder)
        self._writer: Any = None

    def on_fit_begin(self, trainer: Trainer) -> None:
        """Opens the event file."""
        self._writer = self._create(str(self.folder))

    def on_epoch_end(self, trainer: Trainer, record: EpochRecord) -> None:
        """Writes the epoch."""
        for name in ("train_loss", "train_accuracy", "val_loss", "val_accuracy", "learning_rate"):
            value = getattr(record, name)
            if value is not None:
                self._writer.add_scalar(name, value, record.epoch)

    def on_fit_end(self, trainer: Trainer) -> None:
        """Closes the event file."""
        if self._writer is not None:
            self._writer.close()
