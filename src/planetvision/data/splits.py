"""Splits of a catalog into training, validation and test images."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from dataclasses import replace
from numbers import Integral, Real
from pathlib import PurePath

import numpy as np
import numpy.typing as npt

from planetvision.core.devices import derive_seed
from planetvision.core.errors import DataError, SettingsError, SplitWarning, count, itemize
from planetvision.core.settings import Label
from planetvision.data.catalog import SPLIT_NAMES, Catalog, SplitName


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
                f"Each class of {where} needs at least {min_images} images, one for each "
                "split. Add images, or remove the class. Too few:",
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
                "or near-duplicates of one image) stays in one split. Add other images of the "
                "class, remove it, or split without groups (without near-duplicates: "
                "group_duplicates=False, --no-group-duplicates). Too few:",
                few,
            ),
            problems=few,
        )


def check_parts(catalog: Catalog) -> None:
    """Checks that the training split has each class that the others have.

    Raises:
        DataError: If not; all classes that it lacks are named.
    """
    known = set(catalog.get_split("train").classes)
    problems = [
        f"the class '{label}' is in {split} but not in train"
        for split in SPLIT_NAMES[1:]
        for label in catalog.get_split(split).classes
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
    """Checks the fractions of a split.

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
            "Pass a fraction such as 0.15, or 0 for no test split."
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
    at least one image of each class in each split. Splits in the catalog are kept;
    only a missing `val` is cut from `train`.

    Images of one group are never put into different splits. Groups are dealt out from the largest
    to the smallest, each to the split that lacks most of its classes, so large ones tend to train;
    the order of groups of one size is the seed's, and does not depend on that of the rows. Where
    no group has several images, rows are shuffled, and the split depends on their order.

    Args:
        catalog: The labelled images, with their groups where they have any.
        val_fraction: The share for validation, over 0 and under 1.
        test_fraction: The share for testing; 0 leaves no test split.
        seed: The same seed and images give the same split.

    Raises:
        SettingsError: If the fractions leave nothing for training or validation.
        DataError: If there is one class only, a class has too few images or groups for all
            splits, or a given training split lacks one.

    Warns:
        SplitWarning: If groups are so large that the shares of a class are far from the requested
            ones.
    """
    check_fractions(val_fraction, test_fraction)
    if catalog.splits is not None:
        check_parts(catalog)
        train = catalog.get_split("train")
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
    """Returns the number of training, validation and test images of a class."""
    num_test = max(1, int(number * test_fraction + 0.5)) if test_fraction > 0 else 0
    num_val = max(1, int(number * val_fraction + 0.5))
    # Small classes: the training split keeps at least one image.
    num_val = max(1, min(num_val, number - num_test - 1))
    num_test = min(num_test, number - num_val - 1)
    return number - num_val - num_test, num_val, num_test


def _assign_groups(
    catalog: Catalog, numbers: Mapping[Label, tuple[int, int, int]], *, seed: int
) -> list[SplitName]:
    groups = catalog.groups or ()
    # A group goes by its first image and not by its own name, which may be a number counted by row.
    first: dict[Label, tuple[str, str]] = {}
    for group, image in zip(groups, _identify_rows(catalog), strict=True):
        first[group] = min(image, first.get(group, image))
    sizes = _count_classes(catalog)
    wanted = np.array([numbers[label] for label in catalog.classes], np.float64).T
    num_splits = 3 if wanted[2].any() else 2
    wanted = wanted[:num_splits]
    dealt = np.zeros_like(wanted)
    # Each class counts the same, independent of its number of images.
    weight = 1 / wanted.sum(axis=0) ** 2
    rank = {group: derive_seed(seed, "split", content) for group, (content, _) in first.items()}
    order = sorted(sizes, key=lambda group: (-sizes[group].sum(), rank[group], first[group]))
    parts = np.zeros(len(order), np.int64)
    for position, group in enumerate(order):
        parts[position] = np.argmax(((wanted - dealt) * weight) @ sizes[group])
        dealt[parts[position]] += sizes[group]
    if (dealt == 0).any():
        stacked = np.stack([sizes[group] for group in order])
        moved = _cover_all_parts(parts, stacked, dealt)
        if moved is None:
            raise DataError(
                f"No split of {catalog.origin} has each class in each split "
                f"({', '.join(SPLIT_NAMES[:num_splits])}) and keeps each group in one: its groups "
                "hold images of several classes. Give the splits yourself, or split without "
                "groups (without near-duplicates: group_duplicates=False, --no-group-duplicates)."
            )
        parts = moved
        dealt = np.stack([stacked[parts == part].sum(axis=0) for part in range(num_splits)])
    _warn_of_shares(dealt, wanted, catalog)
    part_of = dict(zip(order, parts.tolist(), strict=True))
    return [SPLIT_NAMES[part_of[group]] for group in groups]


def _identify_rows(catalog: Catalog) -> list[tuple[str, str]]:
    """Returns a key per image that does not depend on where the data lie.

    First comes its content where that is known, and then its path below the folder of all.
    """
    names = [
        os.path.abspath(name)  # noqa: PTH100 - Path.absolute keeps ".."
        if isinstance(source, str | os.PathLike)
        else name
        for name, source in zip(catalog.names, catalog.sources, strict=True)
    ]
    try:
        root = os.path.commonpath([name for name in names if os.path.isabs(name)])  # noqa: PTH117
    except ValueError:  # several drives, or no paths at all
        root = ""
    below = [
        PurePath(name).relative_to(root).as_posix() if root and os.path.isabs(name) else name  # noqa: PTH117
        for name in names
    ]
    hashes = catalog.hashes or ("",) * len(catalog)
    return [(value or name, name) for value, name in zip(hashes, below, strict=True)]


def _count_classes(catalog: Catalog) -> dict[Label, npt.NDArray[np.float64]]:
    """Returns the number of images of each class in each group."""
    columns = {label: column for column, label in enumerate(catalog.classes)}
    sizes: dict[Label, npt.NDArray[np.float64]] = {}
    for group, label in zip(catalog.groups or (), catalog.labels or (), strict=True):
        size = sizes.setdefault(group, np.zeros(len(columns)))
        size[columns[label]] += 1
    return sizes


def can_split(catalog: Catalog, *, num_splits: int) -> bool:
    """Returns whether each class can be in each split while each group stays in one.

    Args:
        catalog: The labelled images, with their groups.
        num_splits: How many parts there are.
    """
    sizes = np.stack(list(_count_classes(catalog).values()))
    alone = sizes[(sizes > 0).sum(axis=1) == 1]
    if ((alone > 0).sum(axis=0) >= num_splits).all():
        return True
    parts = np.zeros(len(sizes), np.int64)
    dealt = np.stack([sizes.sum(axis=0), *np.zeros((num_splits - 1, sizes.shape[1]))])
    return _cover_all_parts(parts, sizes, dealt) is not None


def _cover_all_parts(
    parts: npt.NDArray[np.int64],
    sizes: npt.NDArray[np.float64],
    dealt: npt.NDArray[np.float64],
) -> npt.NDArray[np.int64] | None:
    """Moves as few images as possible so that each split has each class.

    Args:
        parts: The part of each group, (G,).
        sizes: The images of each class in each group, (G, C).
        dealt: The images of each class in each part, (P, C).

    Returns:
        The new part of each group, (G,); None where no parts do.
    """
    from scipy import sparse
    from scipy.optimize import Bounds, LinearConstraint, milp

    num_groups, num_splits = len(sizes), len(dealt)
    # Of two moves of as many images, the one that takes the smaller share of a part is better.
    cost = (sizes * (1 + 1 / np.maximum(dealt[parts], 1))).sum(axis=1)
    costs = np.repeat(cost[:, None], num_splits, axis=1)
    costs[np.arange(num_groups), parts] = 0
    # The unknown (group, part) is 1 where the group is in the part.
    in_one_part = sparse.kron(sparse.eye(num_groups), np.ones((1, num_splits)), format="csr")
    has_class = sparse.kron(sparse.csr_matrix(sizes.T > 0, dtype=float), sparse.eye(num_splits))
    found = milp(
        costs.ravel(),
        integrality=np.ones(costs.size),
        bounds=Bounds(0, 1),
        constraints=[LinearConstraint(in_one_part, 1, 1), LinearConstraint(has_class, 1, np.inf)],
    )
    if found.x is None:
        return None
    return np.asarray(found.x.reshape(num_groups, num_splits).argmax(axis=1), np.int64)


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
                f"Groups of {catalog.origin} are too large for the requested fractions. Add other "
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
