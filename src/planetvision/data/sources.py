"""Sources: folders, tables, globs, lists and in-memory images become a `Catalog`."""

from __future__ import annotations

import glob
import os
import warnings
from collections.abc import Collection, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import numpy as np
import numpy.typing as npt

from planetvision.core.errors import DataError, DataWarning, SourceNotFoundError, count, itemize
from planetvision.core.files import RENDERS_FILE
from planetvision.core.settings import ClassMap, Label
from planetvision.data.catalog import (
    SPLIT_NAMES,
    SPLIT_SPELLINGS,
    Catalog,
    SplitName,
    check_label_kinds,
)
from planetvision.data.decoders.pds import LABEL_SUFFIXES
from planetvision.data.decoders.registry import (
    HEAD_BYTES,
    find_companions,
    find_decoder,
    list_suffixes,
)
from planetvision.data.images import ImageSource
from planetvision.data.records import plain_groups, read_labelled_table, read_path_column
from planetvision.data.splits import check_parts
from planetvision.data.tables import ColumnMap, get_frame, is_table_path

if TYPE_CHECKING:
    import pandas as pd


ImageInput: TypeAlias = (
    "ImageSource | Iterable[ImageSource] | npt.NDArray[Any] | Catalog | pd.DataFrame"
)
"""Images in any form that `read_inputs` and `read_labelled` accept."""

# What systems leave in folders of images, and the table that `write_dataset` puts beside them.
_NO_IMAGES = frozenset({"thumbs.db", "desktop.ini", RENDERS_FILE})


def read_labelled(
    data: object,
    labels: Iterable[Label] | None = None,
    *,
    groups: Iterable[object] | None = None,
    columns: ColumnMap | None = None,
    class_map: ClassMap | None = None,
    optional_classes: Collection[str] = (),
) -> Catalog:
    """Returns the catalog of labelled images.

    A table is a CSV, TSV or Parquet file, told by its suffix, or a pandas DataFrame. Its columns
    are `path`, `label` and, where it has them, `split`, `group` and `sha256`; other usual names,
    such as `file` and `class`, are understood. Relative paths start at the folder of the file, and
    for a DataFrame at the working folder. A manifest that `save_manifest` wrote is such a table.
    Columns of other names are kept as attributes of the images.

    Args:
        data: A folder with one subfolder per class; a folder with `train/`, `val/`, `test/` of such
            folders (`val` and `test` may be missing); a table; a catalog; or, with `labels`, a
            sequence of paths, arrays, Pillow images or bytes.
        labels: The label of each image of a sequence, or of each row of a DataFrame: strings or
            integers.
        groups: What each image belongs to, in the order of the images: those of one group stay in
            one part. An image whose group is None is alone.
        columns: The names of columns that are not to be guessed, such as
            `{"path": "file", "label": "body"}`; None in place of a name leaves the column out.
        class_map: New names of classes, such as `{"luna": "moon", "sun": None}`: one name for
            several merges them, None leaves a class out.
        optional_classes: Those of the class map's classes, as text, that there need not be.

    Raises:
        SourceNotFoundError: If the folder or table does not exist.
        DataError: If it is not laid out like this. All that is wrong in a table is named, each
            with its line.
        UnknownNameError: If `class_map` names a class that there is not, or `columns` has an
            unknown key.
        MissingExtraError: If the table is Parquet and pyarrow is not installed.
    """
    frame = get_frame(data)
    path = data if isinstance(data, str | os.PathLike) and labels is None else None
    table = path if path is not None and is_table_path(path) and not Path(path).is_dir() else frame
    if table is not None:
        return read_labelled_table(
            table,
            labels,
            groups=groups,
            columns=columns,
            class_map=class_map,
            optional_classes=optional_classes,
        )
    _refuse_columns(data, columns)
    if path is not None:
        return _read_folder(
            Path(path),
            groups=groups,
            class_map=class_map or {},
            optional_classes=optional_classes,
        )
    if isinstance(data, Catalog):
        if labels is not None or data.labels is None:
            raise DataError(
                "A catalog must come with labels of its own, got "
                f"{'others beside it' if labels is not None else 'one without'}. Put them into it."
            )
        catalog = data
    else:
        catalog = _read_sequence(data, labels)
    return _finish(
        catalog, groups=groups, class_map=class_map or {}, optional_classes=optional_classes
    )


