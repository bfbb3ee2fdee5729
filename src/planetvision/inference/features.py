"""Feature cache: the outputs of frozen layers for several views per image, computed once."""

from __future__ import annotations

import logging
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import psutil
import torch
from torch.utils.data import Dataset
from tqdm import tqdm

from planetvision.core.errors import TrainingError
from planetvision.data.loading import EpochSampler, ImageDataset, create_loader

if TYPE_CHECKING:
    from accelerate import Accelerator


logger = logging.getLogger(__name__)

Extract: TypeAlias = "Callable[[torch.Tensor], tuple[torch.Tensor, ...]]"

# Share of the available memory; larger caches go to a file, which the system keeps in memory as
# far as possible.
_MEMORY_SHARE = 0.25


class ViewDataset(Dataset[tuple[torch.Tensor, int]]):
    """Several views per image, one row per view: all images in the first view, then in the next.

    The first of several views is not augmented: it is the image as prediction sees it. The key of
    an item is `(row, epoch)`.

    Args:
        images: The images, with their augmentation.
        views: The number of views per image.
        first_epoch: The number of the first epoch.
        refresh_epochs: The number of epochs after which augmented views change; None keeps them.
    """

    def __init__(
        self,
        images: ImageDataset,
        views: int,
        *,
        first_epoch: int = 0,
        refresh_epochs: int | None = None,
    ) -> None:
        self.images = images
        self.views = views
        self.first_epoch = first_epoch
        self.refresh_epochs = refresh_epochs
        self._plain = images.with_augmentation("none")

    def is_new_at(self, epoch: int) -> bool:
        """Returns whether the views of this epoch differ from those of the epoch before."""
        since = epoch - self.first_epoch
        return since == 0 or (self.refresh_epochs is not None and since % self.refresh_epochs == 0)

    def __len__(self) -> int:
        return self.views * len(self.images)

    def __getitem__(self, key: tuple[int, int]) -> tuple[torch.Tensor, int]:
        """Returns the row's image and target."""
        row, epoch = key
        view, index = divmod(row, len(self.images))
        if view == 0 and self.views > 1:
            return self._plain[index, 0]
        earlier = (epoch - self.first_epoch) // self.refresh_epochs if self.refresh_epochs else 0
        # Negative draws, since later stages use the epoch number, which is positive.
        return self.images[index, view - self.views * (earlier + 1)]


class FeatureDataset(Dataset[tuple[Any, ...]]):
    """Cached features with their targets, read in batches.

    Convention: an item has one tensor per cached output, then the target.

    Args:
        features: The tensors, each with one row per item.
        targets: The class index of each row, int64.
    """

    def __init__(self, features: Sequence[torch.Tensor], targets: torch.Tensor) -> None:
        self.features = tuple(features)
        self.targets = targets

    def replace(self, other: FeatureDataset) -> None:
        """Replaces the features by those of another data set."""
        self.features, self.targets = other.features, other.targets

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, key: tuple[int, int]) -> tuple[torch.Tensor, ...]:
        return (*(tensor[key[0]] for tensor in self.features), self.targets[key[0]])

    def __getitems__(self, keys: Sequence[tuple[int, int]]) -> tuple[torch.Tensor, ...]:
        """Returns the batch of these keys, without one copy per row."""
        rows = torch.tensor([index for index, _ in keys])
        batch = (_take(tensor, rows) for tensor in self.features)
        return (*batch, self.targets[rows])


