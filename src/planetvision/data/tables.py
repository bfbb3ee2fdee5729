"""Tables: CSV, TSV, Parquet and DataFrames, read as columns whose rows keep their line numbers."""

from __future__ import annotations

import codecs
import csv
import io
import os
import re
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from planetvision.core.errors import (
    DataError,
    MissingExtraError,
    SourceNotFoundError,
    UnknownNameError,
    count,
    itemize,
)

if TYPE_CHECKING:
    import pandas as pd


TABLE_SUFFIXES = frozenset({".csv", ".tsv", ".tab", ".parquet", ".pq"})
ColumnMap: TypeAlias = "Mapping[str, str | None]"

# The names by which a column is found where it is not named; the first is its own and goes before
# the others. Case, spaces, hyphens and underscores do not count.
COLUMN_NAMES: dict[str, tuple[str, ...]] = {
    "path": ("path", "file", "filename", "filepath", "image", "imagepath"),
    "label": ("label", "class", "target", "category", "body"),
    "split": ("split", "subset", "part"),
    "group": ("group", "observation", "sequence", "session"),
    "sha256": ("sha256", "hash"),
}
_DELIMITERS = (",", ";", "\t", "|")
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")
_WHOLE_NUMBER = re.compile(r"0|-?[1-9][0-9]*")


@dataclass(frozen=True, kw_only=True)
class Problem:
    """A problem in a table.

    Args:
        position: The line number, which orders the messages.
        text: The statement of the problem, with its line.
        remedy: The remedy for all problems of this kind.
    """

    position: int
    text: str
    remedy: str


_MANY_PROBLEMS = 20


