"""Loading: the same pixels, whichever process asks, in whichever order."""

from __future__ import annotations

import importlib
import pickle
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset

from planetvision.core.errors import ImageError
from planetvision.core.settings import InputSpec
from planetvision.data import DECODERS, Catalog, ImageArray, hash_source, read_image
from planetvision.data.cache import MemoryCache
from planetvision.data.loading import EpochSampler, ImageDataset, create_datasets, create_loader

SPEC = InputSpec(image_size=32)


def create_dataset(paths: list[str], **options: Any) -> ImageDataset:
    targets = list(range(len(paths)))
    return ImageDataset(paths, targets, **{"input_spec": SPEC, "augmentation": "light", **options})


def load_all(paths: list[str], num_workers: int, draw: int) -> tuple[torch.Tensor, list[int]]:
    sampler = EpochSampler(len(paths), seed=4)
    sampler.set_draw(draw)
    loader = create_loader(create_dataset(paths), sampler, batch_size=4, num_workers=num_workers)
    images, targets = zip(*loader, strict=True)
    return torch.cat(images), torch.cat(targets).tolist()


# From Python 3.12, forking a process that has threads warns.
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("num_workers", [1, 2])
def test_batches_are_the_same_whatever_the_worker_count(
    rendered_paths: list[str], num_workers: int
) -> None:
    alone, targets = load_all(rendered_paths[:10], 0, draw=3)
    images, other_targets = load_all(rendered_paths[:10], num_workers, draw=3)
    assert other_targets == targets
    assert torch.equal(images, alone)
    assert sorted(targets) == list(range(10))
    assert targets != list(range(10))


def test_item_is_the_same_in_whichever_order_it_is_asked_for(rendered_paths: list[str]) -> None:
    dataset = create_dataset(rendered_paths[:5])
    forward = [dataset[(index, 2)][0] for index in range(5)]
    torch.rand(3)
    backward = [dataset[(index, 2)][0] for index in reversed(range(5))][::-1]
    for left, right in zip(forward, backward, strict=True):
        assert torch.equal(left, right)


def test_item_depends_on_draw_index_and_seed(rendered_paths: list[str]) -> None:
    path = rendered_paths[0]
    dataset = create_dataset([path, path])
    image, target = dataset[(0, 0)]
    assert torch.equal(dataset[0][0], image)
    assert (target, dataset[1][1]) == (0, 1)
    others = [dataset[(0, 1)][0], dataset[(1, 0)][0], create_dataset([path], seed=1)[0][0]]
    assert not any(torch.equal(image, other) for other in others)


def test_item_without_augmentation_is_the_framed_image(rendered_paths: list[str]) -> None:
    spec = InputSpec(image_size=64)
    dataset = create_dataset(rendered_paths[:1], input_spec=spec, augmentation="none")
    image, _ = dataset[0]
    np.testing.assert_array_equal(image.permute(1, 2, 0).numpy(), read_image(rendered_paths[0]))
    assert image.is_contiguous()


def test_dataset_without_targets_gives_minus_one(rendered_paths: list[str]) -> None:
    dataset = ImageDataset(rendered_paths[:2], input_spec=SPEC)
    assert [dataset[0][1], dataset[1][1]] == [-1, -1]
    assert len(dataset) == 2


def test_asking_for_an_item_leaves_the_random_states(rendered_paths: list[str]) -> None:
    dataset = create_dataset(rendered_paths[:2])
    torch.manual_seed(0)
    expected = torch.rand(2)
    torch.manual_seed(0)
    dataset[0]
    loader = create_loader(dataset, EpochSampler(2), batch_size=2)
    assert len(list(loader)) == 1
    assert torch.equal(torch.rand(2), expected)


def test_with_augmentation_keeps_all_else(rendered_paths: list[str]) -> None:
    dataset = create_dataset(rendered_paths[:2], seed=5)
    plain = dataset.with_augmentation("none")
    assert (plain.sources, plain.targets, plain.seed) == (dataset.sources, dataset.targets, 5)
    assert plain.input_spec == SPEC
    assert torch.equal(plain[(0, 0)][0], plain[(0, 1)][0])
    assert torch.equal(plain.with_augmentation("light")[0][0], dataset[0][0])


def test_dataset_after_pickling_gives_the_same_pixels(rendered_paths: list[str]) -> None:
    dataset = create_dataset(rendered_paths[:2])
    before = dataset[1][0]
    copy = pickle.loads(pickle.dumps(dataset))
    assert torch.equal(copy[1][0], before)


