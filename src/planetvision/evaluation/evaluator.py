"""Evaluates a network on labelled images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from planetvision.data.catalog import Catalog, Label
from planetvision.errors import DataError, ExplanationError
from planetvision.evaluation.metrics import compute_metrics
from planetvision.explain.explainer import explain_catalog
from planetvision.inference import predict_catalog
from planetvision.network import PlanetNet
from planetvision.results import Evaluation, Explanations
from planetvision.results.evaluation import sample_rows

__all__ = ["evaluate_catalog"]

_MAX_EXPLAINED = 24


def evaluate_catalog(
    network: PlanetNet,
    catalog: Catalog,
    *,
    classes: Sequence[Label],
    device: torch.device,
    batch_size: int = 32,
    num_workers: int | None = None,
    progress: bool = False,
) -> Evaluation:
    """Returns how good the network is on these images; those that cannot be read are left out.

    Args:
        network: The network.
        catalog: The labelled images.
        classes: The label of each logit.
        device: Where to run.
        batch_size: Images a forward pass.
        num_workers: Loader processes; None lets the machine decide.
        progress: Whether to show a progress bar.

    Raises:
        DataError: If no image can be read, or a label is none of the classes.
    """
    labels = catalog.labels or ()
    known = set(classes)
    strange = sorted({str(label) for label in labels if label not in known})
    if strange:
        raise DataError(
            f"{catalog.origin} has classes that the model does not know: {', '.join(strange)}. "
            f"The model knows {', '.join(map(str, classes))}. Remove or rename those folders.",
            problems=strange,
        )
    shared: dict[str, Any] = {"classes": classes, "device": device}
    predictions = predict_catalog(
        network,
        catalog,
        batch_size=batch_size,
        num_workers=num_workers,
        progress=progress,
        **shared,
    )
    readable = np.array([not error for error in predictions.errors], dtype=bool)
    metrics = compute_metrics(
        [label for label, good in zip(labels, readable, strict=True) if good],
        predictions.probabilities[readable],
        classes=classes,
    )
    rows = sample_rows(predictions, labels, _MAX_EXPLAINED)
    explanations: Explanations | None
    try:
        explanations = explain_catalog(network, catalog.select(rows), **shared)
    except ExplanationError:  # the backbone has no spatial layer; the numbers stand without maps
        explanations = None
    return Evaluation(
        metrics=metrics, predictions=predictions, labels=labels, explanations=explanations
    )
