"""Settings as frozen data: what a network sees (`InputSpec`) and how it is trained (`Recipe`)."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Integral, Real
from typing import Any, Literal, TypeAlias, get_args

from planetvision.core.errors import SettingsError, UnknownNameError

__all__ = [
    "FRAMINGS",
    "IMAGENET_MEAN",
    "IMAGENET_STD",
    "STRETCHES",
    "TTAS",
    "ClassMap",
    "ClassWeights",
    "Framing",
    "InputSpec",
    "Interpolation",
    "Label",
    "Monitor",
    "OnError",
    "Precision",
    "Recipe",
    "Stage",
    "Stretch",
    "Tta",
    "parse_tta",
]

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
    """Returns the names that a test-time augmentation is made of, in the order of `TTAS`.

    Args:
        tta: `none`, or names of `TTAS` joined by `+`, in any order.

    Raises:
        SettingsError: If a name is unknown or repeated, or if `none` is joined with others.

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
                f"`tta` is {tta!r}, and {name!r} is no test-time augmentation.",
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
    """Turns NumPy's numbers, as a grid search hands them over, and mappings into Python's own."""
    for item in dataclasses.fields(owner):
        value = getattr(owner, item.name)
        if isinstance(value, Real) and hasattr(value, "item"):
            object.__setattr__(owner, item.name, value.item())
        elif isinstance(value, Mapping):
            object.__setattr__(owner, item.name, dict(value))


class _Checker:
    """Collects what is wrong with the fields of one dataclass."""

    def __init__(self, owner: object, where: str = "") -> None:
        self.owner = owner
        self.where = where
        self.problems: list[str] = []

    def _fail(self, name: str, expected: str, remedy: str) -> None:
        value = getattr(self.owner, name)
        self.problems.append(f"{self.where}`{name}` must be {expected}, got {value!r}. {remedy}")

    def integer(self, name: str, *, at_least: int, remedy: str, optional: bool = False) -> None:
        value = getattr(self.owner, name)
        if optional and value is None:
            return
        if not isinstance(value, Integral) or isinstance(value, bool) or value < at_least:
            self._fail(name, f"an integer of at least {at_least}", remedy)

    def number(
        self, name: str, *, low: float, high: float = math.inf, remedy: str, open_low: bool = False
    ) -> None:
        value = getattr(self.owner, name)
        above = _is_number(value) and (value > low if open_low else value >= low)
        if not above or value > high:
            edge = "over" if open_low else "from"
            expected = f"a number {edge} {low:g}" + ("" if high == math.inf else f" to {high:g}")
            self._fail(name, expected, remedy)

    def choice(self, name: str, choices: Sequence[object]) -> None:
        value = getattr(self.owner, name)
        if value not in choices:
            expected = "one of " + ", ".join(repr(choice) for choice in choices)
            self._fail(name, expected, f"Pass {choices[0]!r}, for example.")

    def tta(self, name: str) -> None:
        """Checks a test-time augmentation, and brings its names to their order."""
        try:
            names = parse_tta(getattr(self.owner, name))
        except SettingsError as error:
            self.problems += [f"{self.where}{problem}" for problem in error.problems]
        else:
            object.__setattr__(self.owner, name, "+".join(names) or "none")

    def name(self, name: str, *, remedy: str) -> None:
        value = getattr(self.owner, name)
        if not isinstance(value, str) or not value:
            self._fail(name, "a name", remedy)

    def mapping(self, name: str, *, remedy: str) -> None:
        value = getattr(self.owner, name)
        if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
            self._fail(name, "a mapping of names to values", remedy)

    def finish(self) -> None:
        if self.problems:
            raise SettingsError.from_problems(self.problems)


