"""What calls return: plain data with `to_frame()` and `save()`."""

from planetvision.results.audit import Audit, Baseline, Finding
from planetvision.results.blind import BlindResult
from planetvision.results.comparison import Comparison
from planetvision.results.crossvalidation import CrossValidation, FoldScore
from planetvision.results.evaluation import Evaluation
from planetvision.results.explanation_checks import (
    ExplanationChecks,
    ExplanationVerdict,
    SignTest,
)
from planetvision.results.explanations import Explanation, Explanations
from planetvision.results.history import EpochRecord, TrainingHistory
from planetvision.results.predictions import UNKNOWN, Prediction, Predictions
from planetvision.results.verification import Check, Verification

__all__ = [
    "UNKNOWN",
    "Audit",
    "Baseline",
    "BlindResult",
    "Check",
    "Comparison",
    "CrossValidation",
    "EpochRecord",
    "Evaluation",
    "Explanation",
    "ExplanationChecks",
    "ExplanationVerdict",
    "Explanations",
    "Finding",
    "FoldScore",
    "Prediction",
    "Predictions",
    "SignTest",
    "TrainingHistory",
    "Verification",
]
