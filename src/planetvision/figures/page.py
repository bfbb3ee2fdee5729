"""One page in one file: headings, paragraphs, tables and pictures, readable without a network."""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from planetvision.errors import SettingsError
from planetvision.figures.canvas import center_on, scale_to_side
from planetvision.figures.checks import check_image
from planetvision.figures.gallery import SPACE_COLOR, Tile
from planetvision.files import write_text

__all__ = ["Block", "Gallery", "Section", "Table", "pair_images", "render_page", "save_page"]

_TILE_PIXELS = 224
_JPEG_QUALITY = 85
_MARKS = {"good": "✓ ", "bad": "✗ ", "neutral": ""}


@dataclass(frozen=True)
class Table:
    """Rows under column names; a column whose cells are all numbers is set flush right.

    Args:
        columns: The names.
        rows: The cells, as many a row as there are columns.
        stacked: Whether the cells of a row stand under each other on a narrow screen, as those of
            long texts should.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[object, ...], ...]
    stacked: bool = False

    @property
    def numeric(self) -> frozenset[int]:
        """The columns whose cells are numbers, shares and the like."""
        return frozenset(
            index
            for index in range(len(self.columns))
            if self.rows and all(_is_numeric(row[index]) for row in self.rows)
        )


@dataclass(frozen=True, eq=False)
class Gallery:
    """Pictures side by side, as many a row as the screen takes.

    Args:
        tiles: The pictures with what is written under them.
        wide: Whether they are wider than high, as pairs are.
    """

    tiles: tuple[Tile, ...]
    wide: bool = False


Block: TypeAlias = "str | Table | Gallery"


@dataclass(frozen=True, eq=False)
class Section:
    """A heading and what stands under it, in order.

    Args:
        heading: The heading.
        blocks: Paragraphs, as plain text, tables and galleries.
    """

    heading: str
    blocks: tuple[Block, ...]


def render_page(
    title: str, *, lead: Sequence[str] = (), sections: Sequence[Section] = (), footer: str = ""
) -> str:
    """Returns the page as HTML: one file with its style and its pictures in it.

    It asks for nothing from outside, follows the reader's choice of a light or dark screen, and can
    be printed. Texts are escaped.

    Args:
        title: The heading of the whole.
        lead: The paragraphs under it.
        sections: The rest.
        footer: A last line.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("planetvision.figures"), autoescape=True, undefined=StrictUndefined
    )
    shown = [
        {"heading": section.heading, "blocks": [_prepare(block) for block in section.blocks]}
        for section in sections
    ]
    return environment.get_template("page.html").render(
        title=title, lead=list(lead), sections=shown, footer=footer
    )


def save_page(
    path: str | os.PathLike[str],
    title: str,
    *,
    lead: Sequence[str] = (),
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


def _prepare(block: Block) -> tuple[str, Any]:
    if isinstance(block, str):
        return "text", block
    if isinstance(block, Table):
        return "table", block
    return "gallery", {"wide": block.wide, "tiles": list(_prepare_tiles(block))}


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
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode("ascii")


def _is_numeric(cell: object) -> bool:
    text = str(cell).strip().removesuffix("%").strip().lstrip("<>").replace(",", "")
    if text in ("", "-"):
        return text == "-"
    try:
        float(text)
    except ValueError:
        return False
    return True
