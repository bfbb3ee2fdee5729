"""Score-CAM: channels weighted by the score of the image that they let through."""

from __future__ import annotations

import torch
from torch.nn import functional

from planetvision.explain.activations import average_maps, record_activations
from planetvision.models.network import PlanetNet

_MAX_CHANNELS = 64


@torch.no_grad()
def compute_scorecam(
    network: PlanetNet, images: torch.Tensor, targets: torch.Tensor
) -> torch.Tensor:
    """Returns the activations, each channel weighted by the score of the image seen through it.

    Each channel, scaled to 0 to 1, dims the image; the softmax over channels of the class's logit
    is the channel's weight. It needs no gradients, and a pass a channel: of layers with more than
    64 channels those 64 are taken, for each image, that vary most over it. What is hidden turns
    black, as the sky is, and not to the mean colour of the pretraining.

    Convention: framed uint8 images (N, 3, S, S) and class indices (N,) in; maps (N, h, w), not
    negative, out. Several layers give the mean of their maps, each scaled to 1.

    Args:
        network: In evaluation mode.
        images: The images, on the network's device.
        targets: The classes to explain.

    Raises:
        ExplanationError: If the backbone has no layer with a spatial output.

    References:
        Wang et al., Score-CAM: Score-Weighted Visual Explanations for Convolutional Neural
        Networks, 2020, algorithm 1, doi:10.1109/CVPRW50498.2020.00020. The score of the black
        image is the same for all channels, and left out of the softmax.
    """
    activations = record_activations(network, images)
    return average_maps([_weigh(network, images, targets, one.float()) for one in activations])


def _weigh(
    network: PlanetNet, images: torch.Tensor, targets: torch.Tensor, activation: torch.Tensor
) -> torch.Tensor:
    spread = activation.flatten(2).std(dim=2, correction=0)
    chosen = spread.topk(min(_MAX_CHANNELS, spread.shape[1]), dim=1).indices
    rows = torch.arange(len(images), device=images.device)[:, None]
    channels = activation[rows, chosen]
    pixels = images.float() / 255
    column = targets.reshape(-1, 1)
    scores = []
    for place in range(channels.shape[1]):
        mask = functional.interpolate(
            channels[:, place : place + 1], size=images.shape[-2:], mode="bilinear"
        )
        low, high = torch.aminmax(mask.flatten(1), dim=1, keepdim=True)
        span = (high - low).clamp(min=torch.finfo(mask.dtype).tiny)
        unit = (mask - low[..., None, None]) / span[..., None, None]
        scores.append(network(pixels * unit).gather(1, column)[:, 0])
    weights = torch.stack(scores, dim=1).softmax(dim=1)
    return (weights[..., None, None] * channels).sum(dim=1).clamp(min=0)
