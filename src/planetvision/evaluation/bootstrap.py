"""Bootstrap: how far measures of a sample of images would change with another sample."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

NUM_SAMPLES = 1000
_SEED = 0
# Of fewer samples in which a measure is defined nothing is said.
_MIN_DEFINED = 0.9
# 80 MB at a time.
_MAX_WEIGHTS = 10_000_000

Floats: TypeAlias = "npt.NDArray[np.float64]"


def bootstrap_intervals(
    measure: Callable[[Floats], Floats],
    groups: npt.NDArray[np.int64],
    *,
    confidence: float = 0.95,
    num_samples: int = NUM_SAMPLES,
) -> list[tuple[float, float] | None]:
    """Returns the percentile interval of each measure.

    Whole groups are drawn with replacement: frames of one sequence are not independent of each
    other. A sample gives each image a weight, how often its group was drawn.

    Args:
        measure: From the weights of the N images in B samples, (B, N), to M measures, (B, M); NaN
            where one is not defined.
        groups: The number of the group of each image, (N,); all different where there are none.
        confidence: The coverage, in (0, 1).
        num_samples: How many samples are drawn.

    Returns:
        The low and the high end of each; None where a measure is the same in all samples (such as
        a rate of errors that never occurred, of which resampling says nothing), or where it is
        undefined in a tenth of them.

    Example:
        >>> right = np.array([1.0] * 15 + [0.0] * 5)
        >>> [(low, high)] = bootstrap_intervals(
        ...     lambda weights: weights @ right[:, None] / weights.sum(axis=1, keepdims=True),
        ...     np.arange(20),
        ... )
        >>> 0.5 < low < 0.6, 0.9 <= high < 1
        (True, True)

    References:
        Efron & Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13; for groups, Davison
        & Hinkley, Bootstrap Methods and their Application, 1997, section 3.8.
    """
    num_groups = int(groups.max()) + 1 if len(groups) else 0
    if num_groups < 2:
        return [None] * measure(np.ones((1, len(groups)))).shape[1]
    generator = np.random.default_rng(_SEED)
    shares = np.full(num_groups, 1 / num_groups)
    step = max(1, _MAX_WEIGHTS // len(groups))
    found = np.concatenate(
        [
            measure(
                generator.multinomial(num_groups, shares, size=min(step, num_samples - start))[
                    :, groups
                ].astype(np.float64)
            )
            for start in range(0, num_samples, step)
        ]
    )
    edges = [(1 - confidence) / 2, (1 + confidence) / 2]
    intervals: list[tuple[float, float] | None] = []
    for values in found.T:
        defined = values[~np.isnan(values)]
        if len(defined) < _MIN_DEFINED * num_samples or np.ptp(defined) == 0:
            intervals.append(None)
            continue
        low, high = np.quantile(defined, edges)
        intervals.append((float(low), float(high)))
    return intervals


def number_groups(groups: Sequence[Any] | None, num_images: int) -> npt.NDArray[np.int64]:
    """Returns the number of the group of each image, from 0; without groups each is alone."""
    if groups is None:
        return np.arange(num_images)
    return np.unique(np.array([str(group) for group in groups]), return_inverse=True)[1].ravel()
