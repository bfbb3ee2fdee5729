"""Grad-CAM and its kin: activations weighted by gradients, on frozen backbones too."""

from __future__ import annotations

from collections.abc import Callable

import torch

from planetvision.explain.activations import LayerRecord, average_maps, record_slopes
from planetvision.models.network import PlanetNet


def compute_gradcam(
    network: PlanetNet, images: torch.Tensor, targets: torch.Tensor
) -> torch.Tensor:
    """Returns the activations, each channel weighted by the mean of its gradient.

    Convention: framed uint8 images (N, 3, S, S) and class indices (N,) in; maps (N, h, w), not
    negative, out. Several layers (an ensemble) give the mean of their maps, each scaled to 1.

    Args:
        network: In evaluation mode.
        images: The images, on the network's device.
        targets: The classes to explain.

    Raises:
        ExplanationError: If the backbone has no layer with a spatial output, or none that the
            class score depends on.

    References:
        Selvaraju et al., Grad-CAM: Visual Explanations from Deep Networks via Gradient-based
        Localization, 2017, equations 1 and 2, doi:10.1109/ICCV.2017.74.
    """
    return _compute(network, images, targets, lambda slope, _: slope.mean(dim=(2, 3), keepdim=True))


def compute_gradcam_plus_plus(
    network: PlanetNet, images: torch.Tensor, targets: torch.Tensor
) -> torch.Tensor:
    """Returns the activations, each channel weighted by its positive gradients of three orders.

    A small place weighs as much as a large one, so that several of the same kind are all found.
    The paper's activations come from a ReLU, and the denominator of its weights is at least 2;
    where a layer has negative ones, it is kept so.

    Convention: as for `compute_gradcam`.

    Args:
        network: In evaluation mode.
        images: The images, on the network's device.
        targets: The classes to explain.

    Raises:
        ExplanationError: As for `compute_gradcam`.

    References:
        Chattopadhay et al., Grad-CAM++: Generalized Gradient-based Visual Explanations for Deep
        Convolutional Networks, 2018, equations 5, 7 and 19, doi:10.1109/WACV.2018.00097. The
        factor exp(score) of its derivatives is one number per image, and left out.
    """

    def weigh(slope: torch.Tensor, activation: torch.Tensor) -> torch.Tensor:
        # Equation 19 divided by the square of the slope, which may be too small for a float.
        alpha = 1 / (2 + (activation.sum(dim=(2, 3), keepdim=True) * slope).clamp(min=0))
        return (alpha * slope.clamp(min=0)).sum(dim=(2, 3), keepdim=True)

    return _compute(network, images, targets, weigh)


def compute_layercam(
    network: PlanetNet, images: torch.Tensor, targets: torch.Tensor
) -> torch.Tensor:
    """Returns the activations, each weighted by its own gradient where that is positive.

    Unlike Grad-CAM it holds for early layers too, whose maps are finer: name them as `layers`.

    Convention: as for `compute_gradcam`.

    Args:
        network: In evaluation mode.
        images: The images, on the network's device.
        targets: The classes to explain.

    Raises:
        ExplanationError: As for `compute_gradcam`.

    References:
        Jiang et al., LayerCAM: Exploring Hierarchical Class Activation Maps for Localization,
        2021, section III, doi:10.1109/TIP.2021.3089943.
    """
    return _compute(network, images, targets, lambda slope, _: slope.clamp(min=0))


def _compute(
    network: PlanetNet,
    images: torch.Tensor,
    targets: torch.Tensor,
    weigh: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
) -> torch.Tensor:
    """Sums each layer's activations over channels, weighted by (slope, activation)."""

    def draw(record: LayerRecord) -> torch.Tensor:
        weights = weigh(record.slope, record.activation)
        return (weights * record.activation).sum(dim=1).clamp(min=0).float()

    return average_maps([draw(record) for record in record_slopes(network, images, targets)])
