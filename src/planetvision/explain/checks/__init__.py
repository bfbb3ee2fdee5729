"""Checks of explanations: whether maps can be believed, and what they show if so.

They need PyTorch, so the room itself does not import them.
"""

from planetvision.explain.checks.checking import check_explanations, shuffle_network
from planetvision.explain.checks.energy import (
    create_body_masks,
    measure_body_share,
    measure_energy,
)
from planetvision.explain.checks.perturbation import Curves, measure_area, measure_curves
from planetvision.explain.checks.randomization import randomize_network
from planetvision.explain.checks.similarity import compare_maps, measure_stability
from planetvision.explain.checks.verdict import judge_explanations

__all__ = [
    "Curves",
    "check_explanations",
    "compare_maps",
    "create_body_masks",
    "judge_explanations",
    "measure_area",
    "measure_body_share",
    "measure_curves",
    "measure_energy",
    "measure_stability",
    "randomize_network",
    "shuffle_network",
]
