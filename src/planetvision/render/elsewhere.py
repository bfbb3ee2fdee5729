"""Pictures within the solar system that show no planet: asteroids and the ground."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from planetvision.imaging.backgrounds import draw_background
from planetvision.imaging.light import Floats, encode_srgb
from planetvision.render.patterns import blend, draw_cloud, draw_ramp


def draw_asteroid(size: int, rng: np.random.Generator) -> Floats:
    """Draws an irregular body with craters, lit from one side, before a black or starry sky."""
    rows, columns = np.mgrid[:size, :size].astype(np.float64)
    centre = size * rng.uniform(0.35, 0.65, 2)
    down, along = rows - centre[0], columns - centre[1]
    angle = np.arctan2(down, along)
    outline = 1 + sum(
        rng.normal(0, 0.18 / order) * np.cos(order * angle + rng.uniform(0, 2 * math.pi))
        for order in range(2, 9)
    )
    radius = size * rng.uniform(0.08, 0.45) * np.maximum(outline, 0.35)
    share = np.hypot(down, along) / radius
    mean = float(radius.mean())
    height = mean * np.sqrt((1 - share**2).clip(0))
    height += 0.2 * mean * draw_cloud(size, rng, rng.uniform(1.6, 2.2))
    for _ in range(int(rng.integers(3, 40))):
        spot = centre + rng.normal(0, 0.5, 2) * mean
        wide = mean * 0.03 * rng.uniform(0.01, 1) ** -0.5
        inside = np.hypot(rows - spot[0], columns - spot[1]) / wide
        # A bowl within a rim.
        height += 0.3 * wide * (np.exp(-(((inside - 1) / 0.25) ** 2)) - (1 - inside**2).clip(0))
    slope_down, slope_along = np.gradient(height)
    normal = np.stack([-slope_along, -slope_down, np.ones_like(height)], axis=-1)
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    lit = (normal @ _pick_direction(rng)).clip(0)
    tint = 1 + rng.uniform(0, 0.35) * np.array([0.3, 0.0, -0.4])
    albedo = rng.uniform(0.5, 1.1) * (0.7 + 0.5 * draw_cloud(size, rng, 1.5))
    body = (lit * albedo)[..., None] * tint
    sky = draw_background("stars" if rng.random() < 0.3 else "black", size, rng)
    edge = ((1 - share) * radius).clip(0, 1)[..., None]
    image = sky * (1 - edge) + body * edge
    return np.asarray(encode_srgb(image) / 255, np.float32)


def draw_ground(size: int, rng: np.random.Generator) -> Floats:
    """Draws a plain with stones as a lander sees it, or from above without a horizon."""
    import cv2

    base = np.array([0.5, 0.5, 0.5])
    is_dusty = rng.random() < 0.6
    if is_dusty:
        base = np.array([0.62, 0.38, 0.24]) * rng.uniform(0.8, 1.2, 3)
    horizon = size * rng.uniform(0.05, 0.6) if rng.random() < 0.85 else -size
    rows = np.arange(size, dtype=np.float32)[:, None]
    # What lies at a row is as far away as its distance from the horizon is small.
    depth = size / (rows - horizon + 2).clip(2, None)
    columns = np.arange(size, dtype=np.float32)[None] - size / 2
    texture = draw_cloud(2 * size, rng, rng.uniform(0.7, 1.5))
    across = (columns * depth + size).astype(np.float32)
    away = np.broadcast_to(depth * size * 0.8, across.shape).astype(np.float32)
    rough = cv2.remap(texture, across, away, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    image = base * (0.45 + 0.7 * rough[..., None])
    light = math.copysign(rng.uniform(0.3, 1), rng.normal())
    for row in np.sort(rng.uniform(max(horizon, 0) + 2, size, int(rng.integers(20, 120)))):
        wide = rng.uniform(0.005, 0.06) * rng.uniform(0.05, 1) ** -0.5
        wide *= (row - horizon) / 2 if horizon > 0 else size / 4
        _add_stone(image, (rng.uniform(0, size), row), wide, base, light, rng)
    if horizon > 0:
        hills = horizon + size * 0.08 * (draw_cloud(size, rng, 1.9)[0] - 0.5)
        sky = blend(draw_ramp(size), rng) * 0.3 + 0.6 * base if is_dusty else np.zeros(3)
        image = np.where((rows < hills[None])[..., None], sky, image)
    return np.asarray(image.clip(0, 1), np.float32)


def _add_stone(
    image: npt.NDArray[np.float64],
    place: tuple[float, float],
    wide: float,
    base: npt.NDArray[np.float64],
    light: float,
    rng: np.random.Generator,
) -> None:
    """Draws a stone and its shadow over the image."""
    import cv2

    column, row = place
    corners = int(rng.integers(5, 10))
    angles = np.sort(rng.uniform(0, 2 * math.pi, corners))
    radii = wide * rng.uniform(0.6, 1.2, corners)
    points = np.stack([radii * np.cos(angles), 0.7 * radii * np.sin(angles)], axis=-1)
    shade = rng.uniform(0.6, 1.2)
    for shift, colour in (
        (-0.6 * light * wide, base * 0.12),
        (0.0, base * shade * 0.6),
        (0.25 * light * wide, base * shade * 1.2),
    ):
        size = 0.6 if shift and colour[0] > base[0] * 0.2 else 1.0
        outline = size * points + (column + shift, row)
        cv2.fillPoly(image, [outline.round().astype(np.int32)], colour.tolist(), cv2.LINE_AA)


def _pick_direction(rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Returns the direction of light, a unit vector; never from behind alone."""
    light = rng.normal(0, 1, 3)
    light[2] = abs(light[2])
    unit: npt.NDArray[np.float64] = light / np.linalg.norm(light)
    return unit
