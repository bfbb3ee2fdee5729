"""`HEADS`: the registry of classification heads."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from planetvision.core.errors import SettingsError
from planetvision.core.registry import Entry, Registry

if TYPE_CHECKING:
    from torch import nn


HeadBuilder: TypeAlias = "Callable[..., nn.Module]"


@dataclass(frozen=True, kw_only=True)
class HeadSpec(Entry):
    """Registry entry of a head.

    `build(feature_size, num_classes, **options)` returns a module that maps features
    (N, feature_size) to logits (N, num_classes). Its keyword arguments are the head's options.
    """

    build: HeadBuilder

    def check_options(self, options: Mapping[str, Any]) -> None:
        """Raises a `SettingsError` if the head does not accept an option of one of these names."""
        self.check_keywords(options, noun="head", given=2)

    def create(self, feature_size: int, num_classes: int, options: Mapping[str, Any]) -> nn.Module:
        """Returns the module.

        Raises:
            SettingsError: If the head does not accept one of the options or its value.
        """
        self.check_options(options)
        try:
            return self.build(feature_size, num_classes, **options)
        except (TypeError, ValueError) as cause:
            raise SettingsError(
                f"The head '{self.name}' cannot be built with the options {dict(options)!r}: "
                f"{cause}. Change `head_options`."
            ) from cause


HEADS: Registry[HeadSpec, HeadBuilder] = Registry("heads", HeadSpec)
register_head = HEADS.register
list_heads = HEADS.names


@register_head("linear")
def _build_linear(feature_size: int, num_classes: int, *, dropout: float = 0.0) -> nn.Module:
    """One linear layer; option: dropout."""
    from torch import nn

    linear = nn.Linear(feature_size, num_classes)
    return nn.Sequential(nn.Dropout(dropout), linear) if dropout else linear


@register_head("mlp", source="the published PlanetaryImageClassifier pipeline")
def _build_mlp(
    feature_size: int,
    num_classes: int,
    *,
    hidden_sizes: Sequence[int] = (1024, 512),
    dropout: float = 0.5,
) -> nn.Module:
    """Fully connected 1024 and 512, ReLU, dropout 0.5; options: hidden_sizes, dropout."""
    from torch import nn

    layers: list[nn.Module] = []
    size = feature_size
    for hidden_size in hidden_sizes:
        layers += [nn.Linear(size, hidden_size), nn.ReLU(), nn.Dropout(dropout)]
        size = hidden_size
    return nn.Sequential(*layers, nn.Linear(size, num_classes))
