"""Every explainer: the same contract for all, and each against a plain reference."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from scipy import ndimage
from sklearn.decomposition import TruncatedSVD
from timm.models import VisionTransformer
from torch import nn
from torchvision.models import VisionTransformer as TorchvisionTransformer

from planetvision.core.errors import ExplanationError
from planetvision.core.settings import InputSpec
from planetvision.explain import EXPLAINERS, list_explainers
from planetvision.explain import scorecam as scorecam_module
from planetvision.explain.attention_rollout import compute_attention_rollout
from planetvision.explain.eigencam import compute_eigencam
from planetvision.explain.gradcam import compute_gradcam_plus_plus, compute_layercam
from planetvision.explain.integrated_gradients import (
    compute_integrated_gradients,
    integrate_gradients,
)
from planetvision.explain.scorecam import compute_scorecam
from planetvision.explain.variants import look_at_layers
from planetvision.models.backbones.ensemble import EnsembleBackbone
from planetvision.models.backbones.registry import BACKBONES
from planetvision.models.network import PlanetNet, create_network

CAMS = [spec.name for spec in EXPLAINERS.added() if spec.uses_layers]
TARGETS = torch.tensor([0, 2, 1])


def build(name: str) -> PlanetNet:
    """Of 64 pixels and 3 classes, with a head that tells them apart."""
    spec = replace(BACKBONES.get(name).input, image_size=64)
    network = create_network(name, num_classes=3, weights="none", input_spec=spec, seed=0)
    randomize(network.head)
    return network.eval()


def randomize(module: nn.Module) -> None:
    generator = torch.Generator().manual_seed(0)
    for weight in module.parameters():
        nn.init.normal_(weight, std=0.3, generator=generator)


def create_transformer() -> nn.Module:
    backbone: nn.Module = VisionTransformer(
        img_size=32, patch_size=8, num_classes=0, embed_dim=8, depth=3, num_heads=2
    )
    randomize(backbone)
    return backbone


def create_torchvision_transformer() -> nn.Module:
    backbone: nn.Module = TorchvisionTransformer(
        image_size=32, patch_size=8, num_layers=3, num_heads=2, hidden_dim=8, mlp_dim=8
    )
    backbone.heads = nn.Identity()
    randomize(backbone)
    return backbone


@pytest.fixture
def images() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (3, 3, 64, 64), dtype=torch.uint8, generator=generator)


@pytest.fixture
def square() -> torch.Tensor:
    """One image of 32 pixels: black, with a white square in rows 8 to 15, columns 20 to 27."""
    image = torch.zeros(1, 3, 32, 32, dtype=torch.uint8)
    image[:, :, 8:16, 20:28] = 255
    return image


@pytest.fixture(params=list_explainers())
def method(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def network(method: str, wrap: Callable[..., PlanetNet]) -> PlanetNet:
    """One that the method can explain, of as many pixels as `images` has."""
    if method != "attention_rollout":
        return build("tiny")
    backbone = VisionTransformer(
        img_size=64, patch_size=16, num_classes=0, embed_dim=8, depth=2, num_heads=2
    )
    randomize(backbone)
    wrapped = wrap(backbone, features=8)
    wrapped.head = nn.Linear(8, 3)
    return wrapped.eval()


def test_map_is_finite_not_negative_and_one_an_image(
    method: str, network: PlanetNet, images: torch.Tensor
) -> None:
    maps = EXPLAINERS.get(method).build(network, images, TARGETS)
    assert maps.shape[0] == 3
    assert maps.ndim == 3
    assert maps.shape[1] == maps.shape[2] > 1
    assert torch.isfinite(maps).all()
    assert maps.min() >= 0
    assert (maps.amax(dim=(1, 2)) > 0).any()
    assert not maps.requires_grad


def test_map_is_the_same_alone_and_in_a_batch(
    method: str, network: PlanetNet, images: torch.Tensor
) -> None:
    explainer = EXPLAINERS.get(method).build
    together = explainer(network, images, TARGETS)
    alone = [explainer(network, images[row : row + 1], TARGETS[row : row + 1]) for row in range(3)]
    peak = float(together.max())
    torch.testing.assert_close(together, torch.cat(alone), rtol=1e-3, atol=1e-4 * peak)


def test_map_of_a_class_depends_on_it_and_the_others_do_not(
    method: str, network: PlanetNet, images: torch.Tensor
) -> None:
    spec = EXPLAINERS.get(method)
    maps = spec.build(network, images, TARGETS)
    others = spec.build(network, images, TARGETS.roll(1))
    assert torch.equal(maps, others) != spec.uses_target


def test_frozen_network_gives_the_map_of_the_free_one(
    method: str, network: PlanetNet, images: torch.Tensor
) -> None:
    explainer = EXPLAINERS.get(method).build
    expected = explainer(network, images, TARGETS)
    network.requires_grad_(False)
    with torch.no_grad():
        assert torch.equal(explainer(network, images, TARGETS), expected)


def test_explainer_leaves_no_trace(method: str, network: PlanetNet, images: torch.Tensor) -> None:
    before = images.clone()
    logits = network(images)
    hooks = [len(part._forward_hooks) for part in network.modules()]
    fused = [getattr(part, "fused_attn", None) for part in network.modules()]
    for recording in (True, False):
        with torch.set_grad_enabled(recording):
            EXPLAINERS.get(method).build(network, images, TARGETS)
            assert torch.is_grad_enabled() == recording
    assert [len(part._forward_hooks) for part in network.modules()] == hooks
    assert not any(part._forward_pre_hooks for part in network.modules())
    assert [getattr(part, "fused_attn", None) for part in network.modules()] == fused
    assert all(weight.requires_grad and weight.grad is None for weight in network.parameters())
    assert not any(part.training for part in network.modules())
    assert torch.equal(images, before)
    assert torch.equal(network(images), logits)


def test_map_peaks_on_the_bright_square_that_decides(
    method: str,
    bright_network: PlanetNet,
    bright_transformer: PlanetNet,
    square: torch.Tensor,
) -> None:
    network = bright_transformer if method == "attention_rollout" else bright_network
    assert network(square).argmax() == 1
    (found,) = EXPLAINERS.get(method).build(network, square, torch.tensor([1]))
    scale = 32 // len(found)
    row, column = divmod(int(found.argmax()), len(found))
    assert 8 <= row * scale < 16
    assert 20 <= column * scale < 28
    far = found[20 // scale :]  # occlusion's patches of 6 pixels reach over the edge
    assert float(far.max()) < 0.05 * float(found.max())


@pytest.mark.parametrize(
    "name", ["gradcam", "gradcam_plus_plus", "layercam", "integrated_gradients", "occlusion"]
)
def test_map_of_the_class_that_nothing_speaks_for_is_zero(
    name: str, bright_network: PlanetNet, square: torch.Tensor
) -> None:
    assert not EXPLAINERS.get(name).build(bright_network, square, torch.tensor([0])).any()


# Grad-CAM's kin


def take_plainly(
    network: PlanetNet, image: torch.Tensor, target: int
) -> tuple[torch.Tensor, torch.Tensor, float]:
    """Activation (C, h, w), gradient of the logit there, and the logit, by a full backward pass."""
    kept: list[torch.Tensor] = []
    layer = network.backbone.get_submodule(network.feature_layers[0])
    handle = layer.register_forward_hook(lambda *call: kept.append(call[2]))
    logit = network(image[None])[0, target]
    handle.remove()
    (gradient,) = torch.autograd.grad(logit, kept[0])
    return kept[0][0].detach().double(), gradient[0].double(), logit.item()


def test_gradcam_plus_plus_is_that_of_the_paper(images: torch.Tensor) -> None:
    network = build("tiny")
    found = compute_gradcam_plus_plus(network, images, TARGETS)
    for row in range(3):
        activation, slope, logit = take_plainly(network, images[row], int(TARGETS[row]))
        score = np.exp(logit)  # equation 18 of the derivatives of Y = exp(S)
        total = torch.zeros(activation.shape[1:], dtype=torch.float64)
        for channel, gradient in zip(activation, slope, strict=True):
            weight = 0.0
            for place in gradient.flatten():
                if place > 0:
                    second, third = score * place**2, score * place**3
                    alpha = second / (2 * second + channel.sum() * third)
                    weight += float(alpha * score * place)
            total += weight * channel
        expected = total.clamp(min=0)
        assert expected.max() > 0
        torch.testing.assert_close(found[row].double() * score, expected, rtol=1e-4, atol=1e-9)


def test_gradcam_plus_plus_of_negative_activations_has_bounded_weights(
    wrap: Callable[..., PlanetNet],
) -> None:
    network = wrap(nn.Conv2d(3, 1, 8, stride=8), features=1, feature_layers=("",))
    network.backbone = nn.Sequential(network.backbone)
    network = look_at_layers(network, ("0",))
    nn.init.constant_(network.backbone.get_parameter("0.weight"), 0.0)
    nn.init.constant_(network.backbone.get_parameter("0.bias"), -2.0)
    network.head.weight.data = torch.tensor([[0.0], [1.0]])
    network.backbone.get_parameter("0.weight").data[0, 0, 0, 0] = 12.0
    image = torch.zeros(1, 3, 32, 32, dtype=torch.uint8)
    image[0, 0, 0, 0] = 255
    # Of the 16 places one is 10, the others are -2: they add up to -20, and each slope is 1/16, so
    # that the denominator would be 2 - 20/16. It stays 2: the weight is 16 * (1/16) / 2.
    (found,) = compute_gradcam_plus_plus(network, image, torch.tensor([1]))
    expected = torch.zeros(4, 4)
    expected[0, 0] = 5
    torch.testing.assert_close(found, expected)


def test_layercam_is_that_of_the_paper(images: torch.Tensor) -> None:
    network = look_at_layers(build("tiny"), ("blocks.1",))
    found = compute_layercam(network, images, TARGETS)
    for row in range(3):
        activation, slope, _ = take_plainly(network, images[row], int(TARGETS[row]))
        expected = torch.zeros(16, 16, dtype=torch.float64)
        for channel, gradient in zip(activation, slope, strict=True):
            expected += torch.where(gradient > 0, gradient, 0.0) * channel
        expected = torch.relu(expected)
        assert expected.max() > 0
        torch.testing.assert_close(found[row].double(), expected, rtol=1e-4, atol=1e-9)


# Eigen-CAM


def test_eigencam_is_the_first_component_of_an_uncentred_decomposition(
    images: torch.Tensor,
) -> None:
    network = build("tiny")
    found = compute_eigencam(network, images, TARGETS)
    for row in range(3):
        activation, _, _ = take_plainly(network, images[row], 0)
        places = activation.flatten(1).T.numpy()
        projected = TruncatedSVD(1, algorithm="arpack").fit_transform(places).reshape(4, 4)
        np.testing.assert_allclose(found[row], np.abs(projected), rtol=1e-4)


# Score-CAM


def test_scorecam_of_two_colours_by_hand(wrap: Callable[..., PlanetNet]) -> None:
    colours = nn.Conv2d(3, 2, 1, bias=False)
    colours.weight.data = torch.tensor([[1.0, 0, 0], [0, 0, 1.0]])[..., None, None]
    network = wrap(nn.Sequential(colours), features=2)
    network.head.weight.data = torch.tensor([[32.0, 0.0], [0.0, 32.0]])
    image = torch.zeros(1, 3, 32, 32, dtype=torch.uint8)
    image[0, 0, :8, :8] = 255  # red, a 16th of the image: its logit is 2
    image[0, 2, 16:24, 16:24] = 255  # blue, as large
    # Seen through the red channel the logit of red is 2, through the blue one it is 0.
    share = float(np.exp(2) / (np.exp(2) + 1))
    expected = torch.zeros(32, 32)
    for target, (red, blue) in enumerate([(share, 1 - share), (1 - share, share)]):
        expected[:8, :8], expected[16:24, 16:24] = red, blue
        (found,) = compute_scorecam(network, image, torch.tensor([target]))
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("limit", [3, 500])
def test_scorecam_is_that_of_the_paper_over_the_channels_that_vary_most(
    limit: int, images: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scorecam_module, "_MAX_CHANNELS", limit)
    network = look_at_layers(build("tiny"), ("blocks.1",))
    found = compute_scorecam(network, images, TARGETS)
    for row in range(2):
        activation, _, _ = take_plainly(network, images[row], 0)
        order = np.argsort(-activation.numpy().std(axis=(1, 2)))[:limit]
        scores = []
        for channel in activation[order].float():
            mask = nn.functional.interpolate(channel[None, None], size=(64, 64), mode="bilinear")
            if mask.max() > mask.min():
                mask = (mask - mask.min()) / (mask.max() - mask.min())
            masked = images[row].float() / 255 * mask
            with torch.no_grad():
                scores.append(float(network(masked)[0, TARGETS[row]]))
        weights = np.exp(scores) / np.exp(scores).sum()
        total = sum(
            weight * channel.numpy()
            for weight, channel in zip(weights, activation[order], strict=True)
        )
        np.testing.assert_allclose(found[row], np.maximum(total, 0), rtol=1e-3, atol=1e-5)


# Integrated gradients


def test_integrated_gradients_by_hand(bright_network: PlanetNet, square: torch.Tensor) -> None:
    found = integrate_gradients(bright_network, square, torch.tensor([1]))
    # 4 of 64 patches reach 0.5 in the second half of the way: 50 * 4 * 0.5 / 64, shared by the
    # 3 * 64 values of the square.
    expected = torch.zeros(1, 3, 32, 32)
    expected[:, :, 8:16, 20:28] = 50 * 4 * 0.5 / 64 / (3 * 64)
    torch.testing.assert_close(found, expected)


def test_integrated_gradients_add_up_to_the_difference_from_black(images: torch.Tensor) -> None:
    network = build("tiny")
    added = integrate_gradients(network, images, TARGETS, steps=100).sum(dim=(1, 2, 3))
    with torch.no_grad():
        logits = network(images) - network(torch.zeros_like(images))
    expected = logits.gather(1, TARGETS[:, None])[:, 0]
    torch.testing.assert_close(added, expected, rtol=0.02, atol=0.02)


def test_integrated_gradients_map_is_the_positive_part_of_the_blurred_sum(
    images: torch.Tensor,
) -> None:
    network = build("tiny")
    found = compute_integrated_gradients(network, images, TARGETS)
    summed = integrate_gradients(network, images, TARGETS).sum(dim=1).numpy()
    blurred = [ndimage.gaussian_filter(one, 1.0, mode="mirror", radius=3) for one in summed]
    expected = np.maximum(np.stack(blurred), 0)
    np.testing.assert_allclose(found, expected, atol=1e-4 * expected.max())


# Attention rollout


def test_attention_rollout_of_one_layer_by_hand(
    bright_transformer: PlanetNet, square: torch.Tensor
) -> None:
    # The class token weighs 4 bright patches by exp(4), 60 dark ones and itself by 1, and half of
    # it stays as it was.
    (found,) = compute_attention_rollout(bright_transformer, square, torch.tensor([1]))
    whole = 4 * np.exp(4) + 61
    expected = torch.full((8, 8), 0.5 / whole)
    expected[2:4, 5:7] = 0.5 * np.exp(4) / whole
    torch.testing.assert_close(found, expected)


def attend_plainly(tokens: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """The mean over 2 heads of the attention weights of one image's tokens (L, 8)."""
    given = tokens @ weight.T + bias
    queries, keys = given[:, :8], given[:, 8:16]
    first = (queries[:, :4] @ keys[:, :4].T / 4**0.5).softmax(dim=1)
    second = (queries[:, 4:] @ keys[:, 4:].T / 4**0.5).softmax(dim=1)
    return (first + second) / 2


