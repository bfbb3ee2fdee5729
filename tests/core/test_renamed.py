"""Names in files of earlier versions."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from planetvision.classifiers.arguments import arguments_from_json
from planetvision.classifiers.pretrained import get_pretrained_folder
from planetvision.core.renamed import rename_config
from planetvision.core.settings import Recipe
from planetvision.training.recipes import RECIPES
from planetvision.workflows.run import read_start

OLD_START = {
    "data": "planets",
    "columns": None,
    "in_memory": [],
    "others": ["pictures"],
    "warm_start_from": "runs/eyes/model",
    "settings": {"recipe": "probe", "novelty_score": "knn", "tuning": "none"},
}


def make_old(recipe: Recipe) -> dict[str, object]:
    """Returns the recipe as earlier versions stored it."""
    fields = recipe.to_dict()
    fields["others_weight"] = fields.pop("negatives_weight")
    for stage in fields["stages"]:
        stage["interpolation"] = stage.pop("weight_interpolation")
    return dict(json.loads(json.dumps(fields)))


@pytest.mark.parametrize("name", RECIPES.names())
def test_recipe_with_old_names_is_that_recipe(name: str) -> None:
    recipe = RECIPES.get(name).build()
    assert Recipe.from_dict(make_old(recipe)) == recipe


def test_settings_with_old_names_become_arguments() -> None:
    values = arguments_from_json(OLD_START["settings"], {"ood_score", "performance"})  # type: ignore[arg-type]
    assert values == {"ood_score": "knn", "performance": "none"}


def test_start_of_a_run_with_old_names_is_read(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    path.write_text(json.dumps(OLD_START))
    start = read_start(path, ("data", "columns", "settings"), noun="run")
    assert start["negatives"] == ["pictures"]
    assert start["init_from"] == "runs/eyes/model"
    assert start["settings"]["ood_score"] == "knn"


def test_config_of_the_released_model_has_the_present_names_after_loading() -> None:
    config = json.loads((get_pretrained_folder() / "config.json").read_text(encoding="utf-8"))
    renamed = rename_config(config)
    assert "others_weight" in config["recipe"]
    assert renamed["recipe"]["negatives_weight"] == config["recipe"]["others_weight"]
    assert renamed["settings"]["ood_score"] == config["settings"]["novelty_score"]
    assert renamed["metrics"]["num_negatives"] == config["metrics"]["num_others"]
    assert renamed["data"]["negatives"] == config["data"]["others"]
    assert {name for name in config if config[name] == renamed[name]} >= {"classes", "trust"}
