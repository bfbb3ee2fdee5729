"""Craters stamped on a sphere."""

from __future__ import annotations

import numpy as np
import pytest

from planetvision.render.craters import Craters
from planetvision.render.sphere import Sphere


@pytest.mark.parametrize(
    ("latitude", "longitude"), [(0.9, 0.9), (40.0, -179.9), (-89.0, 30.0), (60.0, 179.5)]
)
def test_stamp_digs_a_bowl_with_a_rim_there_and_nowhere_else(
    latitude: float, longitude: float
) -> None:
    sphere = Sphere(180, seed=0)
    craters = Craters(sphere)
    craters.stamp(latitude, longitude, radius_degrees=6.0, freshness=1.0)
    cosine = sphere.points @ sphere.locate(latitude, longitude)
    distance = np.degrees(np.arccos(np.clip(cosine, -1, 1)))
    assert craters.elevation[distance < 3].max() < 0
    assert craters.elevation[(distance > 5.9) & (distance < 6.1)].min() > 0
    assert np.abs(craters.elevation[distance > 15]).max() < 1e-3
    assert craters.albedo[distance < 3].min() > 0.2


def test_stamp_leaves_out_what_is_smaller_than_a_texel() -> None:
    craters = Craters(Sphere(90, seed=0))
    craters.stamp(0.0, 0.0, radius_degrees=1.0, freshness=1.0)
    assert not craters.elevation.any()


def test_scatter_stamps_more_small_craters_than_large() -> None:
    few, many = Craters(Sphere(96, seed=1)), Craters(Sphere(96, seed=1))
    few.scatter("craters", count=10, smallest_degrees=2, largest_degrees=6)
    many.scatter("craters", count=100, smallest_degrees=2, largest_degrees=6)
    assert np.abs(many.elevation).sum() > 4 * np.abs(few.elevation).sum()


def test_rays_fade_with_distance() -> None:
    sphere = Sphere(96, seed=0)
    craters = Craters(sphere)
    patches = np.zeros_like(sphere.latitude_degrees)
    craters.ray(-43.0, -11.0, radius_degrees=1.4, strength=1.0, patches=patches)
    distance = np.degrees(np.arccos(np.clip(sphere.points @ sphere.locate(-43.0, -11.0), -1, 1)))
    rings = [
        craters.albedo[(distance > low) & (distance < low + 6)].mean() for low in (0, 8, 20, 40)
    ]
    assert rings == sorted(rings, reverse=True)
    assert rings[0] > 0.1 > rings[-1]
    assert not craters.elevation.any()
