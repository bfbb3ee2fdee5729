"""One quiet look for every figure: colours, the font, and how a figure is made and saved.

The figures are matplotlib's own `Figure` objects, made without pyplot: nothing is registered, no
window is opened, and a caller's own rcParams neither change them nor are changed by them.
"""

from __future__ import annotations

import functools
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from PIL import ImageFont

from planetvision.core.errors import SettingsError
from planetvision.core.files import write_atomically

if TYPE_CHECKING:
    from matplotlib.figure import Figure


Tone = Literal["neutral", "good", "bad"]
TONES: tuple[str, ...] = get_args(Tone)

# Blue, bluish green and vermilion differ with every common kind of colour blindness:
# M. Okabe, K. Ito, "Color Universal Design" (2008), https://jfly.uni-koeln.de/color/
ACCENT_COLOR = "#0072b2"
GOOD_COLOR = "#009e73"
BAD_COLOR = "#d55e00"

PAPER_COLOR = "#ffffff"
INK_COLOR = "#1f2430"
MUTED_COLOR = "#5b6270"
# The lightest gray that still has a contrast of 4.5 on white (WCAG 2.2, criterion 1.4.3).
FAINT_COLOR = "#767676"
NEUTRAL_COLOR = "#b8bcc4"
GRID_COLOR = "#e4e6ea"

# Both are monotone in lightness, so that they keep their order when printed in gray.
HEAT_COLORMAP = "inferno"
MATRIX_COLORMAP = "Blues"

DOTS_PER_INCH = 150
MIN_FONT_PIXELS = 4


def to_rgb(color: str) -> tuple[int, int, int]:
    """Returns red, green and blue in [0, 255] of a colour written as `#rrggbb`."""
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)


@contextmanager
def use_style() -> Iterator[None]:
    """Applies the figures' style inside the block, whatever the caller's rcParams are.

    The caller's rcParams are as before after the block. Inside they are the whole process's, so
    that figures are drawn in one thread at a time.
    """
    import matplotlib.style

    settings = {
        "font.family": "DejaVu Sans",
        "font.size": 9.0,
        "text.color": INK_COLOR,
        # A class may be called 'a$b$c'; nothing here is a formula.
        "text.parse_math": False,
        "axes.labelcolor": MUTED_COLOR,
        "axes.labelsize": 9.0,
        "axes.edgecolor": NEUTRAL_COLOR,
        "axes.linewidth": 0.8,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": False,
        "axes.axisbelow": True,
        "grid.color": GRID_COLOR,
        "grid.linewidth": 0.8,
        "xtick.color": NEUTRAL_COLOR,
        "ytick.color": NEUTRAL_COLOR,
        "xtick.labelcolor": INK_COLOR,
        "ytick.labelcolor": INK_COLOR,
        "xtick.labelsize": 8.5,
        "xtick.major.size": 2.0,
        "ytick.major.size": 2.0,
        "ytick.labelsize": 8.5,
        "legend.frameon": False,
        "legend.fontsize": 8.5,
        "lines.linewidth": 1.6,
        "figure.facecolor": PAPER_COLOR,
        "savefig.facecolor": "auto",
    }
    with matplotlib.style.context(["default", settings]):
        yield


def create_figure(width_inches: float, height_inches: float) -> Figure:
    """Returns an empty figure in the library's style that belongs to no window and no pyplot.

    Raises:
        SettingsError: If a side is not positive.
    """
    from matplotlib.figure import Figure

    for name, value in (("width_inches", width_inches), ("height_inches", height_inches)):
        if not value > 0:
            raise SettingsError(f"`{name}` must be positive, got {value!r}. Pass 6, for example.")
    with use_style():
        return Figure(figsize=(width_inches, height_inches), dpi=DOTS_PER_INCH)


def check_png_path(path: str | os.PathLike[str]) -> Path:
    """Returns `path` as a `Path`.

    Raises:
        SettingsError: If it does not end in `.png`.
    """
    checked = Path(path)
    if checked.suffix.lower() != ".png":
        raise SettingsError(
            f"`path` must end in '.png', got '{checked}'. Pictures are saved as PNG only: name "
            f"it '{checked.stem}.png'."
        )
    return checked


def encode_figure(figure: Figure) -> bytes:
    """Returns `figure` as the bytes of a PNG with 150 dots an inch.

    The same figure gives the same bytes: they hold no date and no version.
    """
    buffer = io.BytesIO()
    with use_style():
        figure.savefig(buffer, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None})
    return buffer.getvalue()


def save_figure(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Writes `figure` to `path` as the PNG of `encode_figure`.

    Raises:
        SettingsError: If `path` does not end in `.png`.
        OutputError: If the file cannot be written.
    """
    checked = check_png_path(path)
    content = encode_figure(figure)
    write_atomically(checked, lambda temporary: temporary.write_bytes(content))


@functools.lru_cache(maxsize=32)
def load_font(size_pixels: int) -> ImageFont.FreeTypeFont:
    """Returns DejaVu Sans, which comes with matplotlib and is the same on every machine.

    Args:
        size_pixels: The em of the font, in pixels.

    Raises:
        SettingsError: If the size is below 4 pixels, which nobody can read.
    """
    import matplotlib

    if size_pixels < MIN_FONT_PIXELS:
        raise SettingsError(
            f"`size_pixels` of a font must be at least {MIN_FONT_PIXELS}, got {size_pixels!r}. "
            "Pass 12, for example."
        )
    path = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    # Raqm is not in every build of Pillow, and would set the same text differently.
    return ImageFont.truetype(str(path), size_pixels, layout_engine=ImageFont.Layout.BASIC)
