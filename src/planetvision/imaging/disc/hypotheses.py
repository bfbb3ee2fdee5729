"""Explanations of a lit part: a disc on its limb, or a globe with rings, and how good they are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from planetvision.imaging.disc.ellipse import Ellipse
from planetvision.imaging.disc.limb import find_circle, fit_edge
from planetvision.imaging.disc.parts import Part, find_contours
from planetvision.imaging.disc.region import draw_body
from planetvision.imaging.disc.ring_fit import find_rings, get_globe, get_inner_edge

Gray = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]

# Saturn's disc, the flattest, has 0.90.
_MIN_AXIS_RATIO = 0.8
# The lit share of a disc at a phase angle of 150 degrees is (1 + cos 150 degrees) / 2 = 6.7 %.
_MIN_LIT_FRACTION = 0.02
# Saturn's rings are about as bright as its globe; those of Uranus and Neptune hardly show.
_MIN_RING_LIGHT = 0.06
# A smaller share of the body than this between globe and rings is lit by what lies beside it.
_MIN_GAP_SHARE = 0.03
# How many pixels beyond the fitted edge still belong to the body: the blur of the reduced frame.
_BLUR_PIXELS = 1.5
# A disc that explains this share of the part, and is worth so much, needs no rings.
_EXPLAINED = 0.97
_WORTH = 0.6
_GOOD_WORTH = 0.9


@dataclass(frozen=True, kw_only=True)
class Fit:
    """An explanation of what is lit, in pixels of the frame that was given.

    Args:
        globe: The disc.
        rings: The outer edge of the rings, or None.
        quality: How well the edges fit and the light is explained, in [0, 1].
        purity: The share of the light, but for stars, that belongs to the part or to the body.
        lit_fraction: The share of the body that is lit.
        contrast: How bright its brightest twentieth is above the sky.
        has_gap: Whether dark sky shows between the globe and the rings.
    """

    globe: Ellipse
    rings: Ellipse | None
    quality: float
    purity: float
    lit_fraction: float
    contrast: float
    has_gap: bool = False

    @property
    def worth(self) -> float:
        """What fits are compared by."""
        return self.quality * self.purity


def explain(light: Gray, part: Part, level: float) -> Fit | None:
    """Returns a disc, or a globe with rings where a disc leaves too much unexplained."""
    height, width = light.shape
    outline, contours = find_contours(part.inside)
    free = (
        (outline[:, 0] > 0)
        & (outline[:, 0] < width - 1)
        & (outline[:, 1] > 0)
        & (outline[:, 1] < height - 1)
    )
    # A crescent spans its disc from cusp to cusp; only the frame can hide more of a disc.
    extent = float(np.hypot(*np.ptp(outline, axis=0)))
    widest = 0.6 * extent if free.mean() > 0.95 else 2.0 * max(height, width)
    circles = find_circle(outline[free], widest)
    best, explained = None, 0.0
    if circles:
        best, explained = _fit_disc(light, part, circles[0][0], level, widest)
    if best is not None and explained > _EXPLAINED and best.worth >= _WORTH and len(contours) == 1:
        return best
    globe = circles[1][0] if circles else None
    ringed = _fit_rings(light, part, contours, globe, level)
    if part.others is not None and (ringed is None or ringed.worth < _GOOD_WORTH):
        # The shadow of the globe may cut the rings in two.
        apart = _fit_rings(light, part, find_contours(part.lit)[1], globe, level)
        ringed = max((ringed, apart), key=lambda fit: -1.0 if fit is None else fit.worth)
    if ringed is None or best is None:
        return ringed or best
    # Rings seen from above fill a disc too, but for the gap between them and the globe.
    handicap = 0.7 if ringed.has_gap else 1.05
    return ringed if ringed.worth > handicap * explained * best.worth else best


def _fit_disc(
    light: Gray, part: Part, circle: Ellipse, level: float, widest: float
) -> tuple[Fit | None, float]:
    """Returns a disc on the limb, and the share of the part that lies in it."""
    radius = circle.semi_major
    fit = fit_edge(light, circle, level=level, reach_pixels=max(3.0, 0.1 * radius))
    if fit is None:
        return None, 0.0
    globe = fit.ellipse
    if globe.semi_minor < _MIN_AXIS_RATIO * globe.semi_major or globe.semi_major > 1.05 * widest:
        return None, 0.0
    height, width = light.shape
    mask = globe.create_mask(height, width)
    covered = int(np.count_nonzero(mask))
    if covered == 0:
        return None, 0.0
    near = globe.grow(_BLUR_PIXELS).create_mask(height, width)
    explained = int(np.count_nonzero(part.inside & near)) / np.count_nonzero(part.inside)
    lit_fraction = int(np.count_nonzero(part.lit & mask)) / covered
    if lit_fraction < _MIN_LIT_FRACTION:
        return None, 0.0
    quality = (
        _rate(fit.arc, 0.1, 0.35) * _rate(fit.agreement, 0.3, 0.75) * _rate(explained, 0.5, 0.95)
    )
    purity = part.measure_purity(near)
    disc = Fit(
        globe=globe,
        rings=None,
        quality=quality,
        purity=purity,
        lit_fraction=lit_fraction,
        contrast=_measure_contrast(light, part.lit & near),
    )
    return disc, explained


def _fit_rings(
    light: Gray, part: Part, contours: list[Floats], circle: Ellipse | None, level: float
) -> Fit | None:
    fit = find_rings(light, contours, circle, level=level)
    if fit is None:
        return None
    rings = fit.ellipse
    globe = get_globe(rings)
    height, width = light.shape
    mask = draw_body(globe, rings, height, width)
    lit = part.lit
    covered = int(np.count_nonzero(mask))
    disc = globe.create_mask(height, width)
    annulus = mask & ~disc
    # Seen from near by, the globe does not quite lie in the middle of its rings.
    beside = globe.grow(max(1.0, 0.03 * rings.semi_major)).create_mask(height, width)
    gap = get_inner_edge(rings).create_mask(height, width) & ~beside
    if covered == 0 or not annulus.any() or not disc.any():
        return None
    near = draw_body(globe.grow(_BLUR_PIXELS), rings.grow(_BLUR_PIXELS), height, width)
    explained = int(np.count_nonzero(part.inside & near)) / np.count_nonzero(part.inside)
    ring_lit = int(np.count_nonzero(lit & annulus)) / int(np.count_nonzero(annulus))
    if _is_faint(light, lit & annulus, lit & disc):
        return None
    gap_size = int(np.count_nonzero(gap))
    # Too thin a gap is lit by what lies beside it.
    gap_lit = (
        int(np.count_nonzero(lit & gap)) / gap_size if gap_size > _MIN_GAP_SHARE * covered else 0.0
    )
    globe_lit = int(np.count_nonzero(lit & disc)) / int(np.count_nonzero(disc))
    quality = (
        _rate(fit.arc, 0.2, 0.45)
        * _rate(ring_lit, 0.35, 0.65)
        * _rate(globe_lit, 0.05, 0.3)
        * _rate(1 - gap_lit, 0.2, 0.6)
        * _rate(explained, 0.6, 0.95)
    )
    return Fit(
        globe=globe,
        rings=rings,
        contrast=_measure_contrast(light, lit & mask),
        has_gap=gap_size > _MIN_GAP_SHARE * covered and gap_lit < 0.4,
        quality=quality,
        purity=part.measure_purity(near),
        lit_fraction=int(np.count_nonzero(lit & mask)) / covered,
    )


def _measure_contrast(light: Gray, lit: Mask) -> float:
    levels = light[lit]
    return float(np.percentile(levels, 95)) if levels.size else 0.0


def _is_faint(light: Gray, ring: Mask, globe: Mask) -> bool:
    """Whether rings are too faint beside their globe to be like Saturn's."""
    if not ring.any() or not globe.any():
        return True
    brightest = float(np.percentile(light[globe], 95))
    return float(np.median(light[ring])) < _MIN_RING_LIGHT * brightest


def _rate(value: float, nothing: float, full: float) -> float:
    """Returns 0 up to `nothing`, 1 from `full` on, and what lies between in proportion."""
    return min(1.0, max(0.0, (value - nothing) / (full - nothing)))
