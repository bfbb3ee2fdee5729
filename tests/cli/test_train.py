"""The commands that train: what they write, what they say, and how they end."""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path

import pandas as pd
import pytest
from tests.calling import FROZEN, QUICK, TrainedRun, call, train_arguments

from planetvision.classifiers.classifier import PlanetClassifier
from planetvision.core.text import format_share
from planetvision.results import EpochRecord
from planetvision.training.stage_run import StageRun
from planetvision.training.trainer import Trainer
from planetvision.workflows.demo import DemoResult


def test_train_writes_the_run_and_shows_the_numbers(run: TrainedRun) -> None:
    assert run.result.code == 0
    said = run.result.err.splitlines()
    assert len(said) == 2
    assert said[0].startswith("Warning: 24 images have less than 64 pixels")
    assert said[1].startswith("Warning: On the 3 images of the validation part the network is")
    assert sorted(path.name for path in run.folder.iterdir()) == [
        "history.csv",
        "history.png",
        "model",
        "report",
        "run.json",
        "split.csv",
        "tensorboard",
    ]
    split = pd.read_csv(run.folder / "split.csv")
    assert list(split.columns) == ["path", "label", "split", "group", "sha256"]
    assert split["split"].value_counts().to_dict() == {"train": 18, "val": 3, "test": 3}
    assert {path.name for path in (run.folder / "report").iterdir()} >= {
        "classification_report.csv",
        "confusion_matrix.png",
        "confusion_matrix_normalized.png",
        "gradcam_grid.png",
        "metrics.json",
        "per_class_accuracy.png",
        "prediction_grid.png",
    }
    metrics = json.loads((run.folder / "report" / "metrics.json").read_text())
    assert set(metrics) >= {
        "accuracy",
        "accuracy_ci95",
        "classes",
        "confusion_matrix",
        "macro_f1",
        "n",
        "per_class",
    }
    assert f"accuracy {format_share(metrics['accuracy'])} (" in run.result.out
    assert "of 3; 95 % interval" in run.result.out
    assert str(run.folder / "model") in run.result.out
    assert any((run.folder / "tensorboard").iterdir())


def test_train_passes_its_options_on(run: TrainedRun) -> None:
    config = json.loads((run.folder / "model" / "config.json").read_text())
    assert config["settings"]["random_state"] == 1
    assert config["backbone"]["name"] == "tiny"
    assert config["recipe"]["name"] == "quick"


def test_demo_passes_its_options_on_and_names_what_to_look_at(
    trained: PlanetClassifier,
    disc_paths: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: dict[str, object] = {}

    def run_demo(folder: Path, **options: object) -> DemoResult:
        seen.update(options)
        return DemoResult(
            folder=folder,
            backbone="tiny",
            evaluation=trained.evaluate(),
            predictions=trained.predict(disc_paths[:4]),
            fresh_right=3,
            negatives_unknown=0,
            seconds=12.3,
        )

    monkeypatch.setattr("planetvision.workflows.demo.run_demo", run_demo)
    result = call("demo", "--out", tmp_path / "d", "--count", 9, "--image-size", 64, "--quiet")
    assert result.code == 0
    del seen["say"]
    assert seen == {
        "count": 9, "image_size": 64, "seed": 0, "overwrite": False, "progress": False
    }  # fmt: skip
    assert "fresh images: 3 of 4 right; 0 of 0 negatives" in result.out
    assert "12 s" in result.out
    assert str(tmp_path / "d" / "predictions" / "collage.png") in result.out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--image-size", "0"], "`image_size` must be an integer of at least 16, got 0"),
        (["--backbone", "tinny"], "Unknown backbone 'tinny'. Did you mean 'tiny'?"),
        (["--backbone", "timm:resnet188"], "Did you mean"),
        (["--head", "liner"], "Unknown head 'liner'. Did you mean 'linear'?"),
        (["--device", "gpu"], "`device` must be"),
        (["--device", "cpu", "--precision", "fp16"], "'fp16' needs a CUDA device"),
        (["--weights", "nowhere.pth"], "there is no file 'nowhere.pth'"),
        (["--batch-size", "0"], "`batch_size` must be"),
        (["--precision", "fp8"], "fp8"),
        (["--performance", "turbo"], "Known: allocator, threads, channels_last"),
        (["--tta", "body+flip"], "'flip' is not a test-time augmentation. Did you mean 'flips'?"),
        (["--colour", "red"], "--colour"),
    ],
)
def test_wrong_option_ends_with_2_and_writes_nothing(
    options: list[str], message: str, disc_folder: Path, tmp_path: Path
) -> None:
    result = call(*train_arguments(disc_folder, tmp_path / "run"), *options)
    assert result.code == 2
    assert message in result.err
    assert result.out == ""
    assert not (tmp_path / "run").exists()


