"""Metrics: pure functions of labels and probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats
from sklearn.metrics import confusion_matrix, roc_auc_score

from planetvision.core.errors import DataError
from planetvision.evaluation.bootstrap import NUM_SAMPLES, bootstrap_intervals, number_groups
from planetvision.inference.temperature import get_cross_entropy

_NUM_BINS = 15


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
    groups: Sequence[Any] | None = None,
) -> dict[str, Any]:
    """Returns the metrics of a classifier, as JSON can hold them.

    `accuracy`, `n`, `balanced_accuracy` (the mean recall of the classes that occur), `macro_f1`
    (over the classes that occur), `top2_accuracy`, `cross_entropy`, `ece` (see
    `compute_calibration_error`), `per_class` (`precision`, `recall`, `f1`, `support`; None where a
    class was never answered or never occurs), `averages`, `classes`, `missing_classes` (those
    without an image), `confusion_matrix` (rows are true).

    Each has its 95 % interval under its name with `_ci95`: Wilson's for what is a share of images
    (accuracy, top-2 accuracy, precision, recall), the bootstrap's for the rest, None where there is
    none. `bootstrap` says how that was drawn.

    Convention: probabilities are (N, C), in the order of `classes`, rows that sum to 1.

    Args:
        labels: The true class of each image.
        probabilities: The probability of each class.
        classes: The classes.
        groups: What each image belongs to; the bootstrap draws whole groups. None draws images.

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
    matrix = confusion_matrix(true, probabilities.argmax(axis=1), labels=range(len(classes)))
    n, right = len(true), int(np.trace(matrix))
    numbered = number_groups(groups, n)
    measures = _Measures(true, probabilities)
    intervals = dict(zip(measures.names, bootstrap_intervals(measures, numbered), strict=True))
    averages = _average_classes(matrix)
    top2 = np.argsort(-probabilities, axis=1, kind="stable")[:, :2]
    among = int((top2 == true[:, None]).any(axis=1).sum())
    return {
        "accuracy": right / n,
        "n": n,
        "accuracy_ci95": wilson_interval(right, n),
        "balanced_accuracy": averages["macro"]["recall"],
        "balanced_accuracy_ci95": intervals["balanced_accuracy"],
        "macro_f1": averages["macro"]["f1"],
        "macro_f1_ci95": intervals["macro_f1"],
        "top2_accuracy": among / n,
        "top2_accuracy_ci95": wilson_interval(among, n),
        "cross_entropy": compute_cross_entropy(probabilities, true),
        "cross_entropy_ci95": intervals["cross_entropy"],
        "ece": compute_calibration_error(probabilities, true),
        "ece_ci95": intervals["ece"],
        "per_class": {
            str(label): _score_class(matrix, index, intervals[f"f1 {index}"])
            for index, label in enumerate(classes)
        },
        "averages": averages,
        "classes": list(classes),
        "missing_classes": [
            label for label, row in zip(classes, matrix, strict=True) if not row.any()
        ],
        "confusion_matrix": matrix.tolist(),
        "bootstrap": {"num_samples": NUM_SAMPLES, "num_groups": int(numbered.max()) + 1},
    }


def _score_class(
    matrix: npt.NDArray[np.int64], index: int, f1_interval: tuple[float, float] | None
) -> dict[str, Any]:
    right, rates = int(matrix[index, index]), _compute_rates(matrix)
    support, answered = int(matrix[index].sum()), int(matrix[:, index].sum())
    return {
        "precision": _or_none(rates["precision"][index]),
        "precision_ci95": wilson_interval(right, answered),
        "recall": _or_none(rates["recall"][index]),
        "recall_ci95": wilson_interval(right, support),
        "f1": _or_none(rates["f1"][index]),
        "f1_ci95": f1_interval if support else None,
        "support": support,
    }


def _average_classes(matrix: npt.NDArray[np.int64]) -> dict[str, dict[str, float]]:
    """The means over the classes that occur, plain and weighted by their images."""
    support = matrix.sum(axis=1)
    occurs = support > 0
    rates = _compute_rates(matrix)
    return {
        name: {
            **{rate: _mean(values[occurs], weights) for rate, values in rates.items()},
            "support": int(support.sum()),
        }
        for name, weights in (("macro", None), ("weighted", support[occurs]))
    }


