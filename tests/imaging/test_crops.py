"""Crops that keep a share of the body: every one does, and without a body they are plain."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torchvision.transforms import RandomResizedCrop

from planetvision.core.devices import seeded
from planetvision.core.errors import SettingsError
from planetvision.core.settings import InputSpec
from planetvision.imaging.crops import random_crop_keeping_body
from planetvision.imaging.disc.finder import find_body
from planetvision.imaging.framing import BODY_MARGIN, crop_to_body
from planetvision.imaging.policies import create_transform
from planetvision.render import render_body


def render_frame(name: str, seed: int) -> tuple[torch.Tensor, np.ndarray]:
    """A body in the corner of a larger frame, and where it is, as numbers in the red channel."""
    rendered = render_body(name, image_size=96, seed=seed, phase_angle_degrees=40)
    image = np.zeros((180, 240, 3), np.uint8)
    image[20:116, 120:216] = rendered.image
    region = find_body(image)
    assert region is not None
    return torch.from_numpy(image).permute(2, 0, 1), region.create_mask()


def measure_kept(frame: torch.Tensor, mask: np.ndarray, seed: int, fraction: float) -> float:
    """The share of the mask in the crop that this seed gives, by cropping the mask alike."""
    with seeded(seed):
        crop = random_crop_keeping_body(frame, min_body_fraction=fraction)
    numbered = torch.arange(180 * 240).reshape(180, 240)
    # A crop is a view, so its place in memory is its place in the frame.
    offset = crop.storage_offset() - frame.storage_offset()
    top, left = offset // frame.stride(-2), offset % frame.stride(-2) // frame.stride(-1)
    rows, columns = slice(top, top + crop.shape[-2]), slice(left, left + crop.shape[-1])
    assert torch.equal(crop, frame[:, rows, columns])
    assert numbered[rows, columns].numel() == crop.shape[-2] * crop.shape[-1]
    return float(np.count_nonzero(mask[rows, columns]) / np.count_nonzero(mask))


@pytest.mark.parametrize("name", ["mars", "saturn"])
@pytest.mark.parametrize("fraction", [0.5, 0.9])
def test_every_crop_keeps_the_share(name: str, fraction: float) -> None:
    frame, mask = render_frame(name, seed=1)
    kept = [measure_kept(frame, mask, seed, fraction) for seed in range(40)]
    assert min(kept) >= fraction
    assert min(kept) < 1.0, "crops that keep all of it would be another promise"


def test_no_share_lets_crops_lose_the_body() -> None:
    frame, mask = render_frame("mars", seed=1)
    assert min(measure_kept(frame, mask, seed, 0.0) for seed in range(40)) < 0.25


def test_crop_without_a_body_is_the_plain_random_crop() -> None:
    frame = torch.randint(0, 256, (3, 90, 120), dtype=torch.uint8)
    with seeded(3):
        crop = random_crop_keeping_body(frame)
    with seeded(3):
        top, left, height, width = RandomResizedCrop.get_params(frame, [0.08, 1], [3 / 4, 4 / 3])
    assert torch.equal(crop, frame[:, top : top + height, left : left + width])


def test_crop_follows_scale_and_ratio() -> None:
    frame = torch.zeros(3, 100, 100, dtype=torch.uint8)
    for seed in range(10):
        with seeded(seed):
            crop = random_crop_keeping_body(frame, scale=(0.25, 0.25), ratio=(1.0, 1.0))
        assert crop.shape == (3, 50, 50)


def test_crop_that_cannot_keep_the_share_is_the_whole_frame() -> None:
    frame, _ = render_frame("mars", seed=1)
    with seeded(0):
        crop = random_crop_keeping_body(frame, min_body_fraction=1.0, scale=(0.001, 0.001))
    assert torch.equal(crop, frame)


@pytest.mark.parametrize("fraction", [-0.1, 1.5])
def test_share_out_of_range_raises(fraction: float) -> None:
    frame = torch.zeros(3, 20, 20, dtype=torch.uint8)
    with pytest.raises(SettingsError, match=r"`min_body_fraction` must lie in \[0, 1\], got"):
        random_crop_keeping_body(frame, min_body_fraction=fraction)


def test_strong_body_shows_the_body_where_strong_may_lose_it() -> None:
    frame, _ = render_frame("mars", seed=1)
    brightest: dict[str, list[int]] = {}
    for name in ("strong", "strong_body"):
        transform = create_transform(name, InputSpec(image_size=48))
        brightest[name] = []
        for seed in range(40):
            with seeded(seed):
                brightest[name].append(int(transform(frame).max()))
    assert min(brightest["strong_body"]) > 50
    assert min(brightest["strong"]) < 50


def test_margin_of_the_crop_around_the_body_is_an_argument() -> None:
    frame, mask = render_frame("mars", seed=1)
    rows = np.nonzero(mask.any(axis=1))[0]
    height = int(rows[-1] - rows[0] + 1)
    tight, usual, wide = (crop_to_body(frame, margin=margin) for margin in (0.0, BODY_MARGIN, 0.3))
    assert tight is not None
    assert usual is not None
    assert wide is not None
    assert tight.shape[-2] == height
    assert usual.shape[-2] == pytest.approx(height * 1.3, abs=3)
    assert wide.shape[-2] > usual.shape[-2]
