"""The command line: what it writes, what it says, and how it ends."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import subprocess
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from planetvision.classifiers.classifier import PlanetClassifier
from planetvision.cli import main as cli
from planetvision.core.settings import Recipe
from planetvision.core.text import format_share
from planetvision.data import ClassMap
from planetvision.results import EpochRecord
from planetvision.training import RECIPES
from planetvision.training.recipes import RecipeSpec
from planetvision.training.stage_run import StageRun
from planetvision.training.trainer import Trainer
from planetvision.workflows.demo import DemoResult

QUICK = "quick_for_a_test"
FROZEN = "frozen_for_a_test"


@dataclass(frozen=True)
class Result:
    """How a call ended."""

    code: object
    out: str
    err: str


def call(*arguments: object) -> Result:
    out, err = io.StringIO(), io.StringIO()
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        pytest.raises(SystemExit) as ended,
    ):
        cli.main([str(argument) for argument in arguments])
    return Result(ended.value.code or 0, out.getvalue(), err.getvalue())


@pytest.fixture(scope="module", autouse=True)
def quick(quick_recipe: Recipe) -> Iterator[None]:
    stage = replace(quick_recipe.stages[0], epochs=1, trainable_blocks=0, views=1)
    frozen = replace(quick_recipe, stages=(stage,))
    RECIPES.add(RecipeSpec(name=QUICK, build=lambda: quick_recipe, summary="for tests"))
    RECIPES.add(RecipeSpec(name=FROZEN, build=lambda: frozen, summary="for tests"))
    yield
    RECIPES.remove(QUICK)
    RECIPES.remove(FROZEN)


def train_arguments(data: object, out: Path) -> list[object]:
    return [
        "train", data, "--out", out, "--backbone", "tiny", "--recipe", QUICK,
        "--device", "cpu", "--quiet",
    ]  # fmt: skip


@dataclass(frozen=True)
class TrainedRun:
    """A run of `planetvision train`."""

    folder: Path
    result: Result


@pytest.fixture(scope="module")
def run(disc_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainedRun:
    folder = tmp_path_factory.mktemp("cli") / "run"
    options = ["--seed", 1, "--precision", "fp32", "--num-workers", 0, "--tensorboard"]
    return TrainedRun(folder, call(*train_arguments(disc_folder, folder), *options))


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    path = tmp_path / "broken.png"
    path.write_text("no image")
    return path


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


def test_evaluate_writes_a_report_of_the_folder(
    run: TrainedRun, disc_folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "report"
    result = call("evaluate", run.folder / "model", disc_folder, "--out", out, "--quiet")
    assert result.code == 0
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["n"] == 24
    assert metrics["accuracy"] >= 0.9
    assert f"accuracy {format_share(metrics['accuracy'])} (" in result.out


def test_predict_goes_on_past_a_broken_file_and_ends_with_1(
    run: TrainedRun, disc_folder: Path, broken: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    inputs = [disc_folder / "red", broken, disc_folder / "blue" / "*.png"]
    result = call("predict", run.folder / "model", *inputs, "--out", out, "--quiet")
    assert result.code == 1
    assert f"Cannot read '{broken}': it is not an image" in result.err
    assert "1 of the inputs failed." in result.err
    assert "16 predicted" in result.out
    table = pd.read_csv(out / "predictions.csv")
    assert list(table.columns) == [
        "path",
        "label",
        "confidence",
        "known",
        "novelty",
        "top_label",
        "second_label",
        "second_confidence",
        "p_blue",
        "p_green",
        "p_red",
        "error",
    ]
    assert len(table) == 17
    assert table["error"].notna().tolist() == [False] * 8 + [True] + [False] * 8
    assert len(list((out / "annotated").iterdir())) == 16
    assert (out / "collage.png").stat().st_size > 1000
    loaded = PlanetClassifier.load(run.folder / "model")
    expected = loaded.predict_proba(sorted(map(str, (disc_folder / "red").iterdir())))
    np.testing.assert_allclose(
        table[["p_blue", "p_green", "p_red"]].to_numpy()[:8], expected, atol=1e-6
    )


def test_predict_of_good_files_ends_with_0(
    run: TrainedRun, disc_paths: list[str], tmp_path: Path
) -> None:
    result = call(
        "predict", run.folder / "model", disc_paths[0], "--out", tmp_path / "out", "--quiet"
    )
    assert (result.code, result.err) == (0, "")
    assert disc_paths[0] in result.out


def test_verify_of_an_intact_model_ends_with_0(run: TrainedRun) -> None:
    model = run.folder / "model"
    result = call("verify", model, run.folder / "split.csv", "--device", "cpu", "--quiet")
    assert (result.code, result.err) == (0, "")
    lines = result.out.splitlines()
    assert lines[1].split() == ["file", "config.json", "intact"]
    assert "model   loads              yes" in lines
    assert lines[-1].startswith("intact: 4 files are as they were saved; the model loads; accuracy")
    alone = call("verify", model).out.splitlines()
    assert [line.split() for line in alone[:5]] == [line.split() for line in lines[:5]]
    assert len(alone) == 7


def test_verify_of_a_changed_model_ends_with_1(run: TrainedRun, tmp_path: Path) -> None:
    model = Path(shutil.copytree(run.folder / "model", tmp_path / "model"))
    (model / "notes.txt").write_text("mine")
    (model / "MODEL_CARD.md").write_text("# Another card")
    result = call("verify", model)
    assert result.code == 1
    assert ["file", "MODEL_CARD.md", "changed"] in [
        line.split() for line in result.out.splitlines()
    ]
    assert "note: 'notes.txt' is no part of the model." in result.out
    assert "not intact: MODEL_CARD.md has changed" in result.out


def test_verify_with_a_broken_image_ends_with_1(
    run: TrainedRun, disc_folder: Path, tmp_path: Path
) -> None:
    data = Path(shutil.copytree(disc_folder, tmp_path / "data"))
    (data / "red" / "broken.png").write_text("no image")
    result = call("verify", run.folder / "model", data, "--device", "cpu", "--quiet")
    assert result.code == 1
    assert "broken.png" in result.err
    assert "These are other images than those of the saved scores" in result.out


def test_verify_of_no_model_ends_with_2(tmp_path: Path) -> None:
    result = call("verify", tmp_path)
    assert result.code == 2
    assert "There is no model in" in result.err


@pytest.mark.slow
def test_evaluate_with_a_broken_file_ends_with_1(
    run: TrainedRun, disc_folder: Path, tmp_path: Path
) -> None:
    data = Path(shutil.copytree(disc_folder, tmp_path / "data"))
    (data / "red" / "broken.png").write_text("no image")
    out = tmp_path / "report"
    result = call("evaluate", run.folder / "model", data, "--out", out, "--quiet")
    assert result.code == 1
    assert "broken.png" in result.err
    assert json.loads((out / "metrics.json").read_text())["n"] == 24


def test_explain_writes_pictures_and_raw_maps(
    run: TrainedRun, disc_paths: list[str], broken: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    options = ["--out", out, "--target", "red", "--method", "occlusion", "--quiet"]
    result = call("explain", run.folder / "model", disc_paths[-1], broken, *options)
    assert result.code == 1
    assert str(broken) in result.err
    table = pd.read_csv(out / "explanations.csv")
    assert table["target"].tolist()[0] == "red"
    assert table["method"].tolist()[0] == "occlusion"
    maps = [np.load(path) for path in sorted(out.glob("*.npy"))]
    assert [heatmap.shape for heatmap in maps] == [(8, 8)]
    assert maps[0].max() == pytest.approx(1)
    assert len(list(out.glob("*.png"))) == 1


def test_explain_takes_a_class_to_set_against_and_layers(
    run: TrainedRun, disc_paths: list[str], tmp_path: Path
) -> None:
    options = ["--target", "red", "--against", "blue", "--layer", "blocks.1", "--layer", "blocks.2"]
    out = tmp_path / "out"
    result = call("explain", run.folder / "model", disc_paths[-1], "--out", out, *options)
    assert result.code == 0
    assert "red against blue" in result.out
    table = pd.read_csv(out / "explanations.csv")
    assert table[["target", "against", "layers"]].values.tolist() == [
        ["red", "blue", "blocks.1+blocks.2"]
    ]


def test_data_render_writes_a_folder_a_class_by_the_seed(tmp_path: Path) -> None:
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        options = ["--count", 8, "--size", 32, "--seed", seed]
        result = call("data", "render", "--out", tmp_path / name, *options)
        assert result.code == 0
        assert "8 images of earth, jupiter, mars, moon, neptune, saturn, uranus" in result.out
    files = [sorted((tmp_path / name).glob("*/*.png")) for name in "abc"]
    assert [len(group) for group in files] == [8, 8, 8]
    first, again, other = ([path.read_bytes() for path in group] for group in files)
    assert first == again
    assert first != other


def test_data_render_takes_looks_bodies_and_masks(tmp_path: Path) -> None:
    for look in ("clean", "photo"):
        options = ["--count", 2, "--size", 32, "--look", look, "--body", "venus", "--body", "mars"]
        result = call(
            "data", "render", "--out", tmp_path / look, *options, "--masks", tmp_path / f"m{look}"
        )
        assert result.code == 0
        assert "2 images of mars, venus" in result.out
        assert len(list((tmp_path / f"m{look}").glob("*/*.png"))) == 2
    first, second = (
        (tmp_path / look / "venus" / "venus_00000.png").read_bytes() for look in ("clean", "photo")
    )
    assert first != second


def test_augment_writes_a_sheet_and_keeps_one_that_is_there(tmp_path: Path) -> None:
    call("data", "render", "--out", tmp_path / "data", "--count", 1, "--size", 48)
    (image,) = (tmp_path / "data").glob("*/*.png")
    options = ["augment", image, "--out", tmp_path / "sheet.png", "--count", 2, "--size", 32]
    result = call(*options, "--policy", "light")
    assert result.code == 0
    assert "2 views of" in result.out
    first = (tmp_path / "sheet.png").read_bytes()
    again = call(*options)
    assert again.code != 0
    assert "sheet.png' exists" in again.err
    assert (tmp_path / "sheet.png").read_bytes() == first
    assert call(*options, "--overwrite").code == 0
    assert (tmp_path / "sheet.png").read_bytes() != first


def test_list_names_every_family_and_one(run: TrainedRun) -> None:
    everything = call("list")
    assert everything.code == 0
    for line in (
        "backbones:",
        "heads:",
        "augmentations:",
        "schedulers:",
        "recipes:",
        "explainers:",
    ):
        assert line in everything.out.splitlines()
    assert "  timm:NAME" in everything.out
    heads = call("list", "heads")
    assert [line.split()[0] for line in heads.out.splitlines()][:3] == ["heads:", "linear", "mlp"]
    assert "backbones:" not in heads.out


def test_doctor_shows_the_facts() -> None:
    result = call("doctor")
    assert result.code == 0
    assert [line for line in result.out.splitlines() if not line.startswith(" ")] == [
        "versions:",
        "machine:",
        "levers:",
        "weights:",
        "released model:",
        "extras:",
    ]


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
            others_unknown=0,
            seconds=12.3,
        )

    monkeypatch.setattr("planetvision.workflows.demo.run_demo", run_demo)
    result = call("demo", "--out", tmp_path / "d", "--count", 9, "--image-size", 64, "--quiet")
    assert result.code == 0
    del seen["say"]
    assert seen == {
        "count": 9, "image_size": 64, "seed": 0, "overwrite": False, "progress": False
    }  # fmt: skip
    assert (
        "fresh images: 3 of 4 right; of 0 other things 0 called unknown; the whole took"
        in result.out
    )
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
        (["--tuning", "turbo"], "Known: allocator, threads, channels_last"),
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


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["train", "nowhere", "--out", "OUT", "--backbone", "tiny"],
            "There is no folder 'nowhere'",
        ),
        (["evaluate", "MODEL", "nowhere", "--out", "OUT"], "There is no folder 'nowhere'"),
        (["predict", "MODEL", "nowhere", "--out", "OUT"], "There is no file or folder 'nowhere'"),
        (["predict", "MODEL", "*.nothing", "--out", "OUT"], "matches no file"),
        (["predict", "nowhere", "x.png", "--out", "OUT"], "There is no model folder 'nowhere'"),
        (["explain", "MODEL", "RED", "--out", "OUT", "--method", "gradcm"], "'gradcam'"),
        (["explain", "MODEL", "RED", "--out", "OUT", "--target", "mauve"], "got 'mauve'"),
        (["explain", "MODEL", "RED", "--out", "OUT", "--against", "mauve"], "got 'mauve'"),
        (["explain", "MODEL", "RED", "--out", "OUT", "--layer", "stem"], "no layer 'stem'"),
        (["data", "render", "--out", "OUT", "--count", "0"], "`count` must be"),
        (["data", "render", "--out", "OUT", "--size", "0"], "`image_size` must be"),
        (["list", "backbone"], "Unknown family 'backbone'"),
        (["pretend"], "pretend"),
    ],
)
def test_wrong_call_ends_with_2_and_writes_nothing(
    arguments: list[str], message: str, run: TrainedRun, disc_paths: list[str], tmp_path: Path
) -> None:
    places = {"OUT": tmp_path / "out", "MODEL": run.folder / "model", "RED": disc_paths[-1]}
    result = call(*(places.get(argument, argument) for argument in arguments))
    assert result.code == 2
    assert message in result.err
    assert "Traceback" not in result.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("command", ["train", "evaluate", "predict", "explain", "render", "demo"])
def test_output_that_exists_ends_with_2_and_is_left_alone(
    command: str, run: TrainedRun, disc_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    model, red = run.folder / "model", disc_folder / "red"
    calls: dict[str, list[object]] = {
        "train": train_arguments(disc_folder, tmp_path),
        "evaluate": ["evaluate", model, disc_folder, "--out", tmp_path],
        "predict": ["predict", model, red, "--out", tmp_path],
        "explain": ["explain", model, red, "--out", tmp_path],
        "render": ["data", "render", "--out", tmp_path, "--count", 7, "--size", 32],
        "demo": ["demo", "--out", tmp_path],
    }
    result = call(*calls[command])
    assert result.code == 2
    assert "is not empty" in result.err
    assert "--overwrite" in result.err
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_overwrite_replaces_and_keeps_other_files(
    run: TrainedRun, disc_paths: list[str], tmp_path: Path
) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    (tmp_path / "predictions.csv").write_text("old")
    result = call(
        "predict", run.folder / "model", disc_paths[0], "--out", tmp_path, "--overwrite", "--quiet"
    )
    assert result.code == 0
    assert (tmp_path / "mine.txt").read_text() == "mine"
    assert len(pd.read_csv(tmp_path / "predictions.csv")) == 1


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
    assert f"Interrupted. Go on with: planetvision train --resume {folder}" in result.err
    assert not (folder / "model").exists()

    def interrupt_reading(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("planetvision.data.preparation.prepare_catalog", interrupt_reading)
        early = call(*train_arguments(disc_folder, folder), "--overwrite")
    assert early.code == 130
    assert "Interrupted before the first stage" in early.err  # the other run is not this one
    for wrong in (["--seed", 3], [disc_folder]):
        refused = call("train", "--resume", folder, *wrong)
        assert refused.code == 2
        assert "goes on with the data and settings of the run, got" in refused.err
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


@pytest.mark.slow
def test_evaluate_with_a_class_that_the_model_does_not_know_judges_the_rest_and_ends_with_1(
    run: TrainedRun, disc_folder: Path, disc_paths: list[str], tmp_path: Path
) -> None:
    data = Path(shutil.copytree(disc_folder, tmp_path / "data"))
    (data / "mauve").mkdir()
    shutil.copy(disc_paths[0], data / "mauve")
    out = tmp_path / "report"
    result = call("evaluate", run.folder / "model", data, "--out", out, "--quiet")
    assert result.code == 1
    assert "Warning: The model does not know these classes" in result.err
    assert "mauve (1)" in result.err
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["n"] == 24
    assert metrics["classes"] == ["blue", "green", "red"]
    after = call("evaluate", run.folder / "model", disc_folder, "--out", tmp_path / "b", "--quiet")
    assert (after.code, after.err) == (0, "")


def test_compare_writes_the_comparison_and_says_what_it_says(
    run: TrainedRun, model_folder: Path, disc_folder: Path, tmp_path: Path
) -> None:
    models, out = [run.folder / "model", model_folder], tmp_path / "out"
    result = call("compare", *models, disc_folder, "--out", out, "--device", "cpu", "--quiet")
    assert (result.code, result.err) == (0, "")
    saved = json.loads((out / "comparison.json").read_text())
    assert saved["n"] == 24
    assert [model["name"] for model in saved["models"]] == ["run", model_folder.parent.name]
    said = result.out.splitlines()
    assert said[0] == saved["sentence"]
    assert said[1].startswith("  run: accuracy ")
    assert said[-1] == f"page: {out / 'comparison.html'}"
    again = call("compare", *models, disc_folder, "--out", out, "--quiet")
    assert again.code == 2
    assert "is not empty" in again.err


def test_compare_with_images_that_are_left_out_ends_with_1(
    model_folder: Path, disc_folder: Path, disc_paths: list[str], tmp_path: Path
) -> None:
    data = Path(shutil.copytree(disc_folder, tmp_path / "data"))
    (data / "red" / "broken.png").write_text("no image")
    (data / "mauve").mkdir()
    shutil.copy(disc_paths[0], data / "mauve")
    arguments = ["compare", model_folder, model_folder, data, "--device", "cpu", "--quiet"]
    result = call(*arguments, "--out", tmp_path / "out")
    assert result.code == 1
    assert "Warning: Not both models know these classes" in result.err
    assert "1 of the inputs failed." in result.err
    assert "right on the same 24 of 24 images" in result.out
    mapped = call(*arguments, "--class", "mauve=blue", "--out", tmp_path / "mapped")
    assert "Warning" not in mapped.err
    assert "right on the same 25 of 25 images" in mapped.out


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
        "--device", "cpu", "--precision", "fp32", "--num-workers", 0, "--tuning", "none",
        "--on-error", "skip", "--column", "path=file", "--class", "red=rouge",
        "--no-group-duplicates", "--cache", "off", "--cache-gigabytes", 1, "--novelty-score",
        "knn", "--rejection-rate", 0.1, "--max-minutes", 9, "--compile", "--overwrite", "--quiet",
    ]  # fmt: skip
    result = call("crossval", disc_folder, "--out", out, *options)
    assert result.code == 130
    assert "Interrupted before the first fold" in result.err
    expected = {
        "num_folds": 3, "keep_models": False, "backbone": "tiny", "recipe": QUICK, "head": "mlp",
        "augmentation": "none", "scheduler": "cosine", "image_size": 40, "framing": "body",
        "tta": "body", "stretch": "asinh", "batch_size": 3, "weights": "none", "random_state": 5,
        "device": "cpu", "precision": "fp32", "num_workers": 0, "tuning": "none",
        "on_error": "skip", "columns": {"path": "file"}, "class_map": {"red": "rouge"},
        "group_duplicates": False, "cache": "off", "cache_gigabytes": 1, "novelty_score": "knn",
        "rejection_rate": 0.1, "max_minutes": 9, "compile": True, "overwrite": True,
        "data": disc_folder, "folder": out, "progress": False, "say": None,
    }  # fmt: skip
    assert {name: given[name] for name in expected} == expected
    (out / "crossval.json").parent.mkdir()
    (out / "crossval.json").write_text("{}")
    result = call("crossval", "--resume", out)
    assert result.code == 2
    assert "holds no cross-validation that could go on" in result.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "`planetvision crossval DATA --out RUN`, or `planetvision crossval --resume RUN`"),
        (["--resume", "DIR", "--folds", "3"], "got --folds beside it"),
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


def test_progress_goes_to_stderr(run: TrainedRun, disc_paths: list[str], tmp_path: Path) -> None:
    result = call("predict", run.folder / "model", disc_paths[0], "--out", tmp_path / "out")
    assert "predicting" in result.err
    assert "predicting" not in result.out


def test_help_runs_as_a_module() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "planetvision", "--help"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0
    for command in ("demo", "train", "evaluate", "predict", "explain", "data", "list", "doctor"):
        assert f"  {command} " in done.stdout


@pytest.mark.slow
def test_data_check_prints_findings_and_writes_the_page(
    rendered_folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(rendered_folder, tmp_path / "data")
    one = sorted((tmp_path / "data" / "mars").iterdir())[0]
    shutil.copy(one, tmp_path / "data" / "moon" / "copy.png")
    result = call(
        "data", "check", tmp_path / "data", "--backbone", "none",
        "--out", tmp_path / "audit", "--quiet",
    )  # fmt: skip
    assert result.code == 0, result.err
    assert "43 images of 7 classes" in result.out
    assert "error: 1 pair of copies or look-alikes has different labels" in result.out
    assert "nearest neighbour on the mean colour: " in result.out
    assert (tmp_path / "audit" / "index.html").is_file()
    stored = json.loads((tmp_path / "audit" / "audit.json").read_text(encoding="utf-8"))
    assert "conflicting_duplicates" in {item["kind"] for item in stored["findings"]}


def test_data_check_names_damaged_files_and_ends_with_1(
    rendered_folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(rendered_folder, tmp_path / "data")
    (tmp_path / "data" / "mars" / "broken.png").write_bytes(b"x")
    result = call("data", "check", tmp_path / "data", "--backbone", "none", "--quiet")
    assert result.code == 1
    assert "broken.png" in result.err
    assert "1 file cannot be read" in result.out


def test_data_check_into_a_folder_that_is_not_empty_ends_with_2_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = call("data", "check", "no/such/folder", "--out", tmp_path)
    assert result.code == 2
    assert "is not empty" in result.err


def test_blind_make_and_score_go_together(
    run: TrainedRun, disc_folder: Path, tmp_path: Path
) -> None:
    made = call("blind", "make", disc_folder, "--out", tmp_path / "blind", "--seed", 3)
    assert made.code == 0, made.err
    assert made.out.splitlines() == [
        f"24 images: {tmp_path / 'blind'}",
        f"mapping: {tmp_path / 'blind.mapping.csv'}",
    ]
    scored = call(
        "blind", "score", run.folder / "model", tmp_path / "blind",
        tmp_path / "blind.mapping.csv", "--out", tmp_path / "out", "--quiet",
    )  # fmt: skip
    assert scored.code == 0, scored.err
    assert "of 24; 95 % interval" in scored.out
    assert len(pd.read_csv(tmp_path / "out" / "blind.csv")) == 24
    assert (tmp_path / "out" / "showcase.png").is_file()


def test_blind_score_with_the_wrong_mapping_ends_with_2(
    run: TrainedRun, disc_folder: Path, tmp_path: Path
) -> None:
    for name in ("one", "other"):
        assert call("blind", "make", disc_folder, "--out", tmp_path / name).code == 0
    result = call(
        "blind", "score", run.folder / "model", tmp_path / "one",
        tmp_path / "other.mapping.csv", "--out", tmp_path / "out", "--quiet",
    )  # fmt: skip
    assert result.code == 2
    assert "it belongs to another set" in result.err
    assert not (tmp_path / "out").exists()


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


@pytest.mark.parametrize(
    ("option", "value"), [("--column", "path"), ("--column", "=path"), ("--class", "=mars")]
)
def test_pair_that_is_none_ends_with_2(
    option: str, value: str, disc_folder: Path, tmp_path: Path
) -> None:
    result = call(*train_arguments(disc_folder, tmp_path / "run"), option, value)
    assert result.code == 2
    assert f"{option} takes NAME=VALUE, got '{value}'" in result.err


def test_predict_without_a_model_asks_the_released_one_and_prints(
    released: PlanetClassifier, disc_paths: list[str]
) -> None:
    result = call("predict", disc_paths[0], "--rejection-rate", 0, "--quiet")
    assert result.code == 0
    expected = PlanetClassifier.from_pretrained().predict(disc_paths[0], rejection_rate=0)[0]
    assert disc_paths[0] in result.out
    assert str(expected.label) in result.out


@pytest.mark.slow
def test_predict_with_a_folder_to_write_to_writes_there(
    released: PlanetClassifier, disc_paths: list[str], tmp_path: Path
) -> None:
    result = call("predict", *disc_paths[:2], "--out", tmp_path / "out", "--quiet")
    assert result.code == 0
    assert (tmp_path / "out" / "predictions.csv").is_file()
    assert "2 predicted" in result.out


@pytest.mark.slow
def test_explain_and_evaluate_without_a_model_ask_it_too(
    released: PlanetClassifier, disc_folder: Path, disc_paths: list[str], tmp_path: Path
) -> None:
    explained = call("explain", disc_paths[0], "--out", tmp_path / "maps", "--no-check", "--quiet")
    assert explained.code == 0
    judged = call(
        "evaluate",
        disc_folder,
        "--out",
        tmp_path / "report",
        "--no-explain",
        "--no-audit",
        "--quiet",
    )
    assert judged.code == 0
    assert (tmp_path / "report" / "metrics.json").is_file()


@pytest.fixture(scope="session")
def own(quick_recipe: Recipe, disc_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that calls the classes by other names than the released one."""
    names: ClassMap = {name: f"own_{name}" for name in ("blue", "green", "red")}
    classifier = PlanetClassifier("tiny", recipe=quick_recipe, device="cpu", class_map=names)
    return classifier.fit(disc_folder).save(tmp_path_factory.mktemp("own") / "model")


