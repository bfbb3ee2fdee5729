"""The recipes: the published one as published, and all of them valid."""

from __future__ import annotations

import pytest

from planetvision.core.errors import UnknownNameError
from planetvision.core.settings import Recipe
from planetvision.imaging.policies import POLICIES
from planetvision.models.heads import HEADS
from planetvision.models.network import create_network
from planetvision.training import RECIPES, list_recipes, register_recipe
from planetvision.training.schedules import SCHEDULES


def test_list_recipes_names_the_built_in_ones() -> None:
    assert {"balanced", "classic", "probe", "scratch"} <= set(list_recipes())


def test_classic_has_the_published_numbers() -> None:
    recipe = RECIPES.get("classic").build()
    assert (recipe.batch_size, recipe.image_size) == (16, 299)
    assert recipe.class_weights == "balanced"
    assert recipe.augmentation == "strong"
    assert (recipe.head, dict(recipe.head_options)) == ("mlp", {"dropout": 0.5})
    head, fine = recipe.stages
    assert (head.epochs, head.warmup_epochs, head.learning_rate) == (15, 3, 5e-4)
    assert (head.trainable_blocks, head.optimizer, head.scheduler) == (0, "adam", "cosine")
    assert (fine.epochs, fine.warmup_epochs) == (85, 5)
    assert fine.learning_rate == pytest.approx(head.learning_rate / 10)
    assert (fine.trainable_blocks, fine.optimizer, fine.scheduler) == (5, "adam", "cosine")


@pytest.mark.parametrize("name", RECIPES.names())
def test_every_recipe_names_what_exists_and_survives_json(name: str) -> None:
    recipe = RECIPES.get(name).build()
    assert recipe.name == name
    assert Recipe.from_dict(recipe.to_dict()) == recipe
    assert recipe.augmentation in POLICIES
    HEADS.get(recipe.head).create(8, 3, recipe.head_options)
    assert {stage.scheduler for stage in recipe.stages} <= set(SCHEDULES.names())
    assert len({stage.name for stage in recipe.stages}) == len(recipe.stages)


@pytest.mark.parametrize("name", RECIPES.names())
def test_every_recipe_fits_the_default_backbone(name: str) -> None:
    network = create_network("efficientnet_lite0", num_classes=2, weights="none")
    for stage in RECIPES.get(name).build().stages:
        network.set_trainable(stage.trainable_blocks)
        learning = [weight for weight in network.parameters() if weight.requires_grad]
        assert len(learning) >= 2


def test_probe_and_balanced_start_on_stored_features() -> None:
    assert RECIPES.get("probe").build().stages[0].views == 1
    assert RECIPES.get("balanced").build().stages[0].views > 1


def test_registered_recipe_is_found_with_its_summary(quick_recipe: Recipe) -> None:
    try:

        @register_recipe("mine_for_a_test")
        def mine() -> Recipe:
            """Mine alone."""
            return quick_recipe

        assert RECIPES.get("mine_for_a_test").summary == "Mine alone."
        assert RECIPES.get("mine_for_a_test").build() is quick_recipe
    finally:
        RECIPES.remove("mine_for_a_test")
    with pytest.raises(UnknownNameError, match="Unknown recipe 'mine_for_a_test'"):
        RECIPES.get("mine_for_a_test")
