"""Deletion and insertion: the probability without the marked pixels, and with them alone."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torchvision.transforms.v2.functional import gaussian_blur

from planetvision.core.devices import derive_seed
from planetvision.explain.checks.similarity import has_contrast, resize_maps
from planetvision.models.network import PlanetNet

STEPS = 16

# In parts of the image's side. RISE blurs by 5 of 224 pixels, which leaves a planet its disc: a
# network of seven bodies kept a mean probability of 0.39 for them, 0.23 at 1/16, and 0.19 without
# the colour.
_BLUR = 1 / 16


class Curves(NamedTuple):
    """The probability of each target as its image changes.

    Args:
        deletion: As pixels are taken away, those that the map marks most first; (N, steps + 1).
        insertion: As they are brought in, in the same order; (N, steps + 1).
    """

    deletion: npt.NDArray[np.float64]
    insertion: npt.NDArray[np.float64]


def measure_area(curves: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Returns the area under each curve (N, steps + 1) over shares of pixels; (N,) in [0, 1]."""
    ends = (curves[:, 0] + curves[:, -1]) / 2
    area: npt.NDArray[np.float64] = (curves[:, 1:-1].sum(axis=1) + ends) / (curves.shape[1] - 1)
    return area


@torch.no_grad()
def measure_curves(
    network: PlanetNet,
    images: torch.Tensor,
    targets: torch.Tensor,
    maps: torch.Tensor,
    *,
    steps: int = STEPS,
    batch_size: int = 32,
    seed: int = 0,
) -> Curves:
    """Returns the curves of deletion and insertion of each image.

    In both, what is missing is replaced by the image in gray, blurred by 1/16 of its side: that
    takes detail and colour and draws no sharp edges, which could be evidence themselves. Since it
    is the same in both, the two curves of a random order are the same on average, so an area under
    the insertion that is larger than that under the deletion is due to the map.

    Pixels to which the map gives the same heat are taken in an order as coarse as the map is,
    drawn by the seed. It costs 2 `steps` forward passes per image, `batch_size` at a time.

    Convention: framed uint8 images (N, 3, S, S), class indices (N,) and maps (N, h, w) in; NaN out
    where the map is constant or not finite, for then it orders nothing.

    Args:
        network: The network, in evaluation mode.
        images: The images, on the network's device.
        targets: The classes that the maps explain.
        maps: The maps.
        steps: How many times pixels are changed.
        batch_size: Images a forward pass.
        seed: What decides between pixels of the same heat.

    References:
        Petsiuk, Das and Saenko, RISE: Randomized Input Sampling for Explanation of Black-box
        Models, 2018, arXiv:1806.07421.
    """
    curves = np.full((2, len(images), steps + 1), np.nan)
    rows = torch.from_numpy(np.flatnonzero(has_contrast(maps).cpu().numpy()))
    for part in torch.split(rows, batch_size) if len(rows) else ():
        ranks = _rank_pixels(maps[part.to(maps.device)], images.shape[-1], seed)
        chosen = part.to(images.device)
        curves[:, part.numpy()] = _trace(
            network,
            images[chosen],
            targets[chosen],
            ranks.to(images.device),
            steps=steps,
            batch_size=batch_size,
        )
    return Curves(*curves)


def _rank_pixels(maps: torch.Tensor, size: int, seed: int) -> torch.Tensor:
    """Returns the place of each pixel in the order of importance, (N, size, size), 0 the first."""
    generator = torch.Generator().manual_seed(derive_seed(seed, "pixels of the same heat"))
    noise = torch.rand((1, *maps.shape[1:]), generator=generator)
    shuffled = resize_maps(noise, size).flatten().argsort()
    heat = resize_maps(maps, size).flatten(start_dim=1)[:, shuffled]
    order = shuffled[heat.argsort(dim=1, descending=True, stable=True)]
    places = torch.arange(size * size).expand_as(order)
    return torch.empty_like(order).scatter_(1, order, places).reshape(-1, size, size)


def _trace(
    network: PlanetNet,
    images: torch.Tensor,
    targets: torch.Tensor,
    ranks: torch.Tensor,
    *,
    steps: int,
    batch_size: int,
) -> npt.NDArray[np.float64]:
    """Returns the curves (2, N, steps + 1), deletion first, of images with an order."""
    without = _remove_evidence(images)
    cuts = torch.linspace(0, ranks[0].numel(), steps + 1, dtype=torch.float64).round()
    cuts = cuts.to(images.device)
    # The last of the one is the first of the other.
    insertions = [(1, row, step) for row in range(len(images)) for step in range(1, steps)]
    deletions = [(0, row, step) for row in range(len(images)) for step in range(steps + 1)]
    curves = np.zeros((2, len(images), steps + 1))
    order = torch.tensor(deletions + insertions, device=images.device)
    for jobs in torch.split(order, batch_size):
        kinds, rows, places = jobs.T
        is_marked = ranks[rows] < cuts[places][:, None, None]
        is_shown = is_marked == (kinds == 1)[:, None, None]
        pictures = torch.where(is_shown[:, None], images[rows], without[rows])
        probabilities = network(pictures).softmax(dim=1)
        found = probabilities.gather(1, targets[rows][:, None])[:, 0]
        curves[tuple(jobs.T.cpu().numpy())] = found.double().cpu().numpy()
    curves[1, :, 0], curves[1, :, -1] = curves[0, :, -1], curves[0, :, 0]
    return curves


def _remove_evidence(images: torch.Tensor) -> torch.Tensor:
    """Returns the images in gray and blurred, uint8 (N, 3, S, S)."""
    sigma = images.shape[-1] * _BLUR
    side = 2 * min(math.ceil(3 * sigma), images.shape[-1] - 1) + 1
    gray = images.float().mean(dim=1, keepdim=True)
    # One axis after the other: a square kernel of this size takes longer than the network.
    along = gaussian_blur(gray, [side, 1], [sigma, sigma])
    blurred: torch.Tensor = gaussian_blur(along, [1, side], [sigma, sigma])
    return blurred.round().to(images.dtype).expand_as(images)
