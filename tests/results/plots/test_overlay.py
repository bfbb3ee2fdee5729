"""Heat on pictures."""

from __future__ import annotations

from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from planetvision.core.errors import SettingsError
from planetvision.results.plots.overlay import draw_explanation, overlay_heatmap


def make_image(height: int = 60, width: int = 90, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 70), st.integers(1, 70), st.integers(1, 20), st.integers(1, 20))
def test_overlay_of_no_heat_is_the_picture(
    height: int, width: int, rows: int, columns: int
) -> None:
    image = make_image(height, width)
    drawn = overlay_heatmap(image, np.zeros((rows, columns)))
    assert drawn.dtype == np.uint8
    assert np.array_equal(drawn, image)
    assert drawn is not image


def test_overlay_of_full_heat_mixes_the_hottest_colour_in_by_opacity() -> None:
    image = np.full((4, 4, 3), 100, np.uint8)
    hottest = np.array(mpl.colormaps["inferno"](1.0)[:3]) * 255
    for opacity in (0.0, 0.25, 1.0):
        drawn = overlay_heatmap(image, np.ones((2, 2)), opacity=opacity)
        expected = 100 * (1 - opacity) + hottest * opacity
        assert drawn[0, 0].tolist() == pytest.approx(expected.tolist(), abs=1)


def test_overlay_of_half_heat_has_half_the_opacity() -> None:
    image = np.full((4, 4, 3), 200, np.uint8)
    drawn = overlay_heatmap(image, np.full((2, 2), 0.5), opacity=0.6)
    color = np.array(mpl.colormaps["inferno"](0.5)[:3]) * 255
    assert drawn[0, 0].tolist() == pytest.approx((200 * 0.7 + color * 0.3).tolist(), abs=2)


def test_overlay_of_a_hot_corner_changes_only_that_corner() -> None:
    image = make_image(70, 140)
    heatmap = np.zeros((7, 7))
    heatmap[0, 6] = 1.0
    changed = (overlay_heatmap(image, heatmap) != image).any(axis=2)
    # Bilinear interpolation reaches to the centre of the next cell: 1.5 cells of 10 by 20 pixels.
    assert changed[:5, 130:].all()
    assert not changed[15:].any()
    assert not changed[:, :110].any()


def test_overlay_of_a_gradient_is_not_turned_or_mirrored() -> None:
    image = np.zeros((40, 40, 3), np.uint8)
    brightness = overlay_heatmap(image, np.array([[0.0, 0.5], [0.0, 1.0]])).sum(axis=2)
    assert brightness[-1, -1] > brightness[0, -1] > brightness[0, 0] == brightness[-1, 0] == 0


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_overlay_takes_every_float_type(dtype: type[np.floating[Any]]) -> None:
    heatmap = np.linspace(0, 1, 12).reshape(3, 4)
    image = make_image()
    expected = overlay_heatmap(image, heatmap).astype(int)
    assert np.abs(overlay_heatmap(image, heatmap.astype(dtype)).astype(int) - expected).max() <= 2


def test_overlay_takes_a_map_larger_than_the_picture() -> None:
    image = np.zeros((10, 10, 3), np.uint8)
    heatmap = np.zeros((100, 100))
    heatmap[:50] = 1
    drawn = overlay_heatmap(image, heatmap)
    assert (drawn[:5] > 0).any(axis=2).all()
    assert (drawn[5:] == 0).all()


@pytest.mark.parametrize(
    ("heatmap", "message"),
    [
        (np.zeros((2, 2, 1)), r"shape \(h, w\), got an array of shape \(2, 2, 1\)"),
        (np.zeros((2, 2), int), r"float array of shape \(h, w\), got .* type int64"),
        (np.zeros((0, 2)), r"got an array of shape \(0, 2\)"),
        ([[0.0]], r"got list \[\[0\.0\]\]"),
        (np.array([[0.0, 1.5]]), r"values in \[0, 1\], got values from 0 to 1\.5\. Subtract"),
        (np.array([[-0.1, 1.0]]), r"got values from -0\.1 to 1\. Subtract its minimum"),
        (np.array([[np.nan, 1.0]]), "got values from nan to nan"),
    ],
)
def test_overlay_with_wrong_map_says_what_it_got(heatmap: object, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        overlay_heatmap(make_image(), heatmap)  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match=message):
        draw_explanation(make_image(), heatmap, title="why")  # type: ignore[arg-type]


