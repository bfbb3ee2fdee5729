"""Writing without loss: output folders that replace nothing unasked, files that appear whole."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from planetvision.core.errors import DataWarning, OutputError, OutputExistsError

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "RENDERS_FILE",
    "check_output",
    "check_output_file",
    "create_output_folder",
    "create_table",
    "format_json",
    "hash_file",
    "write_atomically",
    "write_bytes",
    "write_json",
    "write_table",
    "write_text",
]

# The table that lies beside rendered images, and is none.
RENDERS_FILE = "renders.csv"


def check_output(path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """Checks that a new folder can be written at `path`, and returns it as a `Path`.

    Call it before work that takes long, so that a wrong path costs no time.

    Args:
        path: The folder to be written.
        overwrite: Whether files in a folder that is not empty may be replaced.

    Raises:
        OutputExistsError: If `path` is a file, or a folder that is not empty.
        OutputError: If `path` cannot be written.
    """
    folder = Path(path)
    try:
        return _check_output(folder, overwrite=overwrite)
    except OutputError:
        raise
    except OSError as cause:  # a name that is too long, a folder that may not be looked into
        raise OutputError(
            f"The output folder '{folder}' cannot be used: {cause.strerror or cause}. "
            "Name a folder that you may write to.",
            path=str(folder),
        ) from cause


def _check_output(folder: Path, *, overwrite: bool) -> Path:
    if folder.exists() and not folder.is_dir():
        raise OutputExistsError(
            f"The output '{folder}' is a file, a folder was expected. Name another path.",
            path=str(folder),
        )
    if folder.is_dir() and any(folder.iterdir()) and not overwrite:
        raise OutputExistsError(
            f"The output folder '{folder}' is not empty. Name a new folder, or pass "
            "overwrite=True (--overwrite on the command line) to replace the files in it.",
            path=str(folder),
        )
    ancestor = folder
    while not ancestor.exists() and ancestor != ancestor.parent:
        ancestor = ancestor.parent
    if not ancestor.is_dir():
        raise OutputError(
            f"The output folder '{folder}' cannot be created: '{ancestor}' is a file, not a "
            "folder. Name another path.",
            path=str(folder),
        )
    if not os.access(ancestor, os.W_OK | os.X_OK):
        raise OutputError(
            f"The output folder '{folder}' cannot be written: no write permission in "
            f"'{ancestor}'. Name a folder that you may write to.",
            path=str(folder),
        )
    return folder


def check_output_file(path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """Returns the path of a file that may be written.

    Raises:
        OutputExistsError: If it is there and `overwrite` is false.
        OutputError: If it is a folder.
    """
    file = Path(path)
    if file.is_dir():
        raise OutputError(
            f"'{file}' is a folder, and a file is to be written. Name a file in it.",
            path=str(file),
        )
    if file.exists() and not overwrite:
        raise OutputExistsError(
            f"The file '{file}' exists. Name a new one, or pass overwrite=True (--overwrite).",
            path=str(file),
        )
    return file


def create_output_folder(path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """Creates the folder `path` and returns it; checks and errors as in `check_output`."""
    folder = check_output(path, overwrite=overwrite)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as cause:
        raise OutputError(
            f"The output folder '{folder}' cannot be created: {cause.strerror or cause}. "
            "Name a folder that you may write to.",
            path=str(folder),
        ) from cause
    return folder


def hash_file(path: Path) -> str:
    """Returns the SHA-256 of a file's content, in hexadecimal.

    Raises:
        OSError: If it cannot be read.
    """
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Lets `write` fill a temporary file beside `path`, then moves it into place.

    A reader sees the old file or the new one, never a part of it.

    Raises:
        OutputError: If the file cannot be written.
    """
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=path.suffix)
    except (OSError, UnicodeError) as cause:
        raise _make_error(path, cause) from cause
    os.close(handle)
    temporary = Path(name)
    try:
        write(temporary)
        temporary.chmod(0o644)
        temporary.replace(path)
    except (OSError, UnicodeError) as cause:
        raise _make_error(path, cause) from cause
    finally:
        temporary.unlink(missing_ok=True)


def _make_error(path: Path, cause: OSError | UnicodeError) -> OutputError:
    reason = getattr(cause, "strerror", None) or cause
    return OutputError(f"'{path}' cannot be written: {reason}.", path=str(path))


def write_bytes(path: Path, content: bytes) -> None:
    """Writes a file; errors as in `write_atomically`."""
    write_atomically(path, lambda file: file.write_bytes(content))


def write_text(path: Path, text: str) -> None:
    """Writes a text as UTF-8, what is no valid text as escapes; errors as in `write_atomically`.

    Warns:
        DataWarning: If there are such escapes.
    """
    # A file's name may be any bytes; those that are no UTF-8 are lone surrogates in a string.
    content = text.encode(errors="backslashreplace")
    write_bytes(path, content)
    if content.decode() != text:
        warnings.warn(
            f"Some names in '{path}' are not valid text and are written with their bytes as "
            "escapes, so that those files will not be found from it. Rename them.",
            DataWarning,
            stacklevel=4,
        )


def write_json(path: Path, value: object) -> None:
    """Writes what JSON can hold, indented for people; errors and warnings as in `write_text`."""
    write_text(path, format_json(value))


def format_json(value: object) -> str:
    """Returns what JSON can hold as text, indented for people."""
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def create_table(columns: Mapping[str, Sequence[object]]) -> pd.DataFrame:
    """Returns a table whose texts are objects, so that it holds any file name.

    Args:
        columns: The cells by column name.
    """
    import pandas as pd

    def is_mixed(cells: Sequence[object]) -> bool:
        # pandas' strings cannot hold the names of files that are no valid text, and its numbers no
        # integer beside nothing.
        return any(isinstance(cell, str | None) for cell in cells)

    return pd.DataFrame(
        {
            name: pd.Series(cells, dtype=object if is_mixed(cells) else None)
            for name, cells in columns.items()
        }
    )


def write_table(
    path: Path,
    frame: pd.DataFrame,
    *,
    separator: str = ",",
    quoting: Literal[0, 2] = csv.QUOTE_MINIMAL,
) -> None:
    """Writes a table without its index; errors and warnings as in `write_text`.

    Args:
        path: The file.
        frame: The table.
        separator: What stands between cells.
        quoting: Which cells stand in quotes, as for `csv`.
    """
    write_text(path, frame.to_csv(index=False, sep=separator, quoting=quoting))
