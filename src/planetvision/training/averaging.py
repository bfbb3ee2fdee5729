"""Weights as values: the best so far, their moving average, and what lies between two of them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeAlias

import torch
from torch import nn

__all__ = ["BestWeights", "MovingAverage", "copy_learned", "interpolate", "load_learned"]

State: TypeAlias = "dict[str, torch.Tensor]"


def copy_learned(module: nn.Module) -> State:
    """Returns copies of the weights that learn and of all buffers, by name."""
    return {name: value.detach().clone() for name, value in _list_learned(module)}


@torch.no_grad()
def load_learned(module: nn.Module, state: Mapping[str, torch.Tensor]) -> None:
    """Puts what `copy_learned` gave back into the module."""
    for name, value in _list_learned(module):
        value.copy_(state[name])


def interpolate(module: nn.Module, start: Mapping[str, torch.Tensor], *, share: float) -> None:
    """Moves what learns to a point between its values at the start (0) and its present ones (1)."""
    present = copy_learned(module)
    load_learned(
        module,
        {
            name: torch.lerp(start[name], value, share) if value.is_floating_point() else value
            for name, value in present.items()
        },
    )


def _list_learned(module: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    for name, weight in module.named_parameters():
        if weight.requires_grad:
            yield name, weight
    yield from module.named_buffers()


class BestWeights:
    """Keeps a copy of what learns with the lowest score seen.

    Args:
        module: The module that learns.
        patience: Epochs without a lower score before `should_stop`; None never stops.
    """

    def __init__(self, module: nn.Module, patience: int | None) -> None:
        self.module = module
        self.patience = patience
        self.score = math.inf
        self.epochs_since = 0
        self._kept: State = {}

    @property
    def should_stop(self) -> bool:
        """Whether patience has run out."""
        return self.patience is not None and self.epochs_since >= self.patience

    def update(self, score: float) -> bool:
        """Notes a score, lower is better; keeps the weights, and says so, if it is the best."""
        if score < self.score:
            self.score = score
            self.epochs_since = 0
            self._kept = copy_learned(self.module)
            return True
        self.epochs_since += 1
        return False

    def restore(self) -> None:
        """Puts the kept weights back; without any score nothing changes."""
        if self._kept:
            load_learned(self.module, self._kept)

    def state_dict(self) -> dict[str, Any]:
        """Returns what `load_state_dict` takes."""
        return {"score": self.score, "epochs_since": self.epochs_since, "kept": self._kept}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on from what `state_dict` gave."""
        self.score, self.epochs_since = state["score"], state["epochs_since"]
        self._kept = dict(state["kept"])


class MovingAverage:
    """An exponential moving average of what learns, buffers included.

    The first steps weigh more, so that the average does not hang on where it began: step t has the
    decay min(decay, (1 + t) / (10 + t)).

    Args:
        module: The module that learns.
        decay: How much of the average stays at each step, from 0 to 1.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.module = module
        self.decay = decay
        self.num_steps = 0
        self._average = copy_learned(module)

    @torch.no_grad()
    def update(self) -> None:
        """Takes the present weights in, after a step."""
        self.num_steps += 1
        decay = min(self.decay, (1 + self.num_steps) / (10 + self.num_steps))
        for name, value in _list_learned(self.module):
            if value.is_floating_point():
                self._average[name].lerp_(value, 1 - decay)
            else:
                self._average[name].copy_(value)

    def apply(self) -> None:
        """Gives the module the average for good."""
        load_learned(self.module, self._average)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Lets the module have the average in the block, and its own weights after it."""
        own = copy_learned(self.module)
        load_learned(self.module, self._average)
        try:
            yield
        finally:
            load_learned(self.module, own)

    def state_dict(self) -> dict[str, Any]:
        """Returns what `load_state_dict` takes."""
        return {"num_steps": self.num_steps, "average": self._average}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on from what `state_dict` gave."""
        self.num_steps = state["num_steps"]
        for name, value in state["average"].items():
            self._average[name].copy_(value)
