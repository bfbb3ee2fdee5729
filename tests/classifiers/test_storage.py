"""A model on disk: what is written, and what is refused."""

from __future__ import annotations

import copy
import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
import torchvision
from safetensors.torch import load_file, save_file
from torch import nn

from planetvision.classifiers.classifier import PlanetClassifier
from planetvision.classifiers.storage import (
    FORMAT_VERSION,
    SavedModel,
    load_model,
    read_sums,
    save_model,
)
from planetvision.core.errors import ModelFormatError, OutputExistsError, UnknownNameError
from planetvision.core.settings import InputSpec, Recipe
from planetvision.models.backbones.registry import BACKBONES, register_backbone
from planetvision.models.network import create_network


@pytest.fixture
def folder(model_folder: Path, tmp_path: Path) -> Path:
    """A copy of the trained model's folder, to be damaged."""
    return Path(shutil.copytree(model_folder, tmp_path / "model"))


@pytest.fixture
def custom() -> Iterator[str]:
    name = "custom_for_a_test"

    @register_backbone(name, input=InputSpec(image_size=32, mean=(0.5, 0.5, 0.5)))
    def make() -> nn.Module:
        return nn.Sequential(nn.Conv2d(3, 6, 5, stride=4), nn.ReLU(), nn.Conv2d(6, 8, 3))

    yield name
    BACKBONES._entries.pop(name, None)


@pytest.mark.parametrize("backbone", ["tiny", "ensemble:tiny+timm:resnet10t", "custom_for_a_test"])
def test_round_trip_gives_equal_logits_and_settings(
    backbone: str, custom: str, quick_recipe: Recipe, tmp_path: Path
) -> None:
    spec = replace(BACKBONES.get(backbone).input, image_size=48, framing="body")
    network = create_network(
        backbone,
        num_classes=2,
        head="mlp",
        head_options={"hidden_sizes": (9,), "dropout": 0.1},
        weights="none",
        input_spec=spec,
        seed=3,
    ).eval()
    model = SavedModel(
        network=network,
        classes=("venus", "Überraschung"),
        head="mlp",
        head_options={"hidden_sizes": (9,), "dropout": 0.1},
        recipe=quick_recipe,
        settings={"random_state": 3},
        metrics={"val_loss": 0.5},
    )
    loaded = load_model(save_model(model, tmp_path / "model"))
    images = torch.randint(0, 256, (2, 3, 48, 48), dtype=torch.uint8)
    with torch.no_grad():
        assert torch.equal(loaded.network(images), network(images))
    assert loaded.network.input_spec == spec
    assert loaded.network.feature_layers == network.feature_layers
    assert not loaded.network.training
    assert loaded.classes == ("venus", "Überraschung")
    assert loaded.recipe == quick_recipe
    assert loaded.settings == {"random_state": 3}
    assert loaded.metrics == {"val_loss": 0.5}
    assert loaded.versions["torch"] == metadata.version("torch")


