"""Catalog: rows, classes, parts, and the manifest."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

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
    assert (bare.sources, bare.labels, bare.splits) == (("b",), None, None)


def test_part_takes_the_rows_of_one_split(catalog: Catalog) -> None:
    assert catalog.part("train").names == ["b.png", "<bytes 1>"]
    assert catalog.part("val").labels == ("mars",)
    assert len(Catalog(sources=("a",)).part("train")) == 0


def test_to_frame_is_the_manifest(catalog: Catalog) -> None:
    frame = catalog.to_frame()
    assert list(frame.columns) == ["path", "label", "split"]
    assert frame.iloc[1].tolist() == ["a.png", "mars", "val"]
    bare = Catalog(sources=("a", "b")).to_frame()
    assert bare["path"].tolist() == ["a", "b"]
    assert bare["label"].isna().all()
    assert bare["split"].isna().all()
