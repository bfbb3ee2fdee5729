"""The audit: what was planted in a data set is found, and nothing else."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from planetvision.core.errors import (
    ConversionWarning,
    DataError,
    DataWarning,
    SettingsError,
    WeightsError,
    WeightsWarning,
)
from planetvision.data import Catalog
from planetvision.evaluation.audit.auditor import audit
from planetvision.render import render_body
from planetvision.results import Audit, Finding


def draw(folder: Path, counts: dict[str, int], *, size: int = 96) -> Path:
    """A folder a class with so many drawn images, at phases where bodies are found."""
    for name, number in counts.items():
        (folder / name).mkdir(parents=True)
        for seed in range(number):
            rendered = render_body(name, image_size=size, seed=seed, phase_angle_degrees=20)
            Image.fromarray(rendered.image).save(folder / name / f"{name}_{seed}.png")
    return folder


def find(result: Audit, kind: str) -> Finding:
    found = [finding for finding in result.findings if finding.kind == kind]
    assert len(found) == 1, [finding.kind for finding in result.findings]
    return found[0]


def kinds(result: Audit) -> set[str]:
    return {finding.kind for finding in result.findings}


def names(result: Audit, finding: Finding) -> list[str]:
    return [Path(result.catalog.names[row]).name for row in finding.rows]


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw(tmp_path_factory.mktemp("clean") / "data", {"mars": 8, "saturn": 8, "earth": 8})


@pytest.fixture
def copy(clean: Path, tmp_path: Path) -> Path:
    target = tmp_path / "data"
    shutil.copytree(clean, target)
    return target


@pytest.mark.slow
def test_clean_data_have_no_error_and_three_pixel_baselines(clean: Path) -> None:
    result = audit(clean, backbone=None)
    assert {finding.severity for finding in result.findings} <= {"note", "warning"}
    assert kinds(result).isdisjoint(
        {"unreadable", "exact_duplicates", "conflicting_duplicates", "leaks", "imbalance", "small"}
    )
    assert [baseline.name for baseline in result.baselines] == [
        "largest class",
        "nearest neighbour on the mean colour",
        "nearest neighbour on 32 x 32 pixels",
    ]
    assert result.baselines[0].accuracy == pytest.approx(1 / 3)
    assert result.scored == "test"


def test_damaged_files_are_named_and_the_rest_is_audited(copy: Path) -> None:
    (copy / "mars" / "mars_0.png").write_bytes(b"no image")
    result = audit(copy, backbone=None)
    assert find(result, "unreadable").severity == "error"
    assert [Path(error.source).name for error in result.unreadable] == ["mars_0.png"]
    assert result.catalog.counts["mars"] == 7
    assert str(result).startswith("23 images of 3 classes and 1 file that cannot be read: ")
    assert result.get_names(find(result, "unreadable")) == [result.unreadable[0].source]
    assert "catalog" not in repr(result)


def test_copy_of_a_file_is_an_exact_duplicate(copy: Path) -> None:
    shutil.copy(copy / "mars" / "mars_0.png", copy / "mars" / "again.png")
    finding = find(audit(copy, backbone=None), "exact_duplicates")
    assert finding.severity == "note"
    assert "1 pair of files holds the same pixels" in finding.message
    result = audit(copy, backbone=None)
    assert names(result, find(result, "exact_duplicates")) == ["again.png", "mars_0.png"]


def test_copy_under_another_label_is_an_error(copy: Path) -> None:
    shutil.copy(copy / "mars" / "mars_0.png", copy / "saturn" / "again.png")
    finding = find(audit(copy, backbone=None), "conflicting_duplicates")
    assert finding.severity == "error"
    assert "mars and saturn (1)" in finding.message


def test_turned_copy_is_a_near_duplicate_and_stays_in_its_part(copy: Path) -> None:
    with Image.open(copy / "earth" / "earth_3.png") as image:
        image.rotate(90).save(copy / "earth" / "turned.png")
    result = audit(copy, backbone=None)
    finding = find(result, "near_duplicates")
    assert {"earth_3.png", "turned.png"} <= set(names(result, finding))
    splits = dict(
        zip(
            (Path(name).name for name in result.catalog.names),
            result.catalog.splits or (),
            strict=True,
        )
    )
    assert splits["earth_3.png"] == splits["turned.png"]


def test_copy_across_given_parts_is_a_leak(clean: Path, tmp_path: Path) -> None:
    for split, seeds in (("train", range(5)), ("test", range(5, 8))):
        for name in ("mars", "earth"):
            (tmp_path / split / name).mkdir(parents=True)
            for seed in seeds:
                shutil.copy(clean / name / f"{name}_{seed}.png", tmp_path / split / name)
    assert "leaks" not in kinds(audit(tmp_path, backbone=None))
    shutil.copy(clean / "mars" / "mars_0.png", tmp_path / "test" / "mars" / "again.png")
    result = audit(tmp_path, backbone=None)
    finding = find(result, "leaks")
    assert finding.severity == "error"
    assert names(result, finding) == ["again.png", "mars_0.png"]
    assert "1 image for validation or testing" in finding.message


def test_leak_within_training_and_validation_cut_from_it_is_none(
    clean: Path, tmp_path: Path
) -> None:
    # `val` is cut by the library, which keeps copies together: no leak of the user's.
    for split, seeds in (("train", range(5)), ("test", range(5, 8))):
        for name in ("mars", "earth"):
            (tmp_path / split / name).mkdir(parents=True)
            for seed in seeds:
                shutil.copy(clean / name / f"{name}_{seed}.png", tmp_path / split / name)
    shutil.copy(clean / "mars" / "mars_0.png", tmp_path / "train" / "mars" / "again.png")
    assert "leaks" not in kinds(audit(tmp_path, backbone=None))


def test_unequal_classes_are_told(tmp_path: Path) -> None:
    result = audit(draw(tmp_path / "data", {"mars": 12, "earth": 3}), backbone=None)
    finding = find(result, "imbalance")
    assert "'mars' has 4.0 times as many images as 'earth' (12 and 3)" in finding.message


def test_images_without_a_body_are_listed(copy: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (96, 96, 3), dtype=np.uint8)
    Image.fromarray(noise).save(copy / "mars" / "noise.png")
    result = audit(copy, backbone=None)
    assert "noise.png" in names(result, find(result, "no_body"))


def test_small_images_are_listed(copy: Path) -> None:
    with Image.open(copy / "mars" / "mars_1.png") as image:
        image.resize((32, 32)).save(copy / "mars" / "tiny.png")
    result = audit(copy, backbone=None)
    assert names(result, find(result, "small")) == ["tiny.png"]


def test_deep_images_are_told_with_the_stretch(copy: Path) -> None:
    ramp = np.linspace(0, 60000, 96 * 96).reshape(96, 96).astype(np.uint16)
    Image.fromarray(ramp).save(copy / "mars" / "deep.png")
    with pytest.warns(ConversionWarning, match=r"1 of 25 images .*more than 8 bits.*'asinh'"):
        result = audit(copy, backbone=None, stretch="asinh")
    finding = find(result, "bit_depth")
    assert names(result, finding) == ["deep.png"]
    assert "24 of 8 bits, 1 of 16 bits" in finding.message


def test_classes_that_colour_tells_are_warned_of(disc_folder: Path) -> None:
    finding = find(audit(disc_folder, backbone=None), "easy")
    assert "nearest neighbour" in finding.message
    assert "100%" in finding.message


def test_group_that_holds_most_of_a_class_is_told(clean: Path) -> None:
    paths = sorted(str(path) for path in clean.glob("*/*.png"))
    labels = [Path(path).parent.name for path in paths]
    groups = [
        f"{label}-{'same' if label == 'mars' and number % 8 < 6 else number}"
        for number, label in enumerate(labels)
    ]
    result = audit(paths, labels, groups=groups, backbone=None)
    finding = find(result, "large_group")
    assert len(finding.rows) == 6
    assert "6 of the 8 images of 'mars' belong to one group" in finding.message


def test_linear_baseline_learns_on_frozen_features(clean: Path) -> None:
    with_features = audit(clean, backbone="tiny", weights="none")
    assert with_features.baselines[-1].name == "linear head on frozen features"
    assert with_features.baselines[-1].n == with_features.baselines[0].n


def test_missing_weights_leave_that_baseline_out_and_say_so(
    clean: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise WeightsError("They cannot be had.", backbone="efficientnet_lite0")

    monkeypatch.setattr("planetvision.models.network.create_network", refuse)
    result = audit(clean)
    assert len(result.baselines) == 3
    assert result.remarks == (
        "The linear head on frozen features was not measured. They cannot be had.",
    )


def test_data_that_cannot_be_split_are_audited_all_the_same(tmp_path: Path) -> None:
    result = audit(draw(tmp_path / "data", {"mars": 4, "earth": 1}), backbone=None)
    assert result.baselines == ()
    assert "cannot be split" in result.remarks[0]
    assert find(result, "imbalance")


@pytest.mark.slow
def test_split_is_the_one_that_fit_makes(rendered_folder: Path) -> None:
    from planetvision.classifiers.classifier import PlanetClassifier

    fitted = PlanetClassifier("tiny", recipe="probe", weights="none", image_size=32)
    with pytest.warns(WeightsWarning, match="never trains all of it"):
        fitted.fit(rendered_folder)
    result = audit(rendered_folder, backbone=None)
    assert dict(zip(result.catalog.names, result.catalog.splits or (), strict=True)) == dict(
        zip(fitted.split_.names, fitted.split_.splits or (), strict=True)
    )


@pytest.mark.slow
def test_split_is_the_one_that_fit_makes_of_large_images_without_groups_too(
    tmp_path: Path,
) -> None:
    from planetvision.classifiers.classifier import PlanetClassifier

    for name in ("mars", "earth"):
        (tmp_path / name).mkdir()
        for seed in range(6):
            body = render_body(name, image_size=280, seed=seed)
            picture = Image.fromarray(body.image)
            picture.save(tmp_path / name / f"{seed}.png")
            picture.rotate(90).save(tmp_path / name / f"{seed}_turned.png")

    def split(catalog: Catalog) -> dict[str, str]:
        return dict(zip(catalog.names, catalog.splits or (), strict=True))

    splits = []
    for grouped in (True, False):
        classifier = PlanetClassifier(
            "tiny", recipe="probe", weights="none", group_duplicates=grouped
        )
        with pytest.warns(WeightsWarning, match="never trains all of it"):
            classifier.fit(tmp_path)
        result = audit(tmp_path, backbone="tiny", weights="none", group_duplicates=grouped)
        assert split(result.catalog) == split(classifier.split_)
        assert len(find(result, "near_duplicates").rows) == 24
        splits.append(split(result.catalog))
    assert splits[0] != splits[1]


def test_nothing_readable_is_an_error(tmp_path: Path) -> None:
    for name in ("mars", "earth"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.png").write_bytes(b"x")
    with pytest.raises(DataError, match=r"None of the 2 images of .* can be read"):
        audit(tmp_path)


def test_wrong_settings_are_refused_before_a_file_is_read() -> None:
    with pytest.raises(SettingsError, match="`weights`"):
        audit("no/such/folder", backbone="tiny", weights="imagenet")


def test_save_writes_page_json_and_tables(copy: Path, tmp_path: Path) -> None:
    shutil.copy(copy / "mars" / "mars_0.png", copy / "saturn" / "again.png")
    (copy / "mars" / "mars_1.png").write_bytes(b"no image")
    result = audit(copy, backbone=None)
    folder = result.save(tmp_path / "out")
    assert sorted(path.name for path in folder.iterdir()) == [
        "audit.json",
        "findings.csv",
        "images.csv",
        "index.html",
    ]
    page = (folder / "index.html").read_text(encoding="utf-8")
    for text in ("Copies under different labels", "again.png", "mars_1.png", "data:image/jpeg"):
        assert text in page
    stored = json.loads((folder / "audit.json").read_text(encoding="utf-8"))
    assert stored["counts"] == {"earth": 8, "mars": 7, "saturn": 9}
    assert [Path(row["image"]).name for row in stored["unreadable"]] == ["mars_1.png"]
    assert stored["findings"][0]["severity"] == "error"
    assert {Path(stored["duplicates"][0][key]).name for key in ("first", "second")} == {
        "mars_0.png",
        "again.png",
    }
    images = pd.read_csv(folder / "images.csv")
    assert len(images) == 24
    assert set(images["bits"]) == {8}
    findings = pd.read_csv(folder / "findings.csv")
    assert findings["kind"].tolist() == [finding.kind for finding in result.findings]


def test_saved_page_is_right_in_a_browser(
    copy: Path, tmp_path: Path, check_page: Callable[[Path], None]
) -> None:
    shutil.copy(copy / "mars" / "mars_0.png", copy / "saturn" / "again & again #1.png")
    (copy / "mars" / "mars_1.png").write_bytes(b"no image")
    check_page(audit(copy, backbone=None).save(tmp_path / "out") / "index.html")


def test_audit_of_files_with_names_that_are_no_text_is_saved(
    odd_folder: Path, tmp_path: Path
) -> None:
    Path(str(odd_folder), "red", "bad-\udcff.png").write_bytes(b"x")
    result = audit(odd_folder, backbone=None)
    with pytest.warns(DataWarning, match="are not valid text") as caught:
        folder = result.save(tmp_path / "out")
    assert [Path(str(item.message).split("'")[1]).name for item in caught] == [
        "audit.json",
        "images.csv",
        "index.html",
    ]
    stored = json.loads((folder / "audit.json").read_text(encoding="utf-8"))
    assert [Path(item["image"]).name for item in stored["unreadable"]] == ["bad-\udcff.png"]
    assert r"bad-\udcff.png" in (folder / "index.html").read_text(encoding="utf-8")
    paths = pd.read_csv(folder / "images.csv")["path"].tolist()
    assert sum(Path(path).name == r"mars-\udcff.png" for path in paths) == 3
