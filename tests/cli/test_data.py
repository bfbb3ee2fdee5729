"""The commands for data: what they write, what they say, and how they end."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from tests.calling import TrainedRun, call


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
    assert "belongs to another set" in result.err
    assert not (tmp_path / "out").exists()
