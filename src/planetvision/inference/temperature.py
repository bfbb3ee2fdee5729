"""Temperature: how sure a network may be of its answers, fitted to labelled images."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

__all__ = ["fit_temperature", "get_cross_entropy", "get_error_after"]

# Networks that answer all of few images right would be ever surer of them.
_MIN_TEMPERATURE, _MAX_TEMPERATURE = 0.05, 20.0


def get_cross_entropy(
    logits: npt.NDArray[np.float64],
    targets: npt.NDArray[np.int64],
    *,
    temperature: float = 1.0,
    doubt: float = 0.0,
) -> float:
    """Returns the mean cross-entropy of the logits divided by the temperature.

    Convention: logits of shape (N, C), targets the N indices of the true classes.

    Args:
        logits: The logits.
        targets: The true classes.
        temperature: What the logits are divided by.
        doubt: The share of each target that is spread over the other classes, in [0, 1).
    """
    from scipy.special import log_softmax

    logs = log_softmax(logits / temperature, axis=1)
    true = logs[np.arange(len(targets)), targets]
    if not doubt:
        return float(-true.mean())
    others = (logs.sum(axis=1) - true) / (logs.shape[1] - 1)
    return float(-((1 - doubt) * true + doubt * others).mean())


def get_error_after(trials: int) -> float:
    """Returns how often the next answer may be wrong after so many right ones: 1 / (n + 2).

    This is Laplace's rule of succession, which Platt scaling takes its targets from.

    References:
        Platt, J. (1999), "Probabilistic Outputs for Support Vector Machines", section 2.2.
    """
    return 1 / (trials + 2)


def fit_temperature(
    logits: npt.NDArray[np.float64], targets: npt.NDArray[np.int64], *, doubt: float = 0.0
) -> float:
    """Returns the temperature, from 0.05 to 20, at which the cross-entropy is lowest.

    Logits divided by it give calibrated probabilities; no answer changes.

    Convention: logits of shape (N, C), targets the N indices of the true classes.

    Args:
        logits: The logits.
        targets: The true classes.
        doubt: As for `get_cross_entropy`. Without any, a network that answers all images right is
            made as sure as the bounds allow; with `get_error_after(len(targets))` it is as sure as
            so many images can show.

    References:
        Guo, C., et al. (2017), "On Calibration of Modern Neural Networks", arXiv:1706.04599.
    """
    from scipy.optimize import minimize_scalar

    found = minimize_scalar(
        lambda log: get_cross_entropy(logits, targets, temperature=math.exp(log), doubt=doubt),
        bounds=(math.log(_MIN_TEMPERATURE), math.log(_MAX_TEMPERATURE)),
        method="bounded",
    )
    return math.exp(found.x)
