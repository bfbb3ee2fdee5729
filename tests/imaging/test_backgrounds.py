"""What may be behind a body."""

from __future__ import annotations

import numpy as np
import pytest

from planetvision.imaging.backgrounds import BACKGROUNDS, draw_background


@pytest.mark.parametrize("kind", list(BACKGROUNDS))
def test_background_is_light_of_the_size_asked_for_and_by_the_seed(kind: str) -> None:
    first, again, other = (
        draw_background(kind, 40, np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    assert first.shape == (40, 40, 3)
    assert first.dtype == np.float32
    assert first.min() >= 0
    np.testing.assert_array_equal(first, again)
    if kind != "black":
        assert not np.array_equal(first, other) or kind == "page"


def test_daylight_is_blue_and_a_page_is_pale() -> None:
    day = draw_background("daylight", 32, np.random.default_rng(0)).mean(axis=(0, 1))
    assert day[2] > day[1] > day[0]
    page = draw_background("page", 32, np.random.default_rng(0))
    assert page.min() > 0.4


def test_dark_skies_are_dark() -> None:
    for kind in ("black", "stars", "deep_field", "gradient", "glow"):
        for seed in range(5):
            sky = draw_background(kind, 64, np.random.default_rng(seed))
            assert np.median(sky) < 0.06


def test_deep_field_has_brighter_and_wider_lights_than_a_field_of_stars() -> None:
    def measure(kind: str) -> tuple[float, float]:
        skies = [draw_background(kind, 96, np.random.default_rng(seed)) for seed in range(20)]
        lights = np.array([[sky.max(), (sky.max(axis=-1) > 0.02).mean()] for sky in skies])
        brightest, lit = np.median(lights, axis=0)
        return float(brightest), float(lit)

    stars, deep = measure("stars"), measure("deep_field")
    assert deep[0] > 1.2 * stars[0]
    assert deep[1] > 1.2 * stars[1]
