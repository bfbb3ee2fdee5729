"""Explanations: Grad-CAM against a plain reference, and no trace left behind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import nn

from planetvision.core.errors import ExplanationError, SettingsError, UnknownNameError
from planetvision.data import Catalog
from planetvision.explain import EXPLAINERS, list_explainers, register_explainer
from planetvision.explain.explainer import MapSettings, explain_catalog
from planetvision.explain.gradcam import compute_gradcam
from planetvision.explain.occlusion import compute_occlusion
from planetvision.models.backbones.registry import BACKBONES
from planetvision.models.network import PlanetNet, create_network
from planetvision.results import Explanations

CPU = torch.device("cpu")
CLASSES = ("dark", "bright")
# All but the one that needs a transformer, which test_explainers.py has.
METHODS = [name for name in list_explainers() if name != "attention_rollout"]


def build(name: str, size: int = 64) -> PlanetNet:
    spec = replace(BACKBONES.get(name).input, image_size=size)
    return create_network(name, num_classes=3, weights="none", input_spec=spec, seed=0).eval()


@pytest.fixture
def images() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (3, 3, 64, 64), dtype=torch.uint8, generator=generator)


def plain_gradcam(network: PlanetNet, images: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Equations 1 and 2 of the paper, an image at a time, with a full backward pass."""
    maps = []
    for image, target in zip(images, targets.tolist(), strict=True):
        kept: list[torch.Tensor] = []
        layer = network.backbone.get_submodule(network.feature_layers[0])
        handle = layer.register_forward_hook(lambda _m, _i, output, kept=kept: kept.append(output))
        pixels = network.normalize(image[None]).requires_grad_(True)
        features = network.backbone(pixels)
        handle.remove()
        kept[0].retain_grad()
        pooled = features.mean(dim=(2, 3)) if features.ndim == 4 else features
        network.head(pooled)[0, target].backward()
        gradient = kept[0].grad
        assert gradient is not None
        total = torch.zeros(kept[0].shape[-2:])
        for channel in range(kept[0].shape[1]):
            alpha = gradient[0, channel].mean()
            total = total + alpha * kept[0][0, channel].detach()
        maps.append(torch.relu(total))
        network.zero_grad(set_to_none=True)
    return torch.stack(maps)


@pytest.mark.parametrize("name", ["tiny", "timm:resnet10t"])
def test_gradcam_is_that_of_the_paper(name: str, images: torch.Tensor) -> None:
    network, targets = build(name), torch.tensor([0, 2, 1])
    found = compute_gradcam(network, images, targets)
    expected = plain_gradcam(network, images, targets)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-9)
    assert expected.max() > 0
    others = compute_gradcam(network, images, torch.tensor([1, 0, 2]))
    assert not torch.allclose(found, others)


@pytest.mark.parametrize("blocks", [0, 2])
def test_gradcam_of_a_frozen_network_is_that_of_the_free_one(
    blocks: int, images: torch.Tensor
) -> None:
    network, targets = build("tiny"), torch.tensor([0, 1, 2])
    expected = compute_gradcam(network, images, targets)
    network.set_trainable(blocks)
    network.requires_grad_(False)
    with torch.no_grad():
        assert torch.equal(compute_gradcam(network, images, targets), expected)


@pytest.mark.parametrize("method", METHODS)
def test_explaining_leaves_modes_gradients_and_hooks_as_they_were(
    method: str, disc_paths: list[str]
) -> None:
    network = build("tiny", size=32)
    network.set_trainable(1)
    network.train()
    weight = network.head.get_parameter("weight")
    marker = torch.full_like(weight, 7.0)
    weight.grad = marker.clone()

    def state() -> list[Any]:
        return [
            [part.training for part in network.modules()],
            [weight.requires_grad for weight in network.parameters()],
            [weight.grad is None for weight in network.parameters()],
            [len(part._forward_hooks) for part in network.modules()],
            [value.clone() for value in network.state_dict().values()],
        ]

    before = state()
    explain_catalog(
        network,
        Catalog(sources=tuple(disc_paths[:2])),
        MapSettings(method=method),
        classes=("a", "b", "c"),
        device=CPU,
    )
    after = state()
    assert after[:4] == before[:4]
    assert all(torch.equal(old, new) for old, new in zip(before[4], after[4], strict=True))
    assert weight.grad is not None
    assert torch.equal(weight.grad, marker)


@pytest.mark.parametrize("method", METHODS)
def test_explaining_leaves_a_mixture_of_modes_as_it_was(
    method: str, bright_network: PlanetNet
) -> None:
    bright_network.eval()
    bright_network.head.train()
    bright_network.backbone.get_submodule("1").train()
    before = {name: part.training for name, part in bright_network.named_modules()}
    assert set(before.values()) == {True, False}
    explain(bright_network, [square_image()], method=method)
    assert {name: part.training for name, part in bright_network.named_modules()} == before


