"""The light of a scene: what the filters do to air."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from planetvision.render import BODIES, OTHER_BODIES
from planetvision.render.appearance import get_body
from planetvision.render.camera import Camera
from planetvision.render.lighting import paint_scene
from planetvision.render.scene import FILTERS, Scene, draw_scene

SIZE = 64


def create_scene(name: str, band: str, *, has_haze: bool) -> Scene:
    """Returns a full disc without anything else, through one filter, before a black sky."""
    scene = draw_scene(
        get_body(name),
        np.random.default_rng(3),
        image_size=SIZE,
        look="clean",
        phase_angle_degrees=5,
        camera=Camera(sub_observer_latitude_degrees=10, sub_observer_longitude_degrees=-150),
    )
    body = scene.body if has_haze else dataclasses.replace(scene.body, haze=None)
    index = FILTERS.index(band)
    return dataclasses.replace(scene, body=body, filters=(index,) * 3)


def measure_haze(name: str, band: str) -> float:
    """Returns how much of what is seen at the limb the air changes."""
    ground, seen = (
        paint_scene(np.zeros((SIZE, SIZE, 3), np.float32), create_scene(name, band, has_haze=has))
        for has in (False, True)
    )
    return float(np.abs(seen.light - ground.light)[ground.mask].mean() / ground.light.max())


@pytest.mark.parametrize("name", ["earth", "pluto", "mars"])
def test_air_hides_more_in_the_ultraviolet_than_in_the_infrared(name: str) -> None:
    assert measure_haze(name, "ultraviolet") > 1.5 * measure_haze(name, "infrared")


@pytest.mark.parametrize("name", [*BODIES, *OTHER_BODIES])
def test_air_hides_no_less_in_blue_than_in_red(name: str) -> None:
    haze = get_body(name).haze
    if haze is not None:
        red, green, blue, ultraviolet, infrared, methane = haze.band_depths
        assert 0 < red <= green <= blue <= ultraviolet
        assert 0 < max(infrared, methane) <= red * 1.01
        levels = (*haze.veil, *haze.glow, *haze.veil_bands, *haze.glow_bands)
        assert all(0 <= level <= 255 for level in levels)
