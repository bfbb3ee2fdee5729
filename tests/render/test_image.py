"""One picture: determinism, truth of the mask, light, colour, and wrong arguments."""

from __future__ import annotations

import math
import subprocess
import sys
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planetvision.core.errors import SettingsError, UnknownNameError
from planetvision.render import BODIES, RenderedImage, render_body

SIZE = 64


def get_number(rendered: RenderedImage, key: str) -> float:
    return float(rendered.parameters[key])


def mean_colour(name: str) -> npt.NDArray[np.float64]:
    """Returns the mean colour of the lit half of several full discs."""
    colours = []
    for seed in range(6):
        rendered = render_body(name, image_size=SIZE, seed=seed, phase_angle_degrees=10)
        pixels = rendered.image[rendered.mask].astype(np.float64)
        bright = pixels.mean(axis=1) >= np.median(pixels.mean(axis=1))
        colours.append(pixels[bright].mean(axis=0))
    return np.asarray(np.mean(colours, axis=0))


def lit_fraction(rendered: RenderedImage) -> float:
    return float((rendered.image[rendered.mask].max(axis=1) > 60).mean())


@pytest.mark.parametrize("name", list(BODIES))
def test_same_arguments_give_the_same_bytes(name: str) -> None:
    first = render_body(name, image_size=SIZE, seed=7)
    again = render_body(name, image_size=SIZE, seed=7)
    assert first.image.tobytes() == again.image.tobytes()
    assert first.mask.tobytes() == again.mask.tobytes()
    assert first.parameters == again.parameters
    assert first.label == name


def test_another_process_gives_the_same_bytes() -> None:
    code = (
        "import hashlib; from planetvision.render import render_body; "
        "print(hashlib.sha256(render_body('mars', image_size=48, seed=5).image).hexdigest())"
    )
    import hashlib

    there = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    here = hashlib.sha256(render_body("mars", image_size=48, seed=5).image.tobytes()).hexdigest()
    assert there.stdout.strip() == here


@pytest.mark.parametrize("name", list(BODIES))
def test_another_seed_gives_another_image(name: str) -> None:
    first = render_body(name, image_size=SIZE, seed=1)
    second = render_body(name, image_size=SIZE, seed=2)
    assert not np.array_equal(first.image, second.image)
    assert first.parameters["center_row_pixels"] != second.parameters["center_row_pixels"]


