"""The model in the package: whole, small, right on fresh renders, in the wheel, and a start."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from planetvision import PlanetClassifier, verify
from planetvision.core.errors import WeightsError
from planetvision.models.backbones.weights import RELEASED_FOLDER
from planetvision.models.network import create_network
from planetvision.render import BODIES, render_dataset, render_non_planets

SEED = 2_000
ROOT = Path(__file__).parents[2]
NO_NETWORK = """
import socket

def refuse(*arguments, **options):
    raise OSError("no network in this test")

socket.socket.connect = socket.getaddrinfo = refuse
"""
# What the build reads.
SOURCES = ("src", "pyproject.toml", "README.md", "LICENSE")


@pytest.fixture(scope="module")
def classifier() -> PlanetClassifier:
    return PlanetClassifier.from_pretrained()


def test_folder_is_whole_small_and_tells_where_it_is_from() -> None:
    assert verify(RELEASED_FOLDER).is_intact
    size = sum(path.stat().st_size for path in RELEASED_FOLDER.iterdir())
    assert size < 15_000_000
    assert "stellarium-data" in (RELEASED_FOLDER / "PROVENANCE.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_most_fresh_renders_are_right_and_most_other_pictures_unknown(
    classifier: PlanetClassifier,
) -> None:
    assert classifier.classes_.tolist() == sorted(BODIES)
    drawn = list(render_dataset(count=42, seed=SEED, look="clean"))
    answers = classifier.predict([one.image for one in drawn])
    right = [answer.top_label == one.label for answer, one in zip(answers, drawn, strict=True)]
    assert sum(right) >= 38
    pictures = list(render_non_planets(count=20, seed=SEED))
    assert sum(answer.label == "unknown" for answer in classifier.predict(pictures)) >= 16


@pytest.mark.slow
def test_four_threads_get_the_answers_of_one(classifier: PlanetClassifier) -> None:
    drawn = [one.image for one in render_dataset(count=4, seed=SEED, look="clean", image_size=128)]

    def answer(image: Any) -> list[Any]:
        found = classifier.predict(image)
        shown = classifier.explain(image, checks=False)
        assert found.novelty is not None
        return [found.probabilities.tolist(), found.novelty.tolist(), shown[0].heatmap.tolist()]

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(answer, [*drawn, *drawn]))
    alone = [answer(image) for image in drawn]
    assert answers == [*alone, *alone]


def test_backbone_has_the_weights_of_the_released_model(classifier: PlanetClassifier) -> None:
    network = create_network("released", num_classes=3, weights="pretrained", seed=0)
    expected = classifier.network_.backbone.state_dict()
    found = network.backbone.state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_backbone_without_a_released_model_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from planetvision.models.backbones import timm_models

    monkeypatch.setattr(timm_models, "RELEASED_FOLDER", tmp_path)
    with pytest.raises(WeightsError, match=r"no released model .* backbone='efficientnet_lite0'"):
        create_network("released", num_classes=3, weights="pretrained", seed=0)


def test_wheel_is_small_and_answers_without_a_network(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for name in SOURCES:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, source / name)
    options = ("--no-deps", "--no-build-isolation", "--no-index", "--quiet")
    pip = (sys.executable, "-m", "pip")
    subprocess.run([*pip, "wheel", *options, "-w", str(tmp_path), str(source)], check=True)
    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.stat().st_size < 20_000_000
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    (drawn,) = render_dataset(count=1, seed=SEED, look="clean", bodies=["saturn"])
    Image.fromarray(drawn.image).save(tmp_path / "picture.png")
    command = (
        f"{NO_NETWORK}import planetvision; print(planetvision.__file__, flush=True); "
        "from planetvision.cli.main import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", command, "predict", "picture.png"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "saturn" in done.stdout, done.stderr
    assert Path(done.stdout.splitlines()[0]).is_relative_to(site)
