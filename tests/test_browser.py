"""The checks of pages in a browser: each fault is found, so that none is passed over elsewhere."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>T</title>
<meta name="viewport" content="width=device-width">
<style>
body {{ background: #fff; color: #000 }} a {{ color: inherit }}
@media screen and (prefers-color-scheme: dark) {{ body {{ background: #000; color: #fff }} }}
@media print {{ details::details-content {{ content-visibility: visible; height: auto }} }}
</style></head><body><h1>Title</h1>
{body}</body></html>"""


def encode_picture() -> str:
    file = io.BytesIO()
    Image.new("RGB", (2, 2)).save(file, format="PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode("ascii")


def write_page(folder: Path, body: str) -> Path:
    path = folder / "page 1.html"
    path.write_text(PAGE.format(body=body), encoding="utf-8")
    return path


def test_page_without_a_fault_passes(tmp_path: Path, check_page: Callable[[Path], None]) -> None:
    (tmp_path / "a b#.csv").write_text("x", encoding="utf-8")
    body = (
        f'<h2 id="ü">Part</h2><a href="#%C3%BC">up</a> <a href="a%20b%23.csv">file</a> '
        f'<img alt="" src="{encode_picture()}"><a href="https://example.org">web</a>'
        '<details><summary>more</summary><p style="color: #767676">4.54 and 4.62</p></details>'
    )
    check_page(write_page(tmp_path, body))


@pytest.mark.parametrize(
    ("body", "problems"),
    [
        pytest.param(
            '<img alt="asked" src="https://example.org/a.png">'
            '<img alt="gone" src="gone.png">'
            f'<img src="{encode_picture()}"><img alt="hidden" hidden src="{encode_picture()}">'
            "<script>console.log('x'); missing()</script>",
            {
                "request: https://example.org/a.png",
                "error: Failed to load resource: net::ERR_INTERNET_DISCONNECTED",
                "error: Failed to load resource: net::ERR_FILE_NOT_FOUND",
                "image not loaded: asked",
                "image not loaded: gone",
                f"image not described: {encode_picture()[:80]}",
                "image not visible: hidden",
                "log: x",
                "error: missing is not defined",
                "a script",
            },
            id="images-and-scripts",
        ),
        pytest.param(
            '<a href="#nowhere">x</a><a href="gone.csv">x</a><a href="/etc">x</a>'
            '<a href="javascript:x">x</a><a href="#a" id="a"></a><b id="a"></b>'
            "<h3>Deep</h3><h1>Again</h1>",
            {
                "link to nowhere: #nowhere",
                "link to no file: gone.csv",
                "absolute link: /etc",
                "link of another kind: javascript:x",
                "link without a text: #a",
                "twice the same id: a",
                "a level of headings is left out: [1, 3, 1]",
                "not one first heading: [1, 3, 1]",
            },
            id="links-and-headings",
        ),
        pytest.param(
            '<p style="width: 400px">x</p>',
            {'wider than 360 pixels: <p style="width: 400px">x</p>'},
            id="width-of-a-phone",
        ),
        pytest.param(
            '<p style="width: 1280px">x</p>',
            {
                'wider than 360 pixels: <p style="width: 1280px">x</p>',
                'wider than 1280 pixels: <p style="width: 1280px">x</p>',
                'cut on paper: <p style="width: 1280px">x</p>',
            },
            id="width-of-all",
        ),
        pytest.param(
            '<p style="color: #999">light</p><p style="color: #555">dark</p>'
            '<div style="background: #808080"><p style="color: rgb(0 0 0 / 0.5)">both</p></div>',
            {
                "faint in light: light (2.85)",
                "faint on paper: light (2.85)",
                "faint in dark: dark (2.82)",
                *(f"faint {where}: both (2.63)" for where in ("in light", "in dark", "on paper")),
            },
            id="contrast",
        ),
        pytest.param(
            "<style>body { background: #fff !important; color: #000 !important }"
            "details::details-content { content-visibility: hidden !important }</style>"
            "<details><summary>more</summary><p>less</p></details>",
            {
                "the dark page is as light as the other: rgb(255, 255, 255)",
                "folded on paper: <p>less</p>",
            },
            id="light-and-folded",
        ),
        pytest.param(
            "<style>@media (prefers-color-scheme: dark)"
            "{ body { background: #000; color: #fff } }</style>",
            {"the paper is not white: rgb(0, 0, 0)"},
            id="black-paper",
        ),
        pytest.param(
            "<style>@media print { body { display: none } }</style>",
            {"nothing is printed"},
            id="empty-paper",
        ),
    ],
)
def test_faults_of_a_page_are_found(
    body: str, problems: set[str], tmp_path: Path, open_page: Callable[[Path], Any]
) -> None:
    assert set(open_page(write_page(tmp_path, body)).find_problems()) == problems
