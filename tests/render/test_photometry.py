"""sRGB and the laws of darkening, against values worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from planetvision.imaging.light import encode_srgb, srgb_to_linear
from planetvision.render.photometry import lommel_seeliger, minnaert, smoothstep


def test_srgb_to_linear_of_black_middle_and_white() -> None:
    # ((128/255 + 0.055) / 1.055) ** 2.4 = 0.2159, and 10 / 255 / 12.92 = 0.003035.
    np.testing.assert_allclose(srgb_to_linear((0, 128, 255)), [0, 0.21586, 1], atol=1e-4)
    np.testing.assert_allclose(srgb_to_linear((10, 10, 10)), 0.003035, atol=1e-5)


def test_encode_srgb_undoes_srgb_to_linear() -> None:
    for level in range(16, 256):
        encoded = encode_srgb(srgb_to_linear((level, level, level)))
        np.testing.assert_allclose(encoded, level, atol=1)


def test_encode_srgb_clips_light_outside_the_range() -> None:
    encoded = encode_srgb(np.array([-1, 2], np.float32))
    np.testing.assert_allclose(encoded, [0, 255], atol=1e-3)


def test_minnaert_with_exponent_one_is_lamberts_law() -> None:
    incidence = np.linspace(0, 1, 5, dtype=np.float32)
    emission = np.full(5, 0.3, np.float32)
    np.testing.assert_allclose(minnaert(incidence, emission, 1.0), incidence)
    # 0.5**0.8 * 0.25**-0.2 = 0.57435 * 1.31951
    value = minnaert(np.array([0.5], np.float32), np.array([0.25], np.float32), 0.8)
    assert value[0] == pytest.approx(0.757858, abs=1e-5)


def test_lommel_seeliger_is_flat_on_a_full_disc() -> None:
    cosine = np.linspace(0.1, 1, 5, dtype=np.float32)
    np.testing.assert_allclose(lommel_seeliger(cosine, cosine), 1, rtol=1e-6)
    assert lommel_seeliger(np.zeros(1, np.float32), np.ones(1, np.float32))[0] == 0


def test_smoothstep_runs_from_zero_to_one_either_way() -> None:
    values = np.array([-1, 0, 0.5, 1, 2], np.float32)
    np.testing.assert_allclose(smoothstep(0, 1, values), [0, 0, 0.5, 1, 1])
    np.testing.assert_allclose(smoothstep(1, 0, values), [1, 1, 0.5, 0, 0])
