"""Cross-validation: each image tested once, and going on where it was cut off."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from planetvision import read_image
from planetvision.classifiers.classifier import PlanetClassifier
from planetvision.core.errors import (
    CheckpointError,
    DataError,
    OutputError,
    OutputExistsError,
    SettingsError,
)
from planetvision.core.settings import Recipe
from planetvision.data import Catalog, read_labelled, save_manifest
from planetvision.evaluation import wilson_interval
from planetvision.evaluation.evaluator import judge_predictions
from planetvision.results import CrossValidation, EpochRecord, Predictions
from planetvision.training.callbacks import Callback
from planetvision.training.state import TrainingState
from planetvision.workflows import crossval
from planetvision.workflows.crossval import (
    can_resume_cross_validation,
    cross_validate,
    resume_cross_validation,
)
from planetvision.workflows.run import Run

Make = Callable[..., PlanetClassifier]


class Watch(Callback):
    """Counts trainings, and presses Ctrl-C in the n-th of them."""

    def __init__(self, stop_in: int = 0) -> None:
        self.stop_in = stop_in
        self.count = 0

    def on_fit_begin(self, state: TrainingState) -> None:
        self.count += 1

    def on_epoch_end(self, state: TrainingState, record: EpochRecord) -> None:
        if self.count == self.stop_in:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def two_epochs(quick_recipe: Recipe) -> Recipe:
    return replace(quick_recipe, name="two", stages=(replace(quick_recipe.stages[0], epochs=2),))


@pytest.fixture(scope="module")
def settings(two_epochs: Recipe) -> dict[str, Any]:
    return {"backbone": "tiny", "recipe": two_epochs, "device": "cpu", "random_state": 3}


class FakeRun:
    """Stands for `train_run` where a test is not about training: its models know everything."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(
        self, classifier: PlanetClassifier, part: Catalog, place: Path, **options: Any
    ) -> Run:
        self.count += 1
        test = part.get_split("test")
        labels = test.labels or ()
        predictions = Predictions(
            paths=tuple(test.names),
            sources=test.sources,
            classes=tuple(part.classes),
            probabilities=np.array([[float(a == b) for b in part.classes] for a in labels]),
            errors=("",) * len(test),
            novelty=np.zeros(len(test)),
        )
        evaluation = judge_predictions(predictions, labels, classes=part.classes)
        (place / "report").mkdir(parents=True)
        (place / "model").mkdir()
        save_manifest(part, place / "split.csv")
        predictions.to_frame().to_csv(place / "report" / "predictions.csv", index=False)
        return Run(folder=place, classifier=classifier, evaluation=evaluation)


@pytest.fixture
def fake_run(monkeypatch: pytest.MonkeyPatch) -> FakeRun:
    fake = FakeRun()
    monkeypatch.setattr(crossval, "train_run", fake)
    return fake


@pytest.fixture(scope="module")
def whole(
    settings: dict[str, Any], disc_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, CrossValidation]:
    """One that was never cut off. Do not write to it."""
    folder = tmp_path_factory.mktemp("crossval") / "whole"
    classifier = PlanetClassifier(**settings)
    result = cross_validate(classifier, disc_folder, folder, num_folds=2)
    assert not hasattr(classifier, "network_")
    return folder, result


@pytest.mark.slow
def test_each_image_is_tested_once_by_a_model_that_was_not_trained_on_it(
    whole: tuple[Path, CrossValidation], disc_paths: list[str]
) -> None:
    folder, result = whole
    table = pd.read_csv(folder / "folds.csv")
    assert list(table.columns) == ["path", "label", "group", "sha256", "fold"]
    assert table["path"].tolist() == disc_paths
    for number in (1, 2):
        tested = set(table["path"][table["fold"] == number])
        split = pd.read_csv(folder / f"fold-{number}" / "split.csv")
        assert set(split["path"][split["split"] == "test"]) == tested
        assert len(split) == 24
        assert set(split["split"]) == {"train", "val", "test"}
        model = PlanetClassifier.load(folder / f"fold-{number}" / "model", device="cpu")
        rows = [row for row, path in enumerate(disc_paths) if path in tested]
        np.testing.assert_allclose(
            result.evaluation.predictions.probabilities[rows],
            model.predict_proba([disc_paths[row] for row in rows]),
            atol=1e-6,
        )
    assert [result.folds[row] for row in range(24)] == table["fold"].tolist()
    assert pd.crosstab(table["label"], table["fold"]).to_numpy().tolist() == [[4, 4]] * 3


