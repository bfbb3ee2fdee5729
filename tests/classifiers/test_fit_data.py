"""`PlanetClassifier.fit` and its data: tables, groups, class maps, copies, cache, audit."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from planetvision.classifiers.classifier import PlanetClassifier
from planetvision.core.errors import (
    ConversionWarning,
    DataError,
    SettingsError,
    SplitWarning,
    UnknownNameError,
)
from planetvision.core.settings import Recipe, Stage
from planetvision.data import save_manifest
from planetvision.render import render_body


@pytest.fixture
def planets(tmp_path: Path) -> Path:
    """A folder a class: two bodies, eight pictures of 64 pixels."""
    for name in ("mars", "earth"):
        (tmp_path / "planets" / name).mkdir(parents=True)
        for seed in range(8):
            rendered = render_body(name, image_size=64, seed=seed, phase_angle_degrees=20)
            Image.fromarray(rendered.image).save(tmp_path / "planets" / name / f"{seed}.png")
    return tmp_path / "planets"


def splits_of(classifier: PlanetClassifier) -> dict[str, str]:
    names = (str(Path(*Path(name).parts[-2:])) for name in classifier.split_.names)
    return dict(zip(names, classifier.split_.splits or (), strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("cache", ["memory", "disk", "off", "folder"])
def test_cache_changes_nothing_but_the_time(
    cache: str,
    make: Any,
    brief: Recipe,
    disc_folder: Path,
    disc_paths: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PLANETVISION_CACHE", str(tmp_path / "user"))
    recipe = replace(brief, augmentation="light")
    expected = make(recipe=recipe, cache="off").fit(disc_folder)
    chosen = tmp_path / "own" if cache == "folder" else cache
    classifier = make(recipe=recipe, cache=chosen).fit(disc_folder)
    np.testing.assert_array_equal(
        classifier.predict_proba(disc_paths), expected.predict_proba(disc_paths)
    )
    kept = {name: len(list((tmp_path / name).rglob("*.npy"))) for name in ("user", "own")}
    assert kept == {
        "user": 24 if cache == "disk" else 0,
        "own": 24 if cache == "folder" else 0,
    }


@pytest.mark.slow
def test_cache_that_is_too_small_changes_nothing_either(
    make: Any, brief: Recipe, disc_folder: Path, disc_paths: list[str]
) -> None:
    first, second = (
        make(recipe=brief, cache_gigabytes=size).fit(disc_folder).predict_proba(disc_paths)
        for size in (2.0, 1e-5)  # two images of 40 pixels, and 24 of them
    )
    np.testing.assert_array_equal(first, second)


def test_wrong_cache_is_reported_with_the_other_settings(make: Any, disc_folder: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        make(
            cache=3,
            cache_gigabytes=-1,
            stretch="log",
            image_size=0,
            class_map="moon",
            group_duplicates="no",
        ).fit(disc_folder)
    text = str(caught.value)
    names = ("class_map", "cache", "cache_gigabytes", "stretch", "image_size", "group_duplicates")
    for name in names:
        assert f"`{name}`" in text


@pytest.mark.slow
def test_copies_stay_in_one_part_unless_told_otherwise(
    make: Any, brief: Recipe, planets: Path
) -> None:
    for seed in range(8):
        with Image.open(planets / "mars" / f"{seed}.png") as image:
            image.rotate(40 * (seed + 1), resample=Image.Resampling.BICUBIC).save(
                planets / "mars" / f"{seed}_turned.png"
            )

    def crossed(classifier: PlanetClassifier) -> int:
        splits = splits_of(classifier)
        return sum(
            splits[f"mars/{seed}.png"] != splits[f"mars/{seed}_turned.png"] for seed in range(8)
        )

    grouped = make(recipe=brief).fit(planets)
    assert crossed(grouped) == 0
    assert any(finding.kind == "near_duplicates" for finding in grouped.audit_.findings)
    assert crossed(make(recipe=brief, group_duplicates=False).fit(planets)) > 0


def test_given_groups_stay_in_one_part(make: Any, brief: Recipe, planets: Path) -> None:
    paths = sorted(str(path) for path in planets.glob("*/*.png"))
    labels = [Path(path).parent.name for path in paths]
    groups = [f"{Path(path).parent.name}-{int(Path(path).stem) // 2}" for path in paths]
    with pytest.warns(SplitWarning, match="'earth' has 4 of 6 images in train"):
        classifier = make(recipe=brief, random_state=1).fit(paths, labels, groups=groups)
    splits = splits_of(classifier)
    for name in ("mars", "earth"):
        for seed in range(0, 8, 2):
            assert splits[f"{name}/{seed}.png"] == splits[f"{name}/{seed + 1}.png"]


def write_table(folder: Path, path: Path, columns: Sequence[str] = ("path", "label")) -> Path:
    rows = [(str(file), file.parent.name) for file in sorted(folder.glob("*/*.png"))]
    pd.DataFrame(rows, columns=list(columns)).to_csv(path, index=False)
    return path


@pytest.mark.slow
def test_table_trains_like_its_folder(
    make: Any, brief: Recipe, planets: Path, tmp_path: Path
) -> None:
    table = write_table(planets, tmp_path / "planets.csv")
    by_folder, by_table = (make(recipe=brief).fit(data) for data in (planets, table))
    assert splits_of(by_folder) == splits_of(by_table)
    frame = pd.read_csv(table)
    assert splits_of(make(recipe=brief).fit(frame)) == splits_of(by_folder)
    assert by_table.evaluate(table).metrics["n"] == 16


def test_columns_that_cannot_be_guessed_are_named(
    make: Any, brief: Recipe, planets: Path, tmp_path: Path
) -> None:
    table = write_table(planets, tmp_path / "planets.csv", columns=("where", "what"))
    with pytest.raises(DataError, match="where"):
        make(recipe=brief).fit(table)
    columns = {"path": "where", "label": "what"}
    classifier = make(recipe=brief).fit(table, columns=columns)
    assert classifier.classes_.tolist() == ["earth", "mars"]
    assert classifier.evaluate(table, columns=columns).metrics["n"] == 16


def test_manifest_repeats_the_split_and_notices_a_changed_file(
    make: Any, brief: Recipe, planets: Path, tmp_path: Path
) -> None:
    from planetvision.workflows.run import train_run

    first = make(recipe=brief, random_state=5)
    train_run(first, planets, tmp_path / "run")
    manifest = tmp_path / "run" / "split.csv"
    again = make(recipe=brief, random_state=6).fit(manifest)
    assert splits_of(again) == splits_of(first)
    Image.new("RGB", (64, 64)).save(planets / "mars" / "0.png")
    with pytest.raises(DataError, match=r"mars/0\.png"):
        make(recipe=brief).fit(manifest)


@pytest.mark.slow
def test_classes_are_mapped_merged_and_dropped_in_fit_and_afterwards(
    make: Any, quick_recipe: Recipe, disc_folder: Path, tmp_path: Path
) -> None:
    class_map = {"blue": "cold", "green": "cold"}
    classifier = make(class_map=class_map).fit(disc_folder)
    assert classifier.classes_.tolist() == ["cold", "red"]
    assert classifier.split_.counts == {"cold": 16, "red": 8}
    assert classifier.evaluate(disc_folder).metrics["n"] == 24
    assert classifier.score(disc_folder) > 0.8
    loaded = PlanetClassifier.load(classifier.save(tmp_path / "model"))
    assert loaded.class_map == class_map
    shutil.copytree(disc_folder, tmp_path / "some")
    shutil.rmtree(tmp_path / "some" / "green")  # the map names a class that is not there
    assert loaded.evaluate(tmp_path / "some").metrics["n"] == 16
    dropped = make(class_map={"blue": None}).fit(disc_folder)
    assert dropped.classes_.tolist() == ["green", "red"]


def test_class_map_with_integer_classes_is_saved_as_it_is(
    make: Any, brief: Recipe, disc_paths: list[str], tmp_path: Path
) -> None:
    labels = [index // 8 for index in range(24)]
    classifier = make(recipe=brief, class_map={2: 1}).fit(disc_paths, labels)
    assert classifier.classes_.tolist() == [0, 1]
    assert PlanetClassifier.load(classifier.save(tmp_path / "model")).class_map == {2: 1}


@pytest.mark.slow
def test_class_map_spelt_as_text_or_in_numpy_holds_after_fit_too(
    make: Any, brief: Recipe, disc_paths: list[str], tmp_path: Path
) -> None:
    labels = [index // 8 for index in range(24)]
    as_text = make(recipe=brief, class_map={"2": 1}).fit(disc_paths, labels)
    assert as_text.evaluate(disc_paths, labels).metrics["n"] == 24
    in_numpy = make(recipe=brief, class_map={np.int64(2): np.int64(1)}).fit(disc_paths, labels)
    saved = PlanetClassifier.load(in_numpy.save(tmp_path / "model")).class_map
    assert saved == {2: 1}
    assert in_numpy.score(disc_paths, labels) == as_text.score(disc_paths, labels)


@pytest.mark.slow
def test_class_map_of_evaluate_goes_before_the_own_and_is_not_mapped_again(
    make: Any, brief: Recipe, disc_folder: Path, tmp_path: Path
) -> None:
    classifier = make(recipe=brief, class_map={"green": "blue", "blue": "green"}).fit(disc_folder)
    shutil.copytree(disc_folder, tmp_path / "data")
    (tmp_path / "data" / "blue").rename(tmp_path / "data" / "azure")
    evaluation = classifier.evaluate(tmp_path / "data", class_map={"azure": "green"})
    asked = {
        Path(path).parent.name: label
        for path, label in zip(evaluation.predictions.paths, evaluation.labels, strict=True)
    }
    assert asked == {"azure": "green", "green": "blue", "red": "red"}


def test_score_takes_a_weight_for_each_image_that_was_given(
    make: Any, brief: Recipe, disc_paths: list[str], disc_labels: list[str]
) -> None:
    classifier = make(recipe=brief, class_map={"blue": None}).fit(disc_paths, disc_labels)
    weights = np.arange(24.0)
    kept = [label != "blue" for label in disc_labels]
    right = classifier.predict(disc_paths).labels == np.array(disc_labels)
    expected = np.average(right[kept], weights=weights[kept])
    assert classifier.score(disc_paths, disc_labels, weights) == pytest.approx(expected)
    with pytest.raises(DataError, match=r"16 images to score, and `sample_weight` .*\(5,\)"):
        classifier.score(disc_paths, disc_labels, weights[:5])


def test_class_map_on_a_manifest_that_was_mapped_says_so(
    make: Any, brief: Recipe, disc_folder: Path, tmp_path: Path
) -> None:
    classifier = make(recipe=brief, class_map={"green": "cold", "blue": "cold"}).fit(disc_folder)
    manifest = save_manifest(classifier.split_, tmp_path / "manifest.csv")
    with pytest.raises(SettingsError, match=r"'cold' is there already: .* need no class map"):
        make(recipe=brief, class_map={"green": "cold", "blue": "cold"}).fit(manifest)


def test_class_map_with_a_misspelt_class_is_refused(make: Any, disc_folder: Path) -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'green'"):
        make(class_map={"gren": "cold"}).fit(disc_folder)


@pytest.mark.slow
def test_deep_images_train_and_predict_by_the_saved_stretch(
    make: Any, brief: Recipe, tmp_path: Path
) -> None:
    generator = np.random.default_rng(0)
    for name, center in (("left", 8), ("right", 24)):
        (tmp_path / "data" / name).mkdir(parents=True)
        for number in range(6):
            rows, columns = np.mgrid[:32, :32]
            bump = np.exp(-((rows - 16) ** 2 + (columns - center) ** 2) / 20)
            pixels = 3000 * bump + generator.normal(500, 30, bump.shape)
            Image.fromarray(pixels.astype(np.uint16)).save(
                tmp_path / "data" / name / f"{number}.png"
            )
    with pytest.warns(ConversionWarning, match="12 of 12 images .*by the stretch 'asinh'"):
        classifier = make(recipe=brief, stretch="asinh").fit(tmp_path / "data")
    model = classifier.save(tmp_path / "model")
    stored = json.loads((model / "config.json").read_text(encoding="utf-8"))
    assert stored["preprocessing"]["stretch"] == "asinh"
    file = tmp_path / "data" / "left" / "0.png"
    loaded = PlanetClassifier.load(model, device="cpu")
    with pytest.warns(ConversionWarning, match="1 of 1 image.*'asinh'"):
        by_asinh = loaded.predict(file).probabilities
    with pytest.warns(ConversionWarning):
        np.testing.assert_array_equal(by_asinh, classifier.predict(file).probabilities)
    loaded.network_.input_spec = replace(loaded.network_.input_spec, stretch="linear")
    with pytest.warns(ConversionWarning, match="'linear'"):
        assert not np.array_equal(loaded.predict(file).probabilities, by_asinh)


def test_trivial_answer_as_good_as_the_network_is_told_in_one_line(
    make: Any, disc_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="planetvision"):
        make().fit(disc_folder)
    lines = [record.message for record in caplog.records if "network is right" in record.message]
    assert len(lines) == 1
    assert "\n" not in lines[0]
    assert "nearest neighbour on the mean colour 100%" in lines[0]


@pytest.mark.slow
def test_head_on_frozen_features_counts_as_a_trivial_answer(
    make: Any, quick_recipe: Recipe, disc_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    frozen = Stage(name="head", epochs=30, learning_rate=1e-1, trainable_blocks=0, views=1)
    stages = (frozen, quick_recipe.stages[0])
    with caplog.at_level(logging.WARNING, logger="planetvision"):
        make(recipe=replace(quick_recipe, stages=stages)).fit(disc_folder)
    assert any("linear head on frozen features" in record.message for record in caplog.records)


def test_audit_of_the_fit_is_of_its_own_split(make: Any, brief: Recipe, planets: Path) -> None:
    classifier = make(recipe=brief).fit(planets)
    audit = classifier.audit_
    assert audit.catalog == classifier.split_
    assert audit.scored == "val"
    assert audit.baselines[0].n == classifier.metrics_["num_val"]