@dataclass(frozen=True, kw_only=True)
class InputSpec:
    """What a backbone is shown.

    Convention: images are square, RGB, uint8 in [0, 255] until the network scales them to [0, 1]
    and normalises them as (image - mean) / std.

    Args:
        image_size: The side of the square input, in pixels.
        mean: The mean of each channel, of values in [0, 1].
        std: The standard deviation of each channel, of values in [0, 1].
        interpolation: How images are resized.
        framing: How a frame of any shape becomes a square: `letterbox` keeps all of it and pads
            with black, `body` crops around the body first where one is found, `squash` distorts,
            `center_crop` cuts the edges.
        tta: What prediction is shown beside the framed image (test-time augmentation), its logits
            averaged with the others: `none`, or names joined by `+`. `body` adds a crop around the
            body where one is found; `flips` shows each of these mirrored too, `rotations` turned
            too, as `augment.framing.frame_views` says. It is kept with its names in the order
            of `TTAS`.
        stretch: How values of more than 8 bits are brought to 8, as in `data.stretch`: `linear`,
            `percentile`, `asinh` or `zscale`.

    Raises:
        SettingsError: If any value is out of range; all of them are named.
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
        check = _Checker(self)
        check.integer("image_size", at_least=MIN_IMAGE_SIZE, remedy="Pass 224, for example.")
        check.choice("interpolation", get_args(Interpolation))
        check.choice("framing", FRAMINGS)
        check.tta("tta")
        check.choice("stretch", STRETCHES)
        for name in ("mean", "std"):
            values = getattr(self, name)
            if not _is_triple(values):
                check.problems.append(f"`{name}` must hold three numbers, got {values!r}.")
            elif name == "std" and min(values) <= 0:
                check.problems.append(f"`std` must be positive, got {values!r}.")
        check.finish()

    @property
    def decode_size(self) -> int:
        """The sides that a decoded image keeps at least: four times the input, for close crops."""
        return 4 * self.image_size

    def to_dict(self) -> dict[str, Any]:
        """Returns the fields as JSON can hold them."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> InputSpec:
        """Returns the spec that `to_dict` described.

        Fields that an earlier version did not write have their defaults.
        """
        return cls(**{**fields, "mean": tuple(fields["mean"]), "std": tuple(fields["std"])})


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One stage of training: what learns, for how long, at which rate.

    Args:
        name: What history and progress bars call it.
        epochs: How many times the training images are gone through.
        learning_rate: The peak rate of the head; the backbone's is `backbone_rate` times it.
        trainable_blocks: How many of the backbone's last blocks learn, all where it has no more;
            0 freezes all of it, None trains all of it. What is frozen keeps its BatchNorm
            statistics too.
        backbone_rate: The learning rate of the backbone as a share of the head's.
        layer_decay: What the rate of each block is multiplied by from the last one to the first,
            so that early blocks, which hold what is common to all images, move less.
        freeze_batch_norm: Whether BatchNorm layers of trained blocks keep their statistics.
        views: In a stage with a frozen backbone, or a frozen part of it: how many views of each
            image are brought through what is frozen once, before the first epoch; what learns is
            trained on what that gave. An epoch goes through all views. The first of several is the
            image as it is shown at prediction, the others are augmented. 0 runs the whole network
            in every step, on a new view of each image in every epoch.
        refresh_epochs: After how many epochs the augmented views are drawn anew; None keeps them.
        scheduler: The registered learning-rate schedule.
        warmup_epochs: Epochs of linear warm-up, for schedules that have one.
        optimizer: The registered optimizer; `timm:NAME` and `torch:NAME` too.
        optimizer_options: Keyword arguments of that optimizer, such as `{"betas": (0.9, 0.99)}`.
        weight_decay: Weight decay of matrices and kernels; biases and norms have none.
        batch_size: Images a batch; None takes the recipe's.
        accumulation_steps: How many batches go into one step of the optimizer.
        mixup: The parameter of the Beta distribution that images are mixed by, 0 for none.
        cutmix: The same for rectangles that are cut out and exchanged. With both, each batch gets
            one of the two.
        ema_decay: The decay of an exponential moving average of the weights, such as 0.99: it is
            what is validated and kept. None keeps the weights themselves.
        interpolation: Where between the weights before the stage (0) and the best after it (1) the
            stage ends.
        monitor: What says which epoch was the best: the validation `loss`, or the
            `calibrated_loss`, which is that at the temperature that makes it lowest: it does not
            take confidence for knowledge. `none` keeps the last weights, for validation images that
            are all right and choose nothing.
        patience: Epochs without a better validation loss before the stage ends; None never
            ends it early.

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
    interpolation: float = 1.0
    monitor: Monitor = "loss"
    patience: int | None = None

    def __post_init__(self) -> None:
        _make_plain(self)
        check = _Checker(self, where=f"stage '{self.name}': ")
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
        check.integer(
            "refresh_epochs", at_least=1, optional=True, remedy="Pass 5, for example, or None."
        )
        check.integer("warmup_epochs", at_least=0, remedy="Pass 3, for example.")
        check.number("layer_decay", low=0, open_low=True, high=1, remedy="Pass 0.8, or 1.")
        check.name("optimizer", remedy="Pass 'adamw', for example.")
        check.mapping("optimizer_options", remedy="Pass {'betas': (0.9, 0.99)}, for example.")
        check.integer("accumulation_steps", at_least=1, remedy="Pass 1, for example.")
        check.number("mixup", low=0, remedy="Pass 0.2, for example, or 0.")
        check.number("cutmix", low=0, remedy="Pass 1.0, for example, or 0.")
        check.number("interpolation", low=0, high=1, remedy="Pass 0.5, for example.")
        check.choice("monitor", get_args(Monitor))
        if self.ema_decay is not None:
            check.number("ema_decay", low=0, high=0.99999, remedy="Pass 0.99, or None.")
        if self.monitor == "none" and self.patience is not None:
            check.problems.append(
                f"stage '{self.name}': `patience` waits for a better epoch, and with "
                "monitor='none' none is better. Pass patience=None, or monitor='loss'."
            )
        if self.views and (self.mixup or self.cutmix):
            check.problems.append(
                f"stage '{self.name}': `mixup` and `cutmix` mix images, and with `views` a step "
                "sees stored features. Pass views=0, or leave them out."
            )
        check.number("weight_decay", low=0, remedy="Pass 1e-2, for example.")
        check.integer("batch_size", at_least=1, optional=True, remedy="Pass 32, for example.")
        check.integer("patience", at_least=1, optional=True, remedy="Pass 5, or None.")
        if self.views and self.trainable_blocks is None:
            check.problems.append(
                f"stage '{self.name}': `views` needs a part of the backbone that is frozen, and "
                "`trainable_blocks` is None, which trains all of it. Pass views=0, or the number "
                "of the last blocks that learn."
            )
        if self.refresh_epochs and not self.views:
            check.problems.append(
                f"stage '{self.name}': `refresh_epochs` is {self.refresh_epochs!r}, and without "
                "`views` each epoch draws new ones. Pass views=4, for example, or "
                "refresh_epochs=None."
            )
        counts = (self.warmup_epochs, self.epochs)
        if all(map(_is_number, counts)) and self.warmup_epochs > self.epochs:
            check.problems.append(
                f"stage '{self.name}': `warmup_epochs` must not exceed `epochs` "
                f"({self.epochs}), got {self.warmup_epochs}."
            )
        check.finish()


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a classifier is trained: its stages and what they share.

    Args:
        name: What a saved model calls it.
        stages: The stages, in order.
        head: The registered head.
        head_options: Keyword arguments of that head, such as `{"dropout": 0.5}`.
        augmentation: The registered augmentation policy.
        tta: The test-time augmentation of the trained model, as in `InputSpec`; `body` asks for a
            policy that shows bodies at that size, such as `light`.
        batch_size: Images a batch.
        image_size: The side of the input in pixels; None takes the backbone's.
        loss: The registered loss.
        loss_options: Keyword arguments of that loss, such as `{"gamma": 2.0}`.
        class_weights: `balanced` weighs each class by the inverse of its frequency.
        label_smoothing: How much of the target is spread over all classes, from 0 to 1.
        others_weight: What an image of none of the classes counts, where there are any: it is
            taught to be as likely of one class as of another (outlier exposure). With 0 the network
            is not shown them.
        max_gradient_norm: Gradients are clipped to this norm; None leaves them alone.

    References:
        Hendrycks, D., et al. (2019), "Deep Anomaly Detection with Outlier Exposure",
        arXiv:1812.04606 (others; its section 4.3 gives them the weight 0.5).
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
    others_weight: float = 0.5
    max_gradient_norm: float | None = 1.0

    def __post_init__(self) -> None:
        _make_plain(self)
        check = _Checker(self, where=f"recipe '{self.name}': ")
        check.integer("batch_size", at_least=1, remedy="Pass 32, for example.")
        check.integer(
            "image_size", at_least=MIN_IMAGE_SIZE, optional=True, remedy="Pass 224, for example."
        )
        check.tta("tta")
        check.choice("class_weights", get_args(ClassWeights))
        check.number("label_smoothing", low=0, high=1, remedy="Pass 0.1, for example.")
        check.number("others_weight", low=0, remedy="Pass 0.5, or 0 to leave them out.")
        if self.max_gradient_norm is not None:
            check.number("max_gradient_norm", low=0, open_low=True, remedy="Pass 1.0, or None.")
        stages = self.stages if isinstance(self.stages, Iterable) else (self.stages,)
        object.__setattr__(self, "stages", tuple(stages))
        strange = [stage for stage in self.stages if not isinstance(stage, Stage)]
        names = [stage.name for stage in self.stages if isinstance(stage, Stage)]
        if strange:
            check.problems.append(
                f"recipe '{self.name}': `stages` must hold `Stage` objects, got {strange!r}."
            )
        if len(set(names)) < len(names):
            check.problems.append(
                f"recipe '{self.name}': each stage needs a name of its own, got {names!r}."
            )
        check.mapping("head_options", remedy="Pass {'dropout': 0.5}, for example.")
        check.name("loss", remedy="Pass 'cross_entropy', for example.")
        check.mapping("loss_options", remedy="Pass {'gamma': 2.0}, for example.")
        if not self.stages:
            check.problems.append(f"recipe '{self.name}': at least one stage is needed, got none.")
        check.finish()

    def to_dict(self) -> dict[str, Any]:
        """Returns the fields as JSON can hold them."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Recipe:
        """Returns the recipe that `to_dict` described."""
        stages = tuple(Stage(**stage) for stage in fields["stages"])
        return cls(**{**fields, "stages": stages})
