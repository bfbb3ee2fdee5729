"""Texts that fit, pictures that are scaled."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planetvision.results.plots.canvas import (
    add_frame,
    center_on,
    draw_caption,
    fit_text,
    scale_to_side,
    wrap_text,
)
from planetvision.results.plots.style import load_font


def test_fit_text_that_fits_is_whole_and_on_one_line() -> None:
    assert fit_text("mars\n or moon", load_font(10), 500) == "mars or moon"


@settings(deadline=None)
@given(st.text("abc miW", min_size=1, max_size=60), st.integers(20, 200))
def test_fit_text_is_never_wider_and_keeps_all_it_can(text: str, width: int) -> None:
    font = load_font(10)
    line = " ".join(text.split())
    fitted = fit_text(text, font, width)
    assert font.getlength(fitted) <= width
    if fitted != line:
        assert fitted.endswith("…")
        kept = fitted.removesuffix("…")
        assert line.startswith(kept)
        assert font.getlength(line[: len(kept) + 2].rstrip() + "…") > width


def test_wrap_text_breaks_at_words_and_cuts_the_last_row() -> None:
    font = load_font(10)
    width = font.getlength("one two") + 1
    assert wrap_text("one two three four", font, width, max_rows=5) == ["one two", "three", "four"]
    cut = wrap_text("one two three four", font, width, max_rows=2)
    assert cut[0] == "one two"
    assert cut[1].startswith("three")
    assert cut[1].endswith("…")
    assert wrap_text("  ", font, width, max_rows=2) == []


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 90), st.integers(1, 90), st.integers(8, 120))
def test_scale_to_side_keeps_shape_and_a_constant_colour(
    height: int, width: int, side: int
) -> None:
    image = np.full((height, width, 3), (10, 120, 250), np.uint8)
    scaled = scale_to_side(image, side)
    assert max(scaled.shape[:2]) == side
    scale = side / max(height, width)
    assert scaled.shape[0] == pytest.approx(max(1, height * scale), abs=0.51)
    assert scaled.shape[1] == pytest.approx(max(1, width * scale), abs=0.51)
    assert np.unique(scaled.reshape(-1, 3), axis=0).tolist() == [[10, 120, 250]]


def test_scale_to_side_averages_what_it_shrinks() -> None:
    checkers = np.indices((120, 120)).sum(axis=0) % 2 * 200
    scaled = scale_to_side(np.repeat(checkers[:, :, None], 3, axis=2).astype(np.uint8), 9)
    assert np.abs(scaled.astype(int) - 100).max() <= 5, "a pattern appears that is not there"


def test_center_on_and_add_frame_put_colour_around() -> None:
    image = np.full((2, 4, 3), 7, np.uint8)
    centred = center_on(image, 6, 4, "#ff0000")
    assert (centred[2:4] == 7).all()
    assert (centred[[0, 1, 4, 5]] == (255, 0, 0)).all()
    framed = add_frame(image, 1, "#00ff00")
    assert framed.shape == (4, 6, 3)
    assert (framed[0] == (0, 255, 0)).all()
    assert (framed[1:3, 1:5] == 7).all()


def test_draw_caption_has_a_mark_only_with_a_tone() -> None:
    def draw(tone: str) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
        return draw_caption(200, title="mars", lines=(), tone=tone, font_pixels=16)  # type: ignore[arg-type]

    neutral, good, bad = draw("neutral"), draw("good"), draw("bad")
    assert (neutral[:, 150:] == 255).all()
    good_ink, bad_ink = (good[:, 150:] < 255).any(axis=2), (bad[:, 150:] < 255).any(axis=2)
    assert good_ink.any()
    assert bad_ink.any()
    assert (good_ink != bad_ink).any(), "the marks must differ in shape, not only in colour"
    assert np.array_equal(neutral[:, :150], good[:, :150])


def test_draw_caption_cuts_the_title_before_the_mark() -> None:
    strip = draw_caption(200, title="W" * 99, lines=(), tone="good", font_pixels=16)
    ink = np.asarray((strip < 255).any(axis=(0, 2)))
    mark = 200 - 8 - round(load_font(16).getlength("✔"))
    assert not ink[mark - 6 : mark].any()
    assert ink[mark:192].any()
    assert ink[mark - 30 : mark - 6].any()


def test_draw_caption_grows_with_lines_and_keeps_room_for_them() -> None:
    def height(lines: tuple[str, ...], min_lines: int = 0) -> int:
        strip = draw_caption(
            200, title="mars", lines=lines, tone="neutral", font_pixels=16, min_lines=min_lines
        )
        return len(strip)

    assert height(()) < height(("a",)) < height(("a", "b"))
    assert height(("a",), min_lines=2) == height(("a", "b"))
