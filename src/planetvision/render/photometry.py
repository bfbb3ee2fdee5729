"""Photometric laws of surfaces."""

from __future__ import annotations

import numpy as np

from planetvision.imaging.light import AnyFloats, Floats


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
