"""What several rooms' tests share: small data sets and a small trained model."""

from __future__ import annotations

import copy
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, settings
from PIL import Image
from safetensors.torch import load_file, save_file

from planetvision.classifiers import pretrained
from planetvision.classifiers.classifier import PlanetClassifier
from planetvision.core.settings import Recipe, Stage
from planetvision.render import write_dataset

DISC_COLOURS = {"blue": (40, 60, 220), "green": (50, 200, 60), "red": (220, 60, 40)}

# A busy machine is no fault of the code: examples have no deadline.
settings.register_profile("thorough", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("quick", settings.get_profile("thorough"), max_examples=20)
settings.load_profile("quick")

# On tensors as small as those of the tests a second thread costs more than it saves.
torch.set_num_threads(1)


@pytest.fixture(scope="session")
def rendered_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder a class: 7 bodies, 6 pictures of 64 pixels each. Do not write to it."""
    folder = tmp_path_factory.mktemp("rendered") / "planets"
    write_dataset(folder, count=42, image_size=64, seed=0)
    return folder


@pytest.fixture(scope="session")
def rendered_paths(rendered_folder: Path) -> list[str]:
    """The 42 pictures, sorted: class by class."""
    return sorted(str(path) for path in rendered_folder.glob("*/*.png"))


@pytest.fixture(scope="session")
def rendered_labels(rendered_paths: list[str]) -> list[str]:
    """The label of each of `rendered_paths`."""
    return [Path(path).parent.name for path in rendered_paths]


@pytest.fixture(scope="session")
def disc_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a folder a class: 3 colours, 8 noisy discs of 40 pixels. Do not write to it."""
    folder = tmp_path_factory.mktemp("discs") / "data"
    generator = np.random.default_rng(0)
    rows, columns = np.mgrid[:40, :40]
    for name, colour in DISC_COLOURS.items():
        (folder / name).mkdir(parents=True)
        for number in range(8):
            top, left = generator.integers(14, 26, size=2)
            inside = (rows - top) ** 2 + (columns - left) ** 2 < 100
            pixels = np.where(inside[..., None], np.array(colour), 10)
            pixels = pixels + generator.normal(0, 8, size=pixels.shape)
            image = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
            image.save(folder / name / f"{number}.png")
    return folder


@pytest.fixture
def odd_folder(disc_folder: Path, tmp_path: Path) -> Path:
    """A copy of `disc_folder` in which one file of each class has a name that is no valid text."""
    if os.name != "posix":
        pytest.skip("names of bytes are a matter of POSIX")
    folder = tmp_path / "odd"
    shutil.copytree(disc_folder, folder)
    for path in list(folder.glob("*/0.png")):
        path.rename(path.with_name(os.fsdecode(b"mars-\xff.png")))
    return folder


@pytest.fixture(scope="session")
def disc_paths(disc_folder: Path) -> list[str]:
    """The 24 pictures, sorted: class by class."""
    return sorted(str(path) for path in disc_folder.glob("*/*.png"))


@pytest.fixture(scope="session")
def disc_labels(disc_paths: list[str]) -> list[str]:
    """The label of each of `disc_paths`."""
    return [Path(path).parent.name for path in disc_paths]


@pytest.fixture(scope="session")
def quick_recipe() -> Recipe:
    """Eight epochs of everything at 32 pixels."""
    stage = Stage(
        name="all",
        epochs=8,
        learning_rate=5e-3,
        trainable_blocks=None,
        freeze_batch_norm=False,
    )
    return Recipe(name="quick", stages=(stage,), augmentation="none", batch_size=4, image_size=32)


@pytest.fixture(scope="session")
def trained_once(disc_folder: Path, quick_recipe: Recipe) -> PlanetClassifier:
    """A tiny classifier of discs. Do not change it."""
    return PlanetClassifier("tiny", recipe=quick_recipe, device="cpu").fit(disc_folder)


@pytest.fixture
def trained(trained_once: PlanetClassifier) -> PlanetClassifier:
    """`trained_once` with metrics of its own, which `evaluate` adds to. Do not change the rest."""
    classifier = copy.copy(trained_once)
    classifier.metrics_ = copy.deepcopy(trained_once.metrics_)
    return classifier


@pytest.fixture(scope="session")
def model_folder(trained_once: PlanetClassifier, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`trained_once` on disk. Do not write to it."""
    return trained_once.save(tmp_path_factory.mktemp("saved") / "model")


@pytest.fixture(scope="session")
def rewrite_config() -> Callable[..., None]:
    """Returns a function that changes a model's config as if it had been saved like this.

    The folder then has no hashes, as those that the first versions wrote.
    """

    def rewrite(folder: Path, **changes: Any) -> None:
        path = folder / "config.json"
        config = {**json.loads(path.read_text()), "fingerprint": None, **changes}
        kept = {name: value for name, value in config.items() if value is not None}
        path.write_text(json.dumps(kept))
        for name in ("model.safetensors", "trust.safetensors"):
            if (folder / name).is_file():
                save_file(load_file(folder / name), folder / name)
        (folder / "SHA256SUMS").unlink(missing_ok=True)

    return rewrite


@pytest.fixture
def make(quick_recipe: Recipe) -> Any:
    """Returns a function that makes a tiny classifier with these arguments."""

    def create(**arguments: Any) -> PlanetClassifier:
        settings = {"backbone": "tiny", "recipe": quick_recipe, "device": "cpu", **arguments}
        return PlanetClassifier(**settings)

    return create


@pytest.fixture
def brief(quick_recipe: Recipe) -> Recipe:
    """One epoch."""
    return replace(quick_recipe, name="brief", stages=(replace(quick_recipe.stages[0], epochs=1),))


@pytest.fixture(scope="session")
def released_model(
    disc_folder: Path, quick_recipe: Recipe, tmp_path_factory: pytest.TempPathFactory
) -> tuple[PlanetClassifier, Path]:
    """A small model and its folder, written as the released one is. Do not change either."""
    classifier = PlanetClassifier("tiny", recipe=quick_recipe, device="cpu").fit(disc_folder)
    return classifier, classifier.save(tmp_path_factory.mktemp("released") / "model", half=True)


@pytest.fixture
def released(
    released_model: tuple[PlanetClassifier, Path], monkeypatch: pytest.MonkeyPatch
) -> PlanetClassifier:
    """`released_model` where the package looks for its own."""
    classifier, folder = released_model
    monkeypatch.setattr(pretrained, "RELEASED_FOLDER", folder)
    return classifier
