"""Backbones: networks that turn images into features, by name."""

from planetvision.backbones.registry import BACKBONES, list_backbones, register_backbone
from planetvision.backbones.spec import BackboneSpec, FeatureLayout

__all__ = [
    "BACKBONES",
    "BackboneSpec",
    "FeatureLayout",
    "list_backbones",
    "register_backbone",
]
