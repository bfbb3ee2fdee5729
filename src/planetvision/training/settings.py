"""`ClassifierSettings`: the settings of `PlanetClassifier`, and how the command offers them."""

from __future__ import annotations

import os
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, TypeVar

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

T = TypeVar("T")


def option(default: T, help: str, *, name: str | None = None, type: Any = None) -> T:
    """Returns the field of a setting that the command offers.

    Args:
        default: The default.
        help: The help text of the option.
        name: The option; None names it after the setting.
        type: The type on the command line, if it is not that of the setting.
    """
    metadata = {"help": help, "name": name, "type": type}
    return field(default=default, metadata=metadata)


@dataclass(eq=False, repr=False)
class ClassifierSettings:
    """The settings of `PlanetClassifier`, which documents them, with their types and defaults.

    `planetvision train` and `planetvision crossval` have an option for each setting that is
    declared by `option`.
    """

    backbone: str = option(
        "efficientnet_lite0",
        "Backbone: see `planetvision list backbones`; also timm:NAME and others.",
    )
    _: KW_ONLY
    recipe: str | Recipe = option(
        "balanced", "Training recipe: see `planetvision list recipes`.", type=str
    )
    head: str | None = option(None, "Head: see `planetvision list heads`; by default the recipe's.")
    augmentation: str | None = option(
        None,
        "Augmentation policy: see `planetvision list augmentations`; by default the recipe's.",
        name="--augment",
    )
    scheduler: str | None = option(
        None, "Learning-rate schedule: see `planetvision list schedulers`; by default the recipe's."
    )
    image_size: int | None = option(
        None, "Side of the input in pixels; by default the recipe's or the backbone's."
    )
    framing: Framing = option("letterbox", "How an image is made square.")
    tta: Tta | None = option(
        None,
        "Test-time augmentation: none, or body, flips, rotations joined by +; by default the "
        "recipe's.",
    )
    stretch: Stretch = option(
        "linear", "How images with more than 8 bits per channel are reduced to 8."
    )
    batch_size: int | None = option(None, "Images per batch; by default the recipe's.")
    weights: WeightsSetting = option(
        "pretrained",
        "Initial weights of the backbone: pretrained, none or a file; by default pretrained. "
        "For an ensemble also NAME=SOURCE for each member. May be repeated.",
        type=list[str],
    )
    val_fraction: float = 0.15
    test_fraction: float = 0.15
    group_duplicates: bool = option(True, "Keep near-duplicates in the same split.")
    class_map: ClassMap | None = option(
        None,
        "New name of a class, as LUNA=MOON; LUNA= drops the class. May be repeated.",
        name="--class",
        type=list[str],
    )
    cache: str | os.PathLike[str] = option(
        "memory", "Cache of decoded images: memory, disk, a folder, or off.", type=str
    )
    cache_gigabytes: float = option(2.0, "Maximum size of the cache.")
    max_minutes: float | None = option(None, "Maximum time of all training stages together.")
    compile: bool = option(False, "Compile the training steps of the whole network.")
    on_error: OnError = option("raise", "What to do about unreadable files.")
    device: str = option("auto", "Device: auto, cpu, cuda or cuda:N.")
    precision: Precision = option("auto", "Floating-point precision of the network.")
    num_workers: int | None = option(
        None, "Data loader processes; by default chosen for this machine."
    )
    performance: str = option(
        "auto", "Performance options joined by +; or auto, all, none. See `doctor`."
    )
    ood_score: str = option("mahalanobis", "OOD score: see `planetvision list ood_scores`.")
    rejection_rate: float = option(
        0.05, "Fraction of images of known bodies that may be called unknown."
    )
    random_state: int = option(0, "Random seed.", name="--seed")
    progress: bool = option(False, "Show no progress bars.", name="--quiet")
