"""Registry of loss functions (`LOSSES`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from planetvision.core.registry import Entry, Registry

if TYPE_CHECKING:
    import torch


Loss: TypeAlias = "Callable[..., torch.Tensor]"


@dataclass(frozen=True, kw_only=True)
class LossSpec(Entry):
    """Registry entry of a loss function.

    `build(logits, targets, **options)` is the loss function itself. It returns the loss of each
    image, (N,), from logits (N, C) and targets (N, C). Targets are probabilities: one-hot, or
    changed by label smoothing and mixing.
    """

    build: Loss

    def create(self, options: Mapping[str, Any]) -> Loss:
        """Returns the loss function with its options.

        Raises:
            SettingsError: If it does not take one of these options.
        """
        self.check_keywords(options, noun="loss", given=2)
        return partial(self.build, **options)


LOSSES: Registry[LossSpec] = Registry("losses", LossSpec)


def register_loss(
    name: str, *, summary: str = "", source: str = "", replace: bool = False
) -> Callable[[Loss], Loss]:
    """Registers a function of (logits, targets, **options) as the loss `name`.

    Args:
        name: The name to choose it by.
        summary: One line for listings; by default the first line of the docstring.
        source: Where it comes from.
        replace: Whether an entry of that name may be replaced.

    Example:
        >>> from planetvision.training import register_loss
        >>> @register_loss("brier", replace=True)
        ... def brier(logits, targets):
        ...     "The squared error of the probabilities."
        ...     return (logits.softmax(dim=1) - targets).square().sum(dim=1)
    """
    return LOSSES.register(name, summary=summary, source=source, replace=replace)


def list_losses() -> list[str]:
    """Returns the names of the losses."""
    return LOSSES.names()


@register_loss("cross_entropy")
def _cross_entropy(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Cross-entropy."""
    from torch.nn import functional

    return functional.cross_entropy(logits, targets, reduction="none")


@register_loss("focal", source="Lin et al. (2017), arXiv:1708.02002, equation 4")
def _focal(logits: torch.Tensor, targets: torch.Tensor, *, gamma: float = 2.0) -> torch.Tensor:
    """Focal loss: cross-entropy that down-weights easy examples by the exponent `gamma`."""
    logs = logits.log_softmax(dim=1)
    return -(targets * (1 - logs.exp()) ** gamma * logs).sum(dim=1)
