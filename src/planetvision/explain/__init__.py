"""Explanations: where in an image the network found its answer."""

from planetvision.explain.registry import (
    EXPLAINERS,
    ExplainerSpec,
    list_explainers,
    register_explainer,
)

__all__ = ["EXPLAINERS", "ExplainerSpec", "list_explainers", "register_explainer"]
