"""Best weights, moving averages, and WiSE-FT weight interpolation."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeAlias

import torch
from torch import nn

State: TypeAlias = "dict[str, torch.Tensor]"


def copy_learned(module: nn.Module) -> State:
    """Returns copies of the trainable weights and of all buffers, by name."""
    return {name: value.detach().clone() for name, value in _list_learned(module)}


@torch.no_grad()
def load_learned(module: nn.Module, state: Mapping[str, torch.Tensor]) -> None:
    """Restores the weights from `copy_learned`."""
    for name, value in _list_learned(module):
        value.copy_(state[name])


def interpolate(module: nn.Module, start: Mapping[str, torch.Tensor], *, share: float) -> None:
    """Interpolates the trainable weights between those in `start` (0) and the current ones (1)."""
    state = copy_learned(module)
    for name, value in state.items():
        if value.is_floating_point():
            state[name] = torch.lerp(start[name], value, share)
    load_learned(module, state)


def _list_learned(module: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    for name, weight in module.named_parameters():
        if weight.requires_grad:
            yield name, weight
    yield from module.named_buffers()


class BestWeights:
    """Copy of the trainable weights with the lowest score.

    Args:
        module: The module.
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
        """Whether the patience is exhausted."""
        return self.patience is not None and self.epochs_since >= self.patience

    def update(self, score: float) -> bool:
        """Copies the weights if the score is the lowest so far, and returns whether it is."""
        if score < self.score:
            self.score = score
            self.epochs_since = 0
            self._kept = copy_learned(self.module)
            return True
        self.epochs_since += 1
        return False

    def restore(self) -> None:
        """Restores the best weights, if there was a score."""
        if self._kept:
            load_learned(self.module, self._kept)

    def state_dict(self) -> dict[str, Any]:
        """Returns the state for `load_state_dict`."""
        return {"score": self.score, "epochs_since": self.epochs_since, "kept": self._kept}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores the state from `state_dict`."""
        self.score, self.epochs_since = state["score"], state["epochs_since"]
        self._kept = dict(state["kept"])


class MovingAverage:
    """Exponential moving average of the trainable weights and buffers.

    Step t has the decay min(decay, (1 + t) / (10 + t)), so that the initial weights soon lose
    their influence.

    Args:
        module: The module.
        decay: The share of the average that is kept at each step, from 0 to 1.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.module = module
        self.decay = decay
        self.num_steps = 0
        self._average = copy_learned(module)

    @torch.no_grad()
    def update(self) -> None:
        """Updates the average with the current weights, after an optimizer step."""
        self.num_steps += 1
        decay = min(self.decay, (1 + self.num_steps) / (10 + self.num_steps))
        for name, value in _list_learned(self.module):
            if value.is_floating_point():
                self._average[name].lerp_(value, 1 - decay)
            else:
                self._average[name].copy_(value)

    def apply(self) -> None:
        """Replaces the module's weights by the average."""
        load_learned(self.module, self._average)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Replaces the module's weights by the average inside the block."""
        own = copy_learned(self.module)
        load_learned(self.module, self._average)
        try:
            yield
        finally:
            load_learned(self.module, own)

    def state_dict(self) -> dict[str, Any]:
        """Returns the state for `load_state_dict`."""
        return {"num_steps": self.num_steps, "average": self._average}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores the state from `state_dict`."""
        self.num_steps = state["num_steps"]
        for name, value in state["average"].items():
            self._average[name].copy_(value)
