"""The page: what is in it, and that it asks for nothing from outside."""

from __future__ import annotations

import base64
import io
import os
import re
import urllib.parse
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from planetvision.core.errors import SettingsError
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
from planetvision.results.html.page import pair_images, render_page, save_page
from planetvision.results.plots.gallery import Tile
from planetvision.results.plots.style import create_figure, save_figure

HOSTILE_NAMES = (
    "a b.png",
    "50%25 #1?.csv",
    'it\'s "mars" <i>&amp;.png',
    "jupiter-\u00fc\u6728\u661f.csv",
    "a\\b;c=d+e@f.txt",
    "mars:1.png",
    "deep/er/x.png",
)


def flat(level: int, height: int = 40, width: int = 60) -> npt.NDArray[np.uint8]:
    return np.full((height, width, 3), level, np.uint8)


def render(*blocks: Block) -> str:
    return render_page("T", sections=[Section("S", blocks)])


def draw_png(width_inches: float, height_inches: float, folder: Path) -> bytes:
    figure = create_figure(width_inches, height_inches)
    figure.add_axes((0.15, 0.2, 0.8, 0.7)).plot([0, 1, 2], [0, 3, 1])
    save_figure(figure, folder / "figure.png")
    return (folder / "figure.png").read_bytes()


def encode_png(width: int, height: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (width, height), "white").save(file, format="PNG")
    return file.getvalue()


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


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_link_to_a_hostile_name_is_relative_and_leads_to_that_name(name: str) -> None:
    target = f"./{name}" if ":" in name else name
    address = Link("file", target).address
    assert re.fullmatch(r"[A-Za-z0-9_.~/%-]+", address)
    resolved = urllib.parse.urlsplit(urllib.parse.urljoin("file:///home/report/", address))
    assert (resolved.query, resolved.fragment) == ("", "")
    assert urllib.parse.unquote(resolved.path) == f"/home/report/{name}"


def test_link_to_a_name_that_is_no_text_keeps_its_bytes() -> None:
    assert Link("file", "mars-\udcff.png").address == "mars-%FF.png"


