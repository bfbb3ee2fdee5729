"""Checks of the settings and data of a training before it starts."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import numpy as np
import torch
from torch.utils.data import DataLoader

from planetvision.core.errors import PlanetVisionError, SettingsError
from planetvision.core.settings import Recipe
from planetvision.data.loading import NO_CLASS, ImageDataset
from planetvision.imaging.policies import POLICIES
from planetvision.training.datasets import TrainingData
from planetvision.training.losses import LOSSES
from planetvision.training.schedules import SCHEDULES
from planetvision.training.stages import check_optimizer

T = TypeVar("T")


def attempt(check: Callable[[], T], problems: list[str]) -> T | None:
    """Returns the result of the check; its errors are added to the problems instead."""
    try:
        return check()
    except SettingsError as error:
        problems.extend(error.problems)
    except PlanetVisionError as error:
        problems.append(str(error))
    return None


def find_recipe_problems(
    recipe: Recipe, *, augmentation: str | None = None, scheduler: str | None = None
) -> list[str]:
    """Returns unknown names in a recipe, and options that are not supported.

    Args:
        recipe: The recipe; its head is not checked, since it may be the user's own module.
        augmentation: The policy; None takes the recipe's.
        scheduler: The schedule of all stages; None takes those of the stages.
    """
    policy = recipe.augmentation if augmentation is None else augmentation
    schedules = sorted({scheduler or stage.scheduler for stage in recipe.stages})
    checks: list[Callable[[], object]] = [
        partial(POLICIES.get, policy),
        *(partial(SCHEDULES.get, name) for name in schedules),
        lambda: LOSSES.get(recipe.loss).create(recipe.loss_options),
        *(partial(check_optimizer, stage) for stage in recipe.stages),
    ]
    problems: list[str] = []
    for check in checks:
        attempt(check, problems)
    return problems


def find_time_problems(max_minutes: object) -> list[str]:
    """Returns the problems of a time limit."""
    if max_minutes is None or (
        isinstance(max_minutes, int | float | np.integer | np.floating)
        and not isinstance(max_minutes, bool)
        and max_minutes > 0
    ):
        return []
    return [
        f"`max_minutes` must be a number over 0, or None, got {max_minutes!r}. "
        "Pass 10, for example."
    ]


def check_data(train: TrainingData, val: TrainingData | None, recipe: Recipe) -> None:
    """Checks that the training and validation data fit the recipe.

    Raises:
        SettingsError: If data are empty or have no targets, or a stage does not support them.
    """
    problems = []
    for stage in recipe.stages:
        if stage.views and not isinstance(train, ImageDataset):
            problems.append(
                f"stage '{stage.name}': `views` needs an `ImageDataset`, got a "
                f"{type(train).__name__}. Pass one, or views=0."
            )
        if stage.accumulation_steps > 1 and isinstance(train, DataLoader):
            problems.append(
                f"stage '{stage.name}': `accumulation_steps` is {stage.accumulation_steps}, and "
                "each batch of a loader is one step. Pass the data set, or a loader with larger "
                "batches; batches that do not fit into memory are split."
            )
    problems.extend(
        f"A target must be a class index, or {NO_CLASS} for negatives, got {lowest} in the {what} "
        "data. Number the classes from 0."
        for what, data in (("training", train), ("validation", val))
        if (lowest := _get_lowest_target(data)) is not None and lowest < NO_CLASS
    )
    for what, data, remedy in (
        ("training", train, "Pass at least one image."),
        ("validation", val, "Pass None to train without validation."),
    ):
        if data is None:
            continue
        kind = "batch" if isinstance(data, DataLoader) else "image"
        if _get_length(data) == 0:
            problems.append(f"The {what} data have no {kind}. {remedy}")
        elif isinstance(data, ImageDataset) and max(data.targets) <= NO_CLASS:
            problems.append(
                f"The {what} images have no targets. Pass the class index of each: "
                "ImageDataset(sources, targets, ...)."
            )
    if isinstance(val, ImageDataset) and min(val.targets, default=0) < 0 <= max(val.targets):
        problems.append(
            "The validation images include negatives, which have no class. Leave them out."
        )
    has_negatives = isinstance(train, ImageDataset) and NO_CLASS in train.targets
    mixing = [stage.name for stage in recipe.stages if stage.mixup or stage.cutmix]
    if has_negatives and recipe.negatives_weight and mixing:
        problems.append(
            "The training images include negatives, and mixing images in the stages "
            f"{', '.join(mixing)} needs the class of each. Leave the negatives out, or choose a "
            "recipe without `mixup` and `cutmix`."
        )
    named = [stage.name for stage in recipe.stages if stage.views]
    if named and val is not None and not isinstance(val, ImageDataset):
        problems.append(
            f"The stages with `views` ({', '.join(named)}) need an `ImageDataset` for validation, "
            f"got a {type(val).__name__}. Pass one, or views=0."
        )
    if problems:
        raise SettingsError.from_problems(problems)


def _get_lowest_target(data: Any) -> int | None:
    """Returns the lowest target; None for data without `targets`."""
    source = data.dataset if isinstance(data, DataLoader) else data
    targets = getattr(source, "targets", None)
    if targets is None or not len(targets):
        return None
    return int(torch.as_tensor(targets).min())


def _get_length(data: Any) -> int | None:
    """Returns the number of items; None for streams."""
    try:
        return len(data)
    except TypeError:  # a stream
        return None
