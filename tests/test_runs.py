"""A run on disk."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from planetvision.classifier import PlanetClassifier
from planetvision.config import Recipe
from planetvision.errors import OutputError, OutputExistsError
from planetvision.runs import train_run
from planetvision.training.callbacks import Callback


@pytest.fixture
def classifier(quick_recipe: Recipe) -> PlanetClassifier:
    return PlanetClassifier("tiny", recipe=quick_recipe, device="cpu")


def test_run_writes_what_it_says(
    classifier: PlanetClassifier, disc_folder: Path, tmp_path: Path
) -> None:
    run = train_run(classifier, disc_folder, tmp_path / "run")
    names = sorted(path.name for path in run.folder.iterdir())
    assert names == ["history.csv", "history.png", "model", "report", "split.csv"]
    assert len(pd.read_csv(run.folder / "history.csv")) == 8
    manifest = pd.read_csv(run.folder / "split.csv")
    assert manifest["split"].value_counts().to_dict() == {"train": 18, "val": 3, "test": 3}
    metrics = json.loads((run.folder / "report" / "metrics.json").read_text())
    assert run.evaluation is not None
    assert metrics["accuracy"] == run.evaluation.accuracy
    config = json.loads((run.folder / "model" / "config.json").read_text())
    assert config["metrics"]["test"]["accuracy"] == metrics["accuracy"]


def test_run_without_a_test_part_has_no_report(
    classifier: PlanetClassifier, disc_folder: Path, tmp_path: Path
) -> None:
    classifier.set_params(test_fraction=0)
    run = train_run(classifier, disc_folder, tmp_path / "run")
    assert run.evaluation is None
    assert not (run.folder / "report").exists()
    assert (run.folder / "model" / "config.json").is_file()


def test_callback_may_write_into_the_run(
    classifier: PlanetClassifier, disc_folder: Path, tmp_path: Path
) -> None:
    class Log(Callback):
        def on_fit_begin(self, trainer: object) -> None:
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


def test_output_into_the_data_folder_is_refused(
    classifier: PlanetClassifier, disc_folder: Path
) -> None:
    with pytest.raises(OutputError, match="is the data folder itself"):
        train_run(classifier, disc_folder, disc_folder, overwrite=True)
    assert not hasattr(classifier, "network_")
