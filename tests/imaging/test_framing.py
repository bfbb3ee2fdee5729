"""Framing: a frame of any shape becomes the square, and the letterbox keeps all of the body."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, get_args

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from planetvision.core.settings import FRAMINGS, Framing, InputSpec, Interpolation
from planetvision.imaging.framing import crop_to_body, frame_image, frame_views


def fill_frame(height: int, width: int, level: int = 200) -> torch.Tensor:
    return torch.full((3, height, width), level, dtype=torch.uint8)


def draw_disc(height: int, width: int, *, center: tuple[int, int], radius: int) -> torch.Tensor:
    image = np.zeros((height, width, 3), np.uint8)
    cv2.circle(image, center, radius, (200, 150, 100), thickness=-1)
    return torch.from_numpy(image).permute(2, 0, 1)


def get_extent(image: torch.Tensor) -> tuple[int, int, int, int]:
    """The first and one past the last row and column that are brighter than 50."""
    bright = image.amax(dim=0) > 50
    rows, columns = torch.nonzero(bright.any(dim=1)), torch.nonzero(bright.any(dim=0))
    return int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1


@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize("shape", [(1, 1), (20, 90), (90, 20), (64, 64), (300, 200)])
def test_every_framing_gives_a_uint8_square(framing: Framing, shape: tuple[int, int]) -> None:
    framed = frame_image(fill_frame(*shape), InputSpec(image_size=64, framing=framing))
    assert framed.shape == (3, 64, 64)
    assert framed.dtype == torch.uint8
    # A frame of one colour keeps it, wherever it is not padded.
    assert set(np.unique(framed.numpy()).tolist()) <= {0, 200}
    assert int(framed.max()) == 200


def test_views_without_test_time_augmentation_are_the_framed_image() -> None:
    frame, spec = draw_disc(200, 300, center=(60, 100), radius=20), InputSpec(image_size=64)
    views = frame_views(frame, spec)
    assert views.shape == (1, 1, 3, 64, 64)
    assert torch.equal(views[0, 0], frame_image(frame, spec))


def test_views_with_body_add_the_crop_around_it() -> None:
    frame = draw_disc(200, 300, center=(60, 100), radius=20)
    spec = InputSpec(image_size=64, tta="body")
    views = frame_views(frame, spec)
    assert views.shape == (2, 1, 3, 64, 64)
    assert torch.equal(views[0, 0], frame_image(frame, InputSpec(image_size=64)))
    assert torch.equal(views[1, 0], frame_image(frame, InputSpec(image_size=64, framing="body")))
    small, large = (get_extent(square[0]) for square in views)
    assert large[1] - large[0] > 4 * (small[1] - small[0])


def test_views_follow_the_framing_after_the_crop() -> None:
    frame = draw_disc(200, 300, center=(150, 15), radius=20)
    crop = crop_to_body(frame)
    assert crop is not None
    assert crop.shape[-2] < crop.shape[-1]
    views = frame_views(frame, InputSpec(image_size=64, framing="squash", tta="body"))
    assert torch.equal(views[1, 0], frame_image(crop, InputSpec(image_size=64, framing="squash")))


@pytest.mark.parametrize(
    ("frame", "framing"),
    [
        (fill_frame(100, 200), "letterbox"),
        (draw_disc(200, 300, center=(60, 100), radius=20), "body"),
    ],
    ids=["no body", "cropped already"],
)
def test_views_with_body_add_nothing_where_there_is_nothing_to_add(
    frame: torch.Tensor, framing: Framing
) -> None:
    spec = InputSpec(image_size=64, framing=framing, tta="body")
    assert len(frame_views(frame, spec)) == 1


def draw_noise(*, size: int, seed: int = 0) -> torch.Tensor:
    pixels = np.random.default_rng(seed).integers(0, 256, (3, size, size), dtype=np.uint8)
    return torch.from_numpy(pixels)


def to_keys(views: Iterable[torch.Tensor]) -> list[bytes]:
    return [view.contiguous().numpy().tobytes() for view in views]


# What NumPy makes of an image, rows and columns being its last axes.
SYMMETRIES: dict[str, Callable[[Any], Any]] = {
    "as it is": lambda pixels: pixels,
    "left to right": lambda pixels: pixels[..., ::-1],
    "upside down": lambda pixels: pixels[..., ::-1, :],
    "half turn": lambda pixels: pixels[..., ::-1, ::-1],
    "quarter turn left": lambda pixels: np.rot90(pixels, 1, axes=(-2, -1)),
    "quarter turn right": lambda pixels: np.rot90(pixels, -1, axes=(-2, -1)),
    "diagonal": lambda pixels: pixels.swapaxes(-1, -2),
    "other diagonal": lambda pixels: pixels[..., ::-1, ::-1].swapaxes(-1, -2),
}
FLIPS = ("as it is", "left to right", "upside down", "half turn")
TURNS = ("as it is", "quarter turn left", "half turn", "quarter turn right")


@pytest.mark.parametrize(
    ("tta", "names"),
    [("flips", FLIPS), ("rotations", TURNS), ("flips+rotations", tuple(SYMMETRIES))],
)
def test_views_with_symmetries_are_those_of_the_square_each_once(
    tta: str, names: tuple[str, ...]
) -> None:
    frame = draw_noise(size=32)
    (views,) = frame_views(frame, InputSpec(image_size=32, tta=tta))
    expected = {np.ascontiguousarray(SYMMETRIES[name](frame.numpy())).tobytes() for name in names}
    assert torch.equal(views[0], frame)
    assert len(views) == len(expected) == len(names)
    assert set(to_keys(views)) == expected


@given(
    st.integers(0, 99),
    st.sampled_from([("flips", 4), ("rotations", 4), ("flips+rotations", 8)]),
)
def test_views_with_symmetries_are_a_group(seed: int, choice: tuple[str, int]) -> None:
    tta, number = choice
    spec = InputSpec(image_size=16, tta=tta)
    (views,) = frame_views(draw_noise(size=16, seed=seed), spec)
    expected = set(to_keys(views))
    assert len(expected) == number
    # One symmetry after another is one of them again, and each is undone by one of them.
    for view in views:
        assert set(to_keys(frame_views(view, spec)[0])) == expected


@pytest.mark.parametrize(
    ("tta", "number"), [("flips", 4), ("rotations", 4), ("flips+rotations", 8)]
)
def test_views_with_body_and_symmetries_have_both_squares_in_each(tta: str, number: int) -> None:
    frame = draw_disc(200, 300, center=(60, 100), radius=20)
    plain = frame_views(frame, InputSpec(image_size=64, tta="body"))
    views = frame_views(frame, InputSpec(image_size=64, tta=f"body+{tta}"))
    assert views.shape[:2] == (2, number)
    # A square has the views that it has as a frame of its own.
    parts = [frame_views(square, InputSpec(image_size=64, tta=tta)) for square in plain[:, 0]]
    assert torch.equal(views, torch.cat(parts))
    assert torch.equal(views[:, 0], plain[:, 0])


def test_views_with_symmetries_of_a_cropped_framing_have_no_second_crop() -> None:
    frame = draw_disc(200, 300, center=(60, 100), radius=20)
    spec = InputSpec(image_size=64, framing="body", tta="body+rotations")
    views = frame_views(frame, spec)
    assert views.shape[:2] == (1, 4)
    assert torch.equal(views[0, 0], frame_image(frame, spec))


def test_letterbox_of_a_wide_frame_pads_above_and_below_with_black() -> None:
    framed = frame_image(fill_frame(50, 100), InputSpec(image_size=64))
    assert get_extent(framed) == (16, 48, 0, 64)
    assert (framed[:, :16] == 0).all()
    assert (framed[:, 16:48] == 200).all()
    assert (framed[:, 48:] == 0).all()


def test_letterbox_of_a_tall_frame_pads_left_and_right_with_black() -> None:
    framed = frame_image(fill_frame(100, 25), InputSpec(image_size=64))
    assert get_extent(framed) == (0, 64, 24, 40)
    assert (framed[..., 24:40] == 200).all()


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 300), st.integers(1, 300), st.integers(16, 96))
def test_letterbox_keeps_the_aspect_and_centres(height: int, width: int, size: int) -> None:
    framed = frame_image(fill_frame(height, width), InputSpec(image_size=size))
    top, bottom, left, right = get_extent(framed)
    scale = size / max(height, width)
    assert max(bottom - top, right - left) == size
    assert bottom - top == pytest.approx(max(1.0, height * scale), abs=0.51)
    assert right - left == pytest.approx(max(1.0, width * scale), abs=0.51)
    assert abs(top - (size - bottom)) <= 1
    assert abs(left - (size - right)) <= 1
    assert (framed[:, top:bottom, left:right] == 200).all()


def test_letterbox_keeps_a_body_at_the_edge_whole_and_round() -> None:
    frame = draw_disc(100, 200, center=(29, 50), radius=29)
    top, bottom, left, right = get_extent(frame_image(frame, InputSpec(image_size=128)))
    scale = 128 / 200
    assert left == pytest.approx(0, abs=1)
    assert right - left == pytest.approx(59 * scale, abs=1.5)
    assert bottom - top == pytest.approx(right - left, abs=1.5)


def test_center_crop_cuts_the_edges_and_squash_distorts() -> None:
    frame = fill_frame(50, 100, level=0)
    frame[..., :25] = 255  # what lies outside the central square
    frame[:, 20:30, 45:55] = 100
    cropped = frame_image(frame, InputSpec(image_size=50, framing="center_crop"))
    assert cropped.max() == 100
    assert torch.equal(cropped, frame[..., 25:75])
    squashed = frame_image(frame, InputSpec(image_size=50, framing="squash"))
    assert (squashed[:, :, 2:10] > 250).all()
    spot = squashed[0, 25] > 60
    assert int(spot[14:].sum()) == pytest.approx(5, abs=1), "half as wide"


def test_body_framing_fills_the_square_with_the_body_and_a_margin() -> None:
    frame = draw_disc(240, 320, center=(250, 100), radius=40)
    top, bottom, left, right = get_extent(
        frame_image(frame, InputSpec(image_size=130, framing="body"))
    )
    # The disc is 81 pixels, the crop 1.3 times as much: 100 of 130, centred.
    assert bottom - top == pytest.approx(100, abs=5)
    assert right - left == pytest.approx(100, abs=5)
    assert (top + bottom) / 2 == pytest.approx(65, abs=3)
    assert (left + right) / 2 == pytest.approx(65, abs=3)


def test_body_framing_works_on_frames_of_the_input_size_too() -> None:
    frame = draw_disc(130, 130, center=(40, 40), radius=20)
    top, bottom, _, _ = get_extent(frame_image(frame, InputSpec(image_size=130, framing="body")))
    assert bottom - top == pytest.approx(100, abs=6)


@pytest.mark.parametrize("level", [0, 200])
def test_body_framing_without_a_body_is_the_letterbox(level: int) -> None:
    frame = fill_frame(60, 100, level=level)
    body = frame_image(frame, InputSpec(image_size=64, framing="body"))
    assert torch.equal(body, frame_image(frame, InputSpec(image_size=64)))


def test_body_framing_of_an_unsure_body_is_the_letterbox() -> None:
    frame = draw_disc(100, 200, center=(50, 50), radius=25)
    frame = torch.maximum(frame, draw_disc(100, 200, center=(150, 50), radius=25))
    frame = torch.maximum(frame, draw_disc(100, 200, center=(100, 80), radius=15))
    body = frame_image(frame, InputSpec(image_size=64, framing="body"))
    assert torch.equal(body, frame_image(frame, InputSpec(image_size=64)))


@pytest.mark.parametrize("framing", ["letterbox", "squash", "center_crop"])
def test_frame_of_the_right_size_is_kept_to_the_bit(framing: Framing) -> None:
    frame = torch.randint(0, 256, (3, 32, 32), dtype=torch.uint8)
    assert torch.equal(frame_image(frame, InputSpec(image_size=32, framing=framing)), frame)


def test_interpolation_changes_the_pixels() -> None:
    frame = torch.zeros(3, 8, 8, dtype=torch.uint8)
    frame[:, :, ::2] = 255
    results = {
        mode: frame_image(frame, InputSpec(image_size=64, interpolation=mode))
        for mode in get_args(Interpolation)
    }
    assert np.unique(results["nearest"].numpy()).tolist() == [0, 255]
    assert len(np.unique(results["bilinear"].numpy())) > 2
    assert not torch.equal(results["bilinear"], results["bicubic"])
