"""The look `photo`: all that varies does, and there is always something to see."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from planetvision.core.errors import UnknownNameError
from planetvision.render import BODIES, OTHER_BODIES, Camera, render_body
from planetvision.render.appearance import get_body
from planetvision.render.lighting import paint_scene
from planetvision.render.scene import FILTERS, LOOKS, draw_scene

SIZE = 48
SEEDS = range(120)


@pytest.fixture(scope="module")
def drawn() -> list[dict[str, float | int | str | bool]]:
    return [
        dict(render_body(name, image_size=SIZE, seed=seed, look="photo").parameters)
        for seed in SEEDS
        for name in ("jupiter", "moon")
    ]


@pytest.mark.slow
@pytest.mark.parametrize("name", [*BODIES, *OTHER_BODIES])
def test_every_body_can_be_drawn_in_every_look(name: str) -> None:
    for look in LOOKS:
        for seed in range(4):
            rendered = render_body(name, image_size=SIZE, seed=seed, look=look)
            again = render_body(name, image_size=SIZE, seed=seed, look=look)
            np.testing.assert_array_equal(rendered.image, again.image)
            assert rendered.image.shape == (SIZE, SIZE, 3)
            assert rendered.label == name
            assert rendered.mask.any()
            assert rendered.parameters["look"] == look


def test_there_is_always_something_of_the_body_to_see() -> None:
    for seed in range(60):
        rendered = render_body("uranus", image_size=SIZE, seed=seed, look="photo")
        assert rendered.mask.sum() >= 2
        assert rendered.image[rendered.mask].max() > 30


@pytest.mark.slow
def test_sizes_go_from_a_few_pixels_to_more_than_the_frame(
    drawn: list[dict[str, float | int | str | bool]],
) -> None:
    radii = np.array([float(it["radius_pixels"]) for it in drawn])
    assert radii.min() < 0.1 * SIZE
    assert radii.max() > 0.7 * SIZE


def test_one_in_twelve_is_a_few_pixels_wide() -> None:
    body = get_body("neptune")
    rng = np.random.default_rng(0)
    scenes = [draw_scene(body, rng, image_size=SIZE, look="photo") for _ in range(600)]
    radii = np.array([scene.view.radius_pixels for scene in scenes]) / SIZE
    assert 0.05 < np.mean(radii < 0.048) < 0.13
    assert 0.017 < radii.min() < 0.03


@pytest.mark.parametrize(("name", "nearest"), [("moon", 5.0), ("mars", 2.8)])
def test_ground_without_air_is_seen_from_nearer(name: str, nearest: float) -> None:
    rng = np.random.default_rng(0)
    scenes = [draw_scene(get_body(name), rng, image_size=SIZE, look="photo") for _ in range(300)]
    widest = max(scene.view.radius_pixels for scene in scenes) / (0.49 * SIZE)
    assert 0.8 * nearest < widest <= nearest * 1.01


def test_some_are_partly_out_of_the_frame_and_most_are_not() -> None:
    cut = 0
    for seed in SEEDS:
        mask = render_body("mars", image_size=SIZE, seed=seed, look="photo").mask
        cut += bool(mask[0].any() or mask[-1].any() or mask[:, 0].any() or mask[:, -1].any())
    assert 0.1 < cut / len(SEEDS) < 0.5


def test_filters_are_mostly_natural_and_all_are_used(
    drawn: list[dict[str, float | int | str | bool]],
) -> None:
    chosen = [str(it["filters"]) for it in drawn]
    assert 0.55 < np.mean([it == "red+green+blue" for it in chosen]) < 0.8
    assert {band for it in chosen for band in it.split("+")} == set(FILTERS)


def test_some_skies_moons_phases_and_eclipses_occur(
    drawn: list[dict[str, float | int | str | bool]],
) -> None:
    assert {str(it["background"]) for it in drawn} >= {"black", "stars", "glow", "page", "daylight"}
    assert {it["num_moons"] for it in drawn} >= {0, 1}
    assert any(it["is_eclipsed"] for it in drawn)
    phases = [float(it["phase_angle_degrees"]) for it in drawn]
    assert min(phases) < 5
    assert max(phases) > 100


@pytest.mark.parametrize(("name", "low", "high"), [("uranus", 0.06, 0.15), ("mars", 0, 0.03)])
def test_faint_bodies_stand_before_deep_fields_more_often(
    name: str, low: float, high: float
) -> None:
    rng = np.random.default_rng(0)
    scenes = [draw_scene(get_body(name), rng, image_size=SIZE, look="photo") for _ in range(400)]
    assert low <= np.mean([scene.background == "deep_field" for scene in scenes]) < high


def test_full_moon_in_eclipse_is_red() -> None:
    seen = []
    for seed in range(400):
        rendered = render_body("moon", image_size=32, seed=seed, look="photo")
        it = rendered.parameters
        if it["is_eclipsed"] and it["filters"] == "red+green+blue" and not it["is_monochrome"]:
            red, _, blue = rendered.image[rendered.mask].astype(float).mean(axis=0)
            seen.append(red / max(blue, 1))
    assert len(seen) > 3
    assert max(seen) > 1.5


@pytest.mark.slow
def test_neptune_is_dark_in_the_methane_band_beside_its_clouds() -> None:
    """Its clouds stand out from a disc that methane darkens, more than in blue light."""
    contrasts: dict[str, list[float]] = {"methane+methane+methane": [], "blue+blue+blue": []}
    for seed in range(900):
        rendered = render_body("neptune", image_size=32, seed=seed, look="photo")
        values = contrasts.get(str(rendered.parameters["filters"]))
        if values is not None and float(rendered.parameters["radius_pixels"]) > 8:
            gray = rendered.image[rendered.mask].max(axis=1).astype(float)
            values.append(float(np.quantile(gray, 0.5) / max(np.quantile(gray, 0.98), 1)))
    methane, blue = contrasts.values()
    assert min(len(methane), len(blue)) >= 4
    assert np.median(methane) < np.median(blue)


def test_unknown_look_suggests_the_nearest() -> None:
    with pytest.raises(
        UnknownNameError,
        match=r"Unknown look 'foto'\. Did you mean 'photo'\? Known: clean, photo\.",
    ):
        render_body("mars", image_size=32, look="foto")


@pytest.mark.slow
def test_picture_through_one_filter_is_gray_all_over() -> None:
    """Moons, skies, eclipses and white balance too; a JPEG file keeps gray to a level or two."""
    kinds = set()
    for name in ("moon", "jupiter", "uranus"):
        for seed in range(260):
            rendered = render_body(name, image_size=32, seed=seed, look="photo")
            it = rendered.parameters
            if it["is_monochrome"]:
                assert np.ptp(rendered.image.astype(int), axis=-1).max() <= 2, (name, seed)
                kinds |= {str(it["background"]), *(["moons"] if it["num_moons"] else [])}
                kinds |= {"eclipse"} if it["is_eclipsed"] else set()
    assert kinds >= {"daylight", "glow", "gradient", "plain", "stars", "page", "moons", "eclipse"}


def test_moon_is_eclipsed_only_while_it_is_full() -> None:
    eclipsed = []
    for seed in range(200):
        free = render_body("moon", image_size=16, seed=seed, look="photo").parameters
        if free["is_eclipsed"]:
            eclipsed.append(seed)
            assert float(free["phase_angle_degrees"]) <= 1.5
    assert len(eclipsed) > 6
    for phase, expected in ((1.0, True), (40.0, False)):
        given = render_body(
            "moon", image_size=16, seed=eclipsed[0], look="photo", phase_angle_degrees=phase
        )
        assert given.parameters["is_eclipsed"] is expected


@pytest.mark.slow
def test_sun_has_no_moons_and_giants_do() -> None:
    counts = {
        name: sum(
            bool(render_body(name, image_size=16, seed=seed, look="photo").parameters["num_moons"])
            for seed in range(150)
        )
        for name in ("sun", "jupiter", "mars")
    }
    assert counts["sun"] == 0
    assert counts["jupiter"] > 20
    assert 0 < counts["mars"] < 25


@pytest.mark.parametrize("name", ["moon", "mars", "saturn"])
def test_what_is_given_leaves_the_rest_even_where_a_scene_is_drawn_again(name: str) -> None:
    keys = ("variant", "background", "filters", "jpeg_quality", "num_moons", "blur_pixels")
    for seed in range(120):
        free = render_body(name, image_size=16, seed=seed, look="photo").parameters
        given = render_body(
            name, image_size=16, seed=seed, look="photo", phase_angle_degrees=179
        ).parameters
        assert [given[key] for key in keys] == [free[key] for key in keys], seed


@pytest.mark.parametrize("name", ["uranus", "neptune"])
def test_faint_rings_stand_out_in_the_methane_band_and_not_in_natural_colour(name: str) -> None:
    scene = draw_scene(
        get_body(name),
        np.random.default_rng(1),
        image_size=96,
        look="clean",
        phase_angle_degrees=2,
        camera=Camera(distance_radii=40, field_of_view_degrees=9, sub_observer_latitude_degrees=60),
    )
    sky = np.zeros((96, 96, 3), np.float32)
    methane = FILTERS.index("methane")
    natural = paint_scene(sky, scene)
    infrared = paint_scene(
        sky, dataclasses.replace(scene, filters=(methane,) * 3, is_metered=True, ring_gain=4.0)
    )
    center = (scene.view.center_row_pixels, scene.view.center_column_pixels)
    rows, columns = np.mgrid[:96, :96]
    far = np.hypot(rows - center[0], columns - center[1]) > 1.3 * scene.view.radius_pixels
    assert natural.light[far].max() == 0
    assert infrared.light[far].max() > 0.02
    np.testing.assert_array_equal(natural.mask, infrared.mask)


def test_balance_brings_the_channels_of_false_colour_to_one_level() -> None:
    scene = draw_scene(get_body("uranus"), np.random.default_rng(1), image_size=48, look="clean")
    filters = (FILTERS.index("methane"), FILTERS.index("infrared"), 1)
    spread = []
    for balance in (0.0, 1.0):
        painted = paint_scene(
            np.zeros((48, 48, 3), np.float32),
            dataclasses.replace(scene, filters=filters, is_metered=True, balance=balance),
        )
        high = np.quantile(painted.light[painted.mask], 0.9, axis=0)
        spread.append(high.max() / high.min())
    assert spread[0] > 3
    assert spread[1] == pytest.approx(1, abs=0.05)
