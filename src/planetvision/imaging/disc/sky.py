"""The sky of a frame: its level, its slope and its noise, from the frame's border."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

# A sky that rises by more than this over the frame is taken for part of a scene.
_MAX_SLOPE_LEVELS = 64.0
# How far above the dark part of the border a pixel may lie and still be sky.
_MAX_SPREAD_LEVELS = 40.0


@dataclass(frozen=True, kw_only=True)
class Sky:
    """A plane through the levels of the sky, and their noise.

    Args:
        level: The level in the middle of the frame, in [0, 255].
        down: How much it rises from the top to the bottom of the frame.
        along: How much it rises from left to right.
        noise: The standard deviation about the plane, estimated robustly.
    """

    level: float
    down: float
    along: float
    noise: float


def measure_sky(gray: npt.NDArray[np.uint8]) -> Sky:
    """Returns the sky by the border of the frame, whatever part of it a body or stars cover.

    It starts at the darker quarter of the border, takes in what lies close to that, and fits a
    plane by least squares, trimmed at three deviations (by the median of absolute residuals).

    Convention: `gray` is uint8 of shape (H, W).

    References:
        Rousseeuw and Leroy, Robust Regression and Outlier Detection, 1987, sections 4.3 and 5.1.
    """
    height, width = gray.shape
    rows, columns = np.linspace(-0.5, 0.5, height), np.linspace(-0.5, 0.5, width)
    levels = np.concatenate([gray[0], gray[-1], gray[:, 0], gray[:, -1]]).astype(np.float64)
    design = np.ones((levels.size, 3))
    design[:, 1] = np.concatenate([np.full(width, -0.5), np.full(width, 0.5), rows, rows])
    design[:, 2] = np.concatenate([columns, columns, np.full(height, -0.5), np.full(height, 0.5)])
    start = float(np.percentile(levels, 25))
    plane = np.array([start, 0.0, 0.0])
    kept = np.abs(levels - start) <= _MAX_SPREAD_LEVELS
    noise = 1.0
    for _ in range(3):
        used = design[kept]
        # A pinch of ridge: a border of which one side remains says nothing of the slope across.
        normal = used.T @ used + np.diag([1e-9, 1e-3, 1e-3]) * len(used)
        plane = np.linalg.solve(normal, used.T @ levels[kept])
        residuals = levels - design @ plane
        noise = max(1.4826 * float(np.median(np.abs(residuals[kept]))), 0.5)
        kept = np.abs(residuals) <= max(3 * noise, 3.0)
        if not kept.any():
            break
    if abs(plane[1]) + abs(plane[2]) > _MAX_SLOPE_LEVELS:
        plane = np.array([start, 0.0, 0.0])
    return Sky(level=float(plane[0]), down=float(plane[1]), along=float(plane[2]), noise=noise)


def subtract_sky(gray: npt.NDArray[np.uint8], sky: Sky) -> npt.NDArray[np.uint8]:
    """Returns how far each pixel rises above the sky, 0 where it does not.

    Convention: uint8 of shape (H, W).
    """
    height, width = gray.shape
    rows = np.linspace(-0.5 * sky.down, 0.5 * sky.down, height, dtype=np.float32)[:, None]
    columns = np.linspace(-0.5 * sky.along, 0.5 * sky.along, width, dtype=np.float32)
    plane = np.clip(rows + columns + np.float32(sky.level + 0.5), 0, 255).astype(np.uint8)
    return np.asarray(cv2.subtract(gray, plane), np.uint8)