@pytest.mark.slow
def test_model_of_ones_own_before_the_images_is_asked(
    released: PlanetClassifier, own: Path, disc_folder: Path, tmp_path: Path
) -> None:
    options = ["--rejection-rate", 0, "--quiet"]
    predicted = call("predict", own, disc_folder, *options, "--out", tmp_path / "answers")
    assert predicted.code == 0
    labels = pd.read_csv(tmp_path / "answers" / "predictions.csv")["label"]
    assert len(labels) == 24
    assert labels.str.startswith("own_").all()
    explained = call(
        "explain", own, disc_folder / "red", *options, "--no-check", "--out", tmp_path / "maps"
    )
    assert explained.code == 0
    labels = pd.read_csv(tmp_path / "maps" / "explanations.csv")["label"]
    assert labels.str.startswith("own_").all()
    renamed = [f"--class={name}=own_{name}" for name in ("blue", "green", "red")]
    judged = call(
        "evaluate", own, disc_folder, *renamed, "--no-explain", "--no-audit", *options,
        "--out", tmp_path / "report",
    )  # fmt: skip
    assert judged.code == 0
    assert "own_red" in judged.out


def test_predict_without_a_folder_to_write_to_prints_every_answer(
    released: PlanetClassifier, disc_folder: Path, disc_paths: list[str], tmp_path: Path
) -> None:
    printed = call("predict", disc_folder, "--quiet")
    assert [path for path in disc_paths if path not in printed.out] == []
    assert "more" not in printed.out
    written = call("predict", disc_folder, "--out", tmp_path / "out", "--quiet")
    assert f"... and 4 more: {tmp_path / 'out' / 'predictions.csv'}" in written.out


