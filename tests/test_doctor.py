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
from planetvision.tuning import LEVERS


def test_examine_tells_versions_machine_weights_and_extras() -> None:
    facts = examine()
    assert list(facts) == ["versions", "machine", "levers", "weights", "extras"]
    assert facts["versions"]["torch"] == metadata.version("torch")
    assert facts["versions"]["planetvision"] == metadata.version("planetvision")
    assert facts["levers"]["number of threads"] == str(torch.get_num_threads())
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


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ({"avx512_bf16": True}, "in hardware"),
        ({"avx512_bf16": False, "sve_bf16": True}, "in hardware"),
        ({"avx512_f": True}, "emulated"),
        (None, "unknown"),
    ],
)
def test_levers_tell_whether_the_processor_has_bfloat16(
    monkeypatch: pytest.MonkeyPatch, found: dict[str, bool] | None, expected: str
) -> None:
    if found is None:
        monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    else:
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: found, raising=False)
    assert examine()["levers"]["bf16 on the CPU"].startswith(expected)


def test_levers_that_are_off_are_shown_as_off(monkeypatch: pytest.MonkeyPatch) -> None:
    assert examine()["levers"]["channels_last"].startswith("on: ")
    monkeypatch.setenv("PLANETVISION_TUNING", "none")
    levers = examine()["levers"]
    assert all(levers[name].startswith("off: ") for name in LEVERS)
