"""What is found out about a module."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from planetvision.backbones.features import (
    find_blocks,
    find_feature_layers,
    measure_feature_size,
    pool_features,
    to_feature_map,
)
from planetvision.backbones.tiny import TinyBackbone
from planetvision.errors import SettingsError


def test_pool_features_is_the_mean_over_positions_and_tokens() -> None:
    maps = torch.arange(8.0).reshape(1, 2, 2, 2)
    assert pool_features(maps).tolist() == [[1.5, 5.5]]
    tokens = torch.tensor([[[1.0, 2.0], [3.0, 6.0]]])
    assert pool_features(tokens).tolist() == [[2.0, 4.0]]
    vectors = torch.tensor([[1.0, 2.0]])
    assert pool_features(vectors) is vectors


@pytest.mark.parametrize("output", [torch.zeros(3), torch.zeros(1, 2, 3, 4, 5), (1, 2)])
def test_pool_features_of_another_shape_is_refused(output: object) -> None:
    with pytest.raises(SettingsError, match=r"must return features of shape \(N, C\)"):
        pool_features(output)  # type: ignore[arg-type]


def test_to_feature_map_puts_channels_first() -> None:
    maps = torch.rand(1, 5, 2, 2)
    assert torch.equal(to_feature_map(maps.permute(0, 2, 3, 1), None), maps)  # type: ignore[arg-type]
    assert torch.equal(to_feature_map(maps, None), maps)  # type: ignore[arg-type]


def test_to_feature_map_of_tokens_leaves_the_class_token_out() -> None:
    tokens = torch.arange(5.0).reshape(1, 5, 1)
    found = to_feature_map(tokens, None)
    assert found is not None
    assert found.tolist() == [[[[1.0, 2.0], [3.0, 4.0]]]]


def test_to_feature_map_of_vectors_is_none() -> None:
    assert to_feature_map(torch.zeros(2, 7), None) is None


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
