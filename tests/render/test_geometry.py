"""The spheroid seen from afar, against closed forms."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planetvision.imaging.light import Floats
from planetvision.render.geometry import RingPlane, View, find_sun


def create_view(
    *, flattening: float = 0.0, latitude: float = 0.0, position_angle: float = 0.0
) -> View:
    return View(
        flattening=flattening,
        radius_pixels=40.0,
        center_row_pixels=50.0,
        center_column_pixels=50.0,
        sub_observer_latitude_degrees=latitude,
        position_angle_degrees=position_angle,
    )


def grid() -> tuple[Floats, Floats]:
    line = np.arange(101, dtype=np.float32)
    return line[:, None], line[None]


@given(
    phase=st.floats(0, 180),
    observer=st.floats(-80, 80),
    solar=st.floats(-80, 80),
    east=st.booleans(),
)
def test_sun_stands_at_the_phase_angle_asked_for(
    phase: float, observer: float, solar: float, east: bool
) -> None:
    sun, latitude = find_sun(phase, observer, solar, east=east)
    assert np.linalg.norm(sun) == pytest.approx(1, abs=1e-5)
    assert math.degrees(math.asin(np.clip(sun[1], -1, 1))) == pytest.approx(latitude, abs=0.05)
    cosine = float(sun @ create_view(latitude=observer).to_observer)
    assert cosine == pytest.approx(math.cos(math.radians(phase)), abs=1e-4)


def test_sun_in_the_east_stands_to_the_right() -> None:
    assert find_sun(60, 10, 5, east=True)[0][0] > 0
    assert find_sun(60, 10, 5, east=False)[0][0] < 0


def test_disc_of_a_sphere_covers_pi_r_squared() -> None:
    view = create_view(latitude=33, position_angle=12)
    globe = view.see_globe(*view.locate(*grid()))
    assert globe.coverage.sum() == pytest.approx(math.pi * 40**2, rel=2e-3)


@pytest.mark.parametrize("latitude", [0.0, 30.0, 90.0])
def test_disc_of_a_spheroid_covers_its_ellipse(latitude: float) -> None:
    view = create_view(flattening=0.2, latitude=latitude, position_angle=50)
    sine, cosine = math.sin(math.radians(latitude)), math.cos(math.radians(latitude))
    minor = math.sqrt((0.8 * cosine) ** 2 + sine**2)
    globe = view.see_globe(*view.locate(*grid()))
    assert globe.coverage.sum() == pytest.approx(math.pi * 40**2 * minor, rel=3e-3)


@pytest.mark.parametrize("latitude", [-60.0, -10.0, 25.0])
def test_points_lie_on_the_spheroid_with_normals_to_the_observer(latitude: float) -> None:
    view = create_view(flattening=0.1, latitude=latitude, position_angle=-20)
    across, along = view.locate(*grid())
    globe = view.see_globe(across, along)
    on = globe.coverage == 1
    scaled = globe.point[on] / np.array([1, 0.9, 1])
    np.testing.assert_allclose(np.linalg.norm(scaled, axis=-1), 1, atol=1e-4)
    assert (globe.normal[on] @ view.to_observer).min() > 0
    np.testing.assert_allclose(globe.point[on][:, 0], across[on], atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(globe.normal, axis=-1), 1, atol=1e-5)


def test_centre_of_the_disc_is_the_point_below_the_observer() -> None:
    view = create_view(latitude=20)
    globe = view.see_globe(*view.locate(*grid()))
    assert math.degrees(globe.latitude[50, 50]) == pytest.approx(20, abs=1e-3)
    assert globe.hour[50, 50] == pytest.approx(0, abs=1e-6)
    # Longitudes grow eastwards: to the right with north up.
    assert globe.hour[50, 60] > 0


def test_position_angle_turns_the_pole_counter_clockwise() -> None:
    view = create_view(position_angle=90)
    globe = view.see_globe(*view.locate(*grid()))
    assert math.degrees(globe.latitude[50, 12]) > 60


def test_half_sizes_bound_the_disc_and_the_rings() -> None:
    view = create_view(latitude=30, position_angle=0)
    assert view.half_sizes(1.0) == pytest.approx((1, 1))
    assert view.half_sizes(3.0) == pytest.approx((1.5, 3))
    assert create_view(latitude=30, position_angle=90).half_sizes(3.0) == pytest.approx((3, 1.5))


def test_ring_plane_is_foreshortened_by_the_sine_of_the_latitude() -> None:
    view = create_view(latitude=30)
    plane = view.see_ring_plane(*view.locate(*grid()))
    assert plane.radius[50, 90] == pytest.approx(1, abs=1e-5)
    assert plane.radius[90, 50] == pytest.approx(2, abs=1e-5)
    assert plane.span[50, 90] == pytest.approx(1 / 40, rel=1e-4)
    assert plane.span[90, 50] == pytest.approx(2 / 40, rel=1e-4)
    # Seen from the north, the near side of the ring lies below the centre.
    assert plane.front[90, 50] > 0
    assert plane.near[90, 50]
    assert not plane.near[10, 50]


def test_globe_shades_the_rings_behind_it_only() -> None:
    view = create_view(latitude=30)
    sun = np.array([1, 0, 0], np.float32)
    across = np.array([1.5, -1.5, -1.5, 0.0], np.float32)
    front = np.array([0.0, 0.0, 1.2, 1.5], np.float32)
    plane = RingPlane(
        radius=np.hypot(across, front), span=across, across=across, front=front, near=front > 0
    )
    np.testing.assert_allclose(view.shade_rings(plane, sun), [1, 0, 1, 1])


@pytest.mark.parametrize("distance", [1.5, 3.0, 20.0])
def test_sphere_from_nearby_is_seen_up_to_its_tangents(distance: float) -> None:
    view = dataclasses.replace(
        create_view(latitude=25), radius_pixels=20.0, distance_radii=distance
    )
    across, along = view.locate(*grid())
    globe = view.see_globe(across, along)
    # The tangent from that distance meets the plane through the centre at tan(asin(1 / d)) * d.
    limb = distance * math.tan(math.asin(1 / distance))
    assert view.magnification == pytest.approx(limb)
    area = math.pi * (20 * limb) ** 2
    if limb * 20 < 49:
        assert globe.coverage.sum() == pytest.approx(area, rel=5e-3)
    on = globe.coverage == 1
    seen = globe.point[on] @ view.to_observer
    # No point further round than where the tangent touches: 1 / d along the line of sight.
    assert seen.min() >= 1 / distance - 1e-3
    # Each point is on the line from the observer through its pixel.
    observer = view.to_observer * distance
    tilt = math.radians(25)
    up = np.array([0, math.cos(tilt), -math.sin(tilt)])
    plane = across[..., None] * np.array([1, 0, 0]) + along[..., None] * up
    towards = plane[on] - observer
    offset = globe.point[on] - observer
    np.testing.assert_allclose(np.cross(towards, offset), 0, atol=2e-3 * distance)


def test_far_observer_sees_what_one_at_infinity_sees() -> None:
    view = create_view(flattening=0.1, latitude=-40, position_angle=15)
    far = dataclasses.replace(view, distance_radii=1e5)
    place = view.locate(*grid())
    ours, theirs = view.see_globe(*place), far.see_globe(*place)
    on = (ours.coverage == 1) & (theirs.coverage == 1)
    np.testing.assert_allclose(ours.point[on], theirs.point[on], atol=2e-3)
    np.testing.assert_allclose(ours.emission[on], theirs.emission[on], atol=2e-3)
    rings, far_rings = view.see_ring_plane(*place), far.see_ring_plane(*place)
    np.testing.assert_allclose(rings.radius, far_rings.radius, rtol=1e-3)


def test_near_side_of_rings_looks_larger_from_nearby() -> None:
    view = dataclasses.replace(create_view(latitude=30), distance_radii=6.0)
    plane = view.see_ring_plane(*view.locate(*grid()))
    column = plane.radius[:, 50]
    # The same distance below and above the centre: the near side is closer to the planet there.
    assert column[90] < column[10]