def test_gradcam_that_fails_removes_its_hooks(images: torch.Tensor) -> None:
    network = build("tiny")
    with pytest.raises(RuntimeError):
        compute_gradcam(network, images, torch.tensor([0, 1, 99]))
    assert not any(part._forward_hooks for part in network.modules())


@pytest.mark.parametrize("recording", [True, False])
def test_gradcam_records_nothing_before_its_layer(images: torch.Tensor, recording: bool) -> None:
    network = build("tiny")
    assert network.feature_layers, "they are found by a pass of their own"
    recorded: list[bool] = []
    stem = next(iter(network.backbone.children()))
    handle = stem.register_forward_hook(lambda *call: recorded.append(call[2].requires_grad))
    with torch.set_grad_enabled(recording):
        compute_gradcam(network, images, torch.zeros(len(images), dtype=torch.int64))
        assert torch.is_grad_enabled() == recording
    handle.remove()
    assert recorded == [False]


def test_layer_of_the_spec_is_used_instead_of_the_found_one(images: torch.Tensor) -> None:
    found = build("tiny")
    named = PlanetNet(
        found.backbone,
        found.head,
        input_spec=found.input_spec,
        spec=replace(found.spec, feature_layers=("blocks.1",)),
    )
    assert found.feature_layers == ("blocks",)
    targets = torch.tensor([0, 1, 2])
    assert compute_gradcam(found, images, targets).shape == (3, 4, 4)
    finer = compute_gradcam(named, images, targets)
    assert finer.shape == (3, 16, 16)
    torch.testing.assert_close(finer, plain_gradcam(named, images, targets), rtol=1e-4, atol=1e-9)


def square_image() -> npt.NDArray[np.uint8]:
    """Black, with a white square in rows 8 to 15 and columns 20 to 27."""
    image = np.zeros((32, 32, 3), dtype=np.uint8)
    image[8:16, 20:28] = 255
    return image


def explain(network: PlanetNet, sources: list[Any], **options: Any) -> Explanations:
    names = [item.name for item in fields(MapSettings) if item.name in options]
    settings = MapSettings(**{name: options.pop(name) for name in names})
    catalog = Catalog(sources=tuple(sources))
    return explain_catalog(network, catalog, settings, classes=CLASSES, device=CPU, **options)


def test_gradcam_evidence_lies_on_the_bright_square(bright_network: PlanetNet) -> None:
    (item,) = explain(bright_network, [square_image()])
    assert (item.label, item.target, item.layers) == ("bright", "bright", ("1",))
    expected = np.zeros((8, 8), dtype=np.float32)
    expected[2:4, 5:7] = 1
    np.testing.assert_allclose(item.heatmap, expected, atol=1e-6)
    np.testing.assert_array_equal(item.image, square_image())
    assert item.confidence > 0.9


def test_gradcam_of_the_class_that_nothing_speaks_for_is_zero(bright_network: PlanetNet) -> None:
    (item,) = explain(bright_network, [square_image()], target="dark")
    assert (item.label, item.target) == ("bright", "dark")
    assert not item.heatmap.any()


def test_occlusion_evidence_lies_on_the_bright_square(bright_network: PlanetNet) -> None:
    (item,) = explain(bright_network, [square_image()], method="occlusion")
    assert item.heatmap.shape == (8, 8)
    assert item.layers == ()
    # Patches of 6 pixels at 0, 4, 7, 11, 15, 19, 22, 26: rows 4 to 11 and columns 15 to 26 touch.
    row, column = divmod(int(item.heatmap.argmax()), 8)
    assert (row, column) in {(2, 5), (2, 6), (3, 5), (3, 6)}
    assert item.heatmap[5:].max() == 0
    assert item.heatmap[:, :4].max() == 0


def test_occlusion_is_the_fall_of_the_probability(bright_network: PlanetNet) -> None:
    image = torch.from_numpy(square_image()).permute(2, 0, 1)[None]
    found = compute_occlusion(bright_network, image, torch.tensor([1]))
    covered = image.clone()
    fill = image.float().mean(dim=(2, 3), keepdim=True).to(torch.uint8)
    covered[:, :, 7:13, 22:28] = fill  # position (2, 6)
    with torch.no_grad():
        whole, rest = (bright_network(one).softmax(dim=1)[0, 1] for one in (image, covered))
    assert float(found[0, 2, 6]) == pytest.approx(float(whole - rest), rel=1e-5)
    assert float(whole - rest) > 0.01


def test_backbone_without_a_spatial_layer_says_so_and_occlusion_works(
    wrap: Callable[..., PlanetNet],
) -> None:
    network = wrap(nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 1)))
    with pytest.raises(ExplanationError, match=r"'by_hand' shows none\. Name one: register"):
        explain(network, [square_image()])
    (item,) = explain(network, [square_image()], method="occlusion")
    assert item.heatmap.shape == (8, 8)


