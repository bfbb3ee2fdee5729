"""Profiles of rings."""

from __future__ import annotations

import numpy as np
import pytest

from planetvision.render.rings import RingProfile, get_ring_profile


def test_profile_has_a_dense_b_ring_and_a_thin_division() -> None:
    profile = get_ring_profile("saturn")

    def depth(radius_km: float) -> float:
        return float(np.interp(radius_km / 60_268, profile.radius, profile.optical_depth))

    assert depth(110_000) > depth(130_000) > depth(83_000)
    assert depth(120_000) < 0.15


def test_opacity_grows_as_the_passage_slants() -> None:
    profile = RingProfile(
        np.linspace(1, 2, 5, dtype=np.float32),
        np.full(5, 0.5, np.float32),
        np.ones(5, np.float32),
    )
    np.testing.assert_allclose(profile.opacity(1.0), 1 - np.exp(-0.5), rtol=1e-6)
    np.testing.assert_allclose(profile.opacity(-0.5), 1 - np.exp(-1.0), rtol=1e-6)


def test_average_of_a_flat_profile_is_flat_inside_and_half_at_the_edge() -> None:
    radius = np.linspace(1, 2, 1001, dtype=np.float32)
    ones = np.ones(1001, np.float32)
    profile = RingProfile(radius, ones, ones)
    places = np.array([0.5, 1.0, 1.5, 2.0, 2.5], np.float32)
    average = profile.average(ones, places, np.full(5, 0.1, np.float32))
    assert average == pytest.approx([0, 0.5, 1, 0.5, 0], abs=0.01)
