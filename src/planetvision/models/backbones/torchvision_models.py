"""Backbones from torchvision, without their classifiers."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any, cast

from torch import nn
from torchvision import models

from planetvision.core.errors import UnknownNameError
from planetvision.core.settings import InputSpec, Interpolation
from planetvision.models.backbones.spec import BackboneSpec
from planetvision.models.backbones.weights import download, find_checkpoint

_CLASSIFIERS = ("fc", "classifier", "heads", "head")


def build_torchvision(name: str, *, pretrained: bool = True) -> nn.Module:
    """Returns torchvision's model `name` with its classifier replaced by the identity."""
    weights = models.get_model_weights(name).DEFAULT if pretrained else None
    options: dict[str, Any] = {}
    if name in ("googlenet", "inception_v3"):
        # Auxiliary classifiers belong to the weights, and random initialisation takes minutes.
        options = {"aux_logits": pretrained}
        if not pretrained:
            options["init_weights"] = False
    if weights is None:
        model = models.get_model(name, weights=None, **options)
    else:
        model = download(
            name,
            f"torchvision hub, {weights.url}",
            lambda: models.get_model(name, weights=weights, **options),
        )
    if hasattr(model, "aux_logits"):
        model.aux_logits = False
    for attribute in _CLASSIFIERS:
        if isinstance(getattr(model, attribute, None), nn.Module):
            setattr(model, attribute, nn.Identity())
    return cast(nn.Module, model)


def find_torchvision_weights(name: str) -> Path | None:
    """Returns the cached weights file of torchvision's model `name`, or None."""
    return find_checkpoint(models.get_model_weights(name).DEFAULT.url)


def resolve_torchvision(name: str) -> BackboneSpec:
    """Returns the spec of torchvision's image classification model `name`.

    Raises:
        UnknownNameError: If torchvision does not have this model.
    """
    known = models.list_models(module=models)
    if name not in known:
        raise UnknownNameError.among(
            f"torchvision has no classification model {name!r}.",
            known=known,
            remedy="torchvision.models.list_models(module=torchvision.models) lists all.",
            family="backbones",
            name=f"torchvision:{name}",
        )
    weights = models.get_model_weights(name).DEFAULT
    preset = weights.transforms()
    return BackboneSpec(
        name=f"torchvision:{name}",
        build=functools.partial(build_torchvision, name),
        summary=f"torchvision's {name}",
        source="https://pytorch.org/vision/stable/models.html",
        input=InputSpec(
            image_size=preset.crop_size[0],
            mean=tuple(preset.mean),
            std=tuple(preset.std),
            interpolation=cast(Interpolation, preset.interpolation.value),
        ),
        weights=f"torchvision hub, {weights.name}",
        find_weights=functools.partial(find_torchvision_weights, name),
        licence="see torchvision's documentation of the model",
    )
