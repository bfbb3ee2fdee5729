"""`find_body`: searches a frame at a reduced size, then at full detail."""

from __future__ import annotations

import hashlib
import math
import threading
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from planetvision.imaging.disc.ellipse import Ellipse
from planetvision.imaging.disc.hypotheses import Fit, explain
from planetvision.imaging.disc.parts import find_part
from planetvision.imaging.disc.region import BodyRegion, draw_body
from planetvision.imaging.disc.sky import measure_sky, subtract_sky

Gray = npt.NDArray[np.uint8]

_WORKING_SIZE = 256
# A body that is smaller than this in the reduced frame is searched again in a crop.
_SMALL_EXTENT = 80
_CLOSER_SIZE = 160
_CLOSER_MARGIN = 0.4
_MAX_ZOOM = 4.0
_STAR_KERNEL = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))
_MIN_CONTRAST = 12.0
_FULL_CONTRAST = 64.0
_MAX_SKY_LEVEL = 96.0
# What rises above the sky by less than so many deviations, or levels, may be sky.
_MIN_RISE_DEVIATIONS = 5.0
_MIN_RISE_LEVELS = 6.0
_MIN_QUALITY = 0.25
_MIN_CONFIDENCE = 0.1
# A fit this good ends the search for a better level.
_GOOD_WORTH = 0.9
# One worse than this makes it look again without stars.
_FAIR_WORTH = 0.5
# A search takes 10 to 100 times as long as a hash of the frame, and a training asks for the same
# frames again: survey, crops of each epoch, folds, candidates of a grid search.
_MAX_KEPT = 16_384
_kept: dict[bytes, BodyRegion | None] = {}
_lock = threading.Lock()


@dataclass(frozen=True, kw_only=True)
class _Found:
    """The result of a search, in pixels of the searched image."""

    globe: Ellipse
    rings: Ellipse | None
    quality: float
    purity: float
    contrast: float
    lit_fraction: float

    @property
    def box(self) -> tuple[float, float, float, float]:
        """The edges (top, left, bottom, right); the first pixel reaches from 0 to 1."""
        both = [self.globe] if self.rings is None else [self.globe, self.rings]
        return (
            min(one.center_row - one.half_height for one in both) + 0.5,
            min(one.center_column - one.half_width for one in both) + 0.5,
            max(one.center_row + one.half_height for one in both) + 0.5,
            max(one.center_column + one.half_width for one in both) + 0.5,
        )


def find_body(image: npt.NDArray[np.uint8]) -> BodyRegion | None:
    """Returns the largest body before dark sky, or None if there is no clear one.

    The largest part of the frame that rises above the sky is taken, and a disc fitted to its
    limb, the sharp outer edge; so the night side is known too. Where a disc leaves much of the
    part unexplained, a globe with rings like Saturn's is tried. It asks for dark sky at the border
    of the frame; a close-up that fills the frame, or a bright background, is "not found", not a
    guess.

    The regions of the last 16,384 different frames are kept: the same frame is searched once.

    Convention: `image` is uint8 of shape (H, W, 3), RGB.

    References:
        Otsu, A threshold selection method from gray-level histograms, 1979,
        doi:10.1109/TSMC.1979.4310076.
    """
    content = np.ascontiguousarray(image)
    key = hashlib.blake2b(repr(image.shape).encode(), digest_size=16)
    key.update(content.data)
    digest = key.digest()
    with _lock:
        if digest in _kept:
            return _kept[digest]
    region = _find_body(content)
    with _lock:
        while len(_kept) >= _MAX_KEPT:
            del _kept[next(iter(_kept))]  # the oldest
        _kept[digest] = region
    return region


def clear_found_bodies() -> None:
    """Forgets the regions that are kept, so that each frame is searched again."""
    with _lock:
        _kept.clear()


def _find_body(image: npt.NDArray[np.uint8]) -> BodyRegion | None:
    height, width = image.shape[:2]
    found = _search(image, _WORKING_SIZE)
    if found is None:
        return None
    top, left, bottom, right = found.box
    extent = max(bottom - top, right - left)
    if extent * min(1.0, _WORKING_SIZE / max(height, width)) < _SMALL_EXTENT:
        found = _look_closer(image, found)
    return _create_region(found, height, width)


