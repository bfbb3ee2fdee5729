"""Stored features equal those that the network would have computed."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator

import psutil
import pytest
import torch
from accelerate import Accelerator

from planetvision.core.devices import create_accelerator
from planetvision.core.errors import TrainingError
from planetvision.core.settings import InputSpec
from planetvision.data.loading import ImageDataset
from planetvision.inference.features import FeatureDataset, ViewDataset, compute_features
from planetvision.models.network import create_network

SPEC = InputSpec(image_size=32)


@pytest.fixture
def images(disc_paths: list[str]) -> ImageDataset:
    return ImageDataset(
        disc_paths[:5], [0, 1, 2, 0, 1], input_spec=SPEC, augmentation="light", seed=4
    )


@pytest.fixture
def accelerator() -> Iterator[Accelerator]:
    with create_accelerator("no", torch.device("cpu")) as engine:
        yield engine


def test_views_are_the_plain_image_and_augmented_ones(images: ImageDataset) -> None:
    views = ViewDataset(images, 3)
    assert len(views) == 15
    plain = images.with_augmentation("none")
    for row in range(5):
        assert torch.equal(views[row, 0][0], plain[row][0])
        assert not torch.equal(views[row + 5, 0][0], views[row + 10, 0][0])
        assert [views[row + 5 * view, 0][1] for view in range(3)] == [images.targets[row]] * 3
    assert not torch.equal(ViewDataset(images, 1)[2, 0][0], plain[2][0])


def test_views_are_drawn_anew_after_so_many_epochs(images: ImageDataset) -> None:
    kept = ViewDataset(images, 2, first_epoch=4)
    assert [kept.is_new_at(epoch) for epoch in range(4, 9)] == [True, *[False] * 4]
    renewed = ViewDataset(images, 2, first_epoch=4, refresh_epochs=2)
    assert [renewed.is_new_at(epoch) for epoch in range(4, 9)] == [True, False, True, False, True]
    assert torch.equal(kept[5, 4][0], kept[5, 8][0])
    seen = [renewed[5, epoch][0] for epoch in range(4, 10)]
    assert torch.equal(seen[0], kept[5, 4][0])
    assert torch.equal(seen[0], seen[1])
    assert not torch.equal(seen[1], seen[2])
    assert not torch.equal(seen[2], seen[4])
    assert torch.equal(renewed[0, 4][0], renewed[0, 6][0])  # the plain view


def test_stored_features_are_those_of_each_view(
    images: ImageDataset, accelerator: Accelerator
) -> None:
    network = create_network("tiny", num_classes=3, weights="none", input_spec=SPEC, seed=0).eval()
    views = ViewDataset(images, 3, refresh_epochs=1)
    stored = compute_features(
        lambda batch: (network.forward_features(batch),),
        views,
        epoch=2,
        accelerator=accelerator,
        batch_size=2,
    )
    with torch.no_grad():
        direct = network.forward_features(torch.stack([views[row, 2][0] for row in range(15)]))
    torch.testing.assert_close(stored.features[0], direct)
    assert stored.targets.tolist() == [0, 1, 2, 0, 1] * 3
    assert not stored.features[0].requires_grad


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("in_file", [False, True])
def test_stored_maps_keep_their_memory_format_in_memory_and_in_a_file(
    layout: torch.memory_format,
    in_file: bool,
    images: ImageDataset,
    accelerator: Accelerator,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if in_file:
        free = psutil.virtual_memory()._replace(available=1000)
        monkeypatch.setattr(psutil, "virtual_memory", lambda: free)

    def extract(batch: torch.Tensor) -> tuple[torch.Tensor, ...]:
        maps = (batch[:, :, ::4, ::4] / 255).contiguous(memory_format=layout)
        return maps, maps.mean(dim=(2, 3)).bfloat16()

    stored = compute_features(
        extract,
        ViewDataset(images, 1),
        accelerator=accelerator,
        batch_size=2,
    )
    maps, means, targets = stored.__getitems__([(3, 0), (1, 0)])
    expected = torch.stack([ViewDataset(images, 1)[row, 0][0][:, ::4, ::4] for row in (3, 1)]) / 255
    assert torch.equal(maps, expected)
    assert maps.is_contiguous(memory_format=layout)
    assert torch.equal(means, expected.mean(dim=(2, 3)).bfloat16())
    assert targets.tolist() == [0, 1]


def test_items_and_batches_are_the_same_rows() -> None:
    rows = torch.arange(6.0).reshape(3, 2)
    dataset = FeatureDataset([rows, rows + 10], torch.tensor([5, 6, 7]))
    assert len(dataset) == 3
    features, negatives, targets = dataset.__getitems__([(2, 9), (0, 9)])
    assert features.tolist() == [[4.0, 5.0], [0.0, 1.0]]
    assert negatives.tolist() == [[14.0, 15.0], [10.0, 11.0]]
    assert targets.tolist() == [7, 5]
    one, _, target = dataset[(1, 0)]
    assert (one.tolist(), int(target)) == ([2.0, 3.0], 6)
    dataset.replace(FeatureDataset([rows + 1], torch.tensor([1, 2, 3])))
    assert dataset[(0, 0)][0].tolist() == [1.0, 2.0]


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="room cannot be reserved here")
def test_stored_features_that_no_disk_holds_are_an_error_and_not_the_end_of_the_process(
    images: ImageDataset, accelerator: Accelerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill(descriptor: int, offset: int, length: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    free = psutil.virtual_memory()._replace(available=1000)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: free)
    monkeypatch.setattr(os, "posix_fallocate", fill)
    with pytest.raises(TrainingError, match=r"has no space for them \(No space left .* TMPDIR"):
        compute_features(
            lambda batch: (batch.float(),), ViewDataset(images, 1), accelerator=accelerator
        )
