"""A run on disk."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from planetvision.classifiers.classifier import PlanetClassifier
from planetvision.core.errors import CheckpointError, OutputError, OutputExistsError
from planetvision.core.settings import Recipe
from planetvision.data import read_labelled
from planetvision.results import EpochRecord
from planetvision.training.callbacks import Callback
from planetvision.training.recipes import RECIPES
from planetvision.training.state import TrainingState
from planetvision.workflows.run import can_resume, read_start, resume_run, train_run


@pytest.fixture
def classifier(quick_recipe: Recipe) -> PlanetClassifier:
    return PlanetClassifier("tiny", recipe=quick_recipe, device="cpu")


@pytest.fixture
def brief(quick_recipe: Recipe) -> Recipe:
    """One epoch."""
    return replace(quick_recipe, name="brief", stages=(replace(quick_recipe.stages[0], epochs=1),))


def test_run_writes_what_it_says(
    classifier: PlanetClassifier, disc_folder: Path, tmp_path: Path
) -> None:
    run = train_run(classifier, disc_folder, tmp_path / "run")
    names = sorted(path.name for path in run.folder.iterdir())
    assert names == ["history.csv", "history.png", "model", "report", "run.json", "split.csv"]
    assert len(pd.read_csv(run.folder / "history.csv")) == 8
    manifest = pd.read_csv(run.folder / "split.csv")
    assert manifest["split"].value_counts().to_dict() == {"train": 18, "val": 3, "test": 3}
    assert list(manifest.columns) == ["path", "label", "split", "group", "sha256"]
    again = read_labelled(run.folder / "split.csv")
    assert again.splits == classifier.split_.splits
    assert again.labels == classifier.split_.labels
    metrics = json.loads((run.folder / "report" / "metrics.json").read_text())
    assert run.evaluation is not None
    assert metrics["accuracy"] == run.evaluation.accuracy
    config = json.loads((run.folder / "model" / "config.json").read_text())
    assert config["metrics"]["test"]["accuracy"] == metrics["accuracy"]


@pytest.mark.slow
def test_run_without_a_test_part_has_no_report(
    classifier: PlanetClassifier, disc_folder: Path, tmp_path: Path
) -> None:
    classifier.set_params(test_fraction=0)
    run = train_run(classifier, disc_folder, tmp_path / "run")
    assert run.evaluation is None
    assert not (run.folder / "report").exists()
    assert (run.folder / "model" / "config.json").is_file()


@pytest.mark.slow
def test_callback_may_write_into_the_run(
    classifier: PlanetClassifier, disc_folder: Path, tmp_path: Path
) -> None:
    class Log(Callback):
        def on_fit_begin(self, state: object) -> None:
            (tmp_path / "run" / "log").mkdir(parents=True)

    run = train_run(classifier, disc_folder, tmp_path / "run", callbacks=[Log()])
    assert (run.folder / "log").is_dir()
    assert (run.folder / "model").is_dir()


def test_output_that_exists_is_refused_before_training(
    classifier: PlanetClassifier, disc_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "mine.txt").touch()
    with pytest.raises(OutputExistsError, match="is not empty"):
        train_run(classifier, disc_folder, tmp_path)
    assert not hasattr(classifier, "network_")


@pytest.mark.parametrize("place", ["", "run", "red/deep/run"])
def test_output_into_the_data_folder_is_refused_before_training(
    place: str, classifier: PlanetClassifier, disc_folder: Path, tmp_path: Path
) -> None:
    data = Path(shutil.copytree(disc_folder, tmp_path / "data"))
    before = sorted(data.rglob("*"))
    with pytest.raises(OutputError, match=r"lies in the data folder '.*data', where it would be"):
        train_run(classifier, data, data / place, overwrite=True)
    assert not hasattr(classifier, "network_")
    assert sorted(data.rglob("*")) == before


@pytest.mark.slow
def test_output_beside_the_data_folder_is_taken(
    classifier: PlanetClassifier, disc_folder: Path, tmp_path: Path, brief: Recipe
) -> None:
    data = Path(shutil.copytree(disc_folder, tmp_path / "data"))
    classifier.set_params(test_fraction=0, recipe=brief)
    assert train_run(classifier, data, tmp_path / "data_run").folder.is_dir()


@pytest.mark.slow
def test_evaluation_that_fails_leaves_the_model(
    classifier: PlanetClassifier,
    brief: Recipe,
    disc_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(self: PlanetClassifier) -> None:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(PlanetClassifier, "evaluate", fail)
    classifier.set_params(recipe=brief)
    with pytest.raises(RuntimeError, match="out of memory"):
        train_run(classifier, disc_folder, tmp_path / "run")
    loaded = PlanetClassifier.load(tmp_path / "run" / "model", device="cpu")
    image = next(disc_folder.rglob("*.png"))
    np.testing.assert_array_equal(loaded.predict_proba(image), classifier.predict_proba(image))
    assert (tmp_path / "run" / "split.csv").is_file()
    assert (tmp_path / "run" / "history.csv").is_file()


@pytest.mark.slow
def test_run_without_a_test_part_over_another_removes_its_report(
    classifier: PlanetClassifier, brief: Recipe, disc_folder: Path, tmp_path: Path
) -> None:
    classifier.set_params(recipe=brief)
    folder = train_run(classifier, disc_folder, tmp_path / "run").folder
    assert (folder / "report" / "metrics.json").is_file()
    classifier.set_params(test_fraction=0)
    train_run(classifier, disc_folder, folder, overwrite=True)
    assert not (folder / "report").exists()
    assert "test" not in json.loads((folder / "model" / "config.json").read_text())["metrics"]


class Interrupt(Callback):
    """Ctrl-C in the n-th epoch."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def on_epoch_end(self, state: TrainingState, record: EpochRecord) -> None:
        if record.epoch == self.epoch:
            raise KeyboardInterrupt


