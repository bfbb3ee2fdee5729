"""Stretches: values worked by hand, properties, and the reference implementations of astropy."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from astropy.visualization import AsinhStretch, ZScaleInterval
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from planetvision.core.errors import SettingsError
from planetvision.core.settings import STRETCHES, Stretch
from planetvision.data import stretch as stretch_module
from planetvision.data.stretch import check_stretch, stretch_image

NAMES: tuple[Stretch, ...] = ("linear", "percentile", "asinh", "zscale")
TYPES = (np.uint16, np.int16, np.uint32, np.int64, np.float32, np.float64)


def test_the_names_are_those_of_the_settings() -> None:
    assert NAMES == STRETCHES


def test_linear_runs_from_the_lowest_to_the_highest_value() -> None:
    values = np.array([[100, 200], [300, 610]], np.uint16)
    # 255 * (200 - 100) / 510 = 50; 255 * 200 / 510 = 100
    assert stretch_image(values).tolist() == [[0, 50], [100, 255]]


def test_linear_takes_one_range_for_all_channels() -> None:
    values = np.array([[[0, 50, 100], [0, 0, 255]]], np.int32)
    assert stretch_image(values).tolist() == [[[0, 50, 100], [0, 0, 255]]]


def test_percentile_is_not_darkened_by_a_hot_pixel_where_linear_is() -> None:
    values = np.arange(10_000, dtype=np.float64).reshape(100, 100)
    values[50, 50] = 1e9
    robust = stretch_image(values, "percentile")
    # The 0.1th and 99.9th of 10,000 values are 10 and 9,989: 255 * (4999 - 10) / 9979 = 127.5.
    assert robust[0, :11].tolist() == [0] * 11
    assert robust[49, 99] in (127, 128)
    assert (robust[99, 90:] == 255).all()
    assert stretch_image(values, "linear")[99, 99] == 0


def test_percentile_of_a_small_disc_on_black_falls_back_to_the_whole_range() -> None:
    values = np.zeros((100, 100), np.uint16)
    values[40, 40], values[40, 41] = 1000, 2000  # two of 10,000 pixels
    stretched = stretch_image(values, "percentile")
    assert stretched[40, 40:42].tolist() == [128, 255]
    assert stretched.sum() == 383


def test_asinh_of_gray_by_hand_and_as_astropy_does() -> None:
    values = np.array([[0.0, 1.0, 5.0, 10.0]])
    # asinh(10 * 0.1) / asinh(10) = 0.8814 / 2.9982 = 0.2940; asinh(5) / asinh(10) = 0.7712
    assert stretch_image(values, "asinh").tolist() == [[0, 75, 197, 255]]
    ramp = np.linspace(0, 1, 1001).reshape(7, 143)
    expected = np.rint(255 * AsinhStretch(0.1)(ramp))
    np.testing.assert_array_equal(stretch_image(ramp * 321 + 5, "asinh"), expected)


def test_asinh_keeps_the_ratios_between_channels() -> None:
    values = np.array([[[0, 0, 0], [100, 200, 300], [10_000, 10_000, 10_000]]], np.uint16)
    dark = stretch_image(values, "asinh")[0, 1].astype(float)
    # The mean of 200 / 10,000 is lifted to asinh(0.2) / asinh(10) = 0.0663, thus 17 of 255.
    np.testing.assert_allclose(dark, [8.45, 16.9, 25.4], atol=0.51)


def test_asinh_scales_a_saturated_colour_down_as_a_whole() -> None:
    values = np.array([[[0, 0, 0], [1000, 500, 0]]], np.uint16)
    assert stretch_image(values, "asinh")[0, 1].tolist() == [255, 128, 0]


@pytest.mark.parametrize("seed", range(5))
def test_zscale_has_the_limits_of_astropy(seed: int) -> None:
    generator = np.random.default_rng(seed)
    values = generator.normal(1000, 20, (60, 70)).astype(np.float64)
    values[20:30, 20:30] += 500 * seed
    low, high = ZScaleInterval().get_limits(values)
    shares = np.clip((values - low) / (high - low), 0, 1)
    away = stretch_image(values, "zscale").astype(int) - np.rint(255 * shares)
    assert np.abs(away).max() <= 1
    assert stretch_module._find_zscale(stretch_module._sample(values, 1000)) == pytest.approx(
        (low, high)
    )


@pytest.mark.parametrize("name", NAMES)
def test_missing_values_become_black_and_take_no_part(name: Stretch) -> None:
    generator = np.random.default_rng(0)
    values = generator.uniform(10, 20, (40, 50))
    damaged = values.copy()
    damaged[0, :3] = (np.nan, np.inf, -np.inf)
    stretched = stretch_image(damaged, name)
    assert stretched[0, :3].tolist() == [0, 0, 0]
    away = stretched.astype(int) - stretch_image(values, name)
    assert np.abs(away[1:]).max() <= (12 if name == "zscale" else 1)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", [0.0, 7.5, -3.0, 1e300])
def test_constant_image_is_mid_gray_and_missing_parts_of_it_black(
    name: Stretch, value: float
) -> None:
    values = np.full((3, 4, 3), value)
    assert (stretch_image(values, name) == 128).all()
    values[0, 0] = np.nan
    assert stretch_image(values, name)[0, :2].tolist() == [[0, 0, 0], [128, 128, 128]]


@pytest.mark.parametrize("name", NAMES)
def test_nothing_but_missing_values_is_black(name: Stretch) -> None:
    assert (stretch_image(np.full((3, 4), np.nan), name) == 0).all()


@pytest.mark.parametrize("name", NAMES)
def test_eight_bits_are_left_alone(name: Stretch) -> None:
    values = np.array([[3, 4], [5, 60]], np.uint8)
    assert stretch_image(values, name) is values
    assert stretch_image(values > 4, name).tolist() == [[0, 0], [255, 255]]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("order", ["<", ">"])
def test_the_type_of_the_values_does_not_matter(name: Stretch, order: str) -> None:
    values = np.arange(600).reshape(20, 30) * 7
    expected = stretch_image(values.astype(np.float64), name)
    for dtype in TYPES:
        typed = values.astype(np.dtype(dtype).newbyteorder(order))  # type: ignore[arg-type]
        np.testing.assert_array_equal(stretch_image(typed, name), expected)


def test_large_image_in_blocks_is_that_of_its_whole() -> None:
    values = np.arange(700 * 3, dtype=np.float64).reshape(700, 3)
    expected = np.rint(255 * values / values.max())
    np.testing.assert_array_equal(stretch_image(values), expected)


def test_unknown_stretch_names_the_known_ones() -> None:
    with pytest.raises(SettingsError, match=r"one of 'linear', 'percentile', 'asinh', 'zscale', g"):
        check_stretch("log")
    with pytest.raises(SettingsError, match="got 'log'"):
        stretch_image(np.zeros((2, 2)), "log")  # type: ignore[arg-type]


numbers = st.one_of(
    hnp.arrays(np.float64, (5, 4), elements=st.floats(allow_nan=True, allow_infinity=True)),
    hnp.arrays(np.int16, (5, 4)),
    hnp.arrays(np.uint16, (5, 4)),
    hnp.arrays(np.float16, (5, 4)),
)


@given(values=numbers, name=st.sampled_from(NAMES))
def test_any_gray_gives_8_bits_that_rise_with_the_values(
    values: npt.NDArray[Any], name: Stretch
) -> None:
    stretched = stretch_image(values, name)
    assert stretched.dtype == np.uint8
    assert stretched.shape == values.shape
    finite = np.isfinite(values)
    assert (stretched[~finite] == 0).all()
    order = np.argsort(values[finite], kind="stable")
    assert (np.diff(stretched[finite][order].astype(int)) >= 0).all()


@given(
    values=hnp.arrays(np.float32, (3, 4, 3), elements=st.floats(width=32)),
    name=st.sampled_from(NAMES),
)
def test_any_colours_give_8_bits(values: npt.NDArray[Any], name: Stretch) -> None:
    stretched = stretch_image(values, name)
    assert stretched.dtype == np.uint8
    assert stretched.shape == values.shape
    assert (stretched[~np.isfinite(values)] == 0).all()


@given(
    values=hnp.arrays(np.int32, (4, 5), elements=st.integers(-1000, 1000)),
    scale=st.integers(1, 50),
    offset=st.integers(-1000, 1000),
    name=st.sampled_from(NAMES),
)
def test_scale_and_offset_of_the_values_do_not_matter(
    values: npt.NDArray[Any], scale: int, offset: int, name: Stretch
) -> None:
    moved = stretch_image(values * scale + offset, name).astype(int)
    assert np.abs(moved - stretch_image(values, name)).max() <= 1
