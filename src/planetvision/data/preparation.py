"""Preparation: decodes each image of a catalog once and groups near-duplicates for the split."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from planetvision.core.errors import ImageError, SplitWarning, count, itemize
from planetvision.core.settings import InputSpec, Label
from planetvision.data.cache import DecodedCache
from planetvision.data.catalog import Catalog, SplitName
from planetvision.data.duplicates import DuplicatePair, find_duplicates, group_catalog
from planetvision.data.splits import can_split
from planetvision.data.survey import Survey, drop_unreadable, survey_catalog


@dataclass(frozen=True, kw_only=True, eq=False)
class Prepared:
    """A catalog that can be split, with the results of the survey.

    Args:
        catalog: The images that could be read, with their hashes, and near-duplicates in groups.
        survey: What was noted of each of them.
        unreadable: Why others could not be read.
        duplicates: Exact and near duplicates.
        given_splits: The splits that came with the data; None where they came without.
    """

    catalog: Catalog
    survey: Survey
    unreadable: tuple[ImageError, ...]
    duplicates: tuple[DuplicatePair, ...]
    given_splits: tuple[SplitName, ...] | None


def prepare_catalog(
    catalog: Catalog,
    spec: InputSpec,
    *,
    cache: DecodedCache | None = None,
    group_duplicates: bool = True,
    num_splits: int = 3,
    on_error: Literal["raise", "skip"] = "raise",
    progress: bool = False,
) -> Prepared:
    """Decodes every image once, and joins near-duplicates into groups.

    Args:
        catalog: The labelled images.
        spec: What the network is shown: its size and stretch say how images are decoded.
        cache: Where the decoded images are kept for the training that follows.
        group_duplicates: Whether to look for near-duplicates.
        num_splits: The number of splits.
        on_error: `raise` stops at files that cannot be read, `skip` names them in a warning.
        progress: Whether to show a progress bar.

    Raises:
        DataError: If images cannot be read and `on_error` is `raise`; all of them are named.
    """
    survey = survey_catalog(
        catalog,
        min_size=spec.decode_size,
        stretch=spec.stretch,
        cache=cache,
        progress=progress,
    )
    unreadable = tuple(survey.errors.values())
    catalog, survey = drop_unreadable(catalog, survey, on_error=on_error)
    return prepare_surveyed(
        catalog,
        survey,
        unreadable=unreadable,
        group_duplicates=group_duplicates,
        num_splits=num_splits,
    )


def prepare_surveyed(
    catalog: Catalog,
    survey: Survey,
    *,
    unreadable: tuple[ImageError, ...] = (),
    group_duplicates: bool = True,
    num_splits: int = 3,
) -> Prepared:
    """Joins near-duplicates into groups, for images that were surveyed before.

    Args:
        catalog: The images that could be read.
        survey: What was noted of each of them.
        unreadable: Why others could not be read.
        group_duplicates: Whether to look for near-duplicates.
        num_splits: The number of splits.
    """
    catalog = replace(catalog, hashes=survey.hashes)
    duplicates: tuple[DuplicatePair, ...] = ()
    if group_duplicates:
        duplicates = find_duplicates(survey.descriptors)
        catalog = group_copies(catalog, duplicates, num_splits=num_splits)
    return Prepared(
        catalog=catalog,
        survey=survey.without_views(),
        unreadable=unreadable,
        duplicates=duplicates,
        given_splits=catalog.splits,
    )


def group_copies(
    catalog: Catalog, duplicates: Sequence[DuplicatePair], *, num_splits: int
) -> Catalog:
    """Returns the catalog with near-duplicates in groups, as far as it can then be split.

    A class whose images form fewer groups than there are splits could not be split. Its images are
    then not grouped, and a warning is issued. The same holds for images of different classes if
    their groups leave no split. Given groups are never taken apart. Given splits are not joined,
    and nothing is grouped if there is nothing left to split.

    Args:
        catalog: The images, with or without groups.
        duplicates: Exact and near duplicates.
        num_splits: The number of splits.

    Warns:
        SplitWarning: If near-duplicates are not grouped.
    """
    splits = catalog.splits
    if splits is not None and "val" in splits:
        return catalog
    pairs = list(duplicates)
    if splits is not None:
        # Only `train` is cut, into what trains and what validates.
        pairs = [pair for pair in pairs if splits[pair.first] == splits[pair.second]]
        num_splits = 2
    labels = catalog.labels or ()
    before, after = _count_groups(catalog), _count_groups(group_catalog(catalog, pairs))
    loose = [label for label in after if after[label] < num_splits <= before[label]]
    if loose:
        pairs = [
            pair
            for pair in pairs
            if labels[pair.first] not in loose and labels[pair.second] not in loose
        ]
        images = _get_cut(catalog).counts
        problems = [
            f"'{label}' has {count(images[label], 'image')} that form "
            f"{count(after[label], 'group')}"
            for label in loose
        ]
        warnings.warn(
            itemize(
                f"Near-duplicates in {catalog.origin} are too many to stay in one split: results "
                "for these classes rest on few different images. Add others.",
                problems,
            ),
            SplitWarning,
            stacklevel=4,
        )
    grouped = group_catalog(catalog, pairs)
    apart = group_catalog(
        catalog, [pair for pair in pairs if labels[pair.first] == labels[pair.second]]
    )
    if _can_be_cut(grouped, num_splits) or not _can_be_cut(apart, num_splits):
        return grouped
    warnings.warn(
        f"Near-duplicates in {catalog.origin} join images of different classes, so that some split "
        "would lack a class. They are not grouped where their classes differ. Check their labels "
        "(planetvision data check).",
        SplitWarning,
        stacklevel=4,
    )
    return apart


def _can_be_cut(catalog: Catalog, num_splits: int) -> bool:
    return can_split(_get_cut(catalog), num_splits=num_splits)


def _get_cut(catalog: Catalog) -> Catalog:
    """Returns the images that will be split."""
    return catalog if catalog.splits is None else catalog.get_split("train")


def _count_groups(catalog: Catalog) -> dict[Label, int]:
    catalog = _get_cut(catalog)
    groups = catalog.groups or tuple(range(len(catalog)))
    held: dict[Label, set[Label]] = {}
    for label, group in zip(catalog.labels or (), groups, strict=True):
        held.setdefault(label, set()).add(group)
    return {label: len(members) for label, members in held.items()}
