"""The state of the installation."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from planetvision.classifiers import pretrained
from planetvision.core.performance import PERFORMANCE_OPTIONS
from planetvision.models.backbones.registry import BACKBONES
from planetvision.models.backbones.spec import BackboneSpec
from planetvision.workflows.doctor import examine


def test_examine_tells_versions_machine_weights_and_extras() -> None:
    facts = examine()
    assert list(facts) == [
        "versions",
        "machine",
        "performance",
        "weights",
        "released model",
        "extras",
    ]
    assert facts["versions"]["torch"] == metadata.version("torch")
    assert facts["versions"]["planetvision"] == metadata.version("planetvision")
    assert facts["performance"]["number of threads"] == str(torch.get_num_threads())
    assert facts["machine"]["device 'auto'"] == ("cuda" if torch.cuda.is_available() else "cpu")
    assert facts["weights"]["tiny"] == "none exist: train from scratch"
    assert set(facts["extras"]) == {"offline", "parquet", "tensorboard", "fits", "pds"}


@pytest.fixture
def add(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Registers a backbone for the test."""

    def register(name: str, **fields: Any) -> None:
        spec = BackboneSpec(name=name, build=nn.Identity, summary="", **fields)
        monkeypatch.setitem(BACKBONES._entries, name, spec)

    return register


def refuse() -> Path:
    raise OSError("no such drive")


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({}, "none exist: train from scratch"),
        ({"weights": "mine"}, "unknown whether on this machine; origin: mine"),
        (
            {"weights": "mine", "find_weights": lambda: None},
            "not on this machine; origin: mine",
        ),
        ({"weights": "mine", "find_weights": lambda: Path("x")}, "on this machine: x"),
        (
            {"weights": "mine", "find_weights": lambda: (Path("x"), Path("y"))},
            "on this machine: x, y",
        ),
        (
            {"weights": "mine", "find_weights": refuse},
            "unknown whether on this machine (OSError: no such drive); origin: mine",
        ),
    ],
)
def test_weights_of_a_plugin_are_where_it_says(
    add: Callable[..., None], fields: dict[str, Any], told: str
) -> None:
    add("my_net", **fields)
    assert examine()["weights"]["my_net"] == told


def test_released_model_is_there_and_what_it_is() -> None:
    found = examine()["released model"]
    assert Path(found["folder"], "model.safetensors").is_file()
    assert found["classes"] == "earth, jupiter, mars, moon, neptune, saturn, uranus"
    assert found["backbone"] == "efficientnet_lite0, 224 pixels per side"
    assert found["recipe"] == "robust"


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({}, "has no released model"),
        ({"config.json": "{}"}, "model.safetensors missing"),
        ({"config.json": "{", "model.safetensors": ""}, "config.json is not as planetvision"),
        ({"config.json": '{"format_version": 2}', "model.safetensors": ""}, "'classes'"),
    ],
)
def test_released_model_that_is_missing_or_damaged_is_told(
    files: dict[str, str], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(pretrained, "RELEASED_FOLDER", tmp_path)
    assert told in examine()["released model"]["missing or damaged"]


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
def test_performance_options_tell_whether_the_processor_has_bfloat16(
    monkeypatch: pytest.MonkeyPatch, found: dict[str, bool] | None, expected: str
) -> None:
    if found is None:
        monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    else:
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: found, raising=False)
    assert examine()["performance"]["bf16 on the CPU"].startswith(expected)


def test_performance_options_that_are_off_are_shown_as_off(monkeypatch: pytest.MonkeyPatch) -> None:
    assert examine()["performance"]["channels_last"].startswith("on: ")
    monkeypatch.setenv("PLANETVISION_PERFORMANCE", "none")
    options = examine()["performance"]
    assert all(options[name].startswith("off: ") for name in PERFORMANCE_OPTIONS)
