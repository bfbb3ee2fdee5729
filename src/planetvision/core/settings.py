"""Frozen settings: the input of a network (`InputSpec`) and its training (`Recipe`, `Stage`)."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Integral, Real
from typing import Any, Literal, TypeAlias, get_args

from planetvision.core.errors import SettingsError, UnknownNameError
from planetvision.core.renamed import rename_recipe

Label: TypeAlias = str | int
ClassMap: TypeAlias = Mapping[Label, Label | None]
Framing = Literal["letterbox", "body", "squash", "center_crop"]
FRAMINGS: tuple[str, ...] = get_args(Framing)
# `none`, or names of `TTAS` joined by `+`: see `parse_tta`.
Tta: TypeAlias = str
TTAS = ("body", "flips", "rotations")
Stretch = Literal["linear", "percentile", "asinh", "zscale"]
STRETCHES: tuple[str, ...] = get_args(Stretch)
Interpolation = Literal["nearest", "bilinear", "bicubic"]
OnError = Literal["raise", "skip"]
Precision = Literal["auto", "fp32", "fp16", "bf16"]
ClassWeights = Literal["balanced", "none"]
Monitor = Literal["loss", "calibrated_loss", "none"]

# Means and deviations of the ImageNet training images in [0, 1], as torchvision's reference
# scripts use them: https://pytorch.org/vision/stable/models.html
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

MIN_IMAGE_SIZE = 16


def parse_tta(tta: Tta) -> tuple[str, ...]:
    """Returns the names in a test-time augmentation, in the order of `TTAS`.

    Args:
        tta: `none`, or names of `TTAS` joined by `+`, in any order.

    Raises:
        SettingsError: If a name is unknown or repeated, or if `none` is joined with other names.

    Example:
        >>> parse_tta("rotations+body")
        ('body', 'rotations')
        >>> parse_tta("none")
        ()
    """
    if not isinstance(tta, str):
        raise SettingsError(
            f"`tta` must be 'none', or names joined by '+', got {tta!r}. Known: {', '.join(TTAS)}."
        )
    given = tta.split("+")
    names = tuple(name for name in TTAS if name in given)
    remedy = f"Pass {'+'.join(names) or 'none'!r}."
    problems = [
        str(
            UnknownNameError.among(
                f"`tta` is {tta!r}, and {name!r} is not a test-time augmentation.",
                known=("none", *TTAS),
                remedy=f"Known: {', '.join(TTAS)}, joined by '+'; or 'none'.",
                family="ttas",
                name=name,
            )
        )
        for name in dict.fromkeys(given)
        if name not in ("none", *TTAS)
    ]
    if len(set(given)) < len(given):
        problems.append(f"`tta` must name each once, got {tta!r}. {remedy}")
    if "none" in given and set(given) != {"none"}:
        problems.append(f"`tta` must be 'none' alone or names without it, got {tta!r}. {remedy}")
    if problems:
        raise SettingsError.from_problems(problems)
    return names


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def _is_triple(values: object) -> bool:
    return isinstance(values, Sequence) and len(values) == 3 and all(map(_is_number, values))


def _make_plain(owner: Any) -> None:
    """Converts NumPy scalars, as a grid search passes them, and mappings to Python's types."""
    for item in dataclasses.fields(owner):
        value = getattr(owner, item.name)
        if isinstance(value, Real) and hasattr(value, "item"):
            object.__setattr__(owner, item.name, value.item())
        elif isinstance(value, Mapping):
            object.__setattr__(owner, item.name, dict(value))


