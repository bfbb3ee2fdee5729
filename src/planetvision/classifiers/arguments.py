"""Constructor arguments of a classifier as JSON, for runs and saved models."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from planetvision.core.renamed import SETTINGS, rename
from planetvision.core.settings import Recipe
from planetvision.data.cache import CACHES
from planetvision.data.catalog import make_plain
from planetvision.models.backbones.first_weights import make_weights_absolute

# How and where a training ran. The recipe is stored separately in a saved model.
_NOT_PORTABLE = frozenset(
    {
        "recipe",
        "device",
        "precision",
        "num_workers",
        "performance",
        "progress",
        "weights",
        "cache",
        "cache_gigabytes",
        "max_minutes",
        "compile",
    }
)


def arguments_to_json(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the arguments as JSON values, with absolute paths."""
    values = dict(arguments)
    # JSON keys are strings, but a class can be an integer.
    values["class_map"] = list(make_plain(values["class_map"] or {}).items()) or None
    values["weights"] = make_weights_absolute(values["weights"])
    cache = values["cache"]
    if isinstance(cache, str | os.PathLike) and cache not in CACHES:
        values["cache"] = os.path.abspath(cache)  # noqa: PTH100 - Path.absolute keeps ".."
    for name, value in values.items():
        if isinstance(value, Recipe):
            values[name] = value.to_dict()
        elif isinstance(value, np.generic):  # from a grid search
            values[name] = value.item()
    return values


def arguments_from_json(settings: Mapping[str, Any], known: Collection[str]) -> dict[str, Any]:
    """Returns the arguments from the result of `arguments_to_json`.

    Args:
        settings: The stored arguments. Those that no longer exist are ignored.
        known: The names of the constructor's arguments.
    """
    settings = rename(settings, SETTINGS)
    values = {name: value for name, value in settings.items() if name in known}
    if values.get("class_map"):
        values["class_map"] = dict(values["class_map"])
    if isinstance(values.get("recipe"), Mapping):
        values["recipe"] = Recipe.from_dict(values["recipe"])
    return values


def select_portable(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the stored arguments that do not depend on the machine."""
    return {name: value for name, value in settings.items() if name not in _NOT_PORTABLE}