class _Measures:
    """What the bootstrap asks of weighted samples of images."""

    def __init__(
        self, targets: npt.NDArray[np.int64], probabilities: npt.NDArray[np.float64]
    ) -> None:
        self.num_classes = probabilities.shape[1]
        answers = probabilities.argmax(axis=1)
        confidences = probabilities.max(axis=1)
        true = probabilities[np.arange(len(targets)), targets]
        self.losses = -np.log(true.clip(min=np.finfo(float).tiny))
        self.cells = _create_sums(targets * self.num_classes + answers, self.num_classes**2)
        gaps = (answers == targets) - confidences
        self.gaps = _create_sums(find_bins(confidences, _NUM_BINS), _NUM_BINS, gaps)
        self.names = [
            "balanced_accuracy",
            "macro_f1",
            "cross_entropy",
            "ece",
            *(f"f1 {index}" for index in range(self.num_classes)),
        ]

    def __call__(self, weights: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        totals = weights.sum(axis=1)
        size = self.num_classes
        matrices = (self.cells @ weights.T).T.reshape(-1, size, size)
        rates = _compute_rates(matrices)
        counted = np.maximum((matrices.sum(axis=2) > 0).sum(axis=1), 1)
        means = [np.nansum(rates[name], axis=1) / counted for name in ("recall", "f1")]
        losses = weights @ self.losses / totals
        errors = np.abs(self.gaps @ weights.T).sum(axis=0) / totals
        return np.column_stack([*means, losses, errors, rates["f1"]])


def _create_sums(
    places: npt.NDArray[np.int64],
    num_places: int,
    values: npt.NDArray[np.float64] | None = None,
) -> Any:
    """A sparse matrix that adds up weights by place, (num_places, N)."""
    from scipy.sparse import csr_array

    columns = np.arange(len(places))
    held = np.ones(len(places)) if values is None else values
    return csr_array((held, (places, columns)), shape=(num_places, len(places)))


def _compute_rates(matrices: npt.NDArray[Any]) -> dict[str, npt.NDArray[np.float64]]:
    """Precision, recall and F1 of each class, (..., C), of counts (..., C, C); NaN where none."""
    right = np.diagonal(matrices, axis1=-2, axis2=-1)
    support, answered = matrices.sum(axis=-1), matrices.sum(axis=-2)
    return {
        "precision": np.where(answered > 0, right / np.maximum(answered, 1), np.nan),
        "recall": np.where(support > 0, right / np.maximum(support, 1), np.nan),
        "f1": np.where(support > 0, 2 * right / np.maximum(support + answered, 1), np.nan),
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
    probabilities: npt.NDArray[np.float64], targets: npt.NDArray[np.int64], *, bins: int = _NUM_BINS
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
    gaps = np.bincount(find_bins(confidences, bins), weights=right - confidences, minlength=bins)
    return float(np.abs(gaps).sum() / len(targets))


def find_bins(confidences: npt.NDArray[np.floating[Any]], bins: int) -> npt.NDArray[np.int64]:
    """Returns the bin of each confidence, from 0; bins are open below and closed above."""
    places: npt.NDArray[np.int64] = np.ceil(confidences * bins).astype(np.int64).clip(1, bins) - 1
    return places


def compute_rejection(
    right: npt.NDArray[np.bool_],
    novelty: npt.NDArray[np.float64],
    negatives: npt.NDArray[np.float64] | None,
    *,
    threshold: float,
    groups: Sequence[Any] | None = None,
) -> dict[str, Any]:
    """Returns what the answer "unknown" costs and saves, as JSON can hold it.

    `threshold` (None where nothing is unknown), `num_known`, `coverage` (the share of the images of
    known classes that is answered) and `accuracy_of_answered`, both with Wilson intervals. With
    negatives also `num_negatives`, `negatives_answered` (the share of them that is
    answered with a class), its interval, and `auroc` (how well novelty tells the two apart: the
    probability that one of the negatives has the higher one), with the bootstrap's interval.

    Args:
        right: Whether the most probable class is right, of each image of a known class, (N,).
        novelty: Their novelty, (N,).
        negatives: The novelty of the negatives, (M,); None without any.
        threshold: The novelty over which an image is unknown.
        groups: What each image of a known class belongs to; the bootstrap draws whole groups.
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
    if negatives is not None and len(negatives):
        taken = int((negatives <= threshold).sum())
        both = np.concatenate([novelty, negatives])
        is_other = np.arange(len(both)) >= total
        found |= {
            "num_negatives": len(negatives),
            "negatives_answered": taken / len(negatives),
            "negatives_answered_ci95": wilson_interval(taken, len(negatives)),
            "auroc": float(roc_auc_score(is_other, both)) if total else None,
            "auroc_ci95": _bootstrap_auroc(is_other, both, number_groups(groups, total)),
        }
    return found


def _bootstrap_auroc(
    is_other: npt.NDArray[np.bool_],
    novelty: npt.NDArray[np.float64],
    groups: npt.NDArray[np.int64],
) -> tuple[float, float] | None:
    alone = np.arange(len(novelty) - len(groups)) + (groups.max() + 1 if len(groups) else 0)
    values, ranks = np.unique(novelty, return_inverse=True)
    sums = _create_sums(ranks.ravel(), len(values))

    def measure(weights: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        known, negatives = (sums @ (weights * part).T for part in (~is_other, is_other))
        below = np.cumsum(known, axis=0) - known / 2  # a tie counts half
        pairs = known.sum(axis=0) * negatives.sum(axis=0)
        areas = (negatives * below).sum(axis=0) / np.maximum(pairs, 1)
        return np.where(pairs > 0, areas, np.nan)[:, None]

    return bootstrap_intervals(measure, np.concatenate([groups, alone]))[0]


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _mean(values: npt.NDArray[np.float64], weights: npt.NDArray[Any] | None = None) -> float:
    """The mean; a class that was never answered has no precision and counts as 0."""
    return float(np.average(np.nan_to_num(values, nan=0.0), weights=weights))
