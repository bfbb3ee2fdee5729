"""`BACKGROUNDS`: backgrounds behind a body, by name."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from planetvision.imaging.light import Floats, srgb_to_linear


def draw_background(kind: str, image_size: int, rng: np.random.Generator) -> Floats:
    """Returns a background in linear light, as (row, column, 3).

    Args:
        kind: One of `BACKGROUNDS`.
        image_size: The height and width.
        rng: The source of chance.
    """
    return BACKGROUNDS[kind](image_size, rng)


def is_in_front(kind: str) -> bool:
    """Returns whether this background also covers the body, as a daylight sky does."""
    return kind == "daylight"


def _draw_black(size: int, rng: np.random.Generator) -> Floats:
    """Returns black."""
    return np.zeros((size, size, 3), np.float32)


def _draw_ramp(size: int, rng: np.random.Generator) -> Floats:
    """From about 0 to about 1 in a random direction, as (row, column, 1)."""
    place = np.linspace(-1, 1, size, dtype=np.float32)
    angle = rng.uniform(0, 2 * math.pi)
    ramp = 0.5 + 0.35 * (place[:, None] * math.sin(angle) + place[None] * math.cos(angle))
    return np.asarray(ramp[..., None], np.float32)


def _draw_gradient(size: int, rng: np.random.Generator) -> Floats:
    """A dark bluish haze that grows to one side."""
    ramp = _draw_ramp(size, rng)
    tint = np.array([0.8, 0.9, 1.2]) * rng.uniform(0.5, 1, 3)
    return (ramp * tint * rng.uniform(0.006, 0.03)).astype(np.float32)


def _draw_stars(size: int, rng: np.random.Generator) -> Floats:
    """A field of stars."""
    sky = np.zeros((size, size, 3), np.float32)
    count = int(rng.uniform(40, 260) * (size / 224) ** 2) + 6
    # The number of stars brighter than a flux falls about as its power -1.2; most stay faint.
    flux = np.minimum(0.02 * rng.uniform(0, 1, count) ** (-1 / 1.2), 1.2)
    warmth = rng.normal(0, 0.18, count)
    colour = np.stack([1 + warmth, np.ones(count), 1 - warmth], axis=-1).clip(0.4, 1.6)
    places = rng.uniform(0, size - 1, (count, 2))
    width = rng.uniform(0.5, 0.8)
    offsets = np.arange(-2, 3)
    for (row, column), light, tint in zip(places, flux, colour, strict=True):
        rows, columns = round(row) + offsets, round(column) + offsets
        rows = rows[(rows >= 0) & (rows < size)]
        columns = columns[(columns >= 0) & (columns < size)]
        down = np.exp(-0.5 * ((rows - row) / width) ** 2)
        along = np.exp(-0.5 * ((columns - column) / width) ** 2)
        window = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        sky[window] += (light * down[:, None] * along)[..., None] * tint
    return sky


def _draw_deep_field(size: int, rng: np.random.Generator) -> Floats:
    """What a large telescope shows: stars with halos and spikes, and galaxies far beyond."""
    sky = _draw_stars(size, rng) * np.float32(rng.uniform(0.2, 1))
    _add_bright_stars(sky, rng)
    _add_far_galaxies(sky, rng)
    return np.asarray(sky, np.float32)


def _add_bright_stars(sky: Floats, rng: np.random.Generator) -> None:
    """Adds stars with a halo each, and with the spikes that one telescope gives to all."""
    place = _get_places(sky)
    spikes = int(rng.choice([0, 2, 2, 3]))
    turn = rng.uniform(0, math.pi) if rng.uniform() < 0.5 else 0.0
    for _ in range(int(rng.integers(1, 8))):
        row, column = rng.uniform(0, 1, 2)
        down, along = place[:, None] - np.float32(row), place[None] - np.float32(column)
        strength = 0.3 * rng.uniform(0.05, 1) ** -0.7
        far = np.hypot(down, along)
        star = strength * np.exp(-((far / (0.004 * strength**0.5)) ** 2))
        star += 0.02 * strength / (1 + (far / 0.01) ** 2)
        for index in range(spikes):
            angle = turn + math.pi * index / spikes
            off = down * np.float32(math.cos(angle)) - along * np.float32(math.sin(angle))
            star += strength * np.exp(-np.abs(off) / 0.002 - far / (0.03 * strength))
        sky += star[..., None] * _pick_tint(rng)


def _add_far_galaxies(sky: Floats, rng: np.random.Generator) -> None:
    """Adds smudges of light, round or drawn out."""
    place = _get_places(sky)
    for _ in range(int(rng.integers(0, 40))):
        row, column = rng.uniform(0, 1, 2)
        reach, angle, flat = rng.uniform(0.002, 0.008), rng.uniform(0, math.pi), rng.uniform(0.2, 1)
        rows, columns = (_window(center, 5 * reach, len(sky)) for center in (row, column))
        down, along = place[rows, None] - np.float32(row), place[None, columns] - np.float32(column)
        x = along * math.cos(angle) + down * math.sin(angle)
        across = (down * math.cos(angle) - along * math.sin(angle)) / flat
        light = rng.uniform(0.03, 0.3) * np.exp(-np.hypot(x, across) / reach)
        sky[rows, columns] += light[..., None] * _pick_tint(rng)


def _get_places(sky: Floats) -> Floats:
    """Returns where the rows, and the columns, lie in the picture, from 0 to 1."""
    return np.arange(len(sky), dtype=np.float32) / np.float32(len(sky))


def _window(center: float, reach: float, size: int) -> slice:
    return slice(max(int((center - reach) * size), 0), int((center + reach) * size) + 2)


def _pick_tint(rng: np.random.Generator) -> Floats:
    """From bluish to reddish, as stars and galaxies are."""
    warmth = rng.normal(0, 0.2)
    return np.array([1 + warmth, 1, 1 - warmth], np.float32).clip(0.4, 1.6)


def _draw_glow(size: int, rng: np.random.Generator) -> Floats:
    """Light that a lens or the air scatters: a gray level, brighter towards one place."""
    rows, columns = np.mgrid[:size, :size].astype(np.float32) / size
    row, column = rng.uniform(0, 1, 2)
    near = np.exp(-np.hypot(rows - row, columns - column) / rng.uniform(0.1, 0.5))
    level, tint = rng.uniform(0.002, 0.03), rng.uniform(0.8, 1.2, 3)
    return np.asarray((level * (0.4 + near))[..., None] * tint, np.float32)


def _draw_daylight(size: int, rng: np.random.Generator) -> Floats:
    """A blue sky by day or dusk."""
    deep = srgb_to_linear((int(rng.integers(30, 90)), int(rng.integers(90, 140)), 205))
    pale = srgb_to_linear((int(rng.integers(120, 180)), int(rng.integers(170, 205)), 235))
    sky = deep + (pale - deep) * _draw_ramp(size, rng)
    return np.asarray(sky * rng.uniform(0.25, 1.0), np.float32)


def _draw_page(size: int, rng: np.random.Generator) -> Floats:
    """The white or pale ground of a page, plain."""
    level = rng.choice([1.0, float(rng.uniform(0.5, 1.0))])
    tint = 1 - rng.uniform(0, 0.12, 3) * (rng.uniform() < 0.3)
    return np.broadcast_to(level * tint, (size, size, 3)).astype(np.float32)


def _draw_plain(size: int, rng: np.random.Generator) -> Floats:
    """One muted colour, with or without a ramp."""
    colour = rng.uniform(0, 0.35, 3) ** 1.5
    ramp = _draw_ramp(size, rng) if rng.uniform() < 0.5 else np.ones((size, size, 1))
    return np.asarray(colour * ramp, np.float32)


# Plain black leads, as in most pictures of planets.
BACKGROUNDS: Mapping[str, Callable[[int, np.random.Generator], Floats]] = MappingProxyType(
    {
        "black": _draw_black,
        "stars": _draw_stars,
        "deep_field": _draw_deep_field,
        "gradient": _draw_gradient,
        "glow": _draw_glow,
        "daylight": _draw_daylight,
        "page": _draw_page,
        "plain": _draw_plain,
    }
)
