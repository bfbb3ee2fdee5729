"""The page: what is in it, and that it asks for nothing from outside."""

from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from planetvision.errors import SettingsError
from planetvision.figures import Tile
from planetvision.figures.page import Gallery, Section, Table, pair_images, render_page, save_page


def flat(level: int, height: int = 40, width: int = 60) -> npt.NDArray[np.uint8]:
    return np.full((height, width, 3), level, np.uint8)


def decode_pictures(page: str) -> list[npt.NDArray[np.uint8]]:
    found = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', page)
    return [np.array(Image.open(io.BytesIO(base64.b64decode(text)))) for text in found]


class Outline(HTMLParser):
    """Collects the open tags, and fails on one that is closed out of turn."""

    VOID = frozenset({"meta", "img", "br"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_render_page_holds_texts_tables_and_pictures_in_order() -> None:
    page = render_page(
        "Title",
        lead=["Lead."],
        sections=[
            Section("First", ("Some text.", Table(("body", "images"), (("mars", 12),)))),
            Section(
                "Second", (Gallery((Tile(flat(200), "a tile", ("line 1", "line 2"), "bad"),)),)
            ),
        ],
        footer="The end.",
    )
    places = [
        page.index(text)
        for text in ("<h1>Title", "Lead.", "First", "Some text.", "mars", "Second", "The end.")
    ]
    assert places == sorted(places)
    assert '<td class="number">12</td>' in page
    assert "<td>mars</td>" in page
    assert "✗ a tile" in page
    assert "line 1<br>line 2" in page


def test_render_page_is_well_formed_and_asks_for_nothing_from_outside() -> None:
    page = render_page("T", sections=[Section("S", ("x", Gallery((Tile(flat(9), "t"),))))])
    outline = Outline()
    outline.feed(page)
    assert outline.open == []
    assert not re.findall(r"https?://|<script|<link|url\(", page)
    assert "prefers-color-scheme: dark" in page


def test_render_page_escapes_what_file_names_may_hold() -> None:
    page = render_page(
        "<b>", sections=[Section("&", (Table(("<i>",), (("<script>alert(1)</script>",),)),))]
    )
    assert "<script>" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<h1>&lt;b&gt;</h1>" in page


def test_pictures_are_letterboxed_squares_of_what_was_given() -> None:
    page = render_page("T", sections=[Section("S", (Gallery((Tile(flat(200), "t"),)),))])
    (picture,) = decode_pictures(page)
    assert picture.shape == (224, 224, 3)
    assert picture[112, 112] == pytest.approx([200, 200, 200], abs=3)
    assert picture[5, 112] == pytest.approx([0, 0, 0], abs=3)


def test_pair_images_puts_the_first_on_the_left() -> None:
    pair = pair_images(flat(50, 60, 60), flat(250, 60, 60))
    assert pair.shape == (224, 456, 3)
    assert (pair[:, :224] == 50).all()
    assert (pair[:, 232:] == 250).all()
    page = render_page("T", sections=[Section("S", (Gallery((Tile(pair, "t"),), wide=True),))])
    assert decode_pictures(page)[0].shape == (224, 456, 3)


@pytest.mark.parametrize(
    ("cells", "numeric"),
    [
        ((1, 2.5), True),
        (("77.1%", ">99.9%"), True),
        (("1,000", "-"), True),
        (("12", "mars"), False),
        (("", "1"), False),
    ],
)
def test_table_knows_columns_of_numbers(cells: tuple[object, ...], numeric: bool) -> None:
    table = Table(("values",), tuple((cell,) for cell in cells))
    assert table.numeric == (frozenset({0}) if numeric else frozenset())


def test_table_of_long_texts_is_stacked_on_a_narrow_screen() -> None:
    rows = (("error", "what was found"),)
    for stacked in (False, True):
        table = Table(("severity", "message"), rows, stacked=stacked)
        page = render_page("T", sections=[Section("S", (table,))])
        assert ('<table class="stacked">' in page) == stacked


def test_save_page_writes_what_render_page_returns(tmp_path: Path) -> None:
    save_page(tmp_path / "index.html", "Title", lead=["Ümläut"])
    assert (tmp_path / "index.html").read_text(encoding="utf-8") == render_page(
        "Title", lead=["Ümläut"]
    )


def test_save_page_under_another_suffix_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"must end in \.html, got '.*page.txt'"):
        save_page(tmp_path / "page.txt", "Title")
