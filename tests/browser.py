"""Fixtures that open a page of the library in a real browser, and what every page must hold there.

Skipped where there is no browser. A test asks for `check_page` and calls it with the file, or for
`open_page` to look at something of its own.
"""

from __future__ import annotations

import itertools
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

_PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
_PHONE, _DESK = {"width": 360, "height": 740}, {"width": 1280, "height": 800}
# A4 without margins of 15 mm, at 96 dots an inch.
_PAPER = {"width": 680, "height": 1009}
# Web Content Accessibility Guidelines 2.1, success criterion 1.4.3.
_MIN_CONTRAST = 4.5

_LOOK = """() => ({
  language: document.documentElement.lang,
  title: document.title,
  scripts: document.scripts.length,
  headings: [...document.querySelectorAll("h1, h2, h3, h4")].map(it => Number(it.tagName[1])),
  ids: [...document.querySelectorAll("[id]")].map(it => it.id),
  links: [...document.querySelectorAll("a[href]")].map(
    it => [it.getAttribute("href"), it.href, it.textContent.trim()]),
  images: [...document.images].map(it => ({
    name: it.alt || it.src.slice(0, 80),
    hasAlt: it.hasAttribute("alt"),
    loaded: it.complete && it.naturalWidth > 0,
    visible: it.checkVisibility() && it.getBoundingClientRect().width > 0,
  })),
})"""

_IS_TOO_WIDE = """() => {
  const page = document.scrollingElement;
  if (page.scrollWidth <= page.clientWidth) return [];
  return [...document.body.querySelectorAll("*")]
    .filter(it => it.getBoundingClientRect().right > page.clientWidth + 0.5)
    .map(it => it.outerHTML.slice(0, 80));
}"""

# The opaque colour behind each text, and the ratio of WCAG's relative luminances.
_FIND_FAINT = """minimum => {
  const parse = text => {
    const [r, g, b, a = 1] = text.match(/[\\d.]+/g).map(Number);
    return [r, g, b, a];
  };
  const over = (top, below) => [0, 1, 2].map(i => top[3] * top[i] + (1 - top[3]) * below[i]);
  const behind = it => {
    const isDark = matchMedia("(prefers-color-scheme: dark)").matches;
    if (!it) return isDark ? [0, 0, 0] : [255, 255, 255];
    const color = parse(getComputedStyle(it).backgroundColor);
    return color[3] === 1 ? color : over(color, behind(it.parentElement));
  };
  const luminance = color => {
    const [r, g, b] = color.map(value => value / 255)
      .map(value => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const faint = [], walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode.textContent.trim(), it = walker.currentNode.parentElement;
    if (!text || !it.checkVisibility()) continue;
    const ground = behind(it);
    const [a, b] = [over(parse(getComputedStyle(it).color), ground), ground].map(luminance);
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < minimum) faint.push(`${text.slice(0, 40)} (${ratio.toFixed(2)})`);
  }
  return faint;
}"""

_GET_BACKGROUND = "() => getComputedStyle(document.body).backgroundColor"
_UNFOLD = "() => document.querySelectorAll('details').forEach(it => it.open = true)"
_FIND_FOLDED = """() => [...document.querySelectorAll("details > *:not(summary)")]
  .filter(it => it.getBoundingClientRect().height === 0 || !it.checkVisibility())
  .map(it => it.outerHTML.slice(0, 80))"""


