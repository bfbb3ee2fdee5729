"""Files: nothing is replaced unasked, and a file is whole or not there."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pandas as pd
import pytest

from planetvision.core.errors import DataWarning, OutputError, OutputExistsError
from planetvision.core.files import (
    check_output,
    check_output_file,
    create_output_folder,
    create_table,
    write_atomically,
    write_json,
    write_table,
    write_text,
)


def test_create_output_folder_makes_the_folders_above_too(tmp_path: Path) -> None:
    folder = create_output_folder(tmp_path / "a" / "b")
    assert folder == tmp_path / "a" / "b"
    assert folder.is_dir()


def test_check_output_creates_nothing(tmp_path: Path) -> None:
    assert check_output(str(tmp_path / "a" / "b")) == tmp_path / "a" / "b"
    assert list(tmp_path.iterdir()) == []


def test_check_output_takes_an_empty_folder(tmp_path: Path) -> None:
    assert check_output(tmp_path) == tmp_path


def test_check_output_of_a_full_folder_raises_unless_overwrite(tmp_path: Path) -> None:
    (tmp_path / "kept.txt").write_text("old")
    with pytest.raises(
        OutputExistsError, match=r"is not empty\. Name a new folder, or pass overwrite=True"
    ) as caught:
        check_output(tmp_path)
    assert caught.value.path == str(tmp_path)
    assert check_output(tmp_path, overwrite=True) == tmp_path
    assert create_output_folder(tmp_path, overwrite=True) == tmp_path
    assert (tmp_path / "kept.txt").read_text() == "old"


def test_check_output_of_a_file_raises_even_with_overwrite(tmp_path: Path) -> None:
    file = tmp_path / "model"
    file.write_text("not a folder")
    with pytest.raises(OutputExistsError, match=r"'.*model' is a file, a folder was expected"):
        check_output(file, overwrite=True)
    assert file.read_text() == "not a folder"


def test_check_output_below_a_file_says_that_it_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"file' is a file, not a folder"):
        check_output(tmp_path / "file" / "out")


def test_check_output_without_permission_names_the_folder_above(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The tests may run as root, whom no permission stops.
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path)
    with pytest.raises(OutputError, match="no write permission in") as caught:
        check_output(tmp_path / "new" / "out")
    assert f"'{tmp_path}'" in str(caught.value)
    assert caught.value.path == str(tmp_path / "new" / "out")
    assert not isinstance(caught.value, OutputExistsError)


def test_output_with_a_name_that_the_system_refuses_raises_ours(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"cannot be"):
        create_output_folder(tmp_path / ("x" * 300))


def test_create_output_folder_that_the_system_refuses_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Path, *args: object, **options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(OutputError, match=r"cannot be created: No space left on device"):
        create_output_folder(tmp_path / "out")


def test_write_atomically_puts_the_file_in_place_readable_for_all(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    write_atomically(path, lambda file: file.write_text("{}"))
    assert path.read_text() == "{}"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert [item.name for item in tmp_path.iterdir()] == ["metrics.json"]


def test_write_atomically_gives_the_writer_the_same_suffix_and_folder(tmp_path: Path) -> None:
    seen: list[Path] = []
    write_atomically(tmp_path / "map.npy", seen.append)
    assert seen[0].suffix == ".npy"
    assert seen[0].parent == tmp_path
    assert seen[0].name != "map.npy"


@pytest.mark.parametrize("failure", [OSError(28, "No space left on device"), ValueError("bad")])
def test_write_atomically_leaves_the_old_file_when_the_writer_fails(
    tmp_path: Path, failure: Exception
) -> None:
    path = tmp_path / "metrics.json"
    path.write_text("old")

    def write(file: Path) -> None:
        file.write_text("half")
        raise failure

    expected = OutputError if isinstance(failure, OSError) else ValueError
    with pytest.raises(expected, match=r"No space left on device|bad"):
        write_atomically(path, write)
    assert path.read_text() == "old"
    assert [item.name for item in tmp_path.iterdir()] == ["metrics.json"]


def test_write_atomically_into_a_missing_folder_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "metrics.json"
    with pytest.raises(OutputError, match=r"metrics\.json' cannot be written: No such file") as e:
        write_atomically(path, lambda file: file.write_text("{}"))
    assert e.value.path == str(path)


def test_json_text_and_tables_are_written_as_people_and_programs_read_them(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"körper": [1, None]})
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert text.startswith('{\n  "körper"')
    assert json.loads(text) == {"körper": [1, None]}
    write_table(tmp_path / "a.csv", pd.DataFrame({"x": [1, 2]}))
    assert (tmp_path / "a.csv").read_text(encoding="utf-8").splitlines() == ["x", "1", "2"]
    write_text(tmp_path / "a.txt", "ü")
    assert (tmp_path / "a.txt").read_bytes() == "ü".encode()


def test_names_that_are_no_text_are_written_as_escapes_with_a_warning(tmp_path: Path) -> None:
    name = "mars-\udcff.png"  # as Python has a file that is called b"mars-\xff.png"
    with pytest.warns(DataWarning, match=r"Some names in '.*a\.txt' are not valid text"):
        write_text(tmp_path / "a.txt", name)
    assert (tmp_path / "a.txt").read_bytes() == b"mars-\\udcff.png"
    with pytest.warns(DataWarning, match=r"a\.json"):
        write_json(tmp_path / "a.json", {"name": name})
    assert json.loads((tmp_path / "a.json").read_bytes()) == {"name": name}
    with pytest.warns(DataWarning, match=r"a\.csv"):
        write_table(tmp_path / "a.csv", create_table({"name": [name, "é"], "n": [1, 2]}))
    assert (tmp_path / "a.csv").read_text(encoding="utf-8").splitlines() == [
        "name,n",
        r"mars-\udcff.png,1",
        "é,2",
    ]


def test_table_keeps_the_types_of_what_is_no_text() -> None:
    frame = create_table({"a": ["x", None], "b": [0.5, float("nan")], "c": [1, 2], "d": [True] * 2})
    assert frame.dtypes.astype(str).tolist() == ["object", "float64", "int64", "bool"]
    assert create_table({"a": [], "b": []}).columns.tolist() == ["a", "b"]


def test_write_atomically_to_a_path_that_the_system_cannot_name_raises_ours(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"cannot be written: .*surrogates not allowed"):
        write_atomically(tmp_path / "\ud800" / "a.txt", Path.touch)
    with pytest.raises(OutputError, match=r"a\.txt' cannot be written: .*surrogates not allowed"):
        write_atomically(tmp_path / "a.txt", lambda file: file.write_text("\ud800", "utf-8"))
    assert list(tmp_path.iterdir()) == []


def test_file_that_is_there_is_kept_unless_overwrite_is_true(tmp_path: Path) -> None:
    file = tmp_path / "sheet.png"
    assert check_output_file(file) == file
    file.write_bytes(b"mine")
    with pytest.raises(OutputExistsError, match=r"sheet\.png' exists\. Name a new one, or pass"):
        check_output_file(file)
    assert check_output_file(file, overwrite=True) == file


def test_folder_is_no_file_to_write(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"is a folder, a file was expected\."):
        check_output_file(tmp_path, overwrite=True)
