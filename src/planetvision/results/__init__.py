"""What calls return: plain data with `to_frame()` and `save()`."""

from planetvision.results.audit import Audit, Baseline, Finding
from planetvision.results.blind import BlindResult
from planetvision.results.evaluation import Evaluation
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
    "EpochRecord",
    "Evaluation",
    "Explanation",
    "Explanations",
    "Finding",
    "Prediction",
    "Predictions",
    "TrainingHistory",
    "Verification",
]
