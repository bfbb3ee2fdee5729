"""`BackboneSpec`: the facts about a backbone that are known before it is built."""

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

    `build` takes any of the keyword arguments `pretrained` (bool) and `image_size` (pixels), and
    returns a module from normalised images (N, 3, H, W) to (N, C), (N, C, h, w) or tokens
    (N, L, C). The library derives fields that are not given from the module.

    Args:
        input: The input size, normalisation and framing.
        weights: The origin of the pretrained weights; empty if there are none.
            `register_backbone` fills in "the builder" if `build` takes `pretrained`.
        find_weights: Returns the path of the weights on this machine, or None if they are not
            there; for an ensemble, a tuple with one path per member. It must not use the network.
            `planetvision doctor` calls it.
        licence: The licence of those weights.
        feature_size: C.
        feature_layers: The layers that the CAM methods use, as dotted names.
        feature_layout: The layout of the outputs of those layers.
        block_layers: The groups of layers that are frozen or trained together, from input to
            output, as dotted names.
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

    @classmethod
    def from_function(
        cls, build: BackboneBuilder, *, summary: str = "", **fields: Any
    ) -> BackboneSpec:
        """Returns the entry of a function; one that takes `pretrained` has weights."""
        takes_pretrained = "pretrained" in inspect.signature(build).parameters
        given = {name: value for name, value in fields.items() if value is not None}
        given.setdefault("weights", "the builder" * takes_pretrained)
        return super().from_function(build, summary=summary, **given)

    def create(self, *, pretrained: bool, image_size: int) -> nn.Module:
        """Returns the module; `build` gets the arguments that it takes."""
        offered: dict[str, Any] = {"pretrained": pretrained, "image_size": image_size}
        parameters = inspect.signature(self.build).parameters
        return self.build(**{name: offered[name] for name in offered if name in parameters})
