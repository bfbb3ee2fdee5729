"""A backbone small enough to be trained from scratch in a test."""

from __future__ import annotations

import itertools

import torch
from torch import nn


class TinyBackbone(nn.Module):
    """Four strided convolutions with batch norm.

    Convention: normalised images (N, 3, H, W) in, feature maps (N, 128, H/16, W/16) out.
    """

    def __init__(self) -> None:
        super().__init__()
        widths = (3, 16, 32, 64, 128)
        self.blocks = nn.Sequential(
            *(
                nn.Sequential(
                    nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False),
                    nn.BatchNorm2d(after),
                    nn.ReLU(),
                )
                for before, after in itertools.pairwise(widths)
            )
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Returns the feature maps."""
        features: torch.Tensor = self.blocks(images)
        return features
