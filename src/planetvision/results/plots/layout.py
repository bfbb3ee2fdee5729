"""Layout of figures: axes in inches, titles, and texts that fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from planetvision.results.plots.canvas import fit_text, wrap_text
from planetvision.results.plots.style import FAINT_COLOR, MUTED_COLOR, load_font

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


POINTS_PER_INCH = 72
# A page shows figures 700 pixels wide; text in wider ones would be too small to read.
WIDTH_INCHES = 7.2
LABEL_POINTS = 8.5
TICK_POINTS = 8.0
DASHES: Any = (0, (4, 2))
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


def add_axes(figure: Figure, left: float, bottom: float, width: float, height: float) -> Axes:
    """Returns new axes whose position and size are given in inches."""
    across, up = figure.get_size_inches().tolist()
    return figure.add_axes((left / across, bottom / up, width / across, height / up))


def write_above(axes: Axes, left: str, right: str = "") -> None:
    """Writes a text over the upper left corner of axes, and one over the upper right corner."""
    for x, text, side in ((0, left, "left"), (1, right, "right")):
        if text:
            place: dict[str, Any] = {"transform": axes.transAxes, "ha": side, "va": "bottom"}
            axes.text(x, 1.04, text, fontsize=LABEL_POINTS, **place)


def write_note(axes: Axes, text: str, **style: Any) -> None:
    """Writes a faint text into the middle of axes that have nothing to show."""
    place: dict[str, Any] = {"transform": axes.transAxes, "ha": "center", "va": "center"}
    axes.text(0.5, 0.5, text, color=FAINT_COLOR, style="italic", **place, **style)


def set_unit_square(axes: Axes) -> None:
    """Lets both axes go from 0 to 100%, with labels that do not run into those of a neighbour."""
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    ticks, labels = [0, 0.5, 1], ["0%", "50%", "100%"]
    axes.set_xticks(ticks, labels, fontsize=TICK_POINTS)
    axes.set_yticks(ticks, labels, fontsize=TICK_POINTS)
    for label, side in zip(axes.get_xticklabels(), ("left", "center", "right"), strict=True):
        label.set(ha=side)
    axes.grid(visible=True)


def write_area(area: float) -> str:
    """Returns three decimals; what is not all or nothing is not written as 1 or 0."""
    if 0.9995 <= area < 1 - 1e-9:
        return ">0.999"
    if 0 < area < 0.0005:
        return "<0.001"
    return f"{area:.3f}"
