"""The manifest: a catalog as a table that repeats its split and notices a changed file."""

from __future__ import annotations

import csv
import hashlib
import os
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np

from planetvision.core.errors import (
    DataWarning,
    OutputError,
    OutputExistsError,
    SettingsError,
    count,
)
from planetvision.core.files import write_table
from planetvision.data.catalog import Catalog
from planetvision.data.decoders.registry import HEAD_BYTES, find_companions
from planetvision.data.images import ImageSource, read_values
from planetvision.data.tables import is_whole_number

_BLOCK_BYTES = 1 << 20
_DELIMITERS = {".csv": ",", ".tsv": "\t"}


def hash_source(source: ImageSource) -> str:
    """Returns the SHA-256 of an image as it is stored, in hexadecimal.

    Of a file and of bytes it is that of the bytes; of an array and of a Pillow image, that of
    type, shape and pixels, which of a Pillow image are those that are seen. Of a file whose image
    comes from others too, such as a PDS label apart from its data, it is that of all of them.

    Raises:
        OSError: If the file cannot be read.
    """
    digest = hashlib.sha256()
    if isinstance(source, str | os.PathLike):
        path = Path(source)
        head = _update(digest, path)
        for companion in find_companions(path, head):
            other = hashlib.sha256()
            _update(other, companion)
            digest.update(other.digest())
    elif isinstance(source, bytes):
        digest.update(source)
    else:
        # Palette, opacity and orientation of a Pillow image are no part of its own pixels.
        pixels = source if isinstance(source, np.ndarray) else read_values(source)
        digest.update(f"{pixels.dtype.str} {pixels.shape} ".encode())
        digest.update(np.ascontiguousarray(pixels).tobytes())
    return digest.hexdigest()


def _update(digest: hashlib._Hash, path: Path) -> bytes:
    """Adds the bytes of a file to the digest, and returns the first of them."""
    head = b""
    # hashlib.file_digest needs Python 3.11.
    with path.open("rb", buffering=0) as file:
        while block := file.read(_BLOCK_BYTES):
            head = head or block[:HEAD_BYTES]
            digest.update(block)
    return head


def hash_sources(sources: Sequence[ImageSource]) -> tuple[str, ...]:
    """Returns the hash of each image, in parallel; empty where a file cannot be read."""
    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        return tuple(pool.map(_try_hash, sources))


def fingerprint_hashes(hashes: Sequence[str]) -> str:
    """Returns the SHA-256 over the sorted hashes of images, in hexadecimal.

    It does not depend on the order or the names of the images.

    Args:
        hashes: The hash of each image.
    """
    text = "".join(f"{value}\n" for value in sorted(hashes))
    return hashlib.sha256(text.encode()).hexdigest()


def _try_hash(source: ImageSource) -> str:
    try:
        return hash_source(source)
    except OSError:
        return ""


def save_manifest(
    catalog: Catalog, path: str | os.PathLike[str], *, overwrite: bool = False
) -> Path:
    """Writes the catalog as a table that `read_labelled` reads, and returns its path.

    The columns are `path` (absolute), `label`, `split`, `group` and `sha256`, the hash of the file.
    Reading the table restores labels, groups and split, and raises an error for changed files.
    Images in memory have a hash too, but a table cannot hold them.

    Args:
        catalog: The images. Known hashes are taken from it.
        path: A path that ends in `.csv` or `.tsv`.
        overwrite: Whether a file that is there may be replaced.

    Raises:
        SettingsError: If the path has another suffix.
        OutputExistsError: If it exists and `overwrite` is false.
        OutputError: If it cannot be written.
    """
    target = Path(path)
    delimiter = _DELIMITERS.get(target.suffix.lower())
    if delimiter is None:
        raise SettingsError(
            f"A manifest is written as .csv or .tsv, got '{target}'. Name such a file."
        )
    if target.exists() and not overwrite:
        raise OutputExistsError(
            f"The manifest '{target}' exists. Name another file, or pass overwrite=True.",
            path=str(target),
        )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as cause:
        raise OutputError(
            f"The manifest '{target}' cannot be written: {cause.strerror or cause}. "
            "Name a folder that you may write to.",
            path=str(target),
        ) from cause
    frame = replace(
        catalog,
        sources=tuple(map(_make_absolute, catalog.sources)),
        hashes=_complete_hashes(catalog),
    ).to_frame()
    texts = [
        cell
        for column in ("path", "label", "group")
        for cell in frame[column].tolist()
        if isinstance(cell, str)
    ]
    quoting: Literal[0, 2] = (
        csv.QUOTE_NONNUMERIC if any(map(_needs_quotes, texts)) else csv.QUOTE_MINIMAL
    )
    write_table(target, frame, separator=delimiter, quoting=quoting)
    return target


def _make_absolute(source: ImageSource) -> ImageSource:
    if isinstance(source, str | os.PathLike):
        return os.path.abspath(source)  # noqa: PTH100 - Path.absolute keeps ".."
    return source


def _complete_hashes(catalog: Catalog) -> tuple[str, ...]:
    hashes = list(catalog.hashes or [""] * len(catalog))
    missing = [row for row, known in enumerate(hashes) if not known]
    found = hash_sources([catalog.sources[row] for row in missing])
    for row, value in zip(missing, found, strict=True):
        hashes[row] = value
    unknown = [row for row in missing if not hashes[row]]
    if unknown:
        warnings.warn(
            f"{count(len(unknown), 'file')} could not be read to be hashed (first: "
            f"'{catalog.names[unknown[0]]}'); a change of it will not be noticed.",
            DataWarning,
            stacklevel=3,
        )
    return tuple(hashes)


def _needs_quotes(text: str) -> bool:
    """Returns whether this text must be quoted to be read back unchanged."""
    return text != text.strip() or "\r" in text or is_whole_number(text)