@pytest.mark.slow
def test_run_that_is_cut_off_goes_on_to_the_same_model(
    quick_recipe: Recipe, disc_folder: Path, tmp_path: Path
) -> None:
    def make() -> PlanetClassifier:
        return PlanetClassifier(
            "tiny",
            recipe=quick_recipe,
            device="cpu",
            random_state=np.int64(4),  # type: ignore[arg-type]
            class_map={"blue": "cold"},
        )

    whole = train_run(make(), disc_folder, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train_run(make(), disc_folder, tmp_path / "cut", callbacks=[Interrupt(5)])
    assert can_resume(tmp_path / "cut")
    assert not (tmp_path / "cut" / "model").exists()
    run = resume_run(tmp_path / "cut")
    np.testing.assert_array_equal(
        run.classifier.predict_proba(disc_folder), whole.classifier.predict_proba(disc_folder)
    )
    assert sorted(path.name for path in run.folder.iterdir()) == sorted(
        path.name for path in whole.folder.iterdir()
    )
    assert len(run.classifier.history_) == len(whole.classifier.history_)
    assert not can_resume(run.folder)
    with pytest.raises(CheckpointError, match="it is finished"):
        resume_run(run.folder)


@pytest.mark.slow
def test_run_with_changed_data_does_not_go_on(
    brief: Recipe, disc_folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(disc_folder, tmp_path / "data")
    classifier = PlanetClassifier("tiny", recipe=brief, device="cpu")
    with pytest.raises(KeyboardInterrupt):
        train_run(classifier, tmp_path / "data", tmp_path / "run", callbacks=[Interrupt(1)])
    (tmp_path / "data" / "red" / "0.png").unlink(missing_ok=True)
    for path in list((tmp_path / "data" / "red").iterdir())[:3]:
        path.unlink()
    with pytest.raises(CheckpointError, match=r"train\.images: it was 18, now it is"):
        resume_run(tmp_path / "run")


@pytest.mark.slow
def test_run_of_a_list_goes_on_with_the_same_list(
    brief: Recipe, disc_paths: list[str], disc_labels: list[str], tmp_path: Path
) -> None:
    classifier = PlanetClassifier("tiny", recipe=brief, device="cpu")
    with pytest.raises(KeyboardInterrupt):
        train_run(
            classifier,
            disc_paths,
            tmp_path / "run",
            labels=disc_labels,
            callbacks=[Interrupt(1)],
        )
    with pytest.raises(CheckpointError, match=r"given its images as a list.*resume=True"):
        resume_run(tmp_path / "run")
    run = train_run(classifier, disc_paths, tmp_path / "run", labels=disc_labels, resume=True)
    assert run.evaluation is not None
    with pytest.raises(CheckpointError, match="it is finished"):
        resume_run(run.folder)


def test_folder_without_a_run_cannot_go_on(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="holds no run to resume"):
        resume_run(tmp_path)
    assert not can_resume(tmp_path)


def test_start_of_a_run_by_the_recipe_that_is_gone_names_its_stages(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    path.write_text(json.dumps({"data": None, "settings": {"backbone": "tiny", "recipe": "best"}}))
    settings = read_start(path, (), noun="run")["settings"]
    classifier = PlanetClassifier.from_settings(settings)
    assert isinstance(classifier.recipe, Recipe)
    assert classifier.recipe == replace(RECIPES.get("balanced").build(), name="best")
    # What a run stores of the recipe is what it reads.
    assert json.loads(json.dumps(classifier.to_settings()["recipe"])) == settings["recipe"]
