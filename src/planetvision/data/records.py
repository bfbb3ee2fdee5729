"""Records: the rows of a table become a catalog, or one error that lists every wrong line."""

from __future__ import annotations

import os
import re
import stat
import warnings
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeGuard, TypeVar

import numpy as np

from planetvision.core.errors import DataError, DataWarning, count
from planetvision.core.settings import ClassMap, Label
from planetvision.data.catalog import SPLIT_SPELLINGS, Catalog, SplitName, map_labels
from planetvision.data.images import ImageSource, describe_source
from planetvision.data.manifest import hash_sources
from planetvision.data.tables import (
    ColumnMap,
    Table,
    is_whole_number,
    read_table,
    select_columns,
)

if TYPE_CHECKING:
    import pandas as pd


T = TypeVar("T")

_IN_MEMORY = re.compile(r"<(array|bytes|image)( [0-9]+)?>")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_SHOWN_LINES = 20
_FILL = "Fill it in, or remove the line."


def read_labelled_table(
    data: str | os.PathLike[str] | pd.DataFrame,
    labels: Iterable[object] | None = None,
    *,
    groups: Iterable[object] | None = None,
    columns: ColumnMap | None = None,
    class_map: ClassMap | None = None,
    optional_classes: Collection[str] = (),
) -> Catalog:
    """Returns the catalog of a table of labelled images.

    Args:
        data: A path or a DataFrame, as for `read_table`.
        labels: The label of each row, in place of a column.
        groups: The group of each row, in place of a column.
        columns: As for `select_columns`.
        class_map: As for `Catalog.map_classes`; what it leaves out is not checked further.
        optional_classes: As for `Catalog.map_classes`.

    Raises:
        SourceNotFoundError: If there is no such table.
        DataError: If something is wrong in it; all of it is named, each with its line.
        UnknownNameError: If `class_map` or `columns` names what there is not.
    """
    table = read_table(data)
    required = {"path"} if labels is not None else {"path", "label"}
    cells = select_columns(table, columns, required=required)
    for name, values in (("label", labels), ("group", groups)):
        if values is not None:
            cells[name] = _check_length(table, values, name)
    if not len(table) and not table.problems:
        raise DataError(f"{table.origin} has no rows, only a header. Add a line for each image.")
    # Labels given beside the table are no text of it.
    is_text = table.is_text and labels is None
    found = _read_labels(table, cells.get("label"), is_text=is_text)
    known = [label for label in found if label is not None]
    mapped = map_labels(
        found, class_map or {}, optional_classes=optional_classes, origin=table.origin
    )
    rows = [
        row
        for row, (old, new) in enumerate(zip(found, mapped, strict=True))
        if old is None or new is not None
    ]
    if known and not rows:
        raise DataError(
            f"The class map leaves out every class of {table.origin}, so that no image is left. "
            "Map at least two classes to a name."
        )
    mapped = _unify_labels(table, mapped, rows, is_text=is_text)
    sources = _read_sources(table, cells.get("path"), rows)
    splits = _read_splits(table, cells.get("split"), rows)
    hashes = _read_hashes(table, cells.get("sha256"), rows)
    grouped = plain_groups(
        cells.get("group"),
        names=[_identify(source, row) for row, source in enumerate(sources)],
        is_text=table.is_text and groups is None,
    )
    rows = _merge_repeated(table, rows, sources, mapped, splits, grouped)
    _check_parts(table, rows, mapped, splits, grouped)
    if hashes is not None:
        _check_hashes(table, rows, sources, hashes)
    if table.problems:
        raise table.create_error()

    def pick(values: Sequence[T | None] | None) -> tuple[T, ...] | None:
        if values is None:
            return None
        return tuple(value for row in rows if (value := values[row]) is not None)

    return Catalog(
        sources=pick(sources) or (),
        labels=pick(mapped),
        splits=pick(splits),
        groups=pick(grouped),
        hashes=pick(hashes),
        attributes=_read_attributes(table, cells, rows),
        origin=table.origin,
    )


