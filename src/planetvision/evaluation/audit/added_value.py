"""Comparison: what a network adds to trivial answers on the same images."""

from __future__ import annotations

from collections.abc import Sequence

from planetvision.core.settings import Recipe
from planetvision.core.text import format_share
from planetvision.evaluation.metrics import wilson_interval
from planetvision.results.audit import Baseline
from planetvision.results.history import TrainingHistory

_A_POINT = 0.01


def score_frozen_stage(history: TrainingHistory, recipe: Recipe, num_val: int) -> Baseline | None:
    """Returns the score of the head on the frozen backbone; None without such a stage.

    A recipe that begins with a frozen backbone has measured it on the way: the best validation
    accuracy of that stage.

    Args:
        history: The epochs.
        recipe: The recipe as it was run.
        num_val: How many validation images there were.
    """
    first = recipe.stages[0]
    if len(recipe.stages) < 2 or first.trainable_blocks != 0 or num_val == 0:
        return None
    scores = [
        record.val_accuracy
        for record in history
        if record.stage == first.name and record.val_accuracy is not None
    ]
    if not scores:
        return None
    right = round(max(scores) * num_val)
    interval = wilson_interval(right, num_val)
    assert interval is not None  # there are validation images
    return Baseline(
        name=f"{recipe.head} head on frozen features",
        accuracy=right / num_val,
        n=num_val,
        accuracy_ci95=interval,
    )


def compare_with_network(
    baselines: Sequence[Baseline], accuracy: float, *, scored: str
) -> str | None:
    """Returns a line on the baselines that come within a point of the network; None without any.

    Args:
        baselines: The scores of the trivial baselines.
        accuracy: The network's share of right answers on the same images, in [0, 1].
        scored: The split that all were scored on.
    """
    near = [baseline for baseline in baselines if baseline.accuracy >= accuracy - _A_POINT]
    if not near:
        return None
    named = " and the ".join(
        f"{baseline.name} {format_share(baseline.accuracy)}" for baseline in near
    )
    return (
        f"On the {near[0].n} images of the {scored} part the network is right on "
        f"{format_share(accuracy)}, the {named}: these images cannot show what the network adds. "
        "Evaluate it on images from another source."
    )
