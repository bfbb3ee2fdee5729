"""One page in one file: its blocks become HTML that is readable without a network."""

from __future__ import annotations

import base64
import io
import itertools
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from planetvision.core.errors import SettingsError
from planetvision.core.files import write_text
from planetvision.results.html.blocks import (
    Block,
    Code,
    Details,
    Facts,
    Gallery,
    Highlights,
    Link,
    Plot,
    Section,
    Table,
)
from planetvision.results.plots.canvas import center_on, scale_to_side
from planetvision.results.plots.gallery import SPACE_COLOR
from planetvision.results.plots.validation import check_image

_TILE_PIXELS = 224
_JPEG_QUALITY = 85
_MARKS = {"good": "✓ ", "bad": "✗ ", "neutral": ""}
_KINDS = {
    str: "text",
    Link: "link",
    Table: "table",
    Facts: "facts",
    Highlights: "highlights",
    Code: "code",
}
# Figures have 150 dots an inch; at 120 to the inch of a screen their small print is readable.
_PLOT_SCALE = 0.8
_WIDE_PLOT_PIXELS = 700
# Fewer sections are seen at a glance.
_MIN_SECTIONS_FOR_NAVIGATION = 4
# A longer word is broken wherever the line ends; a shorter one widens its column.
_MAX_WORD_LENGTH = 20
_OWN_IDS = ("top", "content")


def render_page(
    title: str, *, lead: Sequence[Block] = (), sections: Sequence[Section] = (), footer: str = ""
) -> str:
    """Returns the page as HTML: one file with its style and its pictures in it.

    It asks for nothing from outside, runs no script, follows the reader's choice of a light or dark
    screen, fits a phone, and can be printed. Texts are escaped. From four sections on it has a list
    of links to them.

    Args:
        title: The heading of the whole.
        lead: The paragraphs and other blocks under it.
        sections: The rest.
        footer: A last line.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("planetvision.results.html"),
        autoescape=True,
        undefined=StrictUndefined,
    )
    environment.tests["link"] = lambda value: isinstance(value, Link)
    environment.tests["long"] = _is_long
    headings = [section.heading for section in sections]
    shown = [
        {"heading": section.heading, "id": name, "blocks": _prepare(section.blocks)}
        for section, name in zip(sections, _create_ids(headings), strict=True)
    ]
    return environment.get_template("page.html").render(
        title=title,
        lead=_prepare(lead),
        sections=shown,
        footer=footer,
        has_navigation=len(sections) >= _MIN_SECTIONS_FOR_NAVIGATION,
    )


def save_page(
    path: str | os.PathLike[str],
    title: str,
    *,
    lead: Sequence[Block] = (),
    sections: Sequence[Section] = (),
    footer: str = "",
) -> None:
    """Writes what `render_page` returns.

    Raises:
        SettingsError: If `path` does not end in `.html`.
        OutputError: If the file cannot be written.
    """
    target = Path(path)
    if target.suffix != ".html":
        raise SettingsError(f"`path` must end in .html, got '{target}'. Name it index.html.")
    text = render_page(title, lead=lead, sections=sections, footer=footer)
    write_text(target, text)


def pair_images(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Returns two pictures side by side, each letterboxed in a square of the same size.

    Convention:
        RGB, uint8: (H, W, 3) in, (224, 456, 3) out.
    """
    squares = []
    for image in (first, second):
        check_image(image)
        scaled = scale_to_side(image, _TILE_PIXELS)
        squares.append(center_on(scaled, _TILE_PIXELS, _TILE_PIXELS, SPACE_COLOR))
    gap = np.full((_TILE_PIXELS, 8, 3), 128, np.uint8)
    return np.hstack([squares[0], gap, squares[1]])


def _create_ids(headings: Iterable[str]) -> list[str]:
    """Returns a name for each heading, made of its letters, that no other has."""
    names: list[str] = []
    for heading in headings:
        base = re.sub(r"\W+", "-", heading.lower()).strip("-") or "section"
        numbered = (f"{base}-{number}" for number in itertools.count(2))
        candidates = itertools.chain([base], numbered)
        taken = {*_OWN_IDS, *names}
        names.append(next(name for name in candidates if name not in taken))
    return names


def _prepare(blocks: Iterable[Block]) -> list[tuple[str, Any]]:
    """Returns what the template shows, each with its kind; plots in a row become one block."""
    shown: list[tuple[str, Any]] = []
    for is_plot, group in itertools.groupby(blocks, lambda block: isinstance(block, Plot)):
        if is_plot:
            shown.append(("plots", [_prepare_plot(b) for b in group if isinstance(b, Plot)]))
        else:
            shown += [_prepare_block(block) for block in group]
    return shown


def _prepare_block(block: Block) -> tuple[str, Any]:
    if isinstance(block, Gallery):
        return "gallery", {"wide": block.wide, "tiles": list(_prepare_tiles(block))}
    if isinstance(block, Details):
        return "details", {"summary": block.summary, "blocks": _prepare(block.blocks)}
    return next(name for kind, name in _KINDS.items() if isinstance(block, kind)), block


def _prepare_plot(plot: Plot) -> dict[str, Any]:
    width, height = (round(side * _PLOT_SCALE) for side in plot.size_pixels)
    return {
        "alt": plot.alt,
        "caption": plot.caption,
        "links": plot.links,
        "source": _create_data_url("image/png", plot.png),
        "width": width,
        "height": height,
        "wide": width > _WIDE_PLOT_PIXELS,
    }


def _prepare_tiles(gallery: Gallery) -> Iterator[dict[str, Any]]:
    for tile in gallery.tiles:
        yield {
            "title": tile.title,
            "lines": tile.lines,
            "tone": tile.tone,
            "mark": _MARKS[tile.tone],
            "source": _embed(tile.image, wide=gallery.wide),
        }


def _embed(image: NDArray[np.uint8], *, wide: bool) -> str:
    """Returns the picture, reduced to what a tile shows, as a data URL."""
    check_image(image)
    if not wide:
        scaled = scale_to_side(image, _TILE_PIXELS)
        image = center_on(scaled, _TILE_PIXELS, _TILE_PIXELS, SPACE_COLOR)
    file = io.BytesIO()
    Image.fromarray(image).save(file, format="JPEG", quality=_JPEG_QUALITY)
    return _create_data_url("image/jpeg", file.getvalue())


def _create_data_url(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def _is_long(cell: object) -> bool:
    return any(len(word) > _MAX_WORD_LENGTH for word in str(cell).split())
