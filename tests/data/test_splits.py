"""Splits: disjoint, complete, stable, in the shares asked for."""

from __future__ import annotations

import warnings
from collections import Counter, defaultdict
from dataclasses import replace
from itertools import chain, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planetvision.core.errors import DataError, SettingsError, SplitWarning
from planetvision.core.settings import Label
from planetvision.data import Catalog, split_catalog, split_folds
from planetvision.data.catalog import SPLIT_NAMES, SplitName
from planetvision.data.splits import can_split, check_classes

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
    return {split: catalog.get_split(split).names for split in ("train", "val", "test")}


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
        assert split.get_split(name).classes == sorted(sizes)


@given(SIZES, st.integers(0, 2**31))
def test_split_is_stratified_to_within_one_image(sizes: dict[str, int], seed: int) -> None:
    split = split_catalog(create_catalog(sizes), seed=seed)
    for label, count in sizes.items():
        assert abs(split.get_split("val").counts[label] - 0.15 * count) <= 1
        assert abs(split.get_split("test").counts[label] - 0.15 * count) <= 1


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
    assert split.get_split("train").counts == {"mars": 70, "venus": 14}
    assert split.get_split("val").counts == {"mars": 15, "venus": 3}
    assert split.get_split("test").counts == {"mars": 15, "venus": 3}


def test_split_of_the_smallest_classes_gives_one_of_each() -> None:
    split = split_catalog(create_catalog({"mars": 3, "venus": 3}))
    for name in ("train", "val", "test"):
        assert split.get_split(name).counts == {"mars": 1, "venus": 1}


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
    assert split.get_split("train").counts == {"mars": 1, "venus": 1}
    assert split.get_split("val").counts == {"mars": 1, "venus": 1}


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
        {name.split("_")[1] for name in split.get_split("test").names if name.startswith(label)}
        for label in ("mars", "venus")
    ]
    assert len(numbers[0]) == len(numbers[1]) == 6
    assert numbers[0] != numbers[1]


def test_split_without_a_test_part_has_none() -> None:
    split = split_catalog(create_catalog({"mars": 2, "venus": 10}), test_fraction=0)
    assert split.get_split("test").names == []
    assert split.get_split("val").counts == {"mars": 1, "venus": 2}


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
    assert split.get_split("val").counts == {"mars": 3, "venus": 3}
    assert split.get_split("train").counts == {"mars": 12, "venus": 12}


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


def create_grouped(sizes: dict[str, list[int]]) -> Catalog:
    """A catalog of classes whose groups have these sizes, the rows of a group apart."""
    rows = [
        (place, label, f"{label}-{group}", f"{label}_{group}_{place}.png")
        for label, groups in sizes.items()
        for group, size in enumerate(groups)
        for place in range(size)
    ]
    rows.sort()
    return Catalog(
        sources=tuple(row[3] for row in rows),
        labels=tuple(row[1] for row in rows),
        groups=tuple(row[2] for row in rows),
        origin="the test",
    )


def split_quietly(catalog: Catalog, *, seed: int = 0, test_fraction: float = 0.15) -> Catalog:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SplitWarning)
        return split_catalog(catalog, seed=seed, test_fraction=test_fraction)


def get_parts_of_groups(catalog: Catalog) -> dict[Label, set[str]]:
    parts: dict[Label, set[str]] = defaultdict(set)
    for group, split in zip(catalog.groups or (), catalog.splits or (), strict=True):
        parts[group].add(split)
    return parts


GROUP_SIZES = st.dictionaries(
    st.sampled_from(["earth", "mars", "moon", "venus"]),
    st.lists(st.integers(1, 9), min_size=3, max_size=25),
    min_size=2,
)


def test_split_without_groups_is_what_it_was() -> None:
    # As version 0.1.0 gave it.
    expected = "aaerrreerrrrrrrerrrrrrrrrarrareaarrrrrre"
    labels = ("mars", "venus") * 20
    sources = tuple(f"{label}{row}" for row in range(20) for label in ("mars", "venus"))
    catalog = Catalog(sources=sources, labels=labels)
    alone = Catalog(sources=sources, labels=labels, groups=tuple(range(40)))
    for each in (catalog, alone):
        splits = split_catalog(each, seed=5).splits
        assert splits is not None
        assert "".join(name[1] for name in splits) == expected


@given(GROUP_SIZES, st.integers(0, 2**31), st.sampled_from([0.0, 0.15, 0.3]))
def test_groups_never_cross_and_each_class_is_in_each_part(
    sizes: dict[str, list[int]], seed: int, test_fraction: float
) -> None:
    catalog = create_grouped(sizes)
    split = split_quietly(catalog, seed=seed, test_fraction=test_fraction)
    assert (split.sources, split.labels, split.groups) == (
        catalog.sources,
        catalog.labels,
        catalog.groups,
    )
    assert all(len(parts) == 1 for parts in get_parts_of_groups(split).values())
    names: tuple[SplitName, ...] = ("train", "val", "test") if test_fraction else ("train", "val")
    assert set(split.splits or ()) == set(names)
    for name in names:
        assert split.get_split(name).classes == sorted(sizes)
    assert split_quietly(catalog, seed=seed, test_fraction=test_fraction) == split


