"""Temperature scaling."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

# Bounds, since perfect predictions on few images would drive the temperature to 0.
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
        temperature: The divisor of the logits.
        doubt: The share of each target that is spread over the other classes, in [0, 1).
    """
    from scipy.special import log_softmax

    logs = log_softmax(logits / temperature, axis=1)
    true = logs[np.arange(len(targets)), targets]
    if not doubt:
        return float(-true.mean())
    negatives = (logs.sum(axis=1) - true) / (logs.shape[1] - 1)
    return float(-((1 - doubt) * true + doubt * negatives).mean())


def get_error_after(trials: int) -> float:
    """Returns the expected error rate after that many correct predictions: 1 / (n + 2).

    This is Laplace's rule of succession, which Platt scaling uses for its targets.

    References:
        Platt, J. (1999), "Probabilistic Outputs for Support Vector Machines", section 2.2.
    """
    return 1 / (trials + 2)


def fit_temperature(
    logits: npt.NDArray[np.float64], targets: npt.NDArray[np.int64], *, doubt: float = 0.0
) -> float:
    """Returns the temperature, from 0.05 to 20, that minimises the cross-entropy.

    Logits divided by it give calibrated probabilities; predicted classes do not change.

    Convention: logits of shape (N, C), targets the N indices of the true classes.

    Args:
        logits: The logits.
        targets: The true classes.
        doubt: As for `get_cross_entropy`. If all predictions are correct, 0 gives the lowest
            temperature; `get_error_after(len(targets))` limits the confidence to what that many
            images support.

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
