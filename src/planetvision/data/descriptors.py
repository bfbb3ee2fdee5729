"""Image descriptors for finding near-duplicates."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from planetvision.imaging.disc.finder import find_body
from planetvision.imaging.disc.region import BodyRegion

Floats = npt.NDArray[np.float32]

VIEW_SIZE = 64
# Thresholds as shares of Otsu's: from the brightest part of a body to its dim parts too. Which of
# them Otsu's threshold itself finds may depend on a few levels of brightness.
_DEPTHS = (1.5, 0.6, 0.25)
# How many times its root mean square radius the view of a body reaches: 1.5 radii of a full disc.
_REACH = 2.2
# The circle in which light is first looked for, as a share of the longer side of the body's box.
_START_REACH = 1.3


@dataclass(frozen=True, kw_only=True, eq=False)
class ImageDescriptor:
    """The descriptor of an image for `find_duplicates`.

    Convention: a view is RGB, uint8 of shape (64, 64, 3): the body in the middle, its size the
    same whatever its size in the frame.

    Args:
        views: The body, centred and scaled by where its light is, or the whole frame where no body
            was found. There are two or three where the bright part of a body and all of it have
            different places or sizes, as Saturn's globe and rings have.
        digest: A hash of the pixels; images with the same one are the same.
        has_body: Whether a body was found.
    """

    views: tuple[npt.NDArray[np.uint8], ...]
    digest: str
    has_body: bool


def describe_image(image: npt.NDArray[np.uint8]) -> ImageDescriptor:
    """Returns the descriptor of an image.

    Convention: `image` is uint8 of shape (H, W, 3), RGB.
    """
    return describe_body(image, find_body(image))


def describe_body(image: npt.NDArray[np.uint8], body: BodyRegion | None) -> ImageDescriptor:
    """Returns the descriptor of an image whose body is known.

    Black sky makes whole frames of different bodies alike, so it looks at the body alone. The
    centre and size come from the light and not from a box, since a box around a half-lit disc
    changes as the disc turns.

    Convention: `image` is uint8 of shape (H, W, 3), RGB.

    Args:
        image: The image.
        body: The result of `find_body`.
    """
    height, width = image.shape[:2]
    content = np.ascontiguousarray(image)
    digest = hashlib.blake2b(f"{height}x{width}".encode(), digest_size=16)
    digest.update(content.data)
    if body is None:
        center_row, center_column = (height - 1) / 2, (width - 1) / 2
        radius = float(np.hypot(height, width)) / 2
    else:
        center_row = (body.top + body.bottom - 1) / 2
        center_column = (body.left + body.right - 1) / 2
        # Wide enough for the rings of a globe that was found without them.
        radius = _START_REACH * max(body.bottom - body.top, body.right - body.left) + 2
    # Twice the resolution of the view is enough to find the centre.
    small, factor = _reduce(content, 1.5 * VIEW_SIZE / radius)
    light = cv2.GaussianBlur(small.mean(axis=2, dtype=np.float32), (0, 0), 0.8)
    places: list[tuple[float, float, float]] = []
    for depth in _DEPTHS:
        place = _locate_light(
            np.asarray(light, np.float32),
            (center_row + 0.5) * factor - 0.5,
            (center_column + 0.5) * factor - 0.5,
            radius * factor,
            depth=depth,
            follow=body is not None,
        )
        if not any(_is_same_place(place, other) for other in places):
            places.append(place)
    return ImageDescriptor(
        views=tuple(_create_view(small, *place) for place in places),
        digest=digest.hexdigest(),
        has_body=body is not None,
    )


def _is_same_place(one: tuple[float, float, float], other: tuple[float, float, float]) -> bool:
    """Returns whether two places (row, column, spread) give views that can be fitted."""
    apart = np.hypot(one[0] - other[0], one[1] - other[1])
    return bool(apart < 0.1 * one[2] and 0.92 < one[2] / other[2] < 1.09)


def _create_view(
    image: npt.NDArray[np.uint8], row: float, column: float, spread: float
) -> npt.NDArray[np.uint8]:
    # `warpAffine` does not average: what is left for it to scale must alias little.
    small, factor = _reduce(image, VIEW_SIZE / (2 * 0.7 * _REACH * spread))
    row, column = (row + 0.5) * factor - 0.5, (column + 0.5) * factor - 0.5
    scale = VIEW_SIZE / (2 * _REACH * spread * factor)
    middle = (VIEW_SIZE - 1) / 2
    matrix = np.array([[scale, 0, middle - scale * column], [0, scale, middle - scale * row]])
    mode = cv2.INTER_LINEAR if scale < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.warpAffine(small, matrix, (VIEW_SIZE, VIEW_SIZE), flags=mode), np.uint8)


def _reduce(image: npt.NDArray[np.uint8], factor: float) -> tuple[npt.NDArray[np.uint8], float]:
    """Returns the reduced image and the factor that was reached."""
    if factor >= 1:
        return image, 1.0
    height, width = image.shape[:2]
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.uint8), max(size) / max(height, width)


def _locate_light(
    light: Floats, row: float, column: float, radius: float, *, depth: float, follow: bool
) -> tuple[float, float, float]:
    """Returns the centre of the light and its root mean square distance from it.

    The light is what exceeds a threshold inside a circle, Otsu's or the share `depth` of it over
    the sky; the circle follows the light until both stand still, so that they depend on the body
    and not on where the search began.
    """
    height, width = light.shape
    rows = np.arange(height, dtype=np.float32)[:, None]
    columns = np.arange(width, dtype=np.float32)[None]
    spread = 1.0
    for _ in range(8 if follow else 1):
        top, left = max(0, int(row - radius)), max(0, int(column - radius))
        window = np.s_[top : int(row + radius) + 2, left : int(column + radius) + 2]
        part, down, along = light[window], rows[window[0]], columns[:, window[1]]
        inside = (down - row) ** 2 + (along - column) ** 2 <= radius**2
        levels = part[inside]
        if levels.size == 0:
            break
        threshold, _ = cv2.threshold(
            levels.astype(np.uint8)[:, None], 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU
        )
        bright, dark = levels[levels > threshold], levels[levels <= threshold]
        if bright.size == 0 or dark.size == 0:
            break
        sky = float(np.median(dark))
        threshold = sky + depth * (threshold - sky)
        # Nearly a mask: its weights change little where the exposure does.
        height_of_edge = max(1.0, 0.5 * (float(np.percentile(bright, 75)) - threshold))
        weight = np.clip((part - threshold) / height_of_edge, 0, 1) * inside
        total = float(weight.sum()) + 1e-6
        new_row = float((weight * down).sum()) / total
        new_column = float((weight * along).sum()) / total
        squared = weight * ((down - new_row) ** 2 + (along - new_column) ** 2)
        spread = max(1.0, float(np.sqrt(float(squared.sum()) / total)))
        new_radius = 2.4 * spread + 1 if follow else radius
        moved = abs(new_row - row) + abs(new_column - column) + abs(new_radius - radius)
        row, column, radius = new_row, new_column, new_radius
        if moved < 0.01 * radius:
            break
    return row, column, spread
