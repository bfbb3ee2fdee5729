"""Splits: which images train, which validate, which test."""

from __future__ import annotations

from dataclasses import replace
from numbers import Real

import numpy as np

from planetvision.data.catalog import SPLIT_NAMES, Catalog, SplitName
from planetvision.errors import DataError, SettingsError, itemize
from planetvision.runtime import derive_seed

__all__ = ["check_classes", "check_fractions", "split_catalog"]


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
    small = [f"'{label}' has {count}" for label, count in counts.items() if count < min_images]
    if small:
        raise DataError(
            itemize(
                f"Each class of {where} needs at least {min_images} images, one for each part of "
                "the split. Add images, or remove the class. Too few:",
                small,
            ),
            problems=small,
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

    Args:
        catalog: The labelled images.
        val_fraction: The share for validation, over 0 and under 1.
        test_fraction: The share for testing; 0 leaves no test part.
        seed: The same seed and images give the same split.

    Raises:
        SettingsError: If the fractions leave no part for training or validation.
        DataError: If there is one class only, or a class has too few images for all parts.
    """
    check_fractions(val_fraction, test_fraction)
    if catalog.splits is not None:
        train = catalog.part("train")
        if "val" in catalog.splits:
            check_classes(train, min_images=1, where=f"train/ of {catalog.origin}")
            return catalog
        check_classes(train, min_images=2, where=f"train/ of {catalog.origin}")
        cut = iter(_assign(train, val_fraction=val_fraction, test_fraction=0.0, seed=seed))
        splits = tuple(next(cut) if name == "train" else name for name in catalog.splits)
        return replace(catalog, splits=splits)
    check_classes(catalog, min_images=3 if test_fraction > 0 else 2)
    splits = tuple(
        _assign(catalog, val_fraction=val_fraction, test_fraction=test_fraction, seed=seed)
    )
    return replace(catalog, splits=splits)


def _assign(
    catalog: Catalog, *, val_fraction: float, test_fraction: float, seed: int
) -> list[SplitName]:
    splits: list[SplitName] = [SPLIT_NAMES[0]] * len(catalog)
    labels = catalog.labels or ()
    for label in catalog.classes:
        rows = [row for row, value in enumerate(labels) if value == label]
        generator = np.random.default_rng(derive_seed(seed, "split", str(label)))
        shuffled = [rows[position] for position in generator.permutation(len(rows))]
        num_test = max(1, int(len(rows) * test_fraction + 0.5)) if test_fraction > 0 else 0
        num_val = max(1, int(len(rows) * val_fraction + 0.5))
        # Small classes: the training part keeps at least one image.
        num_val = max(1, min(num_val, len(rows) - num_test - 1))
        num_test = min(num_test, len(rows) - num_val - 1)
        for row in shuffled[:num_test]:
            splits[row] = "test"
        for row in shuffled[num_test : num_test + num_val]:
            splits[row] = "val"
    return splits