@pytest.mark.parametrize("command", ["predict", "explain", "evaluate"])
def test_run_instead_of_its_model_is_refused_and_the_model_is_named(
    command: str,
    run: TrainedRun,
    released: PlanetClassifier,
    disc_folder: Path,
    tmp_path: Path,
) -> None:
    out = tmp_path / "out"
    for folder in (run.folder, run.folder.parent):
        for rest in ([], [disc_folder]):
            result = call(command, folder, *rest, "--out", out)
            assert result.code == 2
            assert f"`{folder}` is no model's folder: a model lies in it." in result.err
            assert f"Pass {run.folder / 'model'}." in result.err
    assert not out.exists()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("run.json", "is the folder of a run that has no model"),
        ("crossval.json", "is the folder of a cross-validation that has no model"),
        (
            "model.safetensors",
            "holds model.safetensors and no config.json: it is a part of",
        ),
        ("trust.safetensors", "holds trust.safetensors and no config.json"),
        ("config.json", "does not hold a model that can be loaded: model.safetensors missing"),
    ],
)
def test_folder_of_a_broken_model_or_run_is_not_taken_for_images(
    name: str, message: str, released: PlanetClassifier, disc_paths: list[str], tmp_path: Path
) -> None:
    folder = tmp_path / "broken"
    folder.mkdir()
    (folder / name).write_text("{}")
    shutil.copy(disc_paths[0], folder / "picture.png")
    result = call("predict", folder, disc_paths[1], "--quiet")
    assert result.code == 2
    assert message in result.err
    assert "picture.png" not in result.out


def test_help_of_predict_says_who_answers_without_a_model() -> None:
    result = call("predict", "--help")
    assert "by the released model where no MODEL is named" in " ".join(result.out.split())


def test_model_without_images_says_what_is_missing(own: Path) -> None:
    result = call("predict", own)
    assert result.code != 0
    assert "is a model, and there are no images for it. Name them after" in result.err


def test_evaluate_of_two_data_sets_is_refused(
    released: PlanetClassifier, disc_folder: Path, tmp_path: Path
) -> None:
    result = call("evaluate", disc_folder, disc_folder, "--out", tmp_path / "report")
    assert result.code != 0
    assert "one data set, got 2 arguments" in result.err
    assert not (tmp_path / "report").exists()
