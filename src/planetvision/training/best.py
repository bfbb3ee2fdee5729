"""The best weights of a stage, and when it is time to stop."""

from __future__ import annotations

import math

import torch
from torch import nn

__all__ = ["BestWeights"]


class BestWeights:
    """Keeps a copy of the weights with the lowest score seen.

    Args:
        module: The module that learns.
        patience: Epochs without a lower score before `should_stop`; None never stops.
    """

    def __init__(self, module: nn.Module, patience: int | None) -> None:
        self.module = module
        self.patience = patience
        self.score = math.inf
        self.epochs_since = 0
        self._kept: dict[str, torch.Tensor] = {}

    @property
    def should_stop(self) -> bool:
        """Whether patience has run out."""
        return self.patience is not None and self.epochs_since >= self.patience

    def update(self, score: float) -> bool:
        """Notes a score, lower is better; keeps the weights, and says so, if it is the best."""
        if score < self.score:
            self.score = score
            self.epochs_since = 0
            self._kept = {
                name: value.detach().clone() for name, value in self.module.state_dict().items()
            }
            return True
        self.epochs_since += 1
        return False

    def restore(self) -> None:
        """Puts the kept weights back; without any score nothing changes."""
        if self._kept:
            self.module.load_state_dict(self._kept)
