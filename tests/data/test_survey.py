"""The survey: what it notes of each image, and what it does about those it cannot read."""

from __future__ import annotations

import hashlib
import warnings
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from planetvision.core.errors import ConversionWarning, DataError, DataWarning, SplitWarning
from planetvision.core.settings import InputSpec
from planetvision.data.cache import MemoryCache, create_cache_key
from planetvision.data.catalog import Catalog
from planetvision.data.decoders.registry import DecodedImage
from planetvision.data.duplicates import DuplicatePair
from planetvision.data.images import _DecoderWarning, decode_image, read_image
from planetvision.data.preparation import group_copies, prepare_catalog
from planetvision.data.splits import split_catalog
from planetvision.data.survey import drop_unreadable, survey_catalog
from planetvision.render import render_body


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two drawn bodies, a flat image, and a file that is none."""
    for name in ("mars", "earth"):
        rendered = render_body(name, image_size=96, seed=1, phase_angle_degrees=20)
        Image.fromarray(rendered.image).save(tmp_path / f"{name}.png")
    Image.fromarray(np.full((40, 60, 3), (10, 20, 30), np.uint8)).save(tmp_path / "flat.png")
    (tmp_path / "broken.png").write_bytes(b"nothing")
    return tmp_path


def catalog_of(folder: Path, *names: str) -> Catalog:
    return Catalog(
        sources=tuple(str(folder / name) for name in names),
        labels=tuple(name.partition(".")[0] for name in names),
    )


def test_survey_notes_facts_hash_colour_and_body(folder: Path) -> None:
    survey = survey_catalog(catalog_of(folder, "mars.png", "flat.png"))
    mars, flat = survey.images
    assert mars.facts is not None
    assert (mars.facts.width, mars.facts.bits, mars.facts.format) == (96, 8, "PNG")
    assert mars.sha256 == hashlib.sha256((folder / "mars.png").read_bytes()).hexdigest()
    assert mars.has_body
    assert not flat.has_body
    assert flat.mean_color == pytest.approx([10, 20, 30])
    assert flat.thumbnail.shape == (32, 32, 3)
    assert (flat.thumbnail == (10, 20, 30)).all()
    assert mars.mean_color[0] > mars.mean_color[2]


def test_survey_goes_on_past_a_damaged_file(folder: Path) -> None:
    survey = survey_catalog(catalog_of(folder, "mars.png", "broken.png", "earth.png"))
    assert list(survey.errors) == [1]
    assert str(folder / "broken.png") in str(survey.errors[1])
    assert survey.descriptors[1] is None
    assert survey.descriptors[2] is not None
    assert survey.hashes[1] == ""


def test_file_that_goes_after_it_was_decoded_is_an_error_of_its_row(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def decode_and_remove(source: str, **options: Any) -> DecodedImage:
        decoded = decode_image(source, **options)
        if "earth" in source:
            Path(source).unlink()
        return decoded

    monkeypatch.setattr("planetvision.data.survey.decode_image", decode_and_remove)
    survey = survey_catalog(catalog_of(folder, "mars.png", "earth.png"))
    assert list(survey.errors) == [1]
    path = folder / "earth.png"
    assert str(survey.errors[1]) == f"Cannot read '{path}': No such file or directory."


def test_survey_fills_the_cache_with_what_training_reads(folder: Path) -> None:
    cache = MemoryCache(10**7)
    survey = survey_catalog(catalog_of(folder, "mars.png"), min_size=64, cache=cache)
    kept = cache.get(create_cache_key(survey[0].sha256, min_size=64, stretch="linear"))
    assert kept is not None
    np.testing.assert_array_equal(kept, read_image(folder / "mars.png", min_size=64))


def test_survey_tells_of_deep_images_once(folder: Path) -> None:
    for number in range(2):
        ramp = np.linspace(0, 4095, 64 * 64).reshape(64, 64).astype(np.uint16)
        Image.fromarray(ramp).save(folder / f"deep_{number}.png")
    catalog = catalog_of(folder, "mars.png", "deep_0.png", "deep_1.png")
    with pytest.warns(ConversionWarning, match="2 of 3 images .*by the stretch 'zscale'") as caught:
        survey_catalog(catalog, stretch="zscale")
    assert len(caught) == 1


def test_stretch_changes_what_is_noted(folder: Path) -> None:
    ramp = np.linspace(0, 1, 64 * 64).reshape(64, 64) ** 4 * 65535
    Image.fromarray(ramp.astype(np.uint16)).save(folder / "deep.png")
    means = []
    for stretch in ("linear", "asinh"):
        with pytest.warns(ConversionWarning):
            survey = survey_catalog(catalog_of(folder, "deep.png"), stretch=stretch)
        means.append(float(survey[0].mean_color[0]))
    assert means[1] > means[0] + 5


def test_unreadable_files_are_all_named_or_left_out(folder: Path) -> None:
    (folder / "empty.png").touch()
    catalog = catalog_of(folder, "broken.png", "mars.png", "empty.png")
    survey = survey_catalog(catalog)
    with pytest.raises(DataError, match=r"2 of 3 files of .* cannot be read") as caught:
        drop_unreadable(catalog, survey, on_error="raise")
    assert len(caught.value.problems) == 2
    assert "broken.png" in str(caught.value)
    assert "empty.png" in str(caught.value)
    lost = "2 of 3 files .* left out, so that no image is left of the class '.*':"
    with pytest.warns(DataWarning, match=lost):
        kept, rest = drop_unreadable(catalog, survey, on_error="skip")
    assert kept.labels == ("mars",)
    assert len(rest) == 1
    assert rest[0].facts is not None


def test_drop_unreadable_without_any_changes_nothing(folder: Path) -> None:
    catalog = catalog_of(folder, "mars.png")
    survey = survey_catalog(catalog)
    assert drop_unreadable(catalog, survey, on_error="raise") == (catalog, survey)


def test_prepared_catalog_has_hashes_and_groups_of_copies(folder: Path) -> None:
    with Image.open(folder / "mars.png") as image:
        image.rotate(180).save(folder / "turned.png")
    catalog = catalog_of(folder, "mars.png", "earth.png", "turned.png")
    prepared = prepare_catalog(catalog, InputSpec(image_size=64))
    groups = prepared.catalog.groups
    assert groups is not None
    assert groups[0] == groups[2] != groups[1]
    assert prepared.catalog.hashes == prepared.survey.hashes
    # Views are compared once and not kept; what tells exact copies is.
    described = [item for item in prepared.survey.descriptors if item is not None]
    assert [item.views for item in described] == [()] * 3
    assert len({item.digest for item in described}) == 3
    assert all(len(value) == 64 for value in prepared.survey.hashes)
    assert prepared.given_splits is None


def test_preparation_that_groups_nothing_keeps_given_groups(folder: Path) -> None:
    with Image.open(folder / "mars.png") as image:
        image.rotate(180).save(folder / "turned.png")
    catalog = catalog_of(folder, "mars.png", "turned.png")
    spec = InputSpec(image_size=64)
    prepared = prepare_catalog(catalog, spec, group_duplicates=False)
    assert prepared.duplicates == ()
    assert prepared.catalog.groups is None


def test_survey_leaves_the_warning_filters(rendered_paths: list[str]) -> None:
    def list_others() -> list[Any]:  # the decoders' own one matches in their threads alone
        return [entry for entry in warnings.filters if entry[2] is not _DecoderWarning]

    before = list_others()
    for _ in range(3):
        survey_catalog(Catalog(sources=tuple(rendered_paths)))
    assert list_others() == before
    with pytest.raises(UserWarning, match="mine"):
        warnings.warn("mine", UserWarning, stacklevel=1)
    with pytest.warns(UserWarning, match="still heard"):
        warnings.warn("still heard", UserWarning, stacklevel=1)


def test_near_copies_that_leave_too_few_groups_stay_apart_with_a_warning() -> None:
    labels = ("mars",) * 4 + ("earth",) * 4
    catalog = Catalog(sources=tuple("abcdefgh"), labels=labels)
    pairs = [
        DuplicatePair(first=first, second=second, similarity=0.99)
        for first, second in ((0, 1), (1, 2), (4, 5))
    ]
    with pytest.warns(SplitWarning, match="'mars' has 4 images that form 2 groups") as caught:
        grouped = group_copies(catalog, pairs, num_splits=3)
    assert len(caught) == 1
    assert "earth" not in str(caught[0].message)
    groups = grouped.groups or ()
    assert len(set(groups[:4])) == 4
    assert groups[4] == groups[5]
    assert len(set(group_copies(catalog, pairs, num_splits=2).groups or ())) == 5


def test_given_groups_are_never_taken_apart() -> None:
    catalog = Catalog(sources=tuple("abcd"), labels=("mars",) * 4, groups=("x", "x", "y", "z"))
    pairs = [DuplicatePair(first=2, second=3, similarity=0.99)]
    with pytest.warns(SplitWarning):
        grouped = group_copies(catalog, pairs, num_splits=3)
    groups = grouped.groups or ()
    assert groups[0] == groups[1]
    assert len(set(groups)) == 3


def test_copies_across_given_parts_are_not_joined() -> None:
    pairs = [
        DuplicatePair(first=first, second=second, similarity=1.0)
        for first, second in ((0, 1), (1, 3))
    ]
    catalog = Catalog(
        sources=tuple("abcd"),
        labels=("mars", "mars", "mars", "mars"),
        splits=("train", "train", "train", "test"),
    )
    groups = group_copies(catalog, pairs, num_splits=3).groups or ()
    assert groups[0] == groups[1] != groups[3]
    whole = replace(catalog, splits=("train", "val", "train", "test"), groups=("x", "y", "z", "w"))
    assert group_copies(whole, pairs, num_splits=3) == whole


def test_copies_in_a_given_training_part_stay_apart_where_val_is_cut_from_it() -> None:
    catalog = Catalog(
        sources=tuple("abcdef"),
        labels=("mars", "mars", "earth", "earth", "mars", "earth"),
        splits=("train", "train", "train", "train", "test", "test"),
    )
    pairs = [DuplicatePair(first=0, second=1, similarity=0.99)]
    with pytest.warns(SplitWarning, match="'mars' has 2 images that form 1 group"):
        grouped = group_copies(catalog, pairs, num_splits=3)
    assert Counter(split_catalog(grouped).splits) == {"train": 2, "val": 2, "test": 2}


def test_copies_of_different_classes_stay_apart_where_they_leave_no_split() -> None:
    catalog = Catalog(sources=tuple("abcdef"), labels=("a", "a", "b", "b", "c", "c"))
    pairs = [
        DuplicatePair(first=first, second=second, similarity=0.99)
        for first, second in ((0, 2), (1, 4), (3, 5))
    ]
    with pytest.warns(SplitWarning, match="join images of different classes"):
        grouped = group_copies(catalog, pairs, num_splits=2)
    assert split_catalog(grouped, test_fraction=0).splits is not None
    joined = group_copies(catalog, pairs[:1], num_splits=2)
    assert len(set(joined.groups or ())) == 5
