"""Safe output: folders that are not overwritten by default, and atomic writes."""

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


# The table beside rendered images; it is not a table of a data set.
RENDERS_FILE = "renders.csv"


def check_output(path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """Checks that a folder can be written at `path`, and returns it as a `Path`.

    Call it before long computations, so that a wrong path fails early.

    Args:
        path: The output folder.
        overwrite: Whether files in a non-empty folder may be replaced.

    Raises:
        OutputExistsError: If `path` is a file, or a folder that is not empty.
        OutputError: If `path` cannot be written.
    """
    folder = Path(path)
    try:
        return _check_output(folder, overwrite=overwrite)
    except OutputError:
        raise
    except OSError as cause:  # a name that is too long, a folder without read permission
        raise _wrap_folder_error(folder, "used", cause) from cause


def _wrap_folder_error(folder: Path, use: str, cause: OSError) -> OutputError:
    return OutputError(
        f"The output folder '{folder}' cannot be {use}: {cause.strerror or cause}. "
        "Choose a folder that you can write to.",
        path=str(folder),
    )


def _check_output(folder: Path, *, overwrite: bool) -> Path:
    if folder.exists() and not folder.is_dir():
        raise OutputExistsError(
            f"The output '{folder}' is a file, a folder was expected. Choose another path.",
            path=str(folder),
        )
    if folder.is_dir() and any(folder.iterdir()) and not overwrite:
        raise OutputExistsError(
            f"The output folder '{folder}' is not empty. Name a new folder, or pass "
            "overwrite=True (--overwrite on the command line) to replace its files.",
            path=str(folder),
        )
    ancestor = folder
    while not ancestor.exists() and ancestor != ancestor.parent:
        ancestor = ancestor.parent
    if not ancestor.is_dir():
        raise OutputError(
            f"The output folder '{folder}' cannot be created: '{ancestor}' is a file, not a "
            "folder. Choose another path.",
            path=str(folder),
        )
    if not os.access(ancestor, os.W_OK | os.X_OK):
        raise OutputError(
            f"The output folder '{folder}' cannot be written: no write permission in "
            f"'{ancestor}'. Choose a folder that you can write to.",
            path=str(folder),
        )
    return folder


def check_output_file(path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """Checks that a file can be written at `path`, and returns it as a `Path`.

    Raises:
        OutputExistsError: If it exists and `overwrite` is false.
        OutputError: If it is a folder.
    """
    file = Path(path)
    if file.is_dir():
        raise OutputError(
            f"'{file}' is a folder, a file was expected. Name a file in it.",
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
        raise _wrap_folder_error(folder, "created", cause) from cause
    return folder


def hash_file(path: Path) -> str:
    """Returns the SHA-256 of a file in hexadecimal.

    Raises:
        OSError: If it cannot be read.
    """
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Calls `write` with a temporary file beside `path`, then moves it into place.

    Readers see the old file or the new one, never an incomplete one.

    Raises:
        OutputError: If the file cannot be written.
    """
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=path.suffix)
    except (OSError, UnicodeError) as cause:
        raise _wrap_write_error(path, cause) from cause
    os.close(handle)
    temporary = Path(name)
    try:
        write(temporary)
        temporary.chmod(0o644)
        temporary.replace(path)
    except (OSError, UnicodeError) as cause:
        raise _wrap_write_error(path, cause) from cause
    finally:
        temporary.unlink(missing_ok=True)


def _wrap_write_error(path: Path, cause: OSError | UnicodeError) -> OutputError:
    reason = getattr(cause, "strerror", None) or cause
    return OutputError(f"'{path}' cannot be written: {reason}.", path=str(path))


def write_bytes(path: Path, content: bytes) -> None:
    """Writes a file; errors as in `write_atomically`."""
    write_atomically(path, lambda file: file.write_bytes(content))


def write_text(path: Path, text: str) -> None:
    """Writes a text as UTF-8, with escapes for invalid text; errors as in `write_atomically`.

    Warns:
        DataWarning: If there are such escapes.
    """
    # File names can be any bytes; Python has lone surrogates for those that are not UTF-8.
    content = text.encode(errors="backslashreplace")
    write_bytes(path, content)
    if content.decode() != text:
        warnings.warn(
            f"Some names in '{path}' are not valid text. Their bytes are written as escapes, so "
            "the files cannot be found by these names. Rename the files.",
            DataWarning,
            stacklevel=4,
        )


def write_json(path: Path, value: object) -> None:
    """Writes a value as indented JSON; errors and warnings as in `write_text`."""
    write_text(path, format_json(value))


def format_json(value: object) -> str:
    """Returns a value as indented JSON."""
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def create_table(columns: Mapping[str, Sequence[object]]) -> pd.DataFrame:
    """Returns a table whose text columns have the dtype object, so that they hold any file name.

    Args:
        columns: The cells by column name.
    """
    import pandas as pd

    def is_mixed(cells: Sequence[object]) -> bool:
        # pandas strings cannot hold file names that are not valid text, and its integer columns
        # no missing value.
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
        separator: The separator between cells.
        quoting: Which cells are quoted, as for `csv`.
    """
    write_text(path, frame.to_csv(index=False, sep=separator, quoting=quoting))