class SettingsChecker:
    """Collects what is wrong with the attributes of an object.

    Args:
        owner: The object with the settings.
        where: The start of each message, such as "stage 'head': ".
    """

    def __init__(self, owner: object, where: str = "") -> None:
        self.owner = owner
        self.where = where
        self.problems: list[str] = []

    def refuse(self, is_wrong: object, message: str) -> None:
        """Adds the message if the condition holds."""
        if is_wrong:
            self.problems.append(self.where + message)

    def _check(self, name: str, is_right: object, expected: str, remedy: str) -> None:
        value = getattr(self.owner, name)
        self.refuse(not is_right, f"`{name}` must be {expected}, got {value!r}. {remedy}")

    def integer(
        self, name: str, *, at_least: int | None = None, remedy: str, optional: bool = False
    ) -> None:
        """Checks an integer with a lower bound."""
        value = getattr(self.owner, name)
        if optional and value is None:
            return
        is_right = isinstance(value, Integral) and not isinstance(value, bool)
        is_right = is_right and (at_least is None or value >= at_least)
        bound = "" if at_least is None else f" of at least {at_least}"
        self._check(name, is_right, f"an integer{bound}", remedy)

    def number(
        self,
        name: str,
        *,
        low: float,
        high: float = math.inf,
        remedy: str,
        open_low: bool = False,
        optional: bool = False,
    ) -> None:
        """Checks a finite number with bounds; `open_low` excludes the lower one."""
        value = getattr(self.owner, name)
        if optional and value is None:
            return
        above = _is_number(value) and (value > low if open_low else value >= low)
        edge = "over" if open_low else "from"
        expected = f"a number {edge} {low:g}" + ("" if high == math.inf else f" to {high:g}")
        self._check(name, above and value <= high, expected, remedy)

    def boolean(self, name: str, *, remedy: str) -> None:
        """Checks a bool."""
        # NumPy's bool is named `bool_` before version 2 and `bool` since.
        is_right = type(getattr(self.owner, name)).__name__ in ("bool", "bool_")
        self._check(name, is_right, "True or False", remedy)

    def choice(self, name: str, choices: Sequence[object]) -> None:
        """Checks that the value is one of the choices."""
        expected = "one of " + ", ".join(repr(choice) for choice in choices)
        is_right = getattr(self.owner, name) in choices
        self._check(name, is_right, expected, f"Pass {choices[0]!r}, for example.")

    def tta(self, name: str) -> None:
        """Checks a test-time augmentation, and sorts its names."""
        try:
            names = parse_tta(getattr(self.owner, name))
        except SettingsError as error:
            self.problems += [f"{self.where}{problem}" for problem in error.problems]
        else:
            object.__setattr__(self.owner, name, "+".join(names) or "none")

    def name(self, name: str, *, remedy: str) -> None:
        """Checks a text that is not empty."""
        value = getattr(self.owner, name)
        self._check(name, isinstance(value, str) and value, "a name", remedy)

    def mapping(self, name: str, *, remedy: str) -> None:
        """Checks a mapping with texts as keys."""
        value = getattr(self.owner, name)
        is_right = isinstance(value, Mapping) and all(isinstance(key, str) for key in value)
        self._check(name, is_right, "a mapping of names to values", remedy)

    def finish(self) -> None:
        """Raises a `SettingsError` with all problems, if there are any."""
        if self.problems:
            raise SettingsError.from_problems(self.problems)