@pytest.mark.parametrize("pool", ["token", "avg"])
@pytest.mark.parametrize("library", ["timm", "torchvision"])
def test_attention_rollout_is_the_product_of_the_layers(
    library: str, pool: str, wrap: Callable[..., PlanetNet], images: torch.Tensor
) -> None:
    backbone: Any
    if library == "timm":
        backbone = create_transformer()
        backbone.global_pool = pool
        blocks = list(backbone.blocks)
        norms = [block.norm1 for block in blocks]
        weights = [(block.attn.qkv.weight, block.attn.qkv.bias) for block in blocks]
    else:
        backbone = create_torchvision_transformer()
        blocks = [block.self_attention for block in backbone.encoder.layers]
        norms = [block.ln_1 for block in backbone.encoder.layers]
        weights = [(block.in_proj_weight, block.in_proj_bias) for block in blocks]
    network = wrap(backbone, features=8)
    images = images[:, :, :32, :32]
    found = compute_attention_rollout(network, images, TARGETS)
    seen: list[torch.Tensor] = []
    handles = [norm.register_forward_hook(lambda *call: seen.append(call[2])) for norm in norms]
    with torch.no_grad():
        network(images)
        for handle in handles:
            handle.remove()
        for row in range(3):
            flow = torch.eye(17)
            for tokens, (weight, bias) in zip(seen, weights, strict=True):
                layer = 0.5 * attend_plainly(tokens[row], weight, bias) + 0.5 * torch.eye(17)
                flow = layer @ flow
            read = flow[0] if pool == "token" or library == "torchvision" else flow[1:].mean(dim=0)
            torch.testing.assert_close(found[row], read[1:].reshape(4, 4), rtol=1e-4, atol=1e-6)
    assert not torch.allclose(found[0], found[1], rtol=1e-3)


