"""Predictions: a sequence, an array of labels, a table, and files."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.metrics import accuracy_score

from planetvision.classifiers.classifier import PlanetClassifier
from planetvision.core.errors import DataWarning, OutputError, OutputExistsError
from planetvision.results import Evaluation, Explanations, Prediction, Predictions
from planetvision.results.predictions import name_pictures

COLUMNS = [
    "path",
    "label",
    "confidence",
    "known",
    "novelty",
    "top_label",
    "second_label",
    "second_confidence",
    "p_earth",
    "p_mars",
    "p_moon",
    "error",
]


def create_predictions(sources: Sequence[Any], rows: Sequence[Sequence[float]]) -> Predictions:
    """Rows of NaN are images that could not be read."""
    probabilities = np.array(rows, dtype=np.float64).reshape(-1, 3)
    bad = [bool(np.isnan(row).any()) for row in probabilities]
    names = [item if isinstance(item, str) else f"<array {i}>" for i, item in enumerate(sources)]
    return Predictions(
        paths=tuple(names),
        sources=tuple(sources),
        classes=("earth", "mars", "moon"),
        probabilities=probabilities,
        errors=tuple("Cannot read it: it is empty." if one else "" for one in bad),
    )


@pytest.fixture
def predictions() -> Predictions:
    array = np.full((20, 30, 3), 90, np.uint8)
    nan = float("nan")
    return create_predictions(
        [array, "gone.png", array], [[0.25, 0.625, 0.125], [nan] * 3, [0.5, 0.0, 0.5]]
    )


def test_item_has_the_two_most_probable_classes(predictions: Predictions) -> None:
    first = predictions[0]
    assert isinstance(first, Prediction)
    assert (first.path, first.error) == ("<array 0>", "")
    assert (first.label, first.confidence) == ("mars", 0.625)
    assert (first.second_label, first.second_confidence) == ("earth", 0.25)
    assert first.probabilities == {"earth": 0.25, "mars": 0.625, "moon": 0.125}


def test_item_of_a_tie_takes_the_classes_in_their_order(predictions: Predictions) -> None:
    assert (predictions[2].label, predictions[2].second_label) == ("earth", "moon")


def test_item_that_could_not_be_read_has_no_label_and_says_why(predictions: Predictions) -> None:
    bad = predictions[1]
    assert (bad.label, bad.second_label) == (None, None)
    assert math.isnan(bad.confidence)
    assert all(math.isnan(value) for value in bad.probabilities.values())
    assert bad.error == "Cannot read it: it is empty."
    assert [item.path for item in predictions.failed] == ["gone.png"]


def test_predictions_are_a_sequence(predictions: Predictions) -> None:
    assert len(predictions) == 3
    assert [item.label for item in predictions] == ["mars", None, "earth"]
    assert predictions.labels == ["mars", None, "earth"]
    assert predictions[-1] == predictions[2]
    rest = predictions[1:]
    assert isinstance(rest, Predictions)
    assert [item.path for item in rest] == ["gone.png", "<array 2>"]
    assert rest[1] == predictions[2]
    assert next(item.path for item in reversed(predictions)) == "<array 2>"
    with pytest.raises(IndexError):
        predictions[3]


def test_array_holds_the_labels_and_goes_into_scikit_learn() -> None:
    predictions = create_predictions(["a", "b"], [[1, 0, 0], [0, 0, 1]])
    array = np.asarray(predictions)
    assert array.tolist() == ["earth", "moon"]
    assert array.dtype.kind == "U"
    assert np.array(predictions, dtype=object).dtype == object
    assert accuracy_score(["earth", "mars"], predictions) == 0.5


def test_array_with_a_failed_image_holds_none(predictions: Predictions) -> None:
    array = np.asarray(predictions)
    assert array.dtype == object
    assert array.tolist() == ["mars", None, "earth"]


def test_frame_has_exactly_the_documented_columns(predictions: Predictions) -> None:
    frame = predictions.to_frame()
    assert list(frame.columns) == COLUMNS
    assert frame.iloc[0].tolist() == [
        "<array 0>",
        "mars",
        0.625,
        True,
        None,
        "mars",
        "earth",
        0.25,
        0.25,
        0.625,
        0.125,
        "",
    ]
    assert frame["label"].isna().tolist() == [False, True, False]
    assert frame.loc[1, ["confidence", "p_earth", "p_mars", "p_moon"]].isna().all()
    assert frame.loc[1, "error"] == "Cannot read it: it is empty."


def test_frame_of_no_images_has_the_columns_too() -> None:
    frame = create_predictions([], []).to_frame()
    assert list(frame.columns) == COLUMNS
    assert len(frame) == 0


def test_save_writes_table_pictures_and_collage(predictions: Predictions, tmp_path: Path) -> None:
    folder = predictions.save(tmp_path / "out")
    assert folder == tmp_path / "out"
    assert sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.*")) == [
        "annotated/0_array_0.png",
        "annotated/2_array_2.png",
        "collage.png",
        "predictions.csv",
    ]
    table = pd.read_csv(folder / "predictions.csv")
    assert list(table.columns) == COLUMNS
    assert table["label"].tolist()[::2] == ["mars", "earth"]
    assert table["p_mars"].tolist()[::2] == [0.625, 0.0]
    assert table["error"].tolist()[1] == "Cannot read it: it is empty."
    with Image.open(folder / "annotated" / "0_array_0.png") as picture:
        pixels = np.asarray(picture.convert("RGB"))
    assert ((pixels == 90).all(axis=2)).any(), "the picture is there"
    assert (pixels != 90).any(), "and so is its caption"


def test_save_refuses_to_replace_unless_told(predictions: Predictions, tmp_path: Path) -> None:
    (tmp_path / "predictions.csv").write_text("mine")
    with pytest.raises(OutputExistsError, match="is not empty"):
        predictions.save(tmp_path)
    assert (tmp_path / "predictions.csv").read_text() == "mine"
    predictions.save(tmp_path, overwrite=True)
    assert (tmp_path / "predictions.csv").read_text().startswith("path,label,confidence")


def test_save_of_failed_images_only_writes_the_table(tmp_path: Path) -> None:
    predictions = create_predictions(["gone.png"], [[float("nan")] * 3])
    folder = predictions.save(tmp_path / "out")
    assert [path.name for path in folder.rglob("*.*")] == ["predictions.csv"]


def test_save_over_older_results_leaves_no_older_collage(
    predictions: Predictions, tmp_path: Path
) -> None:
    folder = predictions.save(tmp_path / "out")
    create_predictions(["gone.png"], [[float("nan")] * 3]).save(folder, overwrite=True)
    assert not (folder / "collage.png").exists()


@pytest.mark.parametrize("kind", [str, Path])
def test_save_over_the_images_that_were_predicted_is_refused_and_removes_nothing(
    kind: Callable[[Path], Any], predictions: Predictions, tmp_path: Path
) -> None:
    folder = predictions.save(tmp_path / "out")
    before = {path: path.read_bytes() for path in folder.rglob("*.*")}
    pictures = sorted((folder / "annotated").iterdir())
    again = create_predictions([kind(path) for path in pictures], [[1, 0, 0]] * len(pictures))
    with pytest.raises(OutputError, match=r"0_array_0\.png' lies where results would be written"):
        again.save(folder, overwrite=True)
    assert {path: path.read_bytes() for path in folder.rglob("*.*")} == before


def test_save_over_older_results_removes_their_pictures_and_keeps_the_users(
    predictions: Predictions, tmp_path: Path
) -> None:
    folder = predictions.save(tmp_path / "out")
    (folder / "annotated" / "mine.png").write_text("mine")
    (folder / "annotated" / "notes.txt").write_text("mine")
    create_predictions([np.zeros((9, 9, 3), np.uint8)], [[1, 0, 0]]).save(folder, overwrite=True)
    assert sorted(path.name for path in (folder / "annotated").iterdir()) == [
        "0_array_0.png",
        "mine.png",
        "notes.txt",
    ]
    assert (folder / "annotated" / "mine.png").read_text() == "mine"


def test_save_passes_over_an_image_that_has_gone_since(tmp_path: Path) -> None:
    predictions = create_predictions([str(tmp_path / "gone.png")], [[1, 0, 0]])
    folder = predictions.save(tmp_path / "out")
    assert [path.name for path in folder.rglob("*.*")] == ["predictions.csv"]
    assert pd.read_csv(folder / "predictions.csv")["label"].tolist() == ["earth"]


def test_name_pictures_gives_names_that_files_may_have_and_none_twice() -> None:
    paths = ["a/mars.jpg", "b/mars.png", "a b/é?*.png", "<array 3>", ""]
    assert name_pictures(paths) == [
        "0_mars.png",
        "1_mars.png",
        "2_é.png",
        "3_array_3.png",
        "4_image.png",
    ]
    many = name_pictures([f"{'x' * 300}.png"] * 101)
    assert many[7] == f"007_{'x' * 80}.png"
    assert len(set(many)) == 101


@pytest.mark.slow
def test_results_of_files_with_names_that_are_no_text_are_saved(
    odd_folder: Path, trained: PlanetClassifier, tmp_path: Path
) -> None:
    results: dict[str, Predictions | Evaluation | Explanations] = {
        "predictions": trained.predict(odd_folder / "red"),
        "evaluation": trained.evaluate(odd_folder),
        "explanations": trained.explain(odd_folder / "red"),
    }
    for name, result in results.items():
        with pytest.warns(DataWarning, match="are not valid text"):
            folder = result.save(tmp_path / name)
        table = folder / ("explanations.csv" if name == "explanations" else "predictions.csv")
        assert r"mars-\udcff.png" in table.read_text(encoding="utf-8")


def test_pictures_of_files_with_names_that_are_no_text_are_replaced(
    odd_folder: Path, trained: PlanetClassifier, tmp_path: Path
) -> None:
    with pytest.warns(DataWarning, match="are not valid text"):
        folder = trained.predict(odd_folder / "red").save(tmp_path / "out")
    trained.predict(odd_folder / "red" / "1.png").save(folder, overwrite=True)
    assert [path.name for path in (folder / "annotated").iterdir()] == ["0_1.png"]