def test_importing_the_room_loads_neither_torch_nor_opencv_nor_scipy() -> None:
    code = (
        "import sys, planetvision.render; "
        "print(sorted({'torch', 'cv2', 'scipy', 'timm'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.slow
@given(
    name=st.sampled_from(list(BODIES)),
    size=st.integers(32, 96),
    seed=st.integers(-(2**70), 2**70),
)
@settings(max_examples=60, deadline=None)
def test_any_seed_and_size_give_a_body_inside_the_frame(name: str, size: int, seed: int) -> None:
    rendered = render_body(name, image_size=size, seed=seed)
    assert rendered.image.dtype == np.uint8
    assert rendered.image.shape == (size, size, 3)
    assert rendered.mask.dtype == np.bool_
    assert rendered.mask.shape == (size, size)
    assert rendered.mask.any()
    edges = (rendered.mask[0], rendered.mask[-1], rendered.mask[:, 0], rendered.mask[:, -1])
    assert not any(edge.any() for edge in edges)
    assert all(
        math.isfinite(value)
        for value in rendered.parameters.values()
        if isinstance(value, float | int)
    )


@pytest.mark.parametrize("name", [name for name in BODIES if name != "saturn"])
@pytest.mark.parametrize("seed", range(4))
def test_mask_covers_the_disc_that_the_parameters_tell(name: str, seed: int) -> None:
    rendered = render_body(name, image_size=96, seed=seed)
    radius, polar = (
        get_number(rendered, "radius_pixels"),
        get_number(rendered, "polar_radius_pixels"),
    )
    assert rendered.mask.sum() == pytest.approx(math.pi * radius * polar, rel=0.03)
    rows, columns = np.nonzero(rendered.mask)
    assert rows.mean() == pytest.approx(get_number(rendered, "center_row_pixels"), abs=0.3)
    assert columns.mean() == pytest.approx(get_number(rendered, "center_column_pixels"), abs=0.3)
    assert rendered.parameters["ring_radius_pixels"] == 0


@pytest.mark.parametrize("seed", range(6))
def test_mask_of_saturn_reaches_to_the_outer_edge_of_its_rings(seed: int) -> None:
    rendered = render_body("saturn", image_size=128, seed=seed)
    rows, columns = np.nonzero(rendered.mask)
    away = np.hypot(
        rows - get_number(rendered, "center_row_pixels"),
        columns - get_number(rendered, "center_column_pixels"),
    ).max()
    ring = get_number(rendered, "ring_radius_pixels")
    assert ring == pytest.approx(get_number(rendered, "radius_pixels") * 136_775 / 60_268)
    # The plane is edge-on enough to lose a pixel or two at the tips of its ellipse.
    assert ring - 4 < away < ring + 1


@pytest.mark.parametrize("name", list(BODIES))
def test_body_is_brighter_than_the_sky_around_it(name: str) -> None:
    rendered = render_body(name, image_size=SIZE, seed=3, phase_angle_degrees=0)
    assert rendered.image[rendered.mask].mean() > 3 * rendered.image[~rendered.mask].mean() + 30


@pytest.mark.parametrize("name", list(BODIES))
@pytest.mark.parametrize("seed", range(3))
def test_full_phase_is_lit_more_than_a_crescent(name: str, seed: int) -> None:
    full, crescent = (
        render_body(name, image_size=SIZE, seed=seed, phase_angle_degrees=angle)
        for angle in (0, 120)
    )
    assert lit_fraction(full) > lit_fraction(crescent) + 0.2
    np.testing.assert_array_equal(full.mask, crescent.mask)
    assert (full.parameters["phase_angle_degrees"], crescent.parameters["phase_angle_degrees"]) == (
        0,
        120,
    )


def test_lit_fraction_of_the_moon_follows_the_phase() -> None:
    # The illuminated fraction of a sphere's disc is (1 + cos(phase)) / 2.
    for angle in (0, 60, 90):
        rendered = render_body("moon", image_size=96, seed=4, phase_angle_degrees=angle)
        expected = (1 + math.cos(math.radians(angle))) / 2
        lit = (rendered.image[rendered.mask].max(axis=1) > 25).mean()
        assert lit == pytest.approx(expected, abs=0.06)


def test_night_side_at_phase_180_is_dark() -> None:
    for name in BODIES:
        rendered = render_body(name, image_size=SIZE, seed=0, phase_angle_degrees=180)
        assert np.median(rendered.image[rendered.mask]) < 60


def test_drawn_phases_are_mostly_gibbous_with_some_crescents() -> None:
    phases = [
        get_number(render_body("uranus", image_size=16, seed=seed), "phase_angle_degrees")
        for seed in range(150)
    ]
    assert 25 < float(np.median(phases)) < 65
    assert max(phases) > 90
    assert min(phases) >= 0


def test_mean_colours_are_ordered_as_the_bodies_are() -> None:
    colours = {name: mean_colour(name) for name in BODIES}
    red, green, blue = colours["mars"]
    assert red > 1.2 * green > 1.2 * blue
    red, green, blue = colours["neptune"]
    assert blue > 1.2 * green > 1.2 * red
    red, green, blue = colours["uranus"]
    assert min(green, blue) > 1.08 * red
    # Uranus is the paler of the two.
    assert blue / red < 0.75 * colours["neptune"][2] / colours["neptune"][0]
    assert np.ptp(colours["moon"]) < 0.08 * colours["moon"].mean()
    red, _, blue = colours["earth"]
    assert blue > red
    for name in ("jupiter", "saturn"):
        red, green, blue = colours[name]
        assert red > green > blue
    red_over_blue = {name: colours[name][0] / colours[name][2] for name in colours}
    assert red_over_blue["mars"] > red_over_blue["saturn"] > red_over_blue["jupiter"]


def test_saturn_shows_the_cassini_division_on_an_open_ring() -> None:
    # Of the first seeds, the one whose rings are widest open.
    rendered = max(
        (
            render_body("saturn", image_size=224, seed=seed, phase_angle_degrees=6)
            for seed in range(12)
        ),
        key=lambda one: (
            abs(get_number(one, "sub_observer_latitude_degrees")) * get_number(one, "radius_pixels")
        ),
    )
    angle = math.radians(get_number(rendered, "position_angle_degrees"))
    radius = get_number(rendered, "radius_pixels")
    light = rendered.image.mean(axis=2)

    def look(radius_km: float) -> float:
        reach = radius * radius_km / 60_268
        values = []
        for side in (-1, 1):
            row = get_number(rendered, "center_row_pixels") - side * reach * math.sin(angle)
            column = get_number(rendered, "center_column_pixels") + side * reach * math.cos(angle)
            values.append(light[round(row), round(column)])
        return float(max(values))

    assert look(119_900) < 0.75 * min(look(112_000), look(127_000))
    assert look(80_000) < 0.6 * look(112_000)


def test_every_background_is_drawn() -> None:
    kinds = {
        render_body("moon", image_size=16, seed=seed).parameters["background"] for seed in range(40)
    }
    assert kinds == {"black", "stars", "gradient"}


def test_numpy_integers_are_taken_as_integers() -> None:
    plain = render_body("mars", image_size=32, seed=9)
    numpy = render_body("mars", image_size=cast(int, np.int64(32)), seed=cast(int, np.uint8(9)))
    np.testing.assert_array_equal(plain.image, numpy.image)


def test_unknown_body_suggests_the_nearest() -> None:
    with pytest.raises(
        UnknownNameError, match=r"Unknown body 'satrun'\. Did you mean 'saturn' or 'sun'\?"
    ):
        render_body("satrun")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"image_size": 15}, r"`image_size` must be a whole number of at least 16, got 15\. Pass"),
        ({"image_size": 64.0}, r"`image_size` must be a whole number of at least 16, got 64\.0\."),
        ({"image_size": True}, r"`image_size` must be .*, got True\."),
        ({"seed": 0.5}, r"`seed` must be a whole number, got 0\.5\. Pass an int, such as 0\."),
        ({"seed": None}, r"`seed` must be a whole number, got None\."),
        (
            {"phase_angle_degrees": -1},
            r"`phase_angle_degrees` must be a number in \[0, 180\], got -1\. Pass 0 for a full",
        ),
        ({"phase_angle_degrees": 180.5}, r"`phase_angle_degrees` .* got 180\.5\."),
        ({"phase_angle_degrees": math.nan}, r"`phase_angle_degrees` .* got nan\."),
        ({"phase_angle_degrees": "90"}, r"`phase_angle_degrees` .* got '90'\."),
        ({"phase_angle_degrees": False}, r"`phase_angle_degrees` .* got False\."),
    ],
)
def test_wrong_argument_says_given_expected_and_remedy(
    arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(SettingsError, match=message):
        render_body("mars", **arguments)


def test_rendered_images_are_each_equal_to_itself_alone() -> None:
    first, second = (render_body("mars", image_size=16, seed=0) for _ in range(2))
    assert first == first  # that it can be asked is the point
    assert first != second
    assert len({first, second, first}) == 2
