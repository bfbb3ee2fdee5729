"""The grid on which surfaces are painted."""

from __future__ import annotations

import numpy as np
import pytest

from planetvision.render.sphere import Sphere, mix


@pytest.fixture(scope="module")
def sphere() -> Sphere:
    return Sphere(64, seed=3)


def test_points_are_unit_vectors_with_north_up(sphere: Sphere) -> None:
    np.testing.assert_allclose(np.linalg.norm(sphere.points, axis=-1), 1, atol=1e-6)
    assert sphere.points[0, 0, 2] > 0.99
    assert sphere.points[-1, 0, 2] < -0.99


def test_noise_has_mean_zero_deviation_one_and_no_seam(sphere: Sphere) -> None:
    layers = [sphere.noise(f"layer{index}", frequency=6, octaves=3) for index in range(6)]
    assert np.mean(layers) == pytest.approx(0, abs=0.15)
    assert np.std(layers) == pytest.approx(1, abs=0.15)
    noise = layers[0]
    across_seam = np.abs(noise[:, 0] - noise[:, -1]).mean()
    assert across_seam < 1.5 * np.abs(np.diff(noise, axis=1)).mean()


def test_noise_depends_on_label_and_seed_only(sphere: Sphere) -> None:
    first = sphere.noise("a", frequency=3, octaves=2)
    np.testing.assert_array_equal(first, Sphere(64, seed=3).noise("a", frequency=3, octaves=2))
    assert not np.allclose(first, sphere.noise("b", frequency=3, octaves=2))
    assert not np.allclose(first, Sphere(64, seed=4).noise("a", frequency=3, octaves=2))


def test_noise_keeps_its_features_at_another_size(sphere: Sphere) -> None:
    fine = Sphere(128, seed=3).noise("a", frequency=3, octaves=2)
    coarse = fine.reshape(64, 2, 128, 2).mean(axis=(1, 3))
    np.testing.assert_allclose(coarse, sphere.noise("a", frequency=3, octaves=2), atol=0.1)


def test_swirl_turns_the_middle_and_leaves_what_is_far(sphere: Sphere) -> None:
    center = sphere.locate(10.0, 20.0)
    turned = sphere.swirl(sphere.points, center, radius_degrees=10, turn_degrees=90)
    np.testing.assert_allclose(np.linalg.norm(turned, axis=-1), 1, atol=1e-5)
    np.testing.assert_allclose(turned @ center, sphere.points @ center, atol=1e-5)
    moved = np.linalg.norm(turned - sphere.points, axis=-1)
    assert moved[sphere.points @ center < np.cos(np.radians(30))].max() == 0
    assert moved.max() > 0.05


def test_ellipse_is_one_on_its_rim(sphere: Sphere) -> None:
    shape = {"height_degrees": 10.0, "width_degrees": 30.0}
    for latitude, longitude in ((10.0, 0.0), (-10.0, 0.0), (0.0, 30.0), (0.0, -30.0)):
        point = sphere.locate(latitude, longitude)[None]
        assert sphere.ellipse(0, 0, points=point, **shape)[0] == pytest.approx(1, abs=1e-5)
    behind = sphere.locate(0.0, 180.0)[None]
    assert sphere.ellipse(0, 0, points=behind, **shape)[0] == 99
    # Turned by a right angle the half-axes change places.
    upright = sphere.locate(30.0, 0.0)[None]
    turned = sphere.ellipse(0, 0, points=upright, tilt_degrees=90, **shape)
    assert turned[0] == pytest.approx(1, abs=1e-5)


def test_mix_goes_from_below_to_above() -> None:
    below, above = np.zeros((2, 2, 3), np.float32), np.ones(3, np.float32)
    weight = np.array([[0, 0.25], [0.5, 1]], np.float32)
    np.testing.assert_allclose(mix(below, above, weight)[..., 1], weight)
