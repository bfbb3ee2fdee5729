"""The state of the installation."""

from __future__ import annotations

import importlib.util
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import torch

from planetvision.backbones import timm_models
from planetvision.doctor import examine


def test_examine_tells_versions_machine_weights_and_extras() -> None:
    facts = examine()
    assert list(facts) == ["versions", "machine", "weights", "extras"]
    assert facts["versions"]["torch"] == metadata.version("torch")
    assert facts["versions"]["planetvision"] == metadata.version("planetvision")
    assert facts["machine"]["threads of torch"] == str(torch.get_num_threads())
    assert facts["machine"]["device 'auto'"] == ("cuda" if torch.cuda.is_available() else "cpu")
    assert facts["weights"]["tiny"] == "none exist: train from scratch"
    assert set(facts["extras"]) == {"offline", "parquet", "tensorboard", "fits", "pds"}


def test_weights_say_where_they_are_or_where_they_come_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "resnet50-11ad3fa6.pth").touch()
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(timm_models, "find_lite0_weights", lambda: None)
    weights = examine()["weights"]
    assert weights["resnet50"] == "cached"
    assert weights["efficientnet_b3"] == (
        "not on this machine; from: torchvision hub, IMAGENET1K_V1"
    )
    assert weights["efficientnet_lite0"].startswith("not installed; package efficientnet-lite0")
    monkeypatch.setattr(timm_models, "find_lite0_weights", lambda: tmp_path)
    assert examine()["weights"]["efficientnet_lite0"] == "installed as a package"


def test_missing_extra_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    find_spec = importlib.util.find_spec

    def without_tensorboard(name: str, package: str | None = None) -> Any:
        return None if name == "tensorboard" else find_spec(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", without_tensorboard)
    assert examine()["extras"]["tensorboard"] == (
        'missing: pip install "planetvision[tensorboard]"'
    )
