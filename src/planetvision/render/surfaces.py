"""`get_surface`: the painted map of a body, built once and kept in several sizes."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from planetvision.render import giants, terrestrial
from planetvision.render.bodies import get_body
from planetvision.render.paint import Paint, Painter
from planetvision.render.photometry import Floats
from planetvision.render.sphere import Sphere
from planetvision.runtime import derive_seed

__all__ = ["NUM_VARIANTS", "Surface", "choose_height", "get_surface"]

# Each takes half a second to paint, and up to 5 MB, at the size that 224-pixel images need.
NUM_VARIANTS = 4

_HEIGHTS = (96, 144, 288, 576, 768)

_PAINTERS: Mapping[str, Painter] = {
    "earth": terrestrial.paint_earth,
    "jupiter": giants.paint_jupiter,
    "mars": terrestrial.paint_mars,
    "moon": terrestrial.paint_moon,
    "neptune": giants.paint_neptune,
    "saturn": giants.paint_saturn,
    "uranus": giants.paint_uranus,
}


@dataclass(frozen=True)
class Surface:
    """A painted map at one size; a column is repeated at both ends, so that it can be sampled.

    Args:
        colour: Linear light, as (row, column, 3).
        details: Gloss, slope to the east and slope to the north, as (row, column, 3), or None
            for a body without any.
    """

    colour: Floats
    details: Floats | None

    def sample(self, latitude: Floats, longitude: Floats) -> tuple[Floats, Floats | None]:
        """Returns the colours and details at places given in radians, as (row, column, 3)."""
        import cv2

        height, width = self.colour.shape[0], self.colour.shape[1] - 2
        turns = longitude / (2 * math.pi) + 0.5
        column = ((turns - np.floor(turns)) * width + 0.5).astype(np.float32)
        row = ((0.5 - latitude / math.pi) * height - 0.5).astype(np.float32)
        look_up = partial(
            cv2.remap,
            map1=column,
            map2=row,
            interpolation=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )
        details = None if self.details is None else np.asarray(look_up(self.details), np.float32)
        return np.asarray(look_up(self.colour), np.float32), details


def choose_height(image_size: int) -> int:
    """Returns the height of the map that images of this size need: about a texel a pixel."""
    for height in _HEIGHTS:
        if height >= 1.25 * image_size:
            return height
    return _HEIGHTS[-1]


@functools.lru_cache(maxsize=128)
def get_surface(name: str, variant: int, height: int) -> tuple[Surface, ...]:
    """Returns the map of a body at `height` rows, then at each half of it down to 24 rows.

    Args:
        name: The body.
        variant: Which of its `NUM_VARIANTS` faces: clouds, storms and spots differ.
        height: The number of rows of the first one.
    """
    import cv2

    sphere = Sphere(height, derive_seed("surface", name, variant))
    paint = _PAINTERS[name](sphere, get_body(name))
    levels = []
    colour, details = np.clip(paint.colour, 0, 1).astype(np.float32), _find_details(sphere, paint)
    while True:
        levels.append(Surface(_pad(colour), None if details is None else _pad(details)))
        rows, columns = colour.shape[0] // 2, colour.shape[1] // 2
        if rows < 24:
            return tuple(levels)
        shrink = partial(cv2.resize, dsize=(columns, rows), interpolation=cv2.INTER_AREA)
        colour = np.asarray(shrink(colour), np.float32)
        if details is not None:
            details = np.asarray(shrink(details), np.float32)


def _pad(picture: Floats) -> Floats:
    return np.ascontiguousarray(np.concatenate([picture[:, -1:], picture, picture[:, :1]], axis=1))


def _find_details(sphere: Sphere, paint: Paint) -> Floats | None:
    if paint.gloss is None and paint.elevation is None:
        return None
    gloss = paint.gloss if paint.gloss is not None else np.zeros_like(paint.colour[..., 0])
    elevation = paint.elevation if paint.elevation is not None else np.zeros_like(gloss)
    step = math.pi / sphere.height
    wrapped = np.pad(elevation, ((0, 0), (1, 1)), mode="wrap")
    across = np.maximum(np.cos(np.radians(sphere.latitude_degrees)), 0.05)
    east = (wrapped[:, 2:] - wrapped[:, :-2]) / (2 * step * across)
    north = -np.gradient(elevation, step, axis=0)
    return np.stack([gloss, east, north], axis=-1).astype(np.float32)
