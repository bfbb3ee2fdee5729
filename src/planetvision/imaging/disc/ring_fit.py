"""Saturn's rings: the ring plane fitted to what of a lit region no disc explains."""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt

from planetvision.imaging.disc.ellipse import Ellipse
from planetvision.imaging.disc.limb import LimbFit, fit_edge

Floats = npt.NDArray[np.float64]

# Outer edge of the A ring: NASA NSSDCA, "Saturnian Rings Fact Sheet",
# https://nssdc.gsfc.nasa.gov/planetary/factsheet/satringfact.html
_OUTER_RADIUS_KM = 136_775
# Inner edge of the C ring: NASA PDS Ring-Moon Systems Node, "Vital Statistics for Saturn's Rings
# and Inner Satellites", https://pds-rings.seti.org/saturn/saturn_tables.html
_INNER_RADIUS_KM = 74_491
# Archinal et al., "Report of the IAU Working Group on Cartographic Coordinates and Rotational
# Elements: 2015", 2018, table 4, doi:10.1007/s10569-017-9805-5
_EQUATORIAL_RADIUS_KM = 60_268
_POLAR_RADIUS_KM = 54_364

# The inner edge of the rings in outer radii: what is between it and the globe is sky.
RING_INNER_SHARE = _INNER_RADIUS_KM / _OUTER_RADIUS_KM
_GLOBE_SHARE = _EQUATORIAL_RADIUS_KM / _OUTER_RADIUS_KM
_POLAR_SHARE = _POLAR_RADIUS_KM / _EQUATORIAL_RADIUS_KM

# The sines of the tilt towards the observer that are tried.
_SINES = np.array([0.03, 0.08, 0.14, 0.2, 0.27, 0.34, 0.42, 0.52, 0.65, 0.8, 0.97])
_TURNS_DEGREES = (-6.0, -3.0, 0.0, 3.0, 6.0)
_NUM_CONTOUR_POINTS = 240


def get_globe(rings: Ellipse) -> Ellipse:
    """Returns the disc of the globe that the outer edge of the rings lies around."""
    sine = min(1.0, rings.semi_minor / rings.semi_major)
    minor = math.hypot(_POLAR_SHARE * math.sqrt(1 - sine**2), sine)
    semi_major = rings.semi_major * _GLOBE_SHARE
    return Ellipse(
        center_row=rings.center_row,
        center_column=rings.center_column,
        semi_major=semi_major,
        semi_minor=semi_major * minor,
        angle_degrees=rings.angle_degrees,
    )


def get_inner_edge(rings: Ellipse) -> Ellipse:
    """Returns the inner edge of the rings of which the outer one is given."""
    return rings.zoom(RING_INNER_SHARE)