def test_overlay_forgives_rounding_at_the_ends_of_the_range() -> None:
    heatmap = np.array([[-1e-7, 1 + 1e-7]], np.float32)
    image = make_image()
    expected = overlay_heatmap(image, np.array([[0.0, 1.0]], np.float32))
    assert np.array_equal(overlay_heatmap(image, heatmap), expected)


@pytest.mark.parametrize("opacity", [-0.1, 1.1, float("nan")])
def test_overlay_with_wrong_opacity_raises(opacity: float) -> None:
    with pytest.raises(SettingsError, match=r"`opacity` must be a number from 0 to 1, got .* Pass"):
        overlay_heatmap(make_image(), np.zeros((2, 2)), opacity=opacity)


def test_overlay_of_a_wrong_picture_raises() -> None:
    with pytest.raises(SettingsError, match="`image` must be a uint8 array"):
        overlay_heatmap(make_image().astype(float), np.zeros((2, 2)))


def find(panel: NDArray[np.uint8], picture: NDArray[np.uint8]) -> list[int]:
    """Returns the columns at which the row of pixels `panel` starts somewhere in `picture`."""
    windows = np.lib.stride_tricks.sliding_window_view(picture, panel.shape[0], axis=1)
    hits = (windows == panel.T[None, None]).all(axis=(2, 3)).any(axis=0)
    return np.flatnonzero(hits).tolist()


def test_draw_explanation_shows_the_picture_the_overlay_and_the_cells_side_by_side() -> None:
    image = np.repeat(make_image(260, 300)[:, :, :1], 3, axis=2)  # gray already
    heatmap = np.array([[0.0, 1.0], [0.25, 0.5]])
    drawn = draw_explanation(image, heatmap, title="why mars")
    lut = (np.asarray(mpl.colormaps["inferno"](np.linspace(0, 1, 256)))[:, :3] * 255).round()
    colors = lut.astype(np.uint8)
    (original,) = find(image[100], drawn)
    (overlay,) = find(overlay_heatmap(image, heatmap, opacity=0.7)[100], drawn)
    (cells,) = find(np.repeat(colors[[0, 255]], 150, axis=0), drawn)
    assert original < overlay < cells
    assert overlay - original == cells - overlay >= 300


def test_draw_explanation_turns_the_picture_under_the_heat_gray() -> None:
    image = np.full((300, 300, 3), (200, 30, 30), np.uint8)
    drawn = draw_explanation(image, np.zeros((2, 2)), title="why mars")
    colored = (drawn == (200, 30, 30)).all(axis=2).sum()
    gray = round(0.299 * 200 + 0.587 * 30 + 0.114 * 30)
    assert colored == 300 * 300
    assert (np.abs(drawn.astype(int) - gray) <= 1).all(axis=2).sum() >= 300 * 300


def test_draw_explanation_has_a_colour_bar_from_hot_to_cold() -> None:
    drawn = draw_explanation(make_image(300, 300), np.zeros((3, 3)), title="why mars")
    hottest = (np.array(mpl.colormaps["inferno"](1.0)[:3]) * 255).round().astype(int)
    rows, columns = np.nonzero((drawn == hottest).all(axis=2))
    assert columns.size > 0, "only the bar is hot"
    assert columns.min() > 900
    below = drawn[rows.min() : rows.min() + 300, columns.min()].astype(int).sum(axis=1)
    assert (np.diff(below) <= 0).all()
    assert below[-1] < 20


@pytest.mark.parametrize("shape", [(20, 20), (700, 40), (30, 900), (1500, 1500)])
def test_draw_explanation_of_any_shape_has_a_sane_size(shape: tuple[int, int]) -> None:
    drawn = draw_explanation(make_image(*shape), np.zeros((3, 3)), title="why", lines=("a",))
    assert 140 <= drawn.shape[0] <= 700
    assert 400 <= drawn.shape[1] <= 1750


def test_draw_explanation_writes_title_and_lines() -> None:
    image, heatmap = make_image(300, 300), np.zeros((3, 3))
    one = draw_explanation(image, heatmap, title="why mars")
    other = draw_explanation(image, heatmap, title="why moon")
    lined = draw_explanation(image, heatmap, title="why mars", lines=("Grad-CAM",))
    assert one.shape == other.shape
    assert not np.array_equal(one, other)
    assert lined.shape[0] > one.shape[0]
