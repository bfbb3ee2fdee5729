"""The script of the released model: what it does once, and when it refuses to go on."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from planetvision.classifiers.classifier import PlanetClassifier
from planetvision.data import read_image
from planetvision.render import render_dataset

STEPS = ("renders", "other bodies", "non-planets", "pictures", "views", "table", "training")
SCRIPT = Path(__file__).parents[2] / "release" / "train.py"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script with next to nothing to draw."""
    spec = importlib.util.spec_from_file_location("release_train", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    numbers = {
        "SIZE": 32, "RENDERS_PER_BODY": 3, "OTHERS_PER_BODY": 1,
        "NUM_NON_PLANETS": 3, "NUM_PICTURES": 4,
        "VIEWS_PER_IMAGE": 1, "VAL_EVERY": 2,
    }  # fmt: skip
    for name, value in numbers.items():
        monkeypatch.setattr(module, name, value)
    return module


@pytest.fixture
def folders(rendered_folder: Path, tmp_path: Path) -> dict[str, Path]:
    """Renders of a simulator, some of which share a stem, and a map."""
    eyes = Path(shutil.copytree(rendered_folder, tmp_path / "eyes"))
    (eyes / "renders.csv").unlink()
    for body in eyes.iterdir():
        for path in sorted(body.iterdir())[:2]:
            Image.open(path).save(body / f"same.{'png' if path.stem[-1] == '0' else 'bmp'}")
            path.unlink()
    (tmp_path / "maps").mkdir()
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 255, (32, 64, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "maps" / "mars.png")
    for place in ("photos/cat.png", "photos/sub/dog.jpg", "drawings/tree.png", "drawings/moon.png"):
        path = tmp_path / "pictures" / place
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (120, 160, 3), dtype=np.uint8)).save(path)
    Image.new("RGB", (20, 20)).save(tmp_path / "pictures" / "drawings" / "small.png")
    (tmp_path / "pictures" / "photos" / "broken.png").write_bytes(b"no picture")
    return {name: tmp_path / name for name in ("eyes", "maps", "pictures", "work", "out")}


class Training:
    """Stands in for the training: counts its calls, and leaves a model or is cut off."""

    def __init__(self, model: PlanetClassifier) -> None:
        self.model = model
        self.tables: list[pd.DataFrame] = []
        self.is_cut_off = False

    def __call__(self, classifier: Any, data: Path, folder: Path, **options: Any) -> None:
        self.tables.append(pd.read_csv(data))
        if self.is_cut_off:
            raise KeyboardInterrupt
        self.model.save(folder / "model")


@pytest.fixture
def training(
    script: ModuleType, trained: PlanetClassifier, monkeypatch: pytest.MonkeyPatch
) -> Training:
    stand_in = Training(trained)
    monkeypatch.setattr(script, "train_run", stand_in)
    return stand_in


@pytest.fixture
def start(
    script: ModuleType,
    folders: dict[str, Path],
    training: Training,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., None]:
    """Runs the script on the folders, its training replaced."""
    named = [f"--{name}={folders[name]}" for name in ("maps", "pictures", "work", "out")]

    def run(*more: str) -> None:
        monkeypatch.setattr(sys, "argv", ["train.py", str(folders["eyes"]), *named, *more])
        script.main()

    return run


@pytest.mark.slow
def test_finished_training_is_not_repeated_and_its_model_is_written_again(
    start: Callable[..., None],
    folders: dict[str, Path],
    training: Training,
    capsys: pytest.CaptureFixture[str],
) -> None:
    start()
    shutil.rmtree(folders["out"])
    capsys.readouterr()
    start()
    assert len(training.tables) == 1
    told = capsys.readouterr().out
    for name in STEPS:
        assert f"{name}: done before" in told
    assert "No photograph" in (folders["out"] / "PROVENANCE.md").read_text(encoding="utf-8")
    loaded = PlanetClassifier.load(folders["out"])
    assert loaded.classes_.tolist() == training.model.classes_.tolist()


def test_step_that_is_cut_off_is_done_again(
    start: Callable[..., None], folders: dict[str, Path], training: Training
) -> None:
    training.is_cut_off = True
    with pytest.raises(KeyboardInterrupt):
        start()
    training.is_cut_off = False
    start()
    assert len(training.tables) == 2
    assert (folders["out"] / "config.json").is_file()


