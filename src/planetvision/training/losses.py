"""`LOSSES`: the registry of loss functions."""

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
    """A loss function.

    `build(logits, targets, **options)` is the loss itself. It takes logits (N, C) and targets
    (N, C) and returns the loss per image, (N,). Targets are probabilities: one-hot vectors, changed
    by label smoothing and by the mixing of images.
    """

    build: Loss

    def create(self, options: Mapping[str, Any]) -> Loss:
        """Returns the loss function with its options.

        Raises:
            SettingsError: If the loss does not accept one of the options.
        """
        self.check_keywords(options, noun="loss", given=2)
        return partial(self.build, **options)


LOSSES: Registry[LossSpec, Loss] = Registry("losses", LossSpec)
register_loss = LOSSES.register
list_losses = LOSSES.names


@register_loss("cross_entropy")
def _cross_entropy(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Cross-entropy."""
    from torch.nn import functional

    return functional.cross_entropy(logits, targets, reduction="none")


@register_loss("focal", source="Lin et al. (2017), arXiv:1708.02002, equation 4")
def _focal(logits: torch.Tensor, targets: torch.Tensor, *, gamma: float = 2.0) -> torch.Tensor:
    """Cross-entropy with less weight on images that are already right, by `gamma`."""
    logs = logits.log_softmax(dim=1)
    return -(targets * (1 - logs.exp()) ** gamma * logs).sum(dim=1)
