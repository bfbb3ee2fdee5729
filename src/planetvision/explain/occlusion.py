"""Occlusion: how much the probability drops if a patch of the image is covered."""

from __future__ import annotations

import torch

from planetvision.models.network import PlanetNet

_GRID = 8


@torch.no_grad()
def compute_occlusion(
    network: PlanetNet, images: torch.Tensor, targets: torch.Tensor
) -> torch.Tensor:
    """Returns the fall of the target's probability for each covered patch, and 0 where it rises.

    Each patch is a fifth of the image wide, is filled with the image's mean colour, and moves over
    a grid of 8 by 8 positions.

    Convention: framed uint8 images (N, 3, S, S) and class indices (N,) in; maps (N, 8, 8) out.

    References:
        Zeiler & Fergus, Visualizing and Understanding Convolutional Networks, 2014, section 4.2,
        doi:10.1007/978-3-319-10590-1_53.
    """
    size = images.shape[-1]
    patch = max(1, size // 5)
    column = targets.reshape(-1, 1)
    whole = network(images).softmax(dim=1).gather(1, column)[:, 0]
    fill = images.float().mean(dim=(2, 3), keepdim=True).to(images.dtype)
    maps = torch.zeros(len(images), _GRID, _GRID, device=images.device)
    starts = torch.linspace(0, size - patch, _GRID).round().int().tolist()
    for row, top in enumerate(starts):
        for place, left in enumerate(starts):
            covered = images.clone()
            covered[:, :, top : top + patch, left : left + patch] = fill
            rest = network(covered).softmax(dim=1).gather(1, column)[:, 0]
            maps[:, row, place] = (whole - rest).clamp(min=0)
    return maps
