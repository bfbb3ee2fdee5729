"""Descriptions of the data and scores of a model, for its configuration and its card."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from planetvision.core.settings import Label
from planetvision.data.catalog import SPLIT_NAMES, SplitName, name_origin
from planetvision.data.manifest import fingerprint_hashes, hash_sources
from planetvision.data.sources import list_input_places
from planetvision.models.backbones.first_weights import format_weights

if TYPE_CHECKING:
    from planetvision.core.settings import Recipe
    from planetvision.models.network import PlanetNet
    from planetvision.results import Audit, Evaluation
    from planetvision.training.settings import ClassifierSettings


_SCORES = ("accuracy", "n", "accuracy_ci95", "balanced_accuracy", "macro_f1", "ece")


def describe_data(
    audit: Audit,
    settings: ClassifierSettings,
    *,
    given_splits: Sequence[SplitName] | None,
    has_groups: bool,
    negatives: Mapping[str, Any] | None = None,
    initial_model: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Returns the description of the training data, as JSON values.

    It contains no file names, and only the last component of the path of the data folder.

    Args:
        audit: The audit of the images in their splits.
        settings: The classifier.
        given_splits: The splits that the data had; None if they had none.
        has_groups: Whether the data have groups.
        negatives: The result of `describe_negatives`; None without negatives.
        initial_model: The `origin` of the initial weights, and whether they include the head
            (`has_head`); None if they are those of the backbone.
    """
    catalog = audit.catalog
    described, splits = audit.to_dict(), catalog.splits or ()
    group_duplicates = bool(settings.group_duplicates)
    across = sum(splits[pair.first] != splits[pair.second] for pair in audit.duplicates)
    return {
        "origin": name_origin(catalog.origin),
        "num_images": len(catalog),
        "num_unreadable": len(audit.unreadable),
        "parts": described["splits"],
        "split": {
            "given": [name for name in SPLIT_NAMES if name in (given_splits or ())],
            "seed": int(settings.random_state),
            "val_fraction": float(settings.val_fraction),
            "test_fraction": float(settings.test_fraction),
            "has_groups": has_groups,
            "num_groups": len(set(catalog.groups)) if catalog.groups is not None else None,
            "group_duplicates": group_duplicates,
            "num_copies": len(audit.duplicates) if group_duplicates else None,
            "num_copies_across": across if group_duplicates else None,
        },
        "findings": [
            {
                "kind": finding.kind,
                "severity": finding.severity,
                "message": finding.message,
                "remedy": finding.remedy,
                "num_images": finding.num_images or len(finding.rows),
            }
            for finding in audit.findings
        ],
        "baselines": described["baselines"],
        "remarks": described["remarks"],
        "negatives": None if negatives is None else dict(negatives),
        "initial_model": None if initial_model is None else dict(initial_model),
    }


def describe_negatives(negatives: Any, *, num_images: int, weight: float) -> dict[str, Any]:
    """Returns the description of the negatives of a training.

    Args:
        negatives: The negatives as passed to `fit`.
        num_images: The number of readable images.
        weight: The loss weight of each, relative to an image of a class.
    """
    origins = [
        "images in memory" if place is None else name_origin(f"'{place}'")
        for place in list_input_places(negatives)
    ]
    return {
        "origins": list(dict.fromkeys(origins)),
        "num_images": int(num_images),
        "weight": float(weight),
    }


def describe_scores(
    evaluation: Evaluation, *, learned: Collection[str] | None = None
) -> dict[str, Any]:
    """Returns the description of an evaluation, as JSON values.

    `fingerprint` identifies the images by their content, and `num_learned` is the number of them
    in the training and validation splits.

    Args:
        evaluation: The evaluation.
        learned: The hashes of the training and validation images; None if unknown.
    """
    predictions = evaluation.predictions
    readable = [
        source
        for source, error in zip(predictions.sources, predictions.errors, strict=True)
        if not error
    ]
    scores = {name: evaluation.metrics[name] for name in _SCORES}
    hashes = hash_sources(readable)
    return {
        **scores,
        "num_learned": None if learned is None else sum(value in learned for value in hashes),
        "fingerprint": fingerprint_hashes(hashes),
    }


def describe_network(
    network: PlanetNet,
    classes: Sequence[Label],
    recipe: Recipe,
    *,
    weights: str | Mapping[str, str],
) -> dict[str, Any]:
    """Returns the facts about a network that a report shows.

    Args:
        network: The network.
        classes: The labels.
        recipe: The recipe that trained it.
        weights: The source of its initial weights.
    """
    return {
        "classes": ", ".join(map(str, classes)),
        "backbone": network.spec.name,
        "weights before training": format_weights(weights),
        "recipe": recipe.name,
        "head": recipe.head,
        **network.input_spec.to_dict(),
    }


def add_scores(metrics: dict[str, Any], scores: Mapping[str, Any], origin: str | None) -> None:
    """Adds the scores of an evaluation to a model's metrics.

    Args:
        metrics: The metrics of the model, which are changed.
        scores: What `describe_scores` returned.
        origin: The name of the images; None for the test split of the model's own data.
    """
    if origin is None:
        metrics["test"] = dict(scores)
        return
    is_same = scores["fingerprint"] == metrics.get("test", {}).get("fingerprint")
    if not is_same:
        earlier = [
            it for it in metrics.get("elsewhere", ()) if it["fingerprint"] != scores["fingerprint"]
        ]
        metrics["elsewhere"] = [*earlier, {"origin": name_origin(origin), **scores}]
