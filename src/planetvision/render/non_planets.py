"""Pictures without planets: generic negatives for the answer "unknown"."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

from planetvision.core.devices import derive_seed
from planetvision.core.errors import SettingsError
from planetvision.core.files import create_output_folder, write_atomically
from planetvision.imaging.light import Floats
from planetvision.render.arguments import (
    check_image_size,
    check_integer,
    check_name,
    refuse_single_name,
)
from planetvision.render.deep_sky import draw_cluster, draw_galaxy, draw_nebula, draw_stars
from planetvision.render.elsewhere import draw_asteroid, draw_ground
from planetvision.render.patterns import blend, draw_cloud, draw_ramp, pick_colour

Draw: TypeAlias = "Callable[[int, np.random.Generator], Floats]"


def _draw_noise(size: int, rng: np.random.Generator) -> Floats:
    """Draws white or coloured noise, in each channel by itself or in all alike."""
    power = rng.uniform(0, 1.2)
    channels = [draw_cloud(size, rng, power) for _ in range(3)]
    if rng.random() < 0.5:
        channels = channels[:1] * 3
    return np.stack(channels, axis=-1)


def _draw_texture(size: int, rng: np.random.Generator) -> Floats:
    """Draws clouds, marble or wood: bands bent by noise."""
    cloud = draw_cloud(size, rng, rng.uniform(1.2, 2.2))
    if rng.random() < 0.6:
        place = np.linspace(0, 1, size, dtype=np.float32)
        angle = rng.uniform(0, math.pi)
        across = place[:, None] * math.sin(angle) + place[None] * math.cos(angle)
        waves = across * rng.uniform(3, 25) + cloud * rng.uniform(0, 3)
        cloud = (0.5 + 0.5 * np.sin(2 * math.pi * waves)).astype(np.float32)
    return blend(cloud, rng)


def _draw_pattern(size: int, rng: np.random.Generator) -> Floats:
    """Stripes, checks or dots."""
    scale = rng.uniform(4, 30) / size
    angle = rng.uniform(0, math.pi)
    rows, columns = np.mgrid[:size, :size].astype(np.float32)
    along = (columns * math.cos(angle) + rows * math.sin(angle)) * scale
    across = (rows * math.cos(angle) - columns * math.sin(angle)) * scale
    kind = rng.integers(3)
    if kind == 0:
        mask = np.floor(along) % 2
    elif kind == 1:
        mask = (np.floor(along) + np.floor(across)) % 2
    else:
        mask = (np.hypot(along % 1 - 0.5, across % 1 - 0.5) < rng.uniform(0.15, 0.45)) * 1.0
    return blend(np.asarray(mask, np.float32), rng)


def _draw_leaves(size: int, rng: np.random.Generator) -> Floats:
    """Draws dead leaves: overlapping shapes with the statistics of natural scenes."""
    image = np.full((size, size, 3), pick_colour(rng), np.float32)
    smallest = rng.uniform(2, 8)
    for _ in range(int(rng.uniform(60, 250))):
        # Radii by a power law of -3 make the picture look alike at each scale.
        radius = min(smallest * rng.uniform(1e-4, 1) ** -0.5, size / 2)
        _add_shape(image, rng, rng.uniform(0, size, 2), radius)
    return image


def _draw_shapes(size: int, rng: np.random.Generator) -> Floats:
    """Draws one to six shapes on a plain or shaded ground."""
    image = np.full((size, size, 3), pick_colour(rng), np.float32)
    if rng.random() < 0.5:
        image = blend(draw_ramp(size), rng)
    if rng.random() < 0.3:
        image *= 0
    for _ in range(int(rng.integers(1, 7))):
        _add_shape(image, rng, rng.uniform(0, size, 2), rng.uniform(0.05, 0.4) * size)
    return image


def _add_shape(
    image: Floats,
    rng: np.random.Generator,
    centre: npt.NDArray[np.float64],
    radius: float,
) -> None:
    """Draws a polygon, an ellipse, a ring or a line over the image."""
    import cv2

    colour = pick_colour(rng).tolist()
    column, row = (int(value) for value in centre)
    kind = rng.integers(4)
    if kind == 0:
        corners = int(rng.integers(3, 8))
        angles = np.sort(rng.uniform(0, 2 * math.pi, corners))
        radii = radius * rng.uniform(0.5, 1.3, corners)
        points = np.stack([column + radii * np.cos(angles), row + radii * np.sin(angles)], axis=-1)
        cv2.fillPoly(image, [points.round().astype(np.int32)], colour, cv2.LINE_AA)
    elif kind == 1:
        axes = (max(1, int(radius)), max(1, int(radius * rng.uniform(0.2, 0.8))))
        angle = float(rng.uniform(0, 180))
        cv2.ellipse(image, (column, row), axes, angle, 0, 360, colour, -1, cv2.LINE_AA)
    elif kind == 2:
        width = max(1, int(radius * rng.uniform(0.1, 0.4)))
        cv2.circle(image, (column, row), max(1, int(radius)), colour, width, cv2.LINE_AA)
    else:
        end = (column + int(rng.normal(0, radius)), row + int(rng.normal(0, radius)))
        width = max(1, int(radius * rng.uniform(0.05, 0.3)))
        cv2.line(image, (column, row), end, colour, width, cv2.LINE_AA)


def _draw_ball(size: int, rng: np.random.Generator) -> Floats:
    """Draws a shaded ball with a pattern and a highlight, rarely on black."""
    ground = _GROUNDS[int(rng.integers(len(_GROUNDS)))](size, rng)
    rows, columns = np.mgrid[:size, :size].astype(np.float32)
    radius = size * rng.uniform(0.12, 0.42)
    centre = rng.uniform(0.35, 0.65, 2) * size
    y, x = (rows - centre[0]) / radius, (columns - centre[1]) / radius
    z = np.sqrt((1 - x**2 - y**2).clip(0))
    light = rng.normal(0, 1, 3)
    light[2] = abs(light[2]) + 0.3
    light /= np.linalg.norm(light)
    lit = (x * light[0] + y * light[1] + z * light[2]).clip(0)
    half = light + np.array([0.0, 0.0, 1.0])
    half /= np.linalg.norm(half)
    shine = (x * half[0] + y * half[1] + z * half[2]).clip(0) ** rng.uniform(20, 200)
    surface = (_draw_pattern, _draw_texture, _draw_plain)[int(rng.integers(3))](size, rng)
    ball = surface * (0.15 + 0.85 * lit[..., None]) + rng.uniform(0.2, 0.9) * shine[..., None]
    inside = ((1 - np.hypot(x, y)) * radius).clip(0, 1)[..., None]
    return np.asarray(ground * (1 - inside) + ball.clip(0, 1) * inside, np.float32)


def _draw_plain(size: int, rng: np.random.Generator) -> Floats:
    """Draws one colour, or a ramp between two."""
    first = np.full((size, size, 3), pick_colour(rng), np.float32)
    if rng.random() < 0.4:
        return first
    ramp = draw_ramp(size)
    return blend(ramp if rng.random() < 0.5 else ramp.T, rng)


def _draw_landscape(size: int, rng: np.random.Generator) -> Floats:
    """Draws a sky behind rough ground or rows of hills."""
    image = blend(draw_ramp(size), rng)
    rows = np.arange(size)[:, None]
    height = size * rng.uniform(0.25, 0.7)
    for _ in range(int(rng.integers(1, 5))):
        skyline = height + size * 0.25 * (draw_cloud(size, rng, 1.8)[0] - 0.5)
        ground = _draw_texture(size, rng) * rng.uniform(0.5, 1)
        image = np.where((rows > skyline[None])[..., None], ground, image)
        height += size * rng.uniform(0.08, 0.25)
    return image.astype(np.float32)


_GROUNDS: tuple[Draw, ...] = (
    _draw_plain,
    _draw_texture,
    _draw_landscape,
    _draw_leaves,
    draw_stars,
)

NON_PLANETS: Mapping[str, Draw] = MappingProxyType(
    {
        "noise": _draw_noise,
        "texture": _draw_texture,
        "pattern": _draw_pattern,
        "plain": _draw_plain,
        "leaves": _draw_leaves,
        "shapes": _draw_shapes,
        "stars": draw_stars,
        "galaxy": draw_galaxy,
        "ball": _draw_ball,
        "landscape": _draw_landscape,
        "asteroid": draw_asteroid,
        "nebula": draw_nebula,
        "cluster": draw_cluster,
        "ground": draw_ground,
    }
)
"""What draws each kind: float32 in [0, 1] of shape (size, size, 3), of a size and a generator."""


def render_non_planet(kind: str, *, image_size: int = 224, seed: int = 0) -> npt.NDArray[np.uint8]:
    """Returns a picture without a planet, uint8 of shape (image_size, image_size, 3).

    Args:
        kind: One of `NON_PLANETS`.
        image_size: The height and width in pixels.
        seed: The seed, any whole number.

    Raises:
        UnknownNameError: If there is no such kind.
        SettingsError: If it is no string, or a number is out of range.
    """
    import cv2

    _check_kind(kind)
    image_size = check_image_size(image_size)
    seed = check_integer("seed", seed, at_least=None, remedy="Pass 0, for example.")
    rng = np.random.default_rng(derive_seed("non-planet", kind, seed))
    image = NON_PLANETS[kind](image_size, rng).astype(np.float64)
    if rng.random() < 0.15:
        image = np.repeat(image.mean(axis=-1, keepdims=True), 3, axis=-1)
    if rng.random() < 0.3:
        image = np.asarray(
            cv2.GaussianBlur(image, (0, 0), rng.uniform(0.5, 2) * image_size / 224), np.float64
        )
    if rng.random() < 0.3:
        image = image + rng.normal(0, rng.uniform(0.01, 0.06), image.shape)
    pixels: npt.NDArray[np.uint8] = (image.clip(0, 1) * 255).round().astype(np.uint8)
    return pixels


def render_non_planets(
    *,
    count: int,
    image_size: int = 224,
    seed: int = 0,
    kinds: Sequence[str] | None = None,
) -> Iterator[npt.NDArray[np.uint8]]:
    """Returns an iterator over pictures without planets, one kind after the other in turn.

    Args:
        count: How many pictures.
        image_size: Their height and width in pixels.
        seed: The seed, any whole number.
        kinds: Some of `NON_PLANETS`; None is all.

    Raises:
        UnknownNameError: If there is no such kind.
        SettingsError: If a number is out of range, or `kinds` is empty or no list of names.
    """
    count = check_integer("count", count, at_least=1, remedy="Pass 100, for example.")
    image_size = check_image_size(image_size)
    seed = check_integer("seed", seed, at_least=None, remedy="Pass 0, for example.")
    refuse_single_name("kinds", kinds)
    names = list(NON_PLANETS) if kinds is None else list(kinds)
    if not names:
        raise SettingsError("`kinds` must name at least one kind, got none. Pass None for all.")
    for kind in names:
        _check_kind(kind)
    return (
        render_non_planet(
            names[index % len(names)],
            image_size=image_size,
            seed=derive_seed(seed, index // len(names)),
        )
        for index in range(count)
    )


def write_non_planets(
    folder: str | os.PathLike[str],
    *,
    count: int,
    image_size: int = 224,
    seed: int = 0,
    overwrite: bool = False,
) -> list[Path]:
    """Writes the pictures of `render_non_planets` as PNG files and returns them, in that order.

    Args:
        folder: Where `<kind>_00000.png` and so on are written.
        count: How many pictures there are in all.
        image_size: Their height and width in pixels.
        seed: The seed, any whole number.
        overwrite: Whether files in a folder that is not empty may be replaced; files of other
            names stay.

    Raises:
        SettingsError: If a number is out of range.
        OutputExistsError: If the folder is a file, or is not empty and `overwrite` is false.
        OutputError: If it cannot be written.
    """
    pictures = render_non_planets(count=count, image_size=image_size, seed=seed)
    root = create_output_folder(folder, overwrite=overwrite)
    kinds = list(NON_PLANETS)
    paths = []
    for index, picture in enumerate(pictures):
        path = root / f"{kinds[index % len(kinds)]}_{index // len(kinds):05d}.png"
        write_atomically(path, partial(Image.fromarray(picture).save, format="PNG"))
        paths.append(path)
    return paths


def _check_kind(kind: object) -> None:
    expected = "A kind of non-planet must be a name, a string,"
    check_name(
        kind, NON_PLANETS, expected=expected, what="kind of non-planet", family="non_planets"
    )
