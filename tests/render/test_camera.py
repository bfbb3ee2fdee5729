"""The camera: what is fixed is fixed, and nothing else changes."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from planetvision.core.errors import SettingsError
from planetvision.render import Camera, render_body
from planetvision.render.appearance import get_body
from planetvision.render.scene import draw_scene

KEYS = (
    "sub_observer_latitude_degrees",
    "sub_observer_longitude_degrees",
    "position_angle_degrees",
)


@pytest.mark.parametrize("look", ["clean", "photo"])
@pytest.mark.parametrize("key", KEYS)
def test_what_is_fixed_is_so_and_the_rest_stays(look: str, key: str) -> None:
    free = render_body("mars", image_size=48, seed=5, look=look).parameters
    camera = Camera(**{key: 12.5})
    fixed = render_body("mars", image_size=48, seed=5, look=look, camera=camera).parameters
    assert fixed[key] == 12.5
    for other in (*KEYS, "phase_angle_degrees", "variant", "background", "filters"):
        if other != key:
            assert fixed[other] == free[other], other


@pytest.mark.parametrize("distance", [1.5, 10.0])
def test_distance_and_field_of_view_set_the_size_of_the_disc(distance: float) -> None:
    camera = Camera(distance_radii=distance, field_of_view_degrees=120 if distance < 2 else 20)
    rendered = render_body("moon", image_size=200, seed=1, phase_angle_degrees=0, camera=camera)
    # The limb is seen at the angle asin(1 / distance) from the centre.
    half_field = math.tan(math.radians(60 if distance < 2 else 10))
    expected = 100 * math.tan(math.asin(1 / distance)) / half_field
    assert rendered.parameters["radius_pixels"] == pytest.approx(expected)
    assert rendered.mask.sum() == pytest.approx(math.pi * expected**2, rel=0.03)


def test_nearby_camera_sees_less_of_the_globe(tmp_path: Path) -> None:
    """From 1.2 radii, 34 degrees about the point below are in sight: no pole from the equator."""
    rows = np.zeros((90, 180, 3), np.uint8)
    rows[..., 0] = 200
    # Blue beyond 40 degrees.
    rows[:25] = rows[-25:] = (0, 0, 200)
    Image.fromarray(rows).save(tmp_path / "rhea.png")
    poles = {}
    for distance in (1.2, 1000.0):
        camera = Camera(distance_radii=distance, sub_observer_latitude_degrees=0)
        rendered = render_body(
            "rhea", image_size=96, seed=2, phase_angle_degrees=0, camera=camera, maps=tmp_path
        )
        red, _, blue = rendered.image[rendered.mask].astype(int).T
        poles[distance] = float((blue > red).mean())
    # From afar the share of a disc beyond a latitude b is 1 - 2 (b + sin b cos b) / pi.
    assert poles[1000.0] == pytest.approx(0.242, abs=0.03)
    assert poles[1.2] == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"distance_radii": 1.0}, r"`distance_radii` must be a number over 1, got 1\.0\."),
        ({"distance_radii": "far"}, r"`distance_radii` must be a number over 1, got 'far'\."),
        (
            {"distance_radii": 9, "field_of_view_degrees": 180},
            r"`field_of_view_degrees` must be a number between 0 and 180, got 180\.",
        ),
        ({"field_of_view_degrees": 10}, r"needs a finite `distance_radii`, got None\. Pass both"),
        (
            {"distance_radii": math.inf, "field_of_view_degrees": 10},
            r"needs a finite `distance_radii`, got inf\.",
        ),
        ({"sub_observer_latitude_degrees": 91}, r"must be a number in \[-90, 90\], got 91\."),
        ({"sub_observer_longitude_degrees": math.nan}, r"in \[-360, 360\], got nan\."),
        ({"position_angle_degrees": True}, r"in \[-360, 360\], got True\."),
    ],
)
def test_impossible_camera_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        Camera(**arguments)


def test_all_that_is_wrong_is_named_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        Camera(distance_radii=0.5, position_angle_degrees=999)
    assert len(caught.value.problems) == 2


@pytest.mark.slow
@pytest.mark.parametrize("name", ["uranus", "neptune"])
@pytest.mark.parametrize("distance", [1.2, 2.0, 51_210 / 25_559, 2.1, 63_100 / 24_764, 2.6, 9.0])
def test_faint_rings_are_left_out_from_within_them(name: str, distance: float) -> None:
    """From any distance there is a picture, with rings only where they lie before the camera."""
    body, camera, shown = get_body(name), Camera(distance_radii=distance), set()
    for seed in range(40):
        rendered = render_body(name, image_size=24, seed=seed, look="photo", camera=camera)
        assert rendered.parameters["radius_over_distance"] == pytest.approx(1 / distance)
        rng = np.random.default_rng(seed)
        scene = draw_scene(body, rng, image_size=24, look="photo", camera=camera)
        shown.add(scene.shows_rings)
    assert (True in shown) == (distance > 1.1 * body.ring_extent)


def test_camera_within_the_rings_is_refused() -> None:
    message = r"must be beyond the rings of saturn, which reach 2\.27 radii, got 2\. Pass 4\."
    with pytest.raises(SettingsError, match=message):
        render_body("saturn", image_size=32, camera=Camera(distance_radii=2))
