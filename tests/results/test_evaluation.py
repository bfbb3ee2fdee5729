"""Evaluation: numbers, sentences and files from what a model said."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from planetvision.core.errors import OutputExistsError
from planetvision.evaluation import compute_metrics
from planetvision.results import Evaluation, Explanation, Explanations, Predictions
from planetvision.results.sampling import sample_rows

CLASSES = ("earth", "mars", "moon")
TRUE = ("earth", "earth", "mars", "moon")
ALWAYS = {
    "report.html",
    "metrics.json",
    "classification_report.csv",
    "predictions.csv",
    "mistakes.csv",
    "confusion_matrix.png",
    "confusion_matrix.csv",
    "confusion_matrix_normalized.png",
    "per_class_accuracy.png",
    "prediction_grid.png",
}


def create_evaluation(
    answers: tuple[str | None, ...] = TRUE,
    *,
    confidences: tuple[float, ...] = (0.8, 0.8, 0.8, 0.8),
    explained: bool = False,
) -> Evaluation:
    """An answer of None is an image that could not be read."""
    rows = [
        [float("nan")] * 3
        if answer is None
        else [confidence if name == answer else (1 - confidence) / 2 for name in CLASSES]
        for answer, confidence in zip(answers, confidences, strict=True)
    ]
    images = tuple(np.full((12, 12, 3), 60 + 40 * row, np.uint8) for row in range(len(answers)))
    predictions = Predictions(
        paths=tuple(f"<array {row}>" for row in range(len(answers))),
        sources=images,
        classes=CLASSES,
        probabilities=np.array(rows),
        errors=tuple("" if answer else "Cannot read it." for answer in answers),
    )
    readable = [row for row, answer in enumerate(answers) if answer]
    metrics = compute_metrics(
        [TRUE[row] for row in readable], predictions.probabilities[readable], classes=CLASSES
    )
    items = tuple(
        Explanation(
            path=path,
            image=image,
            heatmap=np.array([[0.0, 1.0]], np.float32),
            label="mars",
            confidence=0.8,
            target="mars",
            method="gradcam",
            layers=("last",),
        )
        for path, image in zip(predictions.paths, images, strict=True)
    )
    return Evaluation(
        metrics=metrics,
        predictions=predictions,
        labels=TRUE,
        explanations=Explanations(items=items) if explained else None,
    )


def test_accuracy_is_that_of_the_metrics_and_the_sentence_gives_its_interval() -> None:
    evaluation = create_evaluation(("earth", "mars", "mars", "moon"))
    assert evaluation.accuracy == 0.75
    # Wilson for 3 of 4: (2.9207 -+ ...) worked out with z = 1.95996.
    assert str(evaluation) == "accuracy 75.0% (3 of 4; 95 % interval 30.1% to 95.4%)"


def test_sentence_counts_images_that_could_not_be_read() -> None:
    evaluation = create_evaluation(("earth", None, "mars", "moon"))
    assert str(evaluation).startswith("accuracy 100% (3 of 3;")
    assert str(evaluation).endswith("; 1 image could not be read")


def test_misclassified_are_the_wrong_answers_the_most_confident_first() -> None:
    evaluation = create_evaluation(("mars", "moon", None, "moon"), confidences=(0.5, 0.9, 0.8, 0.8))
    wrong = [(item.path, item.label, label) for item, label in evaluation.misclassified]
    assert wrong == [("<array 1>", "moon", "earth"), ("<array 0>", "mars", "earth")]


def test_frame_is_the_classification_report_with_its_averages() -> None:
    frame = create_evaluation(("earth", "mars", "mars", "moon")).to_frame()
    assert list(frame.columns) == ["class", "precision", "recall", "f1", "support"]
    assert frame["class"].tolist() == ["earth", "mars", "moon", "macro", "weighted"]
    assert frame.iloc[0].tolist() == ["earth", 1.0, 0.5, pytest.approx(2 / 3), 2]
    assert frame.iloc[1].tolist() == ["mars", 0.5, 1.0, pytest.approx(2 / 3), 1]
    assert frame["support"].tolist() == [2, 1, 1, 4, 4]


def test_save_of_a_perfect_model_has_no_page_of_mistakes(tmp_path: Path) -> None:
    folder = create_evaluation(explained=True).save(tmp_path / "report")
    assert {path.name for path in folder.iterdir()} == {
        *ALWAYS,
        "explanations.csv",
        "gradcam_grid.png",
    }


def test_save_of_mistakes_writes_all_files_and_the_numbers(tmp_path: Path) -> None:
    evaluation = create_evaluation(("earth", "mars", "mars", "moon"), explained=True)
    folder = evaluation.save(tmp_path / "report")
    assert {path.name for path in folder.iterdir()} == {
        *ALWAYS,
        "explanations.csv",
        "gradcam_grid.png",
        "misclassified.png",
    }
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    assert (metrics["accuracy"], metrics["n"]) == (0.75, 4)
    assert metrics["accuracy_ci95"] == pytest.approx([0.3006, 0.9544], abs=1e-4)
    assert metrics["macro_f1"] == pytest.approx((2 / 3 + 2 / 3 + 1) / 3)
    assert metrics["classes"] == list(CLASSES)
    assert metrics["confusion_matrix"] == [[1, 1, 0], [0, 1, 0], [0, 0, 1]]
    assert set(metrics["per_class"]) == set(CLASSES)
    report = pd.read_csv(folder / "classification_report.csv")
    assert report["recall"].tolist()[:3] == [0.5, 1.0, 1.0]
    table = pd.read_csv(folder / "predictions.csv")
    assert list(table.columns[:3]) == ["path", "true_label", "label"]
    assert table["true_label"].tolist() == list(TRUE)
    assert table["label"].tolist() == ["earth", "mars", "mars", "moon"]


def test_save_without_explanations_has_no_gradcam_grid(tmp_path: Path) -> None:
    folder = create_evaluation(("earth", None, "mars", "moon")).save(tmp_path / "report")
    assert {path.name for path in folder.iterdir()} == ALWAYS


def test_save_refuses_to_replace_unless_told(tmp_path: Path) -> None:
    (tmp_path / "metrics.json").write_text("mine")
    with pytest.raises(OutputExistsError, match="is not empty"):
        create_evaluation().save(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.json"]
    create_evaluation().save(tmp_path, overwrite=True)
    assert json.loads((tmp_path / "metrics.json").read_text())["accuracy"] == 1.0


def test_save_over_an_older_report_leaves_none_of_its_pictures(tmp_path: Path) -> None:
    mistaken = create_evaluation(("earth", "mars", "mars", "moon"), explained=True)
    folder = mistaken.save(tmp_path / "report")
    create_evaluation().save(folder, overwrite=True)
    assert {path.name for path in folder.iterdir()} == ALWAYS


def test_save_of_explanations_that_all_failed_has_no_gradcam_grid(tmp_path: Path) -> None:
    evaluation = create_evaluation(explained=True)
    assert evaluation.explanations is not None
    failed = tuple(replace(item, error="gone") for item in evaluation.explanations)
    changed = replace(evaluation, explanations=Explanations(items=failed))
    folder = changed.save(tmp_path / "report")
    assert {path.name for path in folder.iterdir()} == {*ALWAYS, "explanations.csv"}


def test_sample_rows_takes_the_classes_in_turn_and_skips_the_unreadable() -> None:
    predictions = create_evaluation((None, "earth", "mars", "moon")).predictions
    labels = ("moon", "moon", "earth", "moon")
    assert sample_rows(predictions, labels, 10) == [2, 1, 3]
    assert sample_rows(predictions, labels, 2) == [2, 1]
    assert sample_rows(predictions, labels, 0) == []
