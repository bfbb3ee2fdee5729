"""What may be behind a body."""

from __future__ import annotations

import numpy as np
import pytest

from planetvision.augment.backgrounds import BACKGROUNDS, draw_background


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
    for kind in ("black", "stars", "gradient", "glow"):
        for seed in range(5):
            sky = draw_background(kind, 64, np.random.default_rng(seed))
            assert np.median(sky) < 0.06
