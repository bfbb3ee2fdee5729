"""Training data: an `ImageDataset`, another PyTorch data set, or a loader."""

from __future__ import annotations

import hashlib
from typing import Any, TypeAlias

import torch
from torch.utils.data import DataLoader, Dataset

from planetvision.core.errors import SettingsError
from planetvision.core.settings import Recipe
from planetvision.data.loading import NO_CLASS, ImageDataset
from planetvision.data.manifest import hash_sources

TrainingData: TypeAlias = "Dataset[Any] | DataLoader[Any]"


class _ByIndex(Dataset[Any]):
    """Data set with the keys `(index, epoch)` that ignores the epoch."""

    def __init__(self, data: Any) -> None:
        self.data = data

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, key: tuple[int, int]) -> Any:
        return self.data[key[0]]


def prepare_data(data: TrainingData, augmentation: str) -> TrainingData:
    """Returns the data as the trainer's loaders ask for them.

    Args:
        data: Images of the library get the augmentation; others are taken as they are.
        augmentation: A registered policy.
    """
    if isinstance(data, ImageDataset):
        return data.with_augmentation(augmentation)
    return data if isinstance(data, DataLoader) else _ByIndex(data)


def leave_out_uncounted(data: TrainingData, recipe: Recipe) -> TrainingData:
    """Returns the data without negatives if their loss weight is 0.

    They would cost time and change BatchNorm statistics. Data other than an `ImageDataset` are
    returned unchanged.
    """
    if (
        recipe.negatives_weight
        or not isinstance(data, ImageDataset)
        or NO_CLASS not in data.targets
    ):
        return data
    return data.choose([row for row, target in enumerate(data.targets) if target != NO_CLASS])


def count_classes(data: TrainingData, recipe: Recipe) -> torch.Tensor | None:
    """Returns the number of images of each class, (K,); None if the data have no targets.

    Raises:
        SettingsError: If the recipe needs these numbers.
    """
    source = data.dataset if isinstance(data, DataLoader) else data
    targets = getattr(source, "targets", None)
    if targets is not None:
        known = torch.as_tensor(targets)
        return torch.bincount(known[known != NO_CLASS]).float()
    needs = [
        f"stage '{stage.name}' mixes images"
        for stage in recipe.stages
        if stage.mixup or stage.cutmix
    ]
    if recipe.class_weights == "balanced":
        needs.append("class_weights is 'balanced'")
    if needs:
        raise SettingsError(
            f"The classes of the training images must be known, since {' and '.join(needs)}, and "
            f"the {type(source).__name__} has no `targets`. Add this attribute with the class "
            "index of each image, or change the recipe."
        )
    return None


def describe_data(data: TrainingData) -> dict[str, Any]:
    """Returns what identifies the data, for checkpoints."""
    if not isinstance(data, ImageDataset):
        source: Any = data.dataset if isinstance(data, DataLoader) else data
        return {"kind": type(source).__name__, "images": len(source)}
    hashes = data.hashes if all(data.hashes) else hash_sources(data.sources)
    digest = hashlib.sha256()
    for known, target in zip(hashes, data.targets, strict=True):
        digest.update(f"{known} {target}\n".encode())
    return {
        "kind": "images",
        "images": len(data),
        "sha256": digest.hexdigest(),
        "seed": int(data.seed),
        "input": data.input_spec.to_dict(),
    }