class Tied(nn.Module):
    """Two layers with one weight."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 4, stride=4)
        self.first = nn.Conv2d(8, 8, 1)
        self.second = nn.Conv2d(8, 8, 1)
        self.second.weight = self.first.weight

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        features: torch.Tensor = self.second(self.first(self.stem(images)).relu())
        return features


def test_round_trip_of_tied_weights_gives_equal_logits(
    quick_recipe: Recipe, tmp_path: Path
) -> None:
    register_backbone("tied_for_a_test", input=InputSpec(image_size=32))(Tied)
    try:
        network = create_network("tied_for_a_test", num_classes=2, weights="none", seed=3).eval()
        model = SavedModel(
            network=network, classes=(0, 1), head="linear", head_options={}, recipe=quick_recipe
        )
        loaded = load_model(save_model(model, tmp_path / "model"))
    finally:
        BACKBONES.remove("tied_for_a_test")
    assert loaded.network.backbone.second.weight is loaded.network.backbone.first.weight  # type: ignore[union-attr]
    images = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    with torch.no_grad():
        assert torch.equal(loaded.network(images), network(images))


def test_loading_leaves_the_generators_of_the_caller_alone(model_folder: Path) -> None:
    torch.manual_seed(11)
    before = torch.random.get_rng_state()
    load_model(model_folder)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_folder_holds_safetensors_json_and_text_alone(model_folder: Path) -> None:
    assert sorted(path.name for path in model_folder.iterdir()) == [
        "MODEL_CARD.md",
        "SHA256SUMS",
        "config.json",
        "model.safetensors",
        "trust.safetensors",
    ]
    config = json.loads((model_folder / "config.json").read_text())
    assert config["format_version"] == FORMAT_VERSION
    assert config["classes"] == ["blue", "green", "red"]
    assert config["backbone"]["name"] == "tiny"
    assert config["head"] == {"name": "linear", "options": {}}
    assert config["preprocessing"]["image_size"] == 32
    assert config["recipe"]["name"] == "quick"
    assert set(config["versions"]) >= {"planetvision", "python", "torch", "timm"}


def test_loading_asks_no_hub_and_reads_no_pretrained_weights(
    quick_recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "ensemble:timm:resnet10t+torchvision:mobilenet_v3_small"
    network = create_network(name, num_classes=2, weights="none", seed=0)
    model = SavedModel(
        network=network, classes=(0, 1), head="linear", head_options={}, recipe=quick_recipe
    )
    folder = save_model(model, tmp_path / "model")

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a download was tried")

    create_model, get_model = timm.create_model, torchvision.models.get_model
    asked: list[object] = []

    def create(name: str, *, pretrained: bool = False, **options: Any) -> Any:
        asked.append(pretrained)
        return create_model(name, pretrained=pretrained, **options)

    def get(name: str, *, weights: Any = None, **options: Any) -> Any:
        asked.append(weights)
        return get_model(name, weights=weights, **options)

    monkeypatch.setattr(timm, "create_model", create)
    monkeypatch.setattr(torchvision.models, "get_model", get)
    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", refuse)
    monkeypatch.setattr("socket.socket.connect", refuse)
    assert load_model(folder).classes == (0, 1)
    assert asked == [False, None]


def test_save_refuses_a_folder_with_something_in_it(
    trained: PlanetClassifier, tmp_path: Path
) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(OutputExistsError, match="is not empty"):
        trained.save(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["notes.txt"]
    trained.save(tmp_path, overwrite=True)
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert PlanetClassifier.load(tmp_path).classes_.tolist() == ["blue", "green", "red"]


def test_load_from_nowhere_says_what_to_name(tmp_path: Path) -> None:
    with pytest.raises(ModelFormatError, match=r"There is no model folder '.*nowhere'"):
        load_model(tmp_path / "nowhere")


@pytest.mark.parametrize("part", ["config.json", "model.safetensors"])
def test_missing_part_is_named(folder: Path, part: str) -> None:
    (folder / part).unlink()
    with pytest.raises(ModelFormatError, match=f"can be loaded: {part} missing") as caught:
        load_model(folder)
    assert caught.value.path == str(folder)


def test_newer_format_says_to_update(folder: Path, rewrite_config: Any) -> None:
    rewrite_config(folder, format_version=FORMAT_VERSION + 1, versions={"planetvision": "9.9"})
    with pytest.raises(ModelFormatError, match=r"format version 3, written by planetvision 9\.9"):
        load_model(folder)


@pytest.mark.parametrize("text", ["", "{", "[]", '"text"', "{}", "\x00\xff"])
def test_damaged_json_is_refused(folder: Path, text: str) -> None:
    (folder / "config.json").write_text(text, encoding="latin-1")
    with pytest.raises(ModelFormatError, match=r"config\.json is not as planetvision writes it"):
        load_model(folder)


@pytest.mark.parametrize(
    "changes",
    [
        {"classes": None},
        {"classes": 3},
        {"backbone": {}},
        {"backbone": "tiny"},
        {"head": None},
        {"head": {"name": "linear", "options": {"width": 3}}},
        {"preprocessing": {"image_size": 0, "mean": [0, 0, 0], "std": [1, 1, 1]}},
        {"preprocessing": {"colour": "gray", "mean": [0, 0, 0], "std": [1, 1, 1]}},
        {"recipe": {"name": "x", "stages": []}},
        {"recipe": None},
        {"settings": None},
        {"metrics": None},
        {"versions": None},
    ],
    ids=lambda changes: "-".join(f"{key}={value}"[:40] for key, value in changes.items()),
)
def test_json_with_wrong_parts_is_refused(
    folder: Path, changes: dict[str, Any], rewrite_config: Any
) -> None:
    rewrite_config(folder, **changes)
    with pytest.raises(ModelFormatError, match=r"can be loaded: config\.json (lacks|is not)"):
        load_model(folder)


@pytest.mark.parametrize("content", [b"", b"not safetensors at all", None])
def test_damaged_tensors_are_refused(folder: Path, content: bytes | None) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100] if content is None else content)
    with pytest.raises(ModelFormatError, match=r"model\.safetensors cannot be read"):
        load_model(folder)


def test_other_tensors_are_named(folder: Path, rewrite_config: Any) -> None:
    rewrite_config(folder)
    tensors = load_file(folder / "model.safetensors")
    del tensors["head.bias"]
    tensors["head.weight"] = torch.zeros(3, 7)
    tensors["stranger"] = torch.zeros(1)
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(ModelFormatError, match=r"model\.safetensors does not fit") as caught:
        load_model(folder)
    assert "'head.bias' is missing" in str(caught.value)
    assert "'stranger' is unexpected" in str(caught.value)
    assert "'head.weight' has shape (3, 7), expected (3, 128)" in str(caught.value)


@pytest.mark.parametrize(("part", "name"), [("backbone", "gone_backbone"), ("head", "gone_head")])
def test_unregistered_name_says_to_import_what_registers_it(
    folder: Path, part: str, name: str, rewrite_config: Any
) -> None:
    config = json.loads((folder / "config.json").read_text())
    rewrite_config(folder, **{part: {**config[part], "name": name}})
    with pytest.raises(UnknownNameError, match="import or install what registers it") as caught:
        load_model(folder)
    assert f"'{name}'" in str(caught.value)


def test_sums_are_those_of_every_file(model_folder: Path) -> None:
    lines = (model_folder / "SHA256SUMS").read_text().splitlines()
    expected = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in model_folder.iterdir()
        if path.name != "SHA256SUMS"
    }
    assert {line[66:]: line[:64] for line in lines} == expected
    assert {line[64:66] for line in lines} == {"  "}
    assert read_sums(model_folder) == (expected, [])


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="needs sha256sum")
def test_sums_are_read_by_sha256sum(folder: Path) -> None:
    command = ["sha256sum", "--strict", "--check", "SHA256SUMS"]
    assert subprocess.run(command, cwd=folder, capture_output=True, check=False).returncode == 0
    (folder / "config.json").write_text("{}")
    assert subprocess.run(command, cwd=folder, capture_output=True, check=False).returncode == 1


def test_data_go_through_the_disk(
    trained: PlanetClassifier, folder: Path, rewrite_config: Any
) -> None:
    assert trained.data_ is not None
    assert trained.data_["num_images"] == 24
    loaded = PlanetClassifier.load(folder, device="cpu")
    assert loaded.data_ == json.loads(json.dumps(trained.data_))
    rewrite_config(folder, data="24 images")
    with pytest.raises(ModelFormatError, match=r"config\.json is not as planetvision writes it"):
        load_model(folder)


@pytest.fixture
def other(trained: PlanetClassifier) -> SavedModel:
    """Another model of the same shapes, without trust."""
    network = create_network(
        "tiny",
        num_classes=3,
        weights="none",
        input_spec=trained.network_.input_spec,
        seed=9,
    ).eval()
    return SavedModel(
        network=network,
        classes=("x", "y", "z"),
        head="linear",
        head_options={},
        recipe=trained.recipe_,
    )


def test_saving_over_another_model_leaves_nothing_of_it(folder: Path, other: SavedModel) -> None:
    save_model(other, folder, overwrite=True)
    assert sorted(read_sums(folder)[0]) == ["MODEL_CARD.md", "config.json", "model.safetensors"]
    assert sorted(path.name for path in folder.iterdir()) == [
        "MODEL_CARD.md",
        "SHA256SUMS",
        "config.json",
        "model.safetensors",
    ]
    card = (folder / "MODEL_CARD.md").read_text()
    assert "blue" not in card
    assert "x, y, z" in card


class Killed(BaseException):
    """What ends a process at once."""


@pytest.mark.parametrize("over_another", [False, True])
def test_saving_that_is_killed_leaves_a_model_or_a_refusal(
    model_folder: Path,
    trained: PlanetClassifier,
    other: SavedModel,
    over_another: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    replace_file = Path.replace
    images = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    outcomes = []
    for survived in range(5):
        folder = Path(shutil.copytree(model_folder, tmp_path / str(survived)))
        if over_another:
            save_model(other, folder, overwrite=True)
        left = [survived]

        def replace_some(self: Path, target: Path, left: list[int] = left) -> Path:
            if not left[0]:
                raise Killed
            left[0] -= 1
            return replace_file(self, target)

        with monkeypatch.context() as patched:
            patched.setattr(Path, "replace", replace_some)
            with pytest.raises(Killed):
                trained.save(folder, overwrite=True)
        assert not (folder / "SHA256SUMS").exists()
        try:
            loaded = load_model(folder)
        except ModelFormatError as error:
            is_told = "belong to two models, as if saving was interrupted" in str(error)
            outcomes.append("refused" if is_told else str(error))
        else:
            is_new = loaded.classes == ("blue", "green", "red")
            source = trained.network_ if is_new else other.network
            with torch.no_grad():
                assert torch.equal(loaded.network(images), source(images))
            outcomes.append("new" if is_new else "old")
    # Weights, trust, config, card and sums are written in this order.
    expected = ["old", "refused", "refused", "new", "new"] if over_another else ["new"] * 5
    assert outcomes == expected


def test_weights_that_were_written_again_by_hand_are_loaded(folder: Path) -> None:
    save_file(load_file(folder / "model.safetensors"), folder / "model.safetensors")
    assert load_model(folder).classes == ("blue", "green", "red")


@pytest.mark.skipif(os.name != "posix", reason="links need rights elsewhere")
def test_saving_follows_no_link_that_stands_for_a_file(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.md").write_text("mine")
    (folder / "MODEL_CARD.md").unlink()
    (folder / "MODEL_CARD.md").symlink_to(tmp_path / "mine.md")
    PlanetClassifier.load(folder, device="cpu").save(folder, overwrite=True)
    assert (tmp_path / "mine.md").read_text() == "mine"


def test_trust_of_empty_and_of_spread_arrays_is_saved_and_read(
    trained: PlanetClassifier, tmp_path: Path
) -> None:
    assert trained.calibrator_ is not None
    state: dict[str, Any] = {
        "none": np.zeros(0),
        "no_axes": np.zeros((0, 4), np.float32),
        "spread": np.broadcast_to(np.zeros(1), (1,)),
    }
    model = copy.copy(trained)
    model.calibrator_ = replace(trained.calibrator_, state=state)
    loaded = PlanetClassifier.load(model.save(tmp_path / "model"), device="cpu").calibrator_
    assert loaded is not None
    assert {name: values.shape for name, values in loaded.state.items()} == {
        name: values.shape for name, values in state.items()
    }
