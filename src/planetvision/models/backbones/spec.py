"""`BackboneSpec`: the registry entry of a backbone."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from planetvision.core.registry import Entry
from planetvision.core.settings import InputSpec

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn


FeatureLayout = Literal["NCHW", "NHWC", "NLC"]
BackboneBuilder: TypeAlias = "Callable[..., nn.Module]"
WeightsFinder: TypeAlias = "Callable[[], Path | tuple[Path, ...] | None]"


@dataclass(frozen=True, kw_only=True)
class BackboneSpec(Entry):
    """Registry entry of a backbone.

    `build` takes any of the keyword arguments `pretrained` (bool) and `image_size` (pixels). It
    returns a module that maps normalised images (N, 3, H, W) to (N, C), (N, C, h, w) or tokens
    (N, L, C). Values that are not given here are determined from the module.

    Args:
        input: The input of the backbone.
        weights: The source of its pretrained weights; empty if there are none.
        find_weights: Returns the weights file on this machine, or None if there is none; for an
            ensemble a tuple with one path per member. It must not use the network.
        licence: The licence of the weights.
        feature_size: C.
        feature_layers: The dotted names of the layers that CAM methods use.
        feature_layout: The layout of their outputs.
        block_layers: The dotted names of the blocks, from input to output. Each block is frozen or
            trained as a whole.
        members: The backbones of an ensemble.
        channels_last: Whether the module may be kept in PyTorch's channels-last memory format,
            which is faster on CPU and CUDA, but breaks modules that call `view`.
    """

    build: BackboneBuilder
    input: InputSpec = field(default_factory=InputSpec)
    weights: str = ""
    find_weights: WeightsFinder | None = None
    licence: str = ""
    feature_size: int | None = None
    feature_layers: tuple[str, ...] | None = None
    feature_layout: FeatureLayout | None = None
    block_layers: tuple[str, ...] | None = None
    members: tuple[BackboneSpec, ...] = ()
    channels_last: bool = False

    def create(self, *, pretrained: bool, image_size: int) -> nn.Module:
        """Returns the module; `build` gets the arguments that it takes."""
        offered: dict[str, Any] = {"pretrained": pretrained, "image_size": image_size}
        parameters = inspect.signature(self.build).parameters
        return self.build(**{name: offered[name] for name in offered if name in parameters})