def read_path_column(
    data: str | os.PathLike[str] | pd.DataFrame, *, columns: ColumnMap | None = None
) -> tuple[ImageSource, ...]:
    """Returns the images that a table lists, existing or not.

    Raises:
        SourceNotFoundError: If there is no such table.
        DataError: If it has no column of paths, or a path is missing.
        UnknownNameError: If `columns` has an unknown key.
    """
    table = read_table(data)
    cells = select_columns(table, columns, roles=("path",), required={"path"})
    sources = _read_sources(table, cells.get("path"), range(len(table)), must_exist=False)
    if table.problems:
        raise table.create_error()
    return tuple(source for source in sources if source is not None)


def plain_groups(
    cells: Iterable[Any] | None, *, names: Sequence[str], is_text: bool = False
) -> tuple[Label, ...] | None:
    """Returns the group of each image; an image without one gets a group of its own.

    Args:
        cells: What was given for each image; None or not-a-number where it has no group.
        names: What messages call each image.
        is_text: Whether numbers were given as text.
    """
    if cells is None:
        return None
    values = [_plain(cell) for cell in cells]
    known = [value for value in values if value is not None]
    if not known:
        return None
    if is_text and len(known) == len(values) and all(is_whole_number(str(v)) for v in known):
        return tuple(int(value) for value in known)
    if len(known) == len(values) and all(_is_integer(value) for value in known):
        return tuple(known)
    return tuple(
        name if value is None else str(value) for value, name in zip(values, names, strict=True)
    )


def _read_attributes(
    table: Table, cells: Mapping[str, Sequence[Any]], rows: Sequence[int]
) -> dict[str, tuple[object, ...]]:
    """Returns the uniquely named columns of texts and numbers that have no other role."""
    used = [id(values) for values in cells.values()]
    columns = {
        name: tuple(_plain(values[row]) for row in rows)
        for name, values in zip(table.header, table.columns, strict=True)
        if name and table.header.count(name) == 1 and id(values) not in used
    }
    return {
        name: values
        for name, values in columns.items()
        if all(isinstance(value, str | int | float | None) for value in values)
    }


def _check_length(table: Table, values: Iterable[object], noun: str) -> list[Any]:
    if isinstance(values, str):
        raise DataError(f"One {noun} per row was expected, got the single string {values!r}.")
    found = list(values)
    if len(found) != len(table):
        raise DataError(
            f"{table.origin} has {len(table)} rows but there are {len(found)} {noun}s. Pass one "
            f"{noun} per row."
        )
    return found


