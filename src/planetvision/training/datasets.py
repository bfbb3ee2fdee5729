"""What a trainer is given: images of the library, another data set, or a loader of the caller's."""

from __future__ import annotations

import hashlib
from typing import Any, TypeAlias

import torch
from torch.utils.data import DataLoader, Dataset

from planetvision.core.errors import SettingsError
from planetvision.core.settings import Recipe
from planetvision.data.loading import NO_CLASS, ImageDataset
from planetvision.data.manifest import hash_sources

__all__ = [
    "TrainingData",
    "count_classes",
    "describe_data",
    "leave_out_uncounted",
    "prepare_data",
]

TrainingData: TypeAlias = "Dataset[Any] | DataLoader[Any]"


class _ByIndex(Dataset[Any]):
    """A data set that is asked by `(index, epoch)` and looks at the index alone."""

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
    """Returns the data without images of none of the classes, where these count nothing.

    Else they would take their time, and BatchNorm would learn from them. Data that are not images
    of the library stay as they are.
    """
    if recipe.others_weight or not isinstance(data, ImageDataset) or NO_CLASS not in data.targets:
        return data
    return data.choose([row for row, target in enumerate(data.targets) if target != NO_CLASS])


def count_classes(data: TrainingData, recipe: Recipe) -> torch.Tensor | None:
    """Returns how many images each class has, (K,); None where the data do not say.

    Raises:
        SettingsError: If the recipe needs to know.
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
            f"the {type(source).__name__} has no `targets`. Give it that attribute, the class "
            "index of each image, or change the recipe."
        )
    return None


def describe_data(data: TrainingData) -> dict[str, Any]:
    """Returns what tells these data from others, for a checkpoint."""
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
