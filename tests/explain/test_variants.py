"""One class against another, and layers that are chosen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from planetvision.core.errors import ExplanationError, SettingsError
from planetvision.data import Catalog
from planetvision.explain import EXPLAINERS
from planetvision.explain.activations import average_maps
from planetvision.explain.explainer import MapSettings, explain_catalog
from planetvision.explain.gradcam import compute_gradcam
from planetvision.explain.variants import contrast_classes, look_at_layers
from planetvision.models.backbones.layers import find_feature_layers, list_feature_layers
from planetvision.models.backbones.registry import BACKBONES
from planetvision.models.network import PlanetNet, create_network
from planetvision.results import Explanations

CPU = torch.device("cpu")
BODIES = ("earth", "mars", "moon")
CLASS_METHODS = [spec.name for spec in EXPLAINERS.added() if spec.uses_target]


@pytest.fixture
def network() -> PlanetNet:
    spec = replace(BACKBONES.get("tiny").input, image_size=64)
    created = create_network("tiny", num_classes=3, weights="none", input_spec=spec, seed=0)
    return created.eval()


@pytest.fixture
def pictures() -> list[np.ndarray[Any, Any]]:
    """Noise, each of its own."""
    generator = np.random.default_rng(0)
    return [generator.integers(0, 256, (64, 64, 3), dtype=np.uint8) for _ in range(4)]


@pytest.fixture
def images(pictures: list[np.ndarray[Any, Any]]) -> torch.Tensor:
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2)


def explain(network: PlanetNet, sources: Sequence[Any], **options: Any) -> Explanations:
    names = [item.name for item in fields(MapSettings) if item.name in options]
    settings = MapSettings(**{name: options.pop(name) for name in names})
    catalog = Catalog(sources=tuple(sources))
    return explain_catalog(network, catalog, settings, classes=BODIES, device=CPU, **options)


# against


def test_contrast_has_the_difference_of_the_logits_and_zero(
    network: PlanetNet, images: torch.Tensor
) -> None:
    with torch.no_grad():
        logits = network(images)
        pair = contrast_classes(network, 2, 0)(images)
    torch.testing.assert_close(pair[:, 0], logits[:, 2] - logits[:, 0])
    assert not pair[:, 1].any()
    probabilities = logits.softmax(dim=1)
    share = probabilities[:, 2] / (probabilities[:, 2] + probabilities[:, 0])
    torch.testing.assert_close(pair.softmax(dim=1)[:, 0], share)


def test_gradcam_against_is_that_of_the_difference_of_the_weights(
    network: PlanetNet, images: torch.Tensor
) -> None:
    first = torch.zeros(4, dtype=torch.int64)
    found = compute_gradcam(contrast_classes(network, 2, 0), images, first)
    expected = PlanetNet(
        network.backbone, nn.Linear(128, 1), input_spec=network.input_spec, spec=network.spec
    ).eval()
    weight = network.head.get_parameter("weight").data
    expected.head.weight.data = weight[2:] - weight[:1]
    torch.testing.assert_close(found, compute_gradcam(expected, images, first))
    assert found.max() > 0


@pytest.mark.parametrize("method", CLASS_METHODS)
def test_map_against_another_class_is_another_map(
    method: str, network: PlanetNet, pictures: list[np.ndarray[Any, Any]]
) -> None:
    network.head.get_parameter("weight").data *= 20  # what random weights say is little
    options: dict[str, Any] = {"method": method, "target": "mars"}
    alone, earth, moon = (
        explain(network, pictures[:2], against=against, **options)
        for against in (None, "earth", "moon")
    )
    assert [item.against for item in (alone[0], earth[0], moon[0])] == [None, "earth", "moon"]
    assert [item.target for item in (alone[0], earth[0], moon[0])] == ["mars"] * 3
    assert [item.label for item in earth] == [item.label for item in alone]
    assert alone[0].layers == earth[0].layers
    for left, right in ((alone, earth), (alone, moon), (earth, moon)):
        assert not np.allclose(left[0].heatmap, right[0].heatmap, atol=1e-3)


def test_occlusion_against_lies_on_the_square_that_decides(bright_network: PlanetNet) -> None:
    square = np.zeros((32, 32, 3), dtype=np.uint8)
    square[8:16, 20:28] = 255
    (item,) = explain_catalog(
        bright_network,
        Catalog(sources=(square,)),
        MapSettings(method="occlusion", against="dark"),
        classes=("dark", "bright"),
        device=CPU,
    )
    assert (item.target, item.against) == ("bright", "dark")
    assert item.heatmap[2:4, 5:7].max() == pytest.approx(1)
    assert item.heatmap[5:].max() == 0


def test_own_answer_is_explained_against_the_second_most_probable(
    network: PlanetNet, pictures: list[np.ndarray[Any, Any]], images: torch.Tensor
) -> None:
    logits = torch.tensor([[9.0, 1, 2], [1, 9, 2], [3, 1, 9], [1, 3, 9]])
    with torch.no_grad():
        features = network.forward_features(images)
        weight = (torch.linalg.pinv(features.double()) @ logits.double()).float()
        network.head.get_parameter("weight").data = weight.T.contiguous()
        network.head.get_parameter("bias").data.zero_()
        torch.testing.assert_close(network(images), logits, rtol=0.01, atol=0.01)
    items = explain(network, pictures, against="moon")
    assert [item.target for item in items] == ["earth", "mars", "moon", "moon"]
    assert [item.against for item in items] == ["moon", "moon", "earth", "mars"]
    for picture, item in zip(pictures, items, strict=True):
        (alone,) = explain(network, [picture], target=item.target, against=item.against)
        np.testing.assert_allclose(item.heatmap, alone.heatmap, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"against": "venus"}, r"`against` must be one of .* \(earth, mars, moon\), got 'venus'"),
        ({"target": "mars", "against": "mars"}, "`against` must be another class than `target`"),
        (
            {"method": "eigencam", "target": "mars"},
            r"'eigencam' is the same for every class, got `target` 'mars'\. Leave .* gradcam",
        ),
        ({"method": "attention_rollout", "against": "mars"}, "the same for every class"),
        (
            {"method": "occlusion", "layers": ["blocks.1"]},
            r"'occlusion' uses no layers, got `layers` \['blocks.1'\]\. Leave .* layercam",
        ),
        ({"layers": "blocks.1"}, "`layers` must be a list with one name or more, got 'blocks.1'"),
        ({"layers": []}, "`layers` must be a list with one name or more"),
        ({"layers": "blocks.1", "target": "x", "against": "y"}, "3 settings are wrong:"),
    ],
)
def test_wrong_settings_are_named(
    options: dict[str, Any], message: str, network: PlanetNet
) -> None:
    with pytest.raises(SettingsError, match=message):
        explain(network, [np.zeros((64, 64, 3), dtype=np.uint8)], **options)


def test_method_without_classes_explains_no_one_class(
    network: PlanetNet, pictures: list[np.ndarray[Any, Any]]
) -> None:
    (item,) = explain(network, pictures[:1], method="eigencam")
    assert item.label in BODIES
    assert (item.target, item.against, item.subject) == (None, None, "no one class")
    assert item.layers == ("blocks",)


# layers


def test_named_layers_are_looked_at(
    network: PlanetNet, pictures: list[np.ndarray[Any, Any]]
) -> None:
    (coarse,) = explain(network, pictures[:1], target="mars", method="layercam")
    (fine,) = explain(network, pictures[:1], target="mars", method="layercam", layers=["blocks.1"])
    assert (coarse.layers, coarse.heatmap.shape) == (("blocks",), (4, 4))
    assert (fine.layers, fine.heatmap.shape) == (("blocks.1",), (16, 16))
    (against,) = explain(
        network, pictures[:1], target="mars", against="moon", method="layercam", layers=["blocks.1"]
    )
    assert (against.layers, against.heatmap.shape) == (("blocks.1",), (16, 16))
    assert network.feature_layers == ("blocks",)


@pytest.mark.parametrize("pair", [("blocks.1", "blocks.3"), ("blocks", "blocks.3.2")])
@pytest.mark.parametrize("method", ["gradcam", "eigencam", "scorecam"])
def test_layers_behind_each_other_give_the_mean_of_their_maps(
    method: str, pair: tuple[str, str], network: PlanetNet, images: torch.Tensor
) -> None:
    explainer = EXPLAINERS.get(method).build
    images, target = images[:1], torch.tensor([1])
    found = explainer(look_at_layers(network, pair), images, target)
    single = [explainer(look_at_layers(network, (name,)), images, target) for name in pair]
    expected = sum(
        nn.functional.interpolate(
            (one / one.max())[:, None], size=found.shape[-2:], mode="bilinear"
        )[:, 0]
        for one in single
    )
    torch.testing.assert_close(found, expected / 2)
    assert found.max() > 0


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (["blocks.9"], r"no layer 'blocks\.9'\. Correct `layers`"),
        (["blocks.1", "stem"], r"no layer 'stem'"),
    ],
)
@pytest.mark.parametrize("method", ["gradcam", "eigencam", "scorecam"])
def test_layer_that_does_not_exist_names_some_that_do(
    method: str, layers: list[str], message: str, network: PlanetNet
) -> None:
    with pytest.raises(ExplanationError, match=message) as caught:
        explain(network, [np.zeros((64, 64, 3), dtype=np.uint8)], method=method, layers=layers)
    named = str(caught.value).split("layers with a map: ")[1].rstrip(".").split(", ")
    assert named == list(list_feature_layers(network.backbone, 64))[-8:]
    assert not any(part._forward_hooks for part in network.modules())


class Pooling(nn.Module):
    """Has layers of many kinds: without space, not called, with two outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 2, 4, stride=4)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.left_out = nn.Conv2d(3, 2, 4, stride=4)
        self.split = Split()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        left, right = self.split(self.convolution(images))
        flat: torch.Tensor = self.flatten(self.pool(torch.cat([left, right], dim=1)))
        return flat


