"""Explanations: pictures, with the raw map of each beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from planetvision.core.errors import OutputError, OutputExistsError
from planetvision.results import Explanation, Explanations
from planetvision.results.plots.overlay import overlay_heatmap

HEATMAP = np.array([[0.0, 0.25], [0.5, 1.0]], dtype=np.float32)


def create_explanation(path: str = "a/mars.jpg", **changes: Any) -> Explanation:
    fields: dict[str, Any] = {
        "path": path,
        "image": np.full((16, 16, 3), 120, np.uint8),
        "heatmap": HEATMAP,
        "label": "mars",
        "confidence": 0.75,
        "target": "moon",
        "method": "gradcam",
        "layers": ("blocks.3", "blocks.4"),
    }
    return Explanation(**{**fields, **changes})


def create_failed(path: str = "gone.png") -> Explanation:
    return create_explanation(
        path,
        image=np.zeros((16, 16, 3), np.uint8),
        heatmap=np.zeros((1, 1), np.float32),
        label=None,
        confidence=float("nan"),
        target=None,
        error="Cannot read 'gone.png': there is no such file.",
    )


def test_overlay_is_the_map_on_the_image() -> None:
    item = create_explanation()
    np.testing.assert_array_equal(item.overlay, overlay_heatmap(item.image, HEATMAP))
    assert item.overlay[0, 0].tolist() == [120, 120, 120], "cold keeps the picture"
    assert item.overlay[-1, -1].tolist() != [120, 120, 120]


def test_draw_is_wider_than_high_and_changes_with_map_and_caption() -> None:
    drawn = create_explanation().draw()
    assert drawn.dtype == np.uint8
    assert drawn.shape[1] > 2 * 256
    for changes in (
        {"heatmap": HEATMAP[::-1].copy()},
        {"label": "venus"},
        {"target": "earth"},
        {"against": "earth"},
    ):
        other = create_explanation(**changes).draw()
        assert other.shape != drawn.shape or not np.array_equal(other, drawn), changes


@pytest.mark.parametrize(
    ("target", "against", "subject"),
    [("moon", None, "moon"), ("moon", "mars", "moon against mars"), (None, None, "no one class")],
)
def test_subject_names_what_the_map_is_evidence_for(
    target: str | None, against: str | None, subject: str
) -> None:
    item = create_explanation(target=target, against=against)
    assert item.subject == subject
    frame = Explanations(items=(item, create_explanation(against="venus"))).to_frame()
    assert frame["against"].tolist() == [against, "venus"]


def test_explanations_are_a_sequence_with_their_failures() -> None:
    good, bad = create_explanation(), create_failed()
    explanations = Explanations(items=(good, bad))
    assert len(explanations) == 2
    assert explanations[0] is good
    assert list(explanations) == [good, bad]
    assert explanations.failed == [bad]


def test_frame_has_a_row_an_image() -> None:
    frame = Explanations(items=(create_explanation(), create_failed())).to_frame()
    columns = ["path", "label", "confidence", "known", "target", "against", "method", "layers"]
    assert list(frame.columns) == [*columns, "error"]
    assert frame.iloc[0].tolist() == [
        "a/mars.jpg",
        "mars",
        0.75,
        True,
        "moon",
        None,
        "gradcam",
        "blocks.3+blocks.4",
        "",
    ]
    assert frame.loc[1, "error"] == "Cannot read 'gone.png': there is no such file."


def test_save_to_a_png_writes_the_picture_and_the_raw_map(tmp_path: Path) -> None:
    target = tmp_path / "new" / "mars_cam.png"
    item = create_explanation()
    assert Explanations(items=(item,)).save(target) == target
    assert sorted(path.name for path in target.parent.iterdir()) == ["mars_cam.npy", "mars_cam.png"]
    raw = np.load(target.with_suffix(".npy"), allow_pickle=False)
    np.testing.assert_array_equal(raw, HEATMAP)
    assert raw.dtype == np.float32
    with Image.open(target) as picture:
        np.testing.assert_array_equal(np.asarray(picture), item.draw())


@pytest.mark.parametrize("existing", ["cam.png", "cam.npy"])
def test_save_to_a_png_refuses_to_replace_unless_told(tmp_path: Path, existing: str) -> None:
    (tmp_path / existing).write_text("mine")
    explanations = Explanations(items=(create_explanation(),))
    with pytest.raises(OutputExistsError, match=rf"{existing}' exists already\. Name another"):
        explanations.save(tmp_path / "cam.png")
    assert [path.name for path in tmp_path.iterdir()] == [existing]
    explanations.save(tmp_path / "cam.png", overwrite=True)
    np.testing.assert_array_equal(np.load(tmp_path / "cam.npy"), HEATMAP)


def test_save_to_a_png_below_a_file_raises_ours(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="is a file"):
        Explanations(items=(create_explanation(),)).save(tmp_path / "file" / "cam.png")


def test_save_to_a_folder_writes_pictures_maps_and_a_table(tmp_path: Path) -> None:
    other = np.eye(3, dtype=np.float32)
    items = (create_explanation(), create_failed(), create_explanation("<array 2>", heatmap=other))
    folder = Explanations(items=items).save(tmp_path / "out")
    assert sorted(path.name for path in folder.iterdir()) == [
        "0_mars.npy",
        "0_mars.png",
        "2_array_2.npy",
        "2_array_2.png",
        "explanations.csv",
    ]
    np.testing.assert_array_equal(np.load(folder / "0_mars.npy"), HEATMAP)
    np.testing.assert_array_equal(np.load(folder / "2_array_2.npy"), other)
    table = pd.read_csv(folder / "explanations.csv")
    assert table["path"].tolist() == ["a/mars.jpg", "gone.png", "<array 2>"]
    assert table["error"].isna().tolist() == [True, False, True]


def test_save_to_a_full_folder_raises_unless_told(tmp_path: Path) -> None:
    (tmp_path / "kept.txt").write_text("mine")
    explanations = Explanations(items=(create_explanation(),))
    with pytest.raises(OutputExistsError, match="is not empty"):
        explanations.save(tmp_path)
    explanations.save(tmp_path, overwrite=True)
    assert (tmp_path / "kept.txt").read_text() == "mine"
    assert (tmp_path / "0_mars.npy").exists()


def test_save_over_older_results_removes_their_pictures_and_keeps_the_users(
    tmp_path: Path,
) -> None:
    items = (create_explanation(), create_explanation("b/moon.jpg"))
    folder = Explanations(items=items).save(tmp_path / "out")
    (folder / "mine.png").write_text("mine")
    Explanations(items=(create_explanation("b/moon.jpg"),)).save(folder, overwrite=True)
    assert sorted(path.name for path in folder.iterdir()) == [
        "0_moon.npy",
        "0_moon.png",
        "explanations.csv",
        "mine.png",
    ]
    assert (folder / "mine.png").read_text() == "mine"


def test_save_over_the_images_that_were_explained_is_refused_and_removes_nothing(
    tmp_path: Path,
) -> None:
    folder = Explanations(items=(create_explanation(),)).save(tmp_path / "out")
    before = {path: path.read_bytes() for path in folder.iterdir()}
    again = Explanations(items=(create_explanation(str(folder / "0_mars.png")),))
    with pytest.raises(OutputError, match=r"0_mars\.png' lies where results would be written"):
        again.save(folder, overwrite=True)
    assert {path: path.read_bytes() for path in folder.iterdir()} == before