def find_rings(
    light: npt.NDArray[np.uint8],
    contours: list[Floats],
    circle: Ellipse | None,
    *,
    level: float,
) -> LimbFit | None:
    """Returns the outer edge of rings like Saturn's, or None where none can be fitted.

    The globe's size and shape follow from the rings', so that one ellipse places both. Trials
    start from the two points of the outline that lie farthest apart, the tips of the rings, and
    from a circle found on the globe, where the globe's shadow hides one tip.

    Convention: `light` is uint8 of shape (H, W), 0 for sky; contours are (N, 2) as (column, row).

    Args:
        light: The frame above its sky.
        contours: The contours of the lit region, its holes too.
        circle: A circle that may be the globe's limb.
        level: The light below which a pixel may be sky.
    """
    points = np.concatenate(contours)
    points = points[:: max(1, len(points) // _NUM_CONTOUR_POINTS)]
    starts = _list_starts(points, circle)
    if not starts:
        return None
    trials = [
        (center, semi_major, angle + math.radians(turn), float(sine))
        for center, semi_major, angle in starts
        for turn in _TURNS_DEGREES
        for sine in _SINES
    ]
    scores = _score(points, trials)
    best = None
    for index in np.argsort(-scores)[:3]:
        center, semi_major, angle, sine = trials[int(index)]
        start = Ellipse(
            center_row=float(center[1]),
            center_column=float(center[0]),
            semi_major=semi_major,
            semi_minor=semi_major * sine,
            angle_degrees=math.degrees(-angle) % 180,
        )
        reach = max(3.0, 0.06 * semi_major)
        fit = fit_edge(
            light, start, level=level, reach_pixels=reach, flattening_spread=None, rounds=3
        )
        if fit is None or fit.ellipse.semi_minor < 0.01 * fit.ellipse.semi_major:
            continue
        fitted = fit.ellipse
        score = float(
            _score(
                points,
                [
                    (
                        fitted.center,
                        fitted.semi_major,
                        -math.radians(fitted.angle_degrees),
                        fitted.semi_minor / fitted.semi_major,
                    )
                ],
            )[0]
        )
        if best is None or score > best[0]:
            best = (score, fit)
    return None if best is None else best[1]


def _list_starts(points: Floats, circle: Ellipse | None) -> list[tuple[Floats, float, float]]:
    """Returns centres, outer radii and angles (clockwise from the columns, in radians)."""
    hull = cv2.convexHull(points.astype(np.float32))[:, 0].astype(np.float64)
    if len(hull) < 4:
        return []
    between = hull[None] - hull[:, None]
    first, second = np.unravel_index(int((between**2).sum(axis=2).argmax()), (len(hull),) * 2)
    across = hull[second] - hull[first]
    semi_major = float(np.hypot(*across)) / 2
    if semi_major < 4:
        return []
    angle = math.atan2(across[1], across[0])
    starts = [((hull[first] + hull[second]) / 2, semi_major, angle)]
    if circle is not None:
        center = circle.center
        away = hull - center
        tip = away[int((away**2).sum(axis=1).argmax())]
        reach = float(np.hypot(*tip))
        direction = math.atan2(tip[1], tip[0])
        # The tip itself may be in shadow: then the globe tells the size.
        starts.append((center, reach, direction))
        starts.append((center, circle.semi_major / _GLOBE_SHARE, direction))
    return [start for start in starts if 0.7 * semi_major < start[1] < 1.5 * semi_major]


def _score(points: Floats, trials: list[tuple[Floats, float, float, float]]) -> Floats:
    """Returns for each trial the share of points on its curves, less that of those outside."""
    centers = np.array([trial[0] for trial in trials])
    semi_major = np.array([trial[1] for trial in trials])[:, None]
    angle = np.array([trial[2] for trial in trials])[:, None]
    sine = np.array([trial[3] for trial in trials])[:, None]
    x = points[None, :, 0] - centers[:, :1]
    y = points[None, :, 1] - centers[:, 1:]
    u = (np.cos(angle) * x + np.sin(angle) * y) / semi_major
    v = (np.cos(angle) * y - np.sin(angle) * x) / semi_major
    minor = np.hypot(_POLAR_SHARE * np.sqrt(1 - sine**2), sine)
    outer = _get_distance(u, v, 1.0, sine)
    globe = _get_distance(u, v, _GLOBE_SHARE, _GLOBE_SHARE * minor)
    inner = _get_distance(u, v, RING_INNER_SHARE, RING_INNER_SHARE * sine)
    tolerance = np.maximum(1.5, 0.02 * semi_major) / semi_major
    on = (np.abs(outer) <= tolerance) | (np.abs(globe) <= tolerance)
    # The rings' inner edge is faint: a point on it says less.
    near = ~on & (np.abs(inner) <= tolerance)
    beyond = (outer > tolerance) & (globe > tolerance)
    return np.asarray(on.mean(axis=1) + 0.5 * near.mean(axis=1) - 2 * beyond.mean(axis=1))


def _get_distance(
    u: Floats, v: Floats, semi_major: Floats | float, semi_minor: Floats | float
) -> Floats:
    """Returns the distance from an ellipse, positive outside, to first order.

    References:
        Sampson, Fitting conic sections to "very scattered" data, 1982,
        doi:10.1016/0146-664X(82)90101-0.
    """
    value = np.sqrt((u / semi_major) ** 2 + (v / semi_minor) ** 2)
    slope = np.sqrt((u / semi_major**2) ** 2 + (v / semi_minor**2) ** 2)
    return np.asarray((value - 1) * value / np.maximum(slope, 1e-9))
