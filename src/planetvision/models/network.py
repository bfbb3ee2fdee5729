"""`PlanetNet`: normalisation, a backbone and a head."""

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
from planetvision.core.performance import resolve_performance
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

# The number of blocks before the last that `forward_levels` reads.
_NUM_LEVELS = 5

_MOVING = threading.Lock()


class PlanetNet(nn.Module):
    """Network from images to logits.

    Convention: images are RGB, uint8 in [0, 255] or floats in [0, 1], of shape (N, 3, H, W), as
    from `frame_image`; logits are (N, num_classes).

    Args:
        backbone: A module from normalised images to features.
        head: A module from pooled features to logits.
        input_spec: The input of the backbone.
        spec: The registry entry of the backbone; missing values are determined from the module.
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
        """The dotted names, inside the backbone, of the layers that explainers use."""
        if self.spec.feature_layers is not None:
            return self.spec.feature_layers
        return find_feature_layers(self.backbone, self.input_spec.image_size)

    @property
    def blocks(self) -> list[list[nn.Module]]:
        """The backbone's blocks from input to output, each a list of modules."""
        return find_blocks(self.backbone, self.spec.block_layers)

    def normalize(self, images: torch.Tensor) -> torch.Tensor:
        """Returns the images as floats, normalised as (image - mean) / std."""
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
        """Returns the pooled features, (N, C), and summaries of the five blocks before the last.

        A module with c channels gives their means and standard deviations over the positions,
        (N, 2 c); one that returns vectors gives these. They come in the order of the forward pass.
        Backbones with fewer blocks give fewer levels. Outputs whose first axis is not the batch
        are left out.
        """
        levels: list[torch.Tensor] = []

        def keep(module: nn.Module, arguments: object, output: object) -> None:
            summary = summarize_channels(output, self.spec.feature_layout)
            if summary is not None and len(summary) == len(images):
                levels.append(summary)

        watched = copy_structure(self)  # hooks on this network would also see other threads
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
        """Moves the network to the device if needed, under a lock; returns the network.

        Unlike `to`, it does not write to parameters that another thread may be reading.
        """
        with _MOVING:
            if any(tensor.device != device for tensor in chain(self.parameters(), self.buffers())):
                self.to(device)
        return self

    def set_trainable(self, blocks: int | None, *, freeze_batch_norm: bool = True) -> None:
        """Freezes the backbone except for its last blocks; the head is always trainable.

        Frozen modules also stay in evaluation mode during training, which fixes their BatchNorm
        statistics, dropout and stochastic depth.

        Args:
            blocks: The number of the backbone's last blocks to train; None trains all of the
                backbone, including layers outside its blocks.
            freeze_batch_norm: Whether BatchNorm layers in trainable blocks keep their statistics.
        """
        self.head.requires_grad_(True)
        self._frozen = []
        if blocks is None:
            self.backbone.requires_grad_(True)
        else:
            groups = self.blocks
            self.backbone.requires_grad_(False)
            last = groups[max(0, len(groups) - blocks) :]
            trainable = [module for group in last for module in group]
            for module in trainable:
                module.requires_grad_(True)
            inside = {id(part) for module in trainable for part in module.modules()}
            # A container of trainable modules has one of them among its modules.
            self._frozen = [
                part
                for part in self.backbone.modules()
                if not any(id(below) in inside for below in part.modules())
            ]
        if freeze_batch_norm:
            self._frozen += [
                part for part in self.backbone.modules() if isinstance(part, _BatchNorm)
            ]
        self.train(self.training)

    def train(self, mode: bool = True) -> PlanetNet:
        """Sets the training mode, except of frozen modules."""
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
    performance: str = "auto",
) -> PlanetNet:
    """Returns a new network.

    Args:
        backbone: The registered name, or a spec.
        num_classes: The number of logits.
        head: The registered name.
        head_options: The head's keyword arguments.
        weights: `pretrained`, `none` for random weights, or a file with the backbone's weights; for
            an ensemble also a mapping with one of these per member.
        input_spec: The input of the backbone, if it differs from its spec.
        seed: The seed of the random weights; None uses PyTorch's current generator.
        performance: Performance options, of which `channels_last` applies to the network.

    Raises:
        UnknownNameError: If backbone or head is unknown.
        SettingsError: If `weights` is wrong, or does not match the members of the ensemble.
        WeightsError: If the weights are not available or do not fit.
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
                performance=performance,
            )
    spec = BACKBONES.get(backbone) if isinstance(backbone, str) else backbone
    if "channels_last" not in resolve_performance(performance):
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
    # Files are read first, so that a wrong one fails before any download.
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
