"""The best weights, and when to stop."""

from __future__ import annotations

import math

import torch
from torch import nn

from planetvision.training.averaging import BestWeights


def test_restore_puts_the_weights_of_the_lowest_score_back() -> None:
    module = nn.Linear(1, 1)
    best = BestWeights(module, patience=None)
    for score, value in ((0.5, 1.0), (0.2, 2.0), (0.2, 3.0), (math.nan, 4.0), (0.9, 5.0)):
        nn.init.constant_(module.weight, value)
        best.update(score)
    best.restore()
    assert module.weight.item() == 2.0
    assert best.score == 0.2
    assert best.epochs_since == 3
    assert not best.should_stop


def test_patience_runs_out_and_a_better_score_starts_it_anew() -> None:
    best = BestWeights(nn.Linear(1, 1), patience=2)
    stops = []
    for score in (1.0, 1.1, 0.9, 0.95, 0.9, 0.1):
        best.update(score)
        stops.append(best.should_stop)
    assert stops == [False, False, False, False, True, False]


def test_restore_without_a_score_changes_nothing() -> None:
    module = nn.Linear(2, 2)
    before = module.weight.clone()
    BestWeights(module, patience=1).restore()
    assert torch.equal(module.weight, before)
