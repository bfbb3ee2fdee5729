"""Ensemble backbones (`ensemble:A+B`), which concatenate the pooled features of their members."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

from planetvision.core.errors import SettingsError, WeightsWarning
from planetvision.core.settings import InputSpec
from planetvision.models.backbones.shapes import pool_features
from planetvision.models.backbones.spec import BackboneSpec


class EnsembleBackbone(nn.Module):
    """Concatenation of the pooled features of several backbones.

    Convention: images (N, 3, H, W) in [0, 1] in, features (N, C_1 + C_2 + ...) out. Each member
    gets the images in its own size and normalisation.

    Args:
        members: The backbones.
        inputs: The input of each.
    """

    def __init__(self, members: Sequence[nn.Module], inputs: Sequence[InputSpec]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.inputs = tuple(inputs)
        for index, spec in enumerate(self.inputs):
            for field in ("mean", "std"):
                values = torch.tensor(getattr(spec, field)).reshape(1, 3, 1, 1)
                self.register_buffer(f"{field}_{index}", values, persistent=False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Returns the concatenated features."""
        features = []
        for index, (member, spec) in enumerate(zip(self.members, self.inputs, strict=True)):
            size = (spec.image_size, spec.image_size)
            resized = images
            if images.shape[-2:] != size:
                resized = functional.interpolate(images, size=size, mode="bilinear", antialias=True)
            mean = self.get_buffer(f"mean_{index}")
            std = self.get_buffer(f"std_{index}")
            features.append(pool_features(member((resized - mean) / std)))
        return torch.cat(features, dim=1)


def build_ensemble(
    members: Sequence[BackboneSpec], *, pretrained: bool | Collection[str] = True
) -> EnsembleBackbone:
    """Returns the ensemble.

    Args:
        members: The backbones.
        pretrained: Whether to load pretrained weights, or the names of the members to load them
            for.
    """
    if isinstance(pretrained, bool):
        pretrained = [member.name for member in members] if pretrained else []
    for member in members:
        if member.name in pretrained and not member.weights:
            warnings.warn(
                f"The member '{member.name}' of the ensemble has no pretrained weights and starts "
                "from random weights.",
                WeightsWarning,
                stacklevel=2,
            )
    modules = [
        member.create(
            pretrained=member.name in pretrained and bool(member.weights),
            image_size=member.input.image_size,
        )
        for member in members
    ]
    return EnsembleBackbone(modules, [member.input for member in members])


def _find_ensemble_weights(members: Sequence[BackboneSpec]) -> tuple[Path, ...] | None:
    """Returns the weights files of all members; None if one is missing."""
    places: list[Path] = []
    for member in members:
        found = member.find_weights() if member.find_weights is not None else None
        if found is None:
            return None
        places += found if isinstance(found, tuple) else [found]
    return tuple(places)


def resolve_ensemble(rest: str, *, get: Callable[[str], BackboneSpec]) -> BackboneSpec:
    """Returns the spec of the ensemble of the backbones in `rest`.

    Args:
        rest: Names joined by `+`, such as `efficientnet_lite0+resnet50`.
        get: Returns a backbone by name.

    Raises:
        SettingsError: If there are fewer than two members.
        UnknownNameError: If a member is unknown.
    """
    names = [name.strip() for name in rest.split("+")]
    if len(names) < 2 or not all(names):
        raise SettingsError(
            f"An ensemble needs at least two backbones joined by '+', got 'ensemble:{rest}'. "
            "Pass 'ensemble:efficientnet_lite0+resnet50', for example."
        )
    members = [get(name) for name in names]
    sizes = [member.feature_size for member in members]
    weighted = [member for member in members if member.weights]
    can_find = all(member.find_weights is not None for member in weighted)
    return BackboneSpec(
        name=f"ensemble:{'+'.join(names)}",
        build=functools.partial(build_ensemble, tuple(members)),
        summary="concatenated pooled features of " + ", ".join(names),
        input=InputSpec(
            image_size=max(member.input.image_size for member in members),
            mean=(0.0, 0.0, 0.0),  # each member normalises its own input
            std=(1.0, 1.0, 1.0),
            interpolation="bicubic",
        ),
        weights="those of its members" if weighted else "",
        find_weights=functools.partial(_find_ensemble_weights, weighted) if can_find else None,
        licence=", ".join(sorted({member.licence for member in members if member.licence})),
        feature_size=None if None in sizes else sum(size for size in sizes if size),
        members=tuple(members),
        channels_last=all(member.channels_last for member in members),
    )
