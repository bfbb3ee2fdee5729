"""`Trainer`: runs a recipe's stages on a network, by Accelerate."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import math
import os
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.utils.data import DataLoader

from planetvision.core.devices import (
    create_accelerator,
    derive_seed,
    is_main_process,
    resolve_device,
    resolve_precision,
    seeded,
)
from planetvision.core.errors import DataError, SettingsError, TrainingError
from planetvision.core.performance import get_num_workers, resolve_tuning, tune_machine
from planetvision.core.settings import Precision, Recipe, Stage
from planetvision.data.loading import ImageDataset
from planetvision.inference.features import (
    Extract,
    FeatureDataset,
    ViewDataset,
    compute_features,
    gather_batch,
)
from planetvision.inference.temperature import fit_temperature, get_cross_entropy
from planetvision.models.network import PlanetNet
from planetvision.results.history import EpochRecord, TrainingHistory
from planetvision.training.averaging import (
    BestWeights,
    MovingAverage,
    copy_learned,
    interpolate,
    load_learned,
)
from planetvision.training.callbacks import Callback, ProgressBar
from planetvision.training.checkpoint import Checkpoints, describe_training
from planetvision.training.gradients import compute_gradients
from planetvision.training.inputs import (
    TrainingData,
    count_classes,
    leave_out_uncounted,
    prepare_data,
)
from planetvision.training.objective import Objective, check_targets
from planetvision.training.replay import Replay, find_frozen_part
from planetvision.training.settings_checks import (
    check_data,
    find_recipe_problems,
    find_time_problems,
)
from planetvision.training.sharing import agree_on_any, check_shareable, warn_of_batch_statistics
from planetvision.training.stage_data import create_stage_loader, create_views, store_views
from planetvision.training.stage_run import StageRun, Validation
from planetvision.training.stages import apply_stage, create_optimizer, create_scheduler

if TYPE_CHECKING:
    from accelerate import Accelerator

__all__ = ["Trainer"]

logger = logging.getLogger(__name__)


class Trainer:
    """Trains a network by a recipe.

    Each step is a small method, so that a subclass can change one: `fit`, `run_stage`,
    `prepare_stage`, `split_network`, `goes_on`, `run_epoch`, `train_step`, `validate`.

    Under `accelerate launch` or `torchrun` every process runs the same script, and the batches are
    shared out between them.

    After `fit`, `val_loss` and `val_accuracy` are those of the weights that were kept. While it
    runs, `is_resumed` says whether it goes on from a checkpoint.

    Args:
        network: The network; it is trained in place. Any other module from images to logits will
            do for recipes whose stages train all of it.
        recipe: The stages.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        precision: `auto`, `fp32`, `fp16` (with gradient scaling) or `bf16`.
        scheduler: A registered schedule for all stages; None takes each stage's own.
        seed: One seed makes two runs on CPU identical to the bit.
        num_workers: Loader processes; None lets the machine decide. The result does not depend
            on it.
        store_features: Whether a stage with `views` runs what is frozen once. Without it each step
            runs the whole network on the same views, with the same results.
        compile: Whether steps that run the whole network are compiled by `torch.compile`.
        tuning: The levers of the machine that are on: see `planetvision.core.performance`.
        max_minutes: When this time is over, the stage ends after the step, and no other begins.
        checkpoints: The folder for what `fit(resume=...)` goes on from; None keeps nothing.
        callbacks: Hooks.
        progress: Whether to show progress bars.
    """

    def __init__(
        self,
        network: nn.Module,
        recipe: Recipe,
        *,
        device: str = "auto",
        precision: Precision = "auto",
        scheduler: str | None = None,
        seed: int = 0,
        num_workers: int | None = None,
        store_features: bool = True,
        compile: bool = False,
        tuning: str = "auto",
        max_minutes: float | None = None,
        checkpoints: str | os.PathLike[str] | None = None,
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
        self.compile = compile
        resolve_tuning(tuning)
        if problems := find_time_problems(max_minutes):
            raise SettingsError.from_problems(problems)
        self.tuning = tuning
        self.max_minutes = max_minutes
        self.checkpoints = None if checkpoints is None else Checkpoints(checkpoints)
        self.callbacks = [*callbacks, *([ProgressBar()] if progress else [])]
        self.progress = progress
        self.history = TrainingHistory()
        self.val_loss: float | None = None
        self.val_accuracy: float | None = None
        self.is_resumed = False
        self._accelerator: Accelerator | None = None
        self._deadline = math.inf
        self._class_counts: torch.Tensor | None = None

    @property
    def accelerator(self) -> Accelerator:
        """The engine; there is one only while `fit` runs."""
        if self._accelerator is None:
            raise TrainingError("The trainer has an accelerator only while `fit` runs.")
        return self._accelerator

    @property
    def is_main_process(self) -> bool:
        """Whether this process is the one that writes and shows things."""
        if self._accelerator is None:
            return is_main_process()
        return bool(self._accelerator.is_main_process)

    def fit(
        self,
        train: TrainingData,
        val: TrainingData | None = None,
        *,
        resume: str | os.PathLike[str] | None = None,
    ) -> TrainingHistory:
        """Trains the network and returns the history; the network ends in evaluation mode.

        Args:
            train: The training images, to which the recipe's augmentation is applied; or another
                dataset of images and class indices; or a loader of such batches, whose order is
                its own. A loader must have at least one batch. Images of none of the classes have
                the target -1; where they count nothing (`Recipe.others_weight`), those of an
                `ImageDataset` are left out.
            val: The validation images; without them no stage ends early, and its last weights
                are kept.
            resume: The folder of checkpoints of the same training, which goes on after the last
                epoch that was written there. On CPU its result is that of a training that was
                never cut off, to the bit, unless a loader of the caller's draws its order from a
                generator of its own.

        Raises:
            TrainingError: If the loss is no longer a finite number, or a single image does not fit
                into memory.
            CheckpointError: If there is no checkpoint, or it is of another training.
            DataError: If a target is no class of the network, or below -1 where only the batches
                tell.
            SettingsError: If there is no such schedule, optimizer, loss or policy, all that are
                wrong at once; a stage asks for what the network or the data do not have; or a
                target is below -1.
        """
        if problems := find_recipe_problems(self.recipe, scheduler=self.scheduler):
            raise SettingsError.from_problems(problems)
        check_data(train, val, self.recipe)
        train = leave_out_uncounted(train, self.recipe)
        tune_machine(self.tuning)
        self._deadline = math.inf
        if self.max_minutes is not None:
            self._deadline = time.monotonic() + 60 * self.max_minutes
        self.history = TrainingHistory()
        counts = count_classes(train, self.recipe)
        self._class_counts = None if counts is None else counts.to(self.device)
        first, state, epoch_state = 0, None, None
        self.is_resumed = resume is not None
        if resume is not None:
            self.checkpoints = Checkpoints(resume)
        settings = {} if self.checkpoints is None else self._describe(train, val)
        if self.checkpoints is not None and self.is_resumed:
            state, epoch_state = self.checkpoints.load(settings)
            first = state["stage"]
            self.network.load_state_dict(state["network"])
            self._load_progress(state)
        train = prepare_data(train, self.recipe.augmentation)
        val = None if val is None else prepare_data(val, "none")
        self.network.to(self.device)
        with (
            seeded(derive_seed(self.seed, "training"), device=self.device),
            create_accelerator(self.precision, self.device) as self._accelerator,
        ):
            try:
                # The hooks first: what they refuse must not cost an earlier training its files.
                self._call("on_fit_begin")
                if self.checkpoints and not self.is_resumed and self.is_main_process:
                    self.checkpoints.start(settings)
                self._load_scaler(epoch_state or state or {})
                for index, stage in enumerate(self.recipe.stages[first:], start=first):
                    if self._is_over():
                        logger.warning("stage %s is left out: the time is over", stage.name)
                        break
                    if epoch_state is None:
                        self._save_stage(index)
                    self.run_stage(stage, train, val, resume=epoch_state)
                    epoch_state = None
                self._save_stage(len(self.recipe.stages))
            finally:
                self._call("on_fit_end")
                self._accelerator = None
                self.network.requires_grad_(True)
                if isinstance(self.network, PlanetNet):
                    self.network.set_trainable(None, freeze_batch_norm=False)
                self.network.eval()
        return self.history

    def run_stage(
        self,
        stage: Stage,
        train: TrainingData,
        val: TrainingData | None,
        *,
        resume: Mapping[str, Any] | None = None,
    ) -> None:
        """Runs one stage and leaves the network with its best weights.

        The best are those of the lowest validation loss, the state before the first epoch
        included: a stage that makes nothing better changes nothing, unless its `monitor` is `none`.
        """
        apply_stage(self.network, stage)
        start = copy_learned(self.network)
        first_epoch = len(self.history) + 1
        if resume is not None:
            load_learned(self.network, resume["learned"])
            self._load_progress(resume)
        run = self.prepare_stage(stage, train, val, first_epoch=first_epoch)
        if resume is not None:
            run.load_state_dict(resume["run"])
        try:
            self._call("on_stage_begin", stage)
            if resume is None:
                self._judge(run)
            while self.goes_on(run):
                record = self.run_epoch(run)
                self._call("on_epoch_end", record)
                self._save_epoch(run)
            if val is not None and stage.monitor != "none":
                run.best.restore()
            elif run.average is not None and run.num_epochs:
                run.average.apply()
            if stage.interpolation < 1:
                interpolate(self.network, start, share=stage.interpolation)
                self._note(self.validate(run))
        finally:
            # Removes Accelerate's wrapper of `forward`, which would keep its autocast.
            learner = self.accelerator.unwrap_model(run.module, keep_fp32_wrapper=False)
            learner.__dict__.pop("forward", None)
            learner._compiled_call_impl = None
            self.accelerator.free_memory()
        self._call("on_stage_end", stage)

    def prepare_stage(
        self,
        stage: Stage,
        train: TrainingData,
        val: TrainingData | None,
        *,
        first_epoch: int = 1,
    ) -> StageRun:
        """Returns what the epochs of a stage work with; computes the stored features, if any.

        Args:
            stage: The stage, which `apply_stage` has applied to the network.
            train: The training images.
            val: The validation images.
            first_epoch: The number of the stage's first epoch.
        """
        module: nn.Module = self.network
        train_data: Any = train
        val_data: Any = val
        refresh = None
        workers = 0
        if not isinstance(train, DataLoader):
            workers = get_num_workers(self.num_workers, len(train))  # type: ignore[arg-type]
        if stage.views:
            assert isinstance(train, ImageDataset)  # `check_data` has seen to it
            train_data = views = create_views(stage, train, first_epoch=first_epoch)
            if self.store_features and (parts := self.split_network(stage)) is not None:
                extract, module = parts
                compute = partial(self._compute_features, extract, num_workers=workers)
                epoch = max(first_epoch, len(self.history) + 1)
                train_data, refresh = store_views(views, compute, epoch=epoch)
                if isinstance(val, ImageDataset):
                    val_data = compute(ViewDataset(val, 1), description="validation features")
                workers = 0
        if module is self.network and self.compile:
            module.compile()
        create_loader = partial(
            create_stage_loader,
            stage,
            num_processes=self.accelerator.num_processes,
            num_workers=workers,
            pin_memory=self.device.type == "cuda",
        )
        seed = derive_seed(self.seed, "stage", stage.name)
        batch_size = stage.batch_size or self.recipe.batch_size
        step_size = batch_size * stage.accumulation_steps
        train_loader, sampler = create_loader(train_data, batch_size=step_size, seed=seed)
        val_loader = None
        if val_data is not None:
            # Nothing is said of the size of a batch that only is looked at.
            even = batch_size + -batch_size % self.accelerator.num_processes
            val_loader, _ = create_loader(val_data, batch_size=even, seed=None)
        for loader in (train_loader, val_loader):
            if loader is not None:
                check_shareable(loader, self.accelerator)
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
        average = None
        if stage.ema_decay is not None:
            average = MovingAverage(self.network, stage.ema_decay)
        return StageRun(
            stage=stage,
            module=module,
            objective=Objective(self.recipe, stage, self._class_counts),
            optimizer=optimizer,
            scheduler=scheduler,
            train_loader=train_loader,
            val_loader=val_loader,
            sampler=sampler,
            best=BestWeights(self.network, stage.patience),
            average=average,
            refresh=refresh,
            num_chunks=stage.accumulation_steps,
        )

    def split_network(self, stage: Stage) -> tuple[Extract, nn.Module] | None:
        """Returns the network in two: what a stage leaves as it is, and what learns above it.

        The first is a function from images to tensors, the second a module from those to logits.
        None where the two cannot be told apart: then every step runs the whole network.
        """
        network = self._get_planet_net(stage)
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
        """Goes through the training images once, validates, and returns the record.

        The record is in the history by then, and the weights are kept if they are the best.
        """
        started = time.perf_counter()
        epoch = len(self.history) + 1
        if run.refresh is not None:
            run.refresh(epoch)
        run.module.train()
        warn_of_batch_statistics(run.module, self.accelerator)
        if run.sampler is not None:
            run.sampler.set_draw(epoch)
        rate = step_rate = run.optimizer.param_groups[0]["lr"]
        step = 0
        total = torch.zeros(3, dtype=torch.float64)
        # A seed an epoch: a training that goes on from here draws what it would have drawn.
        with seeded(derive_seed(self.seed, "epoch", epoch), device=self.device):
            for step, (*inputs, targets) in enumerate(run.train_loader, start=1):
                step_rate = run.optimizer.param_groups[0]["lr"]
                loss, correct, count = self.train_step(run, inputs, targets)
                total += torch.tensor([loss * count, correct, count], dtype=torch.float64)
                self._check_finite("The loss", loss, run, epoch, step, step_rate)
                self._call("on_step_end", loss)
                if self._is_over():
                    break
        if not step:
            raise DataError("The loader of training images gave no batch. Pass drop_last=False.")
        if not total[2] and not self._is_over():
            raise DataError(
                "No training image has a class: the targets are all -1. Pass the class index of "
                "each image; -1 is for what shows none of the classes."
            )
        # The loss is that before the step, which may have ruined what it went through.
        for weight in self.network.parameters():
            if weight.requires_grad and not bool(torch.isfinite(weight).all()):
                self._check_finite("A weight", math.nan, run, epoch, step, step_rate)
        run.num_epochs += 1
        validation = self._judge(run)
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
        self.history.append(record)
        return record

    def train_step(
        self, run: StageRun, inputs: Sequence[torch.Tensor], targets: torch.Tensor
    ) -> tuple[float, float, int]:
        """Takes one optimizer step.

        Args:
            run: What the stage works with.
            inputs: What `run.module` is called with: the images, or what was stored of them.
            targets: The class of each.

        Returns:
            The mean loss of the images that have a class, or of all where none has; the number of
            right answers, and that of images that have a class; over all processes.
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
        """Returns how good the network is on the validation images, if there are any."""
        if run.val_loader is None:
            return None
        run.module.eval()
        batches = []
        for *inputs, targets in run.val_loader:
            with self.accelerator.autocast():
                logits = run.module(*inputs)
            batches.append(gather_batch(self.accelerator, (logits.float(), targets)))
        logits, targets = (torch.cat(parts).cpu() for parts in zip(*batches, strict=True))
        check_targets(targets, logits.shape[1])
        answers, truth = logits.double().numpy(), targets.numpy()
        loss = get_cross_entropy(answers, truth)
        calibrated = math.nan
        if math.isfinite(loss):
            temperature = fit_temperature(answers, truth)
            calibrated = get_cross_entropy(answers, truth, temperature=temperature)
        return Validation(
            loss=loss,
            accuracy=float((answers.argmax(axis=1) == truth).mean()),
            calibrated_loss=calibrated,
        )

    def goes_on(self, run: StageRun) -> bool:
        """Returns whether another epoch of the stage follows."""
        if run.best.should_stop:
            logger.info("stage %s: no better since %d epochs", run.stage.name, run.stage.patience)
            return False
        if self._is_over():
            logger.warning(
                "stage %s ends after %d of %d epochs: the time is over",
                run.stage.name,
                run.num_epochs,
                run.stage.epochs,
            )
            return False
        return run.num_epochs < run.stage.epochs

    def _is_over(self) -> bool:
        """Whether the time is over in any process: they must stop at the same step."""
        if math.isinf(self._deadline):
            return False
        return agree_on_any(self.accelerator, time.monotonic() > self._deadline)

    def _judge(self, run: StageRun) -> Validation | None:
        """Validates the average of the weights, where there is one, and keeps it if it is best."""
        with contextlib.nullcontext() if run.average is None else run.average.applied():
            validation = self.validate(run)
            if validation is None:
                return None
            score = validation.loss
            if run.stage.monitor == "calibrated_loss":
                score = validation.calibrated_loss
            if run.stage.monitor == "none" or run.best.update(score):
                self._note(validation)
        return validation

    def _note(self, validation: Validation | None) -> None:
        if validation is not None:
            self.val_loss, self.val_accuracy = validation.loss, validation.accuracy

    def _get_planet_net(self, stage: Stage) -> PlanetNet:
        if not isinstance(self.network, PlanetNet):
            raise SettingsError(
                f"stage '{stage.name}': `views` needs a `PlanetNet`, got a "
                f"{type(self.network).__name__}. Wrap the module in one, or pass views=0."
            )
        return self.network

    def _compute_features(
        self, extract: Extract, views: ViewDataset, **options: Any
    ) -> FeatureDataset:
        self.network.eval()
        return compute_features(
            extract,
            views,
            accelerator=self.accelerator,
            progress=self.progress and self.is_main_process,
            **options,
        )

    def _describe(self, train: TrainingData, val: TrainingData | None) -> dict[str, Any]:
        return describe_training(
            self.network,
            self.recipe,
            train=train,
            val=val,
            scheduler=self.scheduler,
            seed=int(self.seed),
            precision=self.precision,
        )

    def _get_progress(self, stage: int) -> dict[str, Any]:
        scaler = self.accelerator.scaler
        return {
            "stage": stage,
            "history": [dataclasses.asdict(record) for record in self.history],
            "val_loss": self.val_loss,
            "val_accuracy": self.val_accuracy,
            # A stage begins with the scale of the one before: another may overflow, and skip steps.
            "scaler": None if scaler is None else scaler.state_dict(),
        }

    def _load_progress(self, state: Mapping[str, Any]) -> None:
        self.history.records[:] = [EpochRecord(**record) for record in state["history"]]
        self.val_loss, self.val_accuracy = state["val_loss"], state["val_accuracy"]

    def _save_stage(self, index: int) -> None:
        if self.checkpoints is not None and self.is_main_process:
            network = self.network.state_dict()
            self.checkpoints.save_stage({**self._get_progress(index), "network": network})

    def _save_epoch(self, run: StageRun) -> None:
        if self.checkpoints is None or not self.is_main_process:
            return
        self.checkpoints.save_epoch(
            {
                **self._get_progress(self.recipe.stages.index(run.stage)),
                "learned": copy_learned(self.network),
                "run": run.state_dict(),
            }
        )

    def _load_scaler(self, state: Mapping[str, Any]) -> None:
        if self.accelerator.scaler is not None and (saved := state.get("scaler")):
            self.accelerator.scaler.load_state_dict(saved)

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
            getattr(callback, hook)(self, *arguments)