@pytest.mark.parametrize(
    ("target", "address"),
    [
        ("https://example.org/a b?q=1&r=%20#x", "https://example.org/a%20b?q=1&r=%20#x"),
        ('HTTP://example.org/"><script>', "HTTP://example.org/%22%3E%3Cscript%3E"),
    ],
)
def test_link_to_the_web_keeps_what_addresses_are_made_of(target: str, address: str) -> None:
    assert Link("there", target).address == address


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("javascript:alert(1)", "must be a relative path or begin with https:// or http://"),
        ("JavaScript:alert(1)", r"got 'JavaScript:alert\(1\)'. Write './JavaScript"),
        ("data:text/html,x", "must be a relative path"),
        ("file:///etc/passwd", "must be a relative path"),
        ("https:example", "and a host"),
        ("https://", "and a host"),
        ("C:\\images\\mars.png", "must be a relative path"),
        ("/etc/passwd", "a path from the page's folder, got '/etc/passwd'"),
        ("//example.org/x", "a path from the page's folder"),
        ("\\\\host\\x", "a path from the page's folder"),
        (" ", "is empty"),
    ],
)
def test_link_that_leads_elsewhere_is_refused(target: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        Link("text", target)


@pytest.mark.parametrize("target", ["\tjavascript:alert(1)", " javascript:alert(1)"])
def test_link_with_a_disguised_scheme_is_a_file_name(target: str) -> None:
    assert re.fullmatch(r"%(09|20)javascript%3Aalert%281%29", Link("text", target).address)


def test_link_stands_in_texts_tables_and_facts_and_is_escaped() -> None:
    link = Link("<i>", 'a"b.csv')
    for block in (link, Table(("file",), ((link,),)), Facts((("file", link),))):
        page = render(block)
        assert '<a href="a%22b.csv" data-target="a&#34;b.csv">&lt;i&gt;</a>' in page
    assert '<a href="b.csv">b.csv</a>' in render(Link("b.csv", "b.csv"))


def test_code_facts_highlights_and_details_are_escaped_and_hold_their_texts() -> None:
    page = render(
        Code("planetvision predict <model> > 'a b'\n  --tta"),
        Facts((("<b>seed", 7), ("torch", "2.4 & up"))),
        Highlights((("accuracy <1>", "98.1 %", "96.0 to 99.3 %"), ("images", "105", ""))),
        Details("How & why", ("<p>folded", Code("x < y"))),
    )
    assert "planetvision predict &lt;model&gt; &gt; &#39;a b&#39;\n  --tta</code></pre>" in page
    assert "<dt>&lt;b&gt;seed</dt><dd>7</dd>" in page
    assert "<dt>torch</dt><dd>2.4 &amp; up</dd>" in page
    assert (
        '<dt>accuracy &lt;1&gt;</dt><dd class="large">98.1 %</dd>'
        '<dd class="note">96.0 to 99.3 %</dd>' in page
    )
    assert '<dt>images</dt><dd class="large">105</dd></div>' in page
    folded = page[page.index("<details>") : page.index("</details>")]
    assert "<summary>How &amp; why</summary>" in folded
    assert "<p>&lt;p&gt;folded</p>" in folded
    assert "x &lt; y</code>" in folded


def test_plot_is_embedded_byte_for_byte_with_its_texts_and_links() -> None:
    png = encode_png(60, 40)
    links = (Link("PNG", "a b.png"), Link("CSV", "a b.csv"))
    page = render(Plot(png, 'curves of "loss"', "Loss <1", links))
    (stored,) = re.findall(r'src="data:image/png;base64,([^"]+)"', page)
    assert base64.b64decode(stored) == png
    assert 'alt="curves of &#34;loss&#34;" width="48" height="32"' in page
    assert "<figcaption>Loss &lt;1" in page
    assert re.findall(r'href="(a[^"]+)"', page) == ["a%20b.png", "a%20b.csv"]
    assert "figcaption>" not in render(Plot(png, "alone"))


def test_plots_that_follow_one_another_share_a_grid_and_wide_ones_take_a_row() -> None:
    narrow, wide = Plot(encode_png(600, 600), "narrow"), Plot(encode_png(1080, 400), "wide")
    page = render(narrow, narrow, "between", wide)
    first, second = page.split("<p>between</p>")
    assert first.count('<div class="plots">') == second.count('<div class="plots">') == 1
    assert first.count('<figure class="plot">') == 2
    assert second.count('<figure class="plot wide">') == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((b"\xff\xd8\xff\xe0 JPEG", "alt"), "must hold the bytes of a PNG file, got b'"),
        ((b"", "alt"), "must hold the bytes of a PNG file, got b''"),
        ((encode_png(2, 2), " "), "`alt` must say what the figure shows"),
    ],
)
def test_plot_without_a_picture_or_its_text_is_refused(
    arguments: tuple[Any, ...], message: str
) -> None:
    with pytest.raises(SettingsError, match=message):
        Plot(*arguments)


def test_navigation_appears_from_four_sections_on_and_leads_to_each() -> None:
    headings = ["Scores", "By class", "By class", "By class 2", "<&>", "Top", "\u00dcbersicht"]
    ids = ["scores", "by-class", "by-class-2", "by-class-2-2", "section", "top-2", "\u00fcbersicht"]
    sections = [Section(heading, ()) for heading in headings]
    page = render_page("T", sections=sections)
    assert re.findall(r'<section id="([^"]+)"', page) == ids
    anchors = re.findall(r'<li><a href="#([^"]+)">', page)
    assert [urllib.parse.unquote(anchor) for anchor in anchors] == ids
    assert len(set(re.findall(r' id="([^"]+)"', page))) == len(ids) + 2
    assert "<nav" in render_page("T", sections=sections[:4])
    short = render_page("T", sections=sections[:3])
    assert "<nav" not in short
    assert '<section id="by-class-2">' in short


def test_text_of_another_string_type_is_a_paragraph() -> None:
    assert "<p>a &amp; b</p>" in render(np.str_("a & b"))


def test_lead_may_hold_blocks() -> None:
    page = render_page("T", lead=["First.", Highlights((("images", "105", ""),))])
    assert page.index("First.") < page.index("105") < page.index("<main")


def test_long_words_may_be_broken_and_short_cells_are_not() -> None:
    page = render(Table(("file", "body"), (("a_very_long_name_of_a_file.png", "mars"),)))
    assert '<td class="long">a_very_long_name_of_a_file.png</td><td>mars</td>' in page