@dataclass(frozen=True, kw_only=True)
class Table:
    """The content of a table, before its columns are interpreted.

    Args:
        origin: The name of the table in messages.
        header: The names of the columns.
        header_line: The name of the header's line in messages.
        columns: The cells of each column; None where a cell is empty.
        lines: The name of each row in messages, such as "line 2".
        positions: The number of each row's line.
        folder: The folder that relative paths start from; empty for the working folder.
        is_text: Whether all cells are text, numbers too.
        is_damaged: Whether some lines were in another encoding.
        problems: The problems found so far.
    """

    origin: str
    header: tuple[str, ...]
    header_line: str
    columns: tuple[Sequence[Any], ...]
    lines: Sequence[str]
    positions: Sequence[int]
    folder: str = ""
    is_text: bool = False
    is_damaged: bool = False
    problems: list[Problem] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.lines)

    def report(self, row: int, statement: str, remedy: str) -> None:
        """Adds a problem of a row."""
        self.problems.append(
            Problem(
                position=self.positions[row], text=f"{self.lines[row]}: {statement}", remedy=remedy
            )
        )

    def create_error(self) -> DataError:
        """Returns one error with all problems, in the order of their lines, and their remedies.

        Many problems are grouped by kind, so that one kind does not hide the others.
        """
        ordered = sorted(self.problems, key=lambda problem: problem.position)
        texts = [problem.text for problem in ordered]
        name = self.origin[0].upper() + self.origin[1:]
        heading = f"{name} has {count(len(texts), 'problem')}:"
        kinds: dict[str, list[str]] = {}
        for problem in ordered:
            kinds.setdefault(problem.remedy, []).append(problem.text)
        if len(texts) > _MANY_PROBLEMS:
            shown = max(3, _MANY_PROBLEMS // len(kinds))
            blocks = [f"{itemize(remedy, found, shown)}" for remedy, found in kinds.items()]
            return DataError("\n".join([heading, *blocks]), problems=texts)
        joint = ". " if len(texts) == 1 else "\n"
        return DataError(f"{itemize(heading, texts)}{joint}{' '.join(kinds)}", problems=texts)


def is_table_path(path: str | os.PathLike[str]) -> bool:
    """Returns whether the path has the suffix of a table."""
    return Path(path).suffix.lower() in TABLE_SUFFIXES


def is_whole_number(text: str) -> bool:
    """Returns whether the text is an integer in plain form: `7`, but not `007` or `7.0`."""
    return _WHOLE_NUMBER.fullmatch(text) is not None


def get_frame(data: object) -> pd.DataFrame | None:
    """Returns `data` if it is a pandas DataFrame, else None; it does not import pandas."""
    pandas = sys.modules.get("pandas")
    if pandas is not None and isinstance(data, pandas.DataFrame):
        return cast("pd.DataFrame", data)
    return None


def read_table(data: str | os.PathLike[str] | pd.DataFrame) -> Table:
    """Returns the table in a file or DataFrame, with the line of each row.

    CSV and TSV are read as UTF-8, with or without a byte order mark, or as UTF-16 with one. The
    delimiter is the one of comma, semicolon, tab and bar that gives most columns. Space around
    cells is removed, unless all text in the file is in quotes: then a quoted cell is text exactly
    as it stands, and a whole number without quotes is a number.

    Args:
        data: A path with one of `TABLE_SUFFIXES`, or a DataFrame.

    Raises:
        SourceNotFoundError: If there is no such file.
        MissingExtraError: If it is Parquet and pyarrow is not installed.
        DataError: If it cannot be read as a table at all.
    """
    if not isinstance(data, str | os.PathLike):
        lines = [f"index {label}" for label in data.index]
        return _from_frame(data, f"the DataFrame of {count(len(data), 'row')}", lines)
    path = Path(data)
    if not path.exists():
        raise SourceNotFoundError(
            f"There is no table '{path}'. Check the path.", source=os.fspath(data)
        )
    if path.suffix.lower() in (".parquet", ".pq"):
        return _read_parquet(path)
    try:
        content = path.read_bytes()
    except OSError as cause:
        raise DataError(
            f"The table '{path}' cannot be read: {cause.strerror or cause}. Check its permissions."
        ) from cause
    return _read_text(path, content)


def _get_folder(path: Path) -> str:
    folder = str(path.parent)
    return "" if folder == os.curdir else folder


def _from_frame(frame: pd.DataFrame, origin: str, lines: Sequence[str], **options: Any) -> Table:
    # pandas' own conversion would make floats of integers beside gaps.
    cells = frame.astype(object).where(frame.notna(), None)
    facts = {"header_line": "header", "positions": range(1, len(frame) + 1), **options}
    return Table(
        origin=origin,
        header=tuple(map(str, frame.columns)),
        columns=tuple(cells.iloc[:, place].tolist() for place in range(frame.shape[1])),
        lines=lines,
        **facts,
    )


def _read_parquet(path: Path) -> Table:
    import pandas as pd

    try:
        # pandas' own message for its absence names no extra of ours.
        import pyarrow  # type: ignore[import-untyped, unused-ignore]  # noqa: F401
    except ImportError as cause:
        raise MissingExtraError.for_feature(
            f"Reading the Parquet table '{path}'", package="pyarrow", extra="parquet"
        ) from cause
    try:
        frame = pd.read_parquet(path, engine="pyarrow")
    except (OSError, ValueError) as cause:
        raise DataError(
            f"'{path}' is not a Parquet table, or it is damaged ({cause}). Write it again."
        ) from cause
    lines = [f"row {number}" for number in range(1, len(frame) + 1)]
    return _from_frame(frame, f"'{path}'", lines, folder=_get_folder(path))


def _read_text(path: Path, content: bytes) -> Table:
    import pandas as pd

    text, problems = _decode(path, content)
    is_damaged = bool(problems)
    try:
        delimiter = _find_delimiter(text, "," if path.suffix.lower() == ".csv" else "\t")
        rows, starts = _parse(text, delimiter)
    except csv.Error as cause:
        raise DataError(f"'{path}' is not a table: {cause}. Close the quotes in it.") from cause
    if not rows:
        raise DataError(
            f"The table '{path}' is empty. Its first line must name the columns, such as path and "
            "label."
        )
    exact = _mark_numbers(text, rows, delimiter)
    width = len(rows[0])
    widest = max(map(len, rows))
    padded = [[*row, *[None] * (widest - len(row))] for row in exact or rows]
    # pandas' own reader tells no lines, and stops at the first row that is too long.
    frame = pd.DataFrame(padded, index=starts, dtype=object).iloc[1:]
    if exact is None:
        frame = frame.map(lambda cell: cell and cell.strip())
    frame = frame.mask(frame == "").dropna(how="all")
    lengths = dict(zip(starts, map(len, rows), strict=True))
    for start in frame.index[frame.iloc[:, width:].notna().any(axis=1)]:
        problems.append(
            Problem(
                position=start,
                text=f"line {start}: {lengths[start]} cells, but {width} columns",
                remedy="Put cells that hold the delimiter in quotes.",
            )
        )
    return _from_frame(
        frame.iloc[:, :width].set_axis([name.strip() for name in rows[0]], axis=1),
        f"'{path}'",
        [f"line {start}" for start in frame.index],
        header_line=f"line {starts[0]}",
        positions=frame.index.tolist(),
        folder=_get_folder(path),
        is_text=exact is None,
        is_damaged=is_damaged,
        problems=problems,
    )


def _decode(path: Path, content: bytes) -> tuple[str, list[Problem]]:
    """Returns the text and the problems of its encoding, with U+FFFD for bad bytes."""
    is_wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    encoding = "utf-16" if is_wide else "utf-8-sig"
    problems = []
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as cause:
        if is_wide:
            raise DataError(f"'{path}' is damaged UTF-16 ({cause}). Save it as UTF-8.") from cause
        text = content.decode(encoding, errors="replace")
        for number, line in enumerate(content.split(b"\n"), start=1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as fault:
                shown = line.decode("utf-8", errors="replace").strip()[:80]
                place = f"byte {fault.start + 1} (0x{line[fault.start]:02X})"
                problems.append(
                    Problem(
                        position=number,
                        text=f"line {number}: {place} is not UTF-8 in '{shown}'",
                        remedy="Save the table as UTF-8, or convert it: iconv -f WINDOWS-1252 "
                        "-t UTF-8.",
                    )
                )
    if "\0" in text:
        raise DataError(
            f"'{path}' is not text in UTF-8: it holds null bytes. Save it as UTF-8; export a "
            "spreadsheet as CSV."
        )
    return text, problems


def _find_delimiter(text: str, default: str) -> str:
    """Returns the delimiter that gives the most columns; the default wins ties."""

    def count_columns(delimiter: str) -> tuple[int, bool]:
        rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
        return len(next((row for row in rows if row), [])), delimiter == default

    return max(_DELIMITERS, key=count_columns)


def _parse(text: str, delimiter: str) -> tuple[list[list[str]], list[int]]:
    """Returns the rows that are not blank, and the line on which each starts."""
    rows, starts, start = [], [], 1
    # An empty `newline` leaves line ends, also those inside quotes, to the reader.
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        for row in reader:
            if row:
                rows.append(row)
                starts.append(start)
            start = reader.line_num + 1
    except csv.Error as cause:
        raise csv.Error(f"in the row from line {start}, {cause}") from cause
    return rows, starts


def _mark_numbers(
    text: str, rows: Sequence[Sequence[str]], delimiter: str
) -> list[list[str | int]] | None:
    """Returns the rows with integers for whole numbers without quotes.

    It returns None for a file in which some text has no quotes: there quotes mean nothing.
    """
    if not text.startswith('"'):
        return None
    marked = csv.reader(
        io.StringIO(text, newline=""), delimiter=delimiter, quoting=csv.QUOTE_NONNUMERIC
    )
    try:
        # The reader makes floats of what has no quotes; large integers would lose digits so.
        return [
            [
                int(cell) if isinstance(mark, float) and is_whole_number(cell) else cell
                for cell, mark in zip(cells, marks, strict=True)
            ]
            for cells, marks in zip(rows, (row for row in marked if row), strict=True)
        ]
    except ValueError:
        return None


def select_columns(
    table: Table,
    columns: ColumnMap | None = None,
    *,
    roles: Collection[str] = tuple(COLUMN_NAMES),
    required: Collection[str] = (),
) -> dict[str, Sequence[Any]]:
    """Returns the cells of each column that was named or found; adds problems to the table.

    Args:
        table: The table.
        columns: The column of each of `path`, `label`, `split`, `group` and `sha256` that is not
            to be guessed; None for one that is not to be used.
        roles: Those that are looked for.
        required: Those that must be there.

    Raises:
        UnknownNameError: If `columns` has another key.
    """
    for role in columns or ():
        if role not in COLUMN_NAMES:
            raise UnknownNameError.among(
                f"`columns` has the key {role!r}, which is not a column of a table.",
                known=COLUMN_NAMES,
                remedy=f"Keys: {', '.join(COLUMN_NAMES)}.",
                family="columns",
                name=str(role),
            )
    columns = {role: name for role, name in (columns or {}).items() if role in roles}
    named = {role: _find_named(table, name) for role, name in columns.items() if name is not None}
    taken = {position for found in named.values() for position in found}
    chosen: dict[str, Sequence[Any]] = {}
    faults: dict[str, Sequence[int]] = {}
    for role in COLUMN_NAMES:
        if role not in roles:
            continue
        if role in columns:
            found = named.get(role, [])
        else:
            found = [at for at in _guess(table, COLUMN_NAMES[role]) if at not in taken]
            if role == "sha256":
                found = [at for at in found if _is_sha256_column(table, at)]
        if len(found) == 1:
            chosen[role] = table.columns[found[0]]
        elif found or role in named or role in required:
            faults[role] = found
    _report_header(table, columns, faults)
    return chosen


def _find_named(table: Table, name: str) -> list[int]:
    exact = [at for at, header in enumerate(table.header) if header == name]
    return exact or [
        at for at, header in enumerate(table.header) if header.lower() == str(name).strip().lower()
    ]


def _guess(table: Table, names: Sequence[str]) -> list[int]:
    plain = [re.sub(r"[\s_-]", "", header).lower() for header in table.header]
    own = [at for at, header in enumerate(plain) if header == names[0]]
    return own or [at for at, header in enumerate(plain) if header in names[1:]]


def _is_sha256_column(table: Table, at: int) -> bool:
    """Returns whether a column called "hash" holds SHA-256; there are other hashes."""
    if table.header[at].strip().lower() != "hash":
        return True
    return all(cell is None or _SHA256.fullmatch(str(cell)) for cell in table.columns[at])


def _report_header(table: Table, columns: ColumnMap, faults: Mapping[str, Sequence[int]]) -> None:
    listed = ", ".join(repr(header) for header in table.header) or "none"
    known = {header for names in COLUMN_NAMES.values() for header in names}
    free = iter([name for name in table.header if name and name.lower() not in known])
    # One example for all: a column that could be meant, else one that has no meaning yet.
    taken = set(columns.values())
    examples = {
        role: table.header[found[0]]
        if found
        else next((name for name in free if name not in taken), "NAME")
        for role, found in faults.items()
    }
    mapping = ", ".join(f'"{role}": "{name}"' for role, name in examples.items())
    options = " ".join(f'--column "{role}={name}"' for role, name in examples.items())
    remedy = (
        f"Name the columns in the first line, or as in columns={{{mapping}}} ({options} on the "
        "command line)."
    )
    for role, found in faults.items():
        name = columns.get(role)
        repeated = len({table.header[at] for at in found}) < len(found)
        if found:
            candidates = " or ".join(repr(table.header[at]) for at in found)
            statement = f"the column of the {role} could be {candidates}"
        elif name is not None:
            statement = f"there is no column '{name}' for the {role}"
        else:
            statement = f"no column is called {role} or {', '.join(COLUMN_NAMES[role][1:])}"
        table.problems.append(
            Problem(
                position=0,
                text=f"{table.header_line}: {statement}; columns: {listed}",
                remedy="Give each column a name of its own." if repeated else remedy,
            )
        )
