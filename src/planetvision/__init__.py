"""planetvision: which body of the solar system an image shows.

Names are loaded when they are first used, so that `import planetvision` is light.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from planetvision.auditing import audit
    from planetvision.augment import list_augmentations, register_augmentation
    from planetvision.backbones import BackboneSpec, list_backbones, register_backbone
    from planetvision.classifier import PlanetClassifier
    from planetvision.comparing import compare
    from planetvision.config import InputSpec, Recipe, Stage
    from planetvision.crossval import cross_validate
    from planetvision.data import (
        Catalog,
        DecoderSpec,
        list_decoders,
        read_image,
        read_labelled,
        register_decoder,
        save_manifest,
    )
    from planetvision.errors import PlanetVisionError, PlanetVisionWarning
    from planetvision.explain import list_explainers, register_explainer
    from planetvision.heads import list_heads, register_head
    from planetvision.losses import list_losses, register_loss
    from planetvision.network import PlanetNet
    from planetvision.novelty import list_novelty_scores, register_novelty_score
    from planetvision.optimizers import list_optimizers, register_optimizer
    from planetvision.render import render_body, write_dataset
    from planetvision.results import (
        Audit,
        Comparison,
        CrossValidation,
        Evaluation,
        Explanation,
        Explanations,
        Prediction,
        Predictions,
        TrainingHistory,
        Verification,
    )
    from planetvision.schedules import list_schedulers, register_scheduler
    from planetvision.training import list_recipes, register_recipe
    from planetvision.training.callbacks import (
        Callback,
        CSVLogger,
        TensorBoardLogger,
        TrackerLogger,
    )
    from planetvision.training.rate_search import find_learning_rate
    from planetvision.training.trainer import Trainer
    from planetvision.verifying import verify
    from planetvision.voting import VotingPlanetClassifier, load_classifier

__version__ = "0.1.0"

_HOMES = {
    "Audit": "results",
    "BackboneSpec": "backbones",
    "CSVLogger": "training.callbacks",
    "Callback": "training.callbacks",
    "Catalog": "data",
    "Comparison": "results",
    "CrossValidation": "results",
    "DecoderSpec": "data",
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
    "TrackerLogger": "training.callbacks",
    "Trainer": "training.trainer",
    "TrainingHistory": "results",
    "VotingPlanetClassifier": "voting",
    "Verification": "results",
    "audit": "auditing",
    "compare": "comparing",
    "cross_validate": "crossval",
    "find_learning_rate": "training.rate_search",
    "list_augmentations": "augment",
    "list_backbones": "backbones",
    "list_decoders": "data",
    "list_explainers": "explain",
    "list_heads": "heads",
    "list_losses": "losses",
    "list_novelty_scores": "novelty",
    "list_optimizers": "optimizers",
    "list_recipes": "training",
    "list_schedulers": "schedules",
    "load_classifier": "voting",
    "read_image": "data",
    "read_labelled": "data",
    "register_augmentation": "augment",
    "register_backbone": "backbones",
    "register_decoder": "data",
    "register_explainer": "explain",
    "register_head": "heads",
    "register_loss": "losses",
    "register_novelty_score": "novelty",
    "register_optimizer": "optimizers",
    "register_recipe": "training",
    "register_scheduler": "schedules",
    "render_body": "render",
    "save_manifest": "data",
    "verify": "verifying",
    "write_dataset": "render",
}

__all__ = [
    "Audit",
    "BackboneSpec",
    "CSVLogger",
    "Callback",
    "Catalog",
    "Comparison",
    "CrossValidation",
    "DecoderSpec",
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
    "TrackerLogger",
    "Trainer",
    "TrainingHistory",
    "Verification",
    "VotingPlanetClassifier",
    "__version__",
    "audit",
    "compare",
    "cross_validate",
    "find_learning_rate",
    "list_augmentations",
    "list_backbones",
    "list_decoders",
    "list_explainers",
    "list_heads",
    "list_losses",
    "list_novelty_scores",
    "list_optimizers",
    "list_recipes",
    "list_schedulers",
    "load_classifier",
    "read_image",
    "read_labelled",
    "register_augmentation",
    "register_backbone",
    "register_decoder",
    "register_explainer",
    "register_head",
    "register_loss",
    "register_novelty_score",
    "register_optimizer",
    "register_recipe",
    "register_scheduler",
    "render_body",
    "save_manifest",
    "verify",
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
