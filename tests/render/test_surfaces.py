"""The painted maps: what must be on them, and how they are looked up."""

from __future__ import annotations

import numpy as np
import pytest

from planetvision.render import BODIES
from planetvision.render.surfaces import NUM_VARIANTS, Surface, _Shelf, choose_height, get_surface

HEIGHT = 96


def get_map(name: str) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return get_surface(name, 0, HEIGHT)[0].colour[:, 1:-1]


@pytest.mark.parametrize("name", list(BODIES))
def test_map_is_finite_light_with_smaller_copies(name: str) -> None:
    levels = get_surface(name, 0, HEIGHT)
    assert [level.colour.shape for level in levels] == [
        (96, 194, 3),
        (48, 98, 3),
        (24, 50, 3),
    ]
    for level in levels:
        assert np.isfinite(level.colour).all()
        assert level.colour.min() >= 0
        assert level.colour.max() <= 1
        assert level.details is None or np.isfinite(level.details).all()
    assert levels[0].colour.mean() == pytest.approx(levels[-1].colour.mean(), abs=0.02)


@pytest.mark.parametrize("name", ["earth", "jupiter", "mars", "neptune", "saturn"])
def test_variants_differ(name: str) -> None:
    first, last = get_surface(name, 0, HEIGHT), get_surface(name, NUM_VARIANTS - 1, HEIGHT)
    assert np.abs(first[0].colour - last[0].colour).mean() > 0.003


def test_choose_height_grows_with_the_image() -> None:
    assert [choose_height(size) for size in (16, 64, 96, 224, 400, 5000)] == [
        96,
        96,
        144,
        288,
        576,
        768,
    ]


def test_choose_height_grows_with_the_radius_to_twice_what_fits() -> None:
    heights = [choose_height(224, radius_pixels=radius) for radius in (0, 100, 102, 500)]
    assert heights == [288, 288, 576, 576]
    assert choose_height(64, radius_pixels=500) == 288


@pytest.mark.slow
def test_finer_maps_show_smaller_craters() -> None:
    """In the Sea of Rains, where no others are left."""
    shares = []
    for height in (288, 576):
        details = get_surface("moon", 0, height)[0].details
        assert details is not None
        scale = height / 180
        rows, columns = (
            slice(int(50 * scale), int(65 * scale)),
            slice(int(155 * scale), int(172 * scale)),
        )
        shares.append((np.abs(details[rows, columns, 1:]).max(axis=-1) > 0.08).mean())
    assert shares[1] > shares[0] + 0.04


def test_sample_reads_the_texel_at_a_place_and_wraps_around() -> None:
    rows, columns = np.mgrid[0:4, 0:8].astype(np.float32)
    colour = np.stack([rows, columns, columns], axis=-1)
    padded = np.concatenate([colour[:, -1:], colour, colour[:, :1]], axis=1)
    surface = Surface(padded, None)
    latitude = np.radians(np.array([[67.5, -67.5, 22.5]], np.float32))
    longitude = np.radians(np.array([[-157.5, 157.5, 202.5]], np.float32))
    sampled, details = surface.sample(latitude, longitude)
    assert details is None
    np.testing.assert_allclose(sampled[0, :, 0], [0, 3, 1], atol=0.05)
    np.testing.assert_allclose(sampled[0, :, 1], [0, 7, 0], atol=0.05)
    seam, _ = surface.sample(np.zeros((1, 1), np.float32), np.full((1, 1), np.pi, np.float32))
    np.testing.assert_allclose(seam[0, 0, 1], 3.5, atol=0.05)


def test_earth_has_white_poles_blue_seas_and_gloss_on_water() -> None:
    earth = get_map("earth")
    assert earth[-3:].min() > 0.5
    # The middle of the Pacific, on the mean of all variants: clouds come and go.
    pacific = np.mean(
        [get_surface("earth", v, HEIGHT)[0].colour[50:60, 10:26] for v in range(NUM_VARIANTS)],
        axis=(0, 1, 2),
    )
    assert pacific[2] > pacific[0]
    details = get_surface("earth", 0, HEIGHT)[0].details
    assert details is not None
    assert details[-3:, :, 0].max() < 0.1
    assert details[..., 0].max() > 0.9


