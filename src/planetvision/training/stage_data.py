"""What the epochs of a stage go through: views of images, what was stored of them, and loaders."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from torch.utils.data import DataLoader, Dataset

from planetvision.core.errors import SettingsError
from planetvision.core.settings import Stage
from planetvision.data.loading import EpochSampler, ImageDataset, create_loader
from planetvision.inference.features import FeatureDataset, ViewDataset

__all__ = ["Refresh", "create_stage_loader", "create_views", "store_views"]

Refresh: TypeAlias = "Callable[[int], None]"


def create_views(stage: Stage, train: ImageDataset, *, first_epoch: int) -> ViewDataset:
    """Returns the views that a stage sees of its training images.

    Args:
        stage: The stage.
        train: The images.
        first_epoch: The number of the stage's first epoch.
    """
    return ViewDataset(
        train, stage.views, first_epoch=first_epoch, refresh_epochs=stage.refresh_epochs
    )


def store_views(
    views: ViewDataset, compute: Callable[..., FeatureDataset], *, epoch: int
) -> tuple[FeatureDataset, Refresh]:
    """Returns the stored views of an epoch, and a function of the epoch that renews them.

    Args:
        views: The views.
        compute: Returns what is stored of views, as `compute_features` does.
        epoch: The number of the epoch that comes next.
    """
    stored = compute(views, epoch=epoch, description="features")

    def refresh(number: int) -> None:
        if number > epoch and views.is_new_at(number):
            stored.replace(compute(views, epoch=number, description="features"))

    return stored, refresh


def create_stage_loader(
    stage: Stage,
    data: Dataset[Any] | DataLoader[Any],
    *,
    batch_size: int,
    seed: int | None,
    num_processes: int,
    num_workers: int,
    pin_memory: bool,
) -> tuple[DataLoader[Any], EpochSampler | None]:
    """Returns batches of the data, and what orders them; a loader of the caller's stays as it is.

    Args:
        stage: The stage.
        data: The data, or a loader.
        batch_size: Items a batch, of all processes together.
        seed: The seed of the order; None keeps that of the data.
        num_processes: How many processes share a batch.
        num_workers: Loader processes.
        pin_memory: Whether batches go into memory that a GPU reads faster.

    Raises:
        SettingsError: If a batch cannot be shared out equally.
    """
    if isinstance(data, DataLoader):
        return data, None
    if batch_size % num_processes:
        raise SettingsError(
            f"stage '{stage.name}': the batch size {batch_size} cannot be shared out equally "
            f"between {num_processes} processes. Pass a multiple of {num_processes}."
        )
    sampler = EpochSampler(len(data), shuffle=seed is not None, seed=seed or 0)  # type: ignore[arg-type] # data sets have a length
    loader = create_loader(
        data, sampler, batch_size=batch_size, num_workers=num_workers, pin_memory=pin_memory
    )
    return loader, sampler