@pytest.mark.slow
def test_images_of_the_same_stem_have_views_of_their_own(
    start: Callable[..., None], folders: dict[str, Path], training: Training
) -> None:
    start()
    (table,) = training.tables
    assert table["path"].is_unique
    views = [path for path in table["path"] if Path(path).is_relative_to(folders["work"] / "views")]
    assert len(views) == len(list((folders["work"] / "views").rglob("*.png")))
    from_eyes = table[table["path"].str.startswith(str(folders["eyes"]))]
    assert len(from_eyes) == 42
    assert len(views) == (from_eyes["split"] != "test").sum()


@pytest.mark.slow
def test_pictures_are_whole_and_in_part_without_small_broken_and_named_ones(
    start: Callable[..., None], folders: dict[str, Path]
) -> None:
    start()
    taken = sorted((folders["work"] / "negatives" / "pictures").iterdir())
    assert [path.name for path in taken] == [
        f"{number:05d}_{name}.png" for number in range(3) for name in ("part", "whole")
    ]
    for path in taken:
        with Image.open(path) as picture:
            assert max(picture.size) <= 64


def change_map(script: ModuleType, folders: dict[str, Path]) -> None:
    Image.new("RGB", (64, 32)).save(folders["maps"] / "mars.png")


def change_eyes(script: ModuleType, folders: dict[str, Path]) -> None:
    next(folders["eyes"].rglob("*.png")).unlink()


def change_number(script: ModuleType, folders: dict[str, Path]) -> None:
    script.NUM_NON_PLANETS = 4  # type: ignore[attr-defined]


def change_code(script: ModuleType, folders: dict[str, Path]) -> None:
    script.fingerprint_code = lambda: "another"  # type: ignore[attr-defined]


def change_mark(script: ModuleType, folders: dict[str, Path]) -> None:
    (folders["work"] / ".table").write_text("")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "name", "what"),
    [
        (change_map, "renders", "maps"),
        (change_eyes, "views", "eyes"),
        (change_number, "non-planets", "count"),
        (change_code, "renders", "code"),
        (change_mark, "table", "renders, views, val_every"),
    ],
)
def test_results_of_other_inputs_are_refused_before_anything_is_done(
    change: Any,
    name: str,
    what: str,
    start: Callable[..., None],
    script: ModuleType,
    folders: dict[str, Path],
    training: Training,
) -> None:
    start()
    shutil.rmtree(folders["out"])
    change(script, folders)
    with pytest.raises(
        SystemExit, match=rf"holds '{name}' made from other inputs \({what}\)\. Name"
    ):
        start()
    assert not folders["out"].exists()


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ("maps", r"2:1|twice as wide"),
        ("eyes", r"no image|folder"),
    ],
)
def test_wrong_folder_leaves_no_mark(
    named: str, message: str, start: Callable[..., None], folders: dict[str, Path]
) -> None:
    shutil.rmtree(folders[named])
    folders[named].mkdir()
    if named == "maps":
        Image.new("RGB", (64, 64)).save(folders["maps"] / "mars.png")
    with pytest.raises(SystemExit, match=message):
        start()
    assert not folders["work"].exists()


def test_results_of_another_recipe_are_refused(
    start: Callable[..., None], folders: dict[str, Path]
) -> None:
    start()
    with pytest.raises(SystemExit, match=r"holds 'training' made from other inputs \(settings\)"):
        start("--recipe", "probe")


def test_other_bodies_of_a_few_pixels_teach_nothing(
    script: ModuleType, folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(script, "OTHERS_PER_BODY", 30)
    assert "rhea" in script.OTHERS
    assert "dione" not in script.OTHERS
    monkeypatch.setattr(script, "OTHERS", ("io",))
    script.draw_other_bodies(tmp_path / "bodies", folders["maps"])
    drawn = render_dataset(count=30, image_size=32, seed=script.SEED, bodies=["io"], look="photo")
    large = [it.image for it in drawn if float(it.parameters["radius_pixels"]) >= 14 * 32 / 224]
    assert 10 < len(large) < 30
    taken = [read_image(path) for path in sorted((tmp_path / "bodies" / "io").iterdir())]
    np.testing.assert_array_equal(taken, large)
