"""Metrics: pure functions of labels and probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from planetvision.errors import DataError

__all__ = ["compute_metrics", "wilson_interval"]


def wilson_interval(
    successes: int, trials: int, *, confidence: float = 0.95
) -> tuple[float, float] | None:
    """Returns the Wilson score interval of a share, or None without any trial.

    Args:
        successes: How many of the trials succeeded.
        trials: How many there were.
        confidence: The coverage, in (0, 1).

    Example:
        >>> low, high = wilson_interval(105, 105)
        >>> round(low, 3), high
        (0.965, 1.0)

    References:
        Wilson, Probable Inference, the Law of Succession, and Statistical Inference, 1927,
        doi:10.1080/01621459.1927.10502953.
    """
    if trials == 0:
        return None
    interval = stats.binomtest(successes, trials).proportion_ci(confidence, method="wilson")
    return float(interval.low), float(interval.high)


def compute_metrics(
    labels: Sequence[Any],
    probabilities: npt.NDArray[np.float64],
    *,
    classes: Sequence[Any],
) -> dict[str, Any]:
    """Returns the metrics of a classifier, as JSON can hold them.

    `accuracy`, `n`, `accuracy_ci95` (Wilson), `balanced_accuracy` (the mean recall of the classes
    that occur), `macro_f1` (over the classes that occur), `cross_entropy`, `per_class`
    (`precision`, `recall`, `f1`, `support`, `recall_ci95`; None where a class was never answered or
    never occurs), `averages`, `classes`, `confusion_matrix` (rows are true).

    Convention: probabilities are (N, C), in the order of `classes`, rows that sum to 1.

    Args:
        labels: The true class of each image.
        probabilities: The probability of each class.
        classes: The classes.

    Raises:
        DataError: If there are no images, or a label is none of the classes.
    """
    if not len(labels):
        raise DataError("There is nothing to evaluate: no image could be read.")
    strange = sorted({str(label) for label in labels if label not in classes})
    if strange:
        raise DataError(
            f"The data have classes that the model does not know: {', '.join(strange)}. It knows "
            f"{', '.join(map(str, classes))}. Remove or rename those folders.",
            problems=strange,
        )
    true = np.array([list(classes).index(label) for label in labels])
    answers = probabilities.argmax(axis=1)
    indices = list(range(len(classes)))
    matrix = confusion_matrix(true, answers, labels=indices)
    n, right = len(true), int(np.trace(matrix))
    precision, recall, f1, support = precision_recall_fscore_support(
        true, answers, labels=indices, zero_division=np.nan
    )
    per_class = {
        str(label): {
            "precision": _or_none(precision[index]),
            "recall": _or_none(recall[index]),
            "f1": _or_none(f1[index]) if support[index] else None,
            "support": int(support[index]),
            "recall_ci95": wilson_interval(int(matrix[index, index]), int(support[index])),
        }
        for index, label in enumerate(classes)
    }
    occurs = support > 0
    averages = {
        "macro": {
            "precision": _mean(precision[occurs]),
            "recall": _mean(recall[occurs]),
            "f1": _mean(f1[occurs]),
            "support": n,
        },
        "weighted": {
            "precision": _mean(precision[occurs], support[occurs]),
            "recall": _mean(recall[occurs], support[occurs]),
            "f1": _mean(f1[occurs], support[occurs]),
            "support": n,
        },
    }
    likelihood = probabilities[np.arange(n), true].clip(min=np.finfo(float).tiny)
    return {
        "accuracy": right / n,
        "n": n,
        "accuracy_ci95": wilson_interval(right, n),
        "balanced_accuracy": _mean(recall[occurs]),
        "macro_f1": averages["macro"]["f1"],
        "cross_entropy": float(-np.log(likelihood).mean()),
        "per_class": per_class,
        "averages": averages,
        "classes": list(classes),
        "confusion_matrix": matrix.tolist(),
    }


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _mean(values: npt.NDArray[np.float64], weights: npt.NDArray[np.int64] | None = None) -> float:
    """The mean; a class that was never answered has no precision and counts as 0."""
    return float(np.average(np.nan_to_num(values, nan=0.0), weights=weights))
