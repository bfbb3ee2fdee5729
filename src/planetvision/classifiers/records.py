"""What a model records of its data and its scores, for its configuration and its card."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from planetvision.data.catalog import SPLIT_NAMES, Label, SplitName, name_origin
from planetvision.data.manifest import fingerprint_hashes, hash_sources
from planetvision.data.sources import list_input_places
from planetvision.models.backbones.first_weights import format_weights

if TYPE_CHECKING:
    from planetvision.core.settings import Recipe
    from planetvision.models.network import PlanetNet
    from planetvision.results import Audit, Evaluation

__all__ = [
    "add_scores",
    "describe_data",
    "describe_network",
    "describe_others",
    "describe_scores",
]

_SCORES = ("accuracy", "n", "accuracy_ci95", "balanced_accuracy", "macro_f1", "ece")


def describe_data(
    audit: Audit,
    *,
    given_splits: Sequence[SplitName] | None,
    has_groups: bool,
    group_duplicates: bool,
    val_fraction: float,
    test_fraction: float,
    seed: int,
    others: Mapping[str, Any] | None = None,
    warm_start: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Returns what a model records of the data it was trained on, as JSON can hold it.

    It names no file, and of the data folder only the last part of its path.

    Args:
        audit: The audit of the images in their parts.
        given_splits: The splits that came with the data; None where they came without.
        has_groups: Whether groups came with the data.
        group_duplicates: Whether near-copies were looked for, to be kept in one part.
        val_fraction: The share that was asked for to validate.
        test_fraction: The share that was asked for to test.
        seed: The seed of the split.
        others: What `describe_others` tells; None where there were none.
        warm_start: The `origin` of the weights it began with, and whether it has those of its head
            too (`has_head`); None where it began with those of the backbone.
    """
    catalog = audit.catalog
    told, splits = audit.to_dict(), catalog.splits or ()
    across = sum(splits[pair.first] != splits[pair.second] for pair in audit.duplicates)
    return {
        "origin": name_origin(catalog.origin),
        "num_images": len(catalog),
        "num_unreadable": len(audit.unreadable),
        "parts": told["splits"],
        "split": {
            "given": [name for name in SPLIT_NAMES if name in (given_splits or ())],
            "seed": int(seed),
            "val_fraction": float(val_fraction),
            "test_fraction": float(test_fraction),
            "has_groups": has_groups,
            "num_groups": len(set(catalog.groups)) if catalog.groups is not None else None,
            "group_duplicates": bool(group_duplicates),
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
        "baselines": told["baselines"],
        "remarks": told["remarks"],
        "others": None if others is None else dict(others),
        "warm_start": None if warm_start is None else dict(warm_start),
    }


def describe_others(others: Any, *, num_images: int, weight: float) -> dict[str, Any]:
    """Returns what a model records of the images of none of the classes that it was taught.

    Args:
        others: As they were given to `fit`.
        num_images: How many could be read.
        weight: What each counted beside an image of a class.
    """
    origins = [
        "images in memory" if place is None else name_origin(f"'{place}'")
        for place in list_input_places(others)
    ]
    return {
        "origins": list(dict.fromkeys(origins)),
        "num_images": int(num_images),
        "weight": float(weight),
    }


def describe_scores(
    evaluation: Evaluation, *, learned: Collection[str] | None = None
) -> dict[str, Any]:
    """Returns what a model records of an evaluation, as JSON can hold it.

    `fingerprint` tells whether another evaluation is of the same images, whatever they are called;
    `num_learned` is how many of them the model has learned from.

    Args:
        evaluation: The evaluation.
        learned: The hashes of the images that trained or validated the model; None where they are
            not known.
    """
    predictions = evaluation.predictions
    judged = [
        source
        for source, error in zip(predictions.sources, predictions.errors, strict=True)
        if not error
    ]
    scores = {name: evaluation.metrics[name] for name in _SCORES}
    hashes = hash_sources(judged)
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
        weights: Where its first weights came from.
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
