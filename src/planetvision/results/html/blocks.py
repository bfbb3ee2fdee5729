"""What a page is made of: links, tables, pictures, plots, key figures, settings and commands."""

from __future__ import annotations

import io
import re
import urllib.parse
from dataclasses import dataclass
from typing import TypeAlias

from PIL import Image

from planetvision.core.errors import SettingsError
from planetvision.results.plots.gallery import Tile

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_WEB = re.compile(r"https?://[^/?#\s]", re.IGNORECASE)
# What RFC 3986, section 2, lets stand in an address, and the sign of what is encoded already.
_KEPT_IN_ADDRESSES = ":/?#[]@!$&'()*+,;=~%"


@dataclass(frozen=True)
class Link:
    """A text that leads to a file beside the page, or to a page of the web.

    Args:
        text: What is read.
        target: The file, as a path from the page's folder with forward slashes, written as it is on
            the disk: whatever a name holds is encoded. Or an address with http or https.

    Raises:
        SettingsError: If the target is empty, an absolute path, or an address of another kind.
    """

    text: str
    target: str

    def __post_init__(self) -> None:
        given = f"The target of the link '{self.text}'"
        if not self.target.strip():
            raise SettingsError(f"{given} is empty. Name a file beside the page.")
        if _SCHEME.match(self.target) and not _WEB.match(self.target):
            raise SettingsError(
                f"{given} must be a relative path or begin with https:// or http:// and a host, "
                f"got '{self.target}'. Write './{self.target}' for a file of that name."
            )
        if self.target.startswith(("/", "\\")):
            raise SettingsError(
                f"{given} must be a path from the page's folder, got '{self.target}'. A page with "
                "absolute paths breaks when its folder moves: name the file relative to it."
            )

    def __str__(self) -> str:
        return self.text

    @property
    def address(self) -> str:
        """The target as it stands in the page, percent-encoded."""
        if _WEB.match(self.target):
            return urllib.parse.quote(self.target, safe=_KEPT_IN_ADDRESSES)
        # A file's name may be any bytes; those that are no UTF-8 are lone surrogates in a string.
        return urllib.parse.quote(self.target, safe="/", errors="surrogateescape")


@dataclass(frozen=True)
class Table:
    """Rows under column names; a column whose cells are all numbers is set flush right.

    Args:
        columns: The names.
        rows: The cells, as many a row as there are columns; a cell may be a `Link`.
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


@dataclass(frozen=True)
class Facts:
    """Settings, versions and the like: names and values.

    Args:
        rows: Names and values; a value may be a `Link`.
    """

    rows: tuple[tuple[str, object], ...]


@dataclass(frozen=True)
class Highlights:
    """The few numbers that matter most, set large.

    Args:
        rows: What each number is, the number, and what it rests on, such as
            `("accuracy", "98.1 %", "95 % interval 96.0 to 99.3 %, 103 of 105")`.
    """

    rows: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True)
class Code:
    """Commands to copy, as they are.

    Args:
        text: The lines.
    """

    text: str


@dataclass(frozen=True, eq=False)
class Gallery:
    """Pictures side by side, as many a row as the screen takes.

    Args:
        tiles: The pictures with what is written under them, in lines of any length.
        wide: Whether they are wider than high, as pairs are.
    """

    tiles: tuple[Tile, ...]
    wide: bool = False


@dataclass(frozen=True)
class Plot:
    """A figure on white. Those that follow one another share a row where there is room.

    Args:
        png: The figure as the bytes of a PNG file.
        alt: A description for readers who cannot see it.
        caption: What is written under it.
        links: Files beside the page that hold the same: the picture, its numbers.

    Raises:
        SettingsError: If `png` is no PNG file or `alt` is empty.
    """

    png: bytes
    alt: str
    caption: str = ""
    links: tuple[Link, ...] = ()

    def __post_init__(self) -> None:
        if not self.png.startswith(b"\x89PNG\r\n\x1a\n"):
            raise SettingsError(
                f"`png` must hold the bytes of a PNG file, got {self.png[:8]!r}. Read them from "
                "what save_figure wrote."
            )
        if not self.alt.strip():
            raise SettingsError(
                "`alt` must say what the figure shows, got an empty text. Name its axes and what "
                "is to be seen."
            )

    @property
    def size_pixels(self) -> tuple[int, int]:
        """Its width and its height."""
        with Image.open(io.BytesIO(self.png)) as image:
            return image.size


@dataclass(frozen=True, eq=False)
class Details:
    """Blocks that are folded until one opens them, and open on paper.

    Args:
        summary: The line that stands for them.
        blocks: What is folded.
    """

    summary: str
    blocks: tuple[Block, ...]


Block: TypeAlias = "str | Link | Table | Facts | Highlights | Code | Gallery | Plot | Details"


@dataclass(frozen=True, eq=False)
class Section:
    """A heading and what stands under it, in order.

    Args:
        heading: The heading.
        blocks: What stands under it; a text is a paragraph.
    """

    heading: str
    blocks: tuple[Block, ...]


def _is_numeric(cell: object) -> bool:
    text = str(cell).strip().removesuffix("%").strip().lstrip("<>").replace(",", "")
    if text in ("", "-"):
        return text == "-"
    try:
        float(text)
    except ValueError:
        return False
    return True
