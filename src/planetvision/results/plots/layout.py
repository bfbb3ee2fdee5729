"""Texts on figures, measured in inches: how wide one is, what fits, the title."""

from __future__ import annotations

from typing import TYPE_CHECKING

from planetvision.results.plots.canvas import fit_text, wrap_text
from planetvision.results.plots.style import MUTED_COLOR, load_font

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "MAX_LABEL_INCHES",
    "POINTS_PER_INCH",
    "TITLE_POINTS",
    "add_title",
    "count_noun",
    "fit_inches",
    "measure_inches",
    "wrap_inches",
]

POINTS_PER_INCH = 72
MAX_LABEL_INCHES = 2.4
TITLE_POINTS = 11.0
SUBTITLE_POINTS = 8.5

_MEASURED_AT = 100  # pixels, as many points at 72 dots an inch


def measure_inches(text: str, points: float) -> float:
    """Returns the width of `text` in the figures' font, in inches."""
    return load_font(_MEASURED_AT).getlength(text) / _MEASURED_AT * points / POINTS_PER_INCH


def fit_inches(text: str, points: float, inches: float) -> str:
    """Returns `text` as one line no wider than `inches`, ellipsised where it must be."""
    return fit_text(text, load_font(_MEASURED_AT), _to_measured(inches, points))


def wrap_inches(text: str, points: float, inches: float, *, max_rows: int) -> list[str]:
    """Returns `text` in at most `max_rows` rows no wider than `inches`, the last one ellipsised."""
    font = load_font(_MEASURED_AT)
    return wrap_text(text, font, _to_measured(inches, points), max_rows=max_rows)


def _to_measured(inches: float, points: float) -> float:
    return inches * POINTS_PER_INCH / points * _MEASURED_AT


def count_noun(number: int, noun: str) -> str:
    """Returns the number, its thousands apart, with its noun."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def add_title(figure: Figure, title: str, subtitle: str = "") -> None:
    """Writes the title into the upper left corner of a figure, and a smaller line under it."""
    width, height = figure.get_size_inches().tolist()
    left = 0.15 / width
    figure.text(left, 1 - 0.2 / height, title, fontsize=TITLE_POINTS, ha="left", va="top")
    if subtitle:
        figure.text(
            left,
            1 - 0.43 / height,
            subtitle,
            fontsize=SUBTITLE_POINTS,
            color=MUTED_COLOR,
            ha="left",
            va="top",
        )
