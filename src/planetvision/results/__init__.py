"""What calls return: plain data with `to_frame()` and `save()`."""

from planetvision.results.evaluation import Evaluation
from planetvision.results.explanations import Explanation, Explanations
from planetvision.results.history import EpochRecord, TrainingHistory
from planetvision.results.predictions import Prediction, Predictions

__all__ = [
    "EpochRecord",
    "Evaluation",
    "Explanation",
    "Explanations",
    "Prediction",
    "Predictions",
    "TrainingHistory",
]
