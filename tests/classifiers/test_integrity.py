"""A model folder in which anything was edited, swapped or lost is refused, and says where."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from planetvision import PlanetClassifier, verify
from planetvision.classifiers.storage import load_model
from planetvision.core.errors import ModelFormatError, PlanetVisionError
from planetvision.core.files import hash_file
from planetvision.models.backbones.weights import RELEASED_FOLDER
from planetvision.models.network import create_network

TENSOR_FILES = ("model.safetensors", "trust.safetensors")
# What the fingerprint covers, which is all that there is without SHA256SUMS in earlier models.
COVERED = ("classes", "backbone", "head", "preprocessing", "trust")
# Every choice of files but all three.
SWAPS = [it for count in (1, 2) for it in combinations(("config.json", *TENSOR_FILES), count)]


def rewrite_header(path: Path, **header: str) -> None:
    """Writes the tensors of a file again under another header."""
    save_file(load_file(path), path, header or None)


def make_earlier(folder: Path) -> None:
    """Makes the folder one of 0.1.0 as first written: no copy of the config in the weights."""
    fingerprint = json.loads((folder / "config.json").read_text())["fingerprint"]
    rewrite_header(folder / TENSOR_FILES[0], format="pt", fingerprint=fingerprint)
    rewrite_header(folder / TENSOR_FILES[1])
    names = ("MODEL_CARD.md", "config.json", *TENSOR_FILES)
    sums = [f"{hash_file(folder / name)}  {name}\n" for name in names]
    (folder / "SHA256SUMS").write_text("".join(sums))


def has_copy(folder: Path) -> bool:
    """Whether the weights' header holds a copy of the config."""
    with safe_open(folder / TENSOR_FILES[0], framework="pt") as file:
        return "config" in (file.metadata() or {})