def test_scores_are_those_of_the_folds_and_of_all_images_together(
    whole: tuple[Path, CrossValidation],
) -> None:
    folder, result = whole
    table = pd.read_csv(folder / "predictions.csv")
    right = table["top_label"] == table["true_label"]
    shares = right.groupby(table["fold"]).mean()
    assert result.accuracy == right.mean()
    assert [score.accuracy for score in result.scores] == shares.tolist()
    assert result.mean == pytest.approx(shares.mean())
    assert result.standard_deviation == pytest.approx(shares.std())
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["accuracy_ci95"] == list(wilson_interval(int(right.sum()), 24) or ())
    assert sum(map(sum, metrics["confusion_matrix"])) == 24
    assert {"ece", "macro_f1", "balanced_accuracy"} <= set(metrics)
    assert "uncalibrated" not in metrics
    scores = pd.read_csv(folder / "scores.csv")
    assert scores["right"].tolist() == right.groupby(table["fold"]).sum().tolist()
    text = str(result)
    assert text.startswith(f"2-fold cross-validation: accuracy {right.mean():.1%} (")
    assert text.endswith(f"standard deviation {100 * shares.std():.1f} points")


def test_image_is_unknown_where_its_own_model_calls_it_so(
    whole: tuple[Path, CrossValidation],
) -> None:
    folder, result = whole
    predictions = result.evaluation.predictions
    assert predictions.threshold == 1.0
    assert predictions.novelty is not None
    for number in (1, 2):
        report = pd.read_csv(folder / f"fold-{number}" / "report" / "predictions.csv")
        rows = [row for row, fold in enumerate(result.folds) if fold == number]
        assert predictions.known[rows].tolist() == report["known"].tolist()
        ratio = report["novelty"].to_numpy() / predictions.novelty[rows]
        assert ratio == pytest.approx(ratio[0])


def test_folder_holds_what_it_says(whole: tuple[Path, CrossValidation]) -> None:
    folder, _ = whole
    assert sorted(path.name for path in folder.iterdir()) == [
        "confusion_matrix.png",
        "crossval.html",
        "crossval.json",
        "fold-1",
        "fold-2",
        "folds.csv",
        "metrics.json",
        "predictions.csv",
        "scores.csv",
    ]
    page = (folder / "crossval.html").read_text(encoding="utf-8")
    assert "2-fold cross-validation: accuracy" in page
    assert "is no standard error" in page


@pytest.mark.slow
def test_one_that_is_cut_off_in_a_training_goes_on_to_the_same_answers(
    whole: tuple[Path, CrossValidation],
    settings: dict[str, Any],
    disc_folder: Path,
    tmp_path: Path,
) -> None:
    folder = Path(shutil.copytree(whole[0], tmp_path / "cut"))
    shutil.rmtree(folder / "fold-2")
    with pytest.raises(KeyboardInterrupt):
        cross_validate(
            PlanetClassifier(**settings),
            disc_folder,
            folder,
            num_folds=2,
            callbacks=[Watch(1)],
            resume=True,
        )
    assert can_resume_cross_validation(folder)
    assert (folder / "fold-1" / "fold.json").is_file()
    assert (folder / "fold-2" / "checkpoint").is_dir()
    watch, lines = Watch(), list[str]()
    result = resume_cross_validation(folder, callbacks=[watch], say=lines.append)
    assert watch.count == 1
    assert lines == ["fold 1 of 2 is finished", "fold 2 of 2 is finished"]
    for name in ("predictions.csv", "scores.csv", "folds.csv", "metrics.json"):
        assert (folder / name).read_bytes() == (whole[0] / name).read_bytes()
    np.testing.assert_array_equal(
        result.evaluation.predictions.probabilities,
        whole[1].evaluation.predictions.probabilities,
    )


def test_finished_one_that_is_resumed_trains_nothing(
    whole: tuple[Path, CrossValidation], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(whole[0], tmp_path / "copy"))
    (folder / "scores.csv").unlink()
    watch = Watch()
    result = resume_cross_validation(folder, callbacks=[watch])
    assert watch.count == 0
    assert str(result) == str(whole[1])
    assert (folder / "scores.csv").read_bytes() == (whole[0] / "scores.csv").read_bytes()


def test_changed_data_or_settings_do_not_go_on(
    whole: tuple[Path, CrossValidation],
    settings: dict[str, Any],
    disc_folder: Path,
    tmp_path: Path,
) -> None:
    folder = Path(shutil.copytree(whole[0], tmp_path / "copy"))
    data = Path(shutil.copytree(disc_folder, tmp_path / "data"))
    table = pd.read_csv(folder / "folds.csv")
    table["path"] = [path.replace(str(disc_folder), str(data)) for path in table["path"]]
    table.to_csv(folder / "folds.csv", index=False)

    def go_on(num_folds: int = 2, **changed: Any) -> CrossValidation:
        classifier = PlanetClassifier(**{**settings, **changed})
        return cross_validate(classifier, data, folder, num_folds=num_folds, resume=True)

    assert str(go_on(num_workers=0)) == str(whole[1])
    with pytest.raises(CheckpointError, match=r"random_state: it was 3, now it is 4"):
        go_on(random_state=4)
    with pytest.raises(CheckpointError, match="num_folds: it was 2, now it is 3"):
        go_on(num_folds=3)
    shutil.copy(data / "red" / "1.png", data / "red" / "0.png")
    with pytest.raises(CheckpointError, match=r": '.*red/0\.png' has changed"):
        go_on()
    (data / "red" / "0.png").rename(data / "red" / "9.png")
    with pytest.raises(CheckpointError, match=r"red/0\.png' is gone\n  - '.*red/9\.png' is new"):
        go_on()


