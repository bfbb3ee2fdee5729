"""The limb: an ellipse fitted to the sharp outer edge of a lit region, whatever part is lit."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from planetvision.imaging.disc.ellipse import Ellipse

Floats = npt.NDArray[np.float64]

_NUM_CONTOUR_POINTS = 192
_NUM_RAYS = 180
# How far along the contour, as a share of it, the three points of a trial circle lie apart. The
# limb is more than half of the contour of any lit part, so the widest triple still fits on it.
_TRIPLE_STEPS = (1 / 12, 1 / 6, 1 / 4, 1 / 3)
# An edge is sharp where the light rises from the sky to half of its level within so many pixels.
_MAX_RISE_PIXELS = 3.0
# And it is the limb, not the terminator, where that rise has this share of the light within three
# times that depth. Under Lambert's law light grows with the square root of the distance from the
# limb or faster, and in proportion to that from the terminator: encoded with a gamma of 2.2 the
# shares are 3^(-0.5 / 2.2) = 0.78 or more, and 3^(-1 / 2.2) = 0.61.
_DEPTH_PIXELS = 9.0
_MIN_RISE_SHARE = 0.7
# What is fainter than this share of the light near by is glow.
_GLOW_SHARE = 0.25
# From this share on, the light on the limb comes from one side enough to tell the Sun's.
_MIN_SUN_SHARE = 0.2
_NIGHT_WEIGHT = 0.3
# Saturn, the flattest of the planets, deviates from a circle by 5 % of its mean radius.
_FLATTENING_SPREAD = 0.1


@dataclass(frozen=True, kw_only=True)
class LimbFit:
    """An ellipse through an edge, and how well the edge supports it.

    Args:
        ellipse: The ellipse.
        arc: The share of the ellipse's part within the frame that lies on the edge, in [0, 1].
        agreement: The share of the edge points found near it that lie on it, in [0, 1].
        residual_pixels: The root of the mean square distance of those.
    """

    ellipse: Ellipse
    arc: float
    agreement: float
    residual_pixels: float


def find_circle(contour: Floats, max_radius: float) -> list[tuple[Ellipse, float]]:
    """Returns the circles that explain a contour best: as a whole, and by the most points on it.

    Trial circles go through three points of the contour each. A point on the circle speaks for
    it, a point outside against it, and one inside for neither: the terminator lies inside. The
    second circle is found without the points against it, which is right for a globe with rings.

    Convention: `contour` is (N, 2) as (column, row), in the order of the contour.

    Args:
        contour: The contour of the lit region, without the points where the frame cuts it.
        max_radius: The radius beyond which a circle is not considered.

    Returns:
        Circles with their scores, at most 1: the share of points for less that against.

    References:
        Fischler and Bolles, Random sample consensus, 1981, doi:10.1145/358669.358692; the samples
        here are not random but regular.
    """
    number = len(contour)
    if number < 8:
        return []
    step = max(1, number // _NUM_CONTOUR_POINTS)
    points = contour[::step].astype(np.float32)
    number = len(points)
    first = np.arange(0, number, max(1, number // 40))
    triples = np.concatenate(
        [
            np.stack([first, first + apart, first + 2 * apart], axis=1)
            for apart in (max(1, round(share * number)) for share in _TRIPLE_STEPS)
        ]
    )
    corners = points[triples % number]
    one = corners[:, 1] - corners[:, 0]
    two = corners[:, 2] - corners[:, 0]
    double_area = 2 * (one[:, 0] * two[:, 1] - one[:, 1] * two[:, 0])
    squares_one, squares_two = (one**2).sum(axis=1), (two**2).sum(axis=1)
    usable = np.abs(double_area) > 1e-3
    double_area = np.where(usable, double_area, 1)
    across = (two[:, 1] * squares_one - one[:, 1] * squares_two) / double_area
    along = (one[:, 0] * squares_two - two[:, 0] * squares_one) / double_area
    radius = np.hypot(across, along)
    usable &= (radius < max_radius) & (radius > 1.0)
    if not usable.any():
        return []
    centers = (corners[:, 0] + np.stack([across, along], axis=1))[usable]
    radius = radius[usable]
    distance = np.hypot(
        points[None, :, 0] - centers[:, None, 0], points[None, :, 1] - centers[:, None, 1]
    )
    distance -= radius[:, None]
    tolerance = np.maximum(1.5, 0.03 * radius)[:, None]
    on = (np.abs(distance) <= tolerance).mean(axis=1)
    beyond = (distance > tolerance).mean(axis=1)
    circles = []
    for scores in (on - beyond, on):
        best = int(np.argmax(scores))
        circle = Ellipse(
            center_row=float(centers[best, 1]),
            center_column=float(centers[best, 0]),
            semi_major=float(radius[best]),
            semi_minor=float(radius[best]),
        )
        circles.append((circle, float(scores[best])))
    return circles


def fit_edge(
    light: npt.NDArray[np.uint8],
    ellipse: Ellipse,
    *,
    level: float,
    reach_pixels: float,
    flattening_spread: float | None = _FLATTENING_SPREAD,
    rounds: int = 2,
) -> LimbFit | None:
    """Returns the ellipse moved onto the sharp edge next to it, or None where there is none.

    Light is sampled along normals of the ellipse. From outside, an edge is where it first rises
    above `level`; it is placed where the light has half of what it reaches just inside. Normals
    without such a rise (the night side) or with a slow one (the terminator) say nothing. The rest
    move the ellipse by a shift and a symmetric stretch, by least squares with Tukey's weights.

    Convention: `light` is uint8 of shape (H, W), 0 for sky.

    Args:
        light: The frame above its sky.
        ellipse: Where to start.
        level: The light below which a pixel may be sky.
        reach_pixels: How far from the ellipse, inwards and outwards, the edge is looked for.
        flattening_spread: How much the half-axes are expected to differ from their mean, as a
            share of it; it decides what little a short arc says. None expects nothing.
        rounds: How often the light is sampled anew.

    References:
        Beaton and Tukey, The fitting of power series, 1974, doi:10.1080/00401706.1974.10489171.
    """
    fit = None
    for number in range(rounds):
        reach = reach_pixels if number == 0 else min(reach_pixels, 4.0 + 0.02 * ellipse.semi_major)
        fit = _fit_once(light, ellipse, level, reach, flattening_spread)
        if fit is None:
            return None
        ellipse = fit.ellipse
    return fit


def _fit_once(
    light: npt.NDArray[np.uint8],
    ellipse: Ellipse,
    level: float,
    reach: float,
    flattening_spread: float | None,
) -> LimbFit | None:
    is_globe = flattening_spread is not None
    height, width = light.shape
    turn = np.arange(_NUM_RAYS) * (2 * math.pi / _NUM_RAYS)
    circle = np.stack([np.cos(turn), np.sin(turn)])
    matrix, center = ellipse.matrix, ellipse.center
    around = (matrix @ circle).T
    normals = (np.linalg.inv(matrix).T @ circle).T
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    places = around + center
    framed = (
        (places[:, 0] > 0.5)
        & (places[:, 0] < width - 1.5)
        & (places[:, 1] > 0.5)
        & (places[:, 1] < height - 1.5)
    )
    # Rings may well be brighter further in.
    depth = min(_DEPTH_PIXELS, max(3.0, 0.4 * ellipse.semi_minor)) if is_globe else 4.0
    found, offsets, rises = _find_edges(light, places, normals, level, reach, depth)
    found &= framed
    if int(found.sum()) < 8:
        return None
    normals, around, offsets = normals[found], around[found], offsets[found]
    trust = rises[found] / rises[found].max()
    facing = np.ones(len(trust))
    if is_globe:
        # Under any light from aside the half of the limb that faces the Sun is lit, and no more.
        sun = trust @ normals
        strength = float(np.hypot(*sun))
        if strength > _MIN_SUN_SHARE * trust.sum():
            facing = np.clip(normals @ sun / strength / 0.3, 0.01, 1)
    x, y = around[:, 0], around[:, 1]
    # Shift along columns and rows; growth; and the two ways to stretch one axis and not the other.
    design = np.stack(
        [
            normals[:, 0],
            normals[:, 1],
            normals[:, 0] * x + normals[:, 1] * y,
            normals[:, 0] * x - normals[:, 1] * y,
            normals[:, 0] * y + normals[:, 1] * x,
        ],
        axis=1,
    )
    radius = math.sqrt(ellipse.semi_major * ellipse.semi_minor)
    penalty, target = _create_prior(matrix, radius, flattening_spread)
    step, residuals = _solve(design, offsets, trust, facing, penalty, target)
    change = np.array([[step[2] + step[3], step[4]], [step[4], step[2] - step[3]]])
    new_matrix = (np.eye(2) + change) @ matrix
    if np.linalg.det(new_matrix) <= 0 or np.abs(change).max() > 0.7:
        return None
    on = np.abs(residuals) <= max(0.8, 0.015 * radius)
    if int(on.sum()) < 5:
        return None
    return LimbFit(
        ellipse=Ellipse.from_matrix(center + step[:2], new_matrix),
        arc=float(on.sum() / max(1, framed.sum())),
        agreement=float((trust * on).sum() / trust.sum()),
        residual_pixels=float(np.sqrt(np.mean(residuals[on] ** 2))),
    )


def _create_prior(
    matrix: Floats, radius: float, flattening_spread: float | None
) -> tuple[Floats, Floats]:
    """Returns what the expected flattening adds to both sides of the normal equations."""
    penalty, target = np.zeros((5, 5)), np.zeros(5)
    if flattening_spread is not None:
        # What the shape has of both stretches already counts too.
        shape = matrix @ matrix.T / radius**2
        present = np.array([(shape[0, 0] - shape[1, 1]) / 4, shape[0, 1] / 2])
        strength = (0.5 / flattening_spread) ** 2
        penalty[3, 3] = penalty[4, 4] = strength
        target[3:] = -strength * present
    penalty += np.diag([1e-6, 1e-6, 1e-6 * radius**2, 1e-6 * radius**2, 1e-6 * radius**2])
    return penalty, target


def _solve(
    design: Floats, offsets: Floats, trust: Floats, facing: Floats, penalty: Floats, target: Floats
) -> tuple[Floats, Floats]:
    """Returns the step that explains the offsets best, and what it leaves of them."""
    weights = trust * facing
    step: Floats = np.zeros(5)
    residuals = offsets
    for number in range(4):
        weighted = (design * weights[:, None]).T
        solved = np.linalg.solve(weighted @ design + penalty, weighted @ offsets + target)
        step = np.asarray(solved, np.float64)
        residuals = offsets - design @ step
        # The first round keeps all that lies near; later ones ask for a closer fit.
        middle = len(residuals) // 2
        scale = 1.4826 * float(np.partition(np.abs(residuals), middle)[middle])
        scale = max(scale, 0.3 if number else 1.0)
        if number == 2:
            # A night side that is seen has a limb too, and it agrees with that of the day.
            facing = np.maximum(facing, _NIGHT_WEIGHT)
        weights = trust * facing * np.clip(1 - (residuals / (4.685 * scale)) ** 2, 0, None) ** 2
    return step, residuals


def _find_edges(
    light: npt.NDArray[np.uint8],
    places: Floats,
    normals: Floats,
    level: float,
    reach: float,
    depth: float,
) -> tuple[npt.NDArray[np.bool_], Floats, Floats]:
    """Returns for each normal whether it crosses a sharp edge, how far out, and how bright."""
    spacing = max(0.5, reach / 24)
    count, depth = math.ceil(reach / spacing), math.ceil(depth / spacing)
    # From outside to inside, so that the first rise is the outermost.
    offsets = (np.arange(count, -count - depth - 1, -1) * spacing).astype(np.float32)
    map_x = (places[:, :1] + normals[:, :1] * offsets).astype(np.float32)
    map_y = (places[:, 1:] + normals[:, 1:] * offsets).astype(np.float32)
    profile = cv2.remap(
        light, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    ).astype(np.float32)
    rays = np.arange(len(places))
    # Air glows beyond a limb, and a lens glows around one: both are faint beside it.
    threshold = np.maximum(level, _GLOW_SHARE * profile.max(axis=1))
    above = profile > threshold[:, None]
    first = above.argmax(axis=1)
    ahead = max(2, round(_MAX_RISE_PIXELS / spacing))
    inside = np.minimum(first[:, None] + np.arange(ahead + 1), profile.shape[1] - 1)
    rise = profile[rays[:, None], inside].max(axis=1)
    half = 0.5 * rise
    deeper = np.minimum(first[:, None] + np.arange(depth + 1), profile.shape[1] - 1)
    sharp = rise >= _MIN_RISE_SHARE * profile[rays[:, None], deeper].max(axis=1)
    at = (profile >= np.maximum(half, 1)[:, None]).argmax(axis=1)
    found = (
        sharp
        & (first > 0)
        & (first <= 2 * count)
        & above.any(axis=1)
        & (at > 0)
        & (at - first <= ahead)
    )
    before = np.maximum(at - 1, 0)
    high, low = profile[rays, at], profile[rays, before]
    share = np.clip((half - low) / np.maximum(high - low, 1e-3), 0, 1)
    return found, (offsets[before] - share * spacing).astype(np.float64), rise.astype(np.float64)