class Split(nn.Module):
    def forward(self, features: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return features.split(1, dim=1)  # type: ignore[no-untyped-call,no-any-return]


@pytest.mark.parametrize("method", ["gradcam", "scorecam"])
@pytest.mark.parametrize("layer", ["pool", "flatten", "left_out", "split"])
def test_layer_without_a_map_says_so(layer: str, method: str, wrap: Any) -> None:
    network = wrap(Pooling(), features=2)
    assert network.feature_layers == ("convolution",)
    image = torch.zeros(1, 3, 32, 32, dtype=torch.uint8)
    shown = look_at_layers(network, (layer,))
    message = rf"The layer '{layer}' .* yields no map: .* layers with a map: convolution\."
    with pytest.raises(ExplanationError, match=message):
        EXPLAINERS.get(method).build(shown, image, torch.tensor([0]))


def test_feature_layers_are_listed_in_the_order_they_finish(network: PlanetNet) -> None:
    listed = list_feature_layers(network.backbone, 64)
    parts = (".0", ".1", ".2", "")
    names = [f"blocks.{block}{part}" for block in range(4) for part in parts]
    assert listed == (*names, "blocks")
    assert find_feature_layers(network.backbone, 64) == ("blocks",)
    # At 16 pixels the last block has one place, and a map needs more.
    assert list_feature_layers(network.backbone, 16)[-1] == "blocks.2"


def test_feature_layers_of_tokens_are_the_first_norms() -> None:
    spec = replace(BACKBONES.get("timm:vit_tiny_patch16_224").input, image_size=64)
    network = create_network(
        "timm:vit_tiny_patch16_224", num_classes=2, weights="none", input_spec=spec
    )
    listed = list_feature_layers(network.backbone, 64)
    assert listed == ("patch_embed.proj", *(f"blocks.{block}.norm1" for block in range(12)))


def test_layer_that_is_used_twice_is_listed_where_it_finishes_last() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.activation = nn.ReLU()
            self.convolution = nn.Conv2d(3, 3, 3, padding=1)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            found: torch.Tensor = self.activation(self.convolution(self.activation(images)))
            return found

    assert list_feature_layers(Twice(), 8) == ("convolution", "activation")


def test_average_of_maps_counts_them_by_their_weights_and_each_from_0_to_1() -> None:
    maps = [torch.tensor([[[2.0, 0.0]]]), torch.tensor([[[0.0, 8.0]]])]
    assert average_maps(maps).tolist() == [[[0.5, 0.5]]]
    assert average_maps(maps, [0.75, 0.25]).tolist() == [[[0.75, 0.25]]]
