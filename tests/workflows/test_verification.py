"""Verifying a model: what has changed is found, and scores are had again."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from planetvision import verify
from planetvision.classifiers.classifier import PlanetClassifier
from planetvision.classifiers.storage import SUMS_FILE
from planetvision.core.errors import ModelFormatError, SettingsError, SourceNotFoundError
from planetvision.core.files import hash_file
from planetvision.data import save_manifest

FILES = ["MODEL_CARD.md", "config.json", "model.safetensors", "trust.safetensors"]


@pytest.fixture(scope="module")
def scored(trained_once: PlanetClassifier, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The trained model on disk with its test scores, and its split beside it."""
    own = copy.copy(trained_once)
    own.metrics_ = {name: trained_once.metrics_[name] for name in ("num_val", "val_accuracy")}
    own.evaluate()
    root = tmp_path_factory.mktemp("scored")
    save_manifest(own.split_, root / "split.csv")
    return own.save(root / "model")


@pytest.fixture
def folder(scored: Path, tmp_path: Path) -> Path:
    """A copy of it, to be damaged."""
    return Path(shutil.copytree(scored, tmp_path / "model"))


@pytest.fixture
def change_config(rewrite_config: Any) -> Callable[..., None]:
    """Returns a function that changes the config as if the model had been saved like this."""

    def change(folder: Path, **changes: Any) -> None:
        rewrite_config(folder, **changes)
        sums = [f"{hash_file(path)}  {path.name}\n" for path in sorted(folder.iterdir())]
        (folder / SUMS_FILE).write_text("".join(sums))

    return change


def get_results(verification: Any) -> dict[str, str]:
    return {check.name: check.result for check in verification.checks}


def test_folder_as_it_was_saved_is_intact(scored: Path) -> None:
    result = verify(scored)
    assert result.is_intact
    assert result.problems == result.notes == []
    assert get_results(result) == {**dict.fromkeys(FILES, "intact"), "loads": "yes"}
    assert str(result) == "intact: 4 files are as they were saved; the model loads"
    frame = result.to_frame()
    assert list(frame.columns) == ["subject", "name", "result", "problem", "note"]
    assert frame["name"].tolist() == [*FILES, "loads"]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("place", [0, 0.5, -1])
def test_flipped_byte_in_each_file_is_found(folder: Path, name: str, place: float) -> None:
    content = bytearray((folder / name).read_bytes())
    content[int(place * len(content)) if place > 0 else int(place)] ^= 1
    (folder / name).write_bytes(content)
    result = verify(folder)
    assert not result.is_intact
    assert get_results(result)[name] == "changed"
    assert f"{name} has changed since the model was saved" in str(result)


def test_flipped_bit_of_the_sums_is_found(folder: Path) -> None:
    content = (folder / SUMS_FILE).read_bytes()
    for place in range(0, len(content), 13):
        (folder / SUMS_FILE).write_bytes(
            content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]
        )
        assert not verify(folder).is_intact, place


@pytest.mark.parametrize("name", [*FILES, SUMS_FILE])
def test_deleted_file_is_found(folder: Path, name: str) -> None:
    (folder / name).unlink()
    result = verify(folder)
    assert get_results(result)[name] == "missing"
    loads = name not in FILES[1:]
    assert get_results(result)["loads"] == ("yes" if loads else "no")
    assert len(result.problems) == (1 if loads else 2)
    assert str(result).startswith("not intact:" if loads else "not intact, 2 problems:")


def test_file_that_the_sums_no_longer_list_is_found(folder: Path) -> None:
    lines = (folder / SUMS_FILE).read_text().splitlines(keepends=True)
    (folder / SUMS_FILE).write_text("".join(lines[1:]))
    result = verify(folder)
    assert get_results(result)["MODEL_CARD.md"] == "not listed"
    assert "does not list MODEL_CARD.md" in result.problems[0]


@pytest.mark.parametrize("name", ["../secret", "/etc/hostname", "..", "a\\b"])
def test_sums_do_not_lead_out_of_the_folder(folder: Path, name: str) -> None:
    with (folder / SUMS_FILE).open("a") as file:
        file.write(f"{'0' * 64}  {name}\n")
    (folder.parent / "secret").write_text("x")
    result = verify(folder)
    assert result.problems[0].startswith("Line 5 of SHA256SUMS")
    assert len(result.problems) == 1


def test_other_files_are_only_noted(folder: Path) -> None:
    (folder / "notes.txt").write_text("mine")
    result = verify(folder)
    assert result.is_intact
    assert result.notes == ["'notes.txt' does not belong to the model."]
    assert get_results(result)["notes.txt"] == "not listed"


