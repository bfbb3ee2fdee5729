"""`PlanetNet`: a backbone, a head, and the normalisation of the images before them."""

from __future__ import annotations

import functools
import threading
from collections.abc import Mapping
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from planetvision.core.errors import SettingsError
from planetvision.core.performance import resolve_tuning
from planetvision.core.settings import InputSpec
from planetvision.models.backbones.copying import copy_structure
from planetvision.models.backbones.ensemble import build_ensemble
from planetvision.models.backbones.first_weights import (
    WeightsSetting,
    find_weights_problems,
    is_weights_file,
    list_sources,
)
from planetvision.models.backbones.layers import (
    find_blocks,
    find_feature_layers,
    measure_feature_size,
)
from planetvision.models.backbones.registry import BACKBONES
from planetvision.models.backbones.shapes import pool_features, summarize_channels
from planetvision.models.backbones.spec import BackboneSpec
from planetvision.models.backbones.weights import load_weights, read_weights
from planetvision.models.heads import HEADS

__all__ = ["PlanetNet", "create_network"]

# How many blocks before the last `forward_levels` looks at.
_NUM_LEVELS = 5

_MOVING = threading.Lock()


class PlanetNet(nn.Module):
    """Images to logits.

    Convention: images are uint8 in [0, 255] or floats in [0, 1], of shape (N, 3, H, W), RGB, as
    `frame_image` makes them; logits are (N, num_classes).

    Args:
        backbone: A module from normalised images to features.
        head: A module from pooled features to logits.
        input_spec: What the backbone is shown.
        spec: The registry entry of the backbone; what it leaves open is found out.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(
        self,
        backbone: nn.Module,
        head: nn.Module,
        *,
        input_spec: InputSpec,
        spec: BackboneSpec,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head
        self.input_spec = input_spec
        self.spec = spec
        self.register_buffer("mean", torch.tensor(input_spec.mean).reshape(1, 3, 1, 1), False)
        self.register_buffer("std", torch.tensor(input_spec.std).reshape(1, 3, 1, 1), False)
        self._frozen: list[nn.Module] = []

    @functools.cached_property
    def feature_layers(self) -> tuple[str, ...]:
        """The dotted names, inside the backbone, of the layers that explainers look at."""
        if self.spec.feature_layers is not None:
            return self.spec.feature_layers
        return find_feature_layers(self.backbone, self.input_spec.image_size)

    @property
    def blocks(self) -> list[list[nn.Module]]:
        """The backbone's blocks from input to output, each a list of modules."""
        return find_blocks(self.backbone, self.spec.block_layers)

    def normalize(self, images: torch.Tensor) -> torch.Tensor:
        """Returns the images as the backbone expects them: floats, (image - mean) / std."""
        if images.dtype == torch.uint8:
            images = images.float() / 255.0
        normal = (images - self.mean) / self.std
        if self.spec.channels_last:
            return normal.contiguous(memory_format=torch.channels_last)
        return normal

    def forward_features(self, images: torch.Tensor) -> torch.Tensor:
        """Returns the pooled features, (N, C)."""
        return pool_features(self.backbone(self.normalize(images)))

    def forward_levels(self, images: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Returns the pooled features, (N, C), and what the five blocks before the last give.

        Of a module of these blocks with c channels that is the mean and the standard deviation of
        each over the positions, (N, 2 c), or the vectors that it returns, in the order of the
        forward pass. A backbone with fewer blocks has fewer levels; what has another first axis
        than the images is none.
        """
        levels: list[torch.Tensor] = []

        def keep(module: nn.Module, arguments: object, output: object) -> None:
            summary = summarize_channels(output, self.spec.feature_layout)
            if summary is not None and len(summary) == len(images):
                levels.append(summary)

        watched = copy_structure(self)  # on this network itself they would see other threads too
        for block in watched.blocks[-1 - _NUM_LEVELS : -1]:
            for module in block:
                if not isinstance(module, torch.jit.ScriptModule):  # it takes no hooks
                    module.register_forward_hook(keep)
        return watched.forward_features(images), levels

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Returns the logits, (N, num_classes)."""
        logits: torch.Tensor = self.head(self.forward_features(images))
        return logits

    def move_to(self, device: torch.device) -> PlanetNet:
        """Moves what is not on the device yet, while other threads wait; returns the network.

        Unlike `to`, it writes to no parameter that another thread may be reading.
        """
        with _MOVING:
            if any(tensor.device != device for tensor in chain(self.parameters(), self.buffers())):
                self.to(device)
        return self

    def set_trainable(self, blocks: int | None, *, freeze_batch_norm: bool = True) -> None:
        """Chooses what learns; the head always does.

        What is frozen also stays in evaluation mode while the rest trains: its BatchNorm
        statistics, dropout and stochastic depth do not move.

        Args:
            blocks: How many of the backbone's last blocks learn, all where it has no more; None is
                all of the backbone, with what lies outside of blocks.
            freeze_batch_norm: Whether the BatchNorm layers of blocks that learn keep their
                statistics.
        """
        self.head.requires_grad_(True)
        self._frozen = []
        if blocks is None:
            self.backbone.requires_grad_(True)
        else:
            groups = self.blocks
            self.backbone.requires_grad_(False)
            last = groups[max(0, len(groups) - blocks) :]
            learning = [module for group in last for module in group]
            for module in learning:
                module.requires_grad_(True)
            inside = {id(part) for module in learning for part in module.modules()}
            above = {
                id(part)
                for part in self.backbone.modules()
                if any(id(below) in inside for below in part.modules())
            }
            self._frozen = [
                part for part in self.backbone.modules() if id(part) not in inside | above
            ]
        if freeze_batch_norm:
            self._frozen += [
                part for part in self.backbone.modules() if isinstance(part, _BatchNorm)
            ]
        self.train(self.training)

    def train(self, mode: bool = True) -> PlanetNet:
        """Sets training mode, except for what is frozen."""
        super().train(mode)
        for module in self._frozen:
            module.training = False
        return self

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_frozen": []}


def create_network(
    backbone: str | BackboneSpec,
    *,
    num_classes: int,
    head: str = "linear",
    head_options: Mapping[str, Any] | None = None,
    weights: WeightsSetting = "pretrained",
    input_spec: InputSpec | None = None,
    seed: int | None = None,
    tuning: str = "auto",
) -> PlanetNet:
    """Returns a new network.

    Args:
        backbone: The registered name, or a spec.
        num_classes: The number of logits.
        head: The registered name.
        head_options: The head's keyword arguments.
        weights: `pretrained`, `none` for random ones, or a file with the backbone's weights; of an
            ensemble also a mapping with one of these for each member.
        input_spec: What the backbone is shown, where it differs from its spec.
        seed: The seed of the random weights; None leaves PyTorch's generator as it is.
        tuning: The levers of the machine that are on; `channels_last` is for the network.

    Raises:
        UnknownNameError: If backbone or head is unknown.
        SettingsError: If `weights` is none of these, or names other members than the ensemble has.
        WeightsError: If the weights cannot be had or do not fit.
    """
    from planetvision.core.devices import derive_seed, seeded

    if seed is not None:
        with seeded(derive_seed(seed, "weights")):
            return create_network(
                backbone,
                num_classes=num_classes,
                head=head,
                head_options=head_options,
                weights=weights,
                input_spec=input_spec,
                tuning=tuning,
            )
    spec = BACKBONES.get(backbone) if isinstance(backbone, str) else backbone
    if "channels_last" not in resolve_tuning(tuning):
        spec = replace(spec, channels_last=False)
    shown = input_spec or spec.input
    module = _create_backbone(spec, weights, shown.image_size)
    if spec.channels_last:
        module = module.to(memory_format=torch.channels_last)
    size = spec.feature_size or measure_feature_size(module, shown.image_size)
    built_head = HEADS.get(head).create(size, num_classes, head_options or {})
    return PlanetNet(module, built_head, input_spec=shown, spec=spec)


def _create_backbone(spec: BackboneSpec, weights: WeightsSetting, image_size: int) -> nn.Module:
    problems = find_weights_problems(weights, spec, with_files=False)
    if problems:
        raise SettingsError.from_problems(problems)
    sources = list_sources(weights, spec)
    # Files are read first: a wrong one costs no download.
    tensors = {
        name: read_weights(Path(source))
        for name, source in sources.items()
        if is_weights_file(source)
    }
    pretrained = [name for name, source in sources.items() if source == "pretrained"]
    parts: list[tuple[BackboneSpec, nn.Module]]
    module: nn.Module
    if isinstance(weights, Mapping):
        module = build_ensemble(spec.members, pretrained=pretrained)
        parts = list(zip(spec.members, module.members, strict=True))
    else:
        module = spec.create(pretrained=bool(pretrained and spec.weights), image_size=image_size)
        parts = [(spec, module)]
    for part, its_module in parts:
        if part.name in tensors:
            path = Path(sources[part.name])
            load_weights(its_module, tensors[part.name], path=path, backbone=part.name)
    return module