def read_inputs(inputs: object, *, columns: ColumnMap | None = None) -> Catalog:
    """Returns the catalog of images to predict.

    Args:
        inputs: A path to a file, a folder (searched to the bottom) or a glob pattern; a table, as
            for `read_labelled`, of which the paths are taken; an array of shape (H, W, 3), or
            (N, H, W, 3) for many; a Pillow image; the bytes of a file; or a list, column or other
            iterable of any of these.
        columns: As for `read_labelled`.

    Raises:
        SourceNotFoundError: If a folder or glob that stands alone holds no files.
        DataError: If a table has no column of paths.
    """
    if isinstance(inputs, Catalog):
        return inputs
    return Catalog(sources=tuple(_expand(inputs, columns, alone=True)), origin="the input")


def list_input_places(inputs: object) -> list[Path | None]:
    """Returns the folder or table of each input, or None for an image in memory.

    Of a single file it is the folder that it lies in, of a glob pattern that which all it can match
    lies in.

    Args:
        inputs: As for `read_inputs`.
    """
    given = list(inputs) if isinstance(inputs, list | tuple) else [inputs]
    places: dict[Path | None, None] = {}
    for one in given:
        path = Path(one) if isinstance(one, str | os.PathLike) else None
        if path is not None and not path.exists() and glob.has_magic(str(path)):
            path = next(above for above in path.parents if not glob.has_magic(str(above)))
        elif path is not None and path.is_file() and not is_table_path(path):
            path = path.parent
        places[path] = None
    return list(places)


def _refuse_columns(data: object, columns: ColumnMap | None) -> None:
    if columns:
        shown = f"'{data}'" if isinstance(data, str | os.PathLike) else f"a {type(data).__name__}"
        raise DataError(
            f"`columns` names the columns of a table, and {shown} is none. Leave it out, or pass "
            "a DataFrame or a path that ends in .csv, .tsv or .parquet."
        )


def _read_sequence(data: object, labels: Iterable[Label] | None) -> Catalog:
    if labels is None:
        raise DataError(
            "Images in a sequence need their labels, got none. Pass fit(images, labels), a folder "
            "with one subfolder per class, or a table."
        )
    if isinstance(labels, str):
        raise DataError(f"One label per image was expected, got the single string {labels!r}.")
    if not isinstance(data, Iterable) and not isinstance(data, os.PathLike):
        raise DataError(
            f"A sequence of images was expected, got {data!r} of type {type(data).__name__}."
        )
    if isinstance(data, str | os.PathLike):
        raise DataError(
            f"With labels a sequence of images was expected, got the single path '{data}'. Pass a "
            "list of paths, or the folder or table without labels."
        )
    sources = tuple(cast("Iterable[ImageSource]", data))
    values = tuple(_plain_label(label) for label in labels)
    if len(sources) != len(values):
        raise DataError(
            f"There are {len(sources)} images but {len(values)} labels. Pass one label per image."
        )
    if not sources:
        raise DataError("There are no images: the list is empty. Pass at least three per class.")
    return Catalog(sources=sources, labels=values, origin=f"the list of {len(sources)} images")


