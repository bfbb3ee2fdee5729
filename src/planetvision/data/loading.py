"""Loading: datasets and loaders whose augmentation depends on image and epoch, not on workers."""

from __future__ import annotations

import contextlib
import copy
import functools
import importlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from planetvision.core.devices import derive_seed, seeded
from planetvision.core.errors import SettingsError
from planetvision.core.settings import InputSpec, Label
from planetvision.data.cache import DecodedCache, create_cache_key, read_through
from planetvision.data.catalog import Catalog
from planetvision.data.decoders import DECODERS
from planetvision.data.images import ImageSource, read_image
from planetvision.imaging.policies import ImageTransform, create_transform

Key = int | tuple[int, int]
# The target of a negative, or of an image whose class is not known.
NO_CLASS = -1


class ImageDataset(Dataset[tuple[torch.Tensor, int]]):
    """Decoded, augmented and framed images with their targets.

    The key of an item is `(index, draw)`, or `index` for draw 0. The same pair and seed give the
    same pixels in any process and order.

    Convention: an item is a uint8 tensor of shape (3, image_size, image_size) and its target.

    Args:
        sources: The images.
        targets: The class index of each image, or -1 (`NO_CLASS`) for a negative;
            None gives -1 for all.
        input_spec: What the network is shown.
        augmentation: The registered policy.
        seed: The seed of the augmentation.
        hashes: The hash of each image's content, for the cache; None keeps nothing.
        cache: Where decoded images are kept.
    """

    has_files = True

    def __init__(
        self,
        sources: Sequence[ImageSource],
        targets: Sequence[int] | None = None,
        *,
        input_spec: InputSpec,
        augmentation: str = "none",
        seed: int = 0,
        hashes: Sequence[str] | None = None,
        cache: DecodedCache | None = None,
    ) -> None:
        self.sources = tuple(sources)
        self.targets = tuple(targets) if targets is not None else (NO_CLASS,) * len(self.sources)
        self.input_spec = input_spec
        self.augmentation = augmentation
        self.seed = seed
        self.hashes = tuple(hashes) if hashes is not None else ("",) * len(self.sources)
        self.cache = cache
        self._transform: ImageTransform | None = None

    def __len__(self) -> int:
        return len(self.sources)

    def __getitem__(self, key: Key) -> tuple[torch.Tensor, int]:
        """Returns the image and its target.

        Raises:
            ImageError: If the image cannot be read.
        """
        index, draw = key if isinstance(key, tuple) else (key, 0)
        image = self.read(index, draw)
        with seeded(derive_seed(self.seed, "augmentation", index, draw)):
            framed = self._get_transform()(image)
        return framed.contiguous(), self.targets[index]

    def with_augmentation(self, augmentation: str) -> ImageDataset:
        """Returns a dataset of the same images with another augmentation policy."""
        return self._create(self.sources, self.targets, self.hashes, augmentation)

    def choose(self, rows: Sequence[int]) -> ImageDataset:
        """Returns a dataset of some of its images, in that order."""
        return self._create(
            [self.sources[row] for row in rows],
            [self.targets[row] for row in rows],
            [self.hashes[row] for row in rows],
        )

    def join(self, others: ImageDataset) -> ImageDataset:
        """Returns a dataset with the images of another one behind its own.

        What it is shown, its policy, seed and cache are those of this dataset.

        Raises:
            SettingsError: If one of the two draws its images on the fly.
        """
        if not (self.has_files and others.has_files):
            raise SettingsError(
                "Pictures that are drawn on the fly cannot be joined with other images. Write them "
                "by `write_dataset`, and pass a table of both."
            )
        return self._create(
            (*self.sources, *others.sources),
            (*self.targets, *others.targets),
            (*self.hashes, *others.hashes),
        )

    def _create(
        self,
        sources: Sequence[ImageSource],
        targets: Sequence[int],
        hashes: Sequence[str],
        augmentation: str | None = None,
    ) -> ImageDataset:
        """Returns a dataset of these images that is like this one in all else."""
        created = copy.copy(self)
        created.sources, created.targets = tuple(sources), tuple(targets)
        created.hashes = tuple(hashes)
        if augmentation is not None:
            created.augmentation = augmentation
        return created

    def read(self, index: int, draw: int = 0) -> torch.Tensor:
        """Returns the decoded image, uint8 of shape (3, H, W), not yet augmented or framed.

        Args:
            index: The image.
            draw: Which draw of it, for subclasses whose images are new in every epoch; a file is
                the same in all.

        Raises:
            ImageError: If it cannot be read.
        """
        spec = self.input_spec
        key = create_cache_key(self.hashes[index], min_size=spec.decode_size, stretch=spec.stretch)
        array = read_through(
            self.cache,
            key,
            lambda: read_image(
                self.sources[index], min_size=spec.decode_size, stretch=spec.stretch
            ),
        )
        return torch.from_numpy(array).permute(2, 0, 1)

    def _get_transform(self) -> ImageTransform:
        if self._transform is None:
            self._transform = create_transform(self.augmentation, self.input_spec)
        return self._transform

    def __getstate__(self) -> dict[str, Any]:
        # Transforms may hold lambdas; a spawned worker builds its own, and so does a copy, whose
        # policy may be another.
        return {**self.__dict__, "_transform": None}


