"""Stretches: mappings from values of high bit depth to 8 bits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from planetvision.core.errors import SettingsError
from planetvision.core.settings import STRETCHES, Stretch

Values = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]

MID_GRAY = 128
# A disc that covers more than a thousandth of the frame is not cut off.
PERCENTILES = (0.1, 99.9)
MAX_SAMPLES = 4_000_000
# The `a` of 0.1 that astropy.visualization.AsinhStretch takes by default is 1 / Q.
ASINH_SOFTENING = 10.0
# The defaults of IRAF's display task, as given under `zscale` in its help page.
ZSCALE_CONTRAST = 0.25
ZSCALE_SAMPLES = 1000
ZSCALE_REJECTION = 2.5
ZSCALE_MIN_GOOD = 5
ZSCALE_MAX_REJECTED = 0.5
ZSCALE_ITERATIONS = 5
_ROWS_AT_ONCE = 256


def check_stretch(stretch: object) -> None:
    """Raises a `SettingsError` if there is no stretch of that name."""
    if stretch not in STRETCHES:
        raise SettingsError(
            f"`stretch` must be one of {', '.join(map(repr, STRETCHES))}, got {stretch!r}. "
            "Pass 'linear', for example."
        )


def stretch_image(values: Values, stretch: Stretch = "linear") -> npt.NDArray[np.uint8]:
    """Returns values of any depth as 8 bits.

    All stretches take one black point and one white point for all channels together, so that
    colours keep their balance, and are cut off beyond them:

    - `linear`: from the lowest to the highest value.
    - `percentile`: from the 0.1th to the 99.9th percentile; a few hot pixels do not darken it.
    - `asinh`: from the lowest to the highest value through asinh(10 x) / asinh(10), which lifts
      faint parts; of a colour image the mean of the channels is lifted, and the ratios between
      the channels are kept, as Lupton et al. do.
    - `zscale`: IRAF's, around the median, by a line through the sorted values; made for faint
      things in a sky, and a bright disc ends up white.

    Values that are not finite are missing: they are ignored and become 0. Where all values are
    the same there is nothing to stretch, and they become 128. Values of 8 bits are left alone.

    Convention: values of shape (H, W) or (H, W, 3); uint8 of the same shape comes back.

    Args:
        values: Integers, floats or booleans.
        stretch: The name of the stretch.

    Raises:
        SettingsError: If there is no such stretch.

    References:
        Lupton, R., Blanton, M. R., Fekete, G., Hogg, D. W., O'Mullane, W., Szalay, A., and
        Wherry, N. (2004), "Preparing Red-Green-Blue Images from CCD Data", PASP 116, 133-137,
        equations 1 and 2, doi:10.1086/382245.

        IRAF, help page of the task `display`, "ZSCALE ALGORITHM"; Tody, D. (1986), "The IRAF Data
        Reduction and Analysis System", Proc. SPIE 627, 733, doi:10.1117/12.968154.

    Example:
        >>> import numpy as np
        >>> stretch_image(np.array([[1000, 2000, 3000]], dtype=np.uint16))
        array([[  0, 128, 255]], dtype=uint8)
    """
    check_stretch(stretch)
    if values.dtype == np.uint8:
        return values
    if values.dtype == np.bool_:
        return values.astype(np.uint8) * np.uint8(255)
    with np.errstate(all="ignore"):
        limits = _find_limits(values, stretch)
        if limits is None:
            return np.zeros(values.shape, np.uint8)
        low, high = limits
        in_colour = stretch == "asinh" and values.ndim == 3
        if values.dtype.kind in "iu" and values.dtype.itemsize == 2 and not in_colour:
            # There are 65,536 values at most: each is computed once, and then looked up.
            native = np.ascontiguousarray(values, values.dtype.newbyteorder("="))
            every = np.arange(65536, dtype=np.uint16).view(native.dtype)
            table = _apply(every.astype(np.float64), low, high, stretch)
            return table[native.view(np.uint16)]
        stretched = np.empty(values.shape, np.uint8)
        for rows in _split_rows(values):
            block = values[rows].astype(np.float64)
            stretched[rows] = _apply(block, low, high, stretch)
    return stretched


def _split_rows(values: Values) -> Iterator[slice]:
    """Yields blocks of a large image, so that its floats are never in memory all at once."""
    for first in range(0, len(values), _ROWS_AT_ONCE):
        yield slice(first, first + _ROWS_AT_ONCE)


def _apply(block: Floats, low: float, high: float, stretch: Stretch) -> npt.NDArray[np.uint8]:
    """Returns a block stretched from black at `low` to white at `high`."""
    finite = np.isfinite(block)
    if low == high:
        return np.where(finite, MID_GRAY, 0).astype(np.uint8)
    # The difference of two large doubles may be infinite, half of it is not.
    span = high / 2 - low / 2
    shares = np.clip((block / 2 - low / 2) / span, 0.0, 1.0)
    shares = np.where(finite, shares, 0.0)
    if stretch == "asinh":
        shares = _lift(shares)
    return np.rint(255.0 * shares).astype(np.uint8)


def _lift(shares: Floats) -> Floats:
    if shares.ndim < 3:
        return cast(Floats, np.arcsinh(ASINH_SOFTENING * shares) / np.arcsinh(ASINH_SOFTENING))
    mean = shares.mean(axis=2, keepdims=True)
    lifted = np.arcsinh(ASINH_SOFTENING * mean) / np.arcsinh(ASINH_SOFTENING)
    colours = shares * np.divide(lifted, mean, out=np.zeros_like(mean), where=mean > 0)
    # A saturated colour is scaled down as a whole and keeps its hue.
    return cast(Floats, colours / np.maximum(colours.max(axis=2, keepdims=True), 1.0))


def _find_limits(values: Values, stretch: Stretch) -> tuple[float, float] | None:
    """Returns the black and the white point, or None if no value is finite."""
    extremes = _find_extremes(values)
    if extremes is None or stretch in ("linear", "asinh"):
        return extremes
    if stretch == "percentile":
        finite = _sample(values, MAX_SAMPLES)
        low, high = (float(np.percentile(finite, p, method="nearest")) for p in PERCENTILES)
    else:
        low, high = _find_zscale(_sample(values, ZSCALE_SAMPLES))
    # Where nearly all values are the same, the robust range is empty: take all of it.
    usable = np.isfinite(low) and np.isfinite(high) and low < high
    return (low, high) if usable else extremes


def _find_extremes(values: Values) -> tuple[float, float] | None:
    if values.dtype.kind in "iu":
        return float(values.min()), float(values.max())
    low, high = np.inf, -np.inf
    for rows in _split_rows(values):
        block = values[rows].astype(np.float64)
        finite = block[np.isfinite(block)]
        if finite.size:
            low, high = min(low, float(finite.min())), max(high, float(finite.max()))
    return (low, high) if low <= high else None


def _sample(values: Values, limit: int) -> Floats:
    """Returns about `limit` finite values at even distances."""
    flat = values.ravel()
    if values.dtype.kind == "f":
        flat = flat[np.isfinite(flat)]
    stride = max(1, flat.size // limit)
    sampled = flat[::stride][:limit] if limit == ZSCALE_SAMPLES else flat[::stride]
    return cast(Floats, sampled.astype(np.float64))


def _find_zscale(samples: Floats) -> tuple[float, float]:
    """Returns IRAF's limits: a line through the sorted samples, without those far from it."""
    samples = np.sort(samples)
    count = samples.size
    low, high = float(samples[0]), float(samples[-1])
    places = np.arange(count)
    good = np.ones(count, dtype=bool)
    least = max(ZSCALE_MIN_GOOD, int(count * ZSCALE_MAX_REJECTED))
    neighbours = np.ones(max(1, int(count * 0.01)))
    num_good, last, slope = count, count + 1, 0.0
    for _ in range(ZSCALE_ITERATIONS):
        if num_good >= last or num_good < least:
            break
        slope, start = _fit_line(places[good], samples[good])
        off = samples - (slope * places + start)
        spread = ZSCALE_REJECTION * float(off[good].std())
        bad = ~good | (np.abs(off) > spread)
        # What lies beside a rejected sample is rejected too.
        good = np.convolve(bad, neighbours, mode="same") < 0.5
        last, num_good = num_good, int(good.sum())
    if num_good >= least:
        slope /= ZSCALE_CONTRAST
        centre = (count - 1) // 2
        median = float(np.median(samples))
        low = max(low, median - (centre - 1) * slope)
        high = min(high, median + (count - centre) * slope)
    return low, high


def _fit_line(places: npt.NDArray[np.int64], samples: Floats) -> tuple[float, float]:
    centre, mean = places.mean(), samples.mean()
    spread = float(((places - centre) ** 2).sum())
    slope = float(((places - centre) * (samples - mean)).sum()) / spread if spread else 0.0
    return slope, float(mean - slope * centre)
