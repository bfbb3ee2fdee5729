"""`BodyRegion`: where a body was found."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from planetvision.imaging.disc.ellipse import Ellipse
from planetvision.imaging.disc.ring_fit import get_inner_edge

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class BodyRegion:
    """Where a body was found.

    Convention: pixels of the frame that was given; rows grow downward, `bottom` and `right` are
    exclusive.

    Args:
        top: The first row.
        left: The first column.
        bottom: One past the last row.
        right: One past the last column.
        area_fraction: The share of the frame that the body covers, its night side too, in (0, 1].
        confidence: How far to trust it, in [0, 1]: how well the limb fits, how far the body
            stands out from the sky, how much else is lit, and how much the frame cuts.
        ellipse: The disc, or for a body with rings the globe; it may reach beyond the frame.
        rings: The outer edge of the rings, or None without any.
        lit_fraction: The share of the body within the frame that is brighter than the sky.
        frame_height: The rows of the frame.
        frame_width: The columns of the frame.
    """

    top: int
    left: int
    bottom: int
    right: int
    area_fraction: float
    confidence: float
    ellipse: Ellipse
    rings: Ellipse | None = None
    lit_fraction: float = 1.0
    frame_height: int
    frame_width: int

    def expand(self, margin: float, height: int, width: int) -> tuple[int, int, int, int]:
        """Returns (top, left, bottom, right) widened by a margin, cut at the frame.

        Args:
            margin: The margin on each side as a share of the region's longer side.
            height: The frame's height in pixels.
            width: The frame's width in pixels.
        """
        pad = round(margin * max(self.bottom - self.top, self.right - self.left))
        return (
            max(0, self.top - pad),
            max(0, self.left - pad),
            min(height, self.bottom + pad),
            min(width, self.right + pad),
        )

    def create_mask(self) -> Mask:
        """Returns a mask that is True on the body, as bool of the frame's shape (H, W).

        That is the whole disc, its night side too, and the rings from their inner to their outer
        edge; the gap between disc and rings is left out.
        """
        return draw_body(self.ellipse, self.rings, self.frame_height, self.frame_width)


def draw_body(globe: Ellipse, rings: Ellipse | None, height: int, width: int) -> Mask:
    """Returns a mask of a frame that is True on globe and rings, not between them."""
    mask = globe.create_mask(height, width)
    if rings is not None:
        mask |= rings.create_mask(height, width) & ~get_inner_edge(rings).create_mask(height, width)
    return mask
