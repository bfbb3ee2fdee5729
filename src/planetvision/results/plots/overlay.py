"""Heat maps on pictures: where a network looked."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ImageFont

from planetvision.core.errors import SettingsError
from planetvision.results.plots.canvas import (
    center_on,
    draw_caption,
    draw_text,
    fill,
    get_row_height,
    scale_to_side,
)
from planetvision.results.plots.style import HEAT_COLORMAP, MUTED_COLOR, PAPER_COLOR, load_font
from planetvision.results.plots.validation import check_heatmap, check_image

MIN_PANEL_PIXELS = 256
MAX_PANEL_PIXELS = 512
# What the numbers of the colour bar need beside a very flat picture.
MIN_PANEL_HEIGHT = 96


@functools.cache
def _get_lookup() -> NDArray[np.uint8]:
    """Returns the colours of heat 0, 1/255, ... 1, uint8 (256, 3)."""
    import matplotlib

    colors = matplotlib.colormaps[HEAT_COLORMAP](np.linspace(0, 1, 256))
    lookup = np.round(np.asarray(colors)[:, :3] * 255).astype(np.uint8)
    lookup.setflags(write=False)
    return lookup


def _color(heat: NDArray[np.float32]) -> NDArray[np.uint8]:
    return _get_lookup()[np.round(heat * 255).astype(np.uint8)]


def _resize_heat(
    heatmap: NDArray[np.floating[Any]], height: int, width: int, *, smooth: bool
) -> NDArray[np.float32]:
    import cv2

    shrinks = heatmap.shape[0] > height or heatmap.shape[1] > width
    enlarge = cv2.INTER_LINEAR if smooth else cv2.INTER_NEAREST_EXACT
    resized = cv2.resize(
        np.clip(heatmap, 0, 1).astype(np.float32),
        (width, height),
        interpolation=cv2.INTER_AREA if shrinks and not smooth else enlarge,
    )
    # Interpolation may round to a little over 1, which has no colour.
    return np.asarray(np.clip(resized, 0, 1), dtype=np.float32)


def overlay_heatmap(
    image: NDArray[np.uint8], heatmap: NDArray[np.floating[Any]], *, opacity: float = 0.5
) -> NDArray[np.uint8]:
    """Returns `image` with the heat map over it; cold areas keep the picture as it is.

    Convention:
        `image` is uint8 (H, W, 3). `heatmap` is float (h, w) in [0, 1], enlarged bilinearly; a
        pixel of heat t is mixed with the colour of t in the share `opacity` * t.

    Args:
        image: The picture.
        heatmap: The heat, of any size.
        opacity: The share of the colour where the heat is 1, in [0, 1].

    Returns:
        A new picture of the shape of `image`.

    Raises:
        SettingsError: If a shape, type or range is not as above.
    """
    check_image(image)
    check_heatmap(heatmap)
    if not 0 <= opacity <= 1:
        raise SettingsError(
            f"`opacity` must be a number from 0 to 1, got {opacity!r}. Pass 0.5, for example."
        )
    heat = _resize_heat(heatmap, image.shape[0], image.shape[1], smooth=True)
    share = (opacity * heat)[:, :, None]
    mixed = image.astype(np.float32) * (1 - share) + _color(heat).astype(np.float32) * share
    return np.round(mixed).astype(np.uint8)


def draw_explanation(
    image: NDArray[np.uint8],
    heatmap: NDArray[np.floating[Any]],
    *,
    title: str,
    lines: Sequence[str] = (),
) -> NDArray[np.uint8]:
    """Returns the picture, the heat on the picture, and the heat alone, side by side.

    The heat lies on a gray picture, so that the colours are the heat's only. The map alone is
    drawn in its own cells, so that one sees how coarse it is.

    Convention:
        As in `overlay_heatmap`. The longer side of a panel is from 256 to 512 pixels.

    Args:
        image: The picture.
        heatmap: The heat.
        title: What was explained: the class, for example.
        lines: Smaller lines under it, such as the method and the probability.

    Raises:
        SettingsError: If a shape, type or range is not as above.
    """
    check_image(image)
    check_heatmap(heatmap)
    side = min(max(*image.shape[:2], MIN_PANEL_PIXELS), MAX_PANEL_PIXELS)
    picture = scale_to_side(image, side)
    height, width = picture.shape[:2]
    cells = _color(_resize_heat(heatmap, height, width, smooth=False))
    panels = {
        "image": picture,
        "heat on the image in gray": overlay_heatmap(_to_gray(picture), heatmap, opacity=0.7),
        f"heat, {heatmap.shape[0]} by {heatmap.shape[1]}": cells,
    }
    font = load_font(max(12, round(side / 28)))
    gap = max(8, round(side / 32))
    widest = math.ceil(max(font.getlength(name) for name in panels))
    room = (max(height, MIN_PANEL_HEIGHT), max(width, widest))
    columns = [
        np.vstack([_draw_label(name, room[1], font), center_on(panel, *room, PAPER_COLOR)])
        for name, panel in panels.items()
    ]
    columns.append(_draw_color_bar(room[0], columns[0].shape[0], font))
    margin = fill(columns[0].shape[0], gap)
    row = np.hstack([part for column in columns for part in (margin, column)] + [margin])
    caption = draw_caption(
        row.shape[1],
        title=title,
        lines=lines,
        tone="neutral",
        font_pixels=max(16, side // 20),
        max_rows=2,
        padding=gap,
    )
    return np.vstack([fill(gap // 2, row.shape[1]), row, caption])


def _to_gray(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    import cv2

    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return np.repeat(np.asarray(gray, dtype=np.uint8)[:, :, None], 3, axis=2)


def _draw_label(text: str, width: int, font: ImageFont.FreeTypeFont) -> NDArray[np.uint8]:
    strip = fill(get_row_height(font) + 6, width)
    return draw_text(strip, (0, 1), text, font, color=MUTED_COLOR)


def _draw_color_bar(
    height: int, total_height: int, font: ImageFont.FreeTypeFont
) -> NDArray[np.uint8]:
    """Returns the bar of heat from 1 (top) to 0 with its numbers, aligned with the panels."""
    thickness = max(10, round(font.size))
    label_width = math.ceil(font.getlength("0.5")) + 6
    bar = fill(total_height, thickness + label_width)
    top = total_height - height
    bar[top:, :thickness] = _color(np.linspace(1, 0, height, dtype=np.float32))[:, None]
    for heat, anchor in ((1.0, "lt"), (0.5, "lm"), (0.0, "lb")):
        row = top + (1 - heat) * height
        bar = draw_text(
            bar, (thickness + 5, row), f"{heat:g}", font, color=MUTED_COLOR, anchor=anchor
        )
    return bar