def _take(tensor: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    if tensor.ndim == 4 and not tensor.is_contiguous():
        # Channels last: indexing would make it channels first, and convolutions convert it back.
        return tensor.permute(0, 2, 3, 1)[rows].permute(0, 3, 1, 2)
    return tensor[rows]


@torch.no_grad()
def compute_features(
    extract: Extract,
    dataset: ViewDataset,
    *,
    epoch: int = 0,
    accelerator: Accelerator,
    batch_size: int = 32,
    num_workers: int = 0,
    progress: bool = False,
    description: str = "features",
) -> FeatureDataset:
    """Returns the outputs of the frozen layers for each row of a data set.

    Several processes share the work, and each has all rows in the end.

    Args:
        extract: A function from a batch of images to the tensors to cache.
        dataset: The views.
        epoch: The number of the epoch.
        accelerator: The engine, on the device of the network.
        batch_size: Images per forward pass, over all processes.
        num_workers: Loader processes.
        progress: Whether to show a progress bar, on a terminal.
        description: The text of the progress bar.
    """
    sampler = EpochSampler(len(dataset), shuffle=False)
    sampler.set_draw(epoch)
    processes = accelerator.num_processes
    share = -(-min(batch_size, len(dataset)) // processes)  # an incomplete batch is padded
    loader = accelerator.prepare_data_loader(
        create_loader(
            dataset,
            sampler,
            batch_size=processes * share,
            num_workers=num_workers,
            pin_memory=accelerator.device.type == "cuda",
        )
    )
    shown = progress and sys.stderr.isatty()  # a log file would keep every update of the bar
    features: list[torch.Tensor] = []
    targets = torch.empty(len(dataset), dtype=torch.int64)
    start = 0
    with tqdm(total=len(dataset), desc=description, unit="image", disable=not shown) as bar:
        for images, labels in loader:
            with accelerator.autocast():
                outputs = extract(images)
            gathered, labels = _gather(accelerator, outputs, labels)
            if not features:
                features = _allocate(gathered, len(dataset))
            rows = slice(start, start + len(labels))
            for store, output in zip(features, gathered, strict=True):
                store[rows] = output.cpu()
            targets[rows] = labels.cpu()
            start = rows.stop
            bar.update(len(labels))
    return FeatureDataset(features, targets)


def gather_batch(accelerator: Accelerator, tensors: Any) -> Any:
    """Returns what all processes have of a batch, in its order, without what fills it up.

    Args:
        accelerator: The engine.
        tensors: A tensor, or a tuple of them, with one row per image.
    """
    # With one process nothing is filled up, and Accelerate would take a loader's shorter last batch
    # for one that is, where the loader's sampler leaves images out.
    if accelerator.num_processes == 1:
        return tensors
    return accelerator.gather_for_metrics(tensors)


def _gather(
    accelerator: Accelerator, outputs: Sequence[torch.Tensor], labels: torch.Tensor
) -> tuple[list[torch.Tensor], torch.Tensor]:
    """Returns the batch of all processes, in its order and without padding."""
    gathered, labels = gather_batch(accelerator, (tuple(outputs), labels))
    # Gathering makes tensors contiguous, whatever their memory format was.
    return [
        whole.contiguous(memory_format=torch.channels_last) if _is_channels_last(like) else whole
        for whole, like in zip(gathered, outputs, strict=True)
    ], labels


def _is_channels_last(tensor: torch.Tensor) -> bool:
    return tensor.ndim == 4 and tensor.is_contiguous(memory_format=torch.channels_last)


def _allocate(outputs: Sequence[torch.Tensor], num_rows: int) -> list[torch.Tensor]:
    """Returns empty tensors for that many rows of each output, in its memory format."""
    num_bytes = num_rows * sum(output[0].numel() * output.element_size() for output in outputs)
    in_file = num_bytes > psutil.virtual_memory().available * _MEMORY_SHARE
    if in_file:
        logger.info("%.1f GB of cached features are in a temporary file", num_bytes / 1e9)
    return [_allocate_one(output, num_rows, in_file=in_file) for output in outputs]


def _reserve(file: Path, num_bytes: int) -> None:
    """Reserves disk space, since writing to a mapped file on a full disk kills the process."""
    try:
        with file.open("wb") as opened:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(opened.fileno(), 0, num_bytes)
            else:
                opened.truncate(num_bytes)
    except OSError as cause:
        raise TrainingError(
            f"The cached features take {num_bytes / 1e9:.1f} GB, more than the free memory, and "
            f"'{file.parent.parent}' has no space for them ({cause.strerror}). Set the environment "
            "variable TMPDIR to another folder, or choose fewer `views`."
        ) from cause


def _allocate_one(output: torch.Tensor, num_rows: int, *, in_file: bool) -> torch.Tensor:
    last = _is_channels_last(output)
    shape = (num_rows, *(output.permute(0, 2, 3, 1) if last else output).shape[1:])
    if in_file:
        # The file is deleted with the folder; the system keeps its content while it is mapped.
        with tempfile.TemporaryDirectory(
            prefix="planetvision-", ignore_cleanup_errors=True
        ) as folder:
            file = Path(folder, "features")
            count = torch.Size(shape).numel()
            _reserve(file, count * output.element_size())
            flat = torch.from_file(str(file), shared=True, size=count, dtype=output.dtype)
        store = flat.reshape(shape)
    else:
        store = torch.empty(shape, dtype=output.dtype)
    return store.permute(0, 3, 1, 2) if last else store
