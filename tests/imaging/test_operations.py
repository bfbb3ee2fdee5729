"""Pixel operations, each against what it is meant to do."""

from __future__ import annotations

import math

import numpy as np
import pytest

from planetvision.imaging import operations
from planetvision.imaging.light import Floats, Image


def create_point(size: int = 41) -> Floats:
    picture = np.zeros((size, size, 3), np.float32)
    picture[size // 2, size // 2] = 1
    return picture


def create_edge(size: int = 64) -> Floats:
    levels = np.full((size, size, 3), 60, np.float32)
    levels[:, size // 2 :] = 180
    return levels


def create_noise(size: int = 64, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).uniform(0, 1, (size, size, 3)).astype(np.float32)


def get_width(spread: Floats) -> float:
    """Returns the standard deviation of a spread point along the rows."""
    weights = spread[..., 0].sum(axis=1)
    place = np.arange(len(weights)) - len(weights) // 2
    return math.sqrt(float((weights * place**2).sum() / weights.sum()))


def test_gaussian_spreads_a_point_by_its_sigma_and_keeps_the_light() -> None:
    spread = operations.blur_gaussian(create_point(), 3.0)
    assert get_width(spread) == pytest.approx(3.0, rel=0.03)
    assert spread[..., 0].sum() == pytest.approx(1, abs=1e-4)


def test_disc_spreads_a_point_evenly_within_its_radius() -> None:
    spread = operations.blur_disc(create_point(), 6.0)[..., 0]
    rows, columns = np.mgrid[:41, :41] - 20
    away = np.hypot(rows, columns)
    inside = spread[away < 5]
    assert inside.std() < 1e-6
    assert inside.mean() == pytest.approx(1 / (math.pi * 36), rel=0.03)
    assert np.abs(spread[away > 7]).max() < 1e-6
    assert spread.sum() == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("blur", [operations.blur_gaussian, operations.blur_disc])
def test_blur_of_nothing_changes_nothing(blur: object) -> None:
    picture = create_noise()
    assert blur(picture, 0.0) is picture  # type: ignore[operator] # either function


def test_wobble_moves_pixels_by_about_the_shift_and_keeps_their_values() -> None:
    rows = np.repeat(np.arange(96, dtype=np.float32)[:, None], 96, axis=1)
    picture = np.repeat(rows[..., None], 3, axis=-1)
    shifts = [
        operations.wobble(
            picture, shift_pixels=1.0, scale_pixels=12, rng=np.random.default_rng(seed)
        )[8:-8, 8:-8, 0]
        - rows[8:-8, 8:-8]
        for seed in range(8)
    ]
    # Between the nodes of the lattice the interpolated shift is smaller than at them.
    assert 0.5 < np.std(shifts) < 1.1
    down, across = np.gradient(shifts[0])
    assert np.hypot(down, across).max() < 0.8


def test_mixing_by_a_diagonal_balances_white_and_equal_rows_make_gray() -> None:
    picture = create_noise()
    balanced = operations.mix_channels(picture, np.diag([2.0, 1.0, 0.5]))
    np.testing.assert_allclose(balanced, picture * [2, 1, 0.5], rtol=1e-6)
    gray = operations.mix_channels(picture, [[0, 1, 0]] * 3)
    for channel in range(3):
        np.testing.assert_allclose(gray[..., channel], picture[..., 1], rtol=1e-6)


def test_saturation_of_nothing_leaves_the_luminance() -> None:
    picture = create_noise()
    gray = operations.change_saturation(picture, 0.0)
    np.testing.assert_allclose(gray[..., 0], picture @ [0.2126, 0.7152, 0.0722], rtol=1e-4)
    np.testing.assert_allclose(operations.change_saturation(picture, 1.0), picture, atol=1e-6)


@pytest.mark.parametrize("level", [0.0, 0.25, 1.0])
def test_noise_is_that_of_photons_and_of_the_readout(level: float) -> None:
    light = np.full((200, 200, 3), level, np.float32)
    noisy = operations.add_noise(
        light, full_well=400, read_noise=0.02, rng=np.random.default_rng(0)
    )
    assert noisy.std() == pytest.approx(math.sqrt(level / 400 + 0.02**2), rel=0.02)
    assert noisy.mean() == pytest.approx(level, abs=1e-3)


def test_sharpening_rings_along_an_edge_only() -> None:
    levels = create_edge()
    sharp = operations.sharpen(levels, sigma_pixels=2.0, amount=1.5)
    assert sharp.max() > 220
    assert sharp.min() < 20
    np.testing.assert_allclose(sharp[:, :16], levels[:, :16], atol=1e-3)


@pytest.mark.parametrize("interpolation", ["nearest", "linear", "cubic"])
def test_resampling_loses_what_is_finer_than_its_pixels(interpolation: str) -> None:
    fine = np.repeat((np.indices((64, 64)).sum(axis=0) % 2)[..., None], 3, axis=-1)
    coarse = operations.resample(fine.astype(np.float32), 0.25, interpolation=interpolation)
    assert coarse.shape == (64, 64, 3)
    assert coarse.std() < 0.05
    assert coarse.mean() == pytest.approx(0.5, abs=0.02)


def test_nearest_leaves_blocks_and_linear_does_not() -> None:
    picture = create_noise()
    blocks = operations.resample(picture, 0.25, interpolation="nearest")
    assert (blocks[0:4, 0:4] == blocks[0, 0]).all()
    smooth = operations.resample(picture, 0.25, interpolation="linear")
    assert not (smooth[0:4, 0:4] == smooth[0, 0]).all()


def test_lost_lines_are_about_as_many_as_asked_for() -> None:
    levels = np.full((200, 64, 3), 99, np.float32)
    touched = []
    for seed in range(10):
        damaged = operations.drop_lines(levels, share=0.1, rng=np.random.default_rng(seed))
        touched.append((damaged != 99).any(axis=(1, 2)).mean())
    assert 0.05 < np.mean(touched) < 0.16
    assert (levels == 99).all()


def test_jpeg_of_low_quality_is_further_from_the_image() -> None:
    image: Image = (create_noise() * 255).astype(np.uint8)
    errors = [
        np.abs(operations.compress_jpeg(image, quality).astype(int) - image).mean()
        for quality in (95, 60, 20)
    ]
    assert errors == sorted(errors)
    assert errors[0] < errors[2]
    plain = np.full((16, 16, 3), (200, 30, 30), np.uint8)
    assert np.abs(operations.compress_jpeg(plain, 90).astype(int) - plain).max() < 8


@pytest.mark.parametrize(("row", "column"), [(0.0, 0.0), (1.0, 1.0)])
def test_caption_stands_where_it_is_asked_for(row: float, column: float) -> None:
    image = np.zeros((60, 120, 3), np.uint8)
    written = operations.draw_caption(
        image, "AB", height_pixels=14, row_share=row, column_share=column, level=255
    )
    assert (image == 0).all()
    rows, columns = np.nonzero(written[..., 0])
    assert (rows.mean() > 30) == bool(row)
    assert (columns.mean() > 60) == bool(column)
    assert rows.min() <= 1 if not row else rows.max() >= 57


def test_border_covers_the_edges_and_nothing_else() -> None:
    image = (create_noise(32) * 255).astype(np.uint8)
    framed = operations.draw_border(image, widths_pixels=(3, 0, 5, 2), colour=(7, 8, 9))
    assert (framed[:3] == (7, 8, 9)).all()
    assert (framed[-5:] == (7, 8, 9)).all()
    assert (framed[:, -2:] == (7, 8, 9)).all()
    np.testing.assert_array_equal(framed[3:-5, :-2], image[3:-5, :-2])
