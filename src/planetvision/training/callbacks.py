"""Callbacks: the hooks of a training, progress bars, tables and experiment trackers."""

from __future__ import annotations

import dataclasses
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from planetvision.core.errors import MissingExtraError, OutputExistsError, UnknownNameError
from planetvision.core.files import create_output_folder, write_table
from planetvision.core.settings import Stage
from planetvision.results.history import EpochRecord

if TYPE_CHECKING:
    from planetvision.training.state import TrainingState


class Callback:
    """Base class of callbacks, whose hooks do nothing.

    Under a launcher every process calls them; `state.is_main_process` is true for the one that
    writes output.

    Example:
        >>> class PrintLoss(Callback):
        ...     def on_epoch_end(self, state, record):
        ...         print(record.epoch, record.train_loss)
    """

    def on_fit_begin(self, state: TrainingState) -> None:
        """Runs once, before the first stage."""

    def on_stage_begin(self, state: TrainingState, stage: Stage) -> None:
        """Runs before the first epoch of each stage, after its layers were frozen."""

    def on_step_end(self, state: TrainingState, loss: float) -> None:
        """Runs after each optimizer step, with the loss of its batch."""

    def on_epoch_end(self, state: TrainingState, record: EpochRecord) -> None:
        """Runs after each epoch and its validation."""

    def on_stage_end(self, state: TrainingState, stage: Stage) -> None:
        """Runs after each stage, with its best weights restored."""

    def on_fit_end(self, state: TrainingState) -> None:
        """Runs once, after the last stage, and also when training fails."""


class ProgressBar(Callback):
    """Progress bar of each stage, with loss and accuracy.

    If the error stream is not a terminal, it writes one line per epoch instead.
    """

    def __init__(self) -> None:
        self._bar: tqdm[Any] | None = None
        self._total = 0

    def on_stage_begin(self, state: TrainingState, stage: Stage) -> None:
        """Opens the bar."""
        self._total = stage.epochs
        if state.is_main_process and sys.stderr.isatty():
            done = sum(record.stage == stage.name for record in state.history)
            self._bar = tqdm(
                total=stage.epochs, initial=done, desc=f"stage {stage.name}", unit="epoch"
            )

    def on_epoch_end(self, state: TrainingState, record: EpochRecord) -> None:
        """Advances the bar."""
        if not state.is_main_process:
            return
        shown = {"loss": f"{record.train_loss:.3f}"}
        if record.val_accuracy is not None:
            shown["val_accuracy"] = f"{record.val_accuracy:.3f}"
        if self._bar is not None:
            self._bar.set_postfix(shown)
            self._bar.update()
            return
        number = sum(earlier.stage == record.stage for earlier in state.history)
        values = ", ".join(f"{name} {value}" for name, value in shown.items())
        sys.stderr.write(f"stage {record.stage}, epoch {number} of {self._total}: {values}\n")

    def on_stage_end(self, state: TrainingState, stage: Stage) -> None:
        """Closes the bar."""
        self._close()

    def on_fit_end(self, state: TrainingState) -> None:
        """Closes the bar after a failure."""
        self._close()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


class CSVLogger(Callback):
    """Writes the history as a CSV table after each epoch.

    Args:
        path: The file; a resumed training replaces its own.
        overwrite: Whether an existing file may be replaced.
    """

    def __init__(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        self.path = Path(path)
        self.overwrite = overwrite

    def on_fit_begin(self, state: TrainingState) -> None:
        """Checks that the file can be written.

        Raises:
            OutputExistsError: If the file exists and the training is not resumed.
        """
        if self.path.exists() and not self.overwrite and not state.is_resumed:
            raise OutputExistsError(
                f"The log '{self.path}' exists. Name another file, or pass overwrite=True.",
                path=str(self.path),
            )
        create_output_folder(self.path.parent, overwrite=True)

    def on_epoch_end(self, state: TrainingState, record: EpochRecord) -> None:
        """Writes all epochs so far."""
        if state.is_main_process:
            write_table(self.path, state.history.to_frame())


class TrackerLogger(Callback):
    """Logs epochs to an experiment tracker supported by Accelerate, such as Weights & Biases.

    Args:
        tracker: Accelerate's name of the tracker: `wandb`, `mlflow`, `comet_ml`, `aim`, `clearml`,
            `dvclive`, `swanlab`, `trackio` or `tensorboard`. Its package must be installed.
        run_name: The name of the run or project in the tracker.
        folder: The folder for trackers that write files.

    Raises:
        UnknownNameError: If Accelerate does not support this tracker.
        MissingExtraError: If its package is not installed.
    """

    def __init__(
        self,
        tracker: str,
        *,
        run_name: str = "planetvision",
        folder: str | os.PathLike[str] = "tracking",
    ) -> None:
        from accelerate.tracking import LOGGER_TYPE_TO_CLASS, get_available_trackers

        if tracker not in LOGGER_TYPE_TO_CLASS:
            raise UnknownNameError.among(
                f"Unknown tracker {tracker!r}.",
                known=list(LOGGER_TYPE_TO_CLASS),
                remedy=f"Accelerate knows {', '.join(LOGGER_TYPE_TO_CLASS)}.",
                family="trackers",
                name=tracker,
            )
        if tracker not in {str(kind.value) for kind in get_available_trackers()}:
            raise MissingExtraError(
                f"Logging by '{tracker}' needs its package, which is not installed. "
                f"Install it: pip install {tracker}",
                feature="Logging",
                package=tracker,
            )
        self._kind: Any = LOGGER_TYPE_TO_CLASS[tracker]
        self.run_name = run_name
        self.folder = Path(folder)
        self._tracker: Any = None

    def on_fit_begin(self, state: TrainingState) -> None:
        """Opens the tracker and logs the recipe."""
        if not state.is_main_process:
            return
        place = {"logging_dir": str(self.folder)} if self._kind.requires_logging_directory else {}
        self._tracker = self._kind(self.run_name, **place)
        if hasattr(self._tracker, "start"):
            self._tracker.start()
        recipe = state.recipe
        self._tracker.store_init_configuration(
            {"recipe": recipe.name, "seed": int(state.seed), "batch_size": recipe.batch_size}
        )

    def on_epoch_end(self, state: TrainingState, record: EpochRecord) -> None:
        """Logs the epoch."""
        if self._tracker is not None:
            values = dataclasses.asdict(record)
            numbers = {
                name: value for name, value in values.items() if isinstance(value, int | float)
            }
            self._tracker.log(numbers, step=record.epoch)

    def on_fit_end(self, state: TrainingState) -> None:
        """Closes the tracker."""
        if self._tracker is not None:
            self._tracker.finish()
            self._tracker = None


class TensorBoardLogger(Callback):
    """Writes losses, accuracies and learning rates for TensorBoard.

    Args:
        folder: The folder of the event files.

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

    def on_fit_begin(self, state: TrainingState) -> None:
        """Opens the event file."""
        if state.is_main_process:
            self._writer = self._create(str(self.folder))

    def on_epoch_end(self, state: TrainingState, record: EpochRecord) -> None:
        """Logs the epoch."""
        if self._writer is None:
            return
        for name in ("train_loss", "train_accuracy", "val_loss", "val_accuracy", "learning_rate"):
            value = getattr(record, name)
            if value is not None:
                self._writer.add_scalar(name, value, record.epoch)

    def on_fit_end(self, state: TrainingState) -> None:
        """Closes the event file."""
        if self._writer is not None:
            self._writer.close()
