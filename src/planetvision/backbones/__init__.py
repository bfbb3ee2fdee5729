"""Backbones: networks that turn images into features, by name."""

from planetvision.backbones.registry import (
    BACKBONES,
    BackboneSpec,
    FeatureLayout,
    list_backbones,
    register_backbone,
)

__all__ = [
    "BACKBONES",
    "BackboneSpec",
    "FeatureLayout",
    "list_backbones",
    "register_backbone",
]
