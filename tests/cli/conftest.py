"""Recipes that train in a moment, and a run of the command."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.calling import FROZEN, QUICK, TrainedRun, call, train_arguments

from planetvision.core.settings import Recipe
from planetvision.training import RECIPES
from planetvision.training.recipes import RecipeSpec


@pytest.fixture(scope="package", autouse=True)
def quick(quick_recipe: Recipe) -> Iterator[None]:
    stage = replace(quick_recipe.stages[0], epochs=1, trainable_blocks=0, views=1)
    frozen = replace(quick_recipe, stages=(stage,))
    RECIPES.add(RecipeSpec(name=QUICK, build=lambda: quick_recipe, summary="for tests"))
    RECIPES.add(RecipeSpec(name=FROZEN, build=lambda: frozen, summary="for tests"))
    yield
    RECIPES.remove(QUICK)
    RECIPES.remove(FROZEN)


@pytest.fixture(scope="package")
def run(disc_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainedRun:
    folder = tmp_path_factory.mktemp("cli") / "run"
    options = ["--seed", 1, "--precision", "fp32", "--num-workers", 0, "--tensorboard"]
    return TrainedRun(folder, call(*train_arguments(disc_folder, folder), *options))


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    path = tmp_path / "broken.png"
    path.write_text("no image")
    return path
