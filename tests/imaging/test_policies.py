"""Policies: one contract for every registered one, and what each built-in does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import FrozenInstanceError

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from planetvision.core.devices import seeded
from planetvision.core.errors import DuplicateNameError, SettingsError, UnknownNameError
from planetvision.core.settings import InputSpec
from planetvision.imaging.framing import frame_image
from planetvision.imaging.policies import (
    POLICIES,
    AugmentationSpec,
    ImageTransform,
    create_transform,
    list_augmentations,
    register_augmentation,
)

NAMES = list_augmentations()
SPEC = InputSpec(image_size=48)


@pytest.fixture
def policy_name() -> Iterator[str]:
    """A name that a test may register; it is gone afterwards."""
    yield "policy_of_a_test"
    if "policy_of_a_test" in POLICIES:
        POLICIES.remove("policy_of_a_test")


def create_image(height: int = 60, width: int = 80, *, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (3, height, width), dtype=torch.uint8, generator=generator)


def test_built_in_policies_are_listed() -> None:
    assert {"none", "light", "strong"} <= set(list_augmentations())


@pytest.mark.parametrize("name", NAMES)
def test_policy_has_a_summary_and_cannot_be_changed(name: str) -> None:
    spec = POLICIES.get(name)
    assert isinstance(spec, AugmentationSpec)
    assert spec.summary
    assert "\n" not in spec.summary
    with pytest.raises(FrozenInstanceError):
        spec.summary = "other"  # type: ignore[misc]


@pytest.mark.parametrize("shape", [(60, 80), (48, 48), (200, 30), (16, 16)])
@pytest.mark.parametrize("name", NAMES)
def test_policy_gives_a_uint8_square_and_leaves_its_input(
    name: str, shape: tuple[int, int]
) -> None:
    image = create_image(*shape)
    before = image.clone()
    transform = create_transform(name, SPEC)
    for seed in range(3):
        with seeded(seed):
            changed = transform(image)
        assert changed.shape == (3, 48, 48)
        assert changed.dtype == torch.uint8
        assert int(changed.max()) > 0
    assert torch.equal(image, before)


@pytest.mark.parametrize("name", NAMES)
def test_policy_under_one_seed_is_the_same_to_the_bit(name: str) -> None:
    image = create_image()
    results = []
    for _ in range(2):
        with seeded(11):
            results.append(create_transform(name, SPEC)(image))
    assert torch.equal(results[0], results[1])


@pytest.mark.parametrize("name", [name for name in NAMES if name != "none"])
def test_policy_under_other_seeds_gives_other_pixels(name: str) -> None:
    image = create_image()
    transform = create_transform(name, SPEC)
    results = []
    for seed in range(8):
        with seeded(seed):
            results.append(transform(image))
    differing = sum(not torch.equal(results[0], result) for result in results[1:])
    assert differing >= 4 if name in ("light", "strong") else differing >= 1


def test_none_is_the_framed_image_whatever_the_seed() -> None:
    image = create_image()
    transform = create_transform("none", SPEC)
    for seed in (0, 1):
        with seeded(seed):
            assert torch.equal(transform(image), frame_image(image, SPEC))


def test_light_shows_a_body_at_its_size_or_up_close() -> None:
    image = torch.zeros(3, 96, 96, dtype=torch.uint8)
    image[:, 38:58, 38:58] = 200
    transform = create_transform("light", InputSpec(image_size=96))
    close = 0
    for seed in range(40):
        with seeded(seed):
            changed = transform(image)
        bright = changed.amax(dim=0) > 20
        # Scale 0.6 to 1.2 in each direction, give or take an edge.
        if int(bright.sum()) < 1.2 * 1.2**2 * 400:
            assert int(bright.sum()) > 0.8 * 0.6**2 * 400
            edges = [bright[0], bright[-1], bright[:, 0], bright[:, -1]]
            assert not any(bool(edge.any()) for edge in edges)
        else:
            # The crop around it has a margin of 15 % on each side.
            side = 96 / 1.3
            assert 0.8 * 0.6**2 * side**2 < int(bright.sum()) < 1.2 * 1.2**2 * side**2
            close += 1
    assert 10 <= close <= 30


def test_light_turns_by_any_angle() -> None:
    image = torch.zeros(3, 96, 96, dtype=torch.uint8)
    image[:, 20:76, 44:52] = 200  # an upright bar
    transform = create_transform("light", InputSpec(image_size=96))
    lying = 0
    for seed in range(12):
        with seeded(seed):
            rows, columns = torch.nonzero(transform(image).amax(dim=0) > 20, as_tuple=True)
        lying += float(columns.float().std()) > float(rows.float().std())
    assert 2 <= lying <= 10


def test_strong_zooms_in_and_changes_the_light() -> None:
    image = torch.full((3, 96, 96), 128, dtype=torch.uint8)
    image[:, :, 48:] = 64
    transform = create_transform("strong", SPEC)
    levels, shares = set(), set()
    for seed in range(12):
        with seeded(seed):
            changed = transform(image)
        levels.add(int(changed.max()))
        shares.add(round(float((changed.amax(dim=0) > 96).float().mean()), 1))
    assert len(levels) >= 5, "the jitter changes the brightness"
    assert len(shares) >= 3, "the crop changes what is seen"


@pytest.mark.parametrize("axis", [1, 2])
def test_strong_flips_both_axes_and_turns_no_further_than_40_degrees(axis: int) -> None:
    ramp = torch.linspace(20, 235, 96).to(torch.uint8)
    image = (ramp[:, None] if axis == 1 else ramp[None, :]).expand(3, 96, 96).contiguous()
    transform = create_transform("strong", SPEC)
    signs = []
    for seed in range(16):
        with seeded(seed):
            centre = transform(image)[:, 14:34, 14:34].float().mean(dim=0)
        along = centre[10:].mean() - centre[:10].mean()
        across = centre[:, 10:].mean() - centre[:, :10].mean()
        if axis == 2:
            along, across = across, along
        assert abs(float(along)) > abs(float(across)), seed
        signs.append(bool(along > 0))
    assert 3 <= sum(signs) <= 13


def test_framing_of_the_spec_reaches_the_policy() -> None:
    image = create_image(40, 160)
    squashed = create_transform("none", InputSpec(image_size=48, framing="squash"))(image)
    boxed = create_transform("none", SPEC)(image)
    assert int(boxed[:, :15].max()) == 0
    assert int(squashed[:, :15].max()) > 0


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1), st.sampled_from([-1, -2]))
def test_flip_is_an_involution_on_framed_images(seed: int, axis: int) -> None:
    image = create_image(seed=seed % 1000)
    framed = create_transform("none", SPEC)(image)
    flipped = create_transform("none", SPEC)(image.flip(axis))
    assert torch.equal(framed.flip(axis).flip(axis), framed)
    # The letterbox is symmetric, so that flips need not come before or after it.
    difference = (flipped.flip(axis).int() - framed.int()).abs().max()
    assert int(difference) <= 1


def test_custom_policy_that_only_flips_is_framed_afterwards(policy_name: str) -> None:
    @register_augmentation(policy_name)
    def build(spec: InputSpec) -> ImageTransform:
        """Turns every image upside down.

        Nothing else.
        """
        return lambda image: image.flip(-2)

    assert POLICIES.get(policy_name).summary == "Turns every image upside down."
    image = create_image()
    changed = create_transform(policy_name, SPEC)(image)
    assert torch.equal(changed, frame_image(image.flip(-2), SPEC))


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (torch.zeros(3, 48, 48), r"torch.float32 of shape \(3, 48, 48\)"),
        (torch.zeros(48, 48, 3, dtype=torch.uint8), r"torch.uint8 of shape \(48, 48, 3\)"),
        (torch.zeros(48, 48, dtype=torch.uint8), r"torch.uint8 of shape \(48, 48\)"),
    ],
)
def test_custom_policy_that_returns_another_type_or_shape_raises(
    policy_name: str, given: torch.Tensor, shown: str
) -> None:
    register_augmentation(policy_name)(lambda spec: lambda image: given)
    transform = create_transform(policy_name, SPEC)
    with pytest.raises(
        SettingsError, match=rf"The augmentation '{policy_name}' must return a uint8 .* got {shown}"
    ):
        transform(create_image())


def test_taken_name_is_refused_and_unknown_name_is_answered(policy_name: str) -> None:
    with pytest.raises(DuplicateNameError, match="The augmentation 'light' exists already"):
        register_augmentation("light")(lambda spec: lambda image: image)
    with pytest.raises(UnknownNameError, match=r"Unknown augmentation 'lihgt'\. Did you mean"):
        create_transform("lihgt", SPEC)
