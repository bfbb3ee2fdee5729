"""Energy: how much of a map lies on the body."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from planetvision.explain.checks.similarity import resize_maps
from planetvision.imaging.disc.finder import find_body

# As for crops: what is less sure is not called a body.
_MIN_CONFIDENCE = 0.5


def create_body_masks(images: torch.Tensor) -> torch.Tensor:
    """Returns where the body is in each image, all False where none is found for sure.

    Globe and rings are the body, the night side too.

    Convention: framed uint8 images (N, 3, S, S) in; bool (N, S, S) out, on the CPU.
    """
    pixels = images.permute(0, 2, 3, 1).cpu().contiguous().numpy()
    masks = np.zeros(pixels.shape[:3], dtype=bool)
    for mask, image in zip(masks, pixels, strict=True):
        region = find_body(image)
        if region is not None and region.confidence >= _MIN_CONFIDENCE:
            mask[:] = region.create_mask()
    return torch.from_numpy(masks)


def measure_body_share(masks: torch.Tensor) -> npt.NDArray[np.float64]:
    """Returns the share of the frame that each body covers, NaN where there is none.

    It is the energy that a uniform map, which knows nothing, has on the body.

    Convention: bool (N, S, S) in, all False where there is no body; (N,) in (0, 1] out.
    """
    share = masks.double().mean(dim=(1, 2)).cpu().numpy()
    return np.where(share > 0, share, np.nan)


def measure_energy(maps: torch.Tensor, masks: torch.Tensor) -> npt.NDArray[np.float64]:
    """Returns the share of each map's sum that lies on the body.

    A coarse map is enlarged first, as the overlay draws it, so its heat runs over the limb and even
    the best map of a small body stays below 1.

    Convention: maps (N, h, w), not negative, and bool masks (N, S, S) in; (N,) in [0, 1] out, NaN
    where there is no body or the map is 0 everywhere.

    Args:
        maps: The maps, on any scale.
        masks: Where the body is, all False where there is none.

    References:
        Wang et al., Score-CAM: Score-Weighted Visual Explanations for Convolutional Neural
        Networks, 2020 (the energy-based pointing game), arXiv:1910.01279.
    """
    heat = resize_maps(maps, masks.shape[-1]).double()
    inside = masks.to(heat.device)
    total = heat.sum(dim=(1, 2))
    share = (heat * inside).sum(dim=(1, 2)) / total
    is_measured = inside.any(dim=2).any(dim=1) & (total > 0)
    return torch.where(is_measured, share, torch.nan).numpy()