def test_groups_and_near_copies_stay_in_one_fold(
    make: Make, fake_run: FakeRun, disc_paths: list[str], disc_labels: list[str], tmp_path: Path
) -> None:
    # Two given groups of three images a class, and a copy of an image outside of them.
    copy = shutil.copy(disc_paths[7], tmp_path / "copy.png")
    groups = [f"{label} {row % 8 // 3}" if row % 8 < 6 else None for row, label in
              enumerate(disc_labels)]  # fmt: skip
    result = cross_validate(
        make(),
        [*disc_paths, str(copy)],
        tmp_path / "out",
        num_folds=2,
        labels=[*disc_labels, disc_labels[7]],
        groups=[*groups, None],
        keep_models=False,
    )
    folds: dict[str, set[int]] = {}
    for group, fold in zip(groups, result.folds, strict=False):
        if group is not None:
            folds.setdefault(group, set()).add(fold)
    assert len(folds) == 6
    assert all(len(found) == 1 for found in folds.values())
    assert result.folds[24] == result.folds[7]
    assert not (tmp_path / "out" / "fold-1" / "model").exists()
    split = read_labelled(tmp_path / "out" / "fold-1" / "split.csv")
    homes: dict[Any, set[str]] = {}
    for given, part in zip(groups, split.splits or (), strict=False):
        homes.setdefault(given, set()).add(part)
    assert all(len(parts) == 1 for group, parts in homes.items() if group is not None)
    with pytest.raises(CheckpointError, match="given its images as a list"):
        resume_cross_validation(tmp_path / "out")


def test_images_in_memory_and_files_that_cannot_be_read_are_found_again(
    make: Make, fake_run: FakeRun, disc_paths: list[str], disc_labels: list[str], tmp_path: Path
) -> None:
    images = [b"no image", *(read_image(path) for path in disc_paths)]
    labels = ["red", *disc_labels]
    classifier = make(on_error="skip", group_duplicates=False, rejection_rate=0)

    def run(**more: Any) -> CrossValidation:
        return cross_validate(
            classifier, images, tmp_path / "out", num_folds=2, labels=labels, **more
        )

    with pytest.warns(match="1 of 25 files cannot be read"):
        first = run()
    assert first.evaluation.metrics["n"] == 24
    assert first.evaluation.predictions.known.all()
    again = run(resume=True)
    assert fake_run.count == 2
    assert str(again) == str(first)
    images[1], images[2] = images[2], images[1]
    with pytest.raises(CheckpointError, match="'<array 1>' has changed"):
        run(resume=True)


def test_wrong_calls_fail_before_any_training(
    make: Make,
    whole: tuple[Path, CrossValidation],
    disc_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    classifier, out = make(), tmp_path / "out"
    with pytest.raises(SettingsError, match="`num_folds` must be a whole number of at least 2"):
        cross_validate(classifier, disc_folder, out, num_folds=1)
    with pytest.raises(DataError, match="needs at least 9 images"):
        cross_validate(classifier, disc_folder, out, num_folds=9)
    with pytest.raises(OutputExistsError, match="is not empty"):
        cross_validate(classifier, disc_folder, whole[0])
    with pytest.raises(OutputError, match="lies in the data folder"):
        cross_validate(classifier, disc_folder, disc_folder / "out")
    with pytest.raises(CheckpointError, match="holds no cross-validation to resume"):
        resume_cross_validation(tmp_path)
    with pytest.raises(SettingsError, match="Unknown head"):
        cross_validate(make(head="liner"), disc_folder, out)
    few = [path for path in sorted(disc_folder.glob("*/*.png")) if path.stem in "01"]
    labels = [path.parent.name for path in few]
    # A fold each: the other one cannot be cut into what trains and what validates.
    with pytest.raises(DataError, match=r"train/ of fold 1 of the list of 6 images needs at leas"):
        cross_validate(classifier, list(map(str, few)), out, num_folds=2, labels=labels)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(SettingsError, match="in one process, got 2"):
        cross_validate(classifier, disc_folder, out)
    assert not out.exists()


@pytest.mark.slow
def test_overwriting_leaves_no_fold_of_an_earlier_one_and_a_lost_fold_is_trained_again(
    make: Make, fake_run: FakeRun, disc_folder: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    cross_validate(make(), disc_folder, folder, num_folds=4)
    (folder / "fold-mine").mkdir()
    cross_validate(make(), disc_folder, folder, num_folds=3, overwrite=True)
    assert fake_run.count == 4 + 3
    left = sorted(path.name for path in folder.glob("fold-*"))
    assert left == ["fold-1", "fold-2", "fold-3", "fold-mine"]
    shutil.rmtree(folder / "fold-2")
    resume_cross_validation(folder)
    assert fake_run.count == 4 + 3 + 1
