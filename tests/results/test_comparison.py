"""A comparison on disk."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from planetvision.core.errors import OutputExistsError
from planetvision.evaluation.paired_test import compare_predictions
from planetvision.results import Comparison, Predictions

CLASSES = ("earth", "mars", "moon")


def create_comparison(first: str, second: str, true: str) -> Comparison:
    """Each letter is the answer for an image, or its class: e, m, o; a dash cannot be read."""
    answers = []
    for letters in (first, second):
        columns = ["emo".find(letter) for letter in letters]
        probabilities = np.full((len(letters), 3), 0.1)
        for row, column in enumerate(columns):
            probabilities[row, column] = 0.8
            if column < 0:
                probabilities[row] = np.nan
        answers.append(
            Predictions(
                paths=tuple(f"<array {row}>" for row in range(len(letters))),
                sources=tuple(np.full((9, 9, 3), 60, np.uint8) for _ in letters),
                classes=CLASSES,
                probabilities=probabilities,
                errors=tuple("Cannot <read> it." if letter == "-" else "" for letter in letters),
            )
        )
    labels = [CLASSES["emo".index(letter)] for letter in true]
    return compare_predictions(answers[0], answers[1], labels, names=("<old>", "new"))


def test_save_writes_the_numbers_the_rows_and_a_page_of_the_images_that_differ(
    tmp_path: Path,
) -> None:
    comparison = create_comparison("eemo-", "emoee", "eeoom")
    folder = comparison.save(tmp_path / "out")
    assert sorted(path.name for path in folder.iterdir()) == [
        "comparison.csv",
        "comparison.html",
        "comparison.json",
    ]
    saved = json.loads((folder / "comparison.json").read_text(encoding="utf-8"))
    assert saved == json.loads(json.dumps(comparison.to_dict()))
    assert saved["sentence"] == str(comparison)
    assert (saved["both_right"], saved["only_a_right"], saved["only_b_right"]) == (1, 2, 1)
    assert saved["unreadable"] == [{"image": "<array 4>", "cause": "Cannot <read> it."}]
    assert [model["accuracy"] for model in saved["models"]] == [0.75, 0.5]
    table = pd.read_csv(folder / "comparison.csv")
    assert table["label_a"].tolist()[:4] == ["earth", "earth", "mars", "moon"]
    assert table["confidence_b"].tolist() == pytest.approx([0.8] * 5)
    assert table["right_b"].tolist()[:4] == [True, False, True, False]
    page = (folder / "comparison.html").read_text(encoding="utf-8")
    assert "&lt;old&gt; is right on 2 images that new gets wrong, and new on 1" in page
    # Of the four images that both could read, the models agree on the first.
    assert page.count("data:image/jpeg") == 3
    assert page.index("Only &lt;old&gt; is right") < page.index("Only new is right")
    assert "Cannot &lt;read&gt; it." in page
    assert "Both are wrong" not in page


def test_page_shows_wrong_answers_only_where_they_differ(tmp_path: Path) -> None:
    folder = create_comparison("mm", "mo", "ee").save(tmp_path / "out")
    page = (folder / "comparison.html").read_text(encoding="utf-8")
    assert "Both are wrong, each in its own way" in page
    assert page.count("data:image/jpeg") == 1


def test_page_shows_48_images_at_most_and_counts_the_rest(tmp_path: Path) -> None:
    folder = create_comparison("e" * 47 + "m" * 3, "m" * 47 + "e" * 3, "e" * 50).save(tmp_path)
    page = (folder / "comparison.html").read_text(encoding="utf-8")
    assert page.count("data:image/jpeg") == 48
    assert "... and 2 more, listed in comparison.csv." in page


def test_save_replaces_nothing_unasked(tmp_path: Path) -> None:
    comparison = create_comparison("e", "e", "e")
    comparison.save(tmp_path / "out")
    with pytest.raises(OutputExistsError, match="is not empty"):
        comparison.save(tmp_path / "out")
    comparison.save(tmp_path / "out", overwrite=True)
