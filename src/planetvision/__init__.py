"""planetvision: which body of the solar system an image shows.

Names are loaded when they are first used, so that `import planetvision` is light.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from planetvision.augment import list_augmentations, register_augmentation
    from planetvision.backbones import BackboneSpec, list_backbones, register_backbone
    from planetvision.classifier import PlanetClassifier
    from planetvision.config import InputSpec, Recipe, Stage
    from planetvision.data import Catalog, read_image
    from planetvision.errors import PlanetVisionError, PlanetVisionWarning
    from planetvision.explain import list_explainers, register_explainer
    from planetvision.heads import list_heads, register_head
    from planetvision.network import PlanetNet
    from planetvision.render import render_body, write_dataset
    from planetvision.results import (
        Evaluation,
        Explanation,
        Explanations,
        Prediction,
        Predictions,
        TrainingHistory,
    )
    from planetvision.schedules import list_schedulers, register_scheduler
    from planetvision.training import list_recipes, register_recipe
    from planetvision.training.callbacks import Callback, TensorBoardLogger
    from planetvision.training.trainer import Trainer

__version__ = "0.1.0"

_HOMES = {
    "BackboneSpec": "backbones",
    "Callback": "training.callbacks",
    "Catalog": "data",
    "Evaluation": "results",
    "Explanation": "results",
    "Explanations": "results",
    "InputSpec": "config",
    "PlanetClassifier": "classifier",
    "PlanetNet": "network",
    "PlanetVisionError": "errors",
    "PlanetVisionWarning": "errors",
    "Prediction": "results",
    "Predictions": "results",
    "Recipe": "config",
    "Stage": "config",
    "TensorBoardLogger": "training.callbacks",
    "Trainer": "training.trainer",
    "TrainingHistory": "results",
    "list_augmentations": "augment",
    "list_backbones": "backbones",
    "list_explainers": "explain",
    "list_heads": "heads",
    "list_recipes": "training",
    "list_schedulers": "schedules",
    "read_image": "data",
    "register_augmentation": "augment",
    "register_backbone": "backbones",
    "register_explainer": "explain",
    "register_head": "heads",
    "register_recipe": "training",
    "register_scheduler": "schedules",
    "render_body": "render",
    "write_dataset": "render",
}

__all__ = [
    "BackboneSpec",
    "Callback",
    "Catalog",
    "Evaluation",
    "Explanation",
    "Explanations",
    "InputSpec",
    "PlanetClassifier",
    "PlanetNet",
    "PlanetVisionError",
    "PlanetVisionWarning",
    "Prediction",
    "Predictions",
    "Recipe",
    "Stage",
    "TensorBoardLogger",
    "Trainer",
    "TrainingHistory",
    "__version__",
    "list_augmentations",
    "list_backbones",
    "list_explainers",
    "list_heads",
    "list_recipes",
    "list_schedulers",
    "read_image",
    "register_augmentation",
    "register_backbone",
    "register_explainer",
    "register_head",
    "register_recipe",
    "register_scheduler",
    "render_body",
    "write_dataset",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'planetvision' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"planetvision.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
