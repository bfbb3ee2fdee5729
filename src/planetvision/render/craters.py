"""`Craters`: bowls, rims, ejecta and rays."""

from __future__ import annotations

import numpy as np

from planetvision.imaging.light import Floats
from planetvision.render.sphere import Sphere, mix


class Craters:
    """Craters stamped into an elevation and an albedo, each within its own window of the grid."""

    def __init__(self, sphere: Sphere) -> None:
        self.sphere = sphere
        self.elevation = np.zeros_like(sphere.latitude_degrees)
        self.albedo = np.zeros_like(sphere.latitude_degrees)

    def scatter(
        self, label: str, *, count: int, smallest_degrees: float, largest_degrees: float
    ) -> None:
        """Stamps `count` craters at random, many small ones and few large."""
        rng = self.sphere.generator(label)
        heights = np.degrees(np.arcsin(rng.uniform(-1, 1, count)))
        longitudes = rng.uniform(-180, 180, count)
        # The number of craters falls with the square of their size.
        ratio = (smallest_degrees / largest_degrees) ** 2
        sizes = smallest_degrees / np.sqrt(1 - rng.uniform(0, 1, count) * (1 - ratio))
        fresh = rng.uniform(0, 1, count) ** 3
        for lat, lon, size, freshness in zip(heights, longitudes, sizes, fresh, strict=True):
            self.stamp(
                float(lat), float(lon), radius_degrees=float(size), freshness=float(freshness)
            )

    def scatter_small(self) -> None:
        """Stamps craters that are too fine for maps of whole discs, where they are left out."""
        self.scatter("small_craters", count=8000, smallest_degrees=0.26, largest_degrees=0.5)

    def stamp(self, lat: float, lon: float, *, radius_degrees: float, freshness: float) -> None:
        """Stamps one crater: a bowl, a rim, and ejecta that are the brighter the fresher it is.

        Args:
            lat: The latitude in degrees.
            lon: The longitude in degrees.
            radius_degrees: The radius, as an angle at the sphere's centre.
            freshness: How bright its ejecta are, in [0, 1].
        """
        # Smaller than a texel it would only alias.
        if radius_degrees < 150 / self.sphere.height:
            return
        window = self._window(lat, lon, 3 * radius_degrees)
        center = self.sphere.locate(lat, lon)
        chord = np.linalg.norm(self.sphere.points[window] - center, axis=-1)
        distance = chord / np.float32(np.radians(radius_degrees))
        # Depth over diameter of fresh simple craters is about 1/5 and less for large ones: Pike,
        # "Size-dependence in the shape of fresh impact craters on the moon", 1977. Shallower here.
        depth = np.radians(radius_degrees) * 0.16
        bowl = np.where(distance < 1, np.maximum(distance**2, 0.35) - 1, 0)
        rim = 0.35 * np.exp(-(((distance - 1) / 0.25) ** 2))
        self.elevation[window] += (depth * (bowl + rim)).astype(np.float32)
        ejecta = freshness * np.exp(-((distance / 1.3) ** 2)) + 0.12 * rim - 0.1 * (distance < 0.8)
        self.albedo[window] += (0.5 * ejecta).astype(np.float32)

    def ray(
        self, lat: float, lon: float, *, radius_degrees: float, strength: float, patches: Floats
    ) -> None:
        """Draws the rays of a young crater: streaks by bearing that fade with distance.

        Args:
            lat: The latitude in degrees.
            lon: The longitude in degrees.
            radius_degrees: The crater's radius, as an angle at the sphere's centre.
            strength: How bright and long the rays are, in [0, 1].
            patches: Noise over the grid that breaks them up.
        """
        sphere = self.sphere
        center = sphere.locate(lat, lon)
        longitude = np.radians(lon)
        east = np.array([-np.sin(longitude), np.cos(longitude), 0], np.float32)
        north = np.cross(center, east).astype(np.float32)
        reach = radius_degrees * 16 * strength + 4
        distance = np.degrees(np.arccos(np.clip(sphere.points @ center, -1, 1)))
        near = distance < min(5 * reach, 170)
        distance, points = distance[near], sphere.points[near]
        bearing = np.arctan2(points @ north, points @ east)
        rng = sphere.generator(f"rays/{lat}/{lon}")
        total = np.exp(-((distance / (2.6 * radius_degrees)) ** 2))
        for _ in range(13):
            away = (bearing - np.float32(rng.uniform(0, 2 * np.pi))) % np.float32(2 * np.pi)
            away = np.minimum(away, 2 * np.pi - away)
            length = reach * float(rng.uniform(0.5, 1.7))
            offset = away * np.sin(np.radians(np.minimum(distance, 90)))
            width = float(np.radians(radius_degrees) * rng.uniform(0.25, 0.6))
            streak = np.exp(-((offset / width) ** 2) - distance / length)
            total += float(rng.uniform(0.25, 0.7)) * streak * (away < np.pi / 2)
        patchy = np.clip(0.75 + 0.3 * patches[near], 0.2, 1.3)
        self.albedo[near] += (0.85 * strength * np.minimum(total, 1.1) * patchy).astype(np.float32)

    def tint(self, picture: Floats, ray: Floats) -> Floats:
        """Returns the picture with bright ejecta and rays in the colour `ray`, and dark floors."""
        picture = mix(picture, ray, np.clip(self.albedo, 0, 0.9))
        return picture * (1 + 0.6 * np.clip(self.albedo, -0.5, 0))[..., None]

    def _window(self, lat: float, lon: float, reach_degrees: float) -> tuple[slice, slice]:
        height = self.sphere.height
        scale = height / 180
        top = max(int((90 - lat - reach_degrees) * scale), 0)
        bottom = min(int((90 - lat + reach_degrees) * scale) + 1, height)
        spread = reach_degrees / max(np.cos(np.radians(lat)), 1e-3)
        left, right = (180 + lon - spread) * scale, (180 + lon + spread) * scale + 1
        # Across the seam or around a pole the whole parallel is the window.
        whole = left < 0 or right > 2 * height or abs(lat) + reach_degrees > 88
        return slice(top, bottom), slice(0, 2 * height) if whole else slice(int(left), int(right))
