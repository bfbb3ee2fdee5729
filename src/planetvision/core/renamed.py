"""Names in files that earlier versions wrote, and the present ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SETTINGS = {"novelty_score": "ood_score", "tuning": "performance"}
RECIPE = {"others_weight": "negatives_weight"}
STAGE = {"interpolation": "weight_interpolation"}
METRICS = {"num_others": "num_negatives"}
DATA = {"others": "negatives", "warm_start": "initial_model"}
START = {"others": "negatives", "warm_start_from": "init_from"}


def rename(fields: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Returns the fields, in order, with old names replaced.

    Args:
        fields: The fields.
        names: The new name of each old one.

    Example:
        >>> rename({"tuning": "none", "device": "cpu"}, SETTINGS)
        {'performance': 'none', 'device': 'cpu'}
    """
    return {names.get(name, name): value for name, value in fields.items()}


def rename_recipe(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the fields of a recipe and its stages with old names replaced."""
    stages = [rename(stage, STAGE) for stage in fields["stages"]]
    return {**rename(fields, RECIPE), "stages": stages}


def rename_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the configuration of a saved model with old names replaced."""
    renamed = dict(config)
    for name, names in (("settings", SETTINGS), ("metrics", METRICS), ("data", DATA)):
        if isinstance(config.get(name), Mapping):
            renamed[name] = rename(config[name], names)
    if isinstance(config.get("recipe"), Mapping) and "stages" in config["recipe"]:
        renamed["recipe"] = rename_recipe(config["recipe"])
    return renamed
