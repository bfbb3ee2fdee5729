"""Sources: folders, globs, lists and in-memory images become a `Catalog`."""

from __future__ import annotations

import glob
import os
import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np

from planetvision.data.catalog import Catalog, Label, SplitName
from planetvision.data.images import IMAGE_SUFFIXES, ImageSource
from planetvision.errors import DataError, DataWarning, SourceNotFoundError, count

__all__ = ["read_inputs", "read_labelled"]

_SPLIT_FOLDERS: dict[str, SplitName] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
_SYSTEM_FILES = frozenset({"thumbs.db", "desktop.ini"})


def read_labelled(data: object, labels: Iterable[Label] | None = None) -> Catalog:
    """Returns the catalog of labelled images.

    Args:
        data: A folder with a folder a class; a folder with `train/`, `val/`, `test/` of such
            folders (`val` and `test` may be missing); or, with `labels`, a sequence of paths,
            arrays, Pillow images or bytes.
        labels: The label of each image of a sequence: strings or integers.

    Raises:
        SourceNotFoundError: If the folder does not exist.
        DataError: If it is not laid out like this.
    """
    if labels is None:
        if not isinstance(data, str | os.PathLike):
            raise DataError(
                "Images in a sequence need their labels, got none. Pass fit(images, labels), or a "
                "folder with a folder a class."
            )
        return _read_folder(Path(data))
    if isinstance(labels, str):
        raise DataError(f"One label an image was expected, got the single string {labels!r}.")
    if not isinstance(data, Iterable) and not isinstance(data, os.PathLike):
        raise DataError(
            f"A sequence of images was expected, got {data!r} of type {type(data).__name__}."
        )
    if isinstance(data, str | os.PathLike):
        raise DataError(
            f"With labels a sequence of images was expected, got the single path '{data}'. Pass a "
            "list of paths, or the folder without labels."
        )
    sources = tuple(cast("Iterable[ImageSource]", data))
    values = tuple(_plain_label(label) for label in labels)
    kinds = sorted({type(value).__name__ for value in values})
    if len(kinds) > 1:
        raise DataError(
            "Labels must be all strings or all integers, got both "
            f"{' and '.join(kinds)}. Convert them."
        )
    if len(sources) != len(values):
        raise DataError(
            f"There are {len(sources)} images but {len(values)} labels. Pass one label an image."
        )
    if not sources:
        raise DataError("There are no images: the list is empty. Pass at least three a class.")
    return Catalog(sources=sources, labels=values, origin=f"the list of {len(sources)} images")


def read_inputs(inputs: object) -> Catalog:
    """Returns the catalog of images to predict.

    Args:
        inputs: A path to a file, a folder (searched to the bottom) or a glob pattern; an array of
            shape (H, W, 3), or (N, H, W, 3) for many; a Pillow image; the bytes of a file; or a
            list, column or other iterable of any of these.

    Raises:
        SourceNotFoundError: If a folder or glob that stands alone holds no files.
    """
    if isinstance(inputs, Catalog):
        return inputs
    return Catalog(sources=tuple(_expand(inputs, alone=True)), origin="the input")


def _plain_label(label: Any) -> Label:
    plain = label.item() if isinstance(label, np.generic) else label
    if isinstance(plain, bool) or not isinstance(plain, str | int):
        raise DataError(
            f"A label must be a string or an integer, got {plain!r} of type "
            f"{type(plain).__name__}. Convert the labels first."
        )
    return plain


def _expand(inputs: object, *, alone: bool) -> Iterator[ImageSource]:
    if isinstance(inputs, str | os.PathLike):
        yield from _expand_path(os.fspath(inputs), alone=alone)
    elif isinstance(inputs, np.ndarray):
        if inputs.ndim == 4 or inputs.dtype.kind in "OUS":
            for item in inputs:
                yield from _expand(item, alone=False)
        else:
            yield inputs
    elif isinstance(inputs, Iterable) and not isinstance(inputs, bytes):
        for item in inputs:
            yield from _expand(item, alone=False)
    else:
        # Pillow images and bytes; anything else fails in `read_image`, in its own row.
        yield cast(ImageSource, inputs)


