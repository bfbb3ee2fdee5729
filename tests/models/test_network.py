"""`PlanetNet`: what learns, what stays frozen, how images are normalised."""

from __future__ import annotations

import copy
import pickle
import warnings
from dataclasses import replace
from typing import Any, cast

import pytest
import torch
from torch import nn

from planetvision.core.errors import UnknownNameError
from planetvision.core.settings import InputSpec
from planetvision.models.backbones.registry import BACKBONES
from planetvision.models.backbones.spec import BackboneSpec
from planetvision.models.network import PlanetNet, create_network


def build(backbone: str = "tiny", **options: Any) -> PlanetNet:
    spec = replace(BACKBONES.get(backbone).input, image_size=32)
    return create_network(
        backbone, num_classes=3, weights="none", input_spec=spec, seed=0, **options
    )


@pytest.fixture
def images() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8, generator=generator)


def learning_blocks(network: PlanetNet) -> list[bool]:
    return [
        all(weight.requires_grad for part in block for weight in part.parameters())
        for block in network.blocks
    ]


def statistics(network: PlanetNet) -> list[torch.Tensor]:
    """The running mean of each of the tiny backbone's four norms."""
    return [
        value.clone()
        for name, value in network.backbone.named_buffers()
        if name.endswith("running_mean")
    ]


def train_steps(network: PlanetNet, images: torch.Tensor, count: int = 2) -> None:
    learning = [weight for weight in network.parameters() if weight.requires_grad]
    optimizer = torch.optim.SGD(learning, lr=0.1)
    network.train()
    for _ in range(count):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(network(images), torch.tensor([0, 1, 2, 0]))
        torch.autograd.backward(loss)
        optimizer.step()


@pytest.mark.parametrize(
    ("blocks", "learning"),
    [
        (0, [False, False, False, False]),
        (1, [False, False, False, True]),
        (3, [False, True, True, True]),
        (4, [True, True, True, True]),
        (None, [True, True, True, True]),
    ],
)
def test_set_trainable_frees_the_last_blocks_and_always_the_head(
    blocks: int | None, learning: list[bool]
) -> None:
    network = build()
    network.head.requires_grad_(False)
    network.set_trainable(blocks)
    assert learning_blocks(network) == learning
    assert all(weight.requires_grad for weight in network.head.parameters())


@pytest.mark.parametrize(
    ("blocks", "freeze", "moves"),
    [
        (0, False, [False, False, False, False]),
        (0, True, [False, False, False, False]),
        (2, False, [False, False, True, True]),
        (2, True, [False, False, False, False]),
        (None, False, [True, True, True, True]),
        (None, True, [False, False, False, False]),
    ],
)
def test_batch_norm_statistics_move_only_where_they_are_free(
    blocks: int | None, freeze: bool, moves: list[bool], images: torch.Tensor
) -> None:
    network = build()
    network.set_trainable(blocks, freeze_batch_norm=freeze)
    before, weights = statistics(network), copy.deepcopy(network.state_dict())
    train_steps(network, images)
    changed = [
        not torch.equal(old, new) for old, new in zip(before, statistics(network), strict=True)
    ]
    assert changed == moves
    learned = [
        not torch.equal(weights[name], network.get_parameter(name))
        for name in (f"backbone.blocks.{block}.0.weight" for block in range(4))
    ]
    assert learned == learning_blocks(network)
    assert not torch.equal(weights["head.weight"], network.get_parameter("head.weight"))


def test_frozen_dropout_inside_the_backbone_stays_off(images: torch.Tensor) -> None:
    network = build()
    network.backbone = nn.Sequential(network.backbone, nn.Dropout(0.5))
    network.set_trainable(0)
    network.train()
    assert torch.equal(network(images), network(images))
    network.set_trainable(None)
    network.train()
    assert not torch.equal(network(images), network(images))


def test_train_after_eval_keeps_what_is_frozen_in_evaluation_mode() -> None:
    network = build()
    network.set_trainable(1, freeze_batch_norm=False)
    network.eval()
    network.train()
    modes = [block[0].training for block in network.blocks]
    assert modes == [False, False, False, True]
    assert network.training
    assert network.backbone.training
    assert network.head.training


def test_set_trainable_again_replaces_what_was_frozen() -> None:
    network = build().train()
    network.set_trainable(0)
    network.set_trainable(None, freeze_batch_norm=False)
    assert all(part.training for part in network.modules())


def test_set_trainable_with_more_blocks_than_there_are_frees_all() -> None:
    network = build()
    network.set_trainable(0)
    network.set_trainable(5)
    assert all(weight.requires_grad for weight in network.parameters())


def test_normalize_of_uint8_is_that_of_the_same_image_as_floats(images: torch.Tensor) -> None:
    network = build()
    assert torch.equal(network.normalize(images), network.normalize(images.float() / 255))