def _finish(
    catalog: Catalog,
    *,
    groups: Iterable[object] | None,
    class_map: ClassMap,
    optional_classes: Collection[str],
) -> Catalog:
    """Returns the catalog with its groups and the final names of its classes."""
    if groups is not None:
        if isinstance(groups, str):
            raise DataError(f"One group per image was expected, got the single string {groups!r}.")
        given = list(groups)
        if len(given) != len(catalog):
            raise DataError(
                f"There are {len(catalog)} images but {len(given)} groups. Pass one group an "
                "image, in the order of the images."
            )
        catalog = replace(catalog, groups=plain_groups(given, names=catalog.names))
    if class_map:
        catalog = catalog.map_classes(class_map, optional_classes=optional_classes)
    check_label_kinds(catalog.labels or ())
    _check_groups(catalog)
    return catalog


def _check_groups(catalog: Catalog) -> None:
    homes: dict[Label, set[SplitName]] = {}
    for group, split in zip(catalog.groups or (), catalog.splits or (), strict=False):
        homes.setdefault(group, set()).add(split)
    problems = [
        f"the group '{group}' is in {' and '.join(sorted(parts, key=SPLIT_NAMES.index))}"
        for group, parts in homes.items()
        if len(parts) > 1
    ]
    if problems:
        raise DataError(
            itemize(
                f"Groups of {catalog.origin} lie in more than one split, so that test images "
                "resemble training images. Keep each group in one split:",
                problems,
            ),
            problems=problems,
        )


def _plain_label(label: Any) -> Label:
    plain = label.item() if isinstance(label, np.generic) else label
    if isinstance(plain, bool) or not isinstance(plain, str | int):
        raise DataError(
            f"A label must be a string or an integer, got {plain!r} of type "
            f"{type(plain).__name__}. Convert the labels first."
        )
    return plain


def _expand(
    inputs: object, columns: ColumnMap | None = None, *, alone: bool
) -> Iterator[ImageSource]:
    frame = get_frame(inputs)
    if frame is not None:
        yield from read_path_column(frame, columns=columns)
    elif isinstance(inputs, str | os.PathLike):
        text = os.fspath(inputs)
        if is_table_path(text) and os.path.isfile(text):  # noqa: PTH113 - any name may come
            yield from read_path_column(text, columns=columns)
        else:
            yield from _expand_path(text, alone=alone)
    elif isinstance(inputs, np.ndarray):
        if inputs.ndim == 4 or inputs.dtype.kind in "OUS":
            for item in inputs:
                yield from _expand(item, columns, alone=False)
        else:
            yield inputs
    elif isinstance(inputs, Iterable) and not isinstance(inputs, bytes):
        for item in inputs:
            yield from _expand(item, columns, alone=False)
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
    files = sorted(
        path
        for path in folder.rglob("*")
        if path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and path.name.lower() not in _NO_IMAGES
    )
    hidden = _list_hidden(files)
    return [path for path in files if path not in hidden]


def _list_hidden(files: Sequence[Path]) -> set[Path]:
    """Returns the files that belong to another image, such as the label of PDS data."""
    others = {path for path in files if path.suffix.lower() not in LABEL_SUFFIXES}
    described = {(path.parent, path.stem.lower()) for path in others}
    hidden: set[Path] = set()
    for label in files:
        if label in others:
            continue
        named = others.intersection(_find_companions(label))
        data = {path for path in named if find_decoder(_read_head(path)) is None}
        # Data that do not say what they are can be read if a label is found from them.
        found = {path for path in data if _find_companions(path)}
        hidden |= data - found
        # Notes beside an image are no image, either.
        if found or (not data and (named or (label.parent, label.stem.lower()) in described)):
            hidden.add(label)
    return hidden


def _find_companions(path: Path) -> tuple[Path, ...]:
    try:
        return find_companions(path, _read_head(path))
    except OSError:  # reading it reports the error in its own row
        return ()


def _read_head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(HEAD_BYTES)
    except OSError:
        return b""


def _list_folders(folder: Path) -> list[Path]:
    return sorted(
        path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")
    )


