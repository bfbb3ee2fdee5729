"""The whole disc from its limb: night side, oblateness, rings, cut discs, and bad light."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from planetvision.imaging.disc.finder import find_body
from planetvision.imaging.disc.region import BodyRegion
from planetvision.render import BODIES, RenderedImage, render_body


def get_iou(first: npt.NDArray[np.bool_], second: npt.NDArray[np.bool_]) -> float:
    return float((first & second).sum() / (first | second).sum())


@cache
def find_rendered(name: str, seed: int, phase: int) -> tuple[RenderedImage, BodyRegion]:
    rendered = render_body(name, image_size=200, seed=seed, phase_angle_degrees=phase)
    region = find_body(rendered.image)
    assert region is not None, (name, seed, phase)
    return rendered, region


def paint_sphere(
    size: int, *, center: tuple[float, float], radius: float, phase_degrees: float
) -> npt.NDArray[np.uint8]:
    """A Lambert sphere lit from the right; the centre is (row, column)."""
    rows, columns = np.mgrid[:size, :size].astype(float)
    x, y = (columns - center[1]) / radius, (rows - center[0]) / radius
    inside = x**2 + y**2 <= 1
    z = np.sqrt(np.clip(1 - x**2 - y**2, 0, 1))
    phase = np.radians(phase_degrees)
    light = np.clip(x * np.sin(phase) + z * np.cos(phase), 0, 1) ** (1 / 2.2)
    return np.repeat((230 * light * inside)[..., None], 3, axis=2).astype(np.uint8)


@pytest.mark.slow
@pytest.mark.parametrize("name", BODIES)
def test_disc_overlaps_the_true_mask_from_full_to_quarter(name: str) -> None:
    overlaps = []
    for seed, phase in enumerate(range(0, 91, 10)):
        rendered, region = find_rendered(name, seed, phase)
        overlaps.append(get_iou(region.create_mask(), rendered.mask))
    assert float(np.median(overlaps)) >= 0.95


@pytest.mark.parametrize("name", ["mars", "moon", "neptune"])
def test_disc_of_a_crescent_is_the_whole_disc(name: str) -> None:
    overlaps, lit = [], []
    for seed in range(5):
        rendered, region = find_rendered(name, seed, 120)
        overlaps.append(get_iou(region.create_mask(), rendered.mask))
        lit.append(region.lit_fraction)
    assert float(np.median(overlaps)) >= 0.9
    # (1 + cos 120 degrees) / 2 is a quarter; soft light and blur add a little.
    assert 0.15 < float(np.median(lit)) < 0.4


@pytest.mark.parametrize(("phase", "lit"), [(0, 1.0), (60, 0.75), (90, 0.5), (120, 0.25)])
def test_lit_fraction_is_that_of_the_phase(phase: float, lit: float) -> None:
    region = find_body(paint_sphere(240, center=(120, 100), radius=70, phase_degrees=phase))
    assert region is not None
    assert region.lit_fraction == pytest.approx(lit, abs=0.06)
    assert region.ellipse.center_row == pytest.approx(120, abs=3)
    assert region.ellipse.center_column == pytest.approx(100, abs=4)
    assert region.ellipse.semi_major == pytest.approx(70, rel=0.06)


def test_ellipse_of_an_oblate_disc_has_its_axes_and_angle() -> None:
    image = np.zeros((300, 400, 3), np.uint8)
    cv2.ellipse(image, (180, 140), (100, 90), -30, 0, 360, (180, 160, 140), -1, cv2.LINE_AA)
    region = find_body(image)
    assert region is not None
    ellipse = region.ellipse
    assert (ellipse.center_column, ellipse.center_row) == pytest.approx((180, 140), abs=0.7)
    assert (ellipse.semi_major, ellipse.semi_minor) == pytest.approx((100, 90), abs=1.5)
    assert ellipse.angle_degrees == pytest.approx(30, abs=5)
    assert region.rings is None


def test_oblateness_of_jupiter_is_seen_and_the_moon_is_round() -> None:
    ratios = {}
    for name in ("jupiter", "moon"):
        found = [find_rendered(name, seed, 10 * seed)[1].ellipse for seed in range(5)]
        ratios[name] = float(np.median([one.semi_minor / one.semi_major for one in found]))
    assert ratios["jupiter"] == pytest.approx(66_854 / 71_492, abs=0.025)
    assert ratios["moon"] == pytest.approx(1.0, abs=0.025)


def test_rings_are_where_the_renderer_drew_them() -> None:
    for seed in range(6):
        rendered, region = find_rendered("saturn", seed, 15 * seed)
        truth = rendered.parameters
        assert region.rings is not None, seed
        assert region.rings.semi_major == pytest.approx(truth["ring_radius_pixels"], rel=0.04)
        assert region.ellipse.semi_major == pytest.approx(truth["radius_pixels"], rel=0.04)
        # The mask leaves out the gap between globe and rings.
        filled = region.rings.create_mask(200, 200) | region.ellipse.create_mask(200, 200)
        assert np.count_nonzero(filled) > np.count_nonzero(region.create_mask())


@pytest.mark.parametrize("name", [name for name in BODIES if name != "saturn"])
def test_bodies_without_rings_get_none(name: str) -> None:
    found = [find_rendered(name, seed, 10 * seed)[1] for seed in range(9)]
    assert [region.rings for region in found] == [None] * 9


@pytest.mark.parametrize("name", ["earth", "saturn"])
def test_box_and_area_are_those_of_the_mask(name: str) -> None:
    for seed in range(4):
        _, region = find_rendered(name, seed, 20 * seed)
        mask = region.create_mask()
        rows, columns = np.nonzero(mask)
        assert (region.top, region.left) == (rows.min(), columns.min())
        assert (region.bottom, region.right) == (rows.max() + 1, columns.max() + 1)
        assert region.area_fraction == pytest.approx(mask.mean(), rel=0.01)


def test_disc_that_the_frame_cuts_reaches_beyond_it_and_the_box_does_not() -> None:
    image = np.zeros((200, 300, 3), np.uint8)
    cv2.circle(image, (30, 150), 100, (200, 180, 160), -1, cv2.LINE_AA)
    region = find_body(image)
    assert region is not None
    assert region.ellipse.semi_major == pytest.approx(100, rel=0.04)
    assert region.ellipse.center_column == pytest.approx(30, abs=4)
    assert (region.left, region.bottom) == (0, 200)
    assert region.create_mask().shape == (200, 300)
    assert region.confidence == pytest.approx(0.6, abs=0.02), "two sides are cut"


def test_small_disc_in_a_large_frame_is_measured_from_near_by() -> None:
    image = np.zeros((1500, 2000, 3), np.uint8)
    cv2.circle(image, (1400, 300), 60, (200, 180, 160), -1, cv2.LINE_AA)
    region = find_body(image)
    assert region is not None
    # One pixel of the reduced frame is 7.8 of this one.
    assert region.ellipse.semi_major == pytest.approx(60, abs=1.5)
    assert region.ellipse.center_column == pytest.approx(1400, abs=1.0)
    assert region.ellipse.center_row == pytest.approx(300, abs=1.0)


@pytest.mark.parametrize("turn", [1, 2, 3])
def test_disc_turns_with_the_frame(turn: int) -> None:
    rendered, region = find_rendered("jupiter", 2, 50)
    turned = find_body(np.ascontiguousarray(np.rot90(rendered.image, turn)))
    assert turned is not None
    assert get_iou(turned.create_mask(), np.rot90(region.create_mask(), turn)) > 0.95


@pytest.mark.parametrize("phase", [0, 60])
def test_starry_and_sloping_sky_changes_little(phase: float) -> None:
    plain = paint_sphere(256, center=(120, 140), radius=60, phase_degrees=phase)
    rng = np.random.default_rng(5)
    slope = np.add.outer(np.linspace(10, 30, 256), np.linspace(5, 25, 256))
    noisy = plain + slope[..., None] + rng.normal(0, 2, plain.shape)
    for row, column in rng.integers(2, 254, (150, 2)):
        noisy[row : row + 2, column : column + 2] += rng.uniform(20, 220)
    before, after = find_body(plain), find_body(np.clip(noisy, 0, 255).astype(np.uint8))
    assert before is not None
    assert after is not None
    assert get_iou(before.create_mask(), after.create_mask()) > 0.93
    assert after.confidence > 0.7


def test_confidence_falls_for_what_is_no_disc() -> None:
    star = np.zeros((200, 200, 3), np.uint8)
    angles = np.arange(10) * np.pi / 5
    radii = np.where(np.arange(10) % 2, 30, 90)
    points = np.stack([100 + radii * np.cos(angles), 100 + radii * np.sin(angles)], axis=1)
    cv2.fillPoly(star, [points.astype(np.int32)], (200, 200, 200))
    bar = np.zeros((200, 200, 3), np.uint8)
    bar[95:105, 20:180] = 200
    for image in (star, bar):
        region = find_body(image)
        assert region is None or region.confidence < 0.5


def create_textures() -> dict[str, npt.NDArray[np.uint8]]:
    rng = np.random.default_rng(0)
    cloud = cv2.GaussianBlur(rng.normal(0, 1, (160, 200)).astype(np.float32), (0, 0), 6)
    cloud = (128 + 40 * cloud / cloud.std()).clip(0, 255)
    checks = 200 * (np.add.outer(np.arange(160) // 20, np.arange(200) // 20) % 2)
    stripes = np.broadcast_to(100 + 90 * np.sin(np.arange(200) / 5), (160, 200))
    ramp = np.broadcast_to(np.linspace(0, 255, 200), (160, 200))
    text = np.full((160, 200), 255, np.uint8)
    for row in range(20, 160, 20):
        cv2.putText(text, "no body here", (5, row), cv2.FONT_HERSHEY_SIMPLEX, 0.6, 0, 1)
    stars = np.zeros((160, 200))
    for row, column in rng.integers(1, 158, (200, 2)):
        stars[row : row + 2, column] = rng.uniform(40, 255)
    textures = {"cloud": cloud, "checks": checks, "stripes": stripes, "ramp": ramp}
    textures |= {"text": text, "stars": stars}
    return {
        name: np.repeat(image[..., None], 3, axis=2).astype(np.uint8)
        for name, image in textures.items()
    }


@pytest.mark.parametrize("name", create_textures())
def test_textures_hold_no_body(name: str) -> None:
    assert find_body(create_textures()[name]) is None
