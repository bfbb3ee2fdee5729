"""Profiles of rings: optical depth and brightness by distance from the planet."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from planetvision.core.devices import derive_seed
from planetvision.imaging.light import Floats
from planetvision.render.appearance import get_body
from planetvision.render.body import Body

_SAMPLES = 2048


@dataclass(frozen=True)
class RingProfile:
    """Optical depth and brightness at evenly spaced distances, in equatorial radii."""

    radius: Floats
    optical_depth: Floats
    brightness: Floats

    def opacity(self, sine: float) -> Floats:
        """Returns the opacity along a line of sight at an angle with the given sine."""
        return np.asarray(1 - np.exp(-self.optical_depth / max(abs(sine), 0.02)), np.float32)

    def average(self, values: Floats, radius: Floats, span: Floats) -> Floats:
        """Returns the mean of a profile over each pixel's span, so that edges do not alias.

        Args:
            values: The profile, sampled at `self.radius`; it is 0 beyond both ends.
            radius: Where the pixels are.
            span: How many radii each pixel covers.
        """
        step = float(self.radius[1] - self.radius[0])
        total = np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)]) * step
        edges = np.concatenate([self.radius, self.radius[-1:] + step]) - step / 2
        wide = np.maximum(span, step)
        upper = np.interp(radius + wide / 2, edges, total)
        lower = np.interp(radius - wide / 2, edges, total)
        return ((upper - lower) / wide).astype(np.float32)


@functools.cache
def get_ring_profile(name: str) -> RingProfile:
    """Returns the profile of a body's rings, with the same random ringlets in every call."""
    body: Body = get_body(name)
    inner = min(ring.inner_radius_km for ring in body.rings)
    outer = max(ring.outer_radius_km for ring in body.rings)
    radius_km = np.linspace(inner, outer, _SAMPLES)
    rng = np.random.default_rng(derive_seed("ringlets", name))
    ringlets = np.zeros(_SAMPLES)
    for width in (6, 16, 48, 130):
        kernel = np.hanning(width + 2)
        noise = np.convolve(rng.standard_normal(_SAMPLES + 2 * width), kernel, mode="same")
        ringlets += (noise / noise.std())[width:-width] / 2
    depth, brightness = np.zeros(_SAMPLES), np.zeros(_SAMPLES)
    for ring in body.rings:
        inside = (radius_km >= ring.inner_radius_km) & (radius_km <= ring.outer_radius_km)
        across = (radius_km - ring.inner_radius_km) / (ring.outer_radius_km - ring.inner_radius_km)
        at_inner, at_outer = ring.depth_trend
        shape = (at_inner + (at_outer - at_inner) * across) * np.exp(0.22 * ringlets)
        depth = np.where(inside, ring.optical_depth * shape, depth)
        glow = ring.brightness * (1 + 0.07 * ringlets)
        glow = glow * (1 - ring.inner_dimming * (1 - np.sqrt(across.clip(0, 1))))
        brightness = np.where(inside, glow, brightness)
    return RingProfile(
        radius=(radius_km / body.equatorial_radius_km).astype(np.float32),
        optical_depth=depth.astype(np.float32),
        brightness=np.clip(brightness, 0, 1.2).astype(np.float32),
    )
