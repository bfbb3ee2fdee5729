"""The augmentation policy `celestial`: the same body, as if taken by another camera."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch

from planetvision.core.settings import InputSpec
from planetvision.imaging.backgrounds import draw_background, is_in_front
from planetvision.imaging.disc.finder import find_body
from planetvision.imaging.instrument import draw_instrument, find_gain, take_picture
from planetvision.imaging.light import Floats, Image, decode_srgb

# The least share of the body that stays in the frame.
MIN_KEPT = 0.5
_MIN_CONFIDENCE = 0.5
_MAX_TRIES = 10
# The largest difference of channels, in levels of 255, in a picture without colour. A mean would
# pass over a small body before a black sky.
_GRAY_LEVELS = 4
# A body is enlarged no further: beyond that there is only blur to see.
_MAX_SCALE = 2.0
# A picture may be brought up, part of the way, to what a camera would have exposed it to.
_METERED_LEVEL, _MAX_GAIN = 0.66, 6.0
_KINDS = {
    "black": 0.35,
    "stars": 0.25,
    "gradient": 0.1,
    "glow": 0.1,
    "daylight": 0.05,
    "page": 0.05,
    "plain": 0.1,
}


@dataclass(frozen=True)
class _Placed:
    """A body in its new place: linear light and how much of each pixel is body, in [0, 1]."""

    light: Floats
    cover: Floats


def create_celestial(spec: InputSpec) -> _Celestial:
    """Returns the policy as a function from one image to one image.

    Convention: uint8, (3, H, W) in and (3, image_size, image_size) out. Chance is NumPy's.
    """
    return _Celestial(spec.image_size)


class _Celestial:
    def __init__(self, image_size: int) -> None:
        self.image_size = image_size

    def __call__(self, image: torch.Tensor) -> torch.Tensor:
        rng = np.random.default_rng(np.random.randint(2**31))  # noqa: NPY002 # the seeded source
        frame = np.ascontiguousarray(image.permute(1, 2, 0).numpy())
        region = find_body(frame)
        if region is None or region.confidence < _MIN_CONFIDENCE:
            placed = _place(frame, None, self.image_size, rng)
        else:
            placed = _place(frame, region.create_mask(), self.image_size, rng)
            if rng.uniform() < 0.5:
                placed = _Placed(_replace_background(placed, rng), placed.cover)
        instrument = draw_instrument(rng, image_size=self.image_size)
        if _is_gray(frame):
            instrument = instrument.to_monochrome()
        exposure = instrument.exposure * _meter(placed) ** rng.uniform()
        taken = take_picture(placed.light, replace(instrument, exposure=exposure), rng)
        return torch.from_numpy(taken).permute(2, 0, 1)


def _is_gray(frame: Image) -> bool:
    """Returns whether all channels are alike, apart from the effects of JPEG."""
    red, green, blue = (frame[..., channel].astype(np.int16) for channel in range(3))
    return bool(max(np.abs(red - green).max(), np.abs(green - blue).max()) <= _GRAY_LEVELS)


def _place(
    frame: Image,
    mask: np.ndarray[tuple[int, int], np.dtype[np.bool_]] | None,
    size: int,
    rng: np.random.Generator,
) -> _Placed:
    """Returns the frame turned, mirrored, scaled and moved, with at least half of the body."""
    import cv2

    height, width = frame.shape[:2]
    cover = np.ones((height, width), np.float32) if mask is None else mask.astype(np.float32)
    rows, columns = np.nonzero(cover)
    center = ((rows.min() + rows.max()) / 2, (columns.min() + columns.max()) / 2)
    extent = max(np.ptp(rows), np.ptp(columns)) + 1
    total = float(cover.sum())
    for attempt in range(_MAX_TRIES + 1):
        share = _draw_share(rng, is_body=mask is not None)
        scale = min(share * size / extent, _MAX_SCALE if extent >= 8 else 1.0)
        angle = rng.uniform(0, 2 * math.pi)
        mirror = rng.choice([-1, 1])
        room = abs(1 - scale * extent / size) / 2 + 0.15
        offset = rng.uniform(-room, room, 2) * size
        if attempt == _MAX_TRIES:
            scale, offset = min(scale, size / extent), np.zeros(2)
        cosine, sine = scale * math.cos(angle), scale * math.sin(angle)
        turn = np.array([[cosine * mirror, -sine], [sine * mirror, cosine]])
        target = (size - 1) / 2 + offset
        move = target - turn @ np.array([center[1], center[0]])
        matrix = np.concatenate([turn, move[:, None]], axis=1)
        kept = _warp(cover, matrix, size, scale)
        if kept.sum() >= MIN_KEPT * total * scale**2:
            break
    edge = np.concatenate([frame[0], frame[-1], frame[:, 0], frame[:, -1]])
    ground = np.median(edge, axis=0)
    moved = _warp(frame, matrix, size, scale, border=tuple(float(value) for value in ground))
    light = decode_srgb(np.clip(np.round(moved), 0, 255).astype(np.uint8))
    soft = np.asarray(cv2.GaussianBlur(kept, (0, 0), 0.7), np.float32)
    return _Placed(light, soft)


def _meter(placed: _Placed) -> float:
    """Returns the gain that brings the brightest parts of the body to two thirds of full light.

    It is 1 where nothing of the body covers half a pixel.
    """
    brightness = placed.light.max(axis=-1)[placed.cover > 0.5]
    if not brightness.size:
        return 1.0
    return find_gain(brightness, level=_METERED_LEVEL, max_gain=_MAX_GAIN)


def _draw_share(rng: np.random.Generator, *, is_body: bool) -> float:
    """Returns the longer side of what is placed, as a share of the new frame's."""
    if not is_body:
        return float(rng.uniform(0.9, 1.5))
    low, high = (0.2, 1.0) if rng.uniform() < 0.8 else (1.0, 1.8)
    return math.exp(rng.uniform(math.log(low), math.log(high)))


def _warp(
    picture: Image | Floats,
    matrix: np.ndarray[tuple[int, int], np.dtype[np.float64]],
    size: int,
    scale: float,
    *,
    border: tuple[float, ...] = (0.0,),
) -> Floats:
    """Returns a picture after an affine map, reduced first where it would alias."""
    import cv2

    matrix = matrix.copy()
    if scale < 0.75:
        height, width = picture.shape[:2]
        small = (max(1, round(width * scale)), max(1, round(height * scale)))
        reduced = cv2.resize(picture, small, interpolation=cv2.INTER_AREA)
        picture = np.asarray(reduced, np.float32)
        # The centre of a reduced pixel stands between those that it is the mean of.
        ratio = np.array([width / small[0], height / small[1]])
        matrix[:, 2] += matrix[:, :2] @ (ratio / 2 - 0.5)
        matrix[:, :2] *= ratio
    warped = cv2.warpAffine(
        picture,
        matrix,
        (size, size),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=border,
    )
    return np.asarray(warped, np.float32)


def _replace_background(placed: _Placed, rng: np.random.Generator) -> Floats:
    kind = str(rng.choice(list(_KINDS), p=list(_KINDS.values())))
    ground = draw_background(kind, placed.light.shape[0], rng)
    cover = placed.cover[..., None]
    behind = ground if is_in_front(kind) else ground * (1 - cover)
    return np.asarray(behind + placed.light * cover, np.float32)