def test_two_wrong_options_are_reported_together(disc_folder: Path, tmp_path: Path) -> None:
    options = ["--backbone", "tinny", "--head", "liner"]
    result = call(*train_arguments(disc_folder, tmp_path / "run"), *options)
    assert result.code == 2
    assert "Error: 2 settings are wrong:" in result.err
    assert "'tinny'" in result.err
    assert "'liner'" in result.err


@pytest.fixture
def damaged(disc_folder: Path, tmp_path: Path) -> Path:
    folder = Path(shutil.copytree(disc_folder, tmp_path / "damaged"))
    (folder / "red" / "text.png").write_text("no image")
    (folder / "blue" / "empty.png").touch()
    return folder


@pytest.mark.slow
def test_train_that_is_interrupted_says_how_to_go_on_and_does(
    disc_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_epoch = Trainer.run_epoch

    def interrupt(self: Trainer, run: StageRun) -> EpochRecord:
        if len(self.state.history) == 3:
            raise KeyboardInterrupt
        return run_epoch(self, run)

    folder = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "run_epoch", interrupt)
        result = call(*train_arguments(disc_folder, folder), "--num-workers", 0)
    assert result.code == 130
    assert f"Interrupted. Resume with: planetvision train --resume {folder}" in result.err
    assert not (folder / "model").exists()

    def interrupt_reading(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("planetvision.classifiers.fitting.prepare_catalog", interrupt_reading)
        early = call(*train_arguments(disc_folder, folder), "--overwrite")
    assert early.code == 130
    assert "Interrupted too early" in early.err  # the other run is not this one
    for wrong in (["--seed", 3], [disc_folder]):
        refused = call("train", "--resume", folder, *wrong)
        assert refused.code == 2
        assert "`--resume`" in refused.err
    resumed = call("train", "--resume", folder, "--quiet")
    assert resumed.code == 0
    assert (folder / "model" / "config.json").is_file()
    assert not (folder / "checkpoint").exists()
    again = call("train", "--resume", folder)
    assert again.code == 2
    assert "it is finished" in again.err


def test_train_without_data_or_folder_says_what_is_missing(tmp_path: Path) -> None:
    result = call("train", "--out", tmp_path / "run")
    assert result.code == 2
    assert "A new run needs DATA and --out, got no DATA." in result.err


def test_train_on_unreadable_files_names_them_all_and_ends_with_2(
    damaged: Path, tmp_path: Path
) -> None:
    result = call(*train_arguments(damaged, tmp_path / "run"))
    assert result.code == 2
    assert "2 of 26 files" in result.err
    assert "text.png" in result.err
    assert "empty.png" in result.err
    assert "--on-error skip" in result.err
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_train_that_skips_unreadable_files_names_them_and_ends_with_1(
    damaged: Path, tmp_path: Path
) -> None:
    result = call(*train_arguments(damaged, tmp_path / "run"), "--on-error", "skip")
    assert result.code == 1
    assert "Warning: 2 of 26 files cannot be read and are left out" in result.err
    assert "text.png" in result.err
    assert len(pd.read_csv(tmp_path / "run" / "split.csv")) == 24
    assert (tmp_path / "run" / "model" / "config.json").is_file()


@pytest.mark.slow
def test_warnings_of_ours_are_lines_whatever_the_filters(
    run: TrainedRun, disc_folder: Path, disc_paths: list[str], tmp_path: Path
) -> None:
    data = Path(shutil.copytree(disc_folder, tmp_path / "data"))
    shutil.copy(disc_paths[0], data / "loose.png")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = call(
            "evaluate", run.folder / "model", data, "--out", tmp_path / "report", "--quiet"
        )
    lines = [line for line in result.err.splitlines() if line.startswith("Warning: ")]
    assert len(lines) == 1
    assert lines[0].startswith(f"Warning: 1 image in '{data}' itself, beside the class folders")
    assert ".py:" not in result.err
    assert result.code == 1


@pytest.mark.slow
def test_warning_that_leaves_nothing_out_ends_with_0(disc_folder: Path, tmp_path: Path) -> None:
    arguments = train_arguments(disc_folder, tmp_path / "run")
    result = call(*(FROZEN if argument == QUICK else argument for argument in arguments))
    assert "Warning: The backbone 'tiny' starts without pretrained weights" in result.err
    assert result.code == 0


def test_crossval_hands_its_options_over(
    disc_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, object] = {}

    def record(classifier: PlanetClassifier, data: Path, folder: Path, **options: object) -> None:
        given.update(classifier.get_params(deep=False), data=data, folder=folder, **options)
        raise KeyboardInterrupt

    monkeypatch.setattr("planetvision.workflows.crossval.cross_validate", record)
    out = tmp_path / "out"
    options = [
        "--folds", 3, "--no-keep-models", "--backbone", "tiny", "--recipe", QUICK, "--head", "mlp",
        "--augment", "none", "--scheduler", "cosine", "--image-size", 40, "--framing", "body",
        "--tta", "body", "--stretch", "asinh", "--batch-size", 3, "--weights", "none", "--seed", 5,
        "--device", "cpu", "--precision", "fp32", "--num-workers", 0, "--performance", "none",
        "--on-error", "skip", "--column", "path=file", "--class", "red=rouge",
        "--no-group-duplicates", "--cache", "off", "--cache-gigabytes", 1, "--ood-score",
        "knn", "--rejection-rate", 0.1, "--max-minutes", 9, "--compile", "--overwrite", "--quiet",
    ]  # fmt: skip
    result = call("crossval", disc_folder, "--out", out, *options)
    assert result.code == 130
    assert "Interrupted too early" in result.err
    expected = {
        "num_folds": 3, "keep_models": False, "backbone": "tiny", "recipe": QUICK, "head": "mlp",
        "augmentation": "none", "scheduler": "cosine", "image_size": 40, "framing": "body",
        "tta": "body", "stretch": "asinh", "batch_size": 3, "weights": "none", "random_state": 5,
        "device": "cpu", "precision": "fp32", "num_workers": 0, "performance": "none",
        "on_error": "skip", "columns": {"path": "file"}, "class_map": {"red": "rouge"},
        "group_duplicates": False, "cache": "off", "cache_gigabytes": 1, "ood_score": "knn",
        "rejection_rate": 0.1, "max_minutes": 9, "compile": True, "overwrite": True,
        "data": disc_folder, "folder": out, "progress": False, "say": None,
    }  # fmt: skip
    assert {name: given[name] for name in expected} == expected
    (out / "crossval.json").parent.mkdir()
    (out / "crossval.json").write_text("{}")
    result = call("crossval", "--resume", out)
    assert result.code == 2
    assert "holds no cross-validation to resume" in result.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "`planetvision crossval DATA --out RUN`, or `planetvision crossval --resume RUN`"),
        (["--resume", "DIR", "--folds", "3"], "got --folds"),
        (["DATA", "--out", "DIR", "--folds", "1"], "must be a whole number of at least 2, got 1"),
    ],
)
def test_crossval_that_is_called_wrongly_ends_with_2(
    arguments: list[str], message: str, disc_folder: Path, tmp_path: Path
) -> None:
    places = {"DATA": disc_folder, "DIR": tmp_path / "out"}
    result = call("crossval", *(places.get(argument, argument) for argument in arguments))
    assert result.code == 2
    assert message in result.err
    assert not (tmp_path / "out").exists()