def _search(image: npt.NDArray[np.uint8], working_size: int) -> _Found | None:
    height, width = image.shape[:2]
    scale = min(_MAX_ZOOM, working_size / max(height, width))
    if working_size == _WORKING_SIZE:
        scale = min(scale, 1.0)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    if scale != 1:
        method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        image = np.asarray(cv2.resize(image, size, interpolation=method), np.uint8)
    red, green, blue = cv2.split(image)
    gray = cv2.max(cv2.max(red, green), blue)
    blurred = np.asarray(cv2.GaussianBlur(gray, (3, 3), 0), np.uint8)
    sky = measure_sky(blurred)
    if sky.level > _MAX_SKY_LEVEL:
        return None
    light = subtract_sky(blurred, sky)
    otsu, _ = cv2.threshold(light, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    lowest = max(_MIN_RISE_LEVELS, _MIN_RISE_DEVIATIONS * sky.noise)
    # The lowest level keeps the most of a soft limb and of a dim night side. Where it drowns in
    # haze or in the glow of something else, a higher one may not.
    levels = sorted({lowest, max(lowest, 0.5 * otsu), max(lowest, float(otsu))})
    best = _choose_fit(light, levels)
    if best is None or best.worth < _FAIR_WORTH:
        # Without what is narrower than the kernel a crowd of stars no longer hangs together.
        opened = np.asarray(cv2.morphologyEx(light, cv2.MORPH_OPEN, _STAR_KERNEL), np.uint8)
        without_stars = _choose_fit(opened, levels)
        best = max((best, without_stars), key=lambda fit: -1.0 if fit is None else fit.worth)
    if best is None or best.quality < _MIN_QUALITY or best.contrast < _MIN_CONTRAST:
        return None
    down, along = height / size[1], width / size[0]
    return _Found(
        globe=best.globe.rescale(down, along),
        rings=None if best.rings is None else best.rings.rescale(down, along),
        quality=best.quality,
        purity=best.purity,
        contrast=best.contrast,
        lit_fraction=best.lit_fraction,
    )


def _choose_fit(light: Gray, levels: list[float]) -> Fit | None:
    """Returns the best explanation of what is lit at any of the levels."""
    best: Fit | None = None
    for level in levels:
        part = find_part(light, level)
        fit = None if part is None else explain(light, part, level)
        if fit is None or fit.contrast < _MIN_CONTRAST:
            continue
        if best is None or fit.worth > 1.05 * best.worth:
            best = fit
        if fit.worth >= _GOOD_WORTH:
            break
    return best


def _look_closer(image: npt.NDArray[np.uint8], found: _Found) -> _Found:
    """Returns the body as seen in a part of the frame around it, or as it was if that is worse."""
    height, width = image.shape[:2]
    top, left, bottom, right = found.box
    pad = _CLOSER_MARGIN * max(bottom - top, right - left) + 2
    first_row, first_column = max(0, round(top - pad)), max(0, round(left - pad))
    last_row, last_column = min(height, round(bottom + pad)), min(width, round(right + pad))
    part = image[first_row:last_row, first_column:last_column]
    if min(part.shape[:2]) < 4:
        return found
    closer = _search(part, _CLOSER_SIZE)
    if closer is None or closer.quality < 0.9 * found.quality:
        return found
    return replace(
        closer,
        globe=closer.globe.shift(first_row, first_column),
        rings=None if closer.rings is None else closer.rings.shift(first_row, first_column),
        purity=found.purity,
    )


def _create_region(found: _Found, height: int, width: int) -> BodyRegion | None:
    top, left, bottom, right = found.box
    slack = max(1.0, 0.01 * max(height, width))
    touched = sum((top < -slack, left < -slack, bottom > height + slack, right > width + slack))
    if touched == 4:
        return None
    box = (
        max(0, math.ceil(top - 0.5)),
        max(0, math.ceil(left - 0.5)),
        min(height, math.floor(bottom + 0.5)),
        min(width, math.floor(right + 0.5)),
    )
    # The mask has those pixels whose centres lie inside, and so has its box.
    if box[2] <= box[0] or box[3] <= box[1]:
        return None
    confidence = found.quality * found.purity * min(1.0, found.contrast / _FULL_CONTRAST)
    confidence = float(confidence * (1.0 - 0.2 * touched))
    if confidence < _MIN_CONFIDENCE:
        return None
    return BodyRegion(
        top=box[0],
        left=box[1],
        bottom=box[2],
        right=box[3],
        area_fraction=_measure_area(found.globe, found.rings, height, width),
        confidence=confidence,
        ellipse=found.globe,
        rings=found.rings,
        lit_fraction=found.lit_fraction,
        frame_height=height,
        frame_width=width,
    )


def _measure_area(globe: Ellipse, rings: Ellipse | None, height: int, width: int) -> float:
    scale = min(1.0, _WORKING_SIZE / max(height, width))
    rows, columns = max(1, round(height * scale)), max(1, round(width * scale))
    down, along = rows / height, columns / width
    mask = draw_body(
        globe.rescale(down, along),
        None if rings is None else rings.rescale(down, along),
        rows,
        columns,
    )
    return max(1, int(np.count_nonzero(mask))) / mask.size