def save_full_page(folder: Path) -> Path:
    """A page with every block, hostile names, long words and wide tables among them."""
    wide, square = draw_png(7.2, 3.6, folder), draw_png(4.2, 4.4, folder)
    names = [name for name in HOSTILE_NAMES if os.name == "posix" or name.isalnum()]
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x", encoding="utf-8")
    links = [Link(name, f"./{name}") for name in names]
    disc = np.hypot(*np.mgrid[-1:1:96j, -1:1:96j])[..., None] < 0.7
    picture = (disc * np.array([200, 120, 60])).astype(np.uint8)
    long_word = "/data/" + "very_long_name_without_a_break_" * 8 + "x.png"
    story = "It was taken for mars, since it is red and has no ring. " * 4
    bodies = ("mercury", "venus", "earth", "mars", "jupiter", "saturn", "uranus", "neptune")
    save_page(
        folder / "page.html",
        f"Evaluation of {long_word}",
        lead=[
            "105 images of 8 bodies that the model has not seen.",
            Highlights(
                (
                    ("accuracy", "98.1 %", "95 % interval 96.0 to 99.3 %, 103 of 105"),
                    ("balanced accuracy", "97.4 %", "mean over 8 classes"),
                    ("calibration error", "0.021", "15 bins"),
                    ("answered", "101 of 105", "the rest is unknown"),
                )
            ),
        ],
        sections=[
            Section(
                "Scores",
                (
                    "Each class by itself.",
                    Table(
                        ("body", "images", *bodies),
                        tuple((name, 12, *range(100_000, 100_008)) for name in bodies),
                    ),
                    Table(
                        tuple(f"column {number}" for number in range(24)),
                        (tuple(range(1_000_000, 1_000_024)),),
                    ),
                    Plot(wide, "a line up and down", "The loss by epoch.", (links[0], links[1])),
                ),
            ),
            Section(
                "Curves",
                (
                    Plot(square, "a line", "Reliability.", (Link("PNG", "figure.png"),)),
                    Plot(square, "a line again", "Risk against coverage, " + story),
                    Plot(square, "a line once more"),
                ),
            ),
            Section(
                "Images",
                (
                    Gallery(
                        tuple(
                            Tile(picture, f"{tone} mars 97 %", ("mars_1.png", *lines), tone)
                            for tone in ("good", "bad", "neutral")
                            for lines in ((), (story,))
                        )
                    ),
                    Gallery((Tile(pair_images(picture, picture), long_word),), wide=True),
                    Details(
                        "All files",
                        (
                            Table(
                                ("file", "answer"),
                                ((long_word, "mars"), *((link, "venus") for link in links)),
                            ),
                            Plot(square, "a folded line"),
                            Details("Deeper", ("Text.", Gallery((Tile(picture, "folded"),)))),
                        ),
                    ),
                ),
            ),
            Section(
                "Scores",
                (
                    Facts(
                        (
                            ("model", long_word),
                            ("seed", 0),
                            ("torch", "2.4.0"),
                            ("settings", links[2]),
                        )
                    ),
                    Code("planetvision evaluate data --model model \\\n" + "    --out x " * 30),
                    Link("The same on the web", "https://example.org/?a=1&b=2"),
                    Table(
                        ("severity", "what was found", "what to do"),
                        (("error", story, story),),
                        stacked=True,
                    ),
                ),
            ),
        ],
        footer="planetvision",
    )
    return folder / "page.html"


def test_page_with_every_block_is_right_in_a_browser(
    tmp_path: Path, check_page: Callable[[Path], None]
) -> None:
    check_page(save_full_page(tmp_path))


def test_page_by_keyboard_starts_with_a_link_to_the_content_that_is_seen(
    tmp_path: Path, open_page: Callable[[Path], Any]
) -> None:
    page = open_page(save_full_page(tmp_path)).page
    page.keyboard.press("Tab")
    top, outline, text = page.evaluate(
        """() => {
          const it = document.activeElement;
          const { top } = it.getBoundingClientRect();
          return [top, getComputedStyle(it).outlineStyle, it.textContent];
        }"""
    )
    assert text == "Skip to the content"
    assert top >= 0
    assert outline == "solid"
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("#content$"))
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('main') !== null")


def test_plots_stand_two_a_row_on_a_desk_and_one_on_a_phone(
    tmp_path: Path, open_page: Callable[[Path], Any]
) -> None:
    opened = open_page(save_full_page(tmp_path))
    for width, alike in ((1280, True), (360, False)):
        opened.page.set_viewport_size({"width": width, "height": 800})
        first, second = opened.page.evaluate(
            """() => [...document.querySelectorAll("#curves .plot")].slice(0, 2)
                 .map(it => it.getBoundingClientRect().top)"""
        )
        assert (first == second) == alike