@given(GROUP_SIZES, st.integers(0, 2**31))
def test_shares_are_off_by_no_more_than_the_largest_group(
    sizes: dict[str, list[int]], seed: int
) -> None:
    split = split_quietly(create_grouped(sizes), seed=seed)
    for label, groups in sizes.items():
        for name in ("val", "test"):
            wanted = 0.15 * sum(groups)
            assert abs(split.get_split(name).counts[label] - wanted) <= max(groups) + 1


@given(GROUP_SIZES, st.integers(0, 2**31))
def test_grouped_split_does_not_depend_on_the_order_of_rows(
    sizes: dict[str, list[int]], seed: int
) -> None:
    catalog = create_grouped({**sizes, "pluto": [2, 1, 1]})
    order = np.random.default_rng(seed).permutation(len(catalog)).tolist()
    shuffled = split_quietly(catalog.select(order), seed=seed)
    assert shuffled == split_quietly(catalog, seed=seed).select(order)


def test_seed_changes_the_grouped_split() -> None:
    catalog = create_grouped({"mars": [2] * 20, "venus": [2] * 20})
    assert split_catalog(catalog, seed=0).splits != split_catalog(catalog, seed=1).splits


def test_groups_of_pairs_are_split_70_15_15() -> None:
    split = split_catalog(create_grouped({"mars": [2] * 50, "venus": [1] * 100}))
    assert split.get_split("train").counts == {"mars": 70, "venus": 70}
    # Fifteen is odd.
    assert sorted(split.get_split(name).counts["mars"] for name in ("val", "test")) == [14, 16]
    assert [split.get_split(name).counts["venus"] for name in ("val", "test")] == [15, 15]


