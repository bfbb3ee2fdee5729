"""Sampling: a few of many, from each class in turn."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from planetvision.core.settings import Label
from planetvision.results.predictions import Predictions


def take_in_turn(labels: Sequence[Label], limit: int) -> list[int]:
    """Returns up to `limit` indices, the first of each class, then the second of each, and so on.

    Args:
        labels: The class of each.
        limit: The most that is taken.

    Example:
        >>> take_in_turn(["mars", "mars", "mars", "earth"], 3)
        [3, 0, 1]
    """
    queues: dict[Label, list[int]] = {}
    for index, label in enumerate(labels):
        queues.setdefault(label, []).append(index)
    ordered = [queues[label] for label in sorted(queues, key=str)]
    deepest = max((len(queue) for queue in ordered), default=0)
    taken = [queue[depth] for depth in range(deepest) for queue in ordered if depth < len(queue)]
    return taken[:limit]


def sample_rows(predictions: Predictions, labels: Sequence[Label], limit: int) -> list[int]:
    """Returns up to `limit` rows that could be read, taken from the classes in turn."""
    readable = np.flatnonzero(predictions.readable).tolist()
    return [readable[index] for index in take_in_turn([labels[row] for row in readable], limit)]
