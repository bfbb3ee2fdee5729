"""Building blocks of pictures without planets: colours, ramps and power-law noise."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from planetvision.imaging.light import Floats


def pick_colour(rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Returns a random, rather light colour: three values from 0 to 1."""
    return rng.uniform(0, 1, 3) ** 0.8


def draw_cloud(size: int, rng: np.random.Generator, power: float) -> Floats:
    """Returns power-law noise from 0 to 1, (size, size)."""
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None])
    frequency[0, 0] = 1
    phases = np.exp(2j * math.pi * rng.uniform(0, 1, frequency.shape))
    spectrum = phases * frequency**-power
    spectrum[0, 0] = 0
    field = np.fft.irfft2(spectrum, s=(size, size))
    low, high = np.percentile(field, [1, 99])
    scaled: Floats = ((field - low) / (high - low)).clip(0, 1).astype(np.float32)
    return scaled


def draw_ramp(size: int) -> Floats:
    """Returns a ramp from 0 in the first row to 1 in the last, (size, size)."""
    return np.repeat(np.linspace(0, 1, size, dtype=np.float32)[:, None], size, axis=1)


def blend(mask: Floats, rng: np.random.Generator) -> Floats:
    """Returns a blend of two random colours as the mask goes from 0 to 1."""
    first, second = pick_colour(rng), pick_colour(rng)
    return (first + (second - first) * mask[..., None]).astype(np.float32)
