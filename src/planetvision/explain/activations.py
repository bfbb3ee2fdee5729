"""What a network's feature layers give for images, and how steep the class score is there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import nn
from torch.nn import functional

from planetvision.core.errors import ExplanationError
from planetvision.models.backbones.copying import copy_structure
from planetvision.models.backbones.layers import list_feature_layers
from planetvision.models.backbones.shapes import to_feature_map
from planetvision.models.network import PlanetNet

_Hook: TypeAlias = "Callable[[nn.Module, object, object], torch.Tensor | None]"

_NAMED_LAYERS = 8


@dataclass(frozen=True)
class LayerRecord:
    """What one layer gave for a batch.

    Convention: both are (N, C, h, w); the slope is the gradient of each image's class score.
    """

    activation: torch.Tensor
    slope: torch.Tensor


@torch.no_grad()
def record_activations(network: PlanetNet, images: torch.Tensor) -> list[torch.Tensor]:
    """Returns the feature map (N, C, h, w) of each feature layer.

    Args:
        network: In evaluation mode.
        images: Framed uint8 images (N, 3, S, S), on the network's device.

    Raises:
        ExplanationError: If the backbone has no layer with a spatial output.
    """
    network, layers = _copy_layers(network)
    outputs: dict[str, object] = {}

    def keep(name: str) -> _Hook:
        def hook(_module: nn.Module, _inputs: object, output: object) -> None:
            # A copy: an in-place activation behind the layer must not change it.
            outputs[name] = output.clone() if isinstance(output, torch.Tensor) else output

        return hook

    for name, layer in layers.items():
        layer.register_forward_hook(keep(name))
    network(images)
    return [_to_map(network, name, outputs.get(name), len(images)) for name in layers]


def record_slopes(
    network: PlanetNet, images: torch.Tensor, targets: torch.Tensor
) -> list[LayerRecord]:
    """Returns what each feature layer gave, and the gradient of the target's logit there.

    The first layer's output is made a leaf, so that the gradient is taken only as far as it is
    needed, whether or not the layers before it are frozen; nothing before it is recorded.

    Args:
        network: In evaluation mode.
        images: Framed uint8 images (N, 3, S, S), on the network's device.
        targets: The class indices (N,).

    Raises:
        ExplanationError: If the backbone has no layer with a spatial output, or none that the
            class score depends on.
    """
    network, layers = _copy_layers(network)
    outputs: dict[str, object] = {}

    def make_leaf(name: str) -> _Hook:
        def hook(_module: nn.Module, _inputs: object, output: object) -> torch.Tensor | None:
            outputs[name] = output
            if not isinstance(output, torch.Tensor):
                return None
            # From here on operations are recorded; what lies before needs no gradient.
            torch.set_grad_enabled(True)
            # What follows another of the layers must stay joined to it.
            leaf = output if output.requires_grad else output.detach().requires_grad_(True)
            outputs[name] = leaf
            # A copy is passed on: an in-place activation behind the layer must not change the leaf.
            return leaf.clone()

        return hook

    for name, layer in layers.items():
        layer.register_forward_hook(make_leaf(name))
    with torch.no_grad():  # which puts back what the hooks switch on
        logits = network(images)
        score = logits.gather(1, targets.reshape(-1, 1)).sum()
        leaves = {name: leaf for name, leaf in outputs.items() if isinstance(leaf, torch.Tensor)}
        slopes: dict[str, torch.Tensor | None] = {}
        if score.requires_grad:
            found = torch.autograd.grad(score, list(leaves.values()), allow_unused=True)
            slopes = dict(zip(leaves, found, strict=True))
    records = []
    for name in layers:
        leaf = leaves.get(name)
        activation = _to_map(network, name, None if leaf is None else leaf.detach(), len(images))
        slope = _to_map(network, name, slopes.get(name), len(images))
        records.append(LayerRecord(activation, slope))
    return records


def average_maps(
    maps: Sequence[torch.Tensor], weights: Sequence[float] | None = None
) -> torch.Tensor:
    """Returns the mean of the maps, each scaled to 1 and brought to the size of the largest.

    One alone stays as it is.

    Args:
        maps: Those of the layers or members, each (N, h, w) and not negative.
        weights: How much each counts, 1 in sum; None counts them alike.
    """
    if len(maps) == 1:
        return maps[0]
    size = max((one.shape[-2:] for one in maps), key=lambda shape: shape[0] * shape[1])
    resized = [
        functional.interpolate(_to_unit(one)[:, None], size=size, mode="bilinear")[:, 0]
        for one in maps
    ]
    if weights is None:
        return torch.stack(resized).mean(dim=0)
    return torch.stack([share * one for share, one in zip(weights, resized, strict=True)]).sum(
        dim=0
    )


def _to_unit(maps: torch.Tensor) -> torch.Tensor:
    return maps / maps.amax(dim=(1, 2), keepdim=True).clamp(min=torch.finfo(maps.dtype).tiny)


def _copy_layers(network: PlanetNet) -> tuple[PlanetNet, dict[str, nn.Module]]:
    """Returns a copy of the network that may be given hooks, and its feature layers by name."""
    if not network.feature_layers:
        raise ExplanationError(
            "This method needs a layer with a spatial output, and the backbone "
            f"'{network.spec.name}' shows none. Name one: register the backbone with "
            "feature_layers=('LAYER',), or use the explainer 'occlusion'."
        )
    layers = {}
    copied = copy_structure(network)
    for name in network.feature_layers:
        try:
            layers[name] = copied.backbone.get_submodule(name)
        except AttributeError as cause:
            raise ExplanationError(
                f"The backbone '{network.spec.name}' has no layer '{name}'. Correct `layers`, or "
                f"`feature_layers` where it is registered{_suggest_layers(network, name)}."
            ) from cause
    return copied, layers


def _to_map(network: PlanetNet, name: str, output: object, num_images: int) -> torch.Tensor:
    found = None
    if isinstance(output, torch.Tensor):
        found = to_feature_map(output, network.spec.feature_layout)
    # The tokens of windows have one row per window.
    if found is None or found[0, 0].numel() < 2 or len(found) != num_images:
        raise ExplanationError(
            f"The layer '{name}' of the backbone '{network.spec.name}' yields no map: its "
            "output is not spatial, or the class score does not depend on it. Leave `layers` and "
            f"`feature_layers` out, and the last one is found{_suggest_layers(network, name)}."
        )
    return found


def _suggest_layers(network: PlanetNet, wrong: str) -> str:
    known = list_feature_layers(network.backbone, network.input_spec.image_size)
    names = [name for name in known if name != wrong][-_NAMED_LAYERS:]
    return f"; layers with a map: {', '.join(names)}" if names else ""
