"""Stored features equal those that the network would have computed."""

from __future__ import annotations

import contextlib

import torch

from planetvision.config import InputSpec
from planetvision.data.loading import ImageDataset
from planetvision.network import create_network
from planetvision.training.features import FeatureDataset, compute_features


def test_stored_features_are_those_of_the_plain_and_the_augmented_views(
    disc_paths: list[str],
) -> None:
    spec = InputSpec(image_size=32)
    network = create_network("tiny", num_classes=3, weights="none", input_spec=spec, seed=0).eval()
    dataset = ImageDataset(
        disc_paths[:5], [0, 1, 2, 0, 1], input_spec=spec, augmentation="light", seed=4
    )
    stored = compute_features(
        network,
        dataset,
        views=3,
        device=torch.device("cpu"),
        autocast=contextlib.nullcontext,
        batch_size=2,
    )
    plain = dataset.with_augmentation("none")
    with torch.no_grad():
        direct = torch.cat(
            [
                network.forward_features(torch.stack([source[(row, draw)][0] for row in range(5)]))
                for draw, source in ((0, plain), (-3, dataset), (-2, dataset))
            ]
        )
    torch.testing.assert_close(stored.features, direct)
    assert stored.targets.tolist() == [0, 1, 2, 0, 1] * 3
    assert not torch.allclose(stored.features[5:10], stored.features[10:])
    assert not stored.features.requires_grad


def test_items_and_batches_are_the_same_rows() -> None:
    dataset = FeatureDataset(torch.arange(6.0).reshape(3, 2), torch.tensor([5, 6, 7]))
    assert len(dataset) == 3
    features, targets = dataset.__getitems__([(2, 9), (0, 9)])
    assert features.tolist() == [[4.0, 5.0], [0.0, 1.0]]
    assert targets.tolist() == [7, 5]
    one, target = dataset[(1, 0)]
    assert (one.tolist(), int(target)) == ([2.0, 3.0], 6)
