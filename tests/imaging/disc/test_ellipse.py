"""Ellipses: the matrix and its inverse way, masks, and the change to another frame."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planetvision.imaging.disc.ellipse import Ellipse

ELLIPSES = st.builds(
    Ellipse,
    center_row=st.floats(-50, 150),
    center_column=st.floats(-50, 150),
    semi_major=st.floats(20, 60),
    semi_minor=st.floats(5, 19),
    angle_degrees=st.floats(1, 179),
)


@settings(deadline=None, max_examples=50)
@given(ELLIPSES)
def test_matrix_gives_the_ellipse_back(ellipse: Ellipse) -> None:
    again = Ellipse.from_matrix(ellipse.center, ellipse.matrix)
    for name in ("center_row", "center_column", "semi_major", "semi_minor", "angle_degrees"):
        assert getattr(again, name) == pytest.approx(getattr(ellipse, name), abs=1e-6)


@settings(deadline=None, max_examples=30)
@given(ELLIPSES, st.floats(0.3, 3), st.floats(0.3, 3))
def test_rescale_there_and_back_is_the_same(ellipse: Ellipse, down: float, along: float) -> None:
    again = ellipse.rescale(down, along).rescale(1 / down, 1 / along)
    np.testing.assert_allclose(again.center, ellipse.center, atol=1e-6)
    shape, other = (one.matrix @ one.matrix.T for one in (again, ellipse))
    np.testing.assert_allclose(shape, other, rtol=1e-6, atol=1e-6)


def test_rescale_keeps_corners_of_pixels_in_place() -> None:
    # The middle of a frame of 10 rows is 4.5, and 9.5 in one of 20.
    disc = Ellipse(center_row=4.5, center_column=4.5, semi_major=3, semi_minor=3)
    twice = disc.rescale(2, 2)
    assert (twice.center_row, twice.center_column) == pytest.approx((9.5, 9.5))
    assert (twice.semi_major, twice.semi_minor) == pytest.approx((6, 6))


def test_mask_has_the_area_the_axes_and_the_angle() -> None:
    ellipse = Ellipse(
        center_row=60, center_column=80, semi_major=40, semi_minor=15, angle_degrees=90
    )
    mask = ellipse.create_mask(120, 160)
    assert mask.shape == (120, 160)
    assert np.count_nonzero(mask) == pytest.approx(np.pi * 40 * 15, rel=0.01)
    rows, columns = np.nonzero(mask)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (20, 100, 65, 95)
    # Counter-clockwise from the columns, as one sees it: at 45 degrees it points up to the right.
    tilted = Ellipse(
        center_row=60, center_column=80, semi_major=40, semi_minor=5, angle_degrees=45
    ).create_mask(120, 160)
    assert tilted[40, 100]
    assert not tilted[80, 100]


def test_mask_of_an_ellipse_outside_the_frame_is_empty() -> None:
    disc = Ellipse(center_row=-50, center_column=10, semi_major=20, semi_minor=20)
    assert not disc.create_mask(30, 30).any()


def test_shift_grow_and_zoom_change_what_they_say() -> None:
    disc = Ellipse(center_row=1, center_column=2, semi_major=20, semi_minor=10, angle_degrees=30)
    assert disc.shift(3, 4).center.tolist() == [6, 4]
    assert (disc.grow(2).semi_major, disc.grow(2).semi_minor) == (22, 12)
    assert (disc.zoom(0.5).semi_major, disc.zoom(0.5).semi_minor) == (10, 5)
