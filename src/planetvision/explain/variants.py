"""Networks that share a backbone: with other layers to look at, or one class against another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import nn

from planetvision.models.network import PlanetNet


class _Contrast(nn.Module):
    """A head of two logits: how much more is said for one class than for another, and 0."""

    def __init__(self, head: nn.Module, target: int, against: int) -> None:
        super().__init__()
        self.head = head
        self.target = target
        self.against = against

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        logits = self.head(features)
        difference = logits[:, self.target] - logits[:, self.against]
        return torch.stack([difference, torch.zeros_like(difference)], dim=1)


def look_at_layers(network: PlanetNet, layers: Sequence[str] | None) -> PlanetNet:
    """Returns a network of the same parts, in evaluation mode, whose feature layers are these.

    Args:
        network: In evaluation mode.
        layers: Dotted names inside the backbone; None keeps them.
    """
    return _share(network, network.head, layers)


def contrast_classes(
    network: PlanetNet, target: int, against: int, *, layers: Sequence[str] | None = None
) -> PlanetNet:
    """Returns a network that shares the backbone, and has one class against another.

    Its class 0 has the difference of the two logits, and its class 1 the logit 0, so that the
    probability of class 0 is the one that `target` has where only these two are compared.

    Args:
        network: In evaluation mode.
        target: The index of the class whose logit counts.
        against: The index of the class whose logit is taken off.
        layers: As for `look_at_layers`.
    """
    return _share(network, _Contrast(network.head, target, against), layers)


def _share(network: PlanetNet, head: nn.Module, layers: Sequence[str] | None) -> PlanetNet:
    spec = network.spec if layers is None else replace(network.spec, feature_layers=tuple(layers))
    shared = PlanetNet(network.backbone, head, input_spec=network.input_spec, spec=spec)
    shared.mean, shared.std = network.mean, network.std
    return shared.eval()
