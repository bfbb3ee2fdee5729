"""`EpochLoop`: the steps and epochs of one stage."""

from __future__ import annotations

import contextlib
import logging
import math
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from planetvision.core.devices import derive_seed, seeded
from planetvision.core.errors import DataError, TrainingError
from planetvision.core.settings import Recipe
from planetvision.inference.features import gather_batch
from planetvision.results.history import EpochRecord
from planetvision.training.callbacks import Callback
from planetvision.training.checkpoint import Checkpoints
from planetvision.training.distributed import warn_of_batch_statistics
from planetvision.training.gradients import compute_gradients
from planetvision.training.stage_run import StageRun, Validation
from planetvision.training.state import TrainingState

if TYPE_CHECKING:
    from accelerate import Accelerator


logger = logging.getLogger(__name__)


class EpochLoop:
    """Base class of `Trainer` that runs the epochs of a stage.

    Attributes:
        network: The network.
        recipe: The recipe.
        device: The device.
        seed: The seed of the training.
        checkpoints: The checkpoints, or None.
        callbacks: The callbacks.
        state: The state of the training.
    """

    network: nn.Module
    recipe: Recipe
    device: torch.device
    seed: int
    checkpoints: Checkpoints | None
    callbacks: list[Callback]
    state: TrainingState

    @property
    def accelerator(self) -> Accelerator:
        """The Accelerate engine, which exists only while `fit` runs."""
        return self.state.accelerator

    def run_epoch(self, run: StageRun) -> EpochRecord:
        """Trains for one epoch, validates, and returns the record.

        It also appends the record to the history, and keeps the weights if they are the best.
        """
        started = time.perf_counter()
        epoch = len(self.state.history) + 1
        if run.refresh is not None:
            run.refresh(epoch)
        run.module.train()
        warn_of_batch_statistics(run.module, self.accelerator)
        if run.sampler is not None:
            run.sampler.set_draw(epoch)
        rate = step_rate = run.optimizer.param_groups[0]["lr"]
        step = 0
        total = torch.zeros(3, dtype=torch.float64)
        # One seed per epoch, so that a resumed training draws the same random numbers.
        with seeded(derive_seed(self.seed, "epoch", epoch), device=self.device):
            for step, (*inputs, targets) in enumerate(run.train_loader, start=1):
                step_rate = run.optimizer.param_groups[0]["lr"]
                loss, correct, count = self.train_step(run, inputs, targets)
                total += torch.tensor([loss * count, correct, count], dtype=torch.float64)
                self._check_finite("The loss", loss, run, epoch, step, step_rate)
                self._call("on_step_end", loss)
                if self.state.is_over():
                    break
        if not step:
            raise DataError("The training loader yielded no batch. Pass drop_last=False.")
        if not total[2] and not self.state.is_over():
            raise DataError(
                "No training image has a class: all targets are -1. Pass the class index of each "
                "image; -1 is for negatives."
            )
        # The loss is that before the step, which may have made weights non-finite.
        for weight in self.network.parameters():
            if weight.requires_grad and not bool(torch.isfinite(weight).all()):
                self._check_finite("A weight", math.nan, run, epoch, step, step_rate)
        run.num_epochs += 1
        validation = self._validate_average(run)
        if validation is not None:
            self._check_finite("The validation loss", validation.loss, run, epoch, step, step_rate)
        record = EpochRecord(
            stage=run.stage.name,
            epoch=epoch,
            train_loss=float(total[0] / total[2]) if total[2] else math.nan,
            train_accuracy=float(total[1] / total[2]) if total[2] else math.nan,
            val_loss=None if validation is None else validation.loss,
            val_accuracy=None if validation is None else validation.accuracy,
            val_calibrated_loss=None if validation is None else validation.calibrated_loss,
            learning_rate=rate,
            seconds=time.perf_counter() - started,
        )
        self.state.history.append(record)
        return record

    def train_step(
        self, run: StageRun, inputs: Sequence[torch.Tensor], targets: torch.Tensor
    ) -> tuple[float, float, int]:
        """Takes one optimizer step.

        Args:
            run: The objects of the stage.
            inputs: The arguments of `run.module`: images, or their cached features.
            targets: The class index of each image.

        Returns:
            The mean loss of the images with a class, or of all images if none has one; the number
            of correct predictions, and the number of images with a class; over all processes.
        """
        loss, correct, count = compute_gradients(self.accelerator, run, inputs, targets)
        if self.recipe.max_gradient_norm is not None:
            # Accelerate unscales fp16 gradients before it clips them.
            self.accelerator.clip_grad_norm_(
                (weight for group in run.optimizer.param_groups for weight in group["params"]),
                self.recipe.max_gradient_norm,
            )
        run.optimizer.step()
        if not self.accelerator.optimizer_step_was_skipped:
            run.scheduler.step()
            if run.average is not None:
                run.average.update()
        return loss, correct, count

    @torch.no_grad()
    def validate(self, run: StageRun) -> Validation | None:
        """Returns the scores on the validation images; None if there are none."""
        if run.val_loader is None:
            return None
        run.module.eval()
        batches = []
        for *inputs, targets in run.val_loader:
            with self.accelerator.autocast():
                logits = run.module(*inputs)
            batches.append(gather_batch(self.accelerator, (logits.float(), targets)))
        logits, targets = (torch.cat(parts).cpu() for parts in zip(*batches, strict=True))
        return Validation.from_logits(logits, targets)

    def has_next_epoch(self, run: StageRun) -> bool:
        """Returns whether the stage has another epoch."""
        if run.best.should_stop:
            logger.info(
                "stage %s: no improvement for %d epochs", run.stage.name, run.stage.patience
            )
            return False
        if self.state.is_over():
            logger.warning(
                "stage %s ends after %d of %d epochs: the time limit is reached",
                run.stage.name,
                run.num_epochs,
                run.stage.epochs,
            )
            return False
        return run.num_epochs < run.stage.epochs

    def _validate_average(self, run: StageRun) -> Validation | None:
        """Validates the averaged weights, if any, else the current ones, and keeps the best."""
        with contextlib.nullcontext() if run.average is None else run.average.applied():
            validation = self.validate(run)
            if validation is None:
                return None
            score = validation.loss
            if run.stage.monitor == "calibrated_loss":
                score = validation.calibrated_loss
            if run.stage.monitor == "none" or run.best.update(score):
                self.state.keep_scores(validation)
        return validation

    def _check_finite(
        self, what: str, value: float, run: StageRun, epoch: int, step: int, rate: float
    ) -> None:
        if math.isfinite(value):
            return
        last = f" {self.checkpoints.describe()}" if self.checkpoints is not None else ""
        raise TrainingError(
            f"{what} is {value} in stage '{run.stage.name}', epoch {epoch}, step {step}, "
            f"at a learning rate of {rate:.3g}. Lower the learning rate, or pass "
            f"precision='fp32'.{last}",
            stage=run.stage.name,
            epoch=epoch,
            step=step,
        )

    def _call(self, hook: str, *arguments: Any) -> None:
        for callback in self.callbacks:
            getattr(callback, hook)(self.state, *arguments)
