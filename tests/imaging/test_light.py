"""Encoding and decoding of light."""

from __future__ import annotations

import numpy as np
import pytest

from planetvision.imaging.light import decode_srgb, encode_srgb, srgb_to_linear


def test_levels_survive_decoding_and_encoding() -> None:
    levels = np.arange(256, dtype=np.uint8)
    np.testing.assert_allclose(encode_srgb(decode_srgb(levels)), levels, atol=1.0)


def test_middle_gray_is_a_fifth_of_full_light() -> None:
    # IEC 61966-2-1: level 119 encodes 0.184, level 188 one half.
    assert decode_srgb(np.array([119], np.uint8))[0] == pytest.approx(0.1845, abs=1e-3)
    assert srgb_to_linear((188, 0, 255)) == pytest.approx([0.503, 0, 1], abs=2e-3)


def test_light_over_one_is_clipped() -> None:
    np.testing.assert_allclose(encode_srgb(np.array([1.0, 7.0, -1.0], np.float32)), [255, 255, 0])
