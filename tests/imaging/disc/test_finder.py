"""Where the body is: against the true mask of rendered bodies, and "not found" where it should."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from planetvision.imaging.disc import finder as body
from planetvision.imaging.disc.ellipse import Ellipse
from planetvision.imaging.disc.finder import find_body
from planetvision.imaging.disc.region import BodyRegion
from planetvision.render import BODIES, render_body

Box = tuple[int, int, int, int]


def get_box(mask: npt.NDArray[np.bool_]) -> Box:
    rows, columns = np.nonzero(mask)
    return (
        int(rows.min()),
        int(columns.min()),
        int(rows.max()) + 1,
        int(columns.max()) + 1,
    )


def get_region_box(region: BodyRegion) -> Box:
    return region.top, region.left, region.bottom, region.right


def get_overlap(first: Box, second: Box) -> float:
    """The intersection over the union of two boxes."""
    height = min(first[2], second[2]) - max(first[0], second[0])
    width = min(first[3], second[3]) - max(first[1], second[1])
    shared = max(0, height) * max(0, width)
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (first, second))
    return shared / (areas - shared)


def draw_disc(
    height: int, width: int, *, center: tuple[int, int], radius: int, level: int = 200
) -> npt.NDArray[np.uint8]:
    image = np.zeros((height, width, 3), np.uint8)
    cv2.circle(image, center, radius, (level, level, level), thickness=-1)
    return image


@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize(("image_size", "num_seeds"), [(64, 5), (150, 1)])
def test_find_body_agrees_with_the_true_mask(name: str, image_size: int, num_seeds: int) -> None:
    for seed in range(num_seeds):
        rendered = render_body(name, image_size=image_size, seed=seed, phase_angle_degrees=10)
        region = find_body(rendered.image)
        assert region is not None
        assert get_overlap(get_region_box(region), get_box(rendered.mask)) > 0.85, seed
        assert 0 < region.confidence <= 1
        # A disc is pi/4 of its box or less, and the region never more than its box.
        box_share = (region.bottom - region.top) * (region.right - region.left) / image_size**2
        assert 0.2 * box_share < region.area_fraction <= 1.05 * box_share


def test_find_body_on_a_drawn_disc_gives_its_edges() -> None:
    region = find_body(draw_disc(100, 160, center=(110, 40), radius=20))
    assert region is not None
    assert get_region_box(region) == pytest.approx((20, 90, 61, 131), abs=1)
    assert region.area_fraction == pytest.approx(np.pi * 20**2 / 16000, rel=0.1)
    assert region.confidence == 1.0


def test_find_body_that_is_half_in_shadow_is_found_whole() -> None:
    image = draw_disc(100, 160, center=(80, 50), radius=40)
    image[:, 80:] = image[:, 80:] // 3  # 66 of 200: under Otsu's level
    region = find_body(image)
    assert region is not None
    assert get_region_box(region) == pytest.approx((10, 40, 91, 121), abs=1)


def test_find_body_in_a_large_frame_gives_pixels_of_that_frame() -> None:
    region = find_body(draw_disc(1200, 900, center=(300, 700), radius=150))
    assert region is not None
    # It works on 256 pixels, so an edge is known to about 1200 / 256 pixels.
    assert get_region_box(region) == pytest.approx((550, 150, 851, 451), abs=6)


def test_find_body_takes_the_larger_of_two_and_is_less_sure() -> None:
    image = draw_disc(120, 200, center=(50, 60), radius=30)
    alone = find_body(image)
    cv2.circle(image, (160, 60), 20, (200, 200, 200), thickness=-1)
    region = find_body(image)
    assert alone is not None
    assert region is not None
    assert get_region_box(region) == pytest.approx((30, 20, 91, 81), abs=1)
    assert region.confidence == pytest.approx(30**2 / (30**2 + 20**2), abs=0.03)
    assert region.confidence < alone.confidence == 1.0


def test_find_body_that_the_frame_cuts_is_less_sure() -> None:
    region = find_body(draw_disc(100, 160, center=(0, 50), radius=30))
    assert region is not None
    assert region.left == 0
    assert region.confidence == pytest.approx(0.8)


def test_find_body_that_is_faint_is_less_sure() -> None:
    region = find_body(draw_disc(100, 100, center=(50, 50), radius=30, level=32))
    assert region is not None
    assert region.confidence == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize("highest", [2, 20, 90, 180, 256])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_find_body_in_noise_is_not_found(highest: int, seed: int) -> None:
    noise = np.random.default_rng(seed).integers(0, highest, (100, 120, 3), dtype=np.uint8)
    assert find_body(noise) is None


@pytest.mark.parametrize("level", [0, 50, 97, 255])
def test_find_body_in_one_colour_is_not_found(level: int) -> None:
    assert find_body(np.full((50, 60, 3), level, np.uint8)) is None


def test_find_body_before_a_bright_background_is_not_found() -> None:
    image = draw_disc(100, 100, center=(50, 50), radius=30)
    assert find_body(255 - image) is None
    assert find_body(np.maximum(image, 110)) is None


@pytest.mark.parametrize("name", ["mars", "moon", "jupiter"])
def test_find_body_in_a_close_up_that_fills_the_frame_is_not_found(name: str) -> None:
    rendered = render_body(name, image_size=128, seed=3, phase_angle_degrees=0)
    top, left, bottom, right = get_box(rendered.mask)
    inset = (bottom - top) // 4
    inside = rendered.image[top + inset : bottom - inset, left + inset : right - inset]
    assert find_body(np.ascontiguousarray(inside)) is None
    # A dim one passes for sky with something in it, but never for sure.
    dim = find_body(np.ascontiguousarray(inside // 3))
    assert dim is None or dim.confidence < 0.25


def test_find_body_takes_the_smallest_frames() -> None:
    assert find_body(np.zeros((1, 1, 3), np.uint8)) is None
    assert find_body(np.zeros((1, 300, 3), np.uint8)) is None


def test_find_body_leaves_the_image_as_it_was() -> None:
    image = draw_disc(100, 100, center=(50, 50), radius=30)
    before = image.copy()
    find_body(image)
    np.testing.assert_array_equal(image, before)


def test_expand_widens_by_the_longer_side_and_stops_at_the_frame() -> None:
    disc = Ellipse(center_row=40, center_column=30, semi_major=20, semi_minor=10)
    region = BodyRegion(
        top=30,
        left=10,
        bottom=50,
        right=50,
        area_fraction=0.1,
        confidence=1.0,
        ellipse=disc,
        frame_height=100,
        frame_width=100,
    )
    assert region.expand(0.25, 100, 100) == (20, 0, 60, 60)
    assert region.expand(0.0, 100, 100) == (30, 10, 50, 50)
    assert region.expand(5.0, 90, 80) == (0, 0, 90, 80)


def test_same_frame_is_searched_once_and_another_one_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    body.clear_found_bodies()
    searched: list[tuple[int, ...]] = []
    search = body._find_body

    def record(image: npt.NDArray[np.uint8]) -> BodyRegion | None:
        searched.append(image.shape)
        return search(image)

    monkeypatch.setattr(body, "_find_body", record)
    monkeypatch.setattr(body, "_MAX_KEPT", 3)
    image = draw_disc(60, 80, center=(40, 30), radius=15)
    first = find_body(image)
    assert first is not None
    assert find_body(image.copy()) == first
    assert find_body(np.asfortranarray(image)) == first
    assert len(searched) == 1
    # The same bytes in another shape are another frame.
    assert find_body(image.reshape(80, 60, 3)) != first
    dimmer = image // 2
    assert find_body(dimmer) == search(dimmer)
    assert len(searched) == 3
    find_body(image // 3)  # the fourth: the first is no longer kept
    assert len(body._kept) == 3
    assert find_body(image) == first
    assert len(searched) == 5