@dataclass
class OpenPage:
    """A page in a browser, and what it complained of and asked for so far."""

    page: Page
    path: Path
    problems: list[str] = field(default_factory=list)

    def watch(self) -> None:
        self.page.on("pageerror", lambda error: self.problems.append(f"error: {error}"))
        self.page.on("console", lambda said: self.problems.append(f"{said.type}: {said.text}"))
        self.page.on("request", lambda request: self._note_request(request.url))

    def _note_request(self, url: str) -> None:
        if urlsplit(url).scheme not in ("file", "data"):
            self.problems.append(f"request: {url}")

    def look(self) -> dict[str, Any]:
        found: dict[str, Any] = self.page.evaluate(_LOOK)
        return found

    def find_faint_texts(self) -> list[str]:
        """Texts with too little contrast, each with its ratio."""
        found: list[str] = self.page.evaluate(_FIND_FAINT, _MIN_CONTRAST)
        return found

    def find_wide_parts(self, viewport: dict[str, int]) -> list[str]:
        """What makes the page scroll sideways at this size."""
        self.page.set_viewport_size({"width": viewport["width"], "height": viewport["height"]})
        found: list[str] = self.page.evaluate(_IS_TOO_WIDE)
        return found

    def find_problems(self) -> list[str]:
        """All that is wrong with the page."""
        problems = self.problems
        folded = self._find_folded_on_paper()
        problems += [f"folded on paper: {part}" for part in folded]
        self.page.evaluate(_UNFOLD)
        look = self.look()
        problems += self._check_outline(look) + self._check_images(look) + self._check_links(look)
        for size in (_PHONE, _DESK):
            wide = self.find_wide_parts(size)
            problems += [f"wider than {size['width']} pixels: {part}" for part in wide]
        problems += self._check_colors() + self._check_print()
        return problems

    def _find_folded_on_paper(self) -> list[str]:
        self.page.emulate_media(media="print")
        found: list[str] = self.page.evaluate(_FIND_FOLDED)
        self.page.emulate_media(media="screen")
        return found

    def _check_outline(self, look: dict[str, Any]) -> list[str]:
        levels, ids = look["headings"], look["ids"]
        problems = []
        if not look["language"] or not look["title"]:
            problems.append("no language or no title")
        if look["scripts"]:
            problems.append("a script")
        if levels.count(1) != 1 or levels[0] != 1:
            problems.append(f"not one first heading: {levels}")
        if any(second > first + 1 for first, second in itertools.pairwise(levels)):
            problems.append(f"a level of headings is left out: {levels}")
        problems += [f"twice the same id: {name}" for name in set(ids) if ids.count(name) > 1]
        return problems

    def _check_images(self, look: dict[str, Any]) -> list[str]:
        return [
            f"image not {what}: {image['name']}"
            for image in look["images"]
            for key, what in (("hasAlt", "described"), ("loaded", "loaded"), ("visible", "visible"))
            if not image[key]
        ]

    def _check_links(self, look: dict[str, Any]) -> list[str]:
        problems = []
        for written, resolved, text in look["links"]:
            parts = urlsplit(resolved)
            if not text:
                problems.append(f"link without a text: {written}")
            if written.startswith("#"):
                if unquote(written[1:]) not in look["ids"]:
                    problems.append(f"link to nowhere: {written}")
            elif parts.scheme == "file":
                file = Path(unquote(parts.path, errors="surrogateescape"))
                if urlsplit(written).scheme or written.startswith("/"):
                    problems.append(f"absolute link: {written}")
                elif not file.exists():
                    problems.append(f"link to no file: {written}")
            elif parts.scheme not in ("http", "https"):
                problems.append(f"link of another kind: {written}")
        return problems

    def _check_colors(self) -> list[str]:
        problems, grounds = [], []
        for scheme in ("light", "dark"):
            self.page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
            grounds.append(self.page.evaluate(_GET_BACKGROUND))
            problems += [f"faint in {scheme}: {text}" for text in self.find_faint_texts()]
        if grounds[0] == grounds[1]:
            problems.append(f"the dark page is as light as the other: {grounds[0]}")
        return problems

    def _check_print(self) -> list[str]:
        # Asked for while the screen is dark, for paper is white.
        self.page.emulate_media(media="print", color_scheme="dark")
        problems = [f"cut on paper: {part}" for part in self.find_wide_parts(_PAPER)]
        problems += [f"faint on paper: {text}" for text in self.find_faint_texts()]
        ground = self.page.evaluate(_GET_BACKGROUND)
        if ground not in ("rgb(255, 255, 255)", "rgba(0, 0, 0, 0)"):
            problems.append(f"the paper is not white: {ground}")
        document = self.page.pdf(prefer_css_page_size=True)
        if not re.search(rb"/Type /Page\b", document) or b"/Font" not in document:
            problems.append("nothing is printed")
        self.page.emulate_media(media="screen", color_scheme="light")
        return problems


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """A browser for the whole session; the test is skipped where there is none."""
    program = next((path for name in _PROGRAMS if (path := shutil.which(name))), None)
    if program is None:
        pytest.skip(
            f"no browser to look at the page with: install one of {', '.join(_PROGRAMS)} "
            "(on Debian: apt-get install chromium)"
        )
    api = pytest.importorskip(
        "playwright.sync_api", reason="pip install --group dev brings playwright"
    )
    with api.sync_playwright() as playwright:
        # Root may not use the sandbox, and containers have little shared memory.
        browser = playwright.chromium.launch(
            executable_path=program, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium: Browser) -> Iterator[Callable[[Path], OpenPage]]:
    """Returns a function that opens a file; the network is off."""
    context = chromium.new_context(offline=True)

    def open_file(path: Path) -> OpenPage:
        opened = OpenPage(context.new_page(), path)
        opened.watch()
        opened.page.goto(path.absolute().as_uri())
        return opened

    yield open_file
    context.close()


@pytest.fixture
def check_page(open_page: Callable[[Path], OpenPage]) -> Callable[[Path], None]:
    """Returns a function that fails unless a page is right in every way that is checked here.

    Nothing asked for from outside and nothing complained of; one first heading and no level left
    out; images loaded, seen and described; links that lead somewhere; no scrolling sideways on a
    phone, a desk or paper; texts with enough contrast on light, dark and paper; a printed page.
    """

    def check(path: Path) -> None:
        problems = open_page(path).find_problems()
        assert not problems, "\n".join(problems)

    return check
