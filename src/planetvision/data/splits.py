"""Splits: which images train, which validate, which test."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import replace
from numbers import Integral, Real
from pathlib import PurePath

import numpy as np
import numpy.typing as npt

from planetvision.data.catalog import SPLIT_NAMES, Catalog, Label, SplitName
from planetvision.errors import DataError, SettingsError, SplitWarning, count, itemize
from planetvision.runtime import derive_seed

__all__ = [
    "check_classes",
    "check_fractions",
    "check_groups",
    "check_parts",
    "split_catalog",
    "split_folds",
]


def check_classes(catalog: Catalog, *, min_images: int, where: str = "") -> None:
    """Checks that there are two classes or more, each with at least `min_images`.

    Raises:
        DataError: If not; all classes that are too small are named.
    """
    where = where or catalog.origin
    counts = catalog.counts
    if len(counts) < 2:
        found = ", ".join(f"'{label}'" for label in counts) or "none"
        raise DataError(
            f"A classifier needs at least 2 classes, {where} has {len(counts)} ({found}). "
            "Add images of another class."
        )
    small = [f"'{label}' has {number}" for label, number in counts.items() if number < min_images]
    if small:
        raise DataError(
            itemize(
                f"Each class of {where} needs at least {min_images} images, one for each part of "
                "the split. Add images, or remove the class. Too few:",
                small,
            ),
            problems=small,
        )


def check_groups(catalog: Catalog, *, min_groups: int, where: str = "") -> None:
    """Checks that the images of each class form at least `min_groups` groups.

    Raises:
        DataError: If not; all classes with too few are named.
    """
    if catalog.groups is None:
        return
    where = where or catalog.origin
    held: dict[Label, set[Label]] = {label: set() for label in catalog.classes}
    for label, group in zip(catalog.labels or (), catalog.groups, strict=True):
        held[label].add(group)
    counts = catalog.counts
    few = [
        f"'{label}' has {count(counts[label], 'image')} in {count(len(groups), 'group')}"
        for label, groups in held.items()
        if len(groups) < min_groups
    ]
    if few:
        raise DataError(
            itemize(
                f"Each class of {where} needs at least {min_groups} groups, since a group (given, "
                "or near-copies of one image) stays in one part. Add other images of the class, "
                "remove it, or split without groups; of near-copies alone, by "
                "group_duplicates=False (--no-group-duplicates). Too few:",
                few,
            ),
            problems=few,
        )


def check_parts(catalog: Catalog) -> None:
    """Checks that the training part has each class that the others have.

    Raises:
        DataError: If not; all classes that it lacks are named.
    """
    known = set(catalog.part("train").classes)
    problems = [
        f"the class '{label}' is in {split} but not in train"
        for split in SPLIT_NAMES[1:]
        for label in catalog.part(split).classes
        if label not in known
    ]
    if problems:
        raise DataError(
            itemize(
                f"The parts of {catalog.origin} disagree. Give each class readable images in "
                "train, or leave it out by a class map (--class NAME=):",
                problems,
            ),
            problems=problems,
        )


def _is_share(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and 0 <= float(value) < 1


def check_fractions(val_fraction: float, test_fraction: float) -> None:
    """Checks the shares of a split.

    Raises:
        SettingsError: If one is out of range, or they leave nothing to train on.
    """
    problems = []
    if not _is_share(val_fraction) or val_fraction == 0:
        problems.append(
            f"`val_fraction` must lie strictly between 0 and 1, got {val_fraction!r}. "
            "Pass a fraction such as 0.15."
        )
    if not _is_share(test_fraction):
        problems.append(
            f"`test_fraction` must lie in [0, 1), got {test_fraction!r}. "
            "Pass a fraction such as 0.15, or 0 for no test part."
        )
    if not problems and val_fraction + test_fraction >= 1:
        problems.append(
            f"`val_fraction` and `test_fraction` leave nothing to train on: "
            f"{val_fraction} + {test_fraction} is 1 or more. Lower one of them."
        )
    if problems:
        raise SettingsError.from_problems(problems)


def split_catalog(
    catalog: Catalog, *, val_fraction: float = 0.15, test_fraction: float = 0.15, seed: int = 0
) -> Catalog:
    """Returns the catalog with each row in `train`, `val` or `test`.

    The split is stratified: every class is shuffled by the seed and cut in the same shares, with
    at least one image of each class in each part. Splits that the catalog has already are kept;
    only a missing `val` is cut from `train`.

    Images of one group are never put into different parts. Groups are dealt out from the largest
    to the smallest, each to the part that lacks most of its classes, so large ones tend to train;
    the order of groups of one size is the seed's and does not depend on that of the rows. Where
    there are no groups of several images, the split is that of the images.

    Args:
        catalog: The labelled images, with their groups where they have any.
        val_fraction: The share for validation, over 0 and under 1.
        test_fraction: The share for testing; 0 leaves no test part.
        seed: The same seed and images give the same split.

    Raises:
        SettingsError: If the fractions leave no part for training or validation.
        DataError: If there is one class only, a class has too few images or groups for all
            parts, or a given training part lacks one.

    Warns:
        SplitWarning: If groups are so large that the shares of a class are far from those asked
            for.
    """
    check_fractions(val_fraction, test_fraction)
    if catalog.splits is not None:
        check_parts(catalog)
        train = catalog.part("train")
        if "val" in catalog.splits:
            check_classes(train, min_images=1, where=f"train/ of {catalog.origin}")
            return catalog
        check_classes(train, min_images=2, where=f"train/ of {catalog.origin}")
        check_groups(train, min_groups=2, where=f"train/ of {catalog.origin}")
        cut = iter(_assign(train, val_fraction=val_fraction, test_fraction=0.0, seed=seed))
        splits = tuple(next(cut) if name == "train" else name for name in catalog.splits)
        return replace(catalog, splits=splits)
    check_classes(catalog, min_images=3 if test_fraction > 0 else 2)
    check_groups(catalog, min_groups=3 if test_fraction > 0 else 2)
    splits = tuple(
        _assign(catalog, val_fraction=val_fraction, test_fraction=test_fraction, seed=seed)
    )
    return replace(catalog, splits=splits)


def _assign(
    catalog: Catalog, *, val_fraction: float, test_fraction: float, seed: int
) -> list[SplitName]:
    numbers = {
        label: _count_parts(number, val_fraction=val_fraction, test_fraction=test_fraction)
        for label, number in catalog.counts.items()
    }
    if catalog.groups is not None and len(set(catalog.groups)) < len(catalog):
        return _assign_groups(catalog, numbers, seed=seed)
    splits: list[SplitName] = [SPLIT_NAMES[0]] * len(catalog)
    labels = catalog.labels or ()
    for label in catalog.classes:
        rows = [row for row, value in enumerate(labels) if value == label]
        generator = np.random.default_rng(derive_seed(seed, "split", str(label)))
        shuffled = [rows[position] for position in generator.permutation(len(rows))]
        _, num_val, num_test = numbers[label]
        for row in shuffled[:num_test]:
            splits[row] = "test"
        for row in shuffled[num_test : num_test + num_val]:
            splits[row] = "val"
    return splits


def _count_parts(number: int, *, val_fraction: float, test_fraction: float) -> tuple[int, int, int]:
    """Returns how many images of a class train, validate and test."""
    num_test = max(1, int(number * test_fraction + 0.5)) if test_fraction > 0 else 0
    num_val = max(1, int(number * val_fraction + 0.5))
    # Small classes: the training part keeps at least one image.
    num_val = max(1, min(num_val, number - num_test - 1))
    num_test = min(num_test, number - num_val - 1)
    return number - num_val - num_test, num_val, num_test


def _assign_groups(
    catalog: Catalog, numbers: Mapping[Label, tuple[int, int, int]], *, seed: int
) -> list[SplitName]:
    labels, groups, names = catalog.labels or (), catalog.groups or (), catalog.names
    columns = {label: column for column, label in enumerate(catalog.classes)}
    # A group goes by its first image and not by its own name, which may be a number counted by row;
    # and an image by its class and file name, wherever the data lie.
    first_name: dict[Label, str] = {}
    for group, label, path in zip(groups, labels, names, strict=True):
        name = f"{label}/{PurePath(path).name}"
        first_name[group] = min(name, first_name.get(group, name))
    rank = {group: derive_seed(seed, "split", name) for group, name in first_name.items()}
    sizes = {group: np.zeros(len(columns)) for group in first_name}
    for group, label in zip(groups, labels, strict=True):
        sizes[group][columns[label]] += 1
    wanted = np.array([numbers[label] for label in catalog.classes], np.float64).T
    num_parts = 3 if wanted[2].any() else 2
    wanted = wanted[:num_parts]
    dealt = np.zeros_like(wanted)
    # Each class counts the same, whatever its number of images.
    weight = 1 / wanted.sum(axis=0) ** 2
    part_of: dict[Label, int] = {}
    order = sorted(sizes, key=lambda each: (-sizes[each].sum(), rank[each]))
    for group in order:
        part = int(np.argmax(((wanted - dealt) * weight) @ sizes[group]))
        part_of[group] = part
        dealt[part] += sizes[group]
    _cover_all_parts(part_of, {group: sizes[group] for group in order}, dealt, wanted, catalog)
    _warn_of_shares(dealt, wanted, catalog)
    return [SPLIT_NAMES[part_of[group]] for group in groups]


def _cover_all_parts(
    part_of: dict[Label, int],
    sizes: Mapping[Label, npt.NDArray[np.float64]],
    dealt: npt.NDArray[np.float64],
    wanted: npt.NDArray[np.float64],
    catalog: Catalog,
) -> None:
    """Moves groups, in place, until each part has an image of each class."""
    while (dealt == 0).any():
        part, column = (int(index) for index in np.argwhere(dealt == 0)[0])
        movable = [
            group
            for group, size in sizes.items()
            if size[column] and ((dealt[part_of[group]] - size > 0) | (size == 0)).all()
        ]
        if not movable:
            label = catalog.classes[column]
            raise DataError(
                f"No split of {catalog.origin} puts class '{label}' into each part "
                f"({', '.join(SPLIT_NAMES[: len(dealt)])}) and keeps each group in one: its groups "
                "hold images of other classes that would then be missing elsewhere. Give the "
                "splits yourself, or split without groups."
            )

        def get_excess(group: Label, part: int = part) -> float:
            excess = dealt[part] + sizes[group] - wanted[part]
            taken = wanted[part_of[group]] - dealt[part_of[group]] + sizes[group]
            return float(np.maximum(excess, 0).sum() + np.maximum(taken, 0).sum())

        chosen = min(movable, key=get_excess)
        dealt[part_of[chosen]] -= sizes[chosen]
        dealt[part] += sizes[chosen]
        part_of[chosen] = part


def _warn_of_shares(
    dealt: npt.NDArray[np.float64], wanted: npt.NDArray[np.float64], catalog: Catalog
) -> None:
    far = np.abs(dealt - wanted) > np.maximum(1, 0.1 * wanted.sum(axis=0))
    problems = [
        f"'{label}' has "
        + ", ".join(
            f"{int(got)} of {count(int(share), 'image')} in {name}"
            for name, got, share in zip(
                SPLIT_NAMES, dealt[:, column], wanted[:, column], strict=False
            )
        )
        for column, label in enumerate(catalog.classes)
        if far[:, column].any()
    ]
    if problems:
        warnings.warn(
            itemize(
                f"Groups of {catalog.origin} are too large for the shares asked for. Add other "
                "images, or split without groups.",
                problems,
            ),
            SplitWarning,
            stacklevel=5,
        )


def split_folds(catalog: Catalog, num_folds: int, *, seed: int = 0) -> tuple[int, ...]:
    """Returns the fold of each image, for cross-validation.

    The folds are stratified by class, and images of one group share a fold.

    Args:
        catalog: The labelled images, with their groups where they have any.
        num_folds: How many folds there are, from 2.
        seed: The same seed and images give the same folds.

    Returns:
        A number from 0 to `num_folds` - 1 for each row.

    Raises:
        SettingsError: If `num_folds` is no whole number from 2.
        DataError: If there is one class only, or a class has fewer images or groups than there
            are folds.
    """
    if not isinstance(num_folds, Integral) or isinstance(num_folds, bool) or num_folds < 2:
        raise SettingsError(
            f"`num_folds` must be a whole number of at least 2, got {num_folds!r}. "
            "Pass 5, for example."
        )
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    check_classes(catalog, min_images=int(num_folds))
    check_groups(catalog, min_groups=int(num_folds))
    columns = {label: column for column, label in enumerate(catalog.classes)}
    targets = [columns[label] for label in catalog.labels or ()]
    groups: list[int] | None = None
    kind = StratifiedKFold
    if catalog.groups is not None and len(set(catalog.groups)) < len(catalog):
        numbers: dict[Label, int] = {}
        groups = [numbers.setdefault(group, len(numbers)) for group in catalog.groups]
        kind = StratifiedGroupKFold
    # scikit-learn takes seeds of 32 bits.
    state = derive_seed(seed, "folds") % 2**32
    splitter = kind(n_splits=int(num_folds), shuffle=True, random_state=state)
    folds = np.zeros(len(catalog), np.int64)
    for fold, (_, rows) in enumerate(splitter.split(targets, targets, groups)):
        folds[rows] = fold
    return tuple(folds.tolist())
