"""Splits: disjoint, complete, stable, in the shares asked for."""

from __future__ import annotations

from collections import Counter
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planetvision.data import Catalog, split_catalog
from planetvision.data.splits import check_classes
from planetvision.errors import DataError, SettingsError

SIZES = st.dictionaries(
    st.sampled_from(["earth", "mars", "moon", "venus", "uranus"]),
    st.integers(3, 60),
    min_size=2,
)


def create_catalog(sizes: dict[str, int]) -> Catalog:
    """The classes interleaved, as in a shuffled list."""
    rows = sorted((index, label) for label, count in sizes.items() for index in range(count))
    return Catalog(
        sources=tuple(f"{label}_{index}.png" for index, label in rows),
        labels=tuple(label for _, label in rows),
        origin="the test",
    )


def get_parts(catalog: Catalog) -> dict[str, list[str]]:
    return {split: catalog.part(split).names for split in ("train", "val", "test")}


@given(SIZES, st.floats(0.05, 0.4), st.floats(0.05, 0.4), st.integers(0, 2**31))
def test_split_is_disjoint_complete_and_has_each_class_in_each_part(
    sizes: dict[str, int], val_fraction: float, test_fraction: float, seed: int
) -> None:
    catalog = create_catalog(sizes)
    split = split_catalog(
        catalog, val_fraction=val_fraction, test_fraction=test_fraction, seed=seed
    )
    assert split.sources == catalog.sources
    assert split.labels == catalog.labels
    parts = get_parts(split)
    assert sorted(chain.from_iterable(parts.values())) == sorted(catalog.names)
    for name in ("train", "val", "test"):
        assert split.part(name).classes == sorted(sizes)


@given(SIZES, st.integers(0, 2**31))
def test_split_is_stratified_to_within_one_image(sizes: dict[str, int], seed: int) -> None:
    split = split_catalog(create_catalog(sizes), seed=seed)
    for label, count in sizes.items():
        assert abs(split.part("val").counts[label] - 0.15 * count) <= 1
        assert abs(split.part("test").counts[label] - 0.15 * count) <= 1


@given(SIZES, st.integers(0, 2**31))
def test_split_is_stable_and_of_each_class_by_itself(sizes: dict[str, int], seed: int) -> None:
    catalog = create_catalog(sizes)
    split = split_catalog(catalog, seed=seed)
    assert split_catalog(catalog, seed=seed) == split
    more = split_catalog(create_catalog({**sizes, "pluto": 9}), seed=seed)
    kept = [row for row, label in enumerate(more.labels or ()) if label != "pluto"]
    assert more.select(kept).splits == split.splits


def test_split_of_a_hundred_is_70_15_15_of_each_class() -> None:
    split = split_catalog(create_catalog({"mars": 100, "venus": 20}))
    assert Counter(split.splits) == {"train": 84, "val": 18, "test": 18}
    assert split.part("train").counts == {"mars": 70, "venus": 14}
    assert split.part("val").counts == {"mars": 15, "venus": 3}
    assert split.part("test").counts == {"mars": 15, "venus": 3}


def test_split_of_the_smallest_classes_gives_one_of_each() -> None:
    split = split_catalog(create_catalog({"mars": 3, "venus": 3}))
    for name in ("train", "val", "test"):
        assert split.part(name).counts == {"mars": 1, "venus": 1}


def test_seed_changes_the_split() -> None:
    catalog = create_catalog({"mars": 30, "venus": 30})
    assert split_catalog(catalog, seed=0).splits != split_catalog(catalog, seed=1).splits


def test_fractions_change_the_split() -> None:
    catalog = create_catalog({"mars": 20, "venus": 20})
    split = split_catalog(catalog, val_fraction=0.25, test_fraction=0.4)
    assert Counter(split.splits) == {"train": 14, "val": 10, "test": 16}


