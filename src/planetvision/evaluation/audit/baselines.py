"""Trivial baselines: answers without a network, scored on the same split."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from planetvision.data.catalog import Catalog, SplitName
from planetvision.data.survey import Survey
from planetvision.evaluation.metrics import wilson_interval
from planetvision.results.audit import Baseline

Values = npt.NDArray[np.float32]
MAJORITY = "largest class"


def score_pixels(catalog: Catalog, survey: Survey, *, scored: SplitName) -> tuple[Baseline, ...]:
    """Returns the scores of the majority class and of two nearest-neighbour baselines.

    Args:
        catalog: Images with labels and splits; the baselines learn from `train`.
        survey: The survey of each of them.
        scored: The split that they are scored on.
    """
    images = survey.images
    colors = np.stack([image.mean_color for image in images])
    pixels = np.stack([image.thumbnail.reshape(-1) for image in images]).astype(np.float32)
    tasks: list[tuple[str, Any, Values]] = [
        (MAJORITY, DummyClassifier(strategy="most_frequent"), colors),
        ("nearest neighbour on the mean colour", KNeighborsClassifier(1), colors),
        ("nearest neighbour on 32 x 32 pixels", KNeighborsClassifier(1), pixels),
    ]
    return tuple(_score(name, model, values, catalog, scored) for name, model, values in tasks)


def score_features(catalog: Catalog, features: Values, *, name: str, scored: SplitName) -> Baseline:
    """Returns the score of a linear classifier on features (logistic regression).

    Args:
        catalog: Images with labels and splits.
        features: The features of each of them, (N, C).
        name: What the baseline is called.
        scored: The split that it is scored on.
    """
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    return _score(name, model, features, catalog, scored)


def _score(name: str, model: Any, values: Values, catalog: Catalog, scored: SplitName) -> Baseline:
    labels, splits = np.array(catalog.labels), np.array(catalog.splits)
    train, asked = splits == "train", splits == scored
    model.fit(values[train], labels[train])
    right = int((model.predict(values[asked]) == labels[asked]).sum())
    n = int(asked.sum())
    interval = wilson_interval(right, n)
    assert interval is not None  # a split holds an image of each class at least
    return Baseline(name=name, accuracy=right / n, n=n, accuracy_ci95=interval)
