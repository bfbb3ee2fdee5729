"""The sky: level, slope and noise, whatever lies on the border."""

from __future__ import annotations

import numpy as np
import pytest

from planetvision.imaging.disc.sky import measure_sky, subtract_sky


def test_sky_with_a_slope_and_noise_is_measured() -> None:
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:200, :300]
    gray = 30 + 20 * (rows / 199 - 0.5) - 10 * (columns / 299 - 0.5) + rng.normal(0, 2, (200, 300))
    sky = measure_sky(np.clip(gray, 0, 255).round().astype(np.uint8))
    assert sky.level == pytest.approx(30, abs=0.5)
    assert sky.down == pytest.approx(20, abs=1)
    assert sky.along == pytest.approx(-10, abs=1)
    assert sky.noise == pytest.approx(2, abs=0.5)


def test_sky_is_measured_beside_a_body_on_half_of_the_border() -> None:
    gray = np.full((100, 100), 12, np.uint8)
    gray[:, :50] = 180
    gray[0, ::7] = 255
    sky = measure_sky(gray)
    assert sky.level == pytest.approx(12, abs=0.5)
    assert abs(sky.down) + abs(sky.along) < 1
    light = subtract_sky(gray, sky)
    assert light[50, 70] == 0
    assert light[50, 20] == 168


def test_scene_that_is_steeper_than_a_sky_gets_no_slope() -> None:
    ramp = np.broadcast_to(np.linspace(0, 250, 200), (200, 200)).astype(np.uint8)
    sky = measure_sky(ramp)
    assert abs(sky.along) < 64
