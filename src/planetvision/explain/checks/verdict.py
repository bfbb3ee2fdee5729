"""`judge_explanations`: from the figures of each map to a verdict on all of them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import stats

from planetvision.results.explanation_checks import (
    ROUNDING,
    ExplanationChecks,
    ExplanationVerdict,
    SignTest,
)

# A map that is nearly as like that of a random network shows the image and not what was learned.
_MIN_GAP = 0.2
# A probability that changes by less hangs on nothing that a map could mark.
_MIN_CHANGE = 0.05


def judge_explanations(checks: ExplanationChecks) -> ExplanationVerdict:
    """Returns what the figures say of the method, the model and these images together.

    Each question is put to every image that answers it, and a sign test says whether as many "yes"
    could be chance: is the map clearly less like that of a random network than like that of the
    moved image (by over 0.2); is the area under the insertion larger than that under the deletion
    (by over 0.05), where the whole image and the gray blur alone do not give the class the same
    probability; is the body hotter than what is around it, that is, has it more of the energy than
    of the frame.

    Args:
        checks: The figures.
    """
    change = np.where(_can_change(checks), checks.insertion - checks.deletion, np.nan)
    gap = checks.stability - checks.randomized
    on_body = checks.energy_on_body - checks.body_share
    has_energy = np.isfinite(on_body)
    return ExplanationVerdict(
        num_images=len(checks),
        energy_on_body=_median(checks.energy_on_body[has_energy]),
        body_share=_median(checks.body_share[has_energy]),
        num_background=int((on_body < -ROUNDING).sum()),
        deletion=_median(checks.deletion),
        insertion=_median(checks.insertion),
        stability=_median(checks.stability),
        randomized=_median(checks.randomized),
        weights=_compare(gap - _MIN_GAP),
        evidence=_compare(change - _MIN_CHANGE),
        body=_compare(on_body),
    )


def _can_change(checks: ExplanationChecks) -> npt.NDArray[np.bool_]:
    """Whether anything could be lost of an image's probability, or brought in."""
    if checks.deletion_curves is None:
        least = np.minimum(checks.deletion, checks.insertion)
        return (least > _MIN_CHANGE) & (least < 1 - _MIN_CHANGE)
    whole, blurred = checks.deletion_curves[:, 0], checks.deletion_curves[:, -1]
    can_change: npt.NDArray[np.bool_] = np.abs(whole - blurred) > _MIN_CHANGE
    return can_change


def _median(values: npt.NDArray[np.float64]) -> float | None:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else None


def _compare(differences: npt.NDArray[np.float64]) -> SignTest:
    """Returns how many differences are positive, of those that are known and not 0."""
    wins, trials = (differences > ROUNDING).sum(), (np.abs(differences) > ROUNDING).sum()
    if not trials:
        return SignTest(wins=0, trials=0, p_value=None)
    test = stats.binomtest(int(wins), int(trials), alternative="greater")
    return SignTest(wins=int(wins), trials=int(trials), p_value=float(test.pvalue))