def test_train_into_the_data_folder_ends_with_2_and_writes_nothing(
    disc_folder: Path, tmp_path: Path
) -> None:
    data = Path(shutil.copytree(disc_folder, tmp_path / "data"))
    result = call(*train_arguments(data, data / "run"))
    assert result.code == 2
    assert f"The output folder '{data / 'run'}' lies in the data folder" in result.err
    assert not (data / "run").exists()


@pytest.mark.slow
def test_train_takes_a_table_class_names_and_a_cache(disc_folder: Path, tmp_path: Path) -> None:
    rows = [(path, path.parent.name) for path in sorted(disc_folder.glob("*/*.png"))]
    pd.DataFrame(rows, columns=["where", "what"]).to_csv(tmp_path / "table.csv", index=False)
    result = call(
        *train_arguments(tmp_path / "table.csv", tmp_path / "run"),
        "--column", "path=where", "--column", "label=what", "--class", "blue=cold",
        "--class", "green=", "--cache", tmp_path / "cache", "--cache-gigabytes", "0.1",
        "--no-group-duplicates", "--stretch", "asinh", "--tta", "rotations+body",
    )  # fmt: skip
    assert result.code == 0, result.err
    model = PlanetClassifier.load(tmp_path / "run" / "model")
    assert model.classes_.tolist() == ["cold", "red"]
    assert (model.stretch, model.group_duplicates) == ("asinh", False)
    assert model.network_.input_spec.tta == "body+rotations"
    assert len(list((tmp_path / "cache").rglob("*.npy"))) == 16