@dataclass(frozen=True, kw_only=True)
class InputSpec:
    """Input of a backbone.

    Convention: images are square, RGB, uint8 in [0, 255]. The network scales them to [0, 1] and
    normalises them as (image - mean) / std.

    Args:
        image_size: The side of the square input, in pixels.
        mean: The mean of each channel, for values in [0, 1].
        std: The standard deviation of each channel, for values in [0, 1].
        interpolation: The resampling filter.
        framing: How a frame of any shape becomes a square. `letterbox` pads it with black, `body`
            first crops around the body if one is found, `squash` changes the aspect ratio, and
            `center_crop` cuts the edges.
        tta: Test-time augmentation, whose logits are averaged: `none`, or names joined by `+`.
            `body` adds a crop around the body if one is found. `flips` adds mirrored views and
            `rotations` turned views (`imaging.framing.frame_views`). Names are stored in the order
            of `TTAS`.
        stretch: How images of more than 8 bits per channel are converted to 8, as in
            `data.stretch`: `linear`, `percentile`, `asinh` or `zscale`.

    Raises:
        SettingsError: If a value is wrong; all wrong values are listed.
    """

    image_size: int = 224
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    interpolation: Interpolation = "bicubic"
    framing: Framing = "letterbox"
    tta: Tta = "none"
    stretch: Stretch = "linear"

    def __post_init__(self) -> None:
        _make_plain(self)
        check = SettingsChecker(self)
        check.integer("image_size", at_least=MIN_IMAGE_SIZE, remedy="Pass 224, for example.")
        check.choice("interpolation", get_args(Interpolation))
        check.choice("framing", FRAMINGS)
        check.tta("tta")
        check.choice("stretch", STRETCHES)
        for name in ("mean", "std"):
            values = getattr(self, name)
            is_triple = _is_triple(values)
            check.refuse(not is_triple, f"`{name}` must hold three numbers, got {values!r}.")
            is_wrong = name == "std" and is_triple and min(values) <= 0
            check.refuse(is_wrong, f"`std` must be positive, got {values!r}.")
        check.finish()

    @property
    def decode_size(self) -> int:
        """The minimum side of a decoded image: four times the input, for close crops."""
        return 4 * self.image_size

    def to_dict(self) -> dict[str, Any]:
        """Returns the fields as JSON values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> InputSpec:
        """Returns the spec from the result of `to_dict`.

        Fields that an earlier version did not write get their defaults.
        """
        return cls(**{**fields, "mean": tuple(fields["mean"]), "std": tuple(fields["std"])})


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One stage of a training.

    Args:
        name: The name of the stage in the history and in progress bars.
        epochs: The number of epochs.
        learning_rate: The peak learning rate of the head.
        trainable_blocks: The number of the backbone's last blocks to train; 0 freezes the whole
            backbone, None trains all of it. Frozen layers keep their BatchNorm statistics.
        backbone_rate: The learning rate of the backbone, relative to that of the head.
        layer_decay: The factor on the learning rate from each block to the one before it, so that
            early blocks change less.
        freeze_batch_norm: Whether BatchNorm layers in trained blocks keep their statistics.
        views: The number of views per image whose frozen features are cached, which needs frozen
            layers. Each epoch uses all views. The first of several is the image as prediction sees
            it, the others are augmented. 0 runs the whole network on a new view per epoch.
        refresh_epochs: The number of epochs after which augmented views are drawn again; None
            keeps them.
        scheduler: The registered learning-rate schedule.
        warmup_epochs: Epochs of linear warm-up, for schedules that have one.
        optimizer: The registered optimizer, `timm:NAME` or `torch:NAME`.
        optimizer_options: Keyword arguments of the optimizer, such as `{"betas": (0.9, 0.99)}`.
        weight_decay: Weight decay of matrices and kernels; biases and norms have none.
        batch_size: Images per batch; None takes the recipe's.
        accumulation_steps: Batches per optimizer step.
        mixup: Parameter of the Beta distribution of MixUp; 0 turns it off.
        cutmix: The same for CutMix. With both, each batch gets one of the two.
        ema_decay: Decay of an exponential moving average of the weights, such as 0.99. The
            averaged weights are validated and kept. None turns it off.
        weight_interpolation: WiSE-FT weight interpolation: the position of the final weights
            between those before the stage (0) and the best ones after it (1).
        monitor: The validation metric that selects the best epoch: `loss`, or `calibrated_loss`,
            the loss at the optimal temperature, which ignores overconfidence. `none` keeps the last
            weights.
        patience: Epochs without a better validation loss before the stage stops early; None turns
            early stopping off.

    References:
        Zhang, H., et al. (2018), "mixup: Beyond Empirical Risk Minimization", arXiv:1710.09412.

        Yun, S., et al. (2019), "CutMix: Regularization Strategy to Train Strong Classifiers with
        Localizable Features", arXiv:1905.04899.

        Wortsman, M., et al. (2022), "Robust fine-tuning of zero-shot models", arXiv:2109.01903
        (interpolation).

        Guo, C., et al. (2017), "On Calibration of Modern Neural Networks", arXiv:1706.04599
        (temperature).
    """

    name: str
    epochs: int
    learning_rate: float
    trainable_blocks: int | None = 0
    backbone_rate: float = 1.0
    layer_decay: float = 1.0
    freeze_batch_norm: bool = True
    views: int = 0
    refresh_epochs: int | None = None
    scheduler: str = "cosine"
    warmup_epochs: int = 0
    optimizer: str = "adamw"
    optimizer_options: Mapping[str, Any] = field(default_factory=dict)
    weight_decay: float = 0.0
    batch_size: int | None = None
    accumulation_steps: int = 1
    mixup: float = 0.0
    cutmix: float = 0.0
    ema_decay: float | None = None
    weight_interpolation: float = 1.0
    monitor: Monitor = "loss"
    patience: int | None = None

    def __post_init__(self) -> None:
        _make_plain(self)
        check = SettingsChecker(self, where=f"stage '{self.name}': ")
        check.integer("epochs", at_least=1, remedy="Pass 15, for example.")
        check.number("learning_rate", low=0, open_low=True, remedy="Pass 1e-3, for example.")
        check.integer(
            "trainable_blocks",
            at_least=0,
            optional=True,
            remedy="Pass 0 for a frozen backbone or None for all of it.",
        )
        check.number("backbone_rate", low=0, remedy="Pass 0.1, for example.")
        check.integer("views", at_least=0, remedy="Pass 0 or a small number such as 4.")
        check.integer("refresh_epochs", at_least=1, optional=True, remedy="Pass 5, or None.")
        check.integer("warmup_epochs", at_least=0, remedy="Pass 3, for example.")
        check.number("layer_decay", low=0, open_low=True, high=1, remedy="Pass 0.8, or 1.")
        check.name("optimizer", remedy="Pass 'adamw', for example.")
        check.mapping("optimizer_options", remedy="Pass {'betas': (0.9, 0.99)}, for example.")
        check.integer("accumulation_steps", at_least=1, remedy="Pass 1, for example.")
        check.number("mixup", low=0, remedy="Pass 0.2, for example, or 0.")
        check.number("cutmix", low=0, remedy="Pass 1.0, for example, or 0.")
        check.number("weight_interpolation", low=0, high=1, remedy="Pass 0.5, for example.")
        check.choice("monitor", get_args(Monitor))
        check.number("ema_decay", low=0, high=0.99999, optional=True, remedy="Pass 0.99, or None.")
        check.number("weight_decay", low=0, remedy="Pass 1e-2, for example.")
        check.integer("batch_size", at_least=1, optional=True, remedy="Pass 32, for example.")
        check.integer("patience", at_least=1, optional=True, remedy="Pass 5, or None.")
        check.refuse(
            self.monitor == "none" and self.patience is not None,
            "`patience` counts epochs without a better validation loss, and monitor='none' "
            "compares none. Pass patience=None, or monitor='loss'.",
        )
        check.refuse(
            self.views and (self.mixup or self.cutmix),
            "`mixup` and `cutmix` mix images, and with `views` a step uses cached features. Pass "
            "views=0, or leave them out.",
        )
        check.refuse(
            self.views and self.trainable_blocks is None,
            "`views` needs frozen blocks, and `trainable_blocks` is None, which trains the whole "
            "backbone. Pass views=0, or the number of the last blocks to train.",
        )
        check.refuse(
            self.refresh_epochs and not self.views,
            f"`refresh_epochs` is {self.refresh_epochs!r}, and without `views` each epoch draws "
            "new views. Pass views=4, for example, or refresh_epochs=None.",
        )
        counts = (self.warmup_epochs, self.epochs)
        check.refuse(
            all(map(_is_number, counts)) and self.warmup_epochs > self.epochs,
            f"`warmup_epochs` must not exceed `epochs` ({self.epochs}), got {self.warmup_epochs}.",
        )
        check.finish()


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Training recipe: the stages and the settings that they share.

    Args:
        name: The name of the recipe in saved models.
        stages: The stages, in order.
        head: The registered head.
        head_options: Keyword arguments of the head, such as `{"dropout": 0.5}`.
        augmentation: The registered augmentation policy.
        tta: The test-time augmentation of the trained model, as in `InputSpec`. `body` needs a
            policy that crops bodies to that size, such as `light`.
        batch_size: Images per batch.
        image_size: The side of the input in pixels; None takes the backbone's.
        loss: The registered loss.
        loss_options: Keyword arguments of the loss, such as `{"gamma": 2.0}`.
        class_weights: `balanced` weights each class by its inverse frequency.
        label_smoothing: The share of the target that is spread over all classes, from 0 to 1.
        negatives_weight: The loss weight of negatives, whose target is the uniform distribution
            (outlier exposure). 0 leaves them out of the training.
        max_gradient_norm: The norm that gradients are clipped to; None turns clipping off.

    References:
        Hendrycks, D., et al. (2019), "Deep Anomaly Detection with Outlier Exposure",
        arXiv:1812.04606 (negatives; section 4.3 has the weight 0.5).
    """

    name: str
    stages: tuple[Stage, ...]
    head: str = "linear"
    head_options: Mapping[str, Any] = field(default_factory=dict)
    augmentation: str = "light"
    tta: Tta = "none"
    batch_size: int = 32
    image_size: int | None = None
    loss: str = "cross_entropy"
    loss_options: Mapping[str, Any] = field(default_factory=dict)
    class_weights: ClassWeights = "balanced"
    label_smoothing: float = 0.0
    negatives_weight: float = 0.5
    max_gradient_norm: float | None = 1.0

    def __post_init__(self) -> None:
        _make_plain(self)
        check = SettingsChecker(self, where=f"recipe '{self.name}': ")
        check.integer("batch_size", at_least=1, remedy="Pass 32, for example.")
        check.integer(
            "image_size", at_least=MIN_IMAGE_SIZE, optional=True, remedy="Pass 224, for example."
        )
        check.tta("tta")
        check.choice("class_weights", get_args(ClassWeights))
        check.number("label_smoothing", low=0, high=1, remedy="Pass 0.1, for example.")
        check.number("negatives_weight", low=0, remedy="Pass 0.5, or 0 to leave negatives out.")
        check.number(
            "max_gradient_norm", low=0, open_low=True, optional=True, remedy="Pass 1.0, or None."
        )
        stages = self.stages if isinstance(self.stages, Iterable) else (self.stages,)
        object.__setattr__(self, "stages", tuple(stages))
        strange = [stage for stage in self.stages if not isinstance(stage, Stage)]
        names = [stage.name for stage in self.stages if isinstance(stage, Stage)]
        check.refuse(strange, f"`stages` must hold `Stage` objects, got {strange!r}.")
        check.refuse(
            len(set(names)) < len(names), f"stages must have different names, got {names!r}."
        )
        check.mapping("head_options", remedy="Pass {'dropout': 0.5}, for example.")
        check.name("loss", remedy="Pass 'cross_entropy', for example.")
        check.mapping("loss_options", remedy="Pass {'gamma': 2.0}, for example.")
        check.refuse(not self.stages, "at least one stage is needed, got none.")
        check.finish()

    def to_dict(self) -> dict[str, Any]:
        """Returns the fields as JSON values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Recipe:
        """Returns the recipe from the result of `to_dict`."""
        fields = rename_recipe(fields)
        stages = tuple(Stage(**stage) for stage in fields["stages"])
        return cls(**{**fields, "stages": stages})
