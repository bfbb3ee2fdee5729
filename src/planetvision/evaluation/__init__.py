"""Evaluation: predictions and true labels become numbers with intervals, and curves."""

from planetvision.evaluation.curves import (
    compute_areas,
    compute_classwise_calibration_error,
    compute_precision_recall_curves,
    compute_reliability,
    compute_risk_area,
    compute_risk_coverage,
    compute_roc_curves,
)
from planetvision.evaluation.metrics import compute_metrics, wilson_interval

__all__ = [
    "compute_areas",
    "compute_classwise_calibration_error",
    "compute_metrics",
    "compute_precision_recall_curves",
    "compute_reliability",
    "compute_risk_area",
    "compute_risk_coverage",
    "compute_roc_curves",
    "wilson_interval",
]
