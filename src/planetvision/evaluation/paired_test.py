"""Comparison: the answers of two models for the same images become a paired test."""

from __future__ import annotations

import math
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy import stats

from planetvision.core.errors import DataError, DataWarning, count, itemize
from planetvision.core.settings import Label
from planetvision.data.catalog import sort_labels
from planetvision.evaluation.metrics import wilson_interval
from planetvision.results.comparison import Comparison
from planetvision.results.predictions import Predictions


def compare_predictions(
    first: Predictions, second: Predictions, labels: Sequence[Label], *, names: tuple[str, str]
) -> Comparison:
    """Returns whether one of two models is better than the other on the same images.

    The most probable class counts, also where the answer is `unknown`. The test is the exact one of
    McNemar: of the images that one model alone gets right, each of two equally good models would
    have about half. Images that either model could not read count for neither. Images of a class
    that either model does not know are left out; an answer outside the classes that both know is
    wrong, as any other.

    Args:
        first: The answers of one model.
        second: Those of the other, for the same images in the same order.
        labels: What each image shows.
        names: What the two models are called.

    Raises:
        DataError: If the answers are not for the same images, or no image is left that both models
            could read and whose class both know.

    Warns:
        DataWarning: If images are left out for their class.

    References:
        McNemar, Note on the sampling error of the difference between correlated proportions or
        percentages, 1947, doi:10.1007/BF02295996.
    """
    _check_same_images(first, second, labels)
    left_out = _find_unshared(first, second, labels, names)
    kept = [row for row, label in enumerate(labels) if label not in left_out]
    first, second = _select(first, kept), _select(second, kept)
    labels = [labels[row] for row in kept]
    readable = [
        row
        for row, errors in enumerate(zip(first.errors, second.errors, strict=True))
        if not any(errors)
    ]
    if not readable:
        problems = list(filter(None, (*first.errors, *second.errors)))
        heading = "There is nothing to compare: no image could be read by both models."
        raise DataError(itemize(heading, problems), problems=problems)
    answers = (first.top_labels, second.top_labels)
    right = [[given[row] == labels[row] for row in readable] for given in answers]
    counts = Counter(zip(*right, strict=True))
    both_right, only_first, only_second, both_wrong = (
        counts[key] for key in ((True, True), (True, False), (False, True), (False, False))
    )
    differ, n = only_first + only_second, len(readable)
    first_ci95, second_ci95 = (wilson_interval(sum(one), n) for one in right)
    assert first_ci95 is not None
    assert second_ci95 is not None
    return Comparison(
        names=names,
        first=first,
        second=second,
        labels=tuple(labels),
        both_right=both_right,
        only_first=only_first,
        only_second=only_second,
        both_wrong=both_wrong,
        p_value=float(stats.binomtest(only_first, differ).pvalue) if differ else 1.0,
        accuracies_ci95=(first_ci95, second_ci95),
        difference_ci95=compute_paired_interval(both_right, only_first, only_second, both_wrong),
        left_out=left_out,
    )


def compute_paired_interval(
    both: int, only_first: int, only_second: int, neither: int, *, confidence: float = 0.95
) -> tuple[float, float]:
    """Returns the interval of the difference of two shares of the same images, first less second.

    It squares and adds the limits of the two Wilson intervals, less what the two shares have in
    common. So it has a width also where no image tells the two apart.

    Args:
        both: How many images both get right.
        only_first: How many the first alone.
        only_second: How many the second alone.
        neither: How many neither of them got right.
        confidence: The coverage, in (0, 1).

    Raises:
        DataError: If there are no images.

    Example:
        >>> low, high = compute_paired_interval(36, 12, 2, 0)
        >>> round(low, 4), round(high, 4)
        (0.0569, 0.3404)

    References:
        Newcombe, Improved confidence intervals for the difference between binomial proportions
        based on paired data, 1998, method 10,
        doi:10.1002/(SICI)1097-0258(19981130)17:22<2635::AID-SIM954>3.0.CO;2-C.
    """
    n = both + only_first + only_second + neither
    right = (both + only_first, both + only_second)
    limits = [wilson_interval(number, n, confidence=confidence) for number in right]
    intervals = [interval for interval in limits if interval is not None]
    if not intervals:
        raise DataError("The difference of two shares needs at least 1 image, got none.")
    shares = [number / n for number in right]
    below = [share - low for share, (low, _) in zip(shares, intervals, strict=True)]
    above = [high - share for share, (_, high) in zip(shares, intervals, strict=True)]
    margins = math.prod((right[0], n - right[0], right[1], n - right[1]))
    product = both * neither - only_first * only_second
    # The paper's continuity correction: a positive association is taken for weaker than it looks.
    corrected = max(product - n / 2, 0) if product > 0 else product
    correlation = corrected / math.sqrt(margins) if margins else 0.0

    def add(one: float, other: float) -> float:
        return math.sqrt(max(one**2 - 2 * correlation * one * other + other**2, 0))

    difference = (only_first - only_second) / n
    return (
        max(difference - add(below[0], above[1]), -1.0),
        min(difference + add(above[0], below[1]), 1.0),
    )


def _check_same_images(first: Predictions, second: Predictions, labels: Sequence[Label]) -> None:
    if not len(first) == len(second) == len(labels):
        raise DataError(
            "Two models are compared on the same images: got answers for "
            f"{count(len(first), 'image')} and for {len(second)}, and "
            f"{count(len(labels), 'label')}. Predict the same images with both."
        )
    differ = [
        f"'{one}' and '{other}'"
        for one, other in zip(first.paths, second.paths, strict=True)
        if one != other
    ]
    if differ:
        raise DataError(
            itemize(
                "Two models are compared on the same images in the same order. Predict the same "
                "list with both. What differs:",
                differ,
            ),
            problems=differ,
        )


def _find_unshared(
    first: Predictions, second: Predictions, labels: Sequence[Label], names: tuple[str, str]
) -> dict[Label, int]:
    """Returns the classes of the images that not both models know, with their images; warns."""
    shared = set(first.classes) & set(second.classes)
    counts = Counter(labels)
    unshared = {label: counts[label] for label in sort_labels(counts) if label not in shared}
    if not unshared:
        return {}
    named = ", ".join(f"{label} ({number})" for label, number in unshared.items())
    knows = "; ".join(
        f"{name} knows {', '.join(map(str, part.classes))}"
        for name, part in zip(names, (first, second), strict=True)
    )
    if len(unshared) == len(counts):
        raise DataError(
            f"There is nothing to compare: no class of the images is known to both models: {named}."
            f" Of the models, {knows}. Rename the classes by class_map=... (--class OLD=NEW).",
            problems=[str(label) for label in unshared],
        )
    warnings.warn(
        f"Not both models know these classes, and their images are left out: {named}. {knows}.",
        DataWarning,
        stacklevel=3,
    )
    return unshared


def _select(predictions: Predictions, rows: Sequence[int]) -> Predictions:
    novelty = predictions.novelty
    return replace(
        predictions,
        paths=tuple(predictions.paths[row] for row in rows),
        sources=tuple(predictions.sources[row] for row in rows),
        probabilities=predictions.probabilities[np.asarray(rows, np.int64)],
        errors=tuple(predictions.errors[row] for row in rows),
        novelty=None if novelty is None else novelty[np.asarray(rows, np.int64)],
    )