def _is_integer(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _plain(value: Any) -> Any:
    """Returns the cell as a built-in; a whole float (an integer column with gaps) as an integer."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        if value != value:
            return None
        return int(value) if value.is_integer() else value
    return value


def _read_labels(table: Table, cells: Sequence[Any] | None, *, is_text: bool) -> list[Label | None]:
    labels: list[Label | None] = [None] * len(table)
    for row, cell in enumerate(cells or ()):
        value = _plain(cell)
        if value is None or (isinstance(value, str) and not value.strip()):
            table.report(row, "the label is empty", _FILL)
        elif isinstance(value, str) or _is_integer(value):
            labels[row] = value
        else:
            table.report(
                row,
                f"the label must be a string or an integer, got {value!r} of type "
                f"{type(value).__name__}",
                "Convert such labels.",
            )
    known = [label for label in labels if label is not None]
    if is_text and all(is_whole_number(str(label)) for label in known):
        return [None if label is None else int(label) for label in labels]
    return labels


def _unify_labels(
    table: Table,
    labels: Sequence[Label | None],
    rows: Sequence[int],
    *,
    is_text: bool,
) -> list[Label | None]:
    """Returns the labels as all names or all integers; reports those of the rarer kind."""
    numbers, names = [], []
    for row in rows:
        label = labels[row]
        if isinstance(label, int) or (
            is_text and isinstance(label, str) and is_whole_number(label)
        ):
            numbers.append(row)
        elif label is not None:
            names.append(row)
    unified = list(labels)
    if not names:
        for row in numbers:
            unified[row] = int(labels[row] or 0)
        return unified
    if not numbers:
        return unified
    rarer, kind, others = (
        (numbers, "an integer", "names")
        if len(numbers) <= len(names)
        else (names, "a name", "integers")
    )
    for row in rarer:
        table.report(
            row,
            f"the label '{labels[row]}' is {kind}, where others are {others}",
            "Make the labels all names or all integers, by a class map or in the table; in a "
            "CSV with all its text in quotes, '\"7\"' is a name.",
        )
    return unified


def _read_sources(
    table: Table,
    cells: Sequence[Any] | None,
    rows: Iterable[int],
    *,
    must_exist: bool = True,
) -> list[ImageSource | None]:
    sources: list[ImageSource | None] = [None] * len(table)
    if cells is None:
        return sources
    faults: dict[str, str | None] = {}
    place = f"'{table.folder or os.curdir}'"
    for row in rows:
        cell = cells[row]
        if cell is None or (isinstance(cell, str) and not cell.strip()):
            table.report(row, "the path is empty", _FILL)
        elif isinstance(cell, str | os.PathLike):
            path = os.path.join(table.folder, os.fspath(cell))  # noqa: PTH118 - much faster
            sources[row] = path
            if must_exist and path not in faults:
                faults[path] = _find_fault(path)
            fault = faults.get(path)
            # The bytes of a name in another encoding are gone; its line is a problem already.
            if fault is None or (table.is_damaged and "\ufffd" in path):
                continue
            remedy = f"Correct the paths; relative ones start at {place}."
            if _IN_MEMORY.fullmatch(str(cell)):
                fault = "was an image in memory, which a table cannot hold"
                remedy = "Pass images in memory themselves, with labels and groups."
            table.report(row, f"'{cell}' {fault}", remedy)
        elif isinstance(cell, bytes | np.ndarray) or hasattr(cell, "convert"):
            sources[row] = cell
        else:
            table.report(
                row,
                f"the path must be a string, got {cell!r} of type {type(cell).__name__}",
                "Name the column of the paths by columns={'path': ...} (--column path=...).",
            )
    return sources


def _find_fault(path: str) -> str | None:
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116 - a Path for each row takes longer
    except FileNotFoundError:
        return "does not exist"
    except (OSError, ValueError) as cause:
        return f"cannot be looked at ({getattr(cause, 'strerror', None) or cause})"
    return "is a folder, not a file" if stat.S_ISDIR(mode) else None


def _read_splits(
    table: Table, cells: Sequence[Any] | None, rows: Sequence[int]
) -> list[SplitName | None] | None:
    if cells is None or all(cells[row] is None for row in rows):
        return None
    splits: list[SplitName | None] = [None] * len(table)
    for row in rows:
        splits[row] = SPLIT_SPELLINGS.get(str(cells[row]).strip().lower())
        if cells[row] is None:
            table.report(row, "the split is empty, where others have one", _FILL)
        elif splits[row] is None:
            table.report(
                row,
                f"unknown split '{cells[row]}'",
                "Splits are train, val and test.",
            )
    return splits


def _read_hashes(
    table: Table, cells: Sequence[Any] | None, rows: Sequence[int]
) -> list[str] | None:
    if cells is None or all(cells[row] is None for row in rows):
        return None
    hashes = [""] * len(table)
    for row in rows:
        value = "" if cells[row] is None else str(cells[row]).strip().lower()
        if not value or _SHA256.fullmatch(value):
            hashes[row] = value
        else:
            table.report(
                row,
                f"'{cells[row]}' is not a SHA-256 of 64 hexadecimal digits",
                "Correct or empty it, or leave the column out by columns={'sha256': None} "
                "(--column sha256=).",
            )
    return hashes


def _identify(source: ImageSource | None, row: int) -> str:
    """Returns a key that is the same for two spellings of one path."""
    if isinstance(source, str):
        return os.path.normcase(os.path.abspath(source))  # noqa: PTH100 - Path keeps ".."
    return describe_source(source, row)


def _merge_repeated(
    table: Table,
    rows: Sequence[int],
    sources: Sequence[ImageSource | None],
    labels: Sequence[Label | None],
    splits: Sequence[SplitName | None] | None,
    groups: Sequence[Label] | None,
) -> list[int]:
    """Returns the rows that repeat no earlier one; reports those that contradict it."""
    first: dict[str, int] = {}
    kept, repeated = [], []
    for row in rows:
        source = sources[row]
        if not isinstance(source, str):
            kept.append(row)
            continue
        earlier = first.setdefault(_identify(source, row), row)
        if earlier == row:
            kept.append(row)
            continue
        conflicts = [
            (noun, values[row], values[earlier])
            for noun, values in (("label", labels), ("split", splits), ("group", groups))
            if values is not None
            and values[row] is not None
            and values[earlier] is not None
            and values[row] != values[earlier]
        ]
        for noun, value, other in conflicts:
            table.report(
                row,
                f"'{source}' has the {noun} '{value}', but '{other}' in {table.lines[earlier]}",
                f"Give each file one {noun}.",
            )
        if conflicts:
            kept.append(row)
        else:
            repeated.append(table.lines[row])
    if repeated:
        listed = ", ".join(repeated[:_SHOWN_LINES])
        more = f" and {len(repeated) - _SHOWN_LINES} more" if len(repeated) > _SHOWN_LINES else ""
        verb = (
            "repeats an earlier one and is" if len(repeated) == 1 else "repeat earlier ones and are"
        )
        warnings.warn(
            f"{count(len(repeated), 'row')} of {table.origin} {verb} left out: {listed}{more}.",
            DataWarning,
            stacklevel=4,
        )
    return kept


def _check_parts(
    table: Table,
    rows: Sequence[int],
    labels: Sequence[Label | None],
    splits: Sequence[SplitName | None] | None,
    groups: Sequence[Label] | None,
) -> None:
    """Reports groups that lie in two splits, and classes that `train` lacks."""
    if splits is None:
        return
    homes: dict[Label, int] = {}
    reported: set[tuple[Label, SplitName | None]] = set()
    for row in rows if groups is not None else ():
        group = (groups or ())[row]
        home = homes.setdefault(group, row) if splits[row] is not None else row
        if splits[row] != splits[home] and (group, splits[row]) not in reported:
            reported.add((group, splits[row]))
            table.report(
                row,
                f"the group '{group}' is in {splits[row]}, and in {splits[home]} in "
                f"{table.lines[home]}",
                "Keep each group in one split, or leave the column out by "
                "columns={'split': None} (--column split=) and have the data split anew.",
            )
    trained = {labels[row] for row in rows if splits[row] == "train"}
    missing: set[Label] = set()
    # Where a split is unknown, so is what train holds.
    for row in rows if trained and all(splits[row] for row in rows) else ():
        label = labels[row]
        if label is not None and splits[row] is not None and label not in trained | missing:
            missing.add(label)
            table.report(
                row,
                f"the class '{label}' is in {splits[row]} but not in train",
                "Give each class images in train, or leave it out by a class map.",
            )


def _check_hashes(
    table: Table,
    rows: Sequence[int],
    sources: Sequence[ImageSource | None],
    hashes: Sequence[str],
) -> None:
    at_fault = {problem.position for problem in table.problems}
    checked = [
        row
        for row in rows
        if hashes[row] and sources[row] is not None and table.positions[row] not in at_fault
    ]
    actual = hash_sources([source for row in checked if (source := sources[row]) is not None])
    for row, value in zip(checked, actual, strict=True):
        if value != hashes[row]:
            fault = "has changed since its sha256 was written" if value else "cannot be read"
            table.report(
                row,
                f"'{describe_source(sources[row], row)}' {fault}",
                "Restore the changed files, or delete the column sha256 to take them as they are.",
            )
