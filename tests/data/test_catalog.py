"""Catalog: rows, classes and their map, parts, and the table of all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from planetvision.core.errors import DataError, SettingsError, UnknownNameError
from planetvision.data import Catalog


@pytest.fixture
def catalog() -> Catalog:
    return Catalog(
        sources=("b.png", Path("a.png"), b"bytes", np.zeros((2, 2, 3), np.uint8)),
        labels=("venus", "mars", "venus", "mars"),
        splits=("train", "val", "train", "test"),
    )


def test_names_are_paths_or_kind_and_row(catalog: Catalog) -> None:
    assert catalog.names == ["b.png", "a.png", "<bytes 2>", "<array 3>"]
    assert len(catalog) == 4


def test_classes_are_sorted_and_counted(catalog: Catalog) -> None:
    assert catalog.classes == ["mars", "venus"]
    assert catalog.counts == {"mars": 2, "venus": 2}
    assert list(catalog.counts) == ["mars", "venus"]
    assert Catalog(sources=("a", "b", "c"), labels=(10, 9, 10)).counts == {9: 1, 10: 2}


def test_classes_without_labels_are_none() -> None:
    assert Catalog(sources=("a",)).classes == []
    assert Catalog(sources=("a",)).counts == {}


def test_select_takes_rows_in_the_order_asked_for(catalog: Catalog) -> None:
    chosen = catalog.select([2, 0])
    assert chosen.sources == (b"bytes", "b.png")
    assert chosen.labels == ("venus", "venus")
    assert chosen.splits == ("train", "train")
    assert chosen.origin == catalog.origin
    bare = Catalog(sources=("a", "b")).select(iter([1]))
    assert (bare.sources, bare.labels, bare.splits, bare.groups) == (("b",), None, None, None)


def test_select_takes_the_groups_along() -> None:
    catalog = Catalog(sources=("a", "b", "c"), groups=("x", 7, "x"))
    assert catalog.select([2, 1]).groups == ("x", 7)


def test_part_takes_the_rows_of_one_split(catalog: Catalog) -> None:
    assert catalog.get_split("train").names == ["b.png", "<bytes 1>"]
    assert catalog.get_split("val").labels == ("mars",)
    assert len(Catalog(sources=("a",)).get_split("train")) == 0


def test_select_takes_the_attributes_along() -> None:
    catalog = Catalog(sources=("1.png", "2.png", "3.png"), attributes={"year": (1979, None, 2006)})
    assert catalog.select([2, 0]).attributes == {"year": (2006, 1979)}


def test_groups_and_hashes_follow_their_rows() -> None:
    catalog = Catalog(
        sources=("a", "b", "c"),
        splits=("train", "test", "train"),
        groups=("x", 1, "y"),
        hashes=("0", "", "2"),
    )
    assert catalog.select([2, 1]).groups == ("y", 1)
    assert catalog.select([2, 1]).hashes == ("2", "")
    assert catalog.get_split("train").groups == ("x", "y")
    assert catalog.to_frame()["group"].tolist() == ["x", 1, "y"]
    assert catalog.to_frame()["sha256"].tolist() == ["0", "", "2"]


def test_to_frame_has_a_row_an_image(catalog: Catalog) -> None:
    frame = catalog.to_frame()
    assert list(frame.columns) == ["path", "label", "split", "group", "sha256"]
    assert frame.iloc[1].tolist() == ["a.png", "mars", "val", None, None]
    bare = Catalog(sources=("a", "b")).to_frame()
    assert bare["path"].tolist() == ["a", "b"]
    assert bare.drop(columns="path").isna().all(axis=None)


def test_map_classes_renames_merges_and_drops() -> None:
    catalog = Catalog(
        sources=("1", "2", "3", "4", "5"),
        labels=("luna", "sun", "moon", "terra", "mars"),
        groups=("a", "b", "c", "d", "e"),
    )
    mapped = catalog.map_classes({"luna": "moon", "terra": "earth", "sun": None})
    assert mapped.sources == ("1", "3", "4", "5")
    assert mapped.labels == ("moon", "moon", "earth", "mars")
    assert mapped.groups == ("a", "c", "d", "e")
    assert catalog.map_classes({}) == catalog


def test_map_classes_swaps_names_at_once() -> None:
    catalog = Catalog(sources=("1", "2"), labels=("a", "b"))
    assert catalog.map_classes({"a": "b", "b": "a"}).labels == ("b", "a")


def test_map_classes_gives_integers_names() -> None:
    catalog = Catalog(sources=("1", "2"), labels=(0, 1))
    assert catalog.map_classes({0: "mars", 1: "moon"}).labels == ("mars", "moon")
    assert catalog.map_classes({"0": "mars", "1": "moon"}).labels == ("mars", "moon")
    with pytest.raises(DataError, match="all strings or all integers, got both int and str"):
        catalog.map_classes({0: "mars"})


def test_map_classes_with_unknown_class_suggests_nearest() -> None:
    catalog = Catalog(sources=("1", "2"), labels=("luna", "mars"), origin="'x'")
    with pytest.raises(UnknownNameError) as caught:
        catalog.map_classes({"lunar": "moon"})
    assert str(caught.value) == (
        "The class map names the class 'lunar', which 'x' does not have. Did you mean 'luna'? "
        "Classes: 'luna', 'mars'."
    )
    assert (caught.value.family, caught.value.name) == ("classes", "lunar")


def test_map_classes_reports_all_that_is_wrong() -> None:
    catalog = Catalog(sources=("1", "2"), labels=("luna", "mars"))
    wrong: Any = {"pluto": "moon", "luna": 1.5, "mars": ""}
    with pytest.raises(SettingsError, match=r"3 settings are wrong") as caught:
        catalog.map_classes(wrong)
    assert [problem[-40:] for problem in caught.value.problems][1:] == [
        "or None for each class, got 1.5 for 'luna'."[-40:],
        "or None for each class, got '' for 'mars'."[-40:],
    ]
    assert "'pluto', which the data does not have" in caught.value.problems[0]


def test_map_classes_that_leaves_nothing_is_refused() -> None:
    catalog = Catalog(sources=("1", "2"), labels=("luna", "mars"))
    with pytest.raises(DataError, match="leaves out every class of the data"):
        catalog.map_classes({"luna": None, "mars": None})
