"""Geometry of a picture: the visible spheroid, its ring plane and its shadows."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from planetvision.imaging.light import Floats
from planetvision.render.photometry import smoothstep


def find_sun(
    phase_angle_degrees: float,
    sub_observer_latitude_degrees: float,
    sub_solar_latitude_degrees: float,
    *,
    east: bool,
) -> tuple[Floats, float]:
    """Returns the direction of the Sun, and its possible latitude.

    A phase angle allows only some latitudes of the Sun; the nearest possible one is taken.

    Convention:
        The direction is a unit vector (across, pole, front): to the observer's right, along the
        north pole, and towards the meridian that faces the observer.

    Args:
        phase_angle_degrees: The angle between Sun and observer at the body, in [0, 180].
        sub_observer_latitude_degrees: The latitude below the observer.
        sub_solar_latitude_degrees: The latitude below the Sun that is wished for.
        east: Whether the Sun stands to the right.
    """
    phase, observer = phase_angle_degrees, sub_observer_latitude_degrees
    lowest = max(observer - phase, phase - 180 - observer)
    highest = min(observer + phase, 180 - phase - observer)
    solar = min(max(sub_solar_latitude_degrees, lowest), highest)
    sin_b, cos_b = math.sin(math.radians(observer)), math.cos(math.radians(observer))
    sin_s, cos_s = math.sin(math.radians(solar)), math.cos(math.radians(solar))
    ratio = (math.cos(math.radians(phase)) - sin_b * sin_s) / max(cos_b * cos_s, 1e-9)
    turn = math.acos(min(max(ratio, -1), 1)) * (1 if east else -1)
    return np.array([cos_s * math.sin(turn), sin_s, cos_s * math.cos(turn)], np.float32), solar


@dataclass(frozen=True, kw_only=True)
class Globe:
    """The visible face of the spheroid; arrays are (row, column), lengths in equatorial radii.

    Args:
        coverage: How much of each pixel the disc covers, in [0, 1].
        outside_pixels: The distance beyond the limb in pixels, negative on the disc.
        latitude: The planetographic latitude in radians.
        hour: The longitude in radians, eastwards from the meridian that faces the observer.
        point: The point on the surface as (across, pole, front).
        normal: Its unit normal as (across, pole, front).
        emission: The cosine of the angle between the normal and the line of sight, in [0, 1].
    """

    coverage: Floats
    outside_pixels: Floats
    latitude: Floats
    hour: Floats
    point: Floats
    normal: Floats
    emission: Floats


@dataclass(frozen=True, kw_only=True)
class RingPlane:
    """The equatorial plane under each pixel; arrays are (row, column), lengths in radii.

    Args:
        radius: The distance from the centre.
        span: How many radii a pixel spans there.
        across: The component to the observer's right.
        front: The component towards the meridian that faces the observer.
        near: Whether the point is nearer to the observer than the body's centre.
    """

    radius: Floats
    span: Floats
    across: Floats
    front: Floats
    near: npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class View:
    """The view of an observer on a spheroid.

    Convention:
        Rows grow downwards. The position angle turns the north pole counter-clockwise from up.
        What lies in the plane through the centre, across the line of sight, has the scale of
        `radius_pixels`; from nearby the limb stands before that plane and looks larger.

    Args:
        flattening: The spheroid's flattening.
        radius_pixels: The equatorial radius in the plane through the centre.
        center_row_pixels: The row of the centre; pixel centres have whole coordinates.
        center_column_pixels: The column of the centre.
        sub_observer_latitude_degrees: The latitude below the observer, planetocentric.
        position_angle_degrees: The position angle of the north pole.
        distance_radii: How far the observer is from the centre, over 1; infinity sees a whole
            hemisphere.
    """

    flattening: float
    radius_pixels: float
    center_row_pixels: float
    center_column_pixels: float
    sub_observer_latitude_degrees: float
    position_angle_degrees: float
    distance_radii: float = math.inf

    @property
    def _sine_cosine(self) -> tuple[float, float]:
        tilt = math.radians(self.sub_observer_latitude_degrees)
        return math.sin(tilt), math.cos(tilt)

    @property
    def minor_axis(self) -> float:
        """The half-axis of the disc along the projected pole, in equatorial radii, from afar."""
        sine, cosine = self._sine_cosine
        return math.hypot((1 - self.flattening) * cosine, sine)

    @property
    def magnification(self) -> float:
        """How much larger the disc of a sphere looks than from afar, at the same scale."""
        return 1 / math.sqrt(1 - 1 / self.distance_radii**2)

    @property
    def to_observer(self) -> Floats:
        """The direction of the observer from the centre as (across, pole, front)."""
        sine, cosine = self._sine_cosine
        return np.array([0, sine, cosine], np.float32)

    def half_sizes(self, extent: float) -> tuple[float, float]:
        """Returns half the height and half the width, in radii, of disc and rings together.

        From nearby they are bounds for the rings.

        Args:
            extent: The outer radius of the rings, or 1 without any.
        """
        angle = math.radians(self.position_angle_degrees)
        sine, cosine = abs(math.sin(angle)), abs(math.cos(angle))
        flat = extent * abs(self._sine_cosine[0])
        disc = self.magnification
        heights = [disc * math.hypot(sine, self.minor_axis * cosine)]
        widths = [disc * math.hypot(cosine, self.minor_axis * sine)]
        if extent > 1:
            near = 1 / (1 - extent / self.distance_radii)
            heights.append(near * math.hypot(extent * sine, flat * cosine))
            widths.append(near * math.hypot(extent * cosine, flat * sine))
        return max(heights), max(widths)

    def locate(self, rows: Floats, columns: Floats) -> tuple[Floats, Floats]:
        """Returns the place of pixels along the equator and along the projected pole, in radii."""
        angle = math.radians(self.position_angle_degrees)
        right = (columns - self.center_column_pixels) / self.radius_pixels
        up = (self.center_row_pixels - rows) / self.radius_pixels
        across = right * math.cos(angle) + up * math.sin(angle)
        along = up * math.cos(angle) - right * math.sin(angle)
        return across.astype(np.float32), along.astype(np.float32)

    def _look(self, across: Floats, along: Floats) -> tuple[list[Floats], list[Floats]]:
        """Returns each line of sight: where it meets the plane, and its course to the observer."""
        sine, cosine = (np.float32(value) for value in self._sine_cosine)
        start = [across, along * cosine, -along * sine]
        towards = (np.float32(0), sine, cosine)
        near = np.float32(1 / self.distance_radii)
        return start, [goal - near * part for goal, part in zip(towards, start, strict=True)]

    def see_globe(self, across: Floats, along: Floats) -> Globe:
        """Returns the surface under each pixel; beyond the limb, that of the nearest limb."""
        # Stretched along the pole the spheroid is a unit sphere: a line of sight passes its centre
        # at the distance `reach`, and is outside where that is over 1.
        stretch = np.float32(1 / (1 - self.flattening))

        def meet(across: Floats, along: Floats) -> tuple[list[Floats], list[Floats], list[Floats]]:
            start, course = self._look(across, along)
            square = course[0] ** 2 + (stretch * course[1]) ** 2 + course[2] ** 2
            half = start[0] * course[0] + stretch**2 * start[1] * course[1] + start[2] * course[2]
            far = start[0] ** 2 + (stretch * start[1]) ** 2 + start[2] ** 2
            return start, course, [square, half, far]

        _, _, (square, half, far) = meet(across, along)
        reach = np.sqrt(np.maximum(far - half**2 / square, 0))
        slope = np.hypot(*np.gradient(reach))
        outside = (reach - 1) / np.maximum(slope, 1e-6)
        pull = (1 / np.maximum(reach, 1)).astype(np.float32)
        start, course, (square, half, far) = meet(across * pull, along * pull)
        height = (np.sqrt(np.maximum(half**2 - square * (far - 1), 0)) - half) / square
        point = np.stack(
            [part + height * step for part, step in zip(start, course, strict=True)], axis=-1
        )
        normal = point * np.array([1, stretch**2, 1], np.float32)
        normal /= np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-6)
        length = np.sqrt(course[0] ** 2 + course[1] ** 2 + course[2] ** 2)
        slant = sum(normal[..., axis] * course[axis] for axis in range(3)) / length
        return Globe(
            coverage=np.clip(0.5 - outside, 0, 1).astype(np.float32),
            outside_pixels=outside.astype(np.float32),
            latitude=np.arcsin(np.clip(normal[..., 1], -1, 1)).astype(np.float32),
            hour=np.arctan2(normal[..., 0], normal[..., 2]).astype(np.float32),
            point=point.astype(np.float32),
            normal=normal.astype(np.float32),
            emission=np.clip(slant, 0, 1).astype(np.float32),
        )

    def see_ring_plane(self, across: Floats, along: Floats) -> RingPlane:
        """Returns each pixel's place in the equatorial plane."""
        # Edge-on a plane has no area; half a degree keeps the numbers finite.
        sine, cosine = self._sine_cosine
        least = math.sin(math.radians(0.5))
        sine = math.copysign(max(abs(sine), least), sine)
        near = 1 / self.distance_radii
        rise = sine - near * along * cosine
        rise = np.where(np.abs(rise) < least, np.copysign(least, rise), rise)
        height = -along * cosine / rise
        right = across * (1 - near * height)
        front = -along * sine + height * (cosine + near * along * sine)
        radius = np.maximum(np.hypot(right, front), 1e-6)
        span = np.hypot(right, front / sine) / radius / self.radius_pixels
        return RingPlane(
            radius=radius.astype(np.float32),
            span=span.astype(np.float32),
            across=right.astype(np.float32),
            front=front.astype(np.float32),
            near=height > 0,
        )

    def shade_rings(self, plane: RingPlane, sun: Floats) -> Floats:
        """Returns the sunlight, in [0, 1], that the globe's shadow leaves to the ring plane."""
        stretched = np.array([sun[0], sun[1] / (1 - self.flattening), sun[2]], np.float32)
        length = float(np.linalg.norm(stretched))
        towards = (plane.across * stretched[0] + plane.front * stretched[2]) / length
        distance = np.sqrt(np.maximum(plane.radius**2 - towards**2, 0))
        soft = 0.75 / self.radius_pixels
        shadow = 1 - smoothstep(1 - soft, 1 + soft, distance)
        return np.where(towards < 0, 1 - shadow, 1).astype(np.float32)
