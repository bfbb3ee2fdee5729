"""The blind test: no trace of what an image was, and every answer joined with the right label."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits
from PIL import Image

import planetvision.workflows.blind as blind_module
from planetvision.classifiers.classifier import PlanetClassifier
from planetvision.core.errors import (
    ConversionWarning,
    DataError,
    DataWarning,
    OutputError,
    OutputExistsError,
)
from planetvision.data import read_image
from planetvision.workflows.blind import BlindSet, make_blind_set, score_blind_set


@pytest.fixture
def blind(disc_folder: Path, tmp_path: Path) -> BlindSet:
    return make_blind_set(disc_folder, tmp_path / "blind", seed=0)


def read_table(blind: BlindSet) -> pd.DataFrame:
    return pd.read_csv(blind.mapping, dtype=str)


def test_names_are_random_and_tell_nothing(blind: BlindSet, disc_folder: Path) -> None:
    names = sorted(path.name for path in blind.folder.iterdir())
    assert len(names) == blind.num_images == 24
    assert all(re.fullmatch(r"[0-9a-f]{12}\.png", name) for name in names)
    table = read_table(blind)
    assert table["name"].tolist() == names
    # Sorted by name, the labels must not be in the order of the folders.
    assert table["label"].tolist() != sorted(table["label"])
    assert sorted(table["label"]) == sorted(["blue", "green", "red"] * 8)


def test_mapping_lies_apart_and_names_the_originals(blind: BlindSet, disc_folder: Path) -> None:
    assert blind.mapping == blind.folder.with_name("blind.mapping.csv")
    for row in read_table(blind).itertuples():
        np.testing.assert_array_equal(
            read_image(blind.folder / str(row.name)), read_image(str(row.original))
        )
        assert Path(str(row.original)).parent.name == row.label


def test_metadata_are_gone(tmp_path: Path) -> None:
    for name in ("mars", "earth"):
        (tmp_path / "data" / name).mkdir(parents=True)
        exif = Image.Exif()
        exif[0x010E] = f"this is {name}"
        Image.new("RGB", (32, 32), "red").save(
            tmp_path / "data" / name / "a.jpg", exif=exif, comment=name.encode()
        )
    made = make_blind_set(tmp_path / "data", tmp_path / "blind")
    for path in made.folder.iterdir():
        content = path.read_bytes()
        assert b"mars" not in content
        assert b"earth" not in content
        with Image.open(path) as image:
            assert not image.getexif()
            assert image.format == "PNG"


def test_seed_decides_names_and_none_draws_new_ones(disc_folder: Path, tmp_path: Path) -> None:
    def names(folder: str, seed: int | None) -> list[str]:
        return read_table(make_blind_set(disc_folder, tmp_path / folder, seed=seed))[
            "name"
        ].tolist()

    assert names("a", 3) == names("b", 3) != names("c", 4)
    assert names("d", None) != names("e", None)


def test_score_joins_each_answer_with_its_label(
    blind: BlindSet, trained: PlanetClassifier, disc_folder: Path, tmp_path: Path
) -> None:
    result = score_blind_set(trained, blind.folder, blind.mapping)
    direct = trained.evaluate(disc_folder)
    assert result.evaluation.accuracy == direct.accuracy
    by_path = dict(zip(direct.predictions.paths, direct.predictions.labels, strict=True))
    frame = result.to_frame()
    for row in frame.to_dict(orient="records"):
        assert by_path[row["original"]] == row["label"]
        assert Path(row["original"]).parent.name == row["true_label"]
        assert row["right"] == (row["top_label"] == row["true_label"])
        assert row["label"] in (row["top_label"], "unknown")
    folder = result.save(tmp_path / "out")
    assert pd.read_csv(folder / "blind.csv")["name"].tolist() == frame["name"].tolist()
    stored = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    assert stored["n"] == 24
    assert read_image(folder / "showcase.png").shape[2] == 3
    assert str(result).startswith("blind test: accuracy ")


def test_score_by_a_wrong_model_counts_what_is_wrong(
    blind: BlindSet, trained: PlanetClassifier, tmp_path: Path
) -> None:
    table = read_table(blind)
    table["label"] = table["label"].replace({"blue": "red", "red": "blue"})
    table.to_csv(tmp_path / "crossed.csv", index=False)
    right = score_blind_set(trained, blind.folder, blind.mapping).evaluation
    crossed = score_blind_set(trained, blind.folder, tmp_path / "crossed.csv").evaluation
    assert right.accuracy > 0.9
    assert crossed.accuracy < 0.5


def test_images_that_cannot_be_read_are_left_out_by_name(disc_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(disc_folder, tmp_path / "data")
    (tmp_path / "data" / "red" / "broken.png").write_bytes(b"x")
    with pytest.warns(DataWarning, match=r"1 image cannot be read .*broken\.png"):
        made = make_blind_set(tmp_path / "data", tmp_path / "blind")
    assert made.num_images == 24


def test_nothing_that_exists_is_replaced_unasked(
    blind: BlindSet, disc_folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(OutputExistsError, match=r"The mapping '.*' exists already"):
        make_blind_set(disc_folder, blind.folder)
    blind.mapping.unlink()
    with pytest.raises(OutputExistsError, match="is not empty"):
        make_blind_set(disc_folder, blind.folder)


def list_names(blind: BlindSet) -> list[str]:
    return sorted(path.name for path in blind.folder.iterdir())


def test_overwrite_replaces_the_whole_set_and_no_other_file(
    blind: BlindSet, disc_folder: Path
) -> None:
    table = read_table(blind)
    first = str(table["name"][0])
    (blind.folder / first).rename(blind.folder / "renamed.png")
    table.replace(first, "renamed.png").to_csv(blind.mapping, index=False)
    (blind.folder / ".hidden").touch()
    again = make_blind_set(disc_folder, blind.folder, seed=1, overwrite=True)
    assert list_names(again) == [".hidden", *read_table(again)["name"]]


@pytest.mark.parametrize("name", ["other.csv", "blind.mapping.csv"])
def test_overwrite_without_the_earlier_mapping_leaves_a_set_that_can_be_scored(
    name: str, blind: BlindSet, trained: PlanetClassifier, disc_folder: Path, tmp_path: Path
) -> None:
    blind.mapping.rename(tmp_path / "moved.csv")
    made = make_blind_set(disc_folder, blind.folder, mapping=tmp_path / name, overwrite=True)
    assert list_names(made) == read_table(made)["name"].tolist()
    score_blind_set(trained, made.folder, made.mapping)


def test_overwrite_by_the_same_seed_replaces_images_of_the_same_name(
    blind: BlindSet, disc_folder: Path, disc_paths: list[str], disc_labels: list[str]
) -> None:
    before = list_names(blind)
    made = make_blind_set(
        disc_paths[::-1], blind.folder, labels=disc_labels[::-1], seed=0, overwrite=True
    )
    assert list_names(made) == before
    test_mapping_lies_apart_and_names_the_originals(made, disc_folder)


@pytest.mark.parametrize("seed", [0, 1])
def test_overwrite_that_fails_leaves_the_earlier_set(
    seed: int,
    blind: BlindSet,
    disc_folder: Path,
    disc_paths: list[str],
    disc_labels: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = list_names(blind)
    write, calls = blind_module._write_png, iter(range(5))

    def fill_the_disk(pixels: object, file: Path) -> None:
        if next(calls, None) is None:
            raise OSError(28, "No space left on device")
        write(pixels, file)

    monkeypatch.setattr(blind_module, "_write_png", fill_the_disk)
    with pytest.raises(OutputError, match="No space left on device"):
        make_blind_set(
            disc_paths[::-1], blind.folder, labels=disc_labels[::-1], seed=seed, overwrite=True
        )
    assert list_names(blind) == before
    test_mapping_lies_apart_and_names_the_originals(blind, disc_folder)


@pytest.mark.parametrize("strange", ["notes.txt", "0123456789ab.png.txt", "photo.png", "folder"])
def test_folder_with_other_files_is_refused_before_anything_is_read(
    strange: str, blind: BlindSet, tmp_path: Path
) -> None:
    path = blind.folder / strange
    path.mkdir() if strange == "folder" else path.touch()
    with pytest.raises(
        OutputExistsError, match=rf"images of an earlier blind set.* Move .* Found: '{strange}'"
    ):
        make_blind_set(tmp_path / "no data", blind.folder, overwrite=True)


def test_images_of_the_data_are_never_replaced(blind: BlindSet) -> None:
    paths = sorted(map(str, blind.folder.iterdir()))
    with pytest.raises(OutputError, match="lies where results would be written"):
        make_blind_set(paths, blind.folder, labels=["a", "b"] * 12, overwrite=True)
    assert sorted(map(str, blind.folder.iterdir())) == paths


def test_mapping_among_the_images_is_refused(disc_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="would lie in the folder of the images"):
        make_blind_set(disc_folder, tmp_path / "blind", mapping=tmp_path / "blind" / "m.csv")


def test_classes_can_be_renamed_and_dropped(disc_folder: Path, tmp_path: Path) -> None:
    made = make_blind_set(disc_folder, tmp_path / "blind", class_map={"red": "mars", "green": None})
    assert set(read_table(made)["label"]) == {"mars", "blue"}


def test_set_that_was_changed_is_refused_with_every_difference(
    blind: BlindSet, trained: PlanetClassifier
) -> None:
    names = read_table(blind)["name"].tolist()
    (blind.folder / names[0]).unlink()
    Image.new("RGB", (8, 8)).save(blind.folder / names[1])
    Image.new("RGB", (8, 8)).save(blind.folder / "stranger.png")
    with pytest.raises(DataError) as caught:
        score_blind_set(trained, blind.folder, blind.mapping)
    assert caught.value.problems == (
        f"'{names[0]}' is missing",
        "'stranger.png' is not in the mapping",
        f"'{names[1]}' has changed since the mapping was written",
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "There is no mapping"),
        ("a,b\n1,2\n", "lacks the columns name, original, label, sha256, stretch"),
        ("name,original,label,sha256,stretch\n", "has no rows"),
        (
            "name,original,label,sha256,stretch\na.png,a,b,c,\na.png,a,b,c,\n",
            "names images twice: a.png",
        ),
        ("", "cannot be read as a table"),
    ],
)
def test_mapping_that_is_none_is_refused(
    text: str | None, message: str, blind: BlindSet, trained: PlanetClassifier, tmp_path: Path
) -> None:
    path = tmp_path / "mapping.csv"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        score_blind_set(trained, blind.folder, path)


def test_result_is_not_written_over_the_images_it_scored(
    blind: BlindSet, trained: PlanetClassifier
) -> None:
    result = score_blind_set(trained, blind.folder, blind.mapping)
    with pytest.raises(OutputError, match="lies where results would be written"):
        result.save(blind.folder, overwrite=True)


def test_mapping_of_another_set_is_told_and_the_right_one_named(
    blind: BlindSet, trained: PlanetClassifier, disc_folder: Path, tmp_path: Path
) -> None:
    other = make_blind_set(disc_folder, tmp_path / "other", seed=9)
    with pytest.raises(
        DataError, match=r"belongs to another set.*There is '.*blind\.mapping\.csv'"
    ):
        score_blind_set(trained, blind.folder, other.mapping)


def test_label_that_the_model_does_not_know_is_named_before_predicting(
    blind: BlindSet, trained: PlanetClassifier, tmp_path: Path
) -> None:
    table = read_table(blind)
    table["label"] = table["label"].replace({"blue": "bleu"})
    table.to_csv(tmp_path / "wrong.csv", index=False)
    with pytest.raises(DataError, match=r"bleu\. It has blue, green, red"):
        score_blind_set(trained, blind.folder, tmp_path / "wrong.csv")


def test_mapping_names_the_stretch_of_8_bits_with_a_scale(tmp_path: Path) -> None:
    for name in ("red", "blue"):
        (tmp_path / "data" / name).mkdir(parents=True)
        Image.new("L", (40, 40), 9).save(tmp_path / "data" / name / "a.png")
    scaled = fits.PrimaryHDU(np.eye(40, dtype=np.uint8))
    scaled.header["BLANK"] = 7
    scaled.writeto(tmp_path / "data" / "red" / "b.fits")
    with pytest.warns(ConversionWarning, match="1 of 3 images .* by the stretch 'asinh'"):
        made = make_blind_set(tmp_path / "data", tmp_path / "blind", stretch="asinh")
    table = pd.read_csv(made.mapping, keep_default_na=False)
    assert sorted(table["stretch"]) == ["", "", "asinh"]


def test_set_made_by_another_stretch_than_the_models_is_warned_of(
    trained: PlanetClassifier, tmp_path: Path
) -> None:
    for name, level in (("red", 3000), ("blue", 2000)):
        (tmp_path / "data" / name).mkdir(parents=True)
        deep = np.full((40, 40), level, np.uint16)
        deep[:20] = 0
        Image.fromarray(deep).save(tmp_path / "data" / name / "a.png")
    with pytest.warns(ConversionWarning, match="2 of 2 images .* by the stretch 'asinh'"):
        made = make_blind_set(tmp_path / "data", tmp_path / "blind", stretch="asinh")
    with pytest.warns(
        ConversionWarning, match=r"2 images .*'asinh'.* --stretch linear|trained with"
    ):
        score_blind_set(trained, made.folder, made.mapping)


def test_original_with_a_name_that_is_no_text_is_named_by_escapes(
    odd_folder: Path, trained: PlanetClassifier, tmp_path: Path
) -> None:
    with pytest.warns(DataWarning, match=r"blind\.mapping\.csv' are not valid text"):
        made = make_blind_set(odd_folder, tmp_path / "blind")
    result = score_blind_set(trained, made.folder, made.mapping)
    folder = result.save(tmp_path / "out")
    originals = pd.read_csv(folder / "blind.csv")["original"].tolist()
    assert sum(Path(name).name == r"mars-\udcff.png" for name in originals) == 3
