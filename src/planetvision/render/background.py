"""The sky behind a body: black, a dark gradient, or stars."""

from __future__ import annotations

import math

import numpy as np

from planetvision.render.photometry import Floats

__all__ = ["BACKGROUNDS", "draw_background"]

# Plain black leads, as in most pictures of planets.
BACKGROUNDS = ("black", "stars", "gradient")


def draw_background(kind: str, image_size: int, rng: np.random.Generator) -> Floats:
    """Returns the sky in linear light, as (row, column, 3).

    Args:
        kind: One of `BACKGROUNDS`.
        image_size: The height and width.
        rng: The source of chance.
    """
    sky = np.zeros((image_size, image_size, 3), np.float32)
    if kind == "black":
        return sky
    if kind == "gradient":
        place = np.linspace(-1, 1, image_size, dtype=np.float32)
        angle = rng.uniform(0, 2 * math.pi)
        ramp = 0.5 + 0.35 * (place[:, None] * math.sin(angle) + place[None] * math.cos(angle))
        tint = np.array([0.8, 0.9, 1.2]) * rng.uniform(0.5, 1, 3)
        sky += (ramp[..., None] * tint * rng.uniform(0.006, 0.03)).astype(np.float32)
        return sky
    _add_stars(sky, rng)
    return sky


def _add_stars(sky: Floats, rng: np.random.Generator) -> None:
    size = sky.shape[0]
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
