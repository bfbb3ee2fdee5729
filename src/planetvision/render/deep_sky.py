"""Pictures from beyond the solar system: stars, clusters, galaxies, nebulae."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from planetvision.imaging.backgrounds import draw_background
from planetvision.imaging.light import Floats, encode_srgb
from planetvision.render.patterns import draw_cloud, pick_colour

Light = npt.NDArray[np.float64]


def draw_stars(size: int, rng: np.random.Generator) -> Floats:
    """Draws a field of stars, with or without faint glowing clouds."""
    light = _draw_sky(size, rng) * rng.uniform(1, 6)
    if rng.random() < 0.5:
        cloud = draw_cloud(size, rng, rng.uniform(1.4, 2.2)) ** rng.uniform(2, 8)
        light += cloud[..., None] * _pick_glow(rng) * rng.uniform(0.1, 0.8)
    return _develop(light, rng)


def draw_cluster(size: int, rng: np.random.Generator) -> Floats:
    """Draws an open or a globular cluster."""
    centre = size * rng.uniform(0.3, 0.7, 2)
    core = size * rng.uniform(0.02, 0.2)
    count = int(60 / rng.uniform(0.01, 1))
    # Plummer's profile; 0.99 in place of 1 keeps a star from the far outskirts.
    far = core / np.sqrt(rng.uniform(0.02, 1, count) ** (-2 / 3) - 0.99)
    angle = rng.uniform(0, 2 * math.pi, count)
    places = centre + np.stack([far * np.sin(angle), far * np.cos(angle)], axis=-1)
    light = _draw_sky(size, rng) * rng.uniform(0, 2)
    flux = np.minimum(rng.uniform(0.02, 0.15) * rng.uniform(0.01, 1, count) ** -0.8, 2)
    warmth = rng.normal(0.05, 0.2, count)
    tint = np.stack([1 + warmth, np.ones(count), 1 - warmth], axis=-1).clip(0.4, 1.7)
    inside = ((places > 0) & (places < size - 1)).all(axis=1)
    rows, columns = places[inside].round().astype(int).T
    np.add.at(light, (rows, columns), (flux[:, None] * tint)[inside])
    return _develop(_blur(light, rng.uniform(0.6, 1.3) * size / 224) * 3, rng)


def draw_galaxy(size: int, rng: np.random.Generator) -> Floats:
    """Draws a galaxy behind stars, face-on or edge-on, or many small ones."""
    light = _draw_sky(size, rng) * rng.uniform(0.2, 3)
    if rng.random() < 0.2:
        for _ in range(int(rng.integers(15, 60))):
            centre = size * rng.uniform(0, 1, 2)
            _add_galaxy(light, centre, size * rng.uniform(0.004, 0.02), rng)
    else:
        for _ in range(int(rng.choice([1, 1, 1, 2]))):
            centre = size * rng.uniform(0.25, 0.75, 2)
            _add_galaxy(light, centre, size * rng.uniform(0.02, 0.2) * rng.uniform(0.4, 1), rng)
    return _develop(light, rng)


def draw_nebula(size: int, rng: np.random.Generator) -> Floats:
    """Draws clouds that glow in a few colours, with dark lanes and stars."""
    glow = np.zeros((size, size, 3))
    for _ in range(int(rng.integers(2, 5))):
        cloud = draw_cloud(size, rng, rng.uniform(1.3, 2.4)) ** rng.uniform(1, 4)
        glow += rng.uniform(0.2, 1) * cloud[..., None] * _pick_glow(rng)
    lanes = draw_cloud(size, rng, rng.uniform(1.3, 2.0))[..., None]
    glow *= 1 - rng.uniform(0.2, 0.95) * lanes ** rng.uniform(1, 3)
    if rng.random() < 0.3:
        # A bright rim, where a cloud is lit from one side.
        depth = draw_cloud(size, rng, rng.uniform(1.6, 2.2)) - rng.uniform(0.3, 0.7)
        wide = rng.uniform(0.02, 0.1)
        rim = np.exp(-((depth / wide) ** 2))[..., None]
        glow = glow * (depth / wide + 0.5).clip(0, 1)[..., None] + 0.6 * rim * _pick_glow(rng)
    if rng.random() < 0.5:
        far = _measure_distance(size, rng) / rng.uniform(0.1, 0.6)
        glow *= np.exp(-(far**2))[..., None]
        if rng.random() < 0.4:
            # A shell, as of a dying star.
            wide = rng.uniform(0.15, 0.5)
            glow += np.exp(-(((far - 1) / wide) ** 2))[..., None] * pick_colour(rng) * 0.6
    return _develop(glow * rng.uniform(0.5, 1.5) + _draw_sky(size, rng) * rng.uniform(0.5, 5), rng)


def _draw_sky(size: int, rng: np.random.Generator) -> Light:
    """Draws stars, in half of the pictures as a large telescope shows them."""
    kind = "stars" if rng.random() < 0.5 else "deep_field"
    return draw_background(kind, size, rng).astype(np.float64)


def _add_galaxy(light: Light, centre: Light, reach: float, rng: np.random.Generator) -> None:
    """Adds a spiral or an elliptical galaxy, whose light falls by e on each `reach` pixels."""
    size = len(light)
    rows, columns = np.mgrid[:size, :size].astype(np.float64)
    angle, flat = rng.uniform(0, math.pi), rng.uniform(0.1, 1)
    down, along = rows - centre[0], columns - centre[1]
    x = along * math.cos(angle) + down * math.sin(angle)
    across = down * math.cos(angle) - along * math.sin(angle)
    radius = np.hypot(x, across / flat) / reach
    disc = np.exp(-radius)
    is_spiral = rng.random() < 0.7
    if is_spiral:
        arms = int(rng.integers(2, 5))
        phase = arms * (np.arctan2(across / flat, x) - rng.uniform(1, 3.5) * np.log(radius + 0.1))
        disc *= 1 + rng.uniform(0.3, 0.9) * np.cos(phase) * (1 - np.exp(-radius))
        disc *= 0.5 + draw_cloud(size, rng, rng.uniform(1.0, 1.6))
    core = np.exp(-np.hypot(x, across / max(flat, 0.5)) / reach * rng.uniform(3, 8))
    if is_spiral and flat < 0.35:
        # Dust in its plane, seen edge-on.
        lane = np.exp(-(((across - 0.1 * reach) / (0.25 * reach)) ** 2)) * np.exp(-radius / 3)
        disc, core = disc * (1 - 0.8 * lane), core * (1 - 0.7 * lane)
    strength = 0.3 * rng.uniform(0.1, 1) ** -0.6
    blue, warm = 0.5 + 0.5 * pick_colour(rng), np.array([1.0, 0.9, 0.7])
    light += strength * (disc[..., None] * blue + 1.5 * core[..., None] * warm)


def _measure_distance(size: int, rng: np.random.Generator) -> Light:
    """The distance from some place near the middle, in pictures."""
    rows, columns = np.mgrid[:size, :size] / size
    centre = rng.uniform(0.25, 0.75, 2)
    distance: Light = np.hypot(rows - centre[0], columns - centre[1])
    return distance


def _pick_glow(rng: np.random.Generator) -> Light:
    """Returns a random colour, or nearly that of glowing hydrogen or oxygen."""
    if rng.random() < 0.5:
        return pick_colour(rng) ** 2
    gases = np.array([[0.9, 0.2, 0.25], [0.15, 0.7, 0.65], [0.3, 0.4, 0.9]])
    return np.asarray((gases[rng.integers(3)] * rng.uniform(0.7, 1.3, 3)).clip(0, 1))


def _blur(light: Light, sigma_pixels: float) -> Light:
    import cv2

    return np.asarray(cv2.GaussianBlur(light, (0, 0), sigma_pixels), np.float64)


def _develop(light: Light, rng: np.random.Generator) -> Floats:
    """Returns the picture as files hold it: a sky that is not quite black, often stretched."""
    light = light + rng.uniform(0, 0.01) * (rng.random() < 0.5)
    if rng.random() < 0.4:
        # The stretch of Lupton et al. 2004, doi 10.1086/382245, in place of a power.
        gain = rng.uniform(2, 30)
        light = np.arcsinh(gain * light) / np.arcsinh(gain)
    return np.asarray(encode_srgb(light.clip(0, 1)) / 255, np.float32)
