"""What is found out about a module."""

from __future__ import annotations

import torch
from torch import nn

from planetvision.models.backbones.layers import (
    find_blocks,
    find_feature_layers,
    measure_feature_size,
)
from planetvision.models.backbones.tiny import TinyBackbone


def test_measure_feature_size_leaves_modes_and_statistics_alone() -> None:
    backbone = TinyBackbone().train()
    norm = backbone.get_submodule("blocks.0.1")
    norm.eval()
    assert measure_feature_size(backbone, 32) == 128
    assert backbone.training
    assert not norm.training
    assert torch.equal(norm.running_mean, torch.zeros(16))  # type: ignore[arg-type]


def test_find_feature_layers_leaves_every_mode_and_no_hook() -> None:
    backbone = TinyBackbone().train()
    norm = backbone.get_submodule("blocks.0.1")
    norm.eval()
    assert find_feature_layers(backbone, 32) == ("blocks",)
    assert backbone.training
    assert not norm.training
    assert not any(part._forward_hooks for part in backbone.modules())


def test_find_feature_layers_works_where_the_weights_are() -> None:
    assert find_feature_layers(TinyBackbone().to("meta"), 32) == ("blocks",)
    assert find_feature_layers(TinyBackbone().to(torch.float64), 32) == ("blocks",)


def test_find_feature_layers_passes_over_what_lies_inside_attention() -> None:
    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm_of_queries = nn.Identity()

        def forward(self, tokens: torch.Tensor) -> torch.Tensor:
            self.norm_of_queries(tokens.reshape(len(tokens), 1, 4, 4))  # looks like a map
            return tokens

    class Transformer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.patches = nn.Conv2d(3, 4, 8, stride=8)
            self.norm1 = nn.LayerNorm(4)
            self.attention = Attention()

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            tokens: torch.Tensor = self.patches(images).flatten(2).transpose(1, 2)
            attended: torch.Tensor = self.attention(self.norm1(tokens))
            return attended.mean(dim=1)

    assert find_feature_layers(Transformer(), 16) == ("norm1",)


def test_find_feature_layers_without_any_is_empty() -> None:
    flat = nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 4))
    assert find_feature_layers(flat, 16) == ()


def test_find_blocks_splits_containers_and_joins_what_lies_between() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem = nn.Conv2d(3, 4, 3)
            self.norm = nn.BatchNorm2d(4)
            self.act = nn.ReLU()
            self.stages = nn.Sequential(nn.Conv2d(4, 4, 1), nn.ReLU(), nn.Conv2d(4, 5, 1))
            self.last = nn.Conv2d(5, 6, 1)

    net = Net()
    assert find_blocks(net) == [
        [net.stem, net.norm],
        [net.stages[0]],
        [net.stages[2]],
        [net.last],
    ]
    wrapper = nn.Sequential(nn.Identity(), net)
    assert find_blocks(wrapper) == find_blocks(net)


def test_find_blocks_by_name_takes_those() -> None:
    backbone = TinyBackbone()
    names = ("blocks.1", "blocks.3")
    assert find_blocks(backbone, names) == [[backbone.blocks[1]], [backbone.blocks[3]]]


def test_find_blocks_without_containers_takes_children_and_opens_the_largest() -> None:
    class Encoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.Sequential(*(nn.Linear(8, 8) for _ in range(3)))
            self.norm = nn.LayerNorm(8)

    class Wrapped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.patch = nn.Linear(2, 8)
            self.encoder = Encoder()

    network = Wrapped()
    layers = network.encoder.layers
    assert find_blocks(network) == [
        [network.patch],
        [layers[0]],
        [layers[1]],
        [layers[2]],
        [network.encoder.norm],
    ]
