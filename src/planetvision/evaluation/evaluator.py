"""Evaluates a network on labelled images."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from planetvision.config import Precision
from planetvision.data.catalog import Catalog, Label
from planetvision.errors import ConversionWarning, DataError, DataWarning, ExplanationError
from planetvision.evaluation.metrics import compute_metrics
from planetvision.explain.explainer import explain_catalog
from planetvision.inference import predict_catalog
from planetvision.network import PlanetNet
from planetvision.results import Evaluation, Explanations, Predictions
from planetvision.results.evaluation import sample_rows

__all__ = ["evaluate_catalog", "judge_predictions"]

_MAX_EXPLAINED = 24


def evaluate_catalog(
    network: PlanetNet,
    catalog: Catalog,
    *,
    classes: Sequence[Label],
    device: torch.device,
    batch_size: int = 32,
    num_workers: int | None = None,
    precision: Precision = "fp32",
    tuning: str = "auto",
    progress: bool = False,
) -> Evaluation:
    """Returns how good the network is on these images.

    Images that cannot be read are left out of the numbers and stay in the predictions with their
    error; classes that the model does not know are left out with a warning.

    Args:
        network: The network.
        catalog: The labelled images.
        classes: The label of each logit.
        device: Where to run.
        batch_size: Images a forward pass.
        num_workers: Loader processes; None lets the machine decide.
        precision: The arithmetic of the network, but for the maps; `auto` is `fp32`.
        tuning: The levers of the machine that are on: see `planetvision.tuning`.
        progress: Whether to show a progress bar.

    Raises:
        DataError: If no image can be read, or the model knows none of the classes.
    """
    catalog = _keep_known(catalog, classes)
    labels = catalog.labels or ()
    shared: dict[str, Any] = {"classes": classes, "device": device}
    predictions = predict_catalog(
        network,
        catalog,
        batch_size=batch_size,
        num_workers=num_workers,
        precision=precision,
        tuning=tuning,
        progress=progress,
        **shared,
    )
    rows = sample_rows(predictions, labels, _MAX_EXPLAINED)
    explanations: Explanations | None
    try:
        with warnings.catch_warnings():
            # Prediction has said it of all the images already.
            warnings.simplefilter("ignore", ConversionWarning)
            explanations = explain_catalog(network, catalog.select(rows), **shared)
    except ExplanationError:  # the backbone has no spatial layer; the numbers stand without maps
        explanations = None
    return judge_predictions(predictions, labels, classes=classes, explanations=explanations)


def judge_predictions(
    predictions: Predictions,
    labels: Sequence[Label],
    *,
    classes: Sequence[Label],
    explanations: Explanations | None = None,
) -> Evaluation:
    """Returns how good answers are that were given before.

    Args:
        predictions: The answers; images that could not be read are left out of the numbers.
        labels: What each image shows.
        classes: The label of each column of the probabilities.
        explanations: Maps of some of the images, to be kept with the numbers.

    Raises:
        DataError: If no image could be read, or a label is none of `classes`.
    """
    readable = np.array([not error for error in predictions.errors], dtype=bool)
    metrics = compute_metrics(
        [label for label, good in zip(labels, readable, strict=True) if good],
        predictions.probabilities[readable],
        classes=classes,
    )
    return Evaluation(
        metrics=metrics,
        predictions=predictions,
        labels=tuple(labels),
        explanations=explanations,
    )


def _keep_known(catalog: Catalog, classes: Sequence[Label]) -> Catalog:
    """Returns the images of classes that the model knows, and warns of the others."""
    unknown = {label: count for label, count in catalog.counts.items() if label not in classes}
    if not unknown:
        return catalog
    named = ", ".join(f"{label} ({count})" for label, count in unknown.items())
    known = ", ".join(map(str, classes))
    if len(unknown) == len(catalog.counts):
        raise DataError(
            f"The model knows none of the classes of {catalog.origin}: {named}. It knows {known}. "
            "Name the folders after those.",
            problems=[str(label) for label in unknown],
        )
    warnings.warn(
        f"The model does not know these classes of {catalog.origin}, and their images are left "
        f"out: {named}. It knows {known}.",
        DataWarning,
        stacklevel=4,
    )
    rows = enumerate(catalog.labels or ())
    return catalog.select(row for row, label in rows if label not in unknown)
