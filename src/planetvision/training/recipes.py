"""`RECIPES`: the registry of training recipes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

from planetvision.core.registry import Entry, Registry
from planetvision.core.settings import Recipe, Stage

RecipeBuilder: TypeAlias = Callable[[], Recipe]


@dataclass(frozen=True, kw_only=True)
class RecipeSpec(Entry):
    """Registry entry of a recipe; `build()` returns it."""

    build: RecipeBuilder


RECIPES: Registry[RecipeSpec, RecipeBuilder] = Registry("recipes", RecipeSpec)
register_recipe = RECIPES.register
list_recipes = RECIPES.names


@register_recipe("classic", source="the published PlanetaryImageClassifier pipeline")
def _classic() -> Recipe:
    """The two published stages of 15 and 85 epochs, for comparison: hours on a CPU."""
    return Recipe(
        name="classic",
        head="mlp",
        head_options={"dropout": 0.5},
        augmentation="strong",
        batch_size=16,
        image_size=299,
        stages=(
            Stage(
                name="head",
                epochs=15,
                learning_rate=5e-4,
                optimizer="adam",
                warmup_epochs=3,
            ),
            Stage(
                name="fine-tune",
                epochs=85,
                learning_rate=5e-5,
                optimizer="adam",
                trainable_blocks=5,
                freeze_batch_norm=False,
                warmup_epochs=5,
            ),
        ),
    )


@register_recipe("probe")
def _probe() -> Recipe:
    """A linear head on frozen features: seconds."""
    return Recipe(
        name="probe",
        head="linear",
        augmentation="none",
        batch_size=64,
        stages=(Stage(name="head", epochs=100, learning_rate=1e-2, views=1, weight_decay=1e-4),),
    )


@register_recipe("balanced")
def _balanced() -> Recipe:
    """A head on features of augmented views, then a short fine-tune of the last blocks: minutes."""
    return Recipe(
        name="balanced",
        head="linear",
        head_options={"dropout": 0.2},
        augmentation="light",
        tta="body",
        batch_size=32,
        stages=(
            Stage(
                name="head",
                epochs=40,
                learning_rate=3e-3,
                views=8,
                batch_size=64,
                weight_decay=1e-2,
                patience=10,
            ),
            # docs/concepts/fine-tuning.md compares the alternatives. The head alone already gets
            # the validation images right, so choosing an epoch by them would undo the stage.
            Stage(
                name="fine-tune",
                epochs=2,
                learning_rate=1e-3,
                backbone_rate=0.3,
                trainable_blocks=5,
                views=3,
                warmup_epochs=1,
                weight_decay=1e-2,
                monitor="none",
            ),
        ),
    )


@register_recipe("robust")
def _robust() -> Recipe:
    """A head, then three averaged epochs of the last blocks, for thousands of varied images."""
    balanced = _balanced()
    head, fine_tune = balanced.stages
    # Varied images need only one view per image and epoch.
    return replace(
        balanced,
        name="robust",
        stages=(
            replace(head, epochs=20, views=1, monitor="none", patience=None),
            replace(fine_tune, epochs=3, views=0, ema_decay=0.995),
        ),
    )


@register_recipe("scratch")
def _scratch() -> Recipe:
    """The whole network from the first step, for backbones without pretrained weights."""
    return Recipe(
        name="scratch",
        head="linear",
        augmentation="light",
        tta="body",
        batch_size=32,
        stages=(
            Stage(
                name="all",
                epochs=30,
                learning_rate=3e-3,
                trainable_blocks=None,
                freeze_batch_norm=False,
                warmup_epochs=2,
                weight_decay=1e-2,
            ),
        ),
    )