def _read_folder(
    root: Path,
    *,
    groups: Iterable[object] | None,
    class_map: ClassMap,
    optional_classes: Collection[str],
) -> Catalog:
    left_out = {str(name) for name, new in class_map.items() if new is None}
    catalog = _list_images(root, left_out)
    # A class folder without files has no rows, and yet may be left out.
    absent = left_out - set(catalog.counts)
    if absent:
        outer = _list_folders(root)
        names = {path.name for folder in outer for path in (folder, *_list_folders(folder))}
        optional_classes = {*optional_classes, *(absent & names)}
    catalog = _finish(
        catalog, groups=groups, class_map=class_map, optional_classes=optional_classes
    )
    check_parts(catalog)
    return catalog


def _list_images(root: Path, left_out: AbstractSet[str]) -> Catalog:
    if not root.exists():
        raise SourceNotFoundError(
            f"There is no folder '{root}'. Name a folder that holds one subfolder per class, or a "
            "table.",
            source=str(root),
        )
    if not root.is_dir():
        raise DataError(
            f"'{root}' is a file. Pass a folder with one subfolder per class, or a table that ends "
            "in .csv, .tsv or .parquet."
        )
    folders = _list_folders(root)
    by_split: dict[SplitName, Path] = {}
    others: list[str] = []
    for path in folders:
        split = SPLIT_SPELLINGS.get(path.name.lower())
        if split is None or split in by_split:
            others.append(path.name)
        else:
            by_split[split] = path
    if (by_split and not others) or ("train" in by_split and len(by_split) > 1):
        if others or len(by_split) == 1 or "train" not in by_split:
            found = ", ".join(f"{path.name}/" for path in folders)
            raise DataError(
                f"'{root}' holds {found}: this is neither train/ with val/ or test/ and no other, "
                "nor one subfolder per class. Move the others away, or pass the folder of the "
                "classes."
            )
        return _read_split_folders(root, by_split, left_out)
    sources, labels = _read_class_folders(root, folders, left_out)
    return Catalog(sources=sources, labels=labels, origin=f"'{root}'")


def _read_split_folders(
    root: Path, by_split: dict[SplitName, Path], left_out: AbstractSet[str]
) -> Catalog:
    sources: list[ImageSource] = []
    labels: list[Label] = []
    splits: list[SplitName] = []
    for split, folder in by_split.items():
        part_sources, part_labels = _read_class_folders(folder, _list_folders(folder), left_out)
        sources += part_sources
        labels += part_labels
        splits += [split] * len(part_sources)
    return Catalog(
        sources=tuple(sources), labels=tuple(labels), splits=tuple(splits), origin=f"'{root}'"
    )


def _read_class_folders(
    root: Path, folders: Sequence[Path], left_out: AbstractSet[str]
) -> tuple[tuple[ImageSource, ...], tuple[Label, ...]]:
    if not folders:
        raise DataError(
            f"'{root}' has no subfolders; one subfolder per class was expected, such as "
            f"'{root / 'mars'}'. Sort the images into folders named after their classes."
        )
    suffixes = list_suffixes()
    loose = [path for path in root.iterdir() if path.name.lower().endswith(suffixes)]
    if loose:
        warnings.warn(
            f"{count(len(loose), 'image')} in '{root}' itself, beside the class folders, left out "
            f"(first: '{loose[0].name}'). Move them into a class folder to use them.",
            DataWarning,
            stacklevel=2,
        )
    files = {folder.name: _list_files(folder) for folder in folders}
    pairs = [(str(path), name) for name, paths in files.items() for path in paths]
    empty = [name for name, paths in files.items() if not paths and name not in left_out]
    if empty:
        raise DataError(
            f"In '{root}' these class folders hold no files: {', '.join(empty)}. Put images into "
            "them, or remove the folders.",
            problems=[f"'{name}' holds no files" for name in empty],
        )
    return tuple(source for source, _ in pairs), tuple(label for _, label in pairs)
