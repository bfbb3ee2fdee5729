"""Conversion between linear light and sRGB values."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
AnyFloats = npt.NDArray[np.floating[Any]]
Image = npt.NDArray[np.uint8]

# The weights of linear red, green and blue in the luminance Y: IEC 61966-2-1:1999.
LUMINANCE = (0.2126, 0.7152, 0.0722)

_SRGB_LEVELS = 4096


def _to_linear(value: AnyFloats) -> Floats:
    low, high = value / 12.92, ((value + 0.055) / 1.055) ** 2.4
    return np.where(value <= 0.04045, low, high).astype(np.float32)


def srgb_to_linear(colour: tuple[int, int, int]) -> Floats:
    """Returns the linear light, in [0, 1], of an sRGB colour in [0, 255].

    References:
        IEC 61966-2-1:1999, sRGB.
    """
    return _to_linear(np.asarray(colour, np.float64) / 255)


@functools.cache
def _create_linear_table() -> Floats:
    return _to_linear(np.arange(256) / 255)


def decode_srgb(image: Image) -> Floats:
    """Returns the linear light, in [0, 1], of an image of any shape."""
    return np.asarray(_create_linear_table()[image], np.float32)


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
