"""`RenderedImages`: a key gives one picture, an epoch has new ones, a trainer learns from them."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from planetvision.core.errors import SettingsError, UnknownNameError
from planetvision.core.settings import InputSpec, Stage
from planetvision.data.loading import ImageDataset
from planetvision.models.network import create_network
from planetvision.render.training_images import RenderedImages
from planetvision.training import RECIPES
from planetvision.training.trainer import Trainer

SPEC = InputSpec(image_size=32)


def test_item_depends_on_its_key_and_the_seed_alone() -> None:
    images = RenderedImages(14, input_spec=SPEC, seed=3)
    again = pickle.loads(pickle.dumps(images)).choose([9, 2])
    for draw in (0, 5):
        pixels, target = images[(2, draw)]
        assert torch.equal(pixels, again[(1, draw)][0])
        assert target == again[(1, draw)][1]
    assert pixels.shape == (3, 32, 32)
    assert pixels.dtype == torch.uint8
    other = RenderedImages(14, input_spec=SPEC, seed=4)
    assert not torch.equal(images[2][0], other[2][0])


def test_maps_count_by_their_content(tmp_path: Path) -> None:
    def describe(folder: str, gray: int) -> tuple[str, ...]:
        (tmp_path / folder).mkdir()
        Image.new("RGB", (64, 32), (gray, gray, gray)).save(tmp_path / folder / "mars.png")
        images = RenderedImages(4, input_spec=SPEC, bodies=["mars", "io"], maps=tmp_path / folder)
        assert images.hashes is not None
        return tuple(images.hashes)

    first, copy, other = describe("a", 100), describe("b", 100), describe("c", 120)
    assert first == copy
    assert [one == two for one, two in zip(first, other, strict=True)] == [False, True] * 2


def test_each_draw_and_each_number_is_another_picture_of_its_body() -> None:
    images = RenderedImages(6, input_spec=SPEC, bodies=["saturn", "io"])
    assert images.classes == ("saturn", "io")
    assert images.targets == (0, 1, 0, 1, 0, 1)
    pictures = [images[key][0] for key in ((0, 0), (0, 1), (2, 0), (2, 1))]
    for index, picture in enumerate(pictures):
        assert not any(torch.equal(picture, other) for other in pictures[:index])
    assert torch.equal(images.read(0), images[(0, 0)][0])


def test_policy_is_applied_to_what_was_drawn() -> None:
    images = RenderedImages(2, input_spec=SPEC, look="clean")
    augmented = images.with_augmentation("celestial")
    assert not torch.equal(images[1][0], augmented[1][0])
    assert torch.equal(images.read(1), augmented.read(1))


def test_trainer_sees_new_pictures_in_every_epoch() -> None:
    seen: list[tuple[int, int]] = []

    class Watched(RenderedImages):
        def read(self, index: int, draw: int = 0) -> torch.Tensor:
            seen.append((index, draw))
            return super().read(index, draw)

        def with_augmentation(self, augmentation: str) -> RenderedImages:
            self.augmentation = augmentation
            return self

    images = Watched(8, input_spec=SPEC, bodies=["earth", "mars"], look="clean")
    stage = Stage(name="all", epochs=2, trainable_blocks=None, learning_rate=1e-2)
    recipe = replace(RECIPES.get("scratch").build(), stages=(stage,))
    network = create_network("tiny", num_classes=2, weights="none", input_spec=SPEC, seed=0)
    history = Trainer(network, recipe, num_workers=0).fit(images)
    assert len(history) == 2
    assert len(set(seen)) == len(seen) == 16


def test_loader_takes_it() -> None:
    images = RenderedImages(4, input_spec=SPEC, look="clean")
    pixels, targets = next(iter(DataLoader(images, batch_size=4)))
    assert pixels.shape == (4, 3, 32, 32)
    assert targets.tolist() == [0, 1, 2, 3]


def test_wrong_settings_and_joining_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="marz"):
        RenderedImages(4, input_spec=SPEC, bodies=["marz"])
    with pytest.raises(SettingsError, match="`count`"):
        RenderedImages(0, input_spec=SPEC)
    images = RenderedImages(4, input_spec=SPEC)
    with pytest.raises(SettingsError, match="write_dataset"):
        images.join(images)
    with pytest.raises(SettingsError, match="write_dataset"):
        ImageDataset(["file.png"], [0], input_spec=SPEC).join(images)
