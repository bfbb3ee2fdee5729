"""`Trainer`: runs a recipe's stages on a network, by Accelerate."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.utils.data import DataLoader

from planetvision.config import Precision, Recipe, Stage
from planetvision.data.loading import EpochSampler, ImageDataset, create_loader
from planetvision.errors import TrainingError
from planetvision.network import PlanetNet
from planetvision.results.history import EpochRecord, TrainingHistory
from planetvision.runtime import (
    check_one_process,
    create_accelerator,
    derive_seed,
    get_num_workers,
    resolve_device,
    resolve_precision,
    seeded,
    tune_allocator,
)
from planetvision.training.best import BestWeights
from planetvision.training.callbacks import Callback, ProgressBar
from planetvision.training.features import (
    Extract,
    FeatureDataset,
    ViewDataset,
    compute_features,
)
from planetvision.training.replay import Replay, find_frozen_part
from planetvision.training.stages import apply_stage, create_optimizer, create_scheduler

if TYPE_CHECKING:
    from accelerate import Accelerator

__all__ = ["StageRun", "Trainer"]

logger = logging.getLogger(__name__)


@dataclass
class StageRun:
    """What the epochs of one stage work with.

    Args:
        stage: The stage.
        module: What is run: the network, or its head on stored features.
        optimizer: Its optimizer.
        scheduler: Its schedule, which steps with the optimizer.
        train_loader: Batches: one input tensor, or those that were stored, then the targets.
        val_loader: The same for validation, or None.
        sampler: The order of the training batches.
        refresh: Draws the stored views anew, if it is time, given the number of the epoch; None
            where nothing is stored.
    """

    stage: Stage
    module: nn.Module
    optimizer: Any
    scheduler: Any
    train_loader: DataLoader[Any]
    val_loader: DataLoader[Any] | None
    sampler: EpochSampler
    refresh: Callable[[int], None] | None = None


class Trainer:
    """Trains a network by a recipe.

    Each step is a small method, so that a subclass can change one: `fit`, `run_stage`,
    `prepare_stage`, `run_epoch`, `train_step`, `validate`.

    After `fit`, `val_loss` and `val_accuracy` are those of the weights that were kept.

    Args:
        network: The network; it is trained in place.
        recipe: The stages.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        precision: `auto`, `fp32`, `fp16` (with gradient scaling) or `bf16`.
        scheduler: A registered schedule for all stages; None takes each stage's own.
        seed: One seed makes two runs on CPU identical to the bit.
        num_workers: Loader processes; None lets the machine decide. The result does not depend
            on it.
        store_features: Whether a stage with `views` runs what is frozen once. Without it each step
            runs the whole network on the same views, with the same results.
        callbacks: Hooks.
        progress: Whether to show progress bars.
    """

    def __init__(
        self,
        network: PlanetNet,
        recipe: Recipe,
        *,
        device: str = "auto",
        precision: Precision = "auto",
        scheduler: str | None = None,
        seed: int = 0,
        num_workers: int | None = None,
        store_features: bool = True,
        callbacks: Sequence[Callback] = (),
        progress: bool = False,
    ) -> None:
        self.network = network
        self.recipe = recipe
        self.device = resolve_device(device)
        self.precision = resolve_precision(precision, self.device)
        self.scheduler = scheduler
        self.seed = seed
        self.num_workers = num_workers
        self.store_features = store_features
        self.callbacks = [*callbacks, *([ProgressBar()] if progress else [])]
        self.progress = progress
        self.history = TrainingHistory()
        self.val_loss: float | None = None
        self.val_accuracy: float | None = None
        self._accelerator: Accelerator | None = None
        self._class_counts = torch.ones(1)

    @property
    def accelerator(self) -> Accelerator:
        """The engine; there is one only while `fit` runs."""
        if self._accelerator is None:
            raise TrainingError("The trainer has an accelerator only while `fit` runs.")
        return self._accelerator

    def fit(self, train: ImageDataset, val: ImageDataset | None = None) -> TrainingHistory:
        """Trains the network and returns the history; the network ends in evaluation mode.

        Args:
            train: The training images; the recipe's augmentation is applied to them.
            val: The validation images; without them no stage ends early, and its last weights
                are kept.

        Raises:
            TrainingError: If the loss is no longer a finite number.
        """
        check_one_process()
        tune_allocator()
        self.history = TrainingHistory()
        train = train.with_augmentation(self.recipe.augmentation)
        val = val.with_augmentation("none") if val is not None else None
        self.network.to(self.device)
        self._class_counts = torch.bincount(torch.tensor(train.targets)).float().to(self.device)
        with (
            seeded(derive_seed(self.seed, "training"), device=self.device),
            create_accelerator(self.precision, self.device) as self._accelerator,
        ):
            try:
                self._call("on_fit_begin")
                for stage in self.recipe.stages:
                    self.run_stage(stage, train, val)
            finally:
                self._call("on_fit_end")
                self._accelerator = None
                self.network.requires_grad_(True)
                self.network.set_trainable(None, freeze_batch_norm=False)
                self.network.eval()
        return self.history

    def run_stage(self, stage: Stage, train: ImageDataset, val: ImageDataset | None) -> None:
        """Runs one stage and leaves the network with its best weights.

        The best are those of the lowest validation loss, the state before the first epoch
        included: a stage that makes nothing better changes nothing.
        """
        apply_stage(self.network, stage)
        run = self.prepare_stage(stage, train, val)
        learner = self.accelerator.unwrap_model(run.module)
        best = BestWeights(learner, stage.patience)
        try:
            self._call("on_stage_begin", stage)
            self._keep_if_best(best, *self.validate(run))
            for _ in range(stage.epochs):
                record = self.run_epoch(run)
                self.history.append(record)
                self._call("on_epoch_end", record)
                self._keep_if_best(best, record.val_loss, record.val_accuracy)
                if best.should_stop:
                    logger.info("stage %s: no better since %d epochs", stage.name, stage.patience)
                    break
        finally:
            # Removes Accelerate's wrapper of `forward`, which would keep its autocast.
            self.accelerator.unwrap_model(run.module, keep_fp32_wrapper=False)
            learner.__dict__.pop("forward", None)
            self.accelerator.free_memory()
        best.restore()
        self._call("on_stage_end", stage)

    def _keep_if_best(
        self, best: BestWeights, val_loss: float | None, val_accuracy: float | None
    ) -> None:
        if val_loss is not None and best.update(val_loss):
            self.val_loss, self.val_accuracy = val_loss, val_accuracy

    def prepare_stage(
        self, stage: Stage, train: ImageDataset, val: ImageDataset | None
    ) -> StageRun:
        """Returns what the epochs of a stage work with; computes the stored features, if any."""
        batch_size = stage.batch_size or self.recipe.batch_size
        workers = get_num_workers(self.num_workers, len(train))
        module: nn.Module = self.network
        train_data: Any = train
        val_data: Any = val
        refresh = None
        if stage.views:
            views = ViewDataset(
                train,
                stage.views,
                first_epoch=len(self.history) + 1,
                refresh_epochs=stage.refresh_epochs,
            )
            train_data = views
            if self.store_features and (parts := self.split_network(stage)) is not None:
                extract, module = parts
                compute = partial(self._compute_features, extract, num_workers=workers)
                train_data, refresh = self._store(views, compute)
                if val is not None:
                    val_data = compute(ViewDataset(val, 1), description="validation features")
                workers = 0
        seed = derive_seed(self.seed, "stage", stage.name)
        sampler = EpochSampler(len(train_data), seed=seed)
        pin = self.device.type == "cuda"
        train_loader = create_loader(
            train_data, sampler, batch_size=batch_size, num_workers=workers, pin_memory=pin
        )
        val_loader = None
        if val_data is not None:
            val_loader = create_loader(
                val_data,
                EpochSampler(len(val_data), shuffle=False),
                batch_size=batch_size,
                num_workers=workers,
                pin_memory=pin,
            )
        optimizer = create_optimizer(self.network, stage)
        module, optimizer, train_loader, val_loader = self.accelerator.prepare(
            module, optimizer, train_loader, val_loader
        )
        scheduler = create_scheduler(
            optimizer,
            stage,
            name=self.scheduler or stage.scheduler,
            steps_per_epoch=len(train_loader),
        )
        return StageRun(
            stage=stage,
            module=module,
            optimizer=optimizer,
            scheduler=scheduler,
            train_loader=train_loader,
            val_loader=val_loader,
            sampler=sampler,
            refresh=refresh,
        )

    def split_network(self, stage: Stage) -> tuple[Extract, nn.Module] | None:
        """Returns the network in two: what a stage leaves as it is, and what learns above it.

        The first is a function from images to tensors, the second a module from those to logits.
        None where the two cannot be told apart: then every step runs the whole network.
        """
        network = self.network
        if not any(weight.requires_grad for weight in network.backbone.parameters()):
            return lambda images: (network.forward_features(images),), network.head
        frozen = find_frozen_part(network)
        if frozen is None:
            logger.warning(
                "stage %s: the backbone %s has no part that can be run once and kept, so every "
                "step runs all of it",
                stage.name,
                network.spec.name,
            )
            return None
        return frozen.record, Replay(frozen)

    def run_epoch(self, run: StageRun) -> EpochRecord:
        """Goes through the training images once, validates, and returns the record."""
        started = time.perf_counter()
        epoch = len(self.history) + 1
        if run.refresh is not None:
            run.refresh(epoch)
        run.module.train()
        run.sampler.set_draw(epoch)
        rate = run.optimizer.param_groups[0]["lr"]
        total = torch.zeros(3, dtype=torch.float64)
        for step, (*inputs, targets) in enumerate(run.train_loader, start=1):
            loss, correct = self.train_step(run, inputs, targets)
            count = len(targets)
            total += torch.tensor([loss * count, correct, count], dtype=torch.float64)
            self._check_finite("loss", loss, run, epoch, step)
            self._call("on_step_end", loss)
        train_loss, train_accuracy = float(total[0] / total[2]), float(total[1] / total[2])
        val_loss, val_accuracy = self.validate(run)
        if val_loss is not None:
            self._check_finite("validation loss", val_loss, run, epoch, len(run.train_loader))
        return EpochRecord(
            stage=run.stage.name,
            epoch=epoch,
            train_loss=train_loss,
            train_accuracy=train_accuracy,
            val_loss=val_loss,
            val_accuracy=val_accuracy,
            learning_rate=rate,
            seconds=time.perf_counter() - started,
        )

    def train_step(
        self, run: StageRun, inputs: Sequence[torch.Tensor], targets: torch.Tensor
    ) -> tuple[float, float]:
        """Takes one optimizer step; returns the mean loss and the number of right answers.

        Args:
            run: What the stage works with.
            inputs: What `run.module` is called with: the images, or what was stored of them.
            targets: The class of each.
        """
        run.optimizer.zero_grad()
        with self.accelerator.autocast():
            logits = run.module(*inputs)
        loss = self._compute_loss(logits.float(), targets)
        self.accelerator.backward(loss)
        if self.accelerator.sync_gradients and self.recipe.max_gradient_norm is not None:
            # Accelerate unscales fp16 gradients before it clips them.
            self.accelerator.clip_grad_norm_(
                (weight for group in run.optimizer.param_groups for weight in group["params"]),
                self.recipe.max_gradient_norm,
            )
        run.optimizer.step()
        if not self.accelerator.optimizer_step_was_skipped:
            run.scheduler.step()
        correct = (logits.argmax(dim=1) == targets).sum()
        return float(loss.detach()), float(correct)

    @torch.no_grad()
    def validate(self, run: StageRun) -> tuple[float | None, float | None]:
        """Returns the mean loss and the accuracy over the validation images, if there are any."""
        if run.val_loader is None:
            return None, None
        run.module.eval()
        total = torch.zeros(3, dtype=torch.float64)
        for *inputs, targets in run.val_loader:
            with self.accelerator.autocast():
                logits = run.module(*inputs)
            logits, targets = self.accelerator.gather_for_metrics((logits.float(), targets))
            loss = nn.functional.cross_entropy(logits, targets, reduction="sum")
            correct = (logits.argmax(dim=1) == targets).sum()
            total += torch.tensor([float(loss), float(correct), len(targets)], dtype=torch.float64)
        return float(total[0] / total[2]), float(total[1] / total[2])

    @staticmethod
    def _store(
        views: ViewDataset, compute: Callable[..., FeatureDataset]
    ) -> tuple[FeatureDataset, Callable[[int], None]]:
        """Returns the stored views, and what renews them."""
        stored = compute(views, epoch=views.first_epoch, description="features")

        def refresh(epoch: int) -> None:
            if epoch > views.first_epoch and views.is_new_at(epoch):
                stored.replace(compute(views, epoch=epoch, description="features"))

        return stored, refresh

    def _compute_features(
        self, extract: Extract, views: ViewDataset, **options: Any
    ) -> FeatureDataset:
        self.network.eval()
        return compute_features(
            extract,
            views,
            device=self.device,
            autocast=self.accelerator.autocast,
            progress=self.progress,
            **options,
        )

    @staticmethod
    def _check_finite(what: str, value: float, run: StageRun, epoch: int, step: int) -> None:
        if not math.isfinite(value):
            rate = run.optimizer.param_groups[0]["lr"]
            raise TrainingError(
                f"The {what} is {value} in stage '{run.stage.name}', epoch {epoch}, step {step}, "
                f"at a learning rate of {rate:.3g}. Lower the learning rate, or pass "
                "precision='fp32'.",
                stage=run.stage.name,
                epoch=epoch,
                step=step,
            )

    def _compute_loss(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        weights = None
        if self.recipe.class_weights == "balanced":
            counts = self._class_counts
            balanced = counts.sum() / (len(counts) * counts.clamp(min=1))
            # Classes behind the last one that occurs have no images, and no say.
            weights = nn.functional.pad(balanced, (0, logits.shape[1] - len(counts)))
        return nn.functional.cross_entropy(
            logits, targets, weights, label_smoothing=self.recipe.label_smoothing
        )

    def _call(self, hook: str, *arguments: Any) -> None:
        for callback in self.callbacks:
            getattr(callback, hook)(self, *arguments)