def join(wrap: Callable[..., PlanetNet], *members: nn.Module, features: int) -> PlanetNet:
    shown = InputSpec(image_size=32, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    return wrap(EnsembleBackbone(members, [shown] * len(members)), features=features)


def test_attention_rollout_of_an_ensemble_is_the_mean_of_its_members(
    wrap: Callable[..., PlanetNet], images: torch.Tensor
) -> None:
    members = [create_transformer(), create_torchvision_transformer()]
    images = images[:, :, :32, :32]
    found = compute_attention_rollout(join(wrap, *members, features=16), images, TARGETS)
    single = [
        compute_attention_rollout(wrap(member, features=8), images, TARGETS) for member in members
    ]
    expected = sum(one / one.amax(dim=(1, 2), keepdim=True) for one in single) / 2
    torch.testing.assert_close(found, expected)


@pytest.fixture(scope="module")
def swin() -> PlanetNet:
    return build("timm:swin_tiny_patch4_window7_224")


def test_attention_rollout_of_another_network_names_what_works(
    swin: PlanetNet, wrap: Callable[..., PlanetNet], images: torch.Tensor
) -> None:
    fused = [getattr(part, "fused_attn", None) for part in swin.modules()]
    mixed = join(wrap, create_transformer(), nn.Conv2d(3, 2, 8, stride=8), features=10)
    for network, shown in ((build("tiny"), images), (swin, images), (mixed, images[..., :32, :32])):
        with pytest.raises(ExplanationError, match=r"every patch attends .* Use 'gradcam', 'layer"):
            compute_attention_rollout(network, shown, TARGETS)
        assert not any(part._forward_hooks for part in network.modules())
    assert [getattr(part, "fused_attn", None) for part in swin.modules()] == fused


# The CAM methods and the kinds of backbones


@pytest.fixture(
    scope="module",
    params=[
        ("timm:resnet10t", 2),
        ("timm:vit_tiny_patch16_224", 4),
        ("timm:swin_tiny_patch4_window7_224", 2),
        ("torchvision:resnet18", 2),
        ("ensemble:tiny+timm:resnet10t", 6),  # a member is shown what its weights are for
    ],
    ids=lambda pair: pair[0],
)
def kind(request: pytest.FixtureRequest) -> tuple[PlanetNet, int]:
    name, side = request.param
    return build(name), side


@pytest.mark.parametrize("cam", CAMS)
def test_cam_works_with_every_kind_of_backbone(
    cam: str, kind: tuple[PlanetNet, int], images: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scorecam_module, "_MAX_CHANNELS", 3)
    network, side = kind
    spec = EXPLAINERS.get(cam)
    pair, classes = images[:2], torch.tensor([0, 0])
    found = spec.build(network, pair, classes)
    assert found.shape == (2, side, side)
    assert torch.isfinite(found).all()
    assert found.min() >= 0
    maps = [found, spec.build(network, pair, classes + 1)]
    assert any(one.max() > 0 for one in maps)
    assert torch.equal(*maps) != spec.uses_target
