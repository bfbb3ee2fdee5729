"""`Sphere`: an equirectangular grid with noise and shapes that have no seam and no poles."""

from __future__ import annotations

import numpy as np

from planetvision.core.devices import derive_seed
from planetvision.imaging.light import AnyFloats, Floats
from planetvision.render.photometry import smoothstep

_LATTICE = 32


def mix(below: AnyFloats, above: AnyFloats, weight: AnyFloats) -> Floats:
    """Returns `below` painted over by the colour or picture `above`, as far as `weight` says."""
    return np.asarray(below + (above - below) * weight[..., None], np.float32)


def pick_place(rng: np.random.Generator) -> tuple[float, float]:
    """Returns the latitude and longitude in degrees of a place, evenly over the sphere."""
    return float(np.degrees(np.arcsin(rng.uniform(-1, 1)))), float(rng.uniform(-180, 180))


class Sphere:
    """The grid on which a surface is painted, and the seed of its random features.

    Every random feature has a label, and depends only on the seed and that label. A surface keeps
    its features when it is painted at another size or when a feature is added.

    Convention:
        Arrays are (row, column); row 0 is at the north pole, column 0 at longitude -180 degrees,
        and longitudes grow eastwards. `points` are unit vectors (x, y, z), z to the north.

    Args:
        height: The number of rows; there are twice as many columns.
        seed: The seed.
    """

    def __init__(self, height: int, seed: int) -> None:
        self.height = height
        self.seed = seed
        rows = (np.arange(height, dtype=np.float32) + 0.5) / height
        columns = (np.arange(2 * height, dtype=np.float32) + 0.5) / (2 * height)
        self.latitude_degrees: Floats = np.repeat((90 - 180 * rows)[:, None], 2 * height, axis=1)
        self.longitude_degrees: Floats = np.repeat((360 * columns - 180)[None], height, axis=0)
        self.points = self.locate(self.latitude_degrees, self.longitude_degrees)

    @staticmethod
    def locate(latitude_degrees: Floats | float, longitude_degrees: Floats | float) -> Floats:
        """Returns the unit vectors of places, as (..., 3)."""
        latitude, longitude = np.radians(latitude_degrees), np.radians(longitude_degrees)
        across = np.cos(latitude)
        return np.stack(
            [across * np.cos(longitude), across * np.sin(longitude), np.sin(latitude)], axis=-1
        ).astype(np.float32)

    def fill(self, colour: Floats) -> Floats:
        """Returns the whole grid in one colour, as (row, column, 3)."""
        return np.broadcast_to(colour, (*self.latitude_degrees.shape, 3)).astype(np.float32)

    def warp(
        self, strength: float, *, frequency: float = 4, octaves: int = 4, gain: float = 0.5
    ) -> Floats:
        """Returns the grid's points pushed about by noise, and put back on the sphere.

        Args:
            strength: How far they are pushed, in radii.
            frequency: As for `noise`.
            octaves: As for `noise`.
            gain: As for `noise`.
        """
        push = [
            self.noise(f"warp{axis}", frequency=frequency, octaves=octaves, gain=gain)
            for axis in range(3)
        ]
        points = self.points + np.float32(strength) * np.stack(push, axis=-1)
        return np.asarray(points / np.linalg.norm(points, axis=-1, keepdims=True), np.float32)

    def generator(self, label: str) -> np.random.Generator:
        """Returns the random generator of the feature called `label`."""
        return np.random.default_rng(derive_seed(self.seed, label))

    def noise(
        self,
        label: str,
        *,
        frequency: float,
        octaves: int,
        gain: float = 0.5,
        points: Floats | None = None,
        stretch: float = 1.0,
    ) -> Floats:
        """Returns fractal noise over the grid, of mean 0 and deviation about 1.

        Args:
            label: The feature that it belongs to.
            frequency: How many bumps fit in one radius, in the coarsest octave.
            octaves: How many octaves are summed; those finer than the grid are left out.
            gain: The amplitude of an octave, relative to the one before.
            points: Where to look the noise up instead of at `self.points`: warps and swirls.
            stretch: How many times finer the noise is along the polar axis: above 1, bumps are
                drawn out along parallels.

        References:
            Perlin, "An image synthesizer", SIGGRAPH 1985; here with values, not gradients, at the
            points of the lattice.
        """
        from scipy import ndimage

        where = self.points if points is None else points
        where = where * np.array([1, 1, stretch], np.float32)
        total = np.zeros(where.shape[:-1], np.float32)
        power = 0.0
        for octave in range(octaves):
            scale = frequency * 2.0**octave
            if octave and scale > self.height / 4:
                break
            rng = self.generator(f"{label}/{octave}")
            lattice = rng.standard_normal((_LATTICE,) * 3, dtype=np.float32)
            place = where * np.float32(scale) + rng.uniform(0, _LATTICE, 3).astype(np.float32)
            cell = np.floor(place)
            part = place - cell
            part = part * part * (3 - 2 * part)
            sampled = ndimage.map_coordinates(
                lattice, np.moveaxis(cell + part, -1, 0), order=1, mode="grid-wrap"
            )
            total += np.float32(gain**octave) * sampled
            power += gain ** (2 * octave)
        # The variance of the mix of 8 unit normals, averaged over a cell: the integral of
        # w**2 + (1 - w)**2 with w the cubic of smoothstep is 26/35, on each of three axes.
        return total / np.float32(np.sqrt((26 / 35) ** 3 * power))

    def swirl(
        self, points: Floats, center: Floats, *, radius_degrees: float, turn_degrees: float
    ) -> Floats:
        """Returns `points` turned about `center`, most in the middle, hardly beyond the radius."""
        cosine = points @ center
        distance = np.degrees(np.arccos(np.clip(cosine, -1, 1)))
        near = distance < 2.5 * radius_degrees
        inside = points[near]
        angle = np.radians(turn_degrees) * np.exp(-((distance[near] / radius_degrees) ** 2))
        sine, cosine_angle = np.sin(angle)[:, None], np.cos(angle)[:, None]
        along = (inside @ center)[:, None] * center
        turned = (
            inside * cosine_angle
            + np.cross(center[None], inside) * sine
            + along * (1 - cosine_angle)
        )
        result = points.copy()
        result[near] = turned
        return result

    def ellipse(
        self,
        latitude_degrees: float,
        longitude_degrees: float,
        *,
        height_degrees: float,
        width_degrees: float,
        points: Floats | None = None,
        tilt_degrees: float = 0.0,
    ) -> Floats:
        """Returns the distance from a place in units of an ellipse: 1 on its rim, 99 behind.

        Args:
            latitude_degrees: The latitude of the centre.
            longitude_degrees: The longitude of the centre.
            height_degrees: The half-axis along the meridian, as an angle at the sphere's centre.
            width_degrees: The half-axis along the parallel, as an angle at the sphere's centre.
            points: Where to measure it instead of at `self.points`.
            tilt_degrees: How far the ellipse is turned, counter-clockwise.
        """
        where = self.points if points is None else points
        center = self.locate(latitude_degrees, longitude_degrees)
        longitude = np.radians(longitude_degrees)
        east = np.array([-np.sin(longitude), np.cos(longitude), 0], np.float32)
        north = np.cross(center, east)
        tilt = np.radians(tilt_degrees)
        across = np.cos(tilt) * east + np.sin(tilt) * north
        upward = np.cos(tilt) * north - np.sin(tilt) * east
        distance = np.hypot(
            where @ across.astype(np.float32) / np.sin(np.radians(width_degrees)),
            where @ upward.astype(np.float32) / np.sin(np.radians(height_degrees)),
        )
        return np.where(where @ center > 0, distance, 99).astype(np.float32)

    def blob(
        self,
        latitude_degrees: float,
        longitude_degrees: float,
        *,
        height_degrees: float,
        width_degrees: float,
        points: Floats | None = None,
        tilt_degrees: float = 0.0,
        softness: float = 0.5,
    ) -> Floats:
        """Returns 1 inside an ellipse and 0 outside it, faded over `softness` of its size."""
        distance = self.ellipse(
            latitude_degrees,
            longitude_degrees,
            height_degrees=height_degrees,
            width_degrees=width_degrees,
            points=points,
            tilt_degrees=tilt_degrees,
        )
        return 1 - smoothstep(1 - softness / 2, 1 + softness / 2, distance)
