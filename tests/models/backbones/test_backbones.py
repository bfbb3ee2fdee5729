"""What every backbone must do, whoever made it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
import torch
from torch import nn

from planetvision.classifiers.storage import SavedModel, load_model, save_model
from planetvision.core.errors import SettingsError, UnknownNameError
from planetvision.core.settings import InputSpec, Recipe
from planetvision.explain.gradcam import compute_gradcam
from planetvision.models.backbones.registry import BACKBONES, list_backbones, register_backbone
from planetvision.models.backbones.shapes import to_feature_map
from planetvision.models.backbones.spec import BackboneSpec
from planetvision.models.network import PlanetNet, create_network

NAMES = [
    *BACKBONES.names(),
    "timm:resnet18",
    "timm:swin_tiny_patch4_window7_224",
    "timm:vit_tiny_patch16_224",
    "torchvision:mobilenet_v3_small",
    "ensemble:tiny+timm:resnet18",
]
SIZE = 64


def build(name: str, seed: int = 0) -> PlanetNet:
    spec = replace(BACKBONES.get(name).input, image_size=SIZE)
    return create_network(name, num_classes=3, weights="none", input_spec=spec, seed=seed).eval()


@pytest.fixture(scope="module", params=NAMES)
def network(request: pytest.FixtureRequest) -> PlanetNet:
    return build(request.param)


@pytest.fixture
def images() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (2, 3, SIZE, SIZE), dtype=torch.uint8, generator=generator)


def test_features_have_the_declared_size_and_depend_on_the_image(
    network: PlanetNet, images: torch.Tensor
) -> None:
    with torch.no_grad():
        features = network.forward_features(images)
    assert features.shape == (2, cast(nn.Linear, network.head).in_features)
    assert network.spec.feature_size in (None, features.shape[1])
    assert features.isfinite().all()
    assert not torch.equal(features[0], features[1])


def test_backward_reaches_the_first_block(network: PlanetNet, images: torch.Tensor) -> None:
    network.train()
    try:
        network(images)[:, 0].sum().backward()
        first = [weight for part in network.blocks[0] for weight in part.parameters()]
        assert max(float(weight.grad.abs().max()) for weight in first if weight.grad is not None)
    finally:
        network.zero_grad(set_to_none=True)
        network.eval()


def test_blocks_hold_each_parameter_of_the_layers_once(network: PlanetNet) -> None:
    held = [
        id(weight) for block in network.blocks for part in block for weight in part.parameters()
    ]
    # Tokens and position embeddings are parameters of the backbone itself, not of a layer.
    layers = {id(weight) for name, weight in network.backbone.named_parameters() if "." in name}
    assert len(held) == len(set(held))
    assert set(held) == layers
    assert len(network.blocks) >= 4


def test_last_block_is_the_last_to_run(network: PlanetNet, images: torch.Tensor) -> None:
    order: list[int] = []
    handles = [
        part.register_forward_hook(lambda *_, index=index: order.append(index))
        for index, block in enumerate(network.blocks)
        for part in block
    ]
    with torch.no_grad():
        network(images)
    for handle in handles:
        handle.remove()
    ensemble = network.spec.name.startswith("ensemble:")  # its members run one after the other
    assert ensemble or order == sorted(order)
    assert order[-1] == len(network.blocks) - 1


def test_feature_layers_give_square_maps_that_grad_cam_can_use(
    network: PlanetNet, images: torch.Tensor
) -> None:
    outputs = []
    assert network.feature_layers
    for name in network.feature_layers:
        layer = network.backbone.get_submodule(name)
        handle = layer.register_forward_hook(lambda _m, _i, output: outputs.append(output))
        with torch.no_grad():
            network(images)
        handle.remove()
        found = to_feature_map(outputs[-1], network.spec.feature_layout)
        assert found is not None
        # The image's side, divided by a power of two or by the patch.
        assert found.shape[2] == found.shape[3] > 1
        assert found.shape[1] > found.shape[2]
    cams = compute_gradcam(network, images, torch.tensor([0, 1]))
    assert cams.shape[1] == cams.shape[2] > 1
    assert cams.isfinite().all()
    assert cams.min() >= 0


@pytest.mark.slow
def test_one_seed_builds_equal_weights_and_another_does_not(network: PlanetNet) -> None:
    again, other = build(network.spec.name), build(network.spec.name, seed=1)
    pairs = list(zip(network.parameters(), again.parameters(), strict=True))
    assert all(torch.equal(left, right) for left, right in pairs)
    assert not torch.equal(next(network.parameters()), next(other.parameters()))


@pytest.mark.slow
def test_saved_and_loaded_gives_equal_logits(
    network: PlanetNet, images: torch.Tensor, quick_recipe: Recipe, tmp_path: Path
) -> None:
    model = SavedModel(
        network=network,
        classes=("a", "b", "c"),
        head="linear",
        head_options={},
        recipe=quick_recipe,
    )
    loaded = load_model(save_model(model, tmp_path / "model")).network
    with torch.no_grad():
        assert torch.equal(loaded(images), network(images))


def test_list_backbones_names_the_built_in_ones() -> None:
    assert {"efficientnet_b3", "efficientnet_lite0", "resnet50", "tiny"} <= set(list_backbones())


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [
        ("efficientnet_lite", "efficientnet_lite0"),
        ("resnet5", "resnet50"),
        ("timm:resnet188", "resnet18"),
        ("timm:resnet50.a9_in1k", "resnet50.a3_in1k"),
        ("torchvision:mobilenet_v3_smal", "mobilenet_v3_small"),
        ("ensemble:tiny+resnet5", "resnet50"),
    ],
)
def test_get_with_misspelt_name_suggests_nearest(name: str, suggestion: str) -> None:
    with pytest.raises(UnknownNameError, match=f"Did you mean .*'{suggestion}'") as caught:
        BACKBONES.get(name)
    assert suggestion in caught.value.suggestions
    assert caught.value.family == "backbones"


@pytest.mark.parametrize("name", ["ensemble:tiny", "ensemble:", "ensemble:tiny+"])
def test_ensemble_of_less_than_two_is_refused(name: str) -> None:
    with pytest.raises(SettingsError, match=r"needs at least two backbones joined by '\+'"):
        BACKBONES.get(name)


def test_ensemble_joins_what_each_member_says_of_its_own_input() -> None:
    tiny = create_network("tiny", num_classes=2, weights="none", seed=0).eval()
    resnet = create_network("timm:resnet18", num_classes=2, weights="none", seed=1).eval()
    both = create_network("ensemble:tiny+timm:resnet18", num_classes=2, weights="none").eval()
    members = cast(nn.ModuleList, both.backbone.members)
    members[0].load_state_dict(tiny.backbone.state_dict())
    members[1].load_state_dict(resnet.backbone.state_dict())
    assert (tiny.input_spec.image_size, resnet.input_spec.image_size) == (96, 224)
    assert both.input_spec.image_size == 224
    images = torch.rand(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    small = nn.functional.interpolate(images, size=(96, 96), mode="bilinear", antialias=True)
    with torch.no_grad():
        joined = both.forward_features(images)
        expected = torch.cat([tiny.forward_features(small), resnet.forward_features(images)], dim=1)
    torch.testing.assert_close(joined, expected)
    assert joined.shape == (2, 128 + 512)


@pytest.fixture
def spare_name() -> Iterator[str]:
    yield "spare_for_a_test"
    BACKBONES._entries.pop("spare_for_a_test", None)


def test_register_backbone_finds_out_what_is_left_open(spare_name: str) -> None:
    @register_backbone(spare_name, input=InputSpec(image_size=32))
    def make(pretrained: bool = True) -> nn.Module:
        """A plain net.

        More.
        """
        del pretrained
        return nn.Sequential(nn.Conv2d(3, 5, 3), nn.ReLU(), nn.Conv2d(5, 7, 3))

    spec = BACKBONES.get(spare_name)
    assert (spec.summary, spec.weights) == ("A plain net.", "the builder")
    network = create_network(spare_name, num_classes=2, weights="none")
    assert cast(nn.Linear, network.head).in_features == 7
    assert network.feature_layers == ("2",)
    assert len(network.blocks) == 2


def test_create_passes_only_the_arguments_that_the_builder_takes() -> None:
    seen = []

    def sized(image_size: int) -> nn.Module:
        seen.append(image_size)
        return nn.Flatten()

    assert isinstance(
        BackboneSpec(name="bare", build=lambda: nn.Flatten(), summary="").create(
            pretrained=True, image_size=8
        ),
        nn.Flatten,
    )
    BackboneSpec(name="sized", build=sized, summary="").create(pretrained=True, image_size=8)
    assert seen == [8]
