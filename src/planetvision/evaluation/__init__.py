"""Evaluation: predictions and true labels become numbers with intervals."""

from planetvision.evaluation.metrics import compute_metrics, wilson_interval

__all__ = ["compute_metrics", "wilson_interval"]
