"""Annotated pictures: a tile, a collage of tiles, one picture with its answer."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from planetvision.core.errors import SettingsError
from planetvision.core.files import write_atomically
from planetvision.results.plots.canvas import (
    TONE_COLORS,
    add_frame,
    center_on,
    draw_caption,
    draw_text,
    fill,
    get_row_height,
    scale_to_side,
    wrap_text,
)
from planetvision.results.plots.style import TONES, Tone, check_png_path, load_font
from planetvision.results.plots.validation import check_choice, check_image

SPACE_COLOR = "#000000"
MIN_TILE_PIXELS = 48
MIN_PICTURE_PIXELS = 384
MAX_PICTURE_PIXELS = 1024
# Pillow warns of a decompression bomb where it opens a file of more than 89,478,485 pixels.
MAX_COLLAGE_PIXELS = 2**26


@dataclass(frozen=True, eq=False)
class Tile:
    """One picture of a collage and what is written under it.

    Args:
        image: An RGB picture, uint8 of shape (H, W, 3), of any size.
        title: The first line under it: the answer.
        lines: Smaller lines under that.
        tone: `good` and `bad` give the tile a coloured frame and a mark, a check or a cross.
    """

    image: NDArray[np.uint8]
    title: str
    lines: tuple[str, ...] = ()
    tone: Tone = "neutral"


def draw_tile(tile: Tile, *, size_pixels: int = 224) -> NDArray[np.uint8]:
    """Returns the tile's picture, letterboxed on black, with its caption under it, in a frame.

    Texts that are wider than the tile end in an ellipsis.

    Convention:
        The result is uint8 (size_pixels + height of the caption, size_pixels, 3).

    Args:
        tile: What to draw.
        size_pixels: The width of the tile, frame included.

    Raises:
        SettingsError: If the picture is no RGB uint8 array, the tone is unknown, or the size is
            below 48 pixels.
    """
    return _draw_tile(tile, size_pixels, num_lines=len(tile.lines))


def _draw_tile(tile: Tile, size_pixels: int, num_lines: int) -> NDArray[np.uint8]:
    check_image(tile.image)
    check_choice("tone", tile.tone, TONES)
    _check_size(size_pixels)
    frame = max(2, round(size_pixels / 75))
    side = size_pixels - 2 * frame
    picture = center_on(scale_to_side(tile.image, side), side, side, SPACE_COLOR)
    caption = draw_caption(
        side,
        title=tile.title,
        lines=tile.lines,
        tone=tile.tone,
        font_pixels=max(10, round(size_pixels / 15)),
        min_lines=num_lines,
    )
    return add_frame(np.vstack([picture, caption]), frame, TONE_COLORS[tile.tone])


def _check_size(size_pixels: int) -> None:
    if size_pixels < MIN_TILE_PIXELS:
        raise SettingsError(
            f"`size_pixels` must be at least {MIN_TILE_PIXELS}, got {size_pixels!r}. "
            "Pass 224, for example."
        )


def draw_collage(
    tiles: Sequence[Tile],
    *,
    columns: int | None = None,
    size_pixels: int = 224,
    heading: str = "",
) -> NDArray[np.uint8]:
    """Returns the tiles in a grid on white, row by row in their order.

    Args:
        tiles: At least one.
        columns: Tiles a row; None makes the grid about as wide as it is high.
        size_pixels: The width of a tile.
        heading: A text above the grid, wrapped over up to three rows.

    Returns:
        A picture, uint8 (H, W, 3).

    Raises:
        SettingsError: If there are no tiles, or more than one picture can hold; if `columns` is
            not positive; or as in `draw_tile`.
    """
    if not tiles:
        raise SettingsError(
            "`tiles` must hold at least one tile, got none. Skip the collage where there are no "
            "images."
        )
    if columns is not None and columns < 1:
        raise SettingsError(
            f"`columns` must be at least 1, got {columns!r}. Pass None to let the grid be square."
        )
    _check_size(size_pixels)
    num_columns = min(len(tiles), columns or math.ceil(math.sqrt(len(tiles))))
    num_rows = math.ceil(len(tiles) / num_columns)
    num_lines = max(len(tile.lines) for tile in tiles)
    gap = max(4, size_pixels // 16)
    first = _draw_tile(tiles[0], size_pixels, num_lines)
    tile_height = first.shape[0]
    width = gap + num_columns * (size_pixels + gap)
    grid_height = num_rows * (tile_height + gap)
    if width * grid_height > MAX_COLLAGE_PIXELS:
        raise SettingsError(
            f"`tiles` must fit into a picture of {MAX_COLLAGE_PIXELS:,} pixels, got {len(tiles)} "
            f"tiles in {width} x {grid_height} pixels. Pass fewer tiles or smaller ones."
        )
    canvas = fill(grid_height, width)
    for index, tile in enumerate(tiles):
        drawn = first if index == 0 else _draw_tile(tile, size_pixels, num_lines)
        row, column = divmod(index, num_columns)
        top, left = row * (tile_height + gap), gap + column * (size_pixels + gap)
        canvas[top : top + tile_height, left : left + size_pixels] = drawn
    return np.vstack([_draw_heading(heading, width, gap, size_pixels), canvas])


def _draw_heading(heading: str, width: int, gap: int, size_pixels: int) -> NDArray[np.uint8]:
    """Returns the strip above the grid: the heading, or only the margin where there is none."""
    font = load_font(max(12, round(size_pixels / 12)))
    rows = wrap_text(heading, font, width - 2 * gap, max_rows=3)
    row_height = get_row_height(font)
    strip = fill(gap + (row_height * len(rows) + gap if rows else 0), width)
    for index, row in enumerate(rows):
        strip = draw_text(strip, (gap, gap + index * row_height), row, font)
    return strip


def annotate_image(
    image: NDArray[np.uint8],
    *,
    title: str,
    lines: Sequence[str] = (),
    tone: Tone = "neutral",
) -> NDArray[np.uint8]:
    """Returns the whole picture with a caption strip under it, in a frame.

    A tiny picture is enlarged until its caption can be read, a huge one is shrunk.

    Convention:
        The longer side of the picture inside the frame is from 384 to 1024 pixels; a picture
        narrower than 384 pixels stands on black of that width.

    Args:
        image: An RGB picture, uint8 (H, W, 3).
        title: The answer.
        lines: Smaller lines under it, such as the probabilities.
        tone: `good` and `bad` give it a coloured frame and a mark.

    Raises:
        SettingsError: If the picture is no RGB uint8 array, or the tone is unknown.
    """
    check_image(image)
    check_choice("tone", tone, TONES)
    side = min(max(*image.shape[:2], MIN_PICTURE_PIXELS), MAX_PICTURE_PIXELS)
    picture = scale_to_side(image, side)
    width = max(picture.shape[1], MIN_PICTURE_PIXELS)
    picture = center_on(picture, picture.shape[0], width, SPACE_COLOR)
    caption = draw_caption(
        width,
        title=title,
        lines=lines,
        tone=tone,
        font_pixels=min(max(18, round(width / 30)), 28),
        max_rows=2,
    )
    return add_frame(np.vstack([picture, caption]), max(3, round(side / 200)), TONE_COLORS[tone])


def save_image(array: NDArray[np.uint8], path: str | os.PathLike[str]) -> None:
    """Writes a picture to `path` as PNG.

    Raises:
        SettingsError: If `array` is no RGB uint8 array, or `path` does not end in `.png`.
        OutputError: If the file cannot be written.
    """
    check_image(array, "array")
    picture = Image.fromarray(array)
    write_atomically(check_png_path(path), lambda temporary: picture.save(temporary, format="PNG"))
