"""Grad-CAM, which works on a frozen backbone and leaves no trace."""

from __future__ import annotations

from contextlib import ExitStack

import torch
from torch import nn
from torch.nn import functional

from planetvision.backbones.shapes import to_feature_map
from planetvision.errors import ExplanationError
from planetvision.network import PlanetNet

__all__ = ["compute_gradcam"]


def compute_gradcam(
    network: PlanetNet, images: torch.Tensor, targets: torch.Tensor
) -> torch.Tensor:
    """Returns the Grad-CAM map of each image for its target class.

    The chosen layer's output is made a leaf, so that the gradient is taken only as far as it is
    needed, whether or not the layers before it are frozen; nothing before it is recorded.

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
    names = network.feature_layers
    if not names:
        raise ExplanationError(
            f"Grad-CAM needs a layer with a spatial output, and the backbone '{network.spec.name}' "
            "shows none. Name one: register the backbone with feature_layers=('LAYER',), or use "
            "the explainer 'occlusion'."
        )
    leaves: dict[str, torch.Tensor] = {}

    def make_leaf(name: str) -> object:
        def hook(_module: nn.Module, _inputs: object, output: torch.Tensor) -> torch.Tensor:
            # From here on operations are recorded; what lies before needs no gradient.
            torch.set_grad_enabled(True)
            leaf = output.detach().requires_grad_(True)
            leaves[name] = leaf
            # A copy goes on: an in-place activation behind the layer must not change the leaf.
            return leaf.clone()

        return hook

    with ExitStack() as stack:
        stack.enter_context(torch.no_grad())  # which puts back what the hook switches on
        for name in names:
            layer = _get_layer(network, name)
            stack.callback(layer.register_forward_hook(make_leaf(name)).remove)  # type: ignore[arg-type]
        logits = network(images)
        score = logits.gather(1, targets.reshape(-1, 1)).sum()
        gradients = torch.autograd.grad(score, [leaves[name] for name in names], allow_unused=True)
    maps = []
    for name, gradient in zip(names, gradients, strict=True):
        activation = to_feature_map(leaves[name].detach(), network.spec.feature_layout)
        slope = (
            to_feature_map(gradient, network.spec.feature_layout) if gradient is not None else None
        )
        if activation is None or slope is None:
            raise ExplanationError(
                f"The layer '{name}' of the backbone '{network.spec.name}' yields no map: its "
                "output is not spatial, or the class score does not depend on it. The last one "
                "that does is found if feature_layers is left out."
            )
        weights = slope.mean(dim=(2, 3), keepdim=True)
        maps.append((weights * activation).sum(dim=1).clamp(min=0).float())
    if len(maps) == 1:
        return maps[0]
    size = max((cam.shape[-2:] for cam in maps), key=lambda shape: shape[0] * shape[1])
    resized = [
        functional.interpolate(_to_unit(cam)[:, None], size=size, mode="bilinear")[:, 0]
        for cam in maps
    ]
    return torch.stack(resized).mean(dim=0)


def _get_layer(network: PlanetNet, name: str) -> nn.Module:
    try:
        return network.backbone.get_submodule(name)
    except AttributeError as cause:
        raise ExplanationError(
            f"The backbone '{network.spec.name}' has no layer '{name}'. Correct `feature_layers` "
            "where it is registered, or leave it out and the layer is found."
        ) from cause


def _to_unit(maps: torch.Tensor) -> torch.Tensor:
    return maps / maps.amax(dim=(1, 2), keepdim=True).clamp(min=torch.finfo(maps.dtype).tiny)
