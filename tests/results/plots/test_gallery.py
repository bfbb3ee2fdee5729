"""Tiles, collages, annotated pictures and their files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from planetvision.core.errors import OutputError, SettingsError
from planetvision.results.plots import gallery
from planetvision.results.plots.gallery import (
    Tile,
    annotate_image,
    draw_collage,
    draw_tile,
    save_image,
)
from planetvision.results.plots.style import BAD_COLOR, GOOD_COLOR, NEUTRAL_COLOR, Tone, to_rgb

BLUE = (20, 40, 220)
TONE_COLORS: list[tuple[Tone, str]] = [
    ("neutral", NEUTRAL_COLOR),
    ("good", GOOD_COLOR),
    ("bad", BAD_COLOR),
]


def make_image(height: int = 40, width: int = 40) -> NDArray[np.uint8]:
    return np.full((height, width, 3), BLUE, np.uint8)


def count_blue(picture: NDArray[np.uint8]) -> int:
    return int((picture == BLUE).all(axis=2).sum())


@pytest.mark.parametrize(("tone", "color"), TONE_COLORS)
def test_draw_tile_frames_in_the_colour_of_the_tone(tone: Tone, color: str) -> None:
    drawn = draw_tile(Tile(make_image(), "mars", (), tone), size_pixels=150)
    assert drawn.dtype == np.uint8
    assert drawn.shape[1:] == (150, 3)
    assert drawn.shape[0] > 150
    border = np.concatenate([drawn[:2].reshape(-1, 3), drawn[-2:].reshape(-1, 3)])
    sides = np.concatenate([drawn[:, :2].reshape(-1, 3), drawn[:, -2:].reshape(-1, 3)])
    assert (border == to_rgb(color)).all()
    assert (sides == to_rgb(color)).all()
    assert (drawn[2:148, 2:148] == BLUE).all()


def test_draw_tile_letterboxes_a_wide_picture_on_black() -> None:
    drawn = draw_tile(Tile(make_image(30, 60), "mars"), size_pixels=104)
    inside = drawn[2:102, 2:102]
    assert (inside[:25] == 0).all()
    assert (inside[25:75] == BLUE).all()
    assert (inside[75:] == 0).all()


@pytest.mark.slow
@settings(deadline=None, max_examples=30)
@given(st.integers(1, 400), st.integers(1, 400), st.integers(48, 260), st.text(max_size=80))
def test_draw_tile_of_any_picture_and_text_has_the_size_asked_for(
    height: int, width: int, size: int, text: str
) -> None:
    drawn = draw_tile(Tile(make_image(height, width), text, (text,)), size_pixels=size)
    plain = draw_tile(Tile(make_image(), "a", ("b",)), size_pixels=size)
    assert drawn.shape == plain.shape
    assert count_blue(drawn) > 0


def test_draw_tile_writes_title_and_lines_and_cuts_long_ones() -> None:
    empty = draw_tile(Tile(make_image(), "", ("",)))
    short = draw_tile(Tile(make_image(), "mars", ("91%",)))
    long = draw_tile(Tile(make_image(), "W" * 300, ("W" * 300,)))
    assert np.array_equal(empty[:224], short[:224])
    assert not np.array_equal(empty, short)
    assert (long[224:-3, 3:7] == 255).all()
    assert (long[224:-3, -7:-3] == 255).all()


@pytest.mark.parametrize(
    ("image", "given"),
    [
        (np.zeros((4, 4), np.uint8), r"\(4, 4\) and type uint8"),
        (np.zeros((4, 4, 4), np.uint8), r"\(4, 4, 4\) and type uint8"),
        (np.zeros((4, 4, 3), np.float32), r"\(4, 4, 3\) and type float32"),
        (np.zeros((0, 4, 3), np.uint8), r"\(0, 4, 3\) and type uint8"),
        ("saturn.png", r"str 'saturn\.png'"),
    ],
)
def test_draw_tile_without_rgb_picture_says_what_it_got(image: object, given: str) -> None:
    message = rf"`image` must be a uint8 array of shape \(H, W, 3\), got .*{given}\. Convert it"
    with pytest.raises(SettingsError, match=message):
        draw_tile(Tile(image, "mars"))  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match=message):
        annotate_image(image, title="mars")  # type: ignore[arg-type]


def test_draw_tile_with_unknown_tone_or_size_raises() -> None:
    with pytest.raises(SettingsError, match=r"`tone` must be one of 'neutral', .*, got 'god'\."):
        draw_tile(Tile(make_image(), "mars", (), "god"))  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match=r"`size_pixels` must be at least 48, got 47\. Pass"):
        draw_tile(Tile(make_image(), "mars"), size_pixels=47)


def test_draw_collage_places_every_tile_in_order() -> None:
    tones: list[Tone] = ["good", "bad", "neutral"]
    tiles = [Tile(make_image(), "mars", ("a",) * index, tone) for index, tone in enumerate(tones)]
    collage = draw_collage(tiles, columns=2, size_pixels=64)
    tile_height = draw_tile(tiles[2], size_pixels=64).shape[0]
    gap = 4
    assert collage.shape == (gap + 2 * (tile_height + gap), gap + 2 * (64 + gap), 3)
    corners = [collage[gap, gap], collage[gap, 2 * gap + 64], collage[2 * gap + tile_height, gap]]
    assert [tuple(map(int, corner)) for corner in corners] == [
        to_rgb(color) for color in (GOOD_COLOR, BAD_COLOR, NEUTRAL_COLOR)
    ]
    assert (collage[2 * gap + tile_height :, 2 * gap + 64 :] == 255).all()
    last = collage[2 * gap + tile_height : -gap, gap : gap + 64]
    assert np.array_equal(last, draw_tile(tiles[2], size_pixels=64))


@pytest.mark.parametrize(("count", "columns"), [(1, 1), (2, 2), (4, 2), (5, 3), (9, 3), (10, 4)])
def test_draw_collage_is_about_square_by_default(count: int, columns: int) -> None:
    collage = draw_collage([Tile(make_image(), "mars")] * count, size_pixels=48)
    assert collage.shape[1] == 4 + columns * 52
    assert count_blue(collage) == count * 44 * 44


def test_draw_collage_with_more_columns_than_tiles_has_no_empty_column() -> None:
    tiles = [Tile(make_image(), "mars")] * 2
    assert draw_collage(tiles, columns=9).shape == draw_collage(tiles, columns=2).shape


def test_draw_collage_heading_stands_above_the_same_grid() -> None:
    tiles = [Tile(make_image(), "mars")] * 2
    plain, headed = draw_collage(tiles), draw_collage(tiles, heading="2 images")
    added = headed.shape[0] - plain.shape[0]
    assert added > 15
    assert np.array_equal(headed[14 + added :], plain[14:])
    assert (headed[: 14 + added] < 128).any()
    longer = draw_collage(tiles, heading="many words " * 20)
    assert longer.shape[0] > headed.shape[0]
    assert longer.shape[1] == plain.shape[1]


def test_draw_collage_of_nothing_raises() -> None:
    with pytest.raises(SettingsError, match=r"`tiles` must hold at least one tile, got none\. Ski"):
        draw_collage([])


def test_draw_collage_with_no_columns_raises() -> None:
    with pytest.raises(SettingsError, match=r"`columns` must be at least 1, got 0\. Pass None"):
        draw_collage([Tile(make_image(), "mars")], columns=0)


def test_draw_collage_that_is_too_large_raises_before_it_is_drawn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gallery, "MAX_COLLAGE_PIXELS", 10_000)
    with pytest.raises(SettingsError, match=r"10,000 pixels, got 9 tiles in .*\. Pass fewer"):
        draw_collage([Tile(make_image(), "mars")] * 9)


@pytest.mark.parametrize(
    ("shape", "picture"),
    [
        ((32, 32), (384, 384)),
        ((500, 400), (500, 400)),
        ((2000, 3000), (683, 1024)),
        ((3000, 10), (1024, 3)),
    ],
)
def test_annotate_image_brings_the_picture_to_a_legible_size(
    shape: tuple[int, int], picture: tuple[int, int]
) -> None:
    drawn = annotate_image(make_image(*shape), title="mars", lines=("98%",))
    assert count_blue(drawn) == picture[0] * picture[1]
    assert drawn.shape[1] >= max(picture[1], 384)
    assert drawn.shape[0] > picture[0] + 40


@pytest.mark.parametrize(("tone", "color"), TONE_COLORS)
def test_annotate_image_frames_in_the_colour_of_the_tone(tone: Tone, color: str) -> None:
    drawn = annotate_image(make_image(), title="mars", tone=tone)
    for edge in (drawn[0], drawn[-1], drawn[:, 0], drawn[:, -1]):
        assert (edge == to_rgb(color)).all()


def test_annotate_image_writes_each_line_and_leaves_the_input_alone() -> None:
    image = make_image(400, 400)
    one = annotate_image(image, title="mars", lines=("98%",))
    two = annotate_image(image, title="mars", lines=("98%", "moon 1%"))
    other = annotate_image(image, title="mars", lines=("97%",))
    assert two.shape[0] > one.shape[0]
    assert one.shape == other.shape
    assert not np.array_equal(one, other)
    assert count_blue(image) == 400 * 400


def test_save_image_round_trips_and_leaves_nothing_else(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    save_image(image, tmp_path / "picture.png")
    with Image.open(tmp_path / "picture.png") as picture:
        assert picture.format == "PNG"
        assert np.array_equal(np.asarray(picture), image)
    assert [path.name for path in tmp_path.iterdir()] == ["picture.png"]


def test_save_image_with_wrong_array_path_or_folder_raises(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="`array` must be a uint8 array"):
        save_image(np.zeros((2, 2), np.uint8), tmp_path / "picture.png")
    with pytest.raises(SettingsError, match=r"Pictures are saved as PNG only: name it 'p\.png'"):
        save_image(make_image(), tmp_path / "p.jpg")
    with pytest.raises(OutputError, match="cannot be written"):
        save_image(make_image(), tmp_path / "missing" / "p.png")
    assert list(tmp_path.iterdir()) == []
