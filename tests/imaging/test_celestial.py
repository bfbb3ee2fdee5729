"""The policy `celestial`: it keeps the body and its colour, and changes all else."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from planetvision.core.devices import seeded
from planetvision.core.settings import InputSpec
from planetvision.imaging.celestial import MIN_KEPT, _meter, _Placed, create_celestial
from planetvision.imaging.disc.finder import find_body
from planetvision.imaging.policies import create_transform
from planetvision.render import render_body

SPEC = InputSpec(image_size=96)


def load(name: str, seed: int = 1, size: int = 128) -> torch.Tensor:
    rendered = render_body(name, image_size=size, seed=seed, phase_angle_degrees=20)
    return torch.from_numpy(rendered.image.copy()).permute(2, 0, 1)


def apply(image: torch.Tensor, seed: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    transform = create_transform("celestial", SPEC)
    with seeded(seed):
        return np.asarray(transform(image).permute(1, 2, 0).numpy(), np.uint8)


def test_same_seed_gives_the_same_view_and_another_seed_another() -> None:
    image = load("jupiter")
    first, again, other = (apply(image, seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_body_is_hardly_ever_lost() -> None:
    image = load("moon")
    visible = [(apply(image, seed).max(axis=-1) > 40).mean() for seed in range(40)]
    assert min(visible) > 0.002
    assert np.median(visible) > 0.05


def test_half_of_the_body_stays_in_the_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    from planetvision.imaging import celestial

    image = load("mars")
    region = find_body(image.permute(1, 2, 0).numpy())
    assert region is not None
    total = region.create_mask().sum()
    kept = []
    original = celestial._warp

    def spy(picture: object, matrix: object, size: int, scale: float, **rest: object) -> object:
        warped = original(picture, matrix, size, scale, **rest)  # type: ignore[arg-type]
        if np.ndim(warped) == 2:
            kept.append(float(warped.sum()) / (total * scale**2))
        else:
            # The picture itself is warped once the mask has enough.
            assert kept[-1] >= MIN_KEPT - 1e-6
        return warped

    monkeypatch.setattr(celestial, "_warp", spy)
    for seed in range(30):
        with seeded(seed):
            create_celestial(SPEC)(image)
    assert len(kept) >= 30


def test_scale_place_and_background_vary() -> None:
    image = load("neptune")
    shares, grounds = [], []
    for seed in range(40):
        view = apply(image, seed)
        bright = view.max(axis=-1) > 60
        shares.append(bright.mean())
        grounds.append(np.median(view[:4]))
    assert np.std(shares) > 0.05
    assert max(grounds) > 60


def test_colour_stays_that_of_the_body() -> None:
    """Uranus and Neptune differ in hue by little: no view may turn one into the other."""
    blues = {}
    for name in ("uranus", "neptune"):
        ratios = []
        for seed in range(40):
            view = apply(load(name), seed).astype(float)
            chroma = view.max(axis=-1) - view.min(axis=-1)
            lit = (view.max(axis=-1) > 90) & (view.max(axis=-1) < 250) & (chroma > 12)
            if lit.sum() > 60:
                ratios.append(np.median(view[lit][:, 1] / np.maximum(view[lit][:, 2], 1)))
        blues[name] = np.array(ratios)
        assert len(ratios) > 8
    assert np.quantile(blues["neptune"], 0.8) < np.quantile(blues["uranus"], 0.2)


@pytest.mark.parametrize("shape", [(3, 16, 16), (3, 300, 40), (3, 60, 500)])
def test_frames_without_a_body_are_taken_whole(shape: tuple[int, int, int]) -> None:
    generator = torch.Generator().manual_seed(0)
    image = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
    before = image.clone()
    view = apply(image, 0)
    assert view.shape == (96, 96, 3)
    assert view.std() > 5
    assert torch.equal(image, before)


def test_picture_without_colour_stays_so_and_a_small_coloured_body_keeps_its_colour() -> None:
    body = load("mars")
    gray = body.float().mean(dim=0, keepdim=True).byte().expand(3, -1, -1).contiguous()
    assert max(np.ptp(apply(gray, seed).astype(int), axis=-1).max() for seed in range(30)) <= 2
    small = torch.zeros(3, 128, 128, dtype=torch.uint8)
    small[:, 60:66, 60:66] = torch.tensor([200, 120, 60], dtype=torch.uint8)[:, None, None]
    coloured = [np.ptp(apply(small, seed).astype(int), axis=-1).max() > 30 for seed in range(30)]
    assert np.mean(coloured) > 0.5


def test_body_that_covers_no_half_pixel_keeps_its_exposure() -> None:
    light, cover = np.full((16, 16, 3), 0.1, np.float32), np.zeros((16, 16), np.float32)
    assert _meter(_Placed(light, cover)) == 1
    cover[4:12, 4:12] = 1
    assert _meter(_Placed(light, cover)) > 1
