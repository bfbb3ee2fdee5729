"""Records: tables as catalogs; all that is wrong in one is named, each with its line."""

from __future__ import annotations

import os
import re
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from planetvision.core.errors import DataError, DataWarning, SourceNotFoundError, UnknownNameError
from planetvision.data import hash_source, read_labelled

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes `data/labels.csv` beside the files a.png to f.png, and returns its path."""
    folder = tmp_path / "data"
    folder.mkdir()
    for name in "abcdef":
        (folder / f"{name}.png").write_bytes(name.encode())

    def write(*lines: str, name: str = "labels.csv") -> Path:
        (folder / name).write_text("\n".join(lines), encoding="utf-8")
        return folder / name

    return write


def read_problems(path: object, **options: Any) -> tuple[str, ...]:
    with pytest.raises(DataError) as caught:
        read_labelled(path, **options)
    return tuple(caught.value.problems)


def get_names(path: Path, *names: str) -> tuple[str, ...]:
    return tuple(str(path.parent / name) for name in names)


def test_csv_gives_labels_and_paths_from_its_own_folder(write: Write) -> None:
    path = write("file,body", "a.png,mars", "b.png,venus", "c.png,mars")
    catalog = read_labelled(path)
    assert catalog.sources == get_names(path, "a.png", "b.png", "c.png")
    assert catalog.labels == ("mars", "venus", "mars")
    assert (catalog.splits, catalog.groups, catalog.hashes) == (None, None, None)
    assert catalog.origin == f"'{path}'"
    assert read_labelled(str(path)) == catalog


def test_relative_path_of_a_table_stays_relative(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write("x")
    path = write("path,label", "a.png,mars", f"{path.parent / 'b.png'},venus")
    monkeypatch.chdir(path.parent.parent)
    catalog = read_labelled(os.path.join("data", "labels.csv"))  # noqa: PTH118 - as users type
    assert catalog.sources == (str(Path("data", "a.png")), str(path.parent / "b.png"))


def test_table_without_a_header_shows_what_was_taken_for_it(write: Write) -> None:
    with pytest.raises(DataError) as caught:
        read_labelled(write("a.png,mars", "b.png,venus"))
    assert len(caught.value.problems) == 2
    assert str(caught.value).endswith(
        "columns: 'a.png', 'mars'\n"
        'Name the columns in the first line, or as in columns={"path": "a.png", "label": "mars"} '
        '(--column "path=a.png" --column "label=mars" on the command line).'
    )


def test_table_of_the_working_folder_gives_names_alone(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(write("path,label", "a.png,mars").parent)
    assert read_labelled("labels.csv").sources == ("a.png",)


def test_frame_gives_paths_from_the_working_folder(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(write("x").parent)
    frame = pd.DataFrame({"filename": ["a.png", "b.png"], "class": [3, 5], "session": ["s", None]})
    catalog = read_labelled(frame)
    assert catalog.sources == ("a.png", "b.png")
    assert catalog.labels == (3, 5)
    assert catalog.groups == ("s", str(Path("b.png").absolute()))
    assert catalog.origin == "the DataFrame of 2 rows"
    assert read_labelled(frame[["filename"]], ["x", "y"]).labels == ("x", "y")


def test_frame_without_its_files_names_its_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    frame = pd.DataFrame({"path": ["no.png"], "label": ["x"]}, index=[41])
    with pytest.raises(DataError) as caught:
        read_labelled(frame)
    assert str(caught.value) == (
        "The DataFrame of 1 row has 1 problem: index 41: 'no.png' does not exist. "
        "Correct the paths; relative ones start at '.'."
    )


def test_frame_may_hold_the_images_themselves() -> None:
    images = [np.zeros((2, 2, 3), np.uint8), b"bytes"]
    catalog = read_labelled(pd.DataFrame({"image": images, "label": ["x", "y"]}))
    assert catalog.names == ["<array 0>", "<bytes 1>"]
    assert catalog.sources[0] is images[0]


def test_parquet_is_read_as_it_is_typed(write: Write) -> None:
    folder = write("x").parent
    frame = pd.DataFrame(
        {"image": ["a.png", "b.png"], "target": ["7", "8"], "part": ["val", "val"]}
    )
    frame.to_parquet(folder / "labels.parquet")
    catalog = read_labelled(folder / "labels.parquet")
    assert catalog.sources == get_names(folder / "x", "a.png", "b.png")
    assert catalog.labels == ("7", "8")
    assert catalog.splits == ("val", "val")


def test_tsv_with_spaces_and_commas_in_names(write: Write) -> None:
    folder = write("x").parent
    (folder / "my, file 火星.png").touch()
    path = write("path\tlabel", "my, file 火星.png\tmare crisium", name="labels.tsv")
    catalog = read_labelled(path)
    assert catalog.sources == get_names(path, "my, file 火星.png")
    assert catalog.labels == ("mare crisium",)


def test_whole_numbers_in_text_are_integers_if_all_are(write: Write) -> None:
    assert read_labelled(write("path,label", "a.png,7", "b.png,-1")).labels == (7, -1)
    assert read_labelled(write("path,label", "a.png,007", "b.png,1.0")).labels == ("007", "1.0")


def test_integers_among_names_are_named(write: Write) -> None:
    path = write("path,label", "a.png,eros", "b.png,433", "c.png,vesta")
    with pytest.raises(DataError, match=r"Make the labels all names or all integers") as caught:
        read_labelled(path)
    assert caught.value.problems == (
        "line 3: the label '433' is an integer, where others are names",
    )
    path = write("path,label", "a.png,1", "b.png,433", "c.png,vesta")
    assert read_problems(path) == (
        "line 4: the label 'vesta' is a name, where others are integers",
    )
    quoted = write('"path","label"', '"a.png","eros"', '"b.png","433"')
    assert read_labelled(quoted).labels == ("eros", "433")


def test_class_map_mends_labels_of_two_kinds(write: Write) -> None:
    path = write("path,label", "a.png,eros", "b.png,433", "c.png,99")
    assert read_labelled(path, class_map={"433": "eros", "99": None}).labels == ("eros", "eros")
    assert read_labelled(path, class_map={"eros": None}).labels == (433, 99)


def test_labels_of_a_frame_that_are_neither_are_named() -> None:
    frame = pd.DataFrame({"path": [b"1", b"2", b"3", b"4"], "label": ["x", 1.5, True, " "]})
    assert read_problems(frame) == (
        "index 1: the label must be a string or an integer, got 1.5 of type float",
        "index 2: the label must be a string or an integer, got True of type bool",
        "index 3: the label is empty",
    )


def test_integer_labels_with_a_gap_name_the_gap_alone() -> None:
    frame = pd.DataFrame({"path": [b"1", b"2"], "label": [1, None]})
    assert read_problems(frame) == ("index 1: the label is empty",)


@pytest.mark.parametrize(
    ("spelt", "split"),
    [("train", "train"), ("TRAINING", "train"), ("Valid", "val"), ("test", "test")],
)
def test_splits_are_understood_in_their_spellings(write: Write, spelt: str, split: str) -> None:
    path = write("path,label,subset", "b.png,venus,train", f"a.png,venus,{spelt}")
    assert read_labelled(path).splits == ("train", split)


def test_columns_of_nothing_are_none(write: Write) -> None:
    path = write("path,label,split,group,sha256", "a.png,mars,,,", "b.png,mars,,,")
    catalog = read_labelled(path)
    assert (catalog.splits, catalog.groups, catalog.hashes) == (None, None, None)


def test_image_without_a_group_is_alone_in_its_own(write: Write) -> None:
    path = write("path,label,group", "a.png,mars,1", "b.png,mars,", "c.png,mars,", "d.png,mars,1")
    assert read_labelled(path).groups == ("1", *get_names(path, "b.png", "c.png"), "1")
    path = write("path,label,group", "a.png,mars,1", "b.png,mars,20")
    assert read_labelled(path).groups == (1, 20)


def test_groups_beside_a_table_replace_its_column(write: Write) -> None:
    path = write("path,label,group", "a.png,mars,1", "b.png,mars,2")
    assert read_labelled(path, groups=["x", "y"]).groups == ("x", "y")
    with pytest.raises(DataError, match=r"has 2 rows but there are 1 groups\. Pass one"):
        read_labelled(path, groups=["x"])
    with pytest.raises(DataError, match="got the single string 'ab'"):
        read_labelled(path, groups="ab")


def test_everything_wrong_in_a_table_is_named_with_its_line(write: Write) -> None:
    path = write(
        "path,label,split,group,sha256",
        "a.png,mars,train,g1,",  # 2
        "missing.png,mars,train,g2,",  # 3
        ",mars,train,g3,",  # 4
        "b.png,,train,g4,",  # 5
        "a.png,venus,train,g1,",  # 6
        "c.png,mars,trian,g5,",  # 7
        "d.png,mars,,g6,",  # 8
        "e.png,mars,test,g1,",  # 9
        "./e.png,mars,val,g7,",  # 10
        "f.png,7,train,g8,12ab",  # 11
        "../data,mars,train,g9,",  # 12
        "<array 3>,mars,train,g10,",  # 13
    )
    with pytest.raises(DataError) as caught:
        read_labelled(path)
    folder = path.parent
    assert caught.value.problems == (
        "line 3: 'missing.png' does not exist",
        "line 4: the path is empty",
        "line 5: the label is empty",
        f"line 6: '{folder / 'a.png'}' has the label 'venus', but 'mars' in line 2",
        "line 7: unknown split 'trian'",
        "line 8: the split is empty, where others have one",
        "line 9: the group 'g1' is in test, and in train in line 2",
        f"line 10: '{folder}/./e.png' has the split 'val', but 'test' in line 9",
        f"line 10: '{folder}/./e.png' has the group 'g7', but 'g1' in line 9",
        "line 11: the label '7' is an integer, where others are names",
        "line 11: '12ab' is not a SHA-256 of 64 hexadecimal digits",
        "line 12: '../data' is a folder, not a file",
        "line 13: '<array 3>' was an image in memory, which a table cannot hold",
    )
    message = str(caught.value)
    assert message.startswith(f"'{path}' has 13 problems:\n  - line 3: 'missing.png' does not")
    for remedy in (
        f"Correct the paths; relative ones start at '{folder}'.",
        "Give each file one label.",
        "Splits are train, val and test.",
        "Keep each group in one split",
    ):
        assert message.count(remedy) == 1


def test_columns_rows_and_encoding_are_reported_together(write: Write) -> None:
    path = write("x")
    content = "path,planet\na.png,märs\nno.png,mars\nvénus.png,mars\n".encode("latin-1")
    path.write_bytes(content)
    assert read_problems(path) == (
        "line 1: no column is called label or class, target, category, body; "
        "columns: 'path', 'planet'",
        "line 2: byte 8 (0xE4) is not UTF-8 in 'a.png,m\ufffdrs'",
        "line 3: 'no.png' does not exist",
        "line 4: byte 2 (0xE9) is not UTF-8 in 'v\ufffdnus.png,mars'",
    )


def test_rows_that_repeat_are_left_out_with_a_warning(write: Write) -> None:
    path = write("path,label", "a.png,mars", "b.png,mars", "a.png,mars", "./b.png,mars")
    with pytest.warns(DataWarning) as caught:
        catalog = read_labelled(path)
    assert catalog.sources == get_names(path, "a.png", "b.png")
    assert [str(warning.message) for warning in caught] == [
        f"2 rows of '{path}' repeat earlier ones and are left out: line 4, line 5."
    ]
    assert caught[0].filename == __file__


def test_class_that_train_lacks_is_named(write: Write) -> None:
    lines = ["path,label,split", "a.png,mars,train", "b.png,pluto,val", "c.png,pluto,test"]
    assert read_problems(write(*lines)) == ("line 3: the class 'pluto' is in val but not in train",)
    catalog = read_labelled(write(*lines), class_map={"pluto": None})
    assert catalog.labels == ("mars",)


def test_table_of_one_part_may_lack_train(write: Write) -> None:
    path = write("path,label,split", "a.png,mars,test", "b.png,pluto,test")
    assert read_labelled(path).splits == ("test", "test")


def test_class_map_renames_merges_and_spares_what_it_drops(write: Write) -> None:
    path = write(
        "path,label,split",
        "a.png,luna,train",
        "a.png,moon,train",
        "b.png,terra,train",
        "gone.png,sun,nowhere",
    )
    with pytest.warns(DataWarning, match="1 row of .* repeats an earlier one and .*: line 3"):
        catalog = read_labelled(path, class_map={"luna": "moon", "terra": "earth", "sun": None})
    assert catalog.labels == ("moon", "earth")
    assert catalog.sources == get_names(path, "a.png", "b.png")
    with pytest.raises(UnknownNameError, match=r"'lunar', which '.*' does not have\. Did you mean"):
        read_labelled(path, class_map={"lunar": "moon"})
    with pytest.raises(DataError, match="leaves out every class of"):
        read_labelled(path, class_map=dict.fromkeys(("luna", "moon", "terra", "sun")))


def test_columns_of_other_names_are_attributes(write: Write) -> None:
    table = write("path,label,probe,year,", "a.png,moon,Luna 3,1959,x", "b.png,mars,,1976,y")
    assert read_labelled(table).attributes == {
        "probe": ("Luna 3", None),
        "year": ("1959", "1976"),
    }
    left_out = read_labelled(table, class_map={"moon": None})
    assert left_out.attributes["year"] == ("1976",)


def test_columns_of_arrays_are_no_attributes() -> None:
    columns: dict[str, list[Any]] = {
        "path": [np.zeros((4, 4, 3), np.uint8)],
        "label": ["a"],
        "spectrum": [np.arange(3.0)],
        "year": [1979],
    }
    assert read_labelled(pd.DataFrame(columns)).attributes == {"year": (1979,)}


def test_named_columns_are_taken(write: Write) -> None:
    path = write("one,two,label", "a.png,mars,x", "b.png,venus,y")
    catalog = read_labelled(path, columns={"path": "one", "label": "two"})
    assert catalog.labels == ("mars", "venus")
    with pytest.raises(DataError, match=r'as in columns=\{"path": "one"\}'):
        read_labelled(path)


def test_files_that_changed_are_all_named(write: Write) -> None:
    folder = write("x").parent
    hashes = {name: hash_source(folder / f"{name}.png") for name in "abc"}
    rows = [f"{name}.png,mars,{value.upper()}" for name, value in hashes.items()]
    path = write("path,label,sha256", *rows, "d.png,mars,")
    assert read_labelled(path).hashes == (*hashes.values(), "")
    (folder / "a.png").write_bytes(b"other")
    (folder / "c.png").write_bytes(b"other")
    with pytest.raises(DataError) as caught:
        read_labelled(path)
    assert caught.value.problems == (
        f"line 2: '{folder / 'a.png'}' has changed since its sha256 was written",
        f"line 4: '{folder / 'c.png'}' has changed since its sha256 was written",
    )
    assert str(caught.value).endswith(
        "Restore the changed files, or delete the column sha256 to take them as they are."
    )
    assert read_labelled(path, columns={"sha256": None}).hashes is None


def test_table_that_is_missing_or_has_no_rows_says_so(write: Write) -> None:
    with pytest.raises(SourceNotFoundError, match="There is no table"):
        read_labelled(write("x").parent / "no.csv")
    with pytest.raises(DataError, match=r"has no rows, only a header"):
        read_labelled(write("path,label"))


def test_damaged_tables_end_in_a_catalog_or_our_error(write: Write) -> None:
    path = write("x")
    whole = b'path,label,split,group,sha256\n"a.png",mars,train,1,\n"b.png",venus,test,2,\n'
    generator = np.random.default_rng(0)
    outcomes: set[int | str] = set()
    for _ in range(400):
        content = bytearray(whole)
        for place in generator.integers(len(whole), size=generator.integers(1, 4)):
            content[place : place + generator.integers(3)] = generator.bytes(1)
        path.write_bytes(content)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DataWarning)
            try:
                outcomes.add(len(read_labelled(path)))
            except DataError as error:
                outcomes.add(type(error).__name__)
    assert "DataError" in outcomes
    assert outcomes <= {1, 2, "DataError"}


def test_ten_thousand_rows_are_read_fast_with_one_look_at_each_file(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write("x").parent
    for number in range(10_000):
        (folder / f"{number}.png").touch()
    rows = [f"{n}.png,{n % 7},{'train' if n % 5 else 'test'},{n}" for n in range(10_000)]
    path = write("path,label,split,sequence", *rows, *rows[:1])
    looks = 0
    stat = os.stat

    def count_looks(*args: Any, **options: Any) -> os.stat_result:
        nonlocal looks
        looks += 1
        return stat(*args, **options)

    monkeypatch.setattr(os, "stat", count_looks)
    start = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        catalog = read_labelled(path)
    seconds = time.perf_counter() - start
    assert len(catalog) == 10_000
    assert looks <= 10_000 + 10  # the table itself is looked at too
    assert seconds < 5  # 0.2 s on an idle machine


def test_many_problems_of_one_kind_do_not_hide_the_others(tmp_path: Path) -> None:
    rows = [f"no_{number}.png,mars" for number in range(30)]
    (tmp_path / "labels.csv").write_text("\n".join(["path,label", *rows, ",venus", "x.png,"]))
    with pytest.raises(DataError) as caught:
        read_labelled(tmp_path / "labels.csv")
    text = str(caught.value)
    assert len(caught.value.problems) == 33
    assert "'no_0.png' does not exist" in text
    assert "line 32: the path is empty" in text
    assert "line 33: the label is empty" in text
    assert re.search(r"\.\.\. and \d+ more", text)