@pytest.mark.parametrize("version", [1, 2])
def test_model_of_an_earlier_version_says_how_to_get_sums(
    folder: Path, tmp_path: Path, version: int, rewrite_config: Any
) -> None:
    rewrite_config(
        folder, format_version=version, data=None, **({"trust": None} if version == 1 else {})
    )
    (folder / "MODEL_CARD.md").unlink()
    if version == 1:
        (folder / "trust.safetensors").unlink()
    result = verify(folder)
    assert result.is_intact
    assert "Save it again" in result.notes[0]
    assert str(result) == "intact: no hashes to compare with; the model loads"
    loaded = PlanetClassifier.load(folder, device="cpu")
    assert loaded.data_ is None
    again = verify(loaded.save(tmp_path / "again"))
    assert again.is_intact
    assert get_results(again)["MODEL_CARD.md"] == "intact"
    card = (tmp_path / "again" / "MODEL_CARD.md").read_text()
    assert "Training data: not recorded." in card


def test_versions_that_differ_are_noted(folder: Path, change_config: Any) -> None:
    saved = json.loads((folder / "config.json").read_text())["versions"]
    change_config(folder, versions={**saved, "torch": "1.0", "gone": "2.0"})
    result = verify(folder)
    assert result.is_intact
    found = get_results(result)
    assert found["torch"] == f"1.0, here {saved['torch']}"
    assert found["gone"] == "2.0, here not installed"
    assert "timm" not in found
    assert "saved with torch 1.0" in result.notes[0]


def test_backbone_that_is_not_registered_here_is_a_problem(
    folder: Path, change_config: Any
) -> None:
    change_config(folder, backbone={"name": "gone", "weights": "none", "licence": ""})
    result = verify(folder)
    assert get_results(result)["loads"] == "no"
    assert "import or install what registers it" in result.problems[0]


def test_same_images_give_the_same_answers(scored: Path) -> None:
    result = verify(scored, scored.parent / "split.csv", device="cpu")
    assert result.is_intact
    assert result.evaluation is not None
    assert get_results(result)["now"] == get_results(result)["saved"]
    assert "accuracy 100% (3 of 3; 95 % interval 43.9% to 100%)" in str(result)


def test_other_number_of_right_answers_on_the_same_images_is_a_problem(
    folder: Path, scored: Path, change_config: Any
) -> None:
    stored = json.loads((folder / "config.json").read_text())["metrics"]
    test = {**stored["test"], "accuracy": 2 / 3}
    change_config(folder, metrics={**stored, "test": test})
    result = verify(folder, scored.parent / "split.csv", device="cpu")
    (problem,) = result.problems
    assert "On the same 3 images 3 predictions are right; 2 were" in problem
    assert get_results(result)["now"].startswith("accuracy 100% (3 of 3;")
    assert get_results(result)["saved"].startswith("accuracy 66.7% (2 of 3;")


def test_scores_on_given_images_are_compared_too(
    trained: PlanetClassifier, disc_folder: Path, tmp_path: Path
) -> None:
    own = copy.copy(trained)
    own.metrics_ = {}
    own.evaluate(disc_folder)
    own.metrics_["elsewhere"][0]["accuracy"] = 23 / 24
    result = verify(own.save(tmp_path / "model"), disc_folder, device="cpu")
    assert "24 predictions are right; 23 were when" in result.problems[0]


def test_other_images_are_not_compared(scored: Path, disc_folder: Path) -> None:
    result = verify(scored, disc_folder, device="cpu")
    assert result.is_intact
    assert "not the images of the stored scores" in result.notes[0]
    found = get_results(result)
    assert found["now"].startswith("accuracy 100% (24 of 24;")
    assert found["saved, of the test split"].startswith("accuracy 100% (3 of 3;")


def test_scores_without_a_fingerprint_are_not_compared(
    folder: Path, disc_folder: Path, change_config: Any
) -> None:
    test = {"accuracy": 0.5, "n": 2, "accuracy_ci95": [0.1, 0.9], "macro_f1": 0.5}
    change_config(folder, metrics={"test": test})
    result = verify(folder, disc_folder, device="cpu")
    assert result.is_intact
    assert "were not recorded" in result.notes[0]
    change_config(folder, metrics={})
    assert "No scores were saved" in verify(folder, disc_folder, device="cpu").notes[0]


def test_wrong_calls_are_refused(scored: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelFormatError, match="There is no model in"):
        verify(tmp_path / "nowhere")
    with pytest.raises(ModelFormatError, match="There is no model in"):
        verify(tmp_path)
    with pytest.raises(SettingsError, match="`device` must be"):
        verify(scored, device="gpu")
    with pytest.raises(SourceNotFoundError):
        verify(scored, tmp_path / "nowhere", device="cpu")
