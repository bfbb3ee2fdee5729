"""Data of a stage: images, cached features and loaders."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from torch import nn
from torch.utils.data import DataLoader

from planetvision.core.errors import SettingsError
from planetvision.core.settings import Stage
from planetvision.data.loading import EpochSampler, create_loader
from planetvision.inference.features import FeatureDataset, ViewDataset
from planetvision.training.distributed import check_shareable

if TYPE_CHECKING:
    from accelerate import Accelerator


Refresh: TypeAlias = "Callable[[int], None]"


@dataclass(frozen=True, kw_only=True)
class StageData:
    """Module of a stage and its data.

    Args:
        module: The network, or its trainable layers if features are cached.
        train: The training data: images, views of them, or cached features.
        val: The same for validation, or None.
        refresh: Updates the cached features for an epoch number; None without a cache.
        num_workers: Loader processes.
    """

    module: nn.Module
    train: Any
    val: Any
    refresh: Refresh | None = None
    num_workers: int = 0


def store_views(
    views: ViewDataset, compute: Callable[..., FeatureDataset], *, epoch: int
) -> tuple[FeatureDataset, Refresh]:
    """Returns the cached features of an epoch, and a function that updates them.

    Args:
        views: The views.
        compute: Returns the features of views, as `compute_features` does.
        epoch: The number of the next epoch.
    """
    stored = compute(views, epoch=epoch, description="features")

    def refresh(number: int) -> None:
        if number > epoch and views.is_new_at(number):
            stored.replace(compute(views, epoch=number, description="features"))

    return stored, refresh


def create_stage_loaders(
    stage: Stage,
    data: StageData,
    accelerator: Accelerator,
    *,
    batch_size: int,
    seed: int,
    pin_memory: bool,
) -> tuple[DataLoader[Any], DataLoader[Any] | None, EpochSampler | None]:
    """Returns the training loader, the validation loader, and the sampler of the first.

    A loader given by the user is returned unchanged, with None as its sampler.

    Args:
        stage: The stage.
        data: Its data.
        accelerator: The engine; its processes share each batch.
        batch_size: Images per batch, over all processes.
        seed: The seed of the order.
        pin_memory: Whether to use pinned memory, for faster copies to a GPU.

    Raises:
        SettingsError: If a batch cannot be shared equally.
    """
    num_processes = accelerator.num_processes
    create = partial(create_loader, num_workers=data.num_workers, pin_memory=pin_memory)
    sampler, val_loader = None, None
    if isinstance(data.train, DataLoader):
        train_loader = data.train
    else:
        step_size = batch_size * stage.accumulation_steps
        if step_size % num_processes:
            raise SettingsError(
                f"stage '{stage.name}': the batch size {step_size} cannot be shared equally "
                f"between {num_processes} processes. Pass a multiple of {num_processes}."
            )
        sampler = EpochSampler(len(data.train), shuffle=True, seed=seed)
        train_loader = create(data.train, sampler, batch_size=step_size)
    if isinstance(data.val, DataLoader):
        val_loader = data.val
    elif data.val is not None:
        # The validation batch size does not change the result.
        size = batch_size + -batch_size % num_processes
        val_loader = create(data.val, EpochSampler(len(data.val), shuffle=False), batch_size=size)
    for loader in (train_loader, val_loader):
        if loader is not None:
            check_shareable(loader, accelerator)
    return train_loader, val_loader, sampler
