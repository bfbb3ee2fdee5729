"""`BackboneSpec`: what is known of a backbone before it is built."""

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

__all__ = ["BackboneBuilder", "BackboneSpec", "FeatureLayout", "WeightsFinder"]

FeatureLayout = Literal["NCHW", "NHWC", "NLC"]
BackboneBuilder: TypeAlias = "Callable[..., nn.Module]"
WeightsFinder: TypeAlias = "Callable[[], Path | tuple[Path, ...] | None]"


@dataclass(frozen=True, kw_only=True)
class BackboneSpec(Entry):
    """A backbone.

    `build` takes any of the keyword arguments `pretrained` (bool) and `image_size` (pixels), and
    returns a module from normalised images (N, 3, H, W) to (N, C), (N, C, h, w) or tokens
    (N, L, C). What is not given here is found out from the module.

    Args:
        input: What the backbone is shown.
        weights: Where its pretrained weights come from; empty where there are none.
        find_weights: Returns where they lie on this machine, or None if they are not there: a path,
            or a tuple with one for each member of an ensemble. It must not use the network. Without
            it, nobody can tell whether they are there.
        licence: The licence of those weights.
        feature_size: C.
        feature_layers: The layers that the CAM methods look at, as dotted names.
        feature_layout: How those layers' outputs are laid out.
        block_layers: The layers that are frozen and trained as one, from input to output, as
            dotted names.
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
        """Returns the module; `build` gets those of the arguments that it takes."""
        offered: dict[str, Any] = {"pretrained": pretrained, "image_size": image_size}
        parameters = inspect.signature(self.build).parameters
        return self.build(**{name: offered[name] for name in offered if name in parameters})
