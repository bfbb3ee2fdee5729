"""The commands that use trained models: what they write, what they say, and how they end."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.calling import TrainedRun, call

from planetvision.classifiers.classifier import PlanetClassifier
from planetvision.core.settings import ClassMap, Recipe
from planetvision.core.text import format_share


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
    assert "note: 'notes.txt' does not belong to the model." in result.out
    assert "not intact: MODEL_CARD.md has changed" in result.out


def test_verify_with_a_broken_image_ends_with_1(
    run: TrainedRun, disc_folder: Path, tmp_path: Path
) -> None:
    data = Path(shutil.copytree(disc_folder, tmp_path / "data"))
    (data / "red" / "broken.png").write_text("no image")
    result = call("verify", run.folder / "model", data, "--device", "cpu", "--quiet")
    assert result.code == 1
    assert "broken.png" in result.err
    assert "not the images of the stored scores" in result.out


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


def test_progress_goes_to_stderr(run: TrainedRun, disc_paths: list[str], tmp_path: Path) -> None:
    result = call("predict", run.folder / "model", disc_paths[0], "--out", tmp_path / "out")
    assert "predicting" in result.err
    assert "predicting" not in result.out


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
            assert f"`{folder}`" in result.err
            assert f"Pass {run.folder / 'model'}." in result.err
    assert not out.exists()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("run.json", "is the folder of a run that has no model"),
        ("crossval.json", "is the folder of a cross-validation that has no model"),
        ("model.safetensors", "holds model.safetensors and no config.json"),
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
    assert "by the released model if no MODEL is given" in " ".join(result.out.split())


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
