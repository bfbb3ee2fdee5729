"""Near-duplicates: copies are found through every change, others are not, and groups join both."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planetvision.core.errors import DataError, SettingsError
from planetvision.data import (
    Catalog,
    DuplicatePair,
    describe_image,
    find_duplicates,
    group_catalog,
    group_duplicates,
)
from planetvision.render import render_body, render_dataset

Image = npt.NDArray[np.uint8]


def draw(count: int) -> list[Image]:
    """Returns renders of seven bodies with black sky, stars and gradients behind them."""
    return [rendered.image for rendered in render_dataset(count=count, image_size=160, seed=3)]


@pytest.fixture(scope="module")
def images() -> list[Image]:
    """One render per body. Painting a face takes up to a second."""
    return draw(7)


@pytest.fixture(scope="module")
def many_images() -> list[Image]:
    """Three renders per body, most of different faces."""
    return draw(21)


def rotate(image: Image, angle_degrees: float) -> Image:
    height, width = image.shape[:2]
    side = int(np.hypot(height, width)) + 2
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), angle_degrees, 1)
    matrix[:, 2] += [(side - width) / 2, (side - height) / 2]
    return np.asarray(cv2.warpAffine(image, matrix, (side, side), flags=cv2.INTER_CUBIC), np.uint8)


def rescale(image: Image, factor: float) -> Image:
    mode = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, None, fx=factor, fy=factor, interpolation=mode), np.uint8)


def recompress(image: Image, quality: int) -> Image:
    content = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.ascontiguousarray(
        np.asarray(cv2.imdecode(content, cv2.IMREAD_COLOR), np.uint8)[..., ::-1]
    )


def brighten(image: Image, gain: float) -> Image:
    return np.asarray(np.clip(image * gain + 0.5, 0, 255), np.uint8)


CHANGES: dict[str, Callable[[Image], Image]] = {
    "rotated": lambda image: rotate(image, 77.0),
    "mirrored": lambda image: np.ascontiguousarray(image[:, ::-1]),
    "half the size": lambda image: rescale(image, 0.5),
    "one and a half the size": lambda image: rescale(image, 1.5),
    "recompressed": lambda image: recompress(image, 50),
    "darker": lambda image: brighten(image, 0.6),
    "brighter": lambda image: brighten(image, 1.3),
    "moved": lambda image: np.pad(image, ((90, 0), (0, 70), (0, 0))),
    "all at once": lambda image: recompress(brighten(rescale(rotate(image, 200.0), 0.7), 0.8), 70),
}


@pytest.mark.slow
@pytest.mark.parametrize("change", CHANGES)
def test_copies_are_found_and_others_are_not(many_images: list[Image], change: str) -> None:
    number = len(many_images)
    copies = [CHANGES[change](image) for image in many_images]
    pairs = find_duplicates([describe_image(image) for image in [*many_images, *copies]])
    found = {(pair.first, pair.second) for pair in pairs}
    planted = {(row, row + number) for row in range(number)}
    assert len(planted & found) >= 20
    assert len(found - planted) <= 6, "of 840 unrelated pairs"
    groups = group_duplicates(2 * number, pairs)
    assert len(set(groups[:number])) >= 19


@pytest.mark.slow
@settings(max_examples=25)
@given(st.floats(0, 360), st.floats(0.6, 1.2), st.booleans())
def test_turned_mirrored_and_exposed_copy_is_a_near_copy(
    angle_degrees: float, gain: float, mirrored: bool
) -> None:
    image = render_body("mars", image_size=128, seed=4, phase_angle_degrees=60).image
    copy = brighten(rotate(image, angle_degrees), gain)
    if mirrored:
        copy = np.ascontiguousarray(copy[:, ::-1])
    other = render_body("mars", image_size=128, seed=5, phase_angle_degrees=60).image
    pairs = find_duplicates([describe_image(each) for each in (image, other, copy)])
    assert [(pair.first, pair.second) for pair in pairs] == [(0, 2)]


def test_same_pixels_are_always_a_pair_of_similarity_1() -> None:
    black = np.zeros((40, 40, 3), np.uint8)
    image = render_body("earth", image_size=64, seed=0).image
    descriptors = [describe_image(each) for each in (image, black, image.copy(), black, black)]
    assert find_duplicates(descriptors, threshold=1) == (
        DuplicatePair(first=0, second=2, similarity=1.0),
        DuplicatePair(first=1, second=3, similarity=1.0),
        DuplicatePair(first=1, second=4, similarity=1.0),
    )


def test_same_bytes_of_another_shape_are_another_image() -> None:
    flat = np.arange(16 * 32 * 3, dtype=np.uint8)
    one, other = (describe_image(flat.reshape(shape)) for shape in ((16, 32, 3), (32, 16, 3)))
    assert one.digest != other.digest


def test_images_without_contrast_are_no_near_copies() -> None:
    levels = [np.full((40, 40, 3), level, np.uint8) for level in (0, 1, 90, 255)]
    assert find_duplicates([describe_image(level) for level in levels], threshold=0.01) == ()


def test_images_that_had_no_descriptor_keep_their_place(images: list[Image]) -> None:
    one, other = describe_image(images[3]), describe_image(rotate(images[3], 40))
    pairs = find_duplicates([None, one, None, other])
    assert [(pair.first, pair.second) for pair in pairs] == [(1, 3)]
    assert find_duplicates([]) == find_duplicates([None, one]) == ()


def test_threshold_decides_what_is_a_pair(images: list[Image]) -> None:
    descriptors = [describe_image(images[0]), describe_image(CHANGES["all at once"](images[0]))]
    (pair,) = find_duplicates(descriptors, threshold=0.5)
    assert 0.5 < pair.similarity < 1
    assert find_duplicates(descriptors, threshold=pair.similarity) == (pair,)
    assert find_duplicates(descriptors, threshold=pair.similarity + 1e-6) == ()


def test_order_of_images_does_not_matter(images: list[Image]) -> None:
    descriptors = [describe_image(image) for image in [*images, rotate(images[2], 130)]]
    forward = find_duplicates(descriptors)
    backward = find_duplicates(descriptors[::-1])
    assert [(pair.first, pair.second) for pair in forward] == [(2, 7)]
    assert [(pair.first, pair.second) for pair in backward] == [(0, 5)]
    assert backward[0].similarity == pytest.approx(forward[0].similarity, abs=0.02)


@pytest.mark.parametrize("threshold", [0, -1, 1.01])
def test_threshold_out_of_range_raises(threshold: float) -> None:
    with pytest.raises(SettingsError, match=r"`threshold` must lie over 0 and up to 1, got"):
        find_duplicates([], threshold=threshold)


def create_pairs(edges: list[tuple[int, int]]) -> list[DuplicatePair]:
    return [
        DuplicatePair(first=min(edge), second=max(edge), similarity=0.99)
        for edge in edges
        if edge[0] != edge[1]
    ]


def test_groups_chain_pairs_and_given_groups() -> None:
    pairs = create_pairs([(0, 1), (1, 4)])
    assert group_duplicates(6, pairs) == (0, 0, 1, 2, 0, 3)
    assert group_duplicates(6, pairs, ["a", "b", "c", "c", "d", "a"]) == (0, 0, 1, 1, 0, 0)
    assert group_duplicates(3, []) == (0, 1, 2)
    assert group_duplicates(0, []) == ()


@given(st.data(), st.integers(1, 30))
def test_groups_are_the_finest_that_keep_pairs_and_groups_together(
    data: st.DataObject, number: int
) -> None:
    index = st.integers(0, number - 1)
    pairs = create_pairs(data.draw(st.lists(st.tuples(index, index), max_size=20)))
    given_groups = data.draw(st.lists(st.integers(0, 9), min_size=number, max_size=number))
    groups = group_duplicates(number, pairs, given_groups)
    # The slow way: relabel until nothing changes.
    plain = list(range(number))
    links = [(pair.first, pair.second) for pair in pairs]
    links += [
        (one, other)
        for one in range(number)
        for other in range(one)
        if given_groups[one] == given_groups[other]
    ]
    for _ in range(number):
        for one, other in links:
            plain[one] = plain[other] = min(plain[one], plain[other])
    order = {label: place for place, label in enumerate(dict.fromkeys(plain))}
    assert list(groups) == [order[label] for label in plain]


def test_groups_of_wrong_length_and_pairs_out_of_range_raise() -> None:
    with pytest.raises(DataError, match=r"`groups` .*, got 2 for 3"):
        group_duplicates(3, [], ["a", "b"])
    with pytest.raises(DataError, match=r"images from 0 to 2, got 5"):
        group_duplicates(3, create_pairs([(1, 5)]))


def test_group_catalog_joins_near_copies_with_the_groups_of_the_catalog() -> None:
    catalog = Catalog(sources=("a", "b", "c", "d"), labels=(0, 0, 1, 1))
    pairs = create_pairs([(0, 2)])
    assert group_catalog(catalog, pairs).groups == (0, 1, 0, 2)
    grouped = Catalog(sources=("a", "b", "c", "d"), groups=("x", "y", "z", "y"))
    assert group_catalog(grouped, pairs).groups == (0, 1, 0, 1)
    assert group_catalog(grouped, pairs).sources == grouped.sources
