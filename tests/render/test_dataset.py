"""Many pictures: their order, their files, and wrong arguments."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from planetvision.core.errors import OutputExistsError, SettingsError, UnknownNameError
from planetvision.data import read_inputs, read_labelled
from planetvision.render import BODIES, render_body, render_dataset, write_dataset


def test_pictures_come_in_turn_and_evenly() -> None:
    labels = [rendered.label for rendered in render_dataset(count=16, image_size=16)]
    assert labels[:7] == list(BODIES)
    counts = Counter(labels)
    assert counts["earth"] == counts["jupiter"] == 3
    assert set(counts.values()) == {2, 3}


def test_pictures_of_a_body_do_not_depend_on_the_others() -> None:
    every = [one for one in render_dataset(count=14, image_size=24, seed=5) if one.label == "mars"]
    alone = list(render_dataset(count=2, image_size=24, seed=5, bodies=["mars"]))
    for left, right in zip(every, alone, strict=True):
        np.testing.assert_array_equal(left.image, right.image)
    assert not np.array_equal(alone[0].image, alone[1].image)


def test_seed_changes_the_pictures() -> None:
    first, second = (
        next(render_dataset(count=1, image_size=24, seed=seed, bodies=["moon"])) for seed in (0, 1)
    )
    assert not np.array_equal(first.image, second.image)


def test_written_files_hold_the_rendered_pixels(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    paths = write_dataset(folder, count=5, image_size=20, seed=2, bodies=["saturn", "mars"])
    assert [path.relative_to(folder).as_posix() for path in paths] == [
        "saturn/saturn_00000.png",
        "mars/mars_00000.png",
        "saturn/saturn_00001.png",
        "mars/mars_00001.png",
        "saturn/saturn_00002.png",
    ]
    table = folder / "renders.csv"
    assert sorted(path for path in folder.rglob("*") if path.is_file()) == sorted([*paths, table])
    pictures = render_dataset(count=5, image_size=20, seed=2, bodies=["saturn", "mars"])
    for path, rendered in zip(paths, pictures, strict=True):
        with Image.open(path) as image:
            assert image.mode == "RGB"
            np.testing.assert_array_equal(np.asarray(image), rendered.image)


def test_table_says_what_was_drawn_and_can_be_read_as_data(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    write_dataset(folder, count=4, image_size=20, seed=2, bodies=["saturn", "mars"], look="photo")
    table = pd.read_csv(folder / "renders.csv", keep_default_na=False)
    pictures = render_dataset(
        count=4, image_size=20, seed=2, bodies=["saturn", "mars"], look="photo"
    )
    for row, rendered in zip(table.to_dict("records"), pictures, strict=True):
        assert row["label"] == rendered.label
        assert row["phase_angle_degrees"] == pytest.approx(
            rendered.parameters["phase_angle_degrees"]
        )
        assert row["filters"] == rendered.parameters["filters"]
    catalog = read_labelled(folder / "renders.csv")
    assert len(catalog) == 4
    assert catalog.classes == ["mars", "saturn"]
    assert len(read_labelled(folder)) == 4
    assert len(read_inputs(folder)) == 4, "the table is no image"


def test_masks_go_to_a_folder_of_their_own(tmp_path: Path) -> None:
    write_dataset(
        tmp_path / "data",
        count=2,
        image_size=24,
        bodies=["saturn", "mars"],
        masks=tmp_path / "masks",
    )
    pictures = render_dataset(count=2, image_size=24, bodies=["saturn", "mars"])
    for rendered in pictures:
        path = tmp_path / "masks" / rendered.label / f"{rendered.label}_00000.png"
        with Image.open(path) as image:
            np.testing.assert_array_equal(np.asarray(image) == 255, rendered.mask)


def test_masks_within_the_data_would_be_a_class_and_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"`masks` must be a folder outside of the images' own"):
        write_dataset(tmp_path / "data", count=1, image_size=16, masks=tmp_path / "data" / "masks")
    assert not (tmp_path / "data").exists()


def test_other_bodies_can_be_drawn_too() -> None:
    labels = [
        it.label for it in render_dataset(count=3, image_size=16, bodies=["venus", "io", "mars"])
    ]
    assert labels == ["venus", "io", "mars"]


def test_full_folder_is_kept_unless_overwrite_is_true(tmp_path: Path) -> None:
    write_dataset(tmp_path / "data", count=1, image_size=16, bodies=["mars"])
    before = (tmp_path / "data/mars/mars_00000.png").read_bytes()
    with pytest.raises(OutputExistsError, match=r"is not empty\. Name a new folder, or pass"):
        write_dataset(tmp_path / "data", count=1, image_size=16, bodies=["mars"], seed=1)
    assert (tmp_path / "data/mars/mars_00000.png").read_bytes() == before
    write_dataset(
        tmp_path / "data", count=1, image_size=16, bodies=["mars"], seed=1, overwrite=True
    )
    assert (tmp_path / "data/mars/mars_00000.png").read_bytes() != before


def test_overwrite_that_is_cut_off_leaves_no_table_of_the_earlier_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_dataset(tmp_path / "data", count=2, image_size=16, bodies=["mars"])
    assert (tmp_path / "data/renders.csv").is_file()
    drawn: list[str] = []

    def draw_one(name: str, **options: Any) -> Any:
        if drawn:
            raise KeyboardInterrupt
        drawn.append(name)
        return render_body(name, **options)

    monkeypatch.setattr("planetvision.render.dataset.render_body", draw_one)
    with pytest.raises(KeyboardInterrupt):
        write_dataset(
            tmp_path / "data", count=2, image_size=16, bodies=["mars"], seed=1, overwrite=True
        )
    assert (tmp_path / "data/mars/mars_00001.png").is_file()
    assert not (tmp_path / "data/renders.csv").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"count": 0}, r"`count` must be a whole number of at least 1, got 0\. Pass how many"),
        ({"count": 2.0}, r"`count` must be a whole number of at least 1, got 2\.0\."),
        ({"count": 1, "image_size": 8}, r"`image_size` must be .* at least 16, got 8\."),
        ({"count": 1, "seed": "0"}, r"`seed` must be a whole number, got '0'\."),
        ({"count": 1, "bodies": []}, r"`bodies` must hold one name or more, got \[\]\."),
        ({"count": 1, "bodies": "mars"}, r"got the string 'mars'\. Pass a list such as \['mars'\]"),
        (
            {"count": 1, "bodies": ["mars", "moon", "mars"]},
            r"`bodies` must hold each name once, got mars twice\. Remove",
        ),
    ],
)
def test_wrong_argument_is_told_before_anything_is_written(
    arguments: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(SettingsError, match=message):
        render_dataset(**arguments)
    with pytest.raises(SettingsError, match=message):
        write_dataset(tmp_path / "data", **arguments)
    assert not (tmp_path / "data").exists()


def test_unknown_body_is_told_at_once() -> None:
    with pytest.raises(UnknownNameError, match=r"Unknown body 'plutto'\."):
        render_dataset(count=1, bodies=["plutto"])
