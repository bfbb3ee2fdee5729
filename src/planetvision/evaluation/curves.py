"""Curves of an evaluation: pure functions of targets and probabilities that return tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.metrics import (
    average_precision_score,
    precision_recall_curve,
    roc_auc_score,
    roc_curve,
)

from planetvision.core.errors import SettingsError
from planetvision.core.files import create_table
from planetvision.evaluation.metrics import find_bins, wilson_interval


def compute_roc_curves(
    targets: npt.NDArray[np.integer[Any]],
    probabilities: npt.NDArray[np.floating[Any]],
    *,
    classes: Sequence[Any],
) -> pd.DataFrame:
    """Returns how many images of a class are found at the price of how many of the others.

    One row per corner of the curve of one class against the rest, with the columns `class`,
    `false_positive_rate`, `true_positive_rate` and `threshold`, the probability from which an image
    gets this class. The threshold falls; the first is infinite. A class without images, or to which
    all belong, has no rows.

    Convention: class indices (N,), probabilities (N, C) in the order of `classes`.

    Args:
        targets: The true classes.
        probabilities: The probability of each class.
        classes: The names of the classes.

    Raises:
        SettingsError: If shapes or values are not as above.

    Example:
        >>> sure = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7]])
        >>> curves = compute_roc_curves(np.array([0, 0, 1]), sure, classes=["mars", "moon"])
        >>> curves[curves["class"] == "moon"]["threshold"].tolist()
        [inf, 0.7, 0.1]

    References:
        Fawcett, T. (2006), "An introduction to ROC analysis", doi:10.1016/j.patrec.2005.10.010.
    """
    _check_answers(targets, probabilities, classes)
    rows = [
        (name, *point)
        for name, shown, scores in _split_by_class(targets, probabilities, classes)
        if shown.any() and not shown.all()
        for point in zip(*roc_curve(shown, scores), strict=True)
    ]
    return _create_frame(rows, ["class", "false_positive_rate", "true_positive_rate", "threshold"])


def compute_precision_recall_curves(
    targets: npt.NDArray[np.integer[Any]],
    probabilities: npt.NDArray[np.floating[Any]],
    *,
    classes: Sequence[Any],
) -> pd.DataFrame:
    """Returns how pure the images called a class are, and how many of its own are among them.

    One row per corner of the curve of one class against the rest, with the columns `class`,
    `precision`, `recall` and `threshold`, the probability from which an image gets this class. The
    threshold rises: at the first everything is called so, and the last is infinite, where nothing
    is and precision is 1 by convention. A class without images has no rows.

    Convention: class indices (N,), probabilities (N, C) in the order of `classes`.

    Args:
        targets: The true classes.
        probabilities: The probability of each class.
        classes: The names of the classes.

    Raises:
        SettingsError: If shapes or values are not as above.
    """
    _check_answers(targets, probabilities, classes)
    rows: list[tuple[Any, ...]] = []
    for name, shown, scores in _split_by_class(targets, probabilities, classes):
        if shown.any():
            precision, recall, thresholds = precision_recall_curve(
                shown, scores, drop_intermediate=True
            )
            points = zip(precision, recall, [*thresholds, np.inf], strict=True)
            rows += [(name, *point) for point in points]
    return _create_frame(rows, ["class", "precision", "recall", "threshold"])


def compute_areas(
    targets: npt.NDArray[np.integer[Any]],
    probabilities: npt.NDArray[np.floating[Any]],
    *,
    classes: Sequence[Any],
) -> dict[str, Any]:
    """Returns the areas under the curves of each class against the rest, as JSON can hold them.

    `per_class` has `roc_auc` and `average_precision` of each class, `macro` their means over the
    classes that have one. Both are None where undefined: the first for a class without images or
    to which all belong, the second for a class without images.

    Convention: class indices (N,), probabilities (N, C) in the order of `classes`.

    Args:
        targets: The true classes.
        probabilities: The probability of each class.
        classes: The names of the classes.

    Raises:
        SettingsError: If shapes or values are not as above.
    """
    _check_answers(targets, probabilities, classes)
    per_class: dict[str, dict[str, float | None]] = {}
    for name, shown, scores in _split_by_class(targets, probabilities, classes):
        occurs, has_both = bool(shown.any()), bool(shown.any() and not shown.all())
        per_class[name] = {
            "roc_auc": float(roc_auc_score(shown, scores)) if has_both else None,
            "average_precision": float(average_precision_score(shown, scores)) if occurs else None,
        }
    macro = {}
    for kind in ("roc_auc", "average_precision"):
        areas = [area for values in per_class.values() if (area := values[kind]) is not None]
        macro[kind] = float(np.mean(areas)) if areas else None
    return {"per_class": per_class, "macro": macro}


def compute_reliability(
    targets: npt.NDArray[np.integer[Any]],
    probabilities: npt.NDArray[np.floating[Any]],
    *,
    bins: int = 15,
) -> pd.DataFrame:
    """Returns how often answers are right that were given with about the same confidence.

    One row per bin of the highest probability, with the columns `low`, `high`, `images`,
    `confidence` (the mean of theirs), `accuracy`, and the ends of its Wilson interval,
    `accuracy_low` and `accuracy_high`. A bin without images has NaN there. The distances between
    confidence and accuracy, weighted by the images, are the expected calibration error.

    Convention: class indices (N,), probabilities (N, C). Bins are open below and closed above.

    Args:
        targets: The true classes.
        probabilities: The probability of each class.
        bins: How many bins, of equal width.

    Raises:
        SettingsError: If shapes or values are not as above, or there is no bin.

    References:
        Guo, C., et al. (2017), "On Calibration of Modern Neural Networks", section 2,
        arXiv:1706.04599.
    """
    _check_answers(targets, probabilities, bins=bins)
    confidences = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == targets
    places = find_bins(confidences, bins)
    images = np.bincount(places, minlength=bins)
    hits = np.bincount(places[right], minlength=bins)
    none = (np.nan, np.nan)
    intervals = np.array(
        [
            wilson_interval(hit, total) or none
            for hit, total in zip(hits.tolist(), images.tolist(), strict=True)
        ]
    )
    edges = np.linspace(0, 1, bins + 1)
    # Nothing over nothing is NaN, as it should be.
    with np.errstate(invalid="ignore"):
        return pd.DataFrame(
            {
                "low": edges[:-1],
                "high": edges[1:],
                "images": images,
                "confidence": np.bincount(places, weights=confidences, minlength=bins) / images,
                "accuracy": hits / images,
                "accuracy_low": intervals[:, 0],
                "accuracy_high": intervals[:, 1],
            }
        )


def compute_classwise_calibration_error(
    targets: npt.NDArray[np.integer[Any]],
    probabilities: npt.NDArray[np.floating[Any]],
    *,
    classes: Sequence[Any],
    bins: int = 15,
) -> dict[str, Any]:
    """Returns how far the probability of each class is from the share of its images, in [0, 1].

    The expected calibration error uses the highest probability only; here the images are put
    into bins by the probability of one class, for each class: `per_class`, and `mean` over all
    of them.

    Convention: class indices (N,), probabilities (N, C) in the order of `classes`. Bins are open
    below and closed above.

    Args:
        targets: The true classes.
        probabilities: The probability of each class.
        classes: The names of the classes.
        bins: How many bins, of equal width.

    Raises:
        SettingsError: If shapes or values are not as above, or there is no bin.

    References:
        Kull, M., et al. (2019), "Beyond temperature scaling: Obtaining well-calibrated multi-class
        probabilities with Dirichlet calibration", section 2, arXiv:1910.12656.
        Nixon, J., et al. (2019), "Measuring Calibration in Deep Learning" (there "static
        calibration error"), arXiv:1904.01685.
    """
    _check_answers(targets, probabilities, classes, bins=bins)
    per_class = {}
    for name, shown, scores in _split_by_class(targets, probabilities, classes):
        gaps = np.bincount(find_bins(scores, bins), weights=shown - scores)
        per_class[name] = float(np.abs(gaps).sum() / len(shown))
    return {"per_class": per_class, "mean": float(np.mean(list(per_class.values())))}


def compute_risk_coverage(
    right: npt.NDArray[np.bool_], uncertainty: npt.NDArray[np.floating[Any]]
) -> pd.DataFrame:
    """Returns how many of the answers are wrong if only the least uncertain images are answered.

    One row per step, with the columns `coverage` (the share that is answered), `risk` (the share of
    those that is wrong) and `threshold` (the uncertainty up to which images are answered), from
    the least coverage to all. Images of one uncertainty are answered together: one step.

    Args:
        right: Whether the answer is right, of each image, (N,).
        uncertainty: How uncertain it is, (N,), such as novelty or 1 - confidence.

    Raises:
        SettingsError: If the two do not fit, there are no images, or an uncertainty is NaN.

    Example:
        >>> compute_risk_coverage(np.array([True, False]), np.array([0.1, 0.5])).values.tolist()
        [[0.5, 0.0, 0.1], [1.0, 0.5, 0.5]]

    References:
        Geifman, Y. and El-Yaniv, R. (2017), "Selective Classification for Deep Neural Networks",
        section 2, arXiv:1705.08500.
    """
    right, uncertainty = np.asarray(right), np.asarray(uncertainty)
    _check_ranking(right, uncertainty)
    thresholds, places = np.unique(uncertainty, return_inverse=True)
    answered = np.cumsum(np.bincount(places))
    wrong = np.cumsum(np.bincount(places, weights=~right))
    return pd.DataFrame(
        {
            "coverage": answered / len(right),
            "risk": wrong / answered,
            "threshold": thresholds,
        }
    )


def compute_risk_area(
    right: npt.NDArray[np.bool_], uncertainty: npt.NDArray[np.floating[Any]]
) -> dict[str, float]:
    """Returns the area under the curve of risk over coverage, as JSON can hold it.

    `aurc` is the mean risk over all coverages, of which less is better; `excess` is what lies
    over the least possible, that of an uncertainty that puts every wrong answer last.

    Convention: the risk at a coverage inside a step is that at its end.

    Args:
        right: Whether the answer is right, of each image, (N,).
        uncertainty: How uncertain it is, (N,).

    Raises:
        SettingsError: If the two do not fit, there are no images, or an uncertainty is NaN.

    References:
        Geifman, Y., Uziel, G. and El-Yaniv, R. (2019), "Bias-Reduced Uncertainty Estimation for
        Deep Neural Classifiers" (AURC and E-AURC), arXiv:1805.08206.
    """
    area = _measure_steps(compute_risk_coverage(right, uncertainty))
    best = compute_risk_coverage(
        np.sort(np.asarray(right))[::-1], np.arange(len(right), dtype=float)
    )
    return {"aurc": area, "excess": max(0.0, area - _measure_steps(best))}


def _measure_steps(curve: pd.DataFrame) -> float:
    widths = np.diff(curve["coverage"].to_numpy(), prepend=0.0)
    return float(widths @ curve["risk"].to_numpy())


def _split_by_class(
    targets: npt.NDArray[np.integer[Any]],
    probabilities: npt.NDArray[np.floating[Any]],
    classes: Sequence[Any],
) -> Iterator[tuple[str, npt.NDArray[np.bool_], npt.NDArray[np.floating[Any]]]]:
    """Gives of each class its name, which images show it, and its probabilities."""
    for index, name in enumerate(classes):
        yield str(name), targets == index, probabilities[:, index]


def _create_frame(rows: Sequence[tuple[Any, ...]], names: Sequence[str]) -> pd.DataFrame:
    """Returns the rows as a table, with numbers in all columns but the first even without rows."""
    columns = {name: [row[index] for row in rows] for index, name in enumerate(names)}
    return create_table(columns).astype(dict.fromkeys(names[1:], np.float64))


def _check_answers(
    targets: npt.NDArray[np.integer[Any]],
    probabilities: npt.NDArray[np.floating[Any]],
    classes: Sequence[Any] | None = None,
    *,
    bins: int = 1,
) -> None:
    if probabilities.ndim != 2 or 0 in probabilities.shape:
        raise SettingsError(
            f"`probabilities` must be of shape (N, C), got {probabilities.shape}. Pass one row per "
            "image and one column a class."
        )
    problems = []
    if targets.shape != probabilities.shape[:1] or not np.issubdtype(targets.dtype, np.integer):
        problems.append(
            f"`targets` must be an integer array of shape ({len(probabilities)},), got one of "
            f"shape {targets.shape} and type {targets.dtype}. Pass the index of one class an image."
        )
    elif targets.min() < 0 or targets.max() >= probabilities.shape[1]:
        problems.append(
            f"`targets` must lie from 0 to {probabilities.shape[1] - 1}, got {targets.min()} to "
            f"{targets.max()}. Leave out the images of classes that have no probability."
        )
    if not (probabilities.min() >= 0 and probabilities.max() <= 1 + 1e-6):  # NaN is neither
        problems.append(
            f"`probabilities` must lie in [0, 1], got {probabilities.min():g} to "
            f"{probabilities.max():g}. Leave out the images that could not be read, and pass "
            "probabilities, not logits."
        )
    if classes is not None and len(classes) != probabilities.shape[1]:
        problems.append(
            f"`classes` must name the {probabilities.shape[1]} columns of `probabilities`, got "
            f"{len(classes)} names. Pass one name a class, in the same order."
        )
    if bins < 1:
        problems.append(f"`bins` must be at least 1, got {bins}. Pass 15, for example.")
    if problems:
        raise SettingsError.from_problems(problems)


def _check_ranking(
    right: npt.NDArray[np.bool_], uncertainty: npt.NDArray[np.floating[Any]]
) -> None:
    if right.ndim != 1 or right.dtype != np.bool_ or right.size == 0:
        raise SettingsError(
            f"`right` must be a bool array of shape (N,), got one of shape {right.shape} and type "
            f"{right.dtype}. Pass whether each answer is right."
        )
    if uncertainty.shape != right.shape or np.isnan(uncertainty).any():
        found = "NaN" if uncertainty.shape == right.shape else f"shape {uncertainty.shape}"
        raise SettingsError(
            f"`uncertainty` must be {len(right)} numbers, one an image, got {found}. Leave out the "
            "images that could not be read."
        )
