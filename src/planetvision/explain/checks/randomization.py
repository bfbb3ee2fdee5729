"""Randomisation: the same network with weights that have learned nothing."""

from __future__ import annotations

import copy

import torch
from torch.nn.modules.batchnorm import _BatchNorm

from planetvision.core.devices import derive_seed
from planetvision.models.network import PlanetNet

MAX_IMAGES = 32


@torch.no_grad()
def randomize_network(network: PlanetNet, images: torch.Tensor, *, seed: int) -> PlanetNet:
    """Returns a copy of the network whose learned weights are shuffled within each tensor.

    A map that explains what the network has learned must change with it. Shuffling needs to know
    of no initialiser, so it works for any backbone, and it keeps the values of every tensor. It
    does not keep the scale of what comes out: the statistics of BatchNorm belong to the old order,
    and with them a shuffled EfficientNet answers all images the same. So they are measured anew, on
    up to 32 of the images and their mirror images. Other buffers stay as they are.

    A tensor whose values are all the same, or one alone, stays what it was.

    Convention: framed uint8 images (N, 3, S, S), at least one, on the network's device.

    Args:
        network: The network, which stays as it is.
        images: What the statistics of BatchNorm are measured on.
        seed: What the order is drawn by; PyTorch's generator is left as it is.

    References:
        Adebayo et al., Sanity Checks for Saliency Maps, 2018, arXiv:1810.03292.
    """
    shuffled = copy.deepcopy(network)
    for name, weights in shuffled.named_parameters():
        generator = torch.Generator().manual_seed(derive_seed(seed, "shuffle", name))
        order = torch.randperm(weights.numel(), generator=generator).to(weights.device)
        weights.copy_(weights.flatten()[order].reshape(weights.shape))
    _measure_statistics(shuffled, images[:MAX_IMAGES])
    return shuffled


def _measure_statistics(network: PlanetNet, images: torch.Tensor) -> None:
    layers = [
        (layer, layer.training, layer.momentum)
        for layer in network.modules()
        if isinstance(layer, _BatchNorm) and layer.running_mean is not None
    ]
    if not layers:
        return
    for layer, _, _ in layers:
        layer.reset_running_stats()
        layer.training, layer.momentum = True, None
    # With its mirror image one image too has a variance, whatever the layer's input.
    network(torch.cat([images, images.flip(-1)]))
    for layer, mode, momentum in layers:
        layer.training, layer.momentum = mode, momentum
