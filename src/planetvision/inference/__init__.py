"""Inference: a network and images become `Predictions`, which say what they do not know."""

from planetvision.inference.predictor import predict_catalog
from planetvision.inference.trust import Trust, fit_trust

__all__ = ["Trust", "fit_trust", "predict_catalog"]