def test_mars_has_bright_caps_and_a_dark_syrtis_major() -> None:
    mars = get_map("mars")
    assert mars[:2].mean() > 1.5 * mars.mean()
    syrtis, arabia = mars[41:45, 131:135].mean(), mars[34:38, 104:112].mean()
    assert syrtis < 0.6 * arabia


def test_moon_has_dark_seas_on_the_near_side() -> None:
    moon = get_map("moon")
    near, far = moon[30:60, 64:128].mean(), np.delete(moon[30:60], np.s_[40:152], axis=1).mean()
    assert near < 0.9 * far
    imbrium, southern_highlands = moon[28:33, 85:91].mean(), moon[68:72, 98:106].mean()
    assert imbrium < 0.6 * southern_highlands


def test_jupiter_has_bands_and_one_red_spot() -> None:
    jupiter = get_map("jupiter")
    rows = jupiter.mean(axis=(1, 2))
    # The North Equatorial Belt (12 degrees) against the equator and the North Tropical Zone (21).
    belt, equator, zone = rows[41], rows[47], rows[36]
    assert belt < 0.75 * min(equator, zone)
    redness = jupiter[57:63, :, 0] / jupiter[57:63, :, 2]
    assert 2 <= (redness.mean(axis=0) > 2.6).sum() <= 24


def test_saturn_varies_by_latitude_more_than_by_longitude() -> None:
    saturn = get_map("saturn").mean(axis=-1)
    assert saturn.mean(axis=1).std() > 3 * saturn.std(axis=1).mean()


def test_uranus_is_the_plainest_and_brightens_towards_a_pole() -> None:
    contrast = {name: float(get_map(name)[24:72].std(axis=(0, 1)).mean()) for name in BODIES}
    assert min(contrast, key=lambda name: contrast[name]) == "uranus"
    uranus = get_map("uranus").mean(axis=(1, 2))
    assert max(uranus[0], uranus[-1]) > 1.05 * uranus[48]


def test_shelf_keeps_what_was_used_last_within_its_bytes() -> None:
    def create(number: int) -> tuple[Surface, ...]:
        return (Surface(np.full((10, 10, 3), number, np.float32), None),)

    shelf = _Shelf(max_bytes=3 * 1200)
    for number in range(3):
        shelf.put(number, create(number))
    assert shelf.get(0) is not None
    shelf.put(3, create(3))
    assert shelf.num_bytes == 3 * 1200
    assert [number for number in range(4) if shelf.get(number) is not None] == [0, 2, 3]
    # One that is larger than the shelf is kept until the next one comes.
    shelf.put("large", (Surface(np.zeros((100, 100, 3), np.float32), None),))
    assert shelf.get("large") is not None
    assert shelf.get(3) is None


def test_surface_is_painted_once() -> None:
    assert get_surface("uranus", 1, HEIGHT) is get_surface("uranus", 1, HEIGHT)


def test_mars_has_a_wide_cap_and_a_canyon_in_light_and_infrared() -> None:
    """Without colour these tell it from the Moon."""
    caps = []
    for variant in range(NUM_VARIANTS):
        for spectrum in ("visible", "bands"):
            mars = get_surface("mars", variant, HEIGHT, spectrum=spectrum)[0].colour[:, 1:-1]
            caps.append(max(mars[:15].mean(), mars[-15:].mean()) / mars[35:60].mean())
            # Valles Marineris, from about 85 to 50 degrees west, against the plains beside it.
            canyon = mars[52:55, 52:68].mean(axis=(0, 1))
            plains = mars[44:48, 52:68].mean(axis=(0, 1))
            # In the ultraviolet, the first of the other bands, the ground of Mars is hardly seen.
            seen = slice(None) if spectrum == "visible" else slice(1, None)
            assert (canyon < 0.85 * plains)[seen].all()
    # Ice within 28 degrees of a pole brightens it by half in some season.
    assert max(caps) > 1.5
    assert min(caps) > 0.8
