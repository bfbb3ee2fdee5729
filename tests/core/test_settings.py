"""Settings: everything wrong is named at once; what is right survives JSON."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planetvision.core.errors import SettingsError
from planetvision.core.settings import (
    FRAMINGS,
    IMAGENET_MEAN,
    IMAGENET_STD,
    TTAS,
    InputSpec,
    Recipe,
    Stage,
    parse_tta,
)


def create_stage(**changes: Any) -> Stage:
    return Stage(**{"name": "probe", "epochs": 5, "learning_rate": 1e-3, **changes})


def test_input_spec_by_default_is_imagenet_in_a_letterbox() -> None:
    spec = InputSpec()
    assert (spec.image_size, spec.framing, spec.interpolation) == (224, "letterbox", "bicubic")
    assert spec.tta == "none"
    assert (spec.mean, spec.std) == (IMAGENET_MEAN, IMAGENET_STD)
    assert IMAGENET_MEAN == (0.485, 0.456, 0.406)
    assert IMAGENET_STD == (0.229, 0.224, 0.225)


def test_input_spec_with_six_wrong_values_names_all_six() -> None:
    with pytest.raises(SettingsError) as caught:
        InputSpec(
            image_size=0,
            mean=(0.5, 0.5),  # type: ignore[arg-type]
            std=(0.5, 0.0, 0.5),
            interpolation="cubic",  # type: ignore[arg-type]
            framing="crop",  # type: ignore[arg-type]
            tta="flip",
        )
    assert caught.value.problems == (
        "`image_size` must be an integer of at least 16, got 0. Pass 224, for example.",
        "`interpolation` must be one of 'nearest', 'bilinear', 'bicubic', got 'cubic'. "
        "Pass 'nearest', for example.",
        "`framing` must be one of 'letterbox', 'body', 'squash', 'center_crop', got 'crop'. "
        "Pass 'letterbox', for example.",
        "`tta` is 'flip', and 'flip' is not a test-time augmentation. Did you mean 'flips'? "
        "Known: body, flips, rotations, joined by '+'; or 'none'.",
        "`mean` must hold three numbers, got (0.5, 0.5).",
        "`std` must be positive, got (0.5, 0.0, 0.5).",
    )
    assert str(caught.value).startswith("6 settings are wrong:\n  - `image_size`")


@pytest.mark.parametrize("mean", [None, 0.5, ("a", 0, 0), (float("nan"), 0, 0), (True, 0, 0)])
def test_input_spec_with_a_mean_that_is_not_three_numbers_raises(mean: Any) -> None:
    with pytest.raises(SettingsError, match="`mean` must hold three numbers, got "):
        InputSpec(mean=mean)


@pytest.mark.parametrize("image_size", [15, -1, 224.0, "224", True, None])
def test_input_spec_with_a_wrong_image_size_raises(image_size: Any) -> None:
    with pytest.raises(SettingsError, match="`image_size` must be an integer of at least 16"):
        InputSpec(image_size=image_size)


def test_input_spec_of_the_smallest_size_is_taken() -> None:
    assert InputSpec(image_size=16).image_size == 16


@given(
    image_size=st.integers(16, 4096),
    mean=st.tuples(*[st.floats(-1, 1)] * 3),
    std=st.tuples(*[st.floats(0.01, 2)] * 3),
    interpolation=st.sampled_from(["nearest", "bilinear", "bicubic"]),
    framing=st.sampled_from(FRAMINGS),
    tta=st.sampled_from(["none", "body", "body+flips", "rotations", "body+flips+rotations"]),
)
def test_input_spec_round_trip_through_json_is_equal(**fields: Any) -> None:
    spec = InputSpec(**fields)
    copy = InputSpec.from_dict(json.loads(json.dumps(spec.to_dict())))
    assert copy == spec
    assert isinstance(copy.mean, tuple)


def test_input_spec_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        InputSpec().image_size = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"epochs": 0}, "`epochs` must be an integer of at least 1, got 0."),
        ({"epochs": "3"}, "`epochs` must be an integer of at least 1, got '3'."),
        ({"learning_rate": 0}, "`learning_rate` must be a number over 0, got 0."),
        ({"learning_rate": float("nan")}, "`learning_rate` must be a number over 0, got nan."),
        ({"trainable_blocks": -1}, "`trainable_blocks` must be an integer of at least 0, got -1."),
        ({"backbone_rate": -0.1}, "`backbone_rate` must be a number from 0, got -0.1."),
        ({"views": -1}, "`views` must be an integer of at least 0, got -1."),
        ({"warmup_epochs": -1}, "`warmup_epochs` must be an integer of at least 0, got -1."),
        ({"warmup_epochs": 6}, "`warmup_epochs` must not exceed `epochs` (5), got 6."),
        ({"optimizer": None}, "`optimizer` must be a name, got None. Pass 'adamw', for example."),
        ({"optimizer_options": 3}, "`optimizer_options` must be a mapping of names to values, got"),
        ({"layer_decay": 0}, "`layer_decay` must be a number over 0 to 1, got 0."),
        ({"accumulation_steps": 0}, "`accumulation_steps` must be an integer of at least 1, got 0"),
        ({"mixup": -1}, "`mixup` must be a number from 0, got -1."),
        ({"cutmix": "yes"}, "`cutmix` must be a number from 0, got 'yes'."),
        ({"ema_decay": 1}, "`ema_decay` must be a number from 0 to 0.99999, got 1."),
        (
            {"weight_interpolation": 1.5},
            "`weight_interpolation` must be a number from 0 to 1, got 1.5.",
        ),
        ({"monitor": "none", "patience": 2}, "`patience` counts epochs"),
        (
            {"monitor": "accuracy"},
            "`monitor` must be one of 'loss', 'calibrated_loss', 'none', g",
        ),
        ({"views": 2, "mixup": 0.2}, "`mixup` and `cutmix` mix images, and with `views` a step"),
        ({"weight_decay": -1}, "`weight_decay` must be a number from 0, got -1."),
        ({"batch_size": 0}, "`batch_size` must be an integer of at least 1, got 0."),
        ({"patience": 0}, "`patience` must be an integer of at least 1, got 0."),
        (
            {"views": 4, "trainable_blocks": None},
            "`views` needs frozen blocks, and `trainable_blocks` is None",
        ),
        ({"refresh_epochs": 0}, "`refresh_epochs` must be an integer of at least 1, got 0."),
        ({"refresh_epochs": 2}, "`refresh_epochs` is 2, and without `views` each epoch draws new"),
    ],
)
def test_stage_with_one_wrong_value_names_stage_and_value(
    changes: dict[str, Any], problem: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        create_stage(**changes)
    assert len(caught.value.problems) == 1
    assert caught.value.problems[0].startswith(f"stage 'probe': {problem}")


def test_stage_with_several_wrong_values_names_all() -> None:
    with pytest.raises(SettingsError) as caught:
        create_stage(epochs=0, learning_rate=-1, optimizer="", weight_decay="no")
    named = [problem.split("`")[1] for problem in caught.value.problems]
    assert named == ["epochs", "learning_rate", "optimizer", "weight_decay"]


def test_stage_at_the_edges_is_taken() -> None:
    stage = create_stage(epochs=5, warmup_epochs=5, trainable_blocks=None, backbone_rate=0)
    assert (stage.warmup_epochs, stage.trainable_blocks) == (5, None)


def test_recipe_with_several_wrong_values_names_all() -> None:
    with pytest.raises(SettingsError) as caught:
        Recipe(
            name="mine",
            stages=(),
            batch_size=0,
            image_size=3,
            tta="body+body",
            class_weights="inverse",  # type: ignore[arg-type]
            label_smoothing=1.5,
            max_gradient_norm=0,
        )
    assert caught.value.problems == (
        "recipe 'mine': `batch_size` must be an integer of at least 1, got 0. "
        "Pass 32, for example.",
        "recipe 'mine': `image_size` must be an integer of at least 16, got 3. "
        "Pass 224, for example.",
        "recipe 'mine': `tta` must name each once, got 'body+body'. Pass 'body'.",
        "recipe 'mine': `class_weights` must be one of 'balanced', 'none', got 'inverse'. "
        "Pass 'balanced', for example.",
        "recipe 'mine': `label_smoothing` must be a number from 0 to 1, got 1.5. "
        "Pass 0.1, for example.",
        "recipe 'mine': `max_gradient_norm` must be a number over 0, got 0. Pass 1.0, or None.",
        "recipe 'mine': at least one stage is needed, got none.",
    )


def test_recipe_round_trip_through_json_is_equal() -> None:
    recipe = Recipe(
        name="mine",
        stages=(
            create_stage(views=4, optimizer="adam", patience=3),
            create_stage(name="tune", trainable_blocks=None, batch_size=8, scheduler="linear"),
        ),
        head="mlp",
        head_options={"dropout": 0.25, "hidden_sizes": [64]},
        augmentation="strong",
        batch_size=16,
        image_size=96,
        class_weights="none",
        label_smoothing=0.1,
        max_gradient_norm=None,
    )
    copy = Recipe.from_dict(json.loads(json.dumps(recipe.to_dict())))
    assert copy == recipe
    assert copy.stages[1].trainable_blocks is None


def test_recipe_from_a_dict_with_a_wrong_stage_raises() -> None:
    fields = Recipe(name="mine", stages=(create_stage(),)).to_dict()
    fields["stages"][0]["epochs"] = 0
    with pytest.raises(SettingsError, match="stage 'probe': `epochs`"):
        Recipe.from_dict(fields)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"stages": ({"name": "a"},)}, "`stages` must hold `Stage` objects, got [{'name': 'a'}]."),
        (
            {"stages": (create_stage(), create_stage(epochs=9))},
            "stages must have different names, got ['probe', 'probe'].",
        ),
        (
            {"head_options": None},
            "`head_options` must be a mapping of names to values, got None. "
            "Pass {'dropout': 0.5}, for example.",
        ),
    ],
)
def test_recipe_with_one_wrong_part_names_recipe_and_part(
    changes: dict[str, Any], problem: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        Recipe(**{"name": "mine", "stages": (create_stage(),), **changes})
    assert caught.value.problems == (f"recipe 'mine': {problem}",)


def test_numbers_of_numpy_are_taken() -> None:
    assert InputSpec(image_size=np.int64(32)).image_size == 32  # type: ignore[arg-type]
    stage = create_stage(epochs=np.int64(3), learning_rate=np.float32(0.5))
    assert (stage.epochs, stage.learning_rate) == (3, 0.5)
    with pytest.raises(SettingsError, match="`epochs` must be an integer of at least 1"):
        create_stage(epochs=np.float64(3))


def test_stretch_is_checked_and_kept_and_may_be_missing_in_what_was_saved_before() -> None:
    spec = InputSpec(stretch="asinh")
    assert InputSpec.from_dict(spec.to_dict()).stretch == "asinh"
    older = {key: value for key, value in spec.to_dict().items() if key != "stretch"}
    assert InputSpec.from_dict(older).stretch == "linear"
    with pytest.raises(SettingsError, match=r"`stretch` must be one of 'linear'.*got 'log'"):
        InputSpec(stretch="log")  # type: ignore[arg-type]


@given(st.permutations(TTAS), st.integers(0, len(TTAS)))
def test_tta_in_any_order_is_kept_in_one(names: list[str], number: int) -> None:
    given_names = names[:number]
    ordered = tuple(name for name in ("body", "flips", "rotations") if name in given_names)
    text = "+".join(given_names) or "none"
    assert parse_tta(text) == ordered
    assert InputSpec(tta=text).tta == ("+".join(ordered) or "none")
    recipe = Recipe(name="mine", stages=(create_stage(),), tta=text)
    assert recipe.tta == InputSpec(tta=text).tta


@pytest.mark.parametrize(
    ("tta", "problems"),
    [
        (
            "flips+bodies+turns",
            [
                "`tta` is 'flips+bodies+turns', and 'bodies' is not a test-time augmentation. "
                "Did you mean 'body'? Known: body, flips, rotations, joined by '+'; or 'none'.",
                "`tta` is 'flips+bodies+turns', and 'turns' is not a test-time augmentation. "
                "Known: body, flips, rotations, joined by '+'; or 'none'.",
            ],
        ),
        (
            "",
            [
                "`tta` is '', and '' is not a test-time augmentation. Known: body, flips, ",
            ],
        ),
        (
            "rotations+body+rotations",
            ["`tta` must name each once, got 'rotations+body+rotations'. Pass 'body+rotations'."],
        ),
        ("none+none", ["`tta` must name each once, got 'none+none'. Pass 'none'."]),
        (
            "body+none",
            ["`tta` must be 'none' alone or names without it, got 'body+none'. Pass 'body'."],
        ),
        (None, ["`tta` must be 'none', or names joined by '+', got None. Known: body, flips, "]),
    ],
)
def test_wrong_tta_says_all_that_is_wrong_with_it(tta: Any, problems: list[str]) -> None:
    with pytest.raises(SettingsError) as caught:
        parse_tta(tta)
    with pytest.raises(SettingsError) as of_spec:
        InputSpec(tta=tta)
    assert caught.value.problems == of_spec.value.problems
    assert len(caught.value.problems) == len(problems)
    for found, expected in zip(caught.value.problems, problems, strict=True):
        assert found.startswith(expected)


@pytest.mark.parametrize("tta", ["none", "body"])
def test_tta_that_was_saved_before_names_could_be_joined_is_read(tta: str) -> None:
    fields = {**InputSpec().to_dict(), "tta": tta}
    assert InputSpec.from_dict(json.loads(json.dumps(fields))).tta == tta
