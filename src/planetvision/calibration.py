"""Temperature: how sure a network may be of its answers, fitted to labelled images."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

__all__ = ["fit_temperature", "get_cross_entropy"]

# Networks that answer all of few images right would be ever surer of them.
_MIN_TEMPERATURE, _MAX_TEMPERATURE = 0.05, 20.0


def get_cross_entropy(
    logits: npt.NDArray[np.float64],
    targets: npt.NDArray[np.int64],
    *,
    temperature: float = 1.0,
) -> float:
    """Returns the mean cross-entropy of the logits divided by the temperature.

    Convention: logits of shape (N, C), targets the N indices of the true classes.
    """
    from scipy.special import log_softmax

    logs = log_softmax(logits / temperature, axis=1)
    return float(-logs[np.arange(len(targets)), targets].mean())


def fit_temperature(logits: npt.NDArray[np.float64], targets: npt.NDArray[np.int64]) -> float:
    """Returns the temperature, from 0.05 to 20, at which the cross-entropy is lowest.

    Logits divided by it give calibrated probabilities; no answer changes.

    Convention: logits of shape (N, C), targets the N indices of the true classes.

    References:
        Guo, C., et al. (2017), "On Calibration of Modern Neural Networks", arXiv:1706.04599.
    """
    from scipy.optimize import minimize_scalar

    found = minimize_scalar(
        lambda log: get_cross_entropy(logits, targets, temperature=math.exp(log)),
        bounds=(math.log(_MIN_TEMPERATURE), math.log(_MAX_TEMPERATURE)),
        method="bounded",
    )
    return math.exp(found.x)
