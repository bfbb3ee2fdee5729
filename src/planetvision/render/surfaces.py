"""`get_surface`: the map of a body, painted or read once and cached in several sizes."""

from __future__ import annotations

import dataclasses
import math
import threading
from collections import OrderedDict
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

from planetvision.core.devices import derive_seed
from planetvision.imaging.light import Floats
from planetvision.render import giants, other_surfaces, terrestrial
from planetvision.render.appearance import get_body
from planetvision.render.body import Body
from planetvision.render.craters import Craters
from planetvision.render.maps import load_map
from planetvision.render.paint import Paint, Painter
from planetvision.render.photometry import smoothstep
from planetvision.render.sphere import Sphere

# Each takes half a second to paint, and up to 5 MB, at the size that 224-pixel images need.
NUM_VARIANTS = 4

# The rows of a map, pole to pole, for each pixel of a radius: a texel a pixel in the disc's middle,
# less a tenth that is not visible.
MIN_TEXELS_A_RADIUS = 0.9 * math.pi

Spectrum = Literal["visible", "bands"]

_HEIGHTS = (96, 144, 288, 576, 768)

PAINTERS: Mapping[str, Painter] = {
    "earth": terrestrial.paint_earth,
    "mars": terrestrial.paint_mars,
    "moon": terrestrial.paint_moon,
    "jupiter": giants.paint_jupiter,
    "saturn": giants.paint_saturn,
    "uranus": giants.paint_uranus,
    "neptune": giants.paint_neptune,
    "craters": other_surfaces.paint_craters,
    "clouds": other_surfaces.paint_clouds,
    "frost": other_surfaces.paint_frost,
    "io": other_surfaces.paint_io,
    "europa": other_surfaces.paint_europa,
    "sun": other_surfaces.paint_sun,
}
"""The rules by which surfaces are painted, by the names that `Body.painter` takes."""


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


def choose_height(image_size: int, *, radius_pixels: float = 0.0) -> int:
    """Returns the height of the map that images of this size need.

    It has about a texel a pixel of a body that just fits in, and for one that is nearer up to about
    twice that: larger maps take too long to paint and too much memory.

    Args:
        image_size: The height and width of the picture in pixels.
        radius_pixels: The radius of a body that is to be sharp close up too; 0 asks for no more
            than what fits in needs.
    """
    fits = 1.25 * image_size
    needed = min(max(fits, MIN_TEXELS_A_RADIUS * radius_pixels), 2 * fits)
    return next((height for height in _HEIGHTS if height >= needed), _HEIGHTS[-1])


class _Shelf:
    """A cache of painted surfaces that drops the least recently used ones beyond a size."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.num_bytes = 0
        self._kept: OrderedDict[Hashable, tuple[Surface, ...]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable) -> tuple[Surface, ...] | None:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def put(self, key: Hashable, levels: tuple[Surface, ...]) -> None:
        with self._lock:
            if key in self._kept:
                return
            self._kept[key] = levels
            self.num_bytes += _measure(levels)
            # The one just painted is in use and stays.
            while self.num_bytes > self.max_bytes and len(self._kept) > 1:
                _, oldest = self._kept.popitem(last=False)
                self.num_bytes -= _measure(oldest)


def _measure(levels: tuple[Surface, ...]) -> int:
    return sum(it.colour.nbytes + (0 if it.details is None else it.details.nbytes) for it in levels)


# All faces of the seven bodies in both spectra take 0.2 GB for images of 224 pixels; at the
# largest size, where each takes up to 38 MB, the faces in one spectrum fit.
_SHELF = _Shelf(max_bytes=2**30)


def get_surface(
    name: str,
    variant: int,
    height: int,
    *,
    spectrum: Spectrum = "visible",
    map_file: Path | None = None,
) -> tuple[Surface, ...]:
    """Returns the map of a body at `height` rows, then at each half of it down to 24 rows.

    Surfaces are kept in memory, up to a gigabyte in a process.

    Args:
        name: The body.
        variant: Which of its `NUM_VARIANTS` faces: clouds, storms and spots differ.
        height: The number of rows of the first one.
        spectrum: Whether its channels are red, green and blue or those of `Body.bands`; features
            are in the same places.
        map_file: A map to be read instead of a painted one, for the visible spectrum. All faces
            show it alike, but for the clouds over the Earth's.

    Raises:
        DataError: If the map cannot be read.
    """
    if map_file is not None and not get_body(name).has_clouds_on_maps:
        variant = 0
    key = (name, variant, height, spectrum, map_file)
    levels = _SHELF.get(key)
    if levels is None:
        levels = _create_surface(name, variant, height, spectrum, map_file)
        _SHELF.put(key, levels)
    return levels


def _create_surface(
    name: str, variant: int, height: int, spectrum: Spectrum, map_file: Path | None
) -> tuple[Surface, ...]:
    import cv2

    sphere = Sphere(height, derive_seed("surface", name, variant))
    body = get_body(name)
    if map_file is not None:
        paint = _read_paint(sphere, body, map_file)
    else:
        if spectrum == "bands":
            body = dataclasses.replace(body, colours=body.bands)
        paint = PAINTERS[body.painter](sphere, body)
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


def _read_paint(sphere: Sphere, body: Body, file: Path) -> Paint:
    colour = load_map(file, sphere.height)
    if body.has_clouds_on_maps:
        return terrestrial.cover_earth(sphere, body, colour)
    if not body.shows_ground:
        return Paint(colour)
    # A photographic map holds no heights. Fine bright and dark stand for slopes, so that the
    # terminator is not smooth, and craters at random for those that it is too coarse to show.
    import cv2

    brightness = colour.mean(axis=-1)
    coarse = cv2.GaussianBlur(brightness, (0, 0), sphere.height / 60)
    relief = np.float32(body.map_relief_radii) * (brightness - coarse)
    craters = Craters(sphere)
    craters.scatter("unresolved", count=6000, smallest_degrees=0.2, largest_degrees=1.6)
    # Lava drowned those of dark plains.
    plains = smoothstep(0.8, 0.55, coarse / max(float(coarse.mean()), 1e-3))
    return Paint(colour, elevation=relief + craters.elevation * (1 - 0.8 * plains))


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
