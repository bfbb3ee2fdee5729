"""Eigen-CAM: what a layer responds to most, whatever the class."""

from __future__ import annotations

import torch

from planetvision.explain.activations import average_maps, record_activations
from planetvision.models.network import PlanetNet


@torch.no_grad()
def compute_eigencam(
    network: PlanetNet, images: torch.Tensor, targets: torch.Tensor
) -> torch.Tensor:
    """Returns the activations projected on their first principal direction.

    It is the same map for every class. Of the two signs of that direction the one is taken whose
    map is positive in sum; that of activations behind a ReLU is positive everywhere.

    Convention: framed uint8 images (N, 3, S, S) in; maps (N, h, w), not negative, out. Several
    layers give the mean of their maps, each scaled to 1.

    Args:
        network: In evaluation mode.
        images: The images, on the network's device.
        targets: Ignored.

    Raises:
        ExplanationError: If the backbone has no layer with a spatial output.

    References:
        Muhammad & Yeasin, Eigen-CAM: Class Activation Map using Principal Components, 2020,
        section III (the activations are not centred), doi:10.1109/IJCNN48605.2020.9206626.
    """
    return average_maps([_project(one) for one in record_activations(network, images)])


def _project(activation: torch.Tensor) -> torch.Tensor:
    left, values, _ = torch.linalg.svd(activation.float().flatten(2).mT, full_matrices=False)
    projected = left[:, :, 0] * values[:, :1]
    signed = torch.where(projected.sum(dim=1, keepdim=True) < 0, -projected, projected)
    return signed.clamp(min=0).reshape(len(activation), *activation.shape[-2:])