def test_unreadable_item_raises_and_names_the_file(tmp_path: Path) -> None:
    dataset = ImageDataset([tmp_path / "no.png"], [0], input_spec=SPEC)
    with pytest.raises(ImageError, match=r"no\.png': there is no such file"):
        dataset[0]


def test_sampler_order_depends_on_seed_and_draw_alone() -> None:
    sampler = EpochSampler(50, seed=1)
    first = list(sampler)
    assert list(sampler) == first
    assert sorted(first) == [(index, 0) for index in range(50)]
    sampler.set_draw(1)
    second = list(sampler)
    assert {draw for _, draw in second} == {1}
    assert [index for index, _ in second] != [index for index, _ in first]
    assert list(EpochSampler(50, seed=2)) != first
    again = EpochSampler(50, seed=1)
    again.set_draw(1)
    assert list(again) == second
    assert len(sampler) == 50


def test_sampler_without_shuffle_keeps_the_order() -> None:
    sampler = EpochSampler(4, seed=1, shuffle=False)
    sampler.set_draw(7)
    assert list(sampler) == [(0, 7), (1, 7), (2, 7), (3, 7)]


def test_loader_passes_on_what_a_dataset_batches_itself() -> None:
    class Batched(Dataset[Any]):
        def __getitem__(self, key: Any) -> Any:
            raise AssertionError("asked for one item")

        def __getitems__(self, keys: list[tuple[int, int]]) -> list[int]:
            return [10 * index + draw for index, draw in keys]

    sampler = EpochSampler(5, shuffle=False)
    sampler.set_draw(1)
    assert list(create_loader(Batched(), sampler, batch_size=3)) == [[1, 11, 21], [31, 41]]


class CountingCache(MemoryCache):
    """Counts what it was asked for and gave."""

    def __init__(self) -> None:
        super().__init__(10**8)
        self.asked = 0
        self.given = 0

    def get(self, key: str) -> ImageArray | None:
        found = super().get(key)
        self.asked += 1
        self.given += found is not None
        return found


def test_cache_changes_no_pixel_and_decodes_each_image_once(rendered_paths: list[str]) -> None:
    paths = rendered_paths[:4]
    cache = CountingCache()
    plain = create_dataset(paths)
    kept = create_dataset(paths, hashes=[hash_source(path) for path in paths], cache=cache)
    for draw in range(3):
        for index in range(4):
            assert torch.equal(kept[(index, draw)][0], plain[(index, draw)][0])
    assert (cache.asked, cache.given) == (12, 8)


def test_cache_does_without_the_files_once_it_has_them(
    rendered_paths: list[str], tmp_path: Path
) -> None:
    path = tmp_path / "image.png"
    shutil.copy(rendered_paths[0], path)
    cache = MemoryCache(10**8)
    dataset = create_dataset([str(path)], hashes=[hash_source(path)], cache=cache)
    first = dataset[(0, 1)][0]
    path.unlink()
    assert torch.equal(dataset.with_augmentation("light")[(0, 1)][0], first)


def test_datasets_of_a_split_have_their_parts_targets_and_hashes(rendered_paths: list[str]) -> None:
    catalog = Catalog(
        sources=tuple(rendered_paths[:4]),
        labels=("b", "a", "a", "b"),
        splits=("train", "val", "train", "test"),
        hashes=("0", "1", "2", "3"),
    )
    train, val = create_datasets(catalog, classes=["a", "b"], input_spec=SPEC, seed=7)
    assert train.sources == (rendered_paths[0], rendered_paths[2])
    assert (train.targets, val.targets) == ((1, 0), (0,))
    assert (train.hashes, val.hashes) == (("0", "2"), ("1",))
    assert train.seed == val.seed == 7


@pytest.mark.slow
def test_spawned_worker_knows_the_decoders_of_imported_modules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_decoder.py").write_text(
        "import numpy as np\n"
        "from planetvision.data import register_decoder\n"
        "@register_decoder('own', recognize=lambda head: head == b'own')\n"
        "def own(file):\n"
        "    return np.full((8, 8), 9, np.uint8)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    importlib.import_module("own_decoder")
    try:
        dataset = ImageDataset([b"own"], input_spec=SPEC)
        loader = create_loader(dataset, EpochSampler(1), batch_size=1, num_workers=1)
        loader.multiprocessing_context = "spawn"
        images, _ = next(iter(loader))
    finally:
        DECODERS.remove("own")
        del sys.modules["own_decoder"]
    assert (images == 9).all()