class EpochSampler(Sampler[tuple[int, int]]):
    """Yields `(index, draw)` pairs, in an order that depends on seed and draw alone.

    Args:
        num_images: How many images there are.
        seed: The seed of the order.
        shuffle: Whether the order is random; otherwise it is that of the images.
    """

    def __init__(self, num_images: int, *, seed: int = 0, shuffle: bool = True) -> None:
        self.num_images = num_images
        self.seed = seed
        self.shuffle = shuffle
        self.draw = 0

    def set_draw(self, draw: int) -> None:
        """Sets the draw that the next pass yields.

        It is not called `set_epoch`: Accelerate's loaders call that with a count of their own.
        """
        self.draw = draw

    def __len__(self) -> int:
        return self.num_images

    def __iter__(self) -> Iterator[tuple[int, int]]:
        order = np.arange(self.num_images)
        if self.shuffle:
            order = np.random.default_rng(derive_seed(self.seed, "order", self.draw)).permutation(
                self.num_images
            )
        return iter([(int(index), self.draw) for index in order])


def create_datasets(
    catalog: Catalog,
    *,
    classes: Sequence[Label],
    input_spec: InputSpec,
    seed: int = 0,
    cache: DecodedCache | None = None,
) -> tuple[ImageDataset, ImageDataset]:
    """Returns the datasets of the training and validation splits.

    Args:
        catalog: The images with labels and splits.
        classes: The class of each target.
        input_spec: What the network is shown.
        seed: The seed of the augmentation.
        cache: Where decoded images are kept.
    """
    train, val = (
        ImageDataset(
            part.sources,
            [classes.index(label) for label in part.labels or ()],
            input_spec=input_spec,
            seed=seed,
            hashes=part.hashes,
            cache=cache,
        )
        for part in (catalog.get_split("train"), catalog.get_split("val"))
    )
    return train, val


def create_loader(
    dataset: Dataset[Any],
    sampler: Sampler[Any],
    *,
    batch_size: int,
    num_workers: int = 0,
    pin_memory: bool = False,
) -> DataLoader[Any]:
    """Returns a loader that draws no random number from PyTorch's global generator.

    Datasets with `__getitems__` return a batch by themselves; the others are collated.

    Args:
        dataset: The images or features.
        sampler: The order.
        batch_size: Items a batch.
        num_workers: Loader processes.
        pin_memory: Whether batches lie in page-locked memory, for CUDA.
    """
    decoder_modules = sorted({str(spec.build.__module__) for spec in DECODERS.added()})
    batched = hasattr(dataset, "__getitems__")
    return DataLoader(
        dataset,
        batch_size=batch_size,
        sampler=sampler,
        num_workers=num_workers,
        pin_memory=pin_memory,
        collate_fn=_as_is if batched else None,
        persistent_workers=num_workers > 0,
        worker_init_fn=functools.partial(_import_modules, decoder_modules),
        # A loader draws a base seed at every pass; its own generator keeps dropout's untouched.
        generator=torch.Generator().manual_seed(0),
    )


def _import_modules(names: Sequence[str], worker_id: int) -> None:
    """Imports what registers decoders: a worker that is spawned knows the built-in ones alone."""
    for name in names:
        # Not all that this process has can be found by another.
        with contextlib.suppress(ImportError):
            importlib.import_module(name)


def _as_is(batch: Any) -> Any:
    return batch