def _expand_path(text: str, *, alone: bool) -> Iterator[str]:
    path = Path(text)
    try:
        exists, is_folder = path.exists(), path.is_dir()
    except OSError:  # a name that is too long, a folder that may not be looked into
        exists, is_folder = False, False
    if is_folder:
        files = _list_files(path)
        if not files and not alone:
            yield text  # a row of its own, with its error
        elif not files:
            raise SourceNotFoundError(
                f"The folder '{path}' holds no files. Name a folder with images.", source=text
            )
        yield from map(str, files)
    elif not exists and glob.has_magic(text):
        # pathlib has no glob that starts from any root.
        found = glob.glob(text, recursive=True)  # noqa: PTH207
        matches = sorted(match for match in found if Path(match).is_file())
        if not matches and not alone:
            yield text
        elif not matches:
            raise SourceNotFoundError(
                f"The pattern '{text}' matches no file. Check it, and quote it in a shell.",
                source=text,
            )
        yield from matches
    elif alone and not exists:
        raise SourceNotFoundError(
            f"There is no file or folder '{path}'. Check the path.", source=text
        )
    else:
        yield text


def _list_files(folder: Path) -> list[Path]:
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and path.name.lower() not in _SYSTEM_FILES
    )


def _list_folders(folder: Path) -> list[Path]:
    return sorted(
        path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")
    )


def _read_folder(root: Path) -> Catalog:
    if not root.exists():
        raise SourceNotFoundError(
            f"There is no folder '{root}'. Name a folder that holds one folder a class.",
            source=str(root),
        )
    if not root.is_dir():
        raise DataError(f"'{root}' is a file. Name a folder that holds one folder a class.")
    folders = _list_folders(root)
    by_split: dict[SplitName, Path] = {}
    others: list[str] = []
    for path in folders:
        split = _SPLIT_FOLDERS.get(path.name.lower())
        if split is None or split in by_split:
            others.append(path.name)
        else:
            by_split[split] = path
    if (by_split and not others) or ("train" in by_split and len(by_split) > 1):
        if others or len(by_split) == 1 or "train" not in by_split:
            found = ", ".join(f"{path.name}/" for path in folders)
            raise DataError(
                f"'{root}' holds {found}: this is neither train/ with val/ or test/ and no other, "
                "nor one folder a class. Move the others away, or name the folder of the classes."
            )
        return _read_split_folders(root, by_split)
    sources, labels = _read_class_folders(root, folders)
    return Catalog(sources=sources, labels=labels, origin=f"'{root}'")


def _read_split_folders(root: Path, by_split: dict[SplitName, Path]) -> Catalog:
    sources: list[ImageSource] = []
    labels: list[Label] = []
    splits: list[SplitName] = []
    for split, folder in by_split.items():
        part_sources, part_labels = _read_class_folders(folder, _list_folders(folder))
        sources += part_sources
        labels += part_labels
        splits += [split] * len(part_sources)
    catalog = Catalog(
        sources=tuple(sources), labels=tuple(labels), splits=tuple(splits), origin=f"'{root}'"
    )
    known = set(catalog.part("train").classes)
    strange = [
        f"the class '{label}' is in {split}/ but not in train/"
        for split in ("val", "test")
        for label in catalog.part(split).classes
        if label not in known
    ]
    if strange:
        raise DataError(
            f"The parts of '{root}' disagree: {'; '.join(strange)}. Give each class a folder in "
            "train/, or remove it from the others.",
            problems=strange,
        )
    return catalog


def _read_class_folders(
    root: Path, folders: Sequence[Path]
) -> tuple[tuple[ImageSource, ...], tuple[Label, ...]]:
    if not folders:
        raise DataError(
            f"'{root}' has no folders in it; one folder a class was expected, such as "
            f"'{root / 'mars'}'. Sort the images into folders named after their classes."
        )
    loose = [path for path in root.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES]
    if loose:
        warnings.warn(
            f"{count(len(loose), 'image')} in '{root}' itself, beside the class folders, left out "
            f"(first: '{loose[0].name}'). Move them into a class folder to use them.",
            DataWarning,
            stacklevel=2,
        )
    files = {folder.name: _list_files(folder) for folder in folders}
    pairs = [(str(path), name) for name, paths in files.items() for path in paths]
    empty = [name for name, paths in files.items() if not paths]
    if empty:
        raise DataError(
            f"In '{root}' these class folders hold no files: {', '.join(empty)}. Put images into "
            "them, or remove the folders.",
            problems=[f"'{name}' holds no files" for name in empty],
        )
    return tuple(source for source, _ in pairs), tuple(label for _, label in pairs)
