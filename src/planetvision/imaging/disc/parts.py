"""What is lit in a frame: its connected parts, and their contours."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

Gray = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]

_MIN_AREA_FRACTION = 0.0005
# A part of the lit pixels smaller than this share of the chosen one is a star or a moon.
_MIN_PART = 0.02


@dataclass(frozen=True, kw_only=True)
class Part:
    """The lit part of a frame that is to be explained, and what else is lit.

    Args:
        light: The frame above its sky, uint8 of shape (H, W).
        inside: True on the connected part with the most light.
        others: True on all other parts but stars, or None without any.
    """

    light: Gray
    inside: Mask
    others: Mask | None

    @property
    def lit(self) -> Mask:
        """True on all parts."""
        return self.inside if self.others is None else self.inside | self.others

    def measure_purity(self, near: Mask) -> float:
        """Returns the share of the light that comes from the part, or from near the body."""
        if self.others is None:
            return 1.0
        beside = float(self.light[self.others & ~near].sum())
        return 1 - beside / float(self.light[self.lit].sum())


def find_part(light: Gray, level: float) -> Part | None:
    """Returns what is brighter than a level, or None where that is next to nothing."""
    binary = (light > level).astype(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(binary, connectivity=8)
    if count < 2:
        return None
    areas = stats[:, cv2.CC_STAT_AREA].copy()
    areas[0] = 0
    least = max(4, _MIN_AREA_FRACTION * light.size)
    if areas.max() < least:
        return None
    total = areas
    if np.count_nonzero(areas >= least) > 1:
        # The most light decides, not the most pixels: faint rings or haze may cover more.
        total = np.bincount(labels.ravel(), weights=light.ravel(), minlength=count)
        total[areas < least] = 0
    largest = int(np.argmax(total))
    is_other = areas >= max(_MIN_PART * areas[largest], 4)
    is_other[largest] = False
    return Part(
        light=light,
        inside=labels == largest,
        others=is_other[labels] if is_other.any() else None,
    )


def find_contours(mask: Mask) -> tuple[Floats, list[Floats]]:
    """Returns the longest outline and all contours, but for those of small holes.

    Convention: contours are (N, 2) as (column, row).
    """
    found, hierarchy = cv2.findContours(
        mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE
    )
    outlines, holes = [], []
    smallest = 0.01 * float(np.count_nonzero(mask))
    for contour, parent in zip(found, hierarchy[0][:, 3], strict=True):
        if parent < 0:
            outlines.append(contour[:, 0].astype(np.float64))
        elif cv2.contourArea(contour) >= smallest:
            holes.append(contour[:, 0].astype(np.float64))
    outline = max(outlines, key=len)
    return outline, [*outlines, *holes]
