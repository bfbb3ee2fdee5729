"""`Trainer`: runs the stages of a recipe on a network, with Accelerate."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from torch import nn
from torch.utils.data import DataLoader

from planetvision.core.devices import (
    create_accelerator,
    derive_seed,
    resolve_device,
    resolve_precision,
    seeded,
)
from planetvision.core.errors import SettingsError
from planetvision.core.performance import apply_performance, get_num_workers, resolve_performance
from planetvision.core.settings import Precision, Recipe, Stage
from planetvision.data.loading import ImageDataset
from planetvision.inference.features import (
    Extract,
    FeatureDataset,
    ViewDataset,
    compute_features,
)
from planetvision.models.network import PlanetNet
from planetvision.results.history import TrainingHistory
from planetvision.training.averaging import (
    BestWeights,
    MovingAverage,
    copy_learned,
    interpolate,
    load_learned,
)
from planetvision.training.callbacks import Callback, ProgressBar
from planetvision.training.checkpoint import Checkpoints, describe_training
from planetvision.training.datasets import (
    TrainingData,
    count_classes,
    leave_out_uncounted,
    prepare_data,
)
from planetvision.training.epochs import EpochLoop
from planetvision.training.frozen_layers import split_network
from planetvision.training.objective import Objective
from planetvision.training.settings_checks import (
    check_data,
    find_recipe_problems,
    find_time_problems,
)
from planetvision.training.stage_data import StageData, create_stage_loaders, store_views
from planetvision.training.stage_run import StageRun
from planetvision.training.stages import apply_stage, create_optimizer, create_scheduler
from planetvision.training.state import TrainingState

logger = logging.getLogger(__name__)


class Trainer(EpochLoop):
    """Trains a network with a recipe.

    Subclasses can override single steps: `fit`, `run_stage`, `prepare_stage`, `split_network`,
    `has_next_epoch`, `run_epoch`, `train_step`, `validate`.

    Under `accelerate launch` or `torchrun`, every process runs the same script and they share the
    batches.

    `state` holds the history, the scores of the kept weights, and the engine; callbacks read it.

    Attributes:
        store_features: Whether a stage with `views` caches the outputs of frozen layers. If false,
            each step runs the whole network, with the same results.

    Args:
        network: The network, which is trained in place. Recipes that train the whole network also
            accept any other module from images to logits.
        recipe: The recipe.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        precision: `auto`, `fp32`, `fp16` (with gradient scaling) or `bf16`.
        seed: The seed; runs with the same seed on CPU are identical to the bit.
        num_workers: Loader processes; None chooses automatically. The result does not depend on it.
        compile: Whether steps that run the whole network are compiled by `torch.compile`.
        performance: Performance options: see `planetvision.core.performance`.
        max_minutes: The time limit, after which the current stage stops and no other starts.
        checkpoints: The folder of the checkpoints for `fit(resume=...)`; None writes none.
        callbacks: The callbacks.
        progress: Whether to show progress bars.
    """

    store_features = True

    def __init__(
        self,
        network: nn.Module,
        recipe: Recipe,
        *,
        device: str = "auto",
        precision: Precision = "auto",
        seed: int = 0,
        num_workers: int | None = None,
        compile: bool = False,
        performance: str = "auto",
        max_minutes: float | None = None,
        checkpoints: str | os.PathLike[str] | None = None,
        callbacks: Sequence[Callback] = (),
        progress: bool = False,
    ) -> None:
        self.network = network
        self.recipe = recipe
        self.device = resolve_device(device)
        self.precision = resolve_precision(precision, self.device)
        self.seed = seed
        self.num_workers = num_workers
        self.compile = compile
        resolve_performance(performance)
        if problems := find_time_problems(max_minutes):
            raise SettingsError.from_problems(problems)
        self.performance = performance
        self.max_minutes = max_minutes
        self.checkpoints = None if checkpoints is None else Checkpoints(checkpoints)
        self.callbacks = [*callbacks, *([ProgressBar()] if progress else [])]
        self.progress = progress
        self.state = self._create_state()

    def fit(
        self,
        train: TrainingData,
        val: TrainingData | None = None,
        *,
        resume: str | os.PathLike[str] | None = None,
    ) -> TrainingHistory:
        """Trains the network and returns the history; the network ends in evaluation mode.

        Args:
            train: The training images, an `ImageDataset` to which the recipe's augmentation is
                applied; or another data set of images and class indices, or a loader of such
                batches. Negatives have the target -1; if `Recipe.negatives_weight` is 0,
                those of an `ImageDataset` are left out.
            val: The validation images; without them no stage stops early, and the last weights
                are kept.
            resume: The folder of the checkpoints of the same training, which continues after the
                last complete epoch. On CPU the result equals that of an uninterrupted training to
                the bit, unless a loader shuffles with its own generator.

        Raises:
            TrainingError: If the loss is not finite, or a single image does not fit into memory.
            CheckpointError: If there is no checkpoint, or it belongs to another training.
            DataError: If a target in a batch is not a class index or -1.
            SettingsError: If the recipe has unknown names (all are listed), a stage does not
                support the network or the data, or a target is below -1.
        """
        if problems := find_recipe_problems(self.recipe):
            raise SettingsError.from_problems(problems)
        check_data(train, val, self.recipe)
        train = leave_out_uncounted(train, self.recipe)
        apply_performance(self.performance)
        self.state = self._create_state(is_resumed=resume is not None)
        if self.max_minutes is not None:
            self.state.deadline = time.monotonic() + 60 * self.max_minutes
        if (counts := count_classes(train, self.recipe)) is not None:
            self.state.class_counts = counts.to(self.device)
        if resume is not None:
            self.checkpoints = Checkpoints(resume)
        settings: dict[str, Any] = {}
        if self.checkpoints is not None:
            settings = describe_training(
                self.network,
                self.recipe,
                train=train,
                val=val,
                seed=int(self.seed),
                precision=self.precision,
            )
        stage_state, epoch_state = self._load_checkpoint(settings)
        train = prepare_data(train, self.recipe.augmentation)
        val = None if val is None else prepare_data(val, "none")
        self.network.to(self.device)
        with (
            seeded(derive_seed(self.seed, "training"), device=self.device),
            create_accelerator(self.precision, self.device) as self.state._accelerator,
        ):
            try:
                # Callbacks first: if one raises, the checkpoints of an earlier training are kept.
                self._call("on_fit_begin")
                if self.checkpoints and resume is None and self.state.is_main_process:
                    self.checkpoints.start(settings)
                self.state.load_scaler(epoch_state or stage_state or {})
                self._run_stages(train, val, stage_state=stage_state, epoch_state=epoch_state)
            finally:
                self._call("on_fit_end")
                self.state._accelerator = None
                self.network.requires_grad_(True)
                if isinstance(self.network, PlanetNet):
                    self.network.set_trainable(None, freeze_batch_norm=False)
                self.network.eval()
        return self.state.history

    def _run_stages(
        self,
        train: TrainingData,
        val: TrainingData | None,
        *,
        stage_state: Mapping[str, Any] | None,
        epoch_state: Mapping[str, Any] | None,
    ) -> None:
        """Runs all stages, or those that remain after a checkpoint."""
        first = 0 if stage_state is None else stage_state["stage"]
        for index, stage in enumerate(self.recipe.stages[first:], start=first):
            if self.state.is_over():
                logger.warning("stage %s is skipped: the time limit is reached", stage.name)
                break
            if epoch_state is None:
                self._save_stage(index)
            self.run_stage(stage, train, val, resume=epoch_state)
            epoch_state = None
        self._save_stage(len(self.recipe.stages))

    def run_stage(
        self,
        stage: Stage,
        train: TrainingData,
        val: TrainingData | None,
        *,
        resume: Mapping[str, Any] | None = None,
    ) -> None:
        """Runs one stage and leaves the network with its best weights.

        These have the lowest validation loss, including the weights before the first epoch: a stage
        without improvement changes nothing, unless its `monitor` is `none`.
        """
        apply_stage(self.network, stage)
        start = copy_learned(self.network)
        first_epoch = len(self.state.history) + 1
        if resume is not None:
            load_learned(self.network, resume["learned"])
            self.state.load_dict(resume)
        run = self.prepare_stage(stage, train, val, first_epoch=first_epoch)
        if resume is not None:
            run.load_state_dict(resume["run"])
        try:
            self._call("on_stage_begin", stage)
            if resume is None:
                self._validate_average(run)
            while self.has_next_epoch(run):
                record = self.run_epoch(run)
                self._call("on_epoch_end", record)
                if self.checkpoints is not None and self.state.is_main_process:
                    index = self.recipe.stages.index(stage)
                    learned = copy_learned(self.network)
                    self.checkpoints.save_epoch(
                        {**self.state.to_dict(index), "learned": learned, "run": run.state_dict()}
                    )
            if val is not None and stage.monitor != "none":
                run.best.restore()
            elif run.average is not None and run.num_epochs:
                run.average.apply()
            if stage.weight_interpolation < 1:
                interpolate(self.network, start, share=stage.weight_interpolation)
                self.state.keep_scores(self.validate(run))
        finally:
            # Removes Accelerate's wrapper of `forward`, which would keep its autocast.
            module = self.accelerator.unwrap_model(run.module, keep_fp32_wrapper=False)
            module.__dict__.pop("forward", None)
            module._compiled_call_impl = None
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
        """Returns the objects that the epochs of a stage use, after filling the feature cache.

        Args:
            stage: The stage, after `apply_stage`.
            train: The training images.
            val: The validation images.
            first_epoch: The number of the stage's first epoch.
        """
        data = self._prepare_data(stage, train, val, first_epoch=first_epoch)
        if data.module is self.network and self.compile:
            self.network.compile()
        train_loader, val_loader, sampler = create_stage_loaders(
            stage,
            data,
            self.accelerator,
            batch_size=stage.batch_size or self.recipe.batch_size,
            seed=derive_seed(self.seed, "stage", stage.name),
            pin_memory=self.device.type == "cuda",
        )
        optimizer = create_optimizer(self.network, stage)
        module, optimizer, train_loader, val_loader = self.accelerator.prepare(
            data.module, optimizer, train_loader, val_loader
        )
        scheduler = create_scheduler(
            optimizer, stage, name=stage.scheduler, steps_per_epoch=len(train_loader)
        )
        average = None
        if stage.ema_decay is not None:
            average = MovingAverage(self.network, stage.ema_decay)
        return StageRun(
            stage=stage,
            module=module,
            objective=Objective(self.recipe, stage, self.state.class_counts),
            optimizer=optimizer,
            scheduler=scheduler,
            train_loader=train_loader,
            val_loader=val_loader,
            sampler=sampler,
            best=BestWeights(self.network, stage.patience),
            average=average,
            refresh=data.refresh,
            num_chunks=stage.accumulation_steps,
        )

    def _prepare_data(
        self,
        stage: Stage,
        train: TrainingData,
        val: TrainingData | None,
        *,
        first_epoch: int,
    ) -> StageData:
        """Returns the module and the data of a stage, with cached features if possible."""
        workers = 0
        if not isinstance(train, DataLoader):
            workers = get_num_workers(self.num_workers, len(train))  # type: ignore[arg-type]
        data = StageData(module=self.network, train=train, val=val, num_workers=workers)
        if not stage.views:
            return data
        assert isinstance(train, ImageDataset)  # `check_data` refuses others
        views = ViewDataset(
            train, stage.views, first_epoch=first_epoch, refresh_epochs=stage.refresh_epochs
        )
        parts = self.split_network(stage) if self.store_features else None
        if parts is None:
            return replace(data, train=views)
        extract, module = parts
        compute = partial(self._compute_features, extract, num_workers=workers)
        epoch = max(first_epoch, len(self.state.history) + 1)
        stored, refresh = store_views(views, compute, epoch=epoch)
        if isinstance(val, ImageDataset):
            val = compute(ViewDataset(val, 1), description="validation features")
        return StageData(module=module, train=stored, val=val, refresh=refresh)

    def split_network(self, stage: Stage) -> tuple[Extract, nn.Module] | None:
        """Returns the frozen and the trainable part of the network.

        The first is a function from images to tensors, the second a module from these to logits.
        If the network cannot be split, it returns None, and every step runs the whole network.
        """
        if not isinstance(self.network, PlanetNet):
            raise SettingsError(
                f"stage '{stage.name}': `views` needs a `PlanetNet`, got a "
                f"{type(self.network).__name__}. Wrap the module in one, or pass views=0."
            )
        parts = split_network(self.network)
        if parts is None:
            logger.warning(
                "stage %s: the features of the frozen layers of %s cannot be cached, so every step "
                "runs the whole network",
                stage.name,
                self.network.spec.name,
            )
        return parts

    def _compute_features(
        self, extract: Extract, views: ViewDataset, **options: Any
    ) -> FeatureDataset:
        self.network.eval()
        return compute_features(
            extract,
            views,
            accelerator=self.accelerator,
            progress=self.progress and self.state.is_main_process,
            **options,
        )

    def _create_state(self, *, is_resumed: bool = False) -> TrainingState:
        return TrainingState(
            network=self.network, recipe=self.recipe, seed=int(self.seed), is_resumed=is_resumed
        )

    def _load_checkpoint(
        self, settings: Mapping[str, Any]
    ) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
        """Restores network and history; returns the states of a stage and of its last epoch."""
        if self.checkpoints is None or not self.state.is_resumed:
            return None, None
        stage_state, epoch_state = self.checkpoints.load(settings)
        self.network.load_state_dict(stage_state["network"])
        self.state.load_dict(stage_state)
        return stage_state, epoch_state

    def _save_stage(self, index: int) -> None:
        if self.checkpoints is not None and self.state.is_main_process:
            network = self.network.state_dict()
            self.checkpoints.save_stage({**self.state.to_dict(index), "network": network})
