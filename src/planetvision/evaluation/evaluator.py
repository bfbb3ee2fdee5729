"""Evaluates a network on labelled images."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from scipy.special import softmax

from planetvision.config import Precision
from planetvision.data.catalog import Catalog, Label
from planetvision.errors import ConversionWarning, DataError, DataWarning, ExplanationError
from planetvision.evaluation.metrics import (
    compute_calibration_error,
    compute_cross_entropy,
    compute_metrics,
    compute_rejection,
)
from planetvision.explain.explainer import explain_catalog
from planetvision.inference import Trust, predict_catalog
from planetvision.network import PlanetNet
from planetvision.results import Evaluation, Explanations, Predictions
from planetvision.results.evaluation import sample_rows
from planetvision.results.predictions import join_predictions

__all__ = ["evaluate_catalog", "judge_predictions"]

_MAX_EXPLAINED = 24


def evaluate_catalog(
    network: PlanetNet,
    catalog: Catalog,
    *,
    classes: Sequence[Label],
    device: torch.device,
    trust: Trust | None = None,
    rejection_rate: float = 0.0,
    others: Catalog | None = None,
    batch_size: int = 32,
    num_workers: int | None = None,
    precision: Precision = "fp32",
    tuning: str = "auto",
    progress: bool = False,
) -> Evaluation:
    """Returns how good the network is on these images.

    Images that cannot be read are left out of the numbers and stay in the predictions with their
    error. Classes that the model does not know are left out with a warning; with a score of novelty
    their images count as others.

    Args:
        network: The network.
        catalog: The labelled images.
        classes: The label of each logit.
        device: Where to run.
        trust: As for `predict_catalog`.
        rejection_rate: As for `predict_catalog`.
        others: Images that show none of the classes, which ought to be called unknown.
        batch_size: Images a forward pass.
        num_workers: Loader processes; None lets the machine decide.
        precision: The arithmetic of the network, but for the maps; `auto` is `fp32`.
        tuning: The levers of the machine that are on: see `planetvision.tuning`.
        progress: Whether to show a progress bar.

    Raises:
        DataError: If no image can be read, or the model knows none of the classes.
    """
    can_reject = trust is not None and trust.get_threshold(rejection_rate) < math.inf
    catalog, strange = _split_by_known(catalog, classes, can_reject=can_reject)
    labels = catalog.labels or ()
    shared: dict[str, Any] = {
        "classes": classes,
        "device": device,
        "trust": trust,
        "rejection_rate": rejection_rate,
    }

    def predict(images: Catalog) -> Predictions:
        return predict_catalog(
            network,
            images,
            batch_size=batch_size,
            num_workers=num_workers,
            precision=precision,
            tuning=tuning,
            progress=progress,
            **shared,
        )

    predictions = predict(catalog)
    unlike = [part for part in (strange, others) if part is not None and len(part)]
    other_predictions = join_predictions([predict(part) for part in unlike]) if unlike else None
    rows = sample_rows(predictions, labels, _MAX_EXPLAINED)
    explanations: Explanations | None
    try:
        with warnings.catch_warnings():
            # Prediction has said it of all the images already.
            warnings.simplefilter("ignore", ConversionWarning)
            explanations = explain_catalog(network, catalog.select(rows), **shared)
    except ExplanationError:  # the backbone has no spatial layer; the numbers stand without maps
        explanations = None
    return judge_predictions(
        predictions,
        labels,
        classes=classes,
        explanations=explanations,
        others=other_predictions,
    )


def judge_predictions(
    predictions: Predictions,
    labels: Sequence[Label],
    *,
    classes: Sequence[Label],
    explanations: Explanations | None = None,
    others: Predictions | None = None,
) -> Evaluation:
    """Returns how good answers are that were given before.

    Args:
        predictions: The answers; images that could not be read are left out of the numbers.
        labels: What each image shows.
        classes: The label of each column of the probabilities.
        explanations: Maps of some of the images, to be kept with the numbers.
        others: The answers for images of something else.

    Raises:
        DataError: If no image could be read, or a label is none of `classes`.
    """
    readable = np.array([not error for error in predictions.errors], dtype=bool)
    judged = [label for label, good in zip(labels, readable, strict=True) if good]
    probabilities = predictions.probabilities[readable]
    metrics = compute_metrics(judged, probabilities, classes=classes)
    targets = np.array([list(classes).index(label) for label in judged])
    if predictions.temperature != 1:
        # Powers of the probabilities differ from those before by a factor a row.
        with np.errstate(divide="ignore"):
            before = softmax(np.log(probabilities) * predictions.temperature, axis=1)
        metrics["uncalibrated"] = {
            "cross_entropy": compute_cross_entropy(before, targets),
            "ece": compute_calibration_error(before, targets),
        }
    if predictions.novelty is not None:
        unlike = None
        if others is not None and others.novelty is not None:
            unlike = others.novelty[[not error for error in others.errors]]
        metrics["rejection"] = compute_rejection(
            probabilities.argmax(axis=1) == targets,
            predictions.novelty[readable],
            unlike,
            threshold=predictions.threshold,
        )
    return Evaluation(
        metrics=metrics,
        predictions=predictions,
        labels=tuple(labels),
        explanations=explanations,
        others=others,
    )


def _split_by_known(
    catalog: Catalog, classes: Sequence[Label], *, can_reject: bool
) -> tuple[Catalog, Catalog | None]:
    """Returns the images of classes that the model knows and the rest, of which it warns."""
    unknown = {label: count for label, count in catalog.counts.items() if label not in classes}
    if not unknown:
        return catalog, None
    named = ", ".join(f"{label} ({count})" for label, count in unknown.items())
    known = ", ".join(map(str, classes))
    if len(unknown) == len(catalog.counts):
        raise DataError(
            f"The model knows none of the classes of {catalog.origin}: {named}. It knows {known}. "
            "Name the folders after those; images of something else are `others` (--others).",
            problems=[str(label) for label in unknown],
        )
    fate = "ought to be called unknown" if can_reject else "are left out"
    warnings.warn(
        f"The model does not know these classes of {catalog.origin}, and their images {fate}: "
        f"{named}. It knows {known}.",
        DataWarning,
        stacklevel=4,
    )
    labels = catalog.labels or ()
    known_part, rest = (
        catalog.select(row for row, label in enumerate(labels) if (label in unknown) == wanted)
        for wanted in (False, True)
    )
    return known_part, rest
