"""Integrated gradients: what each pixel adds to the class score on the way from black."""

from __future__ import annotations

import math

import torch
from torchvision.transforms.functional import gaussian_blur

from planetvision.models.network import PlanetNet

_STEPS = 32


def integrate_gradients(
    network: PlanetNet, images: torch.Tensor, targets: torch.Tensor, *, steps: int = _STEPS
) -> torch.Tensor:
    """Returns what each value of the image adds to the target's logit.

    The gradients are summed along the straight line from a black image, at the middle of each
    step. Over one image they add up to the logit of the image less that of the black one, but for
    the error of the steps.

    Convention: framed uint8 images (N, 3, S, S) and class indices (N,) in; signed (N, 3, S, S) out.

    Args:
        network: In evaluation mode; it may be frozen.
        images: The images, on the network's device.
        targets: The classes to explain.
        steps: How many points of the line are used.

    References:
        Sundararajan, Taly & Yan, Axiomatic Attribution for Deep Networks, 2017, equations 1 and 3,
        arXiv:1703.01365.
    """
    pixels = images.float() / 255
    total = torch.zeros_like(pixels)
    column = targets.reshape(-1, 1)
    for step in range(steps):
        point = (pixels * ((step + 0.5) / steps)).requires_grad_(True)
        with torch.enable_grad():
            score = network(point).gather(1, column).sum()
        total += torch.autograd.grad(score, point)[0]
    return pixels * total / steps


def compute_integrated_gradients(
    network: PlanetNet, images: torch.Tensor, targets: torch.Tensor
) -> torch.Tensor:
    """Returns what each pixel adds to the class score, its neighbours included.

    The sum over channels is blurred by a Gaussian of a 64th of the image, for single pixels are
    noisy, and what speaks against the class is set to 0. A black pixel adds nothing, by the choice
    of the baseline: neither the sky nor a night side can be evidence here.

    Convention: framed uint8 images (N, 3, S, S) and class indices (N,) in; maps (N, S, S), not
    negative, out.

    Args:
        network: In evaluation mode; it may be frozen.
        images: The images, on the network's device.
        targets: The classes to explain.

    References:
        See `integrate_gradients`.
    """
    added = integrate_gradients(network, images, targets).sum(dim=1, keepdim=True)
    sigma = images.shape[-1] / 64
    blurred: torch.Tensor = gaussian_blur(added, 2 * math.ceil(3 * sigma) + 1, sigma)
    return blurred[:, 0].clamp(min=0)
