"""The features of a frozen backbone, computed once for several augmented views of each image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.utils.data import Dataset
from tqdm import tqdm

from planetvision.data.loading import EpochSampler, ImageDataset, create_loader
from planetvision.network import PlanetNet

__all__ = ["FeatureDataset", "compute_features"]


class FeatureDataset(Dataset[tuple[torch.Tensor, torch.Tensor]]):
    """Stored features with their targets, handed out a batch at a time.

    Convention: features are float32 of shape (views * num_images, C), targets int64.

    Args:
        features: The features.
        targets: The class index of each row.
    """

    def __init__(self, features: torch.Tensor, targets: torch.Tensor) -> None:
        self.features = features
        self.targets = targets

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, key: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor]:
        return self.features[key[0]], self.targets[key[0]]

    def __getitems__(self, keys: Sequence[tuple[int, int]]) -> tuple[torch.Tensor, torch.Tensor]:
        """Returns the batch of these keys, without a copy for each row."""
        rows = torch.tensor([index for index, _ in keys])
        return self.features[rows], self.targets[rows]


@torch.no_grad()
def compute_features(
    network: PlanetNet,
    dataset: ImageDataset,
    *,
    views: int,
    device: torch.device,
    autocast: Any,
    batch_size: int = 32,
    num_workers: int = 0,
    progress: bool = False,
    description: str = "features",
) -> FeatureDataset:
    """Returns the pooled features of several views of each image.

    Of several views the first is the image as the network is shown it at prediction, without
    augmentation: it is what the head will be asked about.

    Args:
        network: Its backbone must be in evaluation mode.
        dataset: The images.
        views: How many views of each image.
        device: Where the network is.
        autocast: A function that returns the context of the forward pass.
        batch_size: Images a forward pass.
        num_workers: Loader processes.
        progress: Whether to show a progress bar.
        description: What the bar says.
    """
    plain = [(dataset.with_augmentation("none"), range(1))] if views > 1 else []
    features, targets = [], []
    total = views * len(dataset)
    with tqdm(total=total, desc=description, unit="image", disable=not progress) as bar:
        # Negative draws: a later stage augments by the numbers of its epochs, which are not.
        for part, draws in [*plain, (dataset, range(-views, -len(plain)))]:
            sampler = EpochSampler(len(part), shuffle=False)
            loader = create_loader(
                part,
                sampler,
                batch_size=batch_size,
                num_workers=num_workers,
                pin_memory=device.type == "cuda",
            )
            for draw in draws:
                sampler.set_draw(draw)
                for images, labels in loader:
                    with autocast():
                        pooled = network.forward_features(images.to(device, non_blocking=True))
                    features.append(pooled.float().cpu())
                    targets.append(labels)
                    bar.update(len(labels))
    return FeatureDataset(torch.cat(features), torch.cat(targets))
