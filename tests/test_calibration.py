"""The temperature against a search over many."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from planetvision.calibration import fit_temperature, get_cross_entropy

GENERATOR = np.random.default_rng(0)
TARGETS = GENERATOR.integers(0, 3, 400)
# Right by what a softmax of half of it says: the temperature is two.
LOGITS = np.array(
    [
        [4.0 * (column == answer) for column in range(3)]
        for answer in [
            target if GENERATOR.random() < np.exp(2) / (np.exp(2) + 2) else (target + 1) % 3
            for target in TARGETS
        ]
    ]
)


def test_cross_entropy_is_that_of_torch() -> None:
    expected = functional.cross_entropy(torch.tensor(LOGITS / 1.7), torch.tensor(TARGETS))
    assert get_cross_entropy(LOGITS, TARGETS, temperature=1.7) == pytest.approx(float(expected))


def test_temperature_is_the_best_of_many() -> None:
    grid = np.exp(np.linspace(-2, 2, 2001))
    best = min(grid, key=lambda one: get_cross_entropy(LOGITS, TARGETS, temperature=one))
    assert fit_temperature(LOGITS, TARGETS) == pytest.approx(best, rel=5e-3)
    assert fit_temperature(LOGITS, TARGETS) == pytest.approx(2, rel=0.2)


def test_answers_that_are_all_right_or_all_wrong_stay_in_bounds() -> None:
    logits = np.array([[3.0, 0.0], [0.0, 3.0]])
    assert 0.05 <= fit_temperature(logits, np.array([0, 1])) < 0.2  # any of these is sure
    assert fit_temperature(logits, np.array([1, 0])) == pytest.approx(20, rel=0.01)
