"""Where things are in a picture: the spheroid seen from afar, its ring plane, its shadows."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from planetvision.render.photometry import Floats, smoothstep

__all__ = ["Globe", "View", "find_sun"]


def find_sun(
    phase_angle_degrees: float,
    sub_observer_latitude_degrees: float,
    sub_solar_latitude_degrees: float,
    *,
    east: bool,
) -> tuple[Floats, float]:
    """Returns the direction of the Sun, and the latitude below it that was possible.

    A phase angle leaves only some latitudes to the Sun; the one asked for is moved to the nearest.

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
    """

    coverage: Floats
    outside_pixels: Floats
    latitude: Floats
    hour: Floats
    point: Floats
    normal: Floats


@dataclass(frozen=True, kw_only=True)
class View:
    """How an observer far away sees a spheroid.

    Convention:
        Rows grow downwards. The position angle turns the north pole counter-clockwise from up.

    Args:
        flattening: The spheroid's flattening.
        radius_pixels: The equatorial radius.
        center_row_pixels: The row of the centre; pixel centres have whole coordinates.
        center_column_pixels: The column of the centre.
        sub_observer_latitude_degrees: The latitude below the observer.
        position_angle_degrees: The position angle of the north pole.
    """

    flattening: float
    radius_pixels: float
    center_row_pixels: float
    center_column_pixels: float
    sub_observer_latitude_degrees: float
    position_angle_degrees: float

    @property
    def _sine_cosine(self) -> tuple[float, float]:
        tilt = math.radians(self.sub_observer_latitude_degrees)
        return math.sin(tilt), math.cos(tilt)

    @property
    def minor_axis(self) -> float:
        """The half-axis of the disc along the projected pole, in equatorial radii."""
        sine, cosine = self._sine_cosine
        return math.hypot((1 - self.flattening) * cosine, sine)

    @property
    def to_observer(self) -> Floats:
        """The direction of the observer as (across, pole, front)."""
        sine, cosine = self._sine_cosine
        return np.array([0, sine, cosine], np.float32)

    def half_sizes(self, extent: float) -> tuple[float, float]:
        """Returns half the height and half the width, in radii, of disc and rings together.

        Args:
            extent: The outer radius of the rings, or 1 without any.
        """
        angle = math.radians(self.position_angle_degrees)
        sine, cosine = abs(math.sin(angle)), abs(math.cos(angle))
        flat = extent * abs(self._sine_cosine[0])
        heights = [math.hypot(sine, self.minor_axis * cosine)]
        widths = [math.hypot(cosine, self.minor_axis * sine)]
        if extent > 1:
            heights.append(math.hypot(extent * sine, flat * cosine))
            widths.append(math.hypot(extent * cosine, flat * sine))
        return max(heights), max(widths)

    def locate(self, rows: Floats, columns: Floats) -> tuple[Floats, Floats]:
        """Returns the place of pixels along the equator and along the projected pole, in radii."""
        angle = math.radians(self.position_angle_degrees)
        right = (columns - self.center_column_pixels) / self.radius_pixels
        up = (self.center_row_pixels - rows) / self.radius_pixels
        across = right * math.cos(angle) + up * math.sin(angle)
        along = up * math.cos(angle) - right * math.sin(angle)
        return across.astype(np.float32), along.astype(np.float32)

    def see_globe(self, across: Floats, along: Floats) -> Globe:
        """Returns the surface under each pixel; beyond the limb, that of the nearest limb."""
        sine, cosine = self._sine_cosine
        reach = np.hypot(across, along / self.minor_axis)
        slope = np.hypot(across, along / self.minor_axis**2) / np.maximum(reach, 1e-6)
        outside = (reach - 1) / np.maximum(slope, 1e-6) * self.radius_pixels
        pull = 1 / np.maximum(reach, 1)
        across, along = across * pull, along * pull

        # Stretched along the pole by `stretch` the spheroid is a sphere, and the line of sight
        # meets it where a quadratic in the height above the sky plane is zero.
        stretch = 1 / (1 - self.flattening)
        square = (stretch * sine) ** 2 + cosine**2
        half = along * (sine * cosine * (stretch**2 - 1))
        rest = across**2 + along**2 * ((stretch * cosine) ** 2 + sine**2) - 1
        height = (np.sqrt(np.maximum(half**2 - square * rest, 0)) - half) / square
        point = np.stack(
            [across, along * cosine + height * sine, height * cosine - along * sine], axis=-1
        )
        normal = point * np.array([1, stretch**2, 1], np.float32)
        normal /= np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-6)
        return Globe(
            coverage=np.clip(0.5 - outside, 0, 1).astype(np.float32),
            outside_pixels=outside.astype(np.float32),
            latitude=np.arcsin(np.clip(normal[..., 1], -1, 1)).astype(np.float32),
            hour=np.arctan2(normal[..., 0], normal[..., 2]).astype(np.float32),
            point=point.astype(np.float32),
            normal=normal.astype(np.float32),
        )

    def see_ring_plane(self, across: Floats, along: Floats) -> tuple[Floats, Floats, Floats]:
        """Returns each pixel's place in the equatorial plane.

        Returns:
            The distance from the centre in radii; how many radii a pixel spans there; and the
            point's component towards the front, positive on the near side.
        """
        # Edge-on a plane has no area; half a degree keeps the numbers finite.
        sine = self._sine_cosine[0]
        sine = math.copysign(max(abs(sine), math.sin(math.radians(0.5))), sine)
        front = -along / sine
        radius = np.maximum(np.hypot(across, front), 1e-6)
        span = np.hypot(across, front / sine) / radius / self.radius_pixels
        return radius, span, front

    def shade_rings(self, across: Floats, front: Floats, sun: Floats) -> Floats:
        """Returns the sunlight, in [0, 1], that the globe's shadow leaves to the ring plane."""
        stretched = np.array([sun[0], sun[1] / (1 - self.flattening), sun[2]], np.float32)
        length = float(np.linalg.norm(stretched))
        towards = (across * stretched[0] + front * stretched[2]) / length
        distance = np.sqrt(np.maximum(across**2 + front**2 - towards**2, 0))
        soft = 0.75 / self.radius_pixels
        shadow = 1 - smoothstep(1 - soft, 1 + soft, distance)
        return np.where(towards < 0, 1 - shadow, 1).astype(np.float32)