def edit_config(folder: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    path = folder / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    edit(config)
    path.write_text(json.dumps(config, indent=2), encoding="utf-8")


@pytest.fixture(scope="module")
def other_folder(trained_once: PlanetClassifier, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another model of the same shapes."""
    other = copy.copy(trained_once)
    other.network_ = create_network(
        "tiny", num_classes=3, weights="none", input_spec=trained_once.network_.input_spec, seed=9
    ).eval()
    assert trained_once.calibrator_ is not None
    other.calibrator_ = replace(
        trained_once.calibrator_, raw_novelties=trained_once.calibrator_.raw_novelties + 1
    )
    return other.save(tmp_path_factory.mktemp("other") / "model")


@pytest.fixture(params=["present", "earlier"])
def folder(request: pytest.FixtureRequest, model_folder: Path, tmp_path: Path) -> Path:
    """A copy of the trained model's folder, as it is written now and as it was."""
    copied = Path(shutil.copytree(model_folder, tmp_path / "model"))
    if request.param == "earlier":
        make_earlier(copied)
    return copied


def list_edits(value: Any) -> Iterator[tuple[str, Any]]:
    """Yields each edit of one value in a JSON document: the top-level field, the document."""
    if isinstance(value, dict):
        yield "", {**value, "new": 1}
        for name, part in value.items():
            yield name, {key: kept for key, kept in value.items() if key != name}
            yield from ((name, {**value, name: edited}) for _, edited in list_edits(part))
    elif isinstance(value, list):
        yield "", [*value, 1]
        if value[::-1] != value:
            yield "", value[::-1]
        for place, part in enumerate(value):
            rest = value[place + 1 :]
            yield "", [*value[:place], *rest]
            yield from (("", [*value[:place], it, *rest]) for _, it in list_edits(part))
    elif isinstance(value, bool):
        yield from (("", not value), ("", int(value)))
    elif isinstance(value, int | float):
        yield from (("", value + 1), ("", str(value)), ("", -value if value else -0.0))
    elif isinstance(value, str):
        yield from (("", f"{value}x"), ("", None))
    else:
        yield from (("", 0), ("", ""))


def find_unnoticed(folder: Path, fields: Collection[str]) -> list[str]:
    """Returns the edits of these fields that load, or whose error does not name file and field."""
    path = folder / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    unnoticed = []
    edits = [edit for edit in list_edits(config) if edit[0] in fields]
    assert len(edits) > 40
    for field, edited in edits:
        path.write_text(json.dumps(edited), encoding="utf-8")
        try:
            load_model(folder)
        except ModelFormatError as error:
            message = str(error)
            # One that names no known format is refused before anything else.
            is_named = "config.json" in message or "format version" in message
            if not is_named or (field in COVERED and field not in message):
                unnoticed.append(f"{field} in {edited}: {error}")
        except PlanetVisionError as error:
            unnoticed.append(f"{field} in {edited}: {error!r}")
        else:
            unnoticed.append(f"{field} in {edited}: loads")
    return unnoticed


@pytest.mark.slow
@pytest.mark.parametrize("has_sums", [True, False])
def test_every_edit_of_the_config_is_found(folder: Path, has_sums: bool) -> None:
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    fields = {"", *config}
    if not has_sums:
        (folder / "SHA256SUMS").unlink()
        if not has_copy(folder):
            fields = {*COVERED, "fingerprint"}
    assert find_unnoticed(folder, fields) == []


def test_edit_names_the_field_its_value_what_was_saved_and_the_remedy(
    model_folder: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(model_folder, tmp_path / "model"))
    edit_config(folder, lambda config: config["classes"].reverse())
    with pytest.raises(ModelFormatError) as caught:
        load_model(folder)
    assert caught.value.path == str(folder)
    assert '`classes[0]` is "red", expected "blue"' in str(caught.value)
    assert '`classes[2]` is "blue", expected "red"' in str(caught.value)
    assert "`classes[1]`" not in str(caught.value)
    assert str(caught.value).endswith("change it with set_params() and save the model.")


def test_setting_is_changed_by_loading_and_saving(folder: Path, tmp_path: Path) -> None:
    loaded = PlanetClassifier.load(folder, device="cpu").set_params(rejection_rate=0.2)
    again = loaded.save(tmp_path / "again")
    assert PlanetClassifier.load(again).rejection_rate == 0.2
    assert verify(again).is_intact


@pytest.mark.parametrize("swapped", SWAPS)
@pytest.mark.parametrize("has_headers", [True, False])
@pytest.mark.parametrize("has_sums", [True, False])
def test_every_file_of_another_model_is_found(
    folder: Path, other_folder: Path, swapped: tuple[str, ...], has_headers: bool, has_sums: bool
) -> None:
    for name in swapped:
        shutil.copy(other_folder / name, folder / name)
        if not has_headers and name in TENSOR_FILES:
            rewrite_header(folder / name)
    if not has_sums:
        (folder / "SHA256SUMS").unlink()
    with pytest.raises(ModelFormatError) as caught:
        load_model(folder)
    assert any(name in str(caught.value) for name in swapped)


@pytest.mark.parametrize("name", TENSOR_FILES)
@pytest.mark.parametrize("has_sums", [True, False])
def test_every_tensor_is_covered(folder: Path, name: str, has_sums: bool) -> None:
    tensors = load_file(folder / name)
    with safe_open(folder / name, framework="pt") as file:
        header = file.metadata()
    if not has_sums:
        (folder / "SHA256SUMS").unlink()
    for changed, values in tensors.items():
        negatives = values.clone().flatten()
        negatives[-1] += 1
        for edited in (
            {**tensors, changed: negatives.reshape(values.shape)},
            {
                **tensors,
                changed: values.double() if values.dtype != torch.float64 else values.float(),
            },
            {key: value for key, value in tensors.items() if key != changed},
            {**tensors, "new": values.clone()},
        ):
            save_file(edited, folder / name, header)
            with pytest.raises(
                ModelFormatError, match=rf"{name}.* their fingerprint is [0-9a-f]+,"
            ):
                load_model(folder)


def test_reversed_classes_of_the_released_model_are_found(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(RELEASED_FOLDER, tmp_path / "model"))
    assert load_model(folder).classes[0] == "earth"
    edit_config(folder, lambda config: config["classes"].reverse())
    with pytest.raises(ModelFormatError, match=r"config\.json was edited, in one of `classes`"):
        load_model(folder)
    result = verify(folder)
    assert {check.name: check.result for check in result.checks}["loads"] == "no"


def test_what_says_the_same_is_loaded(folder: Path) -> None:
    before = load_model(folder)
    path = folder / "config.json"
    text = path.read_text(encoding="utf-8")
    (folder / "MODEL_CARD.md").write_text("# Mine")
    (folder / "notes.txt").write_text("mine")
    layouts = [text.replace("\n", "\r\n"), json.dumps(json.loads(text))]
    if has_copy(folder):
        layouts.append(json.dumps(json.loads(text), sort_keys=True))
    for layout in layouts:
        path.write_bytes(layout.encode())
        loaded = load_model(folder)
        assert (loaded.classes, loaded.recipe) == (before.classes, before.recipe)


@pytest.mark.parametrize("text", ["", "{", "[]", "3"])
def test_damaged_copy_of_the_config_is_refused(
    model_folder: Path, tmp_path: Path, text: str
) -> None:
    folder = Path(shutil.copytree(model_folder, tmp_path / "model"))
    fingerprint = json.loads((folder / "config.json").read_text())["fingerprint"]
    rewrite_header(folder / "model.safetensors", config=text, fingerprint=fingerprint)
    with pytest.raises(ModelFormatError, match=r"is damaged|was edited"):
        load_model(folder)
