"""What calls return: plain data with `to_frame()` and `save()`."""

from planetvision.results.audit import Audit, Baseline, Finding
from planetvision.results.blind import BlindResult
from planetvision.results.evaluation import Evaluation
from planetvision.results.explanation_checks import (
    Comparison,
    ExplanationChecks,
    ExplanationVerdict,
)
from planetvision.results.explanations import Explanation, Explanations
from planetvision.results.history import EpochRecord, TrainingHistory
from planetvision.results.predictions import UNKNOWN, Prediction, Predictions

__all__ = [
    "UNKNOWN",
    "Audit",
    "Baseline",
    "BlindResult",
    "Comparison",
    "EpochRecord",
    "Evaluation",
    "Explanation",
    "ExplanationChecks",
    "ExplanationVerdict",
    "Explanations",
    "Finding",
    "Prediction",
    "Predictions",
    "TrainingHistory",
]
