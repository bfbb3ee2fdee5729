"""Two models asked about the same images."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from planetvision.classifiers.classifier import PlanetClassifier
from planetvision.core.errors import DataError, ModelFormatError, SettingsError
from planetvision.core.settings import ClassMap
from planetvision.workflows.compare import compare


@pytest.fixture
def weak(trained: PlanetClassifier) -> PlanetClassifier:
    """A model that calls red what the other calls green, and green what it calls red."""
    assert trained.classes_.tolist() == ["blue", "green", "red"]
    weak = copy_with(trained, None)
    weak.classes_ = np.array(["blue", "red", "green"])
    return weak


def copy_with(classifier: PlanetClassifier, class_map: ClassMap | None) -> PlanetClassifier:
    copied = PlanetClassifier(**{**classifier.get_params(), "class_map": class_map})
    for name, value in vars(classifier).items():
        if name.endswith("_"):
            setattr(copied, name, value)
    return copied


def test_better_model_is_found_from_folders_and_from_classifiers(
    trained: PlanetClassifier,
    model_folder: Path,
    weak: PlanetClassifier,
    disc_folder: Path,
    tmp_path: Path,
) -> None:
    weak_folder = weak.save(tmp_path / "runs" / "weak" / "model")
    found = compare(weak_folder, model_folder, disc_folder, device="cpu")
    assert found.names == ("weak", model_folder.parent.name)
    # Blue is the same to both; of the 16 others the weak model has none.
    assert (found.only_first, found.only_second) == (0, 16)
    assert found.better == model_folder.parent.name
    assert found.p_value == pytest.approx(2 / 2**16)
    turned = compare(trained, weak, disc_folder)
    assert (turned.names, turned.better) == (("A", "B"), "A")
    frame = turned.to_frame()
    expected = [
        answer == label
        for answer, label in zip(
            trained.predict(frame["path"]).top_labels, frame["true_label"], strict=True
        )
    ]
    assert frame["right_a"].tolist() == expected


def test_data_with_a_test_part_are_judged_by_that_part_alone(
    trained: PlanetClassifier, weak: PlanetClassifier, disc_paths: list[str], disc_labels: list[str]
) -> None:
    parts = ["test" if row % 4 == 0 else "train" for row in range(len(disc_paths))]
    table = pd.DataFrame({"path": disc_paths, "label": disc_labels, "split": parts})
    assert compare(trained, weak, table, columns={"path": "path"}).n == 6
    assert compare(trained, weak, disc_paths, disc_labels).n == 24


def test_image_that_cannot_be_read_is_a_row_with_its_error(
    trained: PlanetClassifier, disc_paths: list[str], disc_labels: list[str]
) -> None:
    found = compare(trained, trained, [*disc_paths, b"no image"], [*disc_labels, "red"])
    assert (found.n, len(found.failed)) == (24, 1)
    assert found.better is None
    assert str(found).startswith("A and B are right on the same 24 of 24 images")


def test_class_maps_of_the_models_hold_unless_others_are_given(
    trained: PlanetClassifier, weak: PlanetClassifier, disc_folder: Path, tmp_path: Path
) -> None:
    data = Path(shutil.copytree(disc_folder, tmp_path / "data"))
    (data / "red").rename(data / "rouge")
    (tmp_path / "data" / "junk").mkdir()
    Image.fromarray(np.zeros((40, 40, 3), np.uint8)).save(data / "junk" / "0.png")
    one, other = copy_with(trained, {"rouge": "red", "junk": None}), copy_with(weak, None)
    assert compare(one, other, data).n == 24
    other = copy_with(weak, {"rouge": "blue"})
    with pytest.raises(SettingsError, match=r"disagree.*'rouge' is 'red' in one and 'blue' in the"):
        compare(one, other, data)
    found = compare(one, other, data, class_map={"rouge": "green"})
    assert sorted(set(found.labels)) == ["blue", "green"]


def test_names_are_the_shortest_ends_of_the_paths_that_differ(
    trained: PlanetClassifier, disc_folder: Path, tmp_path: Path
) -> None:
    folders = [tmp_path / place for place in ("a/model", "b/model", "c/small", "d/a")]
    for folder in folders:
        trained.save(folder)
    one, two, three, four = folders

    def get_names(first: Any, second: Any) -> tuple[str, str]:
        image = next(disc_folder.glob("red/*.png"))
        return compare(first, second, [image], ["red"], device="cpu").names

    assert get_names(one, two) == ("a", "b")
    assert get_names(one, three) == ("a", "small")
    assert get_names(trained, three) == ("A", "small")
    assert get_names(one, one) == ("a (A)", "a (B)")
    assert get_names(one, four) == ("a (A)", "a (B)")


def test_wrong_calls_say_what_is_wrong(
    trained: PlanetClassifier, disc_folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(SettingsError, match="must differ, got 'x' twice"):
        compare(trained, trained, disc_folder, names=("x", "x"))
    with pytest.raises(ModelFormatError):
        compare(trained, tmp_path, disc_folder)
    with pytest.raises(DataError, match="no class of the images is known to both"):
        compare(trained, trained, [np.zeros((9, 9, 3), np.uint8)], ["pluto"])
