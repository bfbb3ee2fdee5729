"""The learning-rate range test: how the loss changes while the rate rises."""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from planetvision.core.errors import SettingsError, TrainingError
from planetvision.results.rate_search import RateSearch
from planetvision.training.datasets import TrainingData
from planetvision.training.stages import apply_stage
from planetvision.training.trainer import Trainer

if TYPE_CHECKING:
    from planetvision.core.settings import Stage


# Steps whose loss exceeds the lowest so far by this factor end the search.
_DIVERGED = 4.0
_SMOOTHING = 0.8


def find_learning_rate(
    trainer: Trainer,
    train: TrainingData,
    *,
    stage: int = 0,
    low: float = 1e-6,
    high: float = 1.0,
    num_steps: int = 100,
) -> RateSearch:
    """Raises the learning rate step by step, and returns what the loss made of it.

    A copy of the network is trained; the trainer and its network stay as they are.

    Args:
        trainer: Its network, recipe and machine.
        train: The training images, as for `Trainer.fit`.
        stage: The position of the stage in the recipe; that it starts from the present weights is
            a simplification for later ones.
        low: The first rate of the head.
        high: The last one.
        num_steps: How many steps lie between them; the loss may end the search before.

    Raises:
        SettingsError: If an argument is wrong.
        TrainingError: If the loss is no number from the start.

    References:
        Smith, L. N. (2017), "Cyclical Learning Rates for Training Neural Networks",
        arXiv:1506.01186, section 3.3.
    """
    stages = trainer.recipe.stages
    problems = []
    if not 0 <= stage < len(stages):
        problems.append(f"`stage` must be from 0 to {len(stages) - 1}, got {stage!r}. Pass 0.")
    if not 0 < low < high:
        problems.append(f"`low` and `high` must rise from over 0, got {low!r} and {high!r}.")
    if num_steps < 10:
        problems.append(f"`num_steps` must be at least 10, got {num_steps!r}. Pass 100.")
    if problems:
        raise SettingsError.from_problems(problems)
    chosen = replace(
        stages[stage], learning_rate=low, scheduler="constant", warmup_epochs=0, ema_decay=None
    )
    search = _Search(
        copy.deepcopy(trainer.network),
        replace(trainer.recipe, stages=(chosen,)),
        device=str(trainer.device),
        seed=trainer.seed,
        num_workers=trainer.num_workers,
        performance=trainer.performance,
        progress=trainer.progress,
    )
    search.precision = trainer.precision
    search.factor = (high / low) ** (1 / (num_steps - 1))
    search.num_steps = num_steps
    search.fit(train)
    return search.get_result(chosen.name)


class _Search(Trainer):
    """A trainer that raises the rate at each step of its only stage."""

    factor = 1.0
    num_steps = 0

    def run_stage(
        self,
        stage: Stage,
        train: TrainingData,
        val: TrainingData | None,
        *,
        resume: Mapping[str, Any] | None = None,
    ) -> None:
        apply_stage(self.network, stage)
        run = self.prepare_stage(stage, train, None)
        run.module.train()
        self.rates: list[float] = []
        self.losses: list[float] = []
        lowest, smooth = math.inf, 0.0
        first = [group["lr"] for group in run.optimizer.param_groups]
        batches = itertools.chain.from_iterable(
            self._iterate(run, epoch) for epoch in itertools.count(1)
        )
        for step, (*inputs, targets) in enumerate(itertools.islice(batches, self.num_steps)):
            for group, rate in zip(run.optimizer.param_groups, first, strict=True):
                group["lr"] = rate * self.factor**step
            rate = run.optimizer.param_groups[0]["lr"]
            loss, *_ = self.train_step(run, inputs, targets)
            smooth = _SMOOTHING * smooth + (1 - _SMOOTHING) * loss
            # The average begins at 0, which it must not be blamed for.
            value = smooth / (1 - _SMOOTHING ** (step + 1))
            if not math.isfinite(value) or value > _DIVERGED * lowest:
                break
            lowest = min(lowest, value)
            self.rates.append(rate)
            self.losses.append(value)
        self.accelerator.free_memory()

    @staticmethod
    def _iterate(run: Any, epoch: int) -> Any:
        if run.sampler is not None:
            run.sampler.set_draw(epoch)
        return iter(run.train_loader)

    def get_result(self, stage: str) -> RateSearch:
        """Returns the search with its suggestion."""
        if len(self.losses) < 3:
            raise TrainingError(
                f"The loss is no number from the first steps of stage '{stage}' on. Lower `low`.",
                stage=stage,
            )
        # Behind its lowest point the loss only jumps about.
        lowest = max(2, int(np.argmin(self.losses)) + 1)
        slopes = np.gradient(np.array(self.losses[:lowest]), np.log(self.rates[:lowest]))
        return RateSearch(
            stage=stage,
            rates=tuple(self.rates),
            losses=tuple(self.losses),
            suggestion=self.rates[int(slopes.argmin())],
        )
