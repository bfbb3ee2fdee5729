"""Training plan: the settings of a classifier, checked and resolved."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar, get_args

from planetvision.core.devices import resolve_device, resolve_precision
from planetvision.core.errors import SettingsError, WeightsWarning
from planetvision.core.performance import resolve_performance
from planetvision.core.settings import (
    InputSpec,
    OnError,
    Recipe,
    SettingsChecker,
)
from planetvision.data.cache import check_cache
from planetvision.data.splits import check_fractions
from planetvision.inference.ood_scores import OOD_SCORES, check_rejection_rate
from planetvision.models.backbones.first_weights import (
    WeightsSetting,
    describe_weights,
    find_weights_problems,
)
from planetvision.models.backbones.registry import BACKBONES
from planetvision.models.backbones.spec import BackboneSpec
from planetvision.models.heads import HEADS
from planetvision.training import settings_checks as checks
from planetvision.training.recipes import RECIPES
from planetvision.training.settings import ClassifierSettings

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Resolved settings of a training.

    Args:
        recipe: The recipe, with the settings that override it.
        input_spec: The input of the network.
        backbone: The registry entry of the backbone.
        weights: The setting `weights`.
    """

    recipe: Recipe
    input_spec: InputSpec
    backbone: BackboneSpec
    weights: WeightsSetting

    @property
    def weights_used(self) -> str | dict[str, str]:
        """The source of the initial weights, by member if the setting is a mapping."""
        return describe_weights(self.weights, self.backbone)

    def warn_of_random_features(self) -> None:
        """Warns if a backbone without pretrained weights is never trained as a whole."""
        used = self.weights_used
        origins = used if isinstance(used, dict) else {self.backbone.name: used}
        random = [name for name, origin in origins.items() if origin == "none"]
        if any(stage.trainable_blocks is None for stage in self.recipe.stages):
            return
        for name in random:
            warnings.warn(
                f"The backbone '{name}' starts without pretrained weights, and the "
                f"recipe '{self.recipe.name}' never trains all of it. Pass recipe='scratch', or "
                "name the source of its weights: register_backbone(weights=...).",
                WeightsWarning,
                stacklevel=3,
            )


def create_plan(settings: ClassifierSettings) -> Plan:
    """Returns the plan of a training with these settings.

    Raises:
        SettingsError: If a setting is wrong; all wrong settings are listed.
    """
    problems: list[str] = []

    def attempt(check: Callable[[], T]) -> T | None:
        return checks.attempt(check, problems)

    backbone = attempt(lambda: BACKBONES.get(settings.backbone))
    recipe = settings.recipe if isinstance(settings.recipe, Recipe) else None
    if recipe is None:
        name = settings.recipe
        recipe = attempt(lambda: RECIPES.get(str(name)).build())
    if recipe is not None:
        base, head = recipe, settings.head or recipe.head
        changes: dict[str, Any] = {"head": head}
        if head != base.head:
            changes["head_options"] = {}
        if settings.augmentation is not None:
            changes["augmentation"] = settings.augmentation
        everywhere: dict[str, Any] = {}
        if settings.batch_size is not None:
            changes["batch_size"] = settings.batch_size
            everywhere["batch_size"] = None
        if settings.scheduler is not None:
            everywhere["scheduler"] = settings.scheduler
        changes["stages"] = tuple(replace(stage, **everywhere) for stage in base.stages)
        recipe = attempt(lambda: replace(base, **changes)) or base
        options = recipe.head_options
        attempt(lambda: HEADS.get(head).check_options(options))
        problems += checks.find_recipe_problems(
            recipe, augmentation=settings.augmentation, scheduler=settings.scheduler
        )
    # Size and framing are checked even if the backbone is unknown.
    shown = backbone.input if backbone is not None else InputSpec()
    size = settings.image_size
    if size is None:
        size = recipe.image_size if recipe and recipe.image_size else shown.image_size
    tta = settings.tta
    if tta is None:
        tta = recipe.tta if recipe else shown.tta
    spec = attempt(
        lambda: replace(
            shown,
            image_size=size,
            framing=settings.framing,
            tta=tta,
            stretch=settings.stretch,
        )
    )
    device = attempt(lambda: resolve_device(settings.device))
    if device is not None:
        attempt(lambda: resolve_precision(settings.precision, device))
    attempt(lambda: resolve_performance(settings.performance))
    attempt(lambda: OOD_SCORES.get(settings.ood_score))
    attempt(lambda: check_rejection_rate(settings.rejection_rate))
    attempt(lambda: check_fractions(settings.val_fraction, settings.test_fraction))
    attempt(lambda: check_cache(settings.cache, settings.cache_gigabytes))
    problems += find_weights_problems(settings.weights, backbone)
    if settings.class_map is not None and not isinstance(settings.class_map, Mapping):
        problems.append(
            "`class_map` must map class names to new names, or to None to drop them, got "
            f"{settings.class_map!r}. Pass {{'luna': 'moon'}}, for example."
        )
    check = SettingsChecker(settings)
    check.boolean("group_duplicates", remedy="Pass True.")
    check.choice("on_error", get_args(OnError))
    check.problems += checks.find_time_problems(settings.max_minutes)
    check.boolean("compile", remedy="Pass False.")
    check.integer(
        "num_workers", at_least=0, optional=True, remedy="Pass None to choose it automatically."
    )
    check.integer("random_state", remedy="Pass 0.")
    problems += check.problems
    if problems or recipe is None or spec is None or backbone is None:
        raise SettingsError.from_problems(problems)
    return Plan(recipe=recipe, input_spec=spec, backbone=backbone, weights=settings.weights)
