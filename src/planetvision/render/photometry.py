"""Light: sRGB and linear values, and the laws by which a surface darkens."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = [
    "AnyFloats",
    "Floats",
    "encode_srgb",
    "lommel_seeliger",
    "minnaert",
    "smoothstep",
    "srgb_to_linear",
]

Floats = npt.NDArray[np.float32]
AnyFloats = npt.NDArray[np.floating[Any]]

_SRGB_LEVELS = 4096


def srgb_to_linear(colour: tuple[int, int, int]) -> Floats:
    """Returns the linear light, in [0, 1], of an sRGB colour in [0, 255].

    References:
        IEC 61966-2-1:1999, sRGB.
    """
    value = np.asarray(colour, np.float64) / 255
    low, high = value / 12.92, ((value + 0.055) / 1.055) ** 2.4
    return np.where(value <= 0.04045, low, high).astype(np.float32)


@functools.cache
def _create_srgb_table() -> Floats:
    value = np.linspace(0, 1, _SRGB_LEVELS)
    low, high = 12.92 * value, 1.055 * value ** (1 / 2.4) - 0.055
    return np.asarray(255 * np.where(value <= 0.0031308, low, high), np.float32)


def encode_srgb(light: Floats) -> Floats:
    """Returns linear light as sRGB values in [0, 255], not rounded; light above 1 is clipped.

    It looks the curve up in a table: a tenth of the time of a power at every pixel, and within
    one level of 255 except in near-black.
    """
    index = np.clip(light * (_SRGB_LEVELS - 1) + 0.5, 0, _SRGB_LEVELS - 1).astype(np.int32)
    return np.asarray(_create_srgb_table()[index], np.float32)


def smoothstep(low: float, high: float, value: AnyFloats) -> Floats:
    """Returns 0 below `low`, 1 above `high`, and a cubic without kinks between them."""
    t = np.clip((value - low) / (high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)


def minnaert(incidence: Floats, emission: Floats, exponent: float) -> Floats:
    """Returns Minnaert's brightness, which is 1 where Sun and observer stand overhead.

    Convention:
        Both arguments are cosines of angles to the surface normal, in [0, 1].

    Args:
        incidence: The cosine of the angle of incidence.
        emission: The cosine of the angle of emission; below 0.15 it is taken as 0.15, since the
            law grows beyond bounds at the limb.
        exponent: Minnaert's k; 1 is Lambert's law.

    References:
        Minnaert, "The reciprocity principle in lunar photometry", ApJ 93:403, 1941.
    """
    law = incidence**exponent * np.maximum(emission, 0.15) ** (exponent - 1)
    return np.asarray(law, np.float32)


def lommel_seeliger(incidence: Floats, emission: Floats) -> Floats:
    """Returns the Lommel-Seeliger brightness, which is 1 all over a full disc.

    Convention:
        Both arguments are cosines of angles to the surface normal, in [0, 1].

    References:
        Hapke, "Theory of Reflectance and Emittance Spectroscopy", 2nd ed., 2012, section 8.5.
    """
    return np.asarray(2 * incidence / (incidence + np.maximum(emission, 0.02)), np.float32)