def test_groups_of_several_classes_stay_whole() -> None:
    catalog = Catalog(
        sources=tuple(f"{row:02}.png" for row in range(40)),
        labels=("mars", "venus") * 20,
        groups=tuple(row // 4 for row in range(40)),
    )
    split = split_catalog(catalog)
    assert all(len(parts) == 1 for parts in get_parts_of_groups(split).values())
    for name in ("train", "val", "test"):
        assert split.get_split(name).classes == ["mars", "venus"]


def test_class_with_fewer_groups_than_parts_is_named() -> None:
    catalog = create_grouped({"earth": [9], "mars": [4, 5], "venus": [1, 1, 1]})
    with pytest.raises(DataError, match=r"Each class of the test needs at least 3 groups") as e:
        split_catalog(catalog)
    assert e.value.problems == (
        "'earth' has 9 images in 1 group",
        "'mars' has 9 images in 2 groups",
    )
    with pytest.raises(DataError, match=r"at least 2 groups.*'earth' has 9 images in 1 group"):
        split_catalog(catalog, test_fraction=0)


def test_entangled_groups_that_cannot_be_in_each_part_raise() -> None:
    # Two parts for three groups of which each two share a class.
    tangled = Catalog(
        sources=tuple("123456"),
        labels=("a", "b", "b", "c", "c", "a"),
        groups=(0, 0, 1, 1, 2, 2),
        origin="the test",
    )
    with pytest.raises(DataError, match=r"No split of the test has each class in each .*--no-gr"):
        split_catalog(tangled, test_fraction=0)


@given(
    st.lists(st.lists(st.sampled_from("abcd"), min_size=1, max_size=4), min_size=2, max_size=7),
    st.integers(0, 9),
    st.sampled_from([0.0, 0.15]),
)
def test_split_of_groups_of_several_classes_is_found_if_there_is_one(
    members: list[list[str]], seed: int, test_fraction: float
) -> None:
    rows = [(label, group) for group, labels in enumerate(members) for label in labels]
    catalog = Catalog(
        sources=tuple(f"{row}.png" for row in range(len(rows))),
        labels=tuple(label for label, _ in rows),
        groups=tuple(group for _, group in rows),
    )
    classes = set(catalog.labels or ())
    num_splits = 3 if test_fraction else 2
    exists = len(classes) > 1 and any(
        all(
            {
                label
                for part, labels in zip(parts, members, strict=True)
                if part == each
                for label in labels
            }
            == classes
            for each in range(num_splits)
        )
        for parts in product(range(num_splits), repeat=len(members))
    )
    assert len(classes) < 2 or can_split(catalog, num_splits=num_splits) == exists
    if not exists:
        with pytest.raises(DataError):
            split_quietly(catalog, seed=seed, test_fraction=test_fraction)
        return
    split = split_quietly(catalog, seed=seed, test_fraction=test_fraction)
    assert all(len(parts) == 1 for parts in get_parts_of_groups(split).values())
    for name in SPLIT_NAMES[:num_splits]:
        assert split.get_split(name).classes == sorted(classes)


def test_groups_too_large_for_the_shares_warn() -> None:
    catalog = create_grouped({"mars": [30, 30, 30], "venus": [1] * 90})
    with pytest.warns(SplitWarning, match=r"too large for the .*'mars' has 30 of") as caught:
        split = split_catalog(catalog)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert split.get_split("test").counts == {"mars": 30, "venus": 14}


def test_val_cut_from_given_train_keeps_groups_whole() -> None:
    catalog = create_grouped({"mars": [3] * 10, "venus": [3] * 10})
    names = tuple("test" if str(group)[-1] in "01" else "train" for group in catalog.groups or ())
    given_splits = Catalog(
        sources=catalog.sources,
        labels=catalog.labels,
        groups=catalog.groups,
        splits=names,  # type: ignore[arg-type]
    )
    split = split_catalog(given_splits, val_fraction=0.25)
    assert all(len(parts) == 1 for parts in get_parts_of_groups(split).values())
    assert split.get_split("val").counts == {"mars": 6, "venus": 6}
    assert split.get_split("test").names == given_splits.get_split("test").names
    few = given_splits.select(
        row for row, group in enumerate(catalog.groups or ()) if group in {"mars-0", "mars-5"}
    )
    with pytest.raises(DataError, match="at least 2 classes"):
        split_catalog(few)


@given(GROUP_SIZES, st.integers(0, 2**31))
def test_folds_keep_groups_whole(sizes: dict[str, list[int]], seed: int) -> None:
    catalog = create_grouped(sizes)
    folds = split_folds(catalog, 3, seed=seed)
    assert folds == split_folds(catalog, 3, seed=seed)
    assert set(folds) <= {0, 1, 2}
    fold_of = dict(zip(catalog.groups or (), folds, strict=True))
    assert folds == tuple(fold_of[group] for group in catalog.groups or ())


def test_folds_without_groups_are_stratified_and_seeded() -> None:
    catalog = create_catalog({"mars": 20, "venus": 10})
    folds = split_folds(catalog, 5, seed=1)
    counted = Counter(zip(catalog.labels or (), folds, strict=True))
    assert all(counted["mars", fold] == 4 for fold in range(5))
    assert all(counted["venus", fold] == 2 for fold in range(5))
    assert folds != split_folds(catalog, 5, seed=2)


def test_folds_of_equal_groups_are_stratified() -> None:
    catalog = create_grouped({"mars": [4] * 10, "venus": [2] * 10})
    folds = split_folds(catalog, 5)
    counted = Counter(zip(catalog.labels or (), folds, strict=True))
    assert all(counted["mars", fold] == 8 for fold in range(5))
    assert all(counted["venus", fold] == 4 for fold in range(5))


@pytest.mark.parametrize("num_folds", [1, 0, 2.5, True, "5"])
def test_folds_of_wrong_number_raise(num_folds: object) -> None:
    with pytest.raises(SettingsError, match=r"`num_folds` must be a whole number of at least 2"):
        split_folds(create_catalog({"mars": 9, "venus": 9}), num_folds)  # type: ignore[arg-type]


def test_folds_with_too_few_images_or_groups_raise() -> None:
    with pytest.raises(DataError, match=r"at least 5 images.*'mars' has 4"):
        split_folds(create_catalog({"mars": 4, "venus": 9}), 5)
    with pytest.raises(DataError, match=r"at least 5 groups.*'mars' has 8 images in 4 groups"):
        split_folds(create_grouped({"mars": [2] * 4, "venus": [2] * 9}), 5)


def test_split_of_groups_does_not_depend_on_where_the_data_lie() -> None:
    def create(root: str) -> Catalog:
        names = [f"{label}/{number}.png" for label in ("mars", "earth") for number in range(20)]
        return Catalog(
            sources=tuple(root + name for name in names),
            labels=tuple(name.partition("/")[0] for name in names),
            groups=tuple(number // 2 for number in range(40)),
        )

    here, there = (split_catalog(create(root), seed=3) for root in ("", "/somewhere/else/"))
    assert here.splits == there.splits
    assert here.splits != split_catalog(create(""), seed=4).splits


def test_split_of_groups_knows_images_by_content_else_by_their_path_below_all() -> None:
    # The same file names in each folder, as telescopes write them.
    names = [
        f"{label}/night{night}/{shot}.png"
        for label in ("a", "b")
        for night in range(10)
        for shot in range(2)
    ]
    catalog = Catalog(
        sources=tuple(names),
        labels=tuple(name[0] for name in names),
        groups=tuple(name.rpartition("/")[0] for name in names),
    )
    order = np.random.default_rng(1).permutation(len(names)).tolist()
    split = split_catalog(catalog, seed=1)
    assert split_catalog(catalog.select(order), seed=1) == split.select(order)
    assert split_catalog(catalog, seed=2).splits != split.splits
    hashed = replace(catalog, hashes=tuple(f"{row:064x}" for row in range(len(names))))
    renamed = replace(hashed, sources=tuple(f"{row}.png" for row in range(len(names))))
    assert split_catalog(renamed, seed=1).splits == split_catalog(hashed, seed=1).splits
    odd = replace(catalog, sources=tuple(f"{name}\udcff" for name in names))  # b"\xff" in a name
    assert set(split_catalog(odd, seed=1).splits or ()) == {"train", "val", "test"}
