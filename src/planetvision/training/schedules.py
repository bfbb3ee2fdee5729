"""`SCHEDULES`: the registry of learning-rate schedules."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from planetvision.core.registry import Entry, Registry

Schedule: TypeAlias = Callable[[int, int, int], float]


@dataclass(frozen=True, kw_only=True)
class SchedulerSpec(Entry):
    """Registry entry of a learning-rate schedule.

    `build(step, total_steps, warmup_steps)` is the schedule itself: it returns the learning rate of
    optimizer step `step` (from 0) as a fraction of the peak rate, in [0, 1].
    """

    build: Schedule


SCHEDULES: Registry[SchedulerSpec, Schedule] = Registry("schedulers", SchedulerSpec)
register_scheduler = SCHEDULES.register
list_schedulers = SCHEDULES.names


def _warmed_up(decay: Callable[[float], float]) -> Schedule:
    """Returns a linear warm-up to 1, then `decay` of the finished fraction of the other steps."""

    def schedule(step: int, total_steps: int, warmup_steps: int) -> float:
        if step < warmup_steps:
            return (step + 1) / (warmup_steps + 1)
        rest = max(1, total_steps - warmup_steps)
        return decay(min(1.0, (step - warmup_steps) / rest))

    return schedule


def _cosine_between(start: float, end: float, done: float) -> float:
    return end + (start - end) * 0.5 * (1.0 + math.cos(math.pi * done))


@register_scheduler("one_cycle", source="Smith & Topin 2018, Super-Convergence, arXiv:1708.07120")
def _one_cycle(step: int, total_steps: int, warmup_steps: int) -> float:
    """Up for 30 % of the steps, then down to almost 0."""
    # Rise from 1/25 over the first 30 %, then fall to 1/25 of 1e-4: the defaults of
    # torch.optim.lr_scheduler.OneCycleLR. It has its own warm-up, so `warmup_steps` is not used.
    del warmup_steps
    last = max(1, total_steps - 1)
    peak = max(0.0, 0.3 * total_steps - 1)
    if step < peak:
        return _cosine_between(1 / 25, 1.0, step / peak)
    return _cosine_between(1.0, 1e-4 / 25, min(1.0, (step - peak) / max(1.0, last - peak)))


register_scheduler(
    "cosine",
    summary="Linear warm-up, then half a cosine to 0.",
    source="Loshchilov & Hutter 2017, SGDR, arXiv:1608.03983",
)(_warmed_up(lambda done: _cosine_between(1.0, 0.0, done)))
register_scheduler("linear", summary="Linear warm-up, then a line to 0.")(
    _warmed_up(lambda done: 1.0 - done)
)
register_scheduler("step", summary="Linear warm-up, then a tenth after each third of the steps.")(
    _warmed_up(lambda done: 0.1 ** int(3 * done + 1e-9) if done < 1 else 0.01)
)
register_scheduler("constant", summary="Linear warm-up, then the same rate to the end.")(
    _warmed_up(lambda _: 1.0)
)