def test_layer_that_the_answer_does_not_depend_on_says_so(
    wrap: Callable[..., PlanetNet],
) -> None:
    class Aside(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used = nn.Conv2d(3, 1, 4, stride=4)
            self.unused = nn.Conv2d(3, 1, 4, stride=4)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            self.unused(images)
            features: torch.Tensor = self.used(images)
            return features

    with pytest.raises(ExplanationError, match=r"The layer 'unused' .* yields no map"):
        explain(wrap(Aside(), feature_layers=("unused",)), [square_image()])


@pytest.mark.parametrize("name", ["block.1", "blocks.9", "blocks.1.forward"])
def test_misspelt_feature_layer_is_named(name: str, images: torch.Tensor) -> None:
    found = build("tiny")
    spec = replace(found.spec, feature_layers=(name,))
    network = PlanetNet(found.backbone, found.head, input_spec=found.input_spec, spec=spec)
    with pytest.raises(ExplanationError, match=rf"'tiny' has no layer '{name}'\. Correct"):
        compute_gradcam(network, images, torch.tensor([0, 1, 2]))
    assert not any(part._forward_hooks for part in network.modules())


def test_ensemble_map_is_the_mean_of_its_members_maps(images: torch.Tensor) -> None:
    network, targets = build("ensemble:tiny+timm:resnet10t"), torch.tensor([0, 1, 2])
    assert network.feature_layers == ("members.0.blocks", "members.1.layer4")
    found = compute_gradcam(network, images, targets)
    single = []
    for layer in network.feature_layers:
        alone = PlanetNet(
            network.backbone,
            network.head,
            input_spec=network.input_spec,
            spec=replace(network.spec, feature_layers=(layer,)),
        )
        cam = compute_gradcam(alone, images, targets)
        scaled = (cam / cam.amax(dim=(1, 2), keepdim=True).clamp(min=1e-37))[:, None]
        resized = nn.functional.interpolate(scaled, size=found.shape[-2:], mode="bilinear")
        single.append(resized[:, 0])
    assert not torch.allclose(single[0], single[1])
    torch.testing.assert_close(found, (single[0] + single[1]) / 2, rtol=1e-3, atol=1e-3)


def test_vision_transformer_gives_a_map_of_its_patches(images: torch.Tensor) -> None:
    network = build("timm:vit_tiny_patch16_224")
    assert network.feature_layers == ("blocks.11.norm1",)
    nn.init.normal_(
        network.head.get_parameter("weight"), generator=torch.Generator().manual_seed(0)
    )
    found = compute_gradcam(network, images, torch.tensor([0, 1, 2]))
    assert found.shape == (3, 4, 4)
    assert found.max() > 0
    assert not torch.allclose(found[0], found[1])


def test_heatmaps_are_scaled_to_one_and_do_not_depend_on_the_batch(
    bright_network: PlanetNet,
) -> None:
    generator = np.random.default_rng(0)
    pictures = [generator.integers(0, 256, (32, 32, 3), dtype=np.uint8) for _ in range(5)]
    together = explain(bright_network, pictures)
    one_by_one = explain(bright_network, pictures, batch_size=1)
    for left, right in zip(together, one_by_one, strict=True):
        np.testing.assert_allclose(left.heatmap, right.heatmap, atol=1e-6)
        assert left.heatmap.max() == pytest.approx(1)
        assert left.heatmap.dtype == np.float32


def test_image_that_cannot_be_read_has_its_error(bright_network: PlanetNet, tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no image")
    items = explain(bright_network, [str(tmp_path / "text.png"), square_image()])
    assert [bool(item.error) for item in items] == [True, False]
    assert "it is not an image" in items.failed[0].error
    assert items[1].heatmap.max() == pytest.approx(1)


def test_wrong_target_names_the_classes(bright_network: PlanetNet) -> None:
    with pytest.raises(
        SettingsError, match=r"one of the model's classes \(dark, bright\), got 'd'"
    ):
        explain(bright_network, [square_image()], target="d")


def test_custom_explainer_is_called_with_images_and_targets(bright_network: PlanetNet) -> None:
    seen: list[Any] = []
    try:

        @register_explainer("corner_for_a_test")
        def corner(network: PlanetNet, images: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
            """Says that it is always the corner."""
            seen.extend([network.training, images.dtype, targets.tolist()])
            maps = torch.zeros(len(images), 2, 2)
            maps[:, 0, 0] = 5
            return maps

        assert "corner_for_a_test" in list_explainers()
        (item,) = explain(bright_network, [square_image()], method="corner_for_a_test")
    finally:
        EXPLAINERS.remove("corner_for_a_test")
    assert seen == [False, torch.uint8, [1]]
    assert item.heatmap.tolist() == [[1.0, 0.0], [0.0, 0.0]]
    assert item.method == "corner_for_a_test"


def test_unknown_method_gets_a_suggestion(bright_network: PlanetNet) -> None:
    with pytest.raises(UnknownNameError, match=r"Unknown explainer 'grad_cam'.*'gradcam'"):
        explain(bright_network, [square_image()], method="grad_cam")
