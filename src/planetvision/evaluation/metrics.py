"""Metrics: pure functions of labels and probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support, roc_auc_score

from planetvision.calibration import get_cross_entropy
from planetvision.errors import DataError

__all__ = [
    "compute_calibration_error",
    "compute_cross_entropy",
    "compute_metrics",
    "compute_rejection",
    "wilson_interval",
]


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
    that occur), `macro_f1` (over the classes that occur), `top2_accuracy`, `cross_entropy`, `ece`
    (see `compute_calibration_error`), `per_class`
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
    top2 = np.argsort(-probabilities, axis=1, kind="stable")[:, :2]
    return {
        "accuracy": right / n,
        "n": n,
        "accuracy_ci95": wilson_interval(right, n),
        "balanced_accuracy": _mean(recall[occurs]),
        "macro_f1": averages["macro"]["f1"],
        "top2_accuracy": float((top2 == true[:, None]).any(axis=1).mean()),
        "cross_entropy": compute_cross_entropy(probabilities, true),
        "ece": compute_calibration_error(probabilities, true),
        "per_class": per_class,
        "averages": averages,
        "classes": list(classes),
        "confusion_matrix": matrix.tolist(),
    }


def compute_cross_entropy(
    probabilities: npt.NDArray[np.float64], targets: npt.NDArray[np.int64]
) -> float:
    """Returns the mean negative logarithm of the probability of the true class.

    Convention: probabilities (N, C), class indices (N,).
    """
    logs = np.log(probabilities.clip(min=np.finfo(float).tiny))
    return get_cross_entropy(logs, targets)


def compute_calibration_error(
    probabilities: npt.NDArray[np.float64], targets: npt.NDArray[np.int64], *, bins: int = 15
) -> float:
    """Returns the expected calibration error, in [0, 1].

    Images are put into bins of equal width by the highest probability; it is the mean distance
    between that and the share of right answers over the bins, weighted by their images. Of few
    images it is above 0 by chance alone.

    Convention: probabilities (N, C), class indices (N,).

    Args:
        probabilities: The probability of each class.
        targets: The true classes.
        bins: How many bins.

    References:
        Guo, C., et al. (2017), "On Calibration of Modern Neural Networks", equation 3,
        arXiv:1706.04599.
    """
    confidences = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == targets
    # The bins are open below and closed above, as in the paper.
    places = np.ceil(confidences * bins).astype(np.int64).clip(1, bins) - 1
    gaps = np.bincount(places, weights=right - confidences, minlength=bins)
    return float(np.abs(gaps).sum() / len(targets))


def compute_rejection(
    right: npt.NDArray[np.bool_],
    novelty: npt.NDArray[np.float64],
    others: npt.NDArray[np.float64] | None,
    *,
    threshold: float,
) -> dict[str, Any]:
    """Returns what the answer "unknown" costs and saves, as JSON can hold it.

    `threshold` (None where nothing is unknown), `num_known`, `coverage` (the share of the images of
    known classes that is answered) and `accuracy_of_answered`, both with Wilson intervals. With
    images of something else also `num_others`, `others_answered` (the share of them that is
    answered with a class), its interval, and `auroc` (how well novelty tells the two apart: the
    probability that one of the others has the higher one).

    Args:
        right: Whether the most probable class is right, of each image of a known class, (N,).
        novelty: Their novelty, (N,).
        others: The novelty of images of something else, (M,); None without any.
        threshold: The novelty over which an image is unknown.
    """
    answered = novelty <= threshold
    count, total = int(answered.sum()), len(answered)
    good = int((right & answered).sum())
    found: dict[str, Any] = {
        "threshold": None if np.isinf(threshold) else threshold,
        "num_known": total,
        "coverage": count / total if total else None,
        "coverage_ci95": wilson_interval(count, total),
        "accuracy_of_answered": good / count if count else None,
        "accuracy_of_answered_ci95": wilson_interval(good, count),
    }
    if others is not None and len(others):
        taken = int((others <= threshold).sum())
        both = np.concatenate([novelty, others])
        found |= {
            "num_others": len(others),
            "others_answered": taken / len(others),
            "others_answered_ci95": wilson_interval(taken, len(others)),
            "auroc": float(roc_auc_score(np.arange(len(both)) >= total, both)) if total else None,
        }
    return found


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _mean(values: npt.NDArray[np.float64], weights: npt.NDArray[np.int64] | None = None) -> float:
    """The mean; a class that was never answered has no precision and counts as 0."""
    return float(np.average(np.nan_to_num(values, nan=0.0), weights=weights))
