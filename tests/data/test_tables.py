"""Tables: encodings, delimiters, quotes, lines, and the columns that are found or named."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from planetvision.core.errors import (
    DataError,
    MissingExtraError,
    SourceNotFoundError,
    UnknownNameError,
)
from planetvision.data.tables import (
    COLUMN_NAMES,
    Table,
    read_table,
    select_columns,
)

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a table and returns its path."""

    def write(content: str | bytes, name: str = "labels.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


def get_rows(table: Table) -> list[tuple[object, ...]]:
    return list(zip(*table.columns, strict=True))


@pytest.mark.parametrize(
    ("name", "delimiter"),
    [
        ("a.csv", ","),
        ("a.csv", ";"),
        ("a.csv", "\t"),
        ("a.CSV", "|"),
        ("a.tsv", "\t"),
        ("a.tab", "\t"),
        ("a.tsv", ","),
    ],
)
def test_delimiter_is_the_one_that_makes_columns(write: Write, name: str, delimiter: str) -> None:
    lines = [("path", "label"), ("a, b; c.png", "mars")]
    quoted = ["path" + delimiter + "label", f'"{lines[1][0]}"{delimiter}mars']
    table = read_table(write("\n".join(quoted), name))
    assert table.header == ("path", "label")
    assert get_rows(table) == [lines[1]]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_line_ends_of_any_system_count_the_same(write: Write, end: str) -> None:
    table = read_table(write(end.join(["path,label", "a.png,mars", "", "b.png,venus", ""])))
    assert get_rows(table) == [("a.png", "mars"), ("b.png", "venus")]
    assert table.lines == ["line 2", "line 4"]


def test_line_end_in_quotes_counts_and_stays(write: Write) -> None:
    table = read_table(write('path,label\n"a\r\nb.png",mars\nc.png,venus\n'))
    assert get_rows(table) == [("a\r\nb.png", "mars"), ("c.png", "venus")]
    assert table.lines == ["line 2", "line 4"]


def test_space_around_cells_goes_and_rows_of_nothing_too(write: Write) -> None:
    table = read_table(write(" path , label \n my file.png , mars\n , \n,,\nb.png,\n"))
    assert table.header == ("path", "label")
    assert get_rows(table) == [("my file.png", "mars"), ("b.png", None)]
    assert table.lines == ["line 2", "line 5"]
    assert table.problems == []


def test_quotes_around_all_text_keep_it_as_it_stands(write: Write) -> None:
    content = '"path","label"\n" a.png","7"\n"b ""2"".png",7\n"",12345678901234567890\n'
    table = read_table(write(content))
    assert get_rows(table) == [
        (" a.png", "7"),
        ('b "2".png', 7),
        (None, 12345678901234567890),
    ]
    assert not table.is_text


def test_quotes_around_some_text_mean_nothing(write: Write) -> None:
    table = read_table(write('"path","label"\n" a.png",mars\n"b.png","7"\n'))
    assert get_rows(table) == [("a.png", "mars"), ("b.png", "7")]
    assert table.is_text


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_encodings_that_are_known_are_read(write: Write, encoding: str) -> None:
    table = read_table(write("path,label\n土星 火星.png,märs\n".encode(encoding)))
    assert table.header == ("path", "label")
    assert get_rows(table) == [("土星 火星.png", "märs")]


def test_other_encoding_names_each_line_and_byte(write: Write) -> None:
    content = "path,label\na.png,märs\nb.png,venus\nvénus.png,vénus\n".encode("latin-1")
    table = read_table(write(content))
    assert [problem.text for problem in table.problems] == [
        "line 2: byte 8 (0xE4) is not UTF-8 in 'a.png,m\ufffdrs'",
        "line 4: byte 2 (0xE9) is not UTF-8 in 'v\ufffdnus.png,v\ufffdnus'",
    ]
    assert "iconv -f WINDOWS-1252 -t UTF-8" in table.problems[0].remedy
    assert len(table) == 3


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"is empty\. Its first line must name the columns"),
        (b"\n\n\r\n", r"is empty\. Its first line must name the columns"),
        ("path,label\na.png,mars\n".encode("utf-16-le"), r"holds null bytes\. Save it as UTF-8"),
        (b"\xff\xfep\x00a", r"is damaged UTF-16"),
        (
            b'path,label\na.png,mars\nb.png,"ve\nnus\n',
            r"the row from line 3, .*Close the quotes",
        ),
    ],
)
def test_what_is_no_table_says_why(write: Write, content: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_table(write(content))


def test_table_that_is_not_there_raises(tmp_path: Path) -> None:
    with pytest.raises(SourceNotFoundError, match=r"There is no table '.*no\.csv'"):
        read_table(tmp_path / "no.csv")


def test_row_with_too_many_cells_is_a_problem(write: Write) -> None:
    table = read_table(write("path,label\na.png,mars,,\nb,2.png,mars\n"))
    assert [problem.text for problem in table.problems] == ["line 3: 3 cells, but 2 columns"]


def test_frame_has_its_index_as_lines_and_plain_cells() -> None:
    frame = pd.DataFrame({"path": ["a", None], "label": [1.0, float("nan")]}, index=[5, 9])
    table = read_table(frame)
    assert table.lines == ["index 5", "index 9"]
    assert get_rows(table) == [("a", 1.0), (None, None)]
    assert table.origin == "the DataFrame of 2 rows"
    assert not table.is_text


def test_parquet_has_rows_counted_from_one(tmp_path: Path) -> None:
    frame = pd.DataFrame({"path": ["a", None], "label": [7, 8]}, index=[5, 9])
    frame.to_parquet(tmp_path / "a.parquet")
    table = read_table(tmp_path / "a.parquet")
    assert table.lines == ["row 1", "row 2"]
    assert get_rows(table) == [("a", 7), (None, 8)]
    assert table.folder == str(tmp_path)


def test_damaged_parquet_says_so(write: Write) -> None:
    with pytest.raises(DataError, match=r"'.*a\.parquet' is not a Parquet table"):
        read_table(write(b"PAR1 and no more", "a.parquet"))


def test_parquet_without_its_package_names_the_extra(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match=r'pip install "planetvision\[parquet\]"') as caught:
        read_table(write(b"x", "a.pq"))
    assert (caught.value.package, caught.value.extra) == ("pyarrow", "parquet")


def find(*header: str, columns: dict[str, str | None] | None = None) -> dict[str, str]:
    """The column that is taken for each role, of a table of one row with the columns' names."""
    frame = pd.DataFrame([list(header)], columns=list(header))
    table = read_table(frame)
    cells = select_columns(table, columns)
    assert table.problems == []
    return {role: values[0] for role, values in cells.items()}


@pytest.mark.parametrize(
    ("role", "name"),
    [(role, name) for role, names in COLUMN_NAMES.items() for name in names if name != "hash"],
)
def test_every_usual_name_is_found_in_any_case(role: str, name: str) -> None:
    assert find(name) == {role: name}
    assert find(f" {name.upper()} ") == {role: f" {name.upper()} "}


def test_usual_names_may_have_underscores_and_spaces() -> None:
    assert find("File_Name", "image path x") == {"path": "File_Name"}
    assert find("File Path", "SHA-256") == {"path": "File Path", "sha256": "SHA-256"}


def test_own_name_goes_before_the_others() -> None:
    assert find("file", "path", "category", "label") == {"path": "path", "label": "label"}


def test_hash_column_counts_only_if_it_holds_sha256() -> None:
    frame = pd.DataFrame({"path": ["a"], "hash": ["d41d8cd98f00b204e9800998ecf8427e"]})
    assert set(select_columns(read_table(frame))) == {"path"}
    frame["hash"] = "ab" * 32
    assert set(select_columns(read_table(frame))) == {"path", "sha256"}


def test_named_columns_are_taken_and_not_guessed_again() -> None:
    header = ("file", "image", "class", "body", "session")
    columns: dict[str, str | None] = {"path": "image", "label": "BODY", "group": None}
    assert find(*header, columns=columns) == {"path": "image", "label": "body"}
    # "class" would be guessed for the label, were it not the group.
    assert find("file", "class", "body", columns={"group": "class"}) == {
        "path": "file",
        "label": "body",
        "group": "class",
    }


@pytest.mark.parametrize(
    ("header", "columns", "problem", "remedy"),
    [
        (
            ("file", "image", "label"),
            None,
            "line 1: the column of the path could be 'file' or 'image'; "
            "columns: 'file', 'image', 'label'",
            'Name the columns in the first line, or as in columns={"path": "file"} '
            '(--column "path=file" on the command line).',
        ),
        (
            ("path", "planet"),
            None,
            "line 1: no column is called label or class, target, category, body; "
            "columns: 'path', 'planet'",
            'Name the columns in the first line, or as in columns={"label": "planet"} '
            '(--column "label=planet" on the command line).',
        ),
        (
            ("path", "label", "planet"),
            {"label": "planett"},
            "line 1: there is no column 'planett' for the label; "
            "columns: 'path', 'label', 'planet'",
            'Name the columns in the first line, or as in columns={"label": "planet"} '
            '(--column "label=planet" on the command line).',
        ),
        (
            ("path", "label", "label"),
            None,
            "line 1: the column of the label could be 'label' or 'label'; "
            "columns: 'path', 'label', 'label'",
            "Give each column a name of its own.",
        ),
        (
            ("path", "label", "session", "sequence"),
            None,
            "line 1: the column of the group could be 'session' or 'sequence'; "
            "columns: 'path', 'label', 'session', 'sequence'",
            'Name the columns in the first line, or as in columns={"group": "session"} '
            '(--column "group=session" on the command line).',
        ),
    ],
)
def test_columns_that_cannot_be_told_are_problems(
    write: Write,
    header: tuple[str, ...],
    columns: dict[str, str | None] | None,
    problem: str,
    remedy: str,
) -> None:
    table = read_table(write(",".join(header) + "\n" + ",".join("x" for _ in header)))
    select_columns(table, columns, required={"path", "label"})
    assert [(found.text, found.remedy) for found in table.problems] == [(problem, remedy)]


def test_unknown_key_of_columns_suggests_nearest(write: Write) -> None:
    table = read_table(write("path,label\na,b\n"))
    with pytest.raises(UnknownNameError, match=r"the key 'paths', .*Did you mean 'path'\?"):
        select_columns(table, {"paths": "path"})


def test_error_lists_problems_by_line_and_each_remedy_once(write: Write) -> None:
    table = read_table(write("path,label\na,b\nc,d\ne,f\n"))
    table.report(2, "late", "Do this.")
    assert str(table.create_error()) == (f"{table.origin} has 1 problem: line 4: late. Do this.")
    table.report(0, "early", "Do that.")
    table.report(1, "between", "Do this.")
    error = table.create_error()
    assert str(error) == (
        f"{table.origin} has 3 problems:\n  - line 2: early\n  - line 3: between\n"
        "  - line 4: late\nDo that. Do this."
    )
    assert error.problems == ("line 2: early", "line 3: between", "line 4: late")
