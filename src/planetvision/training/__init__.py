"""Training: recipes of stages, and the `Trainer` that runs them."""

from planetvision.training.recipes import RECIPES, RecipeSpec, list_recipes, register_recipe

__all__ = ["RECIPES", "RecipeSpec", "list_recipes", "register_recipe"]
