"""`Catalog`: a table of images, one row per image."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np

from planetvision.core.errors import DataError, SettingsError, UnknownNameError
from planetvision.core.settings import ClassMap, Label
from planetvision.data.images import ImageSource, describe_source

if TYPE_CHECKING:
    import pandas as pd


T = TypeVar("T")
_COLUMNS = ("path", "label", "split", "group", "sha256")
SplitName = Literal["train", "val", "test"]
SPLIT_NAMES: tuple[SplitName, ...] = ("train", "val", "test")
# How people call the parts, in folders and in tables.
SPLIT_SPELLINGS: dict[str, SplitName] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}


@dataclass(frozen=True, kw_only=True)
class Catalog:
    """Images with their labels, splits, groups and hashes, as far as they are known.

    Args:
        sources: Where each image is, or the image itself.
        labels: The label of each image; None where none are known.
        splits: `train`, `val` or `test` for each image; None before the data are split.
        groups: What each image belongs to, such as a sequence of frames: images of one group stay
            in one part. None where no groups are known.
        hashes: The SHA-256 of each image's file in hexadecimal, empty where it is not known; None
            where none is known.
        attributes: What else is known of each image, such as its instrument, by name; None where
            it is not known.
        origin: What messages call the whole.
    """

    sources: tuple[ImageSource, ...]
    labels: tuple[Label, ...] | None = None
    splits: tuple[SplitName, ...] | None = None
    groups: tuple[Label, ...] | None = None
    hashes: tuple[str, ...] | None = None
    attributes: Mapping[str, tuple[object, ...]] = field(default_factory=dict)
    origin: str = "the data"

    def __len__(self) -> int:
        return len(self.sources)

    @property
    def names(self) -> list[str]:
        """What tables and messages call each image: its path, or its kind and index."""
        return [describe_source(source, index) for index, source in enumerate(self.sources)]

    @property
    def classes(self) -> list[Label]:
        """The different labels, sorted."""
        return sort_labels(self.labels or ())

    @property
    def counts(self) -> dict[Label, int]:
        """The number of images of each class, in the order of `classes`."""
        counted = Counter(self.labels or ())
        return {label: counted[label] for label in self.classes}

    def select(self, indices: Iterable[int]) -> Catalog:
        """Returns the catalog of these rows, in this order."""
        rows = list(indices)

        def pick(values: Sequence[T]) -> tuple[T, ...]:
            return tuple(values[row] for row in rows)

        def pick_known(values: Sequence[T] | None) -> tuple[T, ...] | None:
            return None if values is None else pick(values)

        return replace(
            self,
            sources=pick(self.sources),
            labels=pick_known(self.labels),
            splits=pick_known(self.splits),
            groups=pick_known(self.groups),
            hashes=pick_known(self.hashes),
            attributes={name: pick(values) for name, values in self.attributes.items()},
        )

    def get_split(self, split: SplitName) -> Catalog:
        """Returns the rows of one split."""
        return self.select(row for row, name in enumerate(self.splits or ()) if name == split)

    def get_tested(self) -> Catalog:
        """Returns the rows of the test split, or all rows if there is none."""
        return self.get_split("test") if "test" in (self.splits or ()) else self

    def map_classes(
        self, class_map: ClassMap, *, optional_classes: Collection[str] = ()
    ) -> Catalog:
        """Returns the catalog with its classes renamed, merged or left out.

        Args:
            class_map: The new name of each class that changes; the same new name for several
                merges them, None leaves a class and its images out. Classes that it does not name
                stay as they are.
            optional_classes: Those of its classes, as text, that there need not be.

        Raises:
            UnknownNameError: If it names another class that there is not.
            DataError: If nothing is left, or names and numbers would be mixed.

        Example:
            >>> catalog = Catalog(sources=("1.png", "2.png", "3.png"), labels=("luna", "mars", "?"))
            >>> catalog.map_classes({"luna": "moon", "?": None}).labels
            ('moon', 'mars')
        """
        mapped = map_labels(
            self.labels or (), class_map, optional_classes=optional_classes, origin=self.origin
        )
        kept = [row for row, label in enumerate(mapped) if label is not None]
        if not kept:
            raise DataError(
                f"The class map leaves out every class of {self.origin}, so that no image is left. "
                "Map at least two classes to a name."
            )
        labels = tuple(label for label in mapped if label is not None)
        check_label_kinds(labels)
        return replace(self.select(kept), labels=labels)

    def to_frame(self) -> pd.DataFrame:
        """Returns a table with one row per image: `path`, `label`, `split`, `group` and `sha256`.

        A column of which nothing is known holds None. The attributes follow.
        """
        import pandas as pd

        columns: dict[str, Sequence[object] | None] = {
            "path": self.names,
            "label": self.labels,
            "split": self.splits,
            "group": self.groups,
            "sha256": self.hashes,
        }
        columns = {**self.attributes, **columns}
        columns = {name: columns[name] for name in dict.fromkeys([*_COLUMNS, *columns])}
        # As objects: pandas' strings cannot hold the names of files that are no valid text.
        return pd.DataFrame(
            {
                name: [None] * len(self) if values is None else list(values)
                for name, values in columns.items()
            },
            dtype=object,
        )


def sort_labels(labels: Iterable[Label]) -> list[Label]:
    """Returns the different labels, sorted: numbers before names."""
    return sorted(set(labels), key=lambda label: (str(type(label)), label))


def map_labels(
    labels: Sequence[Label | None],
    class_map: ClassMap,
    *,
    optional_classes: Collection[str] = (),
    origin: str = "the data",
) -> list[Label | None]:
    """Returns the new label of each image, None for those that are left out.

    Args:
        labels: The labels; None stays None.
        class_map: As for `Catalog.map_classes`.
        optional_classes: As for `Catalog.map_classes`.
        origin: What messages call the data.

    Raises:
        SettingsError: If a new name is neither a string nor an integer.
        UnknownNameError: If a class is named that there is not.
    """
    classes = sort_labels(label for label in labels if label is not None)
    # Integers come as text from a command line.
    spelt: dict[str, Label] = {str(label): label for label in classes}
    renamed = {
        old if old in classes else spelt.get(str(old), old): new
        for old, new in make_plain(class_map).items()
    }
    errors: list[SettingsError] = []
    for old, new in renamed.items():
        if old not in classes:
            if str(old) not in optional_classes:
                errors.append(_create_unknown_class_error(old, new, classes, origin))
        elif isinstance(new, bool) or not isinstance(new, str | int | None) or new == "":
            errors.append(
                SettingsError(
                    "The class map must give a name, an integer or None for each class, got "
                    f"{new!r} for {old!r}."
                )
            )
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise SettingsError.from_problems([str(error) for error in errors])
    return [label if label is None else renamed.get(label, label) for label in labels]


def make_plain(class_map: ClassMap) -> dict[Label, Label | None]:
    """Returns the class map with Python's own numbers and strings in place of NumPy's."""

    def plain(value: Any) -> Any:
        return value.item() if isinstance(value, np.generic) else value

    return {plain(old): plain(new) for old, new in class_map.items()}


def _create_unknown_class_error(
    old: Label, new: Label | None, classes: Sequence[Label], origin: str
) -> UnknownNameError:
    listed = f"Classes: {', '.join(map(repr, classes)) or 'none'}."
    if new in classes:
        # A manifest of a run holds the names that the run's class map gave.
        listed += (
            f" Its new name {new!r} is there already: data that were mapped before, such as a "
            "manifest, need no class map."
        )
    return UnknownNameError.among(
        f"The class map names the class {old!r}, which {origin} does not have.",
        known=[str(label) for label in classes],
        remedy=listed,
        family="classes",
        name=str(old),
    )


def check_label_kinds(labels: Iterable[Label]) -> None:
    """Checks that the labels are all strings or all integers, and valid text.

    Raises:
        DataError: If they are not.
    """
    labels = set(labels)
    odd = [label for label in labels if isinstance(label, str) and not _is_valid_text(label)]
    if odd:
        raise DataError(
            f"The name of a class must be valid text, got {odd[0]!r}. Rename it: a folder may be "
            "called by any bytes, and a model's tables and pages cannot show these."
        )
    kinds = sorted({type(label).__name__ for label in labels})
    if len(kinds) > 1:
        raise DataError(
            "Labels must be all strings or all integers, got both "
            f"{' and '.join(kinds)}. Convert them."
        )


def _is_valid_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # bytes of a file name that are no UTF-8
        return False
    return True


def name_origin(origin: str) -> str:
    """Returns what a catalog's origin may be called elsewhere: of a path the last part.

    Example:
        >>> name_origin("'/home/someone/data/planets'"), name_origin("the list of 3 images")
        ('planets', 'the list of 3 images')
    """
    path = re.fullmatch("'(.*)'", origin, flags=re.DOTALL)
    name = (Path(path[1]).name or Path(path[1]).resolve().name) if path else origin
    # Bytes that are no valid text could not be written.
    return name.encode(errors="backslashreplace").decode()
