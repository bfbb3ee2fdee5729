"""The style: figures without global state, fonts, files that are reproducible."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from PIL import Image

from planetvision.core.errors import OutputError, SettingsError
from planetvision.results.plots.style import (
    BAD_COLOR,
    FAINT_COLOR,
    GOOD_COLOR,
    PAPER_COLOR,
    create_figure,
    encode_figure,
    load_font,
    save_figure,
    to_rgb,
    use_style,
)


def test_importing_figures_loads_neither_matplotlib_nor_pandas_nor_torch() -> None:
    code = (
        "import sys, planetvision.results.plots, planetvision.results.html;"
        "print([name for name in ('matplotlib', 'pandas', 'torch', 'cv2') if name in sys.modules])"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    assert answer.stdout.strip() == "[]"


def test_drawing_does_not_load_pyplot() -> None:
    code = (
        "import sys, numpy; from planetvision.results.plots import plot_confusion_matrix as plot;"
        "plot(numpy.eye(2, dtype=int), classes=['a', 'b']);"
        "print('matplotlib.pyplot' in sys.modules)"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    assert answer.stdout.strip() == "False"


def test_use_style_overrides_the_callers_settings_and_puts_them_back() -> None:
    with mpl.rc_context({"figure.facecolor": "red", "text.parse_math": True, "font.size": 33}):
        before = dict(mpl.rcParams)
        with use_style():
            assert mpl.rcParams["font.size"] == 9.0
            assert mpl.rcParams["text.parse_math"] is False
        assert dict(mpl.rcParams) == before
        face = create_figure(2, 1).get_facecolor()
    assert face == (1.0, 1.0, 1.0, 1.0)


def test_create_figure_has_the_size_in_inches() -> None:
    assert create_figure(3, 2).get_size_inches().tolist() == [3.0, 2.0]


@pytest.mark.parametrize("size", [(0, 2), (2, -1), (float("nan"), 1)])
def test_create_figure_without_extent_raises(size: tuple[float, float]) -> None:
    with pytest.raises(SettingsError, match=r"_inches` must be positive, got .*\. Pass 6"):
        create_figure(*size)


def test_save_figure_has_150_dots_an_inch_and_leaves_nothing_else(tmp_path: Path) -> None:
    save_figure(create_figure(2, 1), tmp_path / "figure.png")
    assert [path.name for path in tmp_path.iterdir()] == ["figure.png"]
    with Image.open(tmp_path / "figure.png") as picture:
        assert picture.format == "PNG"
        assert picture.size == (300, 150)
        assert np.asarray(picture.convert("RGB")).min() == 255


def test_save_figure_of_the_same_figure_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        figure = create_figure(2, 1)
        figure.text(0.5, 0.5, "saturn")
        save_figure(figure, tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_encode_figure_gives_the_bytes_that_are_saved(tmp_path: Path) -> None:
    figure = create_figure(2, 1)
    figure.text(0.5, 0.5, "saturn")
    save_figure(figure, tmp_path / "figure.png")
    assert encode_figure(figure) == (tmp_path / "figure.png").read_bytes()


def test_save_figure_ignores_the_callers_tight_box(tmp_path: Path) -> None:
    with mpl.rc_context({"savefig.bbox": "tight"}):
        save_figure(create_figure(2, 1), tmp_path / "figure.png")
    with Image.open(tmp_path / "figure.png") as picture:
        assert picture.size == (300, 150)


def test_save_figure_with_another_ending_says_png(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"`path` must end in '\.png', got '.*report\.pdf'\..*"):
        save_figure(create_figure(2, 1), tmp_path / "report.pdf")
    assert list(tmp_path.iterdir()) == []


def test_save_figure_into_a_missing_folder_raises_output_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot be written"):
        save_figure(create_figure(2, 1), tmp_path / "missing" / "figure.png")


def test_load_font_is_dejavu_in_the_asked_size() -> None:
    font = load_font(20)
    assert font.getname() == ("DejaVu Sans", "Book")
    assert font.size == 20
    assert load_font(40).getlength("saturn") == pytest.approx(2 * font.getlength("saturn"), rel=0.1)


def test_load_font_too_small_raises() -> None:
    with pytest.raises(SettingsError, match=r"at least 4, got 3\. Pass 12"):
        load_font(3)


def _get_contrast(color: str, other: str) -> float:
    def luminance(name: str) -> float:
        values = np.array(to_rgb(name)) / 255
        linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    low, high = sorted([luminance(color), luminance(other)])
    return (high + 0.05) / (low + 0.05)


def test_faintest_text_is_readable_on_paper() -> None:
    assert _get_contrast("#000000", "#ffffff") == pytest.approx(21)
    assert _get_contrast(FAINT_COLOR, PAPER_COLOR) >= 4.5
    assert min(_get_contrast(color, PAPER_COLOR) for color in (GOOD_COLOR, BAD_COLOR)) >= 3
