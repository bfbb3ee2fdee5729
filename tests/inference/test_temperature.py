"""The temperature against a search over many."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import softmax
from torch.nn import functional

from planetvision.inference.temperature import fit_temperature, get_cross_entropy, get_error_after

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


def test_doubt_spreads_the_target_over_the_other_classes() -> None:
    targets = torch.full((len(TARGETS), 3), 0.05)
    targets[torch.arange(len(TARGETS)), torch.tensor(TARGETS)] = 0.9
    expected = functional.cross_entropy(torch.tensor(LOGITS), targets.double())
    assert get_cross_entropy(LOGITS, TARGETS, doubt=0.1) == pytest.approx(float(expected))


@pytest.mark.parametrize("number", [10, 100])
def test_network_that_is_always_right_is_as_sure_as_its_images_can_show(number: int) -> None:
    targets = np.arange(number) % 3
    logits = 5.0 * np.eye(3)[targets]
    doubt = get_error_after(number)
    temperature = fit_temperature(logits, targets, doubt=doubt)
    confidence = softmax(logits / temperature, axis=1).max(axis=1)
    # Images that are all alike: the best confidence is the target itself.
    np.testing.assert_allclose(confidence, 1 - 1 / (number + 2), rtol=1e-4)
