"""Pictures and text on pixels: scale a picture, fit a text to a width, draw a caption strip."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from planetvision.results.plots.style import (
    BAD_COLOR,
    GOOD_COLOR,
    INK_COLOR,
    MUTED_COLOR,
    NEUTRAL_COLOR,
    PAPER_COLOR,
    Tone,
    load_font,
    to_rgb,
)

ELLIPSIS = "…"
TONE_COLORS: dict[Tone, str] = {
    "neutral": NEUTRAL_COLOR,
    "good": GOOD_COLOR,
    "bad": BAD_COLOR,
}
MARKS: dict[Tone, str] = {"neutral": "", "good": "✔", "bad": "✖"}


def fill(height: int, width: int, color: str = PAPER_COLOR) -> NDArray[np.uint8]:
    """Returns a picture of one colour, (height, width, 3)."""
    return np.full((height, width, 3), to_rgb(color), dtype=np.uint8)


def fit_text(text: str, font: ImageFont.FreeTypeFont, width: float) -> str:
    """Returns `text` as one line, its end replaced by an ellipsis where it is wider than `width`.

    Example:
        >>> fit_text("a very long name", load_font(10), 60)
        'a very lon…'
    """
    line = " ".join(text.split())
    if font.getlength(line) <= width:
        return line
    low, high = 0, len(line)
    while low < high:  # the most characters that fit together with the ellipsis
        middle = (low + high + 1) // 2
        if font.getlength(line[:middle].rstrip() + ELLIPSIS) <= width:
            low = middle
        else:
            high = middle - 1
    return line[:low].rstrip() + ELLIPSIS


def wrap_text(text: str, font: ImageFont.FreeTypeFont, width: float, *, max_rows: int) -> list[str]:
    """Returns `text` in at most `max_rows` rows no wider than `width`, the last one ellipsised."""
    words = text.split()
    rows: list[str] = []
    while words and len(rows) < max_rows - 1:
        taken = 1
        while taken < len(words) and font.getlength(" ".join(words[: taken + 1])) <= width:
            taken += 1
        rows.append(fit_text(" ".join(words[:taken]), font, width))
        words = words[taken:]
    if words:
        rows.append(fit_text(" ".join(words), font, width))
    return rows


def get_row_height(font: ImageFont.FreeTypeFont) -> int:
    """Returns the height of one row of text, in pixels."""
    ascent, descent = font.getmetrics()
    return ascent + descent


def draw_text(
    canvas: NDArray[np.uint8],
    position: tuple[float, float],
    text: str,
    font: ImageFont.FreeTypeFont,
    *,
    color: str = INK_COLOR,
    anchor: str = "la",
) -> NDArray[np.uint8]:
    """Returns `canvas` with `text` on it.

    Args:
        canvas: A picture (H, W, 3).
        position: Column and row of the anchor.
        text: One line.
        font: Its font.
        color: Its colour, as `#rrggbb`.
        anchor: Which point of the text is at `position`, in Pillow's two letters.
    """
    picture = Image.fromarray(canvas)
    ImageDraw.Draw(picture).text(position, text, font=font, fill=to_rgb(color), anchor=anchor)
    return np.array(picture, dtype=np.uint8)


def scale_to_side(image: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Returns `image` with its longer side `side` pixels long, its shape kept."""
    import cv2

    height, width = image.shape[:2]
    scale = side / max(height, width)
    if scale == 1:
        return image
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, size, interpolation=method), dtype=np.uint8)


def center_on(image: NDArray[np.uint8], height: int, width: int, color: str) -> NDArray[np.uint8]:
    """Returns `image` in the middle of a picture of `color` that is at least as large."""
    canvas = fill(height, width, color)
    top, left = (height - image.shape[0]) // 2, (width - image.shape[1]) // 2
    canvas[top : top + image.shape[0], left : left + image.shape[1]] = image
    return canvas


def add_frame(image: NDArray[np.uint8], thickness: int, color: str) -> NDArray[np.uint8]:
    """Returns `image` with a frame of `color` around it."""
    height, width = image.shape[:2]
    return center_on(image, height + 2 * thickness, width + 2 * thickness, color)


def draw_caption(
    width: int,
    *,
    title: str,
    lines: Sequence[str],
    tone: Tone,
    font_pixels: int,
    max_rows: int = 1,
    min_lines: int = 0,
    padding: int | None = None,
) -> NDArray[np.uint8]:
    """Returns a strip `width` pixels wide with a title, the mark of the tone, and lines.

    Args:
        width: The width of the strip, in pixels.
        title: The first text, in the larger font.
        lines: The texts under it.
        tone: Which mark stands at the right of the title.
        font_pixels: The size of the title's font.
        max_rows: Over how many rows a text may be wrapped before it is cut.
        min_lines: How many lines the strip has room for at least.
        padding: The margin around the text, in pixels; None takes half the font.
    """
    title_font = load_font(font_pixels)
    line_font = load_font(max(round(font_pixels * 0.82), min(font_pixels, 10)))
    if padding is None:
        padding = max(4, round(font_pixels * 0.5))
    inner = width - 2 * padding
    mark = MARKS[tone]
    mark_width = title_font.getlength(mark) + padding if mark else 0.0
    title_rows = wrap_text(title, title_font, inner - mark_width, max_rows=max_rows) or [""]
    line_rows = [
        row
        for line in lines
        for row in wrap_text(line, line_font, inner, max_rows=max_rows) or [""]
    ]
    line_rows += [""] * (min_lines - len(line_rows))
    gap = max(1, padding // 3) if line_rows else 0
    title_height, line_height = get_row_height(title_font), get_row_height(line_font)
    height = 2 * padding + gap + title_height * len(title_rows) + line_height * len(line_rows)

    strip = Image.fromarray(fill(height, width))
    draw = ImageDraw.Draw(strip)
    draw.text(
        (width - padding, padding),
        mark,
        font=title_font,
        fill=to_rgb(TONE_COLORS[tone]),
        anchor="ra",
    )
    top = padding
    for row in title_rows:
        draw.text((padding, top), row, font=title_font, fill=to_rgb(INK_COLOR))
        top += title_height
    top += gap
    for row in line_rows:
        draw.text((padding, top), row, font=line_font, fill=to_rgb(MUTED_COLOR))
        top += line_height
    return np.array(strip, dtype=np.uint8)
