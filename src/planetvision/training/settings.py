"""`ClassifierSettings`: the settings of `PlanetClassifier`, and how the command offers them."""

from __future__ import annotations

import os
from dataclasses import KW_ONLY, dataclass
from typing import Annotated, Any

from planetvision.core.settings import (
    ClassMap,
    Framing,
    OnError,
    Precision,
    Recipe,
    Stretch,
    Tta,
)
from planetvision.models.backbones.first_weights import WeightsSetting

__all__ = ["ClassifierSettings", "CommandOption"]


@dataclass(frozen=True)
class CommandOption:
    """How the command offers a setting.

    Args:
        help: The help text.
        name: The option; None names it after the setting.
        type: The type on the command line, if it is not that of the setting.
    """

    help: str
    name: str | None = None
    type: Any = None


@dataclass(eq=False, repr=False)
class ClassifierSettings:
    """The settings of `PlanetClassifier`, which documents them, with their types and defaults.

    `planetvision train` and `planetvision crossval` have an option for each setting with a
    `CommandOption`.
    """

    backbone: Annotated[
        str,
        CommandOption("Backbone: see `planetvision list backbones`; also timm:NAME and others."),
    ] = "efficientnet_lite0"
    _: KW_ONLY
    recipe: Annotated[
        str | Recipe, CommandOption("Training recipe: see `planetvision list recipes`.", type=str)
    ] = "balanced"
    head: Annotated[
        str | None,
        CommandOption("Head: see `planetvision list heads`; by default the recipe's."),
    ] = None
    augmentation: Annotated[
        str | None,
        CommandOption(
            "Augmentation policy: see `planetvision list augmentations`; by default the recipe's.",
            name="--augment",
        ),
    ] = None
    scheduler: Annotated[
        str | None,
        CommandOption(
            "Learning-rate schedule: see `planetvision list schedulers`; by default the recipe's."
        ),
    ] = None
    image_size: Annotated[
        int | None,
        CommandOption("Side of the input in pixels; by default the recipe's or the backbone's."),
    ] = None
    framing: Annotated[Framing, CommandOption("How an image is made square.")] = "letterbox"
    tta: Annotated[
        Tta | None,
        CommandOption(
            "Test-time augmentation: none, or body, flips, rotations joined by +; by default the "
            "recipe's."
        ),
    ] = None
    stretch: Annotated[
        Stretch, CommandOption("How images with more than 8 bits per channel are reduced to 8.")
    ] = "linear"
    batch_size: Annotated[
        int | None, CommandOption("Images per batch; by default the recipe's.")
    ] = None
    weights: Annotated[
        WeightsSetting,
        CommandOption(
            "Initial weights of the backbone: pretrained, none or a file; by default pretrained. "
            "For an ensemble also NAME=SOURCE for each member. May be repeated.",
            type=list[str],
        ),
    ] = "pretrained"
    val_fraction: float = 0.15
    test_fraction: float = 0.15
    group_duplicates: Annotated[bool, CommandOption("Keep near-duplicates in the same split.")] = (
        True
    )
    class_map: Annotated[
        ClassMap | None,
        CommandOption(
            "New name of a class, as LUNA=MOON; LUNA= drops the class. May be repeated.",
            name="--class",
            type=list[str],
        ),
    ] = None
    cache: Annotated[
        str | os.PathLike[str],
        CommandOption("Cache of decoded images: memory, disk, a folder, or off.", type=str),
    ] = "memory"
    cache_gigabytes: Annotated[float, CommandOption("Maximum size of the cache.")] = 2.0
    max_minutes: Annotated[
        float | None, CommandOption("Maximum time of all training stages together.")
    ] = None
    compile: Annotated[bool, CommandOption("Compile the training steps of the whole network.")] = (
        False
    )
    on_error: Annotated[OnError, CommandOption("What to do about unreadable files.")] = "raise"
    device: Annotated[str, CommandOption("Device: auto, cpu, cuda or cuda:N.")] = "auto"
    precision: Annotated[Precision, CommandOption("Floating-point precision of the network.")] = (
        "auto"
    )
    num_workers: Annotated[
        int | None, CommandOption("Data loader processes; by default chosen for this machine.")
    ] = None
    tuning: Annotated[
        str,
        CommandOption("Performance options joined by +; or auto, all, none. See `doctor`."),
    ] = "auto"
    novelty_score: Annotated[
        str, CommandOption("OOD score: see `planetvision list novelty_scores`.")
    ] = "mahalanobis"
    rejection_rate: Annotated[
        float,
        CommandOption("Fraction of images of known bodies that may be called unknown."),
    ] = 0.05
    random_state: Annotated[int, CommandOption("Random seed.", name="--seed")] = 0
    progress: Annotated[bool, CommandOption("Show no progress bars.", name="--quiet")] = False
