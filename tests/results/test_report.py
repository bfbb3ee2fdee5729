"""The report of an evaluation: what its page says, and that a browser shows it."""

from __future__ import annotations

import html
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from planetvision.classifiers.classifier import PlanetClassifier
from planetvision.evaluation.evaluator import judge_predictions
from planetvision.render import render_non_planets
from planetvision.results import Evaluation


@pytest.fixture(scope="module")
def evaluation(trained_once: PlanetClassifier, disc_folder: Path) -> Evaluation:
    """Discs of which the blue ones are wrongly labelled green, and some other things."""
    paths = sorted(disc_folder.glob("*/*.png"))
    labels = ["green" if path.parent.name == "blue" else path.parent.name for path in paths]
    frame = pd.DataFrame(
        {
            "path": [str(path) for path in paths],
            "label": labels,
            "group": [path.stem for path in paths],
            "camera": ["wide" if path.stem < "4" else "narrow" for path in paths],
        }
    )
    return trained_once.evaluate(
        frame, negatives=list(render_non_planets(count=6, image_size=40, seed=1))
    )


@pytest.fixture(scope="module")
def folder(evaluation: Evaluation, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return evaluation.save(tmp_path_factory.mktemp("reports") / "report")


def read_text(folder: Path) -> str:
    """The words of the page, without its style and its pictures."""
    page = (folder / "report.html").read_text(encoding="utf-8")
    body = re.sub(r"<(style|svg).*?</\1>", "", page, flags=re.DOTALL)
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", body)))


def test_report_is_shown_by_a_browser(folder: Path, check_page: Callable[[Path], None]) -> None:
    check_page(folder / "report.html")


def test_report_says_the_numbers_with_their_intervals(evaluation: Evaluation, folder: Path) -> None:
    text = read_text(folder)
    assert str(evaluation)[1:] in text
    assert "macro F1" in text
    assert "negatives answered" in text
    for remark in evaluation.remarks:
        assert remark[1:] in text
    assert "No images of: blue; what holds for them is not known." in text


def test_report_names_weak_parts_and_their_images(folder: Path) -> None:
    text = read_text(folder)
    slices = pd.read_csv(folder / "slices.csv")
    assert set(slices["by"]) == {"group", "camera", "size of the disc", "lit share of the disc"}
    assert slices.loc[slices["value"] == "wide", "images"].item() == 12
    assert "8 images most like another class than the true one" in text
    mistakes = pd.read_csv(folder / "mistakes.csv")
    assert mistakes["true_label"].tolist() == ["green"] * 8
    assert mistakes["top_label"].tolist() == ["blue"] * 8
    assert mistakes["confidence"].is_monotonic_decreasing
    for name in mistakes["path"]:
        assert Path(name).name in text


def test_each_figure_lies_beside_the_page_with_its_numbers(folder: Path) -> None:
    names = {path.name for path in folder.iterdir()}
    for figure in (
        "confusion_matrix",
        "roc_curves",
        "precision_recall_curves",
        "reliability",
        "risk_coverage",
        "slices",
        "faithfulness",
    ):
        assert {f"{figure}.png", f"{figure}.csv"} <= names
    curves = pd.read_csv(folder / "faithfulness.csv")
    assert curves["share"].tolist() == pytest.approx(np.linspace(0, 1, 17))
    assert curves["insertion"].iloc[-1] == pytest.approx(curves["deletion"].iloc[0])


def test_report_tells_what_the_model_is_and_how_to_repeat_it(folder: Path) -> None:
    text = read_text(folder)
    assert "tiny" in text
    assert "torch" in text
    assert "The 24 images that the model was trained, validated and tested on (data):" in text
    assert "nearest neighbour on the mean colour" in text
    command = "planetvision evaluate MODEL DATA --out report --negatives NEGATIVES"
    assert f"{command} # MODEL: the folder that save() wrote # DATA: the DataFrame of" in text


def test_command_of_a_loaded_model_is_whole(
    model_folder: Path, disc_folder: Path, tmp_path: Path
) -> None:
    model = PlanetClassifier.load(model_folder, device="cpu")
    negatives = tmp_path / "other things"
    negatives.mkdir()
    shutil.copy(next(disc_folder.glob("red/*.png")), negatives)
    evaluation = model.evaluate(
        disc_folder, negatives=negatives, rejection_rate=0.1, tta="flips", explain=False
    )
    assert evaluation.about["repeat"] == [
        f"planetvision evaluate {model_folder} {disc_folder} --out report "
        f"--negatives '{negatives}' --rejection-rate 0.1 --tta flips --no-explain"
    ]
    assert "test" not in model.metrics_.get("elsewhere", ()), "scores of another augmentation"


def test_report_tells_which_answers_were_judged_by_the_background(
    evaluation: Evaluation, folder: Path
) -> None:
    explanations = evaluation.explanations
    assert explanations is not None
    assert explanations.verdict is not None
    text = read_text(folder)
    assert str(explanations.verdict)[:40] in text
    table = pd.read_csv(folder / "explanations.csv")
    cold = table[table["energy_on_body"] < table["body_share"] - 1e-6]
    assert len(cold) == explanations.verdict.num_background
    assert [explanations[row].path for row in explanations.list_background()] == cold.assign(
        lack=cold["body_share"] - cold["energy_on_body"]
    ).sort_values("lack", ascending=False)["path"].tolist()


def test_images_in_memory_are_shown_beside_their_own_maps(
    trained: PlanetClassifier, disc_paths: list[str]
) -> None:
    arrays = [np.array(Image.open(path)) for path in disc_paths[:12]]
    labels = ["green"] * 8 + ["blue"] * 4
    evaluation = trained.evaluate(arrays, labels, tta="flips+rotations")
    assert evaluation.explanations is not None
    answers = {answer.path: answer for answer in evaluation.predictions}
    assert {item.path for item in evaluation.explanations} == set(answers)
    for item in evaluation.explanations:
        assert item.top_label == answers[item.path].top_label
        assert item.confidence == pytest.approx(answers[item.path].confidence, abs=1e-6)
        number = int(item.path.strip("<>").split()[1])
        assert np.abs(item.image.mean() - arrays[number].mean()) < 2


def test_three_images_of_one_class_give_a_report(
    trained: PlanetClassifier, disc_paths: list[str], tmp_path: Path
) -> None:
    paths = [path for path in disc_paths if "/red/" in path][:3]
    evaluation = trained.evaluate(paths, ["red"] * 3)
    metrics = evaluation.metrics
    assert metrics["accuracy_ci95"][0] < metrics["accuracy"]
    assert metrics["macro_f1_ci95"] is None, "three right answers show no spread"
    assert metrics["per_class"]["blue"]["f1"] is None
    assert metrics["macro_roc_auc"] is None
    folder = evaluation.save(tmp_path / "report")
    assert "no interval" in read_text(folder)


def test_answers_alone_give_a_report_without_maps(
    trained: PlanetClassifier, disc_paths: list[str], disc_labels: list[str], tmp_path: Path
) -> None:
    predictions = trained.predict(disc_paths, rejection_rate=0)
    judged = judge_predictions(predictions, disc_labels, classes=trained.classes_.tolist())
    folder = judged.save(tmp_path / "report")
    assert not (folder / "explanations.csv").exists()
    assert "Where it looked" not in read_text(folder)
