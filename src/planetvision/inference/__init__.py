"""Inference: a network and images become `Predictions`."""

from planetvision.inference.predictor import predict_catalog

__all__ = ["predict_catalog"]
