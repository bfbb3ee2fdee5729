"""Similarity of maps: to one another, and to the map of the same image moved a little."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from scipy import stats
from torch.nn import functional

from planetvision.explain.registry import Explainer
from planetvision.models.network import PlanetNet

# Interpolation turns a constant map into one that differs in its last digits.
_MIN_CONTRAST = 1e-5
# Both axes and both directions, in parts of the image's side: 8 of 224 pixels, a quarter of a cell
# of the 7 by 7 map. More would move the body out of many a frame.
_SHIFTS = ((1 / 28, 1 / 28), (-1 / 28, -1 / 28))


def resize_maps(maps: torch.Tensor, size: int) -> torch.Tensor:
    """Returns the maps as the overlay draws them: bilinear, float32 (N, size, size), on the CPU."""
    heat = maps.detach().float().cpu()[:, None]
    return functional.interpolate(heat, size=(size, size), mode="bilinear")[:, 0]


def has_contrast(maps: torch.Tensor) -> torch.Tensor:
    """Returns which of the maps (N, h, w) say that one place matters more than another."""
    low, high = maps.amin(dim=(1, 2)), maps.amax(dim=(1, 2))
    # What is not finite compares as False.
    return (high - low > _MIN_CONTRAST * high.abs()) & torch.isfinite(high - low)


def create_maps(
    network: PlanetNet,
    explainer: Explainer,
    images: torch.Tensor,
    targets: torch.Tensor,
    *,
    batch_size: int,
) -> torch.Tensor:
    """Returns the explainer's maps of any number of images, on the CPU."""
    parts = zip(torch.split(images, batch_size), torch.split(targets, batch_size), strict=True)
    return torch.cat([explainer(network, *part).detach().float().cpu() for part in parts])


def average_known(rows: Sequence[npt.NDArray[np.float64]]) -> npt.NDArray[np.float64]:
    """Returns the mean of each column without its NaN, and NaN where there is nothing else."""
    values = np.stack(rows)
    known = np.isfinite(values).sum(axis=0)
    return np.where(known > 0, np.nansum(values, axis=0) / np.maximum(known, 1), np.nan)


def compare_maps(first: torch.Tensor, second: torch.Tensor) -> npt.NDArray[np.float64]:
    """Returns the rank correlation of each map with its counterpart (Spearman).

    Ranks, because maps come on any scale and what counts is which place is hotter than which.

    Convention: maps (N, h, w) in; (N,) in [-1, 1] out, NaN where one of the two is constant or not
    finite, for then it ranks nothing.

    References:
        Adebayo et al., Sanity Checks for Saliency Maps, 2018, arXiv:1810.03292.
    """
    is_measured = has_contrast(first) & has_contrast(second)
    similarity = np.full(len(first), np.nan)
    for row in np.flatnonzero(is_measured.numpy()):
        pair = (maps[row].flatten().numpy() for maps in (first, second))
        similarity[row] = stats.spearmanr(*pair).statistic
    return similarity


def measure_stability(
    network: PlanetNet,
    explainer: Explainer,
    images: torch.Tensor,
    targets: torch.Tensor,
    maps: torch.Tensor,
    *,
    batch_size: int = 32,
) -> npt.NDArray[np.float64]:
    """Returns how like each map is to those of its image moved by a few pixels.

    The content is moved by 1/28 of the side, down and right and then up and left, with black behind
    it. The map is moved back and compared where both show the same, enlarged to the image, since
    the cells of a coarse map are larger than the move. It costs two calls of the explainer.

    Convention: as for explainers; (N,) in [-1, 1] out, as in `compare_maps`.

    Args:
        network: The network, in evaluation mode.
        explainer: The method that made the maps.
        images: The framed images, on the network's device.
        targets: The classes that the maps explain.
        maps: The maps of the images as they are.
        batch_size: Images a call of the explainer.
    """
    size = images.shape[-1]
    found = []
    for shift in _SHIFTS:
        down, right = (round(part * size) or (1 if part > 0 else -1) for part in shift)
        rows, columns = _overlap(down, size), _overlap(right, size)
        new_rows, new_columns = _overlap(-down, size), _overlap(-right, size)
        moved = torch.zeros_like(images)
        moved[:, :, new_rows, new_columns] = images[:, :, rows, columns]
        others = create_maps(network, explainer, moved, targets, batch_size=batch_size)
        before = resize_maps(maps, size)[:, rows, columns]
        found.append(compare_maps(before, resize_maps(others, size)[:, new_rows, new_columns]))
    return average_known(found)


def _overlap(shift: int, size: int) -> slice:
    """Returns what of an axis is still in the frame after a shift, where it was before."""
    return slice(max(0, -shift), size - max(0, shift))
