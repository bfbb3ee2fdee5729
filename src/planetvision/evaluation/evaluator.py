"""Evaluates answers: of images with labels, what a model says and how good that is."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.special import softmax

from planetvision.core.errors import ConversionWarning, DataError, DataWarning, ExplanationError
from planetvision.core.settings import Label
from planetvision.data.catalog import Catalog
from planetvision.data.survey import Survey
from planetvision.evaluation.curves import (
    compute_areas,
    compute_classwise_calibration_error,
    compute_precision_recall_curves,
    compute_reliability,
    compute_risk_area,
    compute_risk_coverage,
    compute_roc_curves,
)
from planetvision.evaluation.metrics import (
    compute_calibration_error,
    compute_cross_entropy,
    compute_metrics,
    compute_rejection,
)
from planetvision.evaluation.slices import compute_slices, list_traits
from planetvision.explain.checks import judge_explanations
from planetvision.results import Evaluation, Explanations, Predictions
from planetvision.results.predictions import join_predictions
from planetvision.results.sampling import sample_rows

if TYPE_CHECKING:
    import pandas as pd


Predict: TypeAlias = "Callable[[Catalog], Predictions]"


class Explain(Protocol):
    """Explanations for a catalog, with those of some rows checked."""

    def __call__(self, catalog: Catalog, *, checked: Collection[int]) -> Explanations:
        """Returns one explanation per image."""
        ...


# Of more images maps take longer than the rest, and say no more.
_MAX_EXPLAINED = 300
# Checks take 32 passes and four more maps per image.
_MAX_CHECKED = 35
# As many as the report shows.
_MAX_MISTAKES = 24

logger = logging.getLogger(__name__)


def evaluate_catalog(
    catalog: Catalog,
    *,
    classes: Sequence[Label],
    predict: Predict,
    explain: Explain | None = None,
    survey: Survey | None = None,
    negatives: Catalog | None = None,
    can_reject: bool = False,
    about: Mapping[str, Any] | None = None,
) -> Evaluation:
    """Evaluates a model on labelled images.

    Images that cannot be read are left out of the numbers and stay in the predictions with their
    error. Classes that the model does not know are left out with a warning; with an OOD score
    their images count as negatives.

    Args:
        catalog: The labelled images.
        classes: The classes that the model knows.
        predict: Answers for a catalog.
        explain: Explanations for a catalog, checked at the rows given; None leaves maps out. Up to
            300 images are explained, from the classes in turn, and the 24 most confident
            mistakes; the first 35 are checked.
        survey: The survey of each image; None leaves slices by the disc out.
        negatives: Images outside the classes, for which `unknown` is the right answer.
        can_reject: Whether the model can say "unknown".
        about: What the report says about the model and the data; see `Evaluation`.

    Raises:
        DataError: If no image can be read, or the model knows none of the classes.
    """
    rows = _find_known(catalog, classes, can_reject=can_reject)
    strange = catalog.select(sorted(set(range(len(catalog))) - set(rows)) if can_reject else [])
    if survey is not None:
        survey = survey.select(rows)
    catalog = catalog.select(rows)
    predictions = predict(catalog)
    unlike = [part for part in (strange, negatives) if part is not None and len(part)]
    other_predictions = join_predictions([predict(part) for part in unlike]) if unlike else None
    judged = judge_predictions(
        predictions,
        catalog.labels or (),
        classes=classes,
        negatives=other_predictions,
        groups=catalog.groups,
        traits=list_traits(catalog, survey.images if survey is not None else None),
        about=about,
    )
    return judged if explain is None else _explain(judged, catalog, explain)


def _explain(judged: Evaluation, catalog: Catalog, explain: Explain) -> Evaluation:
    """Adds maps of a fair sample, and of the most confident mistakes."""
    fair = sample_rows(judged.predictions, judged.labels, _MAX_EXPLAINED)
    shown = list(dict.fromkeys([*fair, *judged.misclassified_rows[:_MAX_MISTAKES]]))
    checked = range(min(_MAX_CHECKED, len(fair)))
    try:
        with warnings.catch_warnings():
            # Prediction has said it of all the images already.
            warnings.simplefilter("ignore", ConversionWarning)
            explanations = explain(catalog.select(shown), checked=checked)
    except ExplanationError as error:  # the numbers stand without maps
        logger.warning("The report has no maps. %s", error)
        return judged
    # A selection counts images in memory anew.
    names = judged.predictions.paths
    items = tuple(
        replace(item, path=names[row]) for row, item in zip(shown, explanations, strict=True)
    )
    checks = explanations.checks
    # Mistakes that were added are no part of what holds for all images.
    verdict = None if checks is None else judge_explanations(checks.select(range(len(fair))))
    return replace(judged, explanations=replace(explanations, items=items, verdict=verdict))


def judge_predictions(
    predictions: Predictions,
    labels: Sequence[Label],
    *,
    classes: Sequence[Label],
    explanations: Explanations | None = None,
    negatives: Predictions | None = None,
    groups: Sequence[Any] | None = None,
    traits: Mapping[str, Sequence[str]] | None = None,
    about: Mapping[str, Any] | None = None,
) -> Evaluation:
    """Evaluates answers that were given before.

    Args:
        predictions: The answers; images that could not be read are left out of the numbers.
        labels: What each image shows.
        classes: The label of each column of the probabilities.
        explanations: Maps of some of the images, to be kept with the numbers.
        negatives: The answers for negatives.
        groups: What each image belongs to, for the bootstrap.
        traits: What the images are grouped by, as `list_traits` gives it.
        about: As for `evaluate_catalog`.

    Raises:
        DataError: If no image could be read, or a label is none of `classes`.
    """
    readable = predictions.readable
    kept = np.flatnonzero(readable).tolist()
    judged = [labels[row] for row in kept]
    probabilities = predictions.probabilities[readable]
    known_groups = None if groups is None else [groups[row] for row in kept]
    metrics = compute_metrics(judged, probabilities, classes=classes, groups=known_groups)
    targets = np.array([list(classes).index(label) for label in judged])
    right = probabilities.argmax(axis=1) == targets
    curves = _compute_curves(targets, probabilities, classes)
    _add_areas(metrics, targets, probabilities, classes)
    uncertainty = {"confidence": 1 - probabilities.max(axis=1)}
    if predictions.temperature != 1:
        # Powers of the probabilities differ from those before by a factor a row.
        with np.errstate(divide="ignore"):
            before = softmax(np.log(probabilities) * predictions.temperature, axis=1)
        metrics["uncalibrated"] = {
            "cross_entropy": compute_cross_entropy(before, targets),
            "ece": compute_calibration_error(before, targets),
        }
        curves["reliability_uncalibrated"] = compute_reliability(targets, before)
    if predictions.novelty is not None:
        unlike = None
        if negatives is not None and negatives.novelty is not None:
            unlike = negatives.novelty[negatives.readable]
        novelty = predictions.novelty[readable]
        metrics["rejection"] = compute_rejection(
            right, novelty, unlike, threshold=predictions.threshold, groups=known_groups
        )
        uncertainty["novelty"] = novelty
    metrics["risk_coverage"] = {
        name: compute_risk_area(right, values) for name, values in uncertainty.items()
    }
    for name, values in uncertainty.items():
        curves[f"risk_coverage_{name}"] = compute_risk_coverage(right, values)
    chosen = {name: [values[row] for row in kept] for name, values in (traits or {}).items()}
    return Evaluation(
        metrics=metrics,
        predictions=predictions,
        labels=tuple(labels),
        explanations=explanations,
        negatives=negatives,
        curves=curves,
        slices=compute_slices(right, chosen),
        about=about or {},
    )


def _compute_curves(
    targets: npt.NDArray[np.int64],
    probabilities: npt.NDArray[np.float64],
    classes: Sequence[Label],
) -> dict[str, pd.DataFrame]:
    return {
        "roc": compute_roc_curves(targets, probabilities, classes=classes),
        "precision_recall": compute_precision_recall_curves(
            targets, probabilities, classes=classes
        ),
        "reliability": compute_reliability(targets, probabilities),
    }


def _add_areas(
    metrics: dict[str, Any],
    targets: npt.NDArray[np.int64],
    probabilities: npt.NDArray[np.float64],
    classes: Sequence[Label],
) -> None:
    """Adds the areas under the curves and the calibration of each class."""
    areas = compute_areas(targets, probabilities, classes=classes)
    classwise = compute_classwise_calibration_error(targets, probabilities, classes=classes)
    for name, values in metrics["per_class"].items():
        values.update(areas["per_class"][name])
        values["ece"] = classwise["per_class"][name]
    metrics["macro_roc_auc"] = areas["macro"]["roc_auc"]
    metrics["macro_average_precision"] = areas["macro"]["average_precision"]
    metrics["classwise_ece"] = classwise["mean"]


def _find_known(catalog: Catalog, classes: Sequence[Label], *, can_reject: bool) -> list[int]:
    """Returns the rows of classes that the model knows, and warns of the rest."""
    unknown = {label: count for label, count in catalog.counts.items() if label not in classes}
    labels = catalog.labels or ()
    if not unknown:
        return list(range(len(catalog)))
    named = ", ".join(f"{label} ({count})" for label, count in unknown.items())
    known = ", ".join(map(str, classes))
    if len(unknown) == len(catalog.counts):
        raise DataError(
            f"The model knows none of the classes of {catalog.origin}: {named}. It knows {known}. "
            "Name the folders after those; OOD images are `negatives` (--negatives).",
            problems=[str(label) for label in unknown],
        )
    fate = "ought to be called unknown" if can_reject else "are left out"
    warnings.warn(
        f"The model does not know these classes of {catalog.origin}, and their images {fate}: "
        f"{named}. It knows {known}.",
        DataWarning,
        stacklevel=4,
    )
    return [row for row, label in enumerate(labels) if label not in unknown]
