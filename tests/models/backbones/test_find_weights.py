"""Every backbone knows where its pretrained weights are: where its builder takes them from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import timm
import torch
from huggingface_hub import constants
from safetensors.torch import save_file
from torch import nn
from torchvision import models

from planetvision.models.backbones import timm_models
from planetvision.models.backbones.registry import BACKBONES, register_backbone
from planetvision.models.backbones.spec import BackboneSpec
from planetvision.workflows.doctor import examine

SNAPSHOT = Path("snapshots", "c0ffee")
LITE0 = "tf_efficientnet_lite0"


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without a network and without any weights."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "torch"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(timm_models, "find_lite0_weights", lambda: None)
    monkeypatch.setattr(timm_models, "RELEASED_FOLDER", tmp_path / "released")
    (tmp_path / "torch" / "checkpoints").mkdir(parents=True)
    return tmp_path


def plant_checkpoint(model: nn.Module, file: str, machine: Path) -> tuple[Path, nn.Module]:
    path = machine / "torch" / "checkpoints" / file
    torch.save(model.state_dict(), path)
    return path, model


def plant_mobilenet(machine: Path) -> tuple[Path, nn.Module]:
    model = models.mobilenet_v3_small(weights=None)
    return plant_checkpoint(model, "mobilenet_v3_small-047dcff4.pth", machine)


def plant_timm(name: str, repository: str, file: str, machine: Path) -> tuple[Path, nn.Module]:
    model = timm.create_model(name, pretrained=False)
    root = machine / "hub" / f"models--{repository.replace('/', '--')}"
    (root / "refs").mkdir(parents=True)
    (root / "refs" / "main").write_text(SNAPSHOT.name)
    path = root / SNAPSHOT / file
    path.parent.mkdir(parents=True)
    if path.suffix == ".bin":
        torch.save(model.state_dict(), path)
    else:
        save_file(model.state_dict(), path)
    return path, model


def plant_released(machine: Path) -> tuple[Path, nn.Module]:
    model = timm.create_model(LITE0, pretrained=False, num_classes=0)
    path = machine / "released" / "model.safetensors"
    path.parent.mkdir()
    save_file({f"backbone.{name}": value for name, value in model.state_dict().items()}, path)
    return path, model


Plant = Callable[[Path], tuple[Path, nn.Module]]
PLANTS: dict[str, Plant] = {
    "efficientnet_b3": lambda machine: plant_checkpoint(
        models.efficientnet_b3(weights=None), "efficientnet_b3_rwightman-b3899882.pth", machine
    ),
    "resnet50": lambda machine: plant_checkpoint(
        models.resnet50(weights=None), "resnet50-11ad3fa6.pth", machine
    ),
    "efficientnet_lite0": lambda machine: plant_timm(
        LITE0, "timm/tf_efficientnet_lite0.in1k", "model.safetensors", machine
    ),
    "released": plant_released,
    "torchvision:mobilenet_v3_small": plant_mobilenet,
    "timm:mobilenetv3_small_050": lambda machine: plant_timm(
        "mobilenetv3_small_050",
        "timm/mobilenetv3_small_050.lamb_in1k",
        "model.safetensors",
        machine,
    ),
    "timm:mobilenetv3_small_050.lamb_in1k": lambda machine: plant_timm(
        "mobilenetv3_small_050",
        "timm/mobilenetv3_small_050.lamb_in1k",
        "pytorch_model.bin",
        machine,
    ),
    # timm has an address of its own for these, and no hub.
    "timm:legacy_seresnet18": lambda machine: plant_checkpoint(
        timm.create_model("legacy_seresnet18", pretrained=False),
        "seresnet18-4bb0ce65.pth",
        machine,
    ),
}
WEIGHTED = [name for name in BACKBONES.names() if BACKBONES.get(name).weights]


@pytest.mark.parametrize("name", [*WEIGHTED, *(name for name in PLANTS if ":" in name)])
def test_weights_are_found_where_the_builder_takes_them_from(
    name: str, machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = BACKBONES.get(name)
    monkeypatch.setitem(BACKBONES._entries, name, spec)  # those of a prefix too, for the doctor
    assert spec.find_weights is not None
    assert spec.find_weights() is None
    told = examine()["weights"][name]
    assert told == f"not on this machine; origin: {spec.weights}"
    path, model = PLANTS[name](machine)
    assert spec.find_weights() == path
    assert examine()["weights"][name] == f"on this machine: {path}"
    # Without a network, so from there.
    found = spec.create(pretrained=True, image_size=spec.input.image_size).state_dict()
    expected = model.state_dict()
    assert found
    assert all(torch.equal(value, expected[name]) for name, value in found.items())


def test_weights_of_the_package_go_before_those_of_the_hub(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    PLANTS["efficientnet_lite0"](machine)
    monkeypatch.setattr(timm_models, "find_lite0_weights", lambda: machine / "package.pth")
    find = BACKBONES.get("efficientnet_lite0").find_weights
    assert find is not None
    assert find() == machine / "package.pth"


@pytest.mark.parametrize("file", ["resnet50-0676ba61.pth", "resnet50_own.pth", "resnet50.pth"])
def test_file_of_other_weights_is_not_taken_for_those(file: str, machine: Path) -> None:
    (machine / "torch" / "checkpoints" / file).touch()
    find = BACKBONES.get("resnet50").find_weights
    assert find is not None
    assert find() is None


def test_weights_of_an_ensemble_are_those_of_every_member_that_has_some(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "ensemble:released+tiny+torchvision:mobilenet_v3_small"
    spec = BACKBONES.get(name)
    monkeypatch.setitem(BACKBONES._entries, name, spec)
    assert spec.find_weights is not None
    first, _ = plant_released(machine)
    assert spec.find_weights() is None
    second, _ = plant_mobilenet(machine)
    assert spec.find_weights() == (first, second)
    assert examine()["weights"][name] == f"on this machine: {first}, {second}"


def test_weights_of_an_ensemble_with_a_member_that_cannot_tell_are_unknown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    own = BackboneSpec(name="own", build=nn.Identity, summary="", weights="somewhere")
    monkeypatch.setitem(BACKBONES._entries, "own", own)
    assert BACKBONES.get("ensemble:own+released").find_weights is None
    assert BACKBONES.get("ensemble:tiny+released").find_weights is not None


def test_registered_backbone_has_its_finder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BACKBONES, "_entries", dict(BACKBONES._entries))

    @register_backbone("my_net", weights="mine", find_weights=lambda: Path("mine.pth"))
    def build() -> nn.Module:
        """A net."""
        return nn.Flatten()

    find = BACKBONES.get("my_net").find_weights
    assert find is not None
    assert find() == Path("mine.pth")
