"""The camera: what each of its parts does, and what is drawn at random."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest

from planetvision.imaging.instrument import Instrument, draw_instrument, take_picture
from planetvision.imaging.light import Floats, Image

SYMBOLS = "0123456789ABCDEFGHJKLMNPRSTUVWXYZabcdefghijkmnoprstuvwxyz:.-/ "


def create_light(size: int = 64) -> Floats:
    rows, columns = np.mgrid[:size, :size] - size / 2
    disc = (np.hypot(rows, columns) < size / 3).astype(np.float32)
    colour = np.array([0.5, 0.3, 0.15], np.float32)
    return np.asarray(
        disc[..., None] * colour * (1 + 0.2 * np.sin(columns / 3))[..., None], np.float32
    )


def take(**parts: Any) -> Image:
    return take_picture(create_light(), Instrument(**parts), np.random.default_rng(0))


def test_perfect_camera_only_encodes() -> None:
    image = take()
    # Linear 0.5 is level 188: IEC 61966-2-1.
    assert abs(int(np.median(image[32, 20:44, 0])) - 188) < 12
    assert (image[0] == 0).all()


@pytest.mark.parametrize(
    "parts",
    [
        {"psf_pixels": 2.0},
        {"defocus_pixels": 3.0},
        {"seeing_pixels": 1.0},
        {"exposure": 1.5},
        {"channels": ((1.2, 0, 0), (0, 1, 0), (0, 0, 1))},
        {"saturation": 0.5},
        {"gamma": 0.6},
        {"pedestal": 0.02},
        {"full_well": 300},
        {"read_noise": 0.02},
        {"resolution": 0.3},
        {"sharpening": 2.0},
        {"lost_lines": 0.2},
        {"jpeg_quality": 20},
        {"caption": "XY"},
        {"border_pixels": (4, 4, 4, 4), "border_level": 255},
    ],
    ids=lambda parts: next(iter(parts)),
)
def test_every_part_changes_the_picture(parts: dict[str, Any]) -> None:
    assert not np.array_equal(take(**parts), take())


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (
            {"resolution": 0.2, "interpolation": "nearest"},
            {"resolution": 0.2, "interpolation": "cubic"},
        ),
        (
            {"sharpening": 2.0, "sharpening_pixels": 1.0},
            {"sharpening": 2.0, "sharpening_pixels": 4.0},
        ),
        ({"caption": "XY"}, {"caption": "XY", "caption_place": (0.9, 0.9, 0.5, 0.2)}),
        ({"border_pixels": (4, 0, 0, 0)}, {"border_pixels": (4, 0, 0, 0), "border_level": 99}),
    ],
)
def test_settings_of_a_part_change_the_picture(
    first: dict[str, Any], second: dict[str, Any]
) -> None:
    assert not np.array_equal(take(**first), take(**second))


def test_long_exposure_saturates() -> None:
    assert (take(exposure=20.0)[32, 32] == 255).all()


def test_noise_of_a_monochrome_camera_is_gray() -> None:
    row = (0.0, 1.0, 0.0)
    instrument = Instrument(channels=(row, row, row), full_well=100, read_noise=0.01)
    assert instrument.is_monochrome
    image = take_picture(create_light(), instrument, np.random.default_rng(0))
    assert (image[..., 0] == image[..., 1]).all()
    assert (image[..., 0] == image[..., 2]).all()
    assert not Instrument().is_monochrome


def test_drawn_cameras_are_the_seeds_and_differ() -> None:
    first, again, other = (draw_instrument(np.random.default_rng(seed)) for seed in (4, 4, 5))
    assert first == again
    assert first != other


def test_drawn_cameras_keep_their_ranges() -> None:
    drawn = [draw_instrument(np.random.default_rng(seed), image_size=112) for seed in range(400)]
    assert 0.15 < np.mean([it.is_monochrome for it in drawn]) < 0.35
    for it in drawn:
        assert 0 < it.psf_pixels <= 2
        assert 0.1 < it.resolution <= 1
        assert it.jpeg_quality is None or 30 <= it.jpeg_quality < 96
        assert max(it.border_pixels) <= 9
        assert set(it.caption) <= set(SYMBOLS + "\n")
        assert len(it.caption.split("\n")) <= 2
    # No part is never used.
    for field in dataclasses.fields(Instrument):
        assert len({getattr(it, field.name) for it in drawn}) > 1, field.name


def test_drawn_captions_name_no_body() -> None:
    """A name would give the answer away: letters are drawn one by one, so words come by chance."""
    captions = [
        caption
        for seed in range(3000)
        if (caption := draw_instrument(np.random.default_rng(seed)).caption)
    ]
    assert 0.03 < len(captions) / 3000 < 0.09
    assert len(set(captions)) > 0.95 * len(captions)
    assert {len(caption.split("\n")) for caption in captions} == {1, 2}
    for caption in captions:
        assert not any(name in caption.lower() for name in ("moon", "mars", "earth", "saturn"))


def test_monochrome_camera_leaves_no_tint() -> None:
    tinted = Instrument(channels=((1.2, 0, 0), (0, 1, 0), (0, 0, 0.8)), saturation=1.4)
    gray = tinted.to_monochrome()
    assert gray.is_monochrome
    image = take_picture(create_light(), gray, np.random.default_rng(0))
    assert np.ptp(image, axis=-1).max() == 0
    assert gray.to_monochrome() is gray


def test_drawn_white_balance_stays_within_bounds_that_keep_a_body_its_own() -> None:
    gains = []
    for seed in range(400):
        it = draw_instrument(np.random.default_rng(seed))
        if not it.is_monochrome:
            gains.append(math.log(it.channels[0][0] / it.channels[2][2]))
    # 0.06 for either channel: red against blue moves by 9 % in the typical picture.
    assert np.std(gains) == pytest.approx(0.06 * math.sqrt(2), rel=0.15)
