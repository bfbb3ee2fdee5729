"""The body in a frame: the bright region against dark sky, with a confidence."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

__all__ = ["BodyRegion", "find_body"]

_WORKING_SIZE = 256
_MIN_AREA_FRACTION = 0.0005
_MIN_CONTRAST = 12.0
_MAX_SKY_LEVEL = 96.0


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
        area_fraction: The share of the frame that the region covers, in (0, 1].
        confidence: How far region and sky stand apart, in [0, 1].
    """

    top: int
    left: int
    bottom: int
    right: int
    area_fraction: float
    confidence: float

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


def find_body(image: npt.NDArray[np.uint8]) -> BodyRegion | None:
    """Returns the largest bright region against dark sky, or None where there is none for sure.

    It asks for dark sky at the border of the frame and a threshold (Otsu's) that parts the frame
    in two; a close-up that fills the frame, or a bright background, is "not found", not a guess.

    Convention: `image` is uint8 of shape (H, W, 3), RGB.

    References:
        Otsu, A threshold selection method from gray-level histograms, 1979,
        doi:10.1109/TSMC.1979.4310076.
    """
    height, width = image.shape[:2]
    scale = min(1.0, _WORKING_SIZE / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA) if scale < 1 else image
    gray = cv2.GaussianBlur(small.max(axis=2), (3, 3), 0)
    border = np.concatenate([gray[0], gray[-1], gray[:, 0], gray[:, -1]])
    sky = float(np.median(border))
    if sky > _MAX_SKY_LEVEL:
        return None
    threshold, _ = cv2.threshold(gray, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    # The dark side and soft limbs lie below Otsu's level; half the way to the sky keeps them.
    level = sky + 0.5 * (float(threshold) - sky)
    binary = (gray > level).astype(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(binary, connectivity=8)
    if count < 2:
        return None
    largest = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
    left, top, box_width, box_height, area = (int(value) for value in stats[largest])
    fraction = area / gray.size
    inside = labels == largest
    contrast = float(gray[inside].mean()) - sky
    if fraction < _MIN_AREA_FRACTION or area < 4 or contrast < _MIN_CONTRAST:
        return None
    touched = sum((top == 0, left == 0, top + box_height == size[1], left + box_width == size[0]))
    if touched == 4:
        return None
    purity = area / max(1, int(binary.sum()))
    confidence = purity * min(1.0, contrast / 64.0) * (1.0 - 0.2 * touched)
    inverse_y, inverse_x = height / size[1], width / size[0]
    return BodyRegion(
        top=int(top * inverse_y),
        left=int(left * inverse_x),
        bottom=min(height, int(np.ceil((top + box_height) * inverse_y))),
        right=min(width, int(np.ceil((left + box_width) * inverse_x))),
        area_fraction=fraction,
        confidence=confidence,
    )
