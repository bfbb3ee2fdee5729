"""What backbones return, and how one form becomes another."""

from __future__ import annotations

import pytest
import torch

from planetvision.core.errors import SettingsError
from planetvision.models.backbones.shapes import pool_features, summarize_channels, to_feature_map


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


def test_summary_of_channels_is_their_mean_and_deviation_over_the_positions() -> None:
    maps = torch.tensor([[[[1.0, 3.0], [1.0, 3.0]], [[0.0, 0.0], [0.0, 8.0]]]])
    expected = [2.0, 2.0, 1.0, 12**0.5]
    for summary in (
        summarize_channels(maps, None),
        summarize_channels(maps.permute(0, 2, 3, 1), "NHWC"),
    ):
        assert summary is not None
        assert summary[0].tolist() == pytest.approx(expected)
    tokens = torch.cat([torch.full((1, 1, 2), 99.0), maps.flatten(2).transpose(1, 2)], dim=1)
    summary = summarize_channels(tokens, None)
    assert summary is not None
    assert summary[0].tolist() == pytest.approx(expected)


def test_summary_of_vectors_is_themselves_and_of_anything_else_nothing() -> None:
    vectors = torch.tensor([[1.0, 2.0]])
    summary = summarize_channels(vectors, None)
    assert summary is not None
    assert summary.tolist() == [[1.0, 2.0]]
    assert summarize_channels((vectors, vectors), None) is None
    assert summarize_channels(torch.zeros(3), None) is None