def test_normalize_subtracts_the_mean_and_divides_by_the_deviation() -> None:
    spec = InputSpec(image_size=32, mean=(0.5, 0.25, 0.0), std=(0.5, 0.25, 2.0))
    network = create_network("tiny", num_classes=2, weights="none", input_spec=spec)
    pixels = torch.tensor([255, 0, 255], dtype=torch.uint8).reshape(1, 3, 1, 1)
    assert network.normalize(pixels).flatten().tolist() == [1.0, -1.0, 0.5]


def test_forward_is_the_head_on_the_pooled_features(images: torch.Tensor) -> None:
    network = build().eval()
    maps = network.backbone(network.normalize(images))
    assert torch.equal(network(images), network.head(maps.mean(dim=(2, 3))))


def test_levels_are_the_statistics_of_the_blocks_before_the_last(images: torch.Tensor) -> None:
    network = build().eval()
    with torch.no_grad():
        features, levels = network.forward_levels(images)
        assert torch.equal(features, network.forward_features(images))
        shown = network.normalize(images)
        blocks = network.blocks
        expected = []
        for block in blocks[:-1]:
            for module in block:
                shown = module(shown)
            expected.append(torch.cat([shown.mean(dim=(2, 3)), shown.var((2, 3), False).sqrt()], 1))
    assert len(levels) == len(blocks) - 1
    for level, statistics_ in zip(levels, expected, strict=True):
        assert torch.allclose(level, statistics_, atol=1e-5)
    assert not any(module._forward_hooks for module in network.modules())


def test_levels_of_a_large_backbone_are_those_of_five_blocks(images: torch.Tensor) -> None:
    network = build("efficientnet_lite0").eval()
    with torch.no_grad():
        features, levels = network.forward_levels(images)
    assert features.shape == (4, 1280)
    assert [level.shape[1] // 2 for level in levels] == [40, 80, 112, 192, 320]


def test_levels_leave_out_what_has_no_row_an_image_or_takes_no_hooks(images: torch.Tensor) -> None:
    class Odd(nn.Module):
        """A block of TorchScript, then tokens that stand before the images."""

        def __init__(self) -> None:
            super().__init__()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", FutureWarning)  # later versions advise torch.export
                script = torch.jit.script(nn.Conv2d(3, 4, 8, 8))
            self.blocks = nn.ModuleList(
                [
                    script,
                    nn.TransformerEncoderLayer(4, 1, 8, dropout=0),
                    nn.Linear(4, 5),
                ]
            )

        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            tokens = self.blocks[0](pixels).flatten(2).permute(2, 0, 1)
            features: torch.Tensor = self.blocks[2](self.blocks[1](tokens).mean(dim=0))
            return features

    spec = BackboneSpec(name="odd", summary="", build=Odd, input=InputSpec(image_size=32))
    network = PlanetNet(Odd(), nn.Linear(5, 3), input_spec=spec.input, spec=spec).eval()
    with torch.no_grad():
        features, levels = network.forward_levels(images)
    assert features.shape == (4, 5)
    assert levels == []


def test_move_to_moves_what_is_elsewhere_and_leaves_the_rest_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network = build()
    with monkeypatch.context() as patch:
        patch.setattr(network, "_apply", None)  # each way of moving a module goes through it
        assert network.move_to(torch.device("cpu")) is network
    network.head.to("meta")
    network.move_to(torch.device("meta"))
    assert {weight.device.type for weight in network.parameters()} == {"meta"}
    assert network.mean.device.type == "meta"


def test_deep_copy_and_pickle_give_the_same_logits(images: torch.Tensor) -> None:
    network = build().eval()
    network.set_trainable(0)
    for twin in (copy.deepcopy(network), pickle.loads(pickle.dumps(network))):
        assert torch.equal(twin(images), network(images))


def test_looking_at_the_feature_layers_keeps_what_is_frozen_frozen() -> None:
    network = build()
    network.set_trainable(0)
    network.train()
    modes = [part.training for part in network.modules()]
    assert network.feature_layers == ("blocks",)
    assert [part.training for part in network.modules()] == modes


def test_head_options_change_the_head() -> None:
    network = build(head="mlp", head_options={"hidden_sizes": (16,), "dropout": 0.25})
    layers = list(cast(nn.Sequential, network.head))
    assert [type(layer).__name__ for layer in layers] == ["Linear", "ReLU", "Dropout", "Linear"]
    assert layers[0].weight.shape == (16, 128)
    assert layers[2].p == 0.25


def test_seed_leaves_the_global_generator_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    build()
    assert torch.equal(torch.rand(3), expected)


def test_unknown_head_gets_a_suggestion() -> None:
    with pytest.raises(UnknownNameError, match=r"Unknown head 'liner'\. Did you mean 'linear'"):
        build(head="liner")