def test_split_with_large_shares_leaves_one_image_for_training() -> None:
    catalog = create_catalog({"mars": 10, "venus": 10})
    split = split_catalog(catalog, val_fraction=0.15, test_fraction=0.84)
    assert split.part("train").counts == {"mars": 1, "venus": 1}
    assert split.part("val").counts == {"mars": 1, "venus": 1}


def test_all_wrong_fractions_are_reported_at_once() -> None:
    catalog = create_catalog({"mars": 10, "venus": 10})
    with pytest.raises(SettingsError) as caught:
        split_catalog(catalog, val_fraction=1.5, test_fraction=-1)
    assert [problem.split()[0] for problem in caught.value.problems] == [
        "`val_fraction`",
        "`test_fraction`",
    ]
    with pytest.raises(SettingsError, match="leave nothing to train on"):
        split_catalog(catalog, val_fraction=0.5, test_fraction=0.5)


def test_each_class_is_shuffled_by_itself() -> None:
    split = split_catalog(create_catalog({"mars": 40, "venus": 40}))
    numbers = [
        {name.split("_")[1] for name in split.part("test").names if name.startswith(label)}
        for label in ("mars", "venus")
    ]
    assert len(numbers[0]) == len(numbers[1]) == 6
    assert numbers[0] != numbers[1]


def test_split_without_a_test_part_has_none() -> None:
    split = split_catalog(create_catalog({"mars": 2, "venus": 10}), test_fraction=0)
    assert split.part("test").names == []
    assert split.part("val").counts == {"mars": 1, "venus": 2}


def test_integer_labels_are_split_too() -> None:
    catalog = Catalog(sources=tuple("abcdef"), labels=(0, 0, 0, 1, 1, 1))
    assert Counter(split_catalog(catalog).splits) == {"train": 2, "val": 2, "test": 2}


def test_given_splits_are_kept() -> None:
    catalog = Catalog(
        sources=tuple("abcd"),
        labels=("mars", "venus", "mars", "venus"),
        splits=("train", "train", "val", "test"),
    )
    assert split_catalog(catalog, seed=3) is catalog


def test_given_splits_without_val_get_one_from_train_only() -> None:
    labels = ("mars", "venus") * 20
    catalog = Catalog(
        sources=tuple(str(row) for row in range(40)),
        labels=labels,
        splits=("train",) * 30 + ("test",) * 10,
    )
    split = split_catalog(catalog, val_fraction=0.2)
    assert split.splits is not None
    assert split.splits[30:] == ("test",) * 10
    assert split.part("val").counts == {"mars": 3, "venus": 3}
    assert split.part("train").counts == {"mars": 12, "venus": 12}


def test_classes_with_too_few_images_are_all_named() -> None:
    with pytest.raises(DataError, match=r"Each class of the test needs at least 3 images") as e:
        split_catalog(create_catalog({"earth": 2, "mars": 9, "venus": 1}))
    assert e.value.problems == ("'earth' has 2", "'venus' has 1")


def test_train_folder_with_too_few_images_says_where() -> None:
    catalog = Catalog(
        sources=tuple("abc"),
        labels=("mars", "venus", "mars"),
        splits=("train", "train", "test"),
        origin="'planets'",
    )
    with pytest.raises(DataError, match=r"Each class of train/ of 'planets' needs at least 2"):
        split_catalog(catalog)


@pytest.mark.parametrize(("sizes", "shown"), [({"mars": 9}, r"1 \('mars'\)"), ({}, r"0 \(none\)")])
def test_fewer_than_two_classes_raise(sizes: dict[str, int], shown: str) -> None:
    with pytest.raises(DataError, match=rf"needs at least 2 classes, the test has {shown}"):
        split_catalog(create_catalog(sizes))


def test_check_classes_passes_what_is_enough() -> None:
    check_classes(create_catalog({"mars": 3, "venus": 3}), min_images=3)
    with pytest.raises(DataError, match="'mars' has 3"):
        check_classes(create_catalog({"mars": 3, "venus": 4}), min_images=4)
