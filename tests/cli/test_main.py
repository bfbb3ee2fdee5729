"""The command: wrong calls, output folders and warnings."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from tests.calling import TrainedRun, call, train_arguments


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["train", "nowhere", "--out", "OUT", "--backbone", "tiny"],
            "There is no folder 'nowhere'",
        ),
        (["evaluate", "MODEL", "nowhere", "--out", "OUT"], "There is no folder 'nowhere'"),
        (["predict", "MODEL", "nowhere", "--out", "OUT"], "There is no file or folder 'nowhere'"),
        (["predict", "MODEL", "*.nothing", "--out", "OUT"], "matches no file"),
        (["predict", "nowhere", "x.png", "--out", "OUT"], "There is no model folder 'nowhere'"),
        (["explain", "MODEL", "RED", "--out", "OUT", "--method", "gradcm"], "'gradcam'"),
        (["explain", "MODEL", "RED", "--out", "OUT", "--target", "mauve"], "got 'mauve'"),
        (["explain", "MODEL", "RED", "--out", "OUT", "--against", "mauve"], "got 'mauve'"),
        (["explain", "MODEL", "RED", "--out", "OUT", "--layer", "stem"], "no layer 'stem'"),
        (["data", "render", "--out", "OUT", "--count", "0"], "`count` must be"),
        (["data", "render", "--out", "OUT", "--size", "0"], "`image_size` must be"),
        (["list", "backbone"], "Unknown family 'backbone'"),
        (["pretend"], "pretend"),
    ],
)
def test_wrong_call_ends_with_2_and_writes_nothing(
    arguments: list[str], message: str, run: TrainedRun, disc_paths: list[str], tmp_path: Path
) -> None:
    places = {"OUT": tmp_path / "out", "MODEL": run.folder / "model", "RED": disc_paths[-1]}
    result = call(*(places.get(argument, argument) for argument in arguments))
    assert result.code == 2
    assert message in result.err
    assert "Traceback" not in result.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("command", ["train", "evaluate", "predict", "explain", "render", "demo"])
def test_output_that_exists_ends_with_2_and_is_left_alone(
    command: str, run: TrainedRun, disc_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    model, red = run.folder / "model", disc_folder / "red"
    calls: dict[str, list[object]] = {
        "train": train_arguments(disc_folder, tmp_path),
        "evaluate": ["evaluate", model, disc_folder, "--out", tmp_path],
        "predict": ["predict", model, red, "--out", tmp_path],
        "explain": ["explain", model, red, "--out", tmp_path],
        "render": ["data", "render", "--out", tmp_path, "--count", 7, "--size", 32],
        "demo": ["demo", "--out", tmp_path],
    }
    result = call(*calls[command])
    assert result.code == 2
    assert "is not empty" in result.err
    assert "--overwrite" in result.err
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_overwrite_replaces_and_keeps_other_files(
    run: TrainedRun, disc_paths: list[str], tmp_path: Path
) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    (tmp_path / "predictions.csv").write_text("old")
    result = call(
        "predict", run.folder / "model", disc_paths[0], "--out", tmp_path, "--overwrite", "--quiet"
    )
    assert result.code == 0
    assert (tmp_path / "mine.txt").read_text() == "mine"
    assert len(pd.read_csv(tmp_path / "predictions.csv")) == 1


def test_help_runs_as_a_module() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "planetvision", "--help"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0
    for command in ("demo", "train", "evaluate", "predict", "explain", "data", "list", "doctor"):
        assert f"  {command} " in done.stdout


@pytest.mark.parametrize(
    ("option", "value"), [("--column", "path"), ("--column", "=path"), ("--class", "=mars")]
)
def test_pair_that_is_none_ends_with_2(
    option: str, value: str, disc_folder: Path, tmp_path: Path
) -> None:
    result = call(*train_arguments(disc_folder, tmp_path / "run"), option, value)
    assert result.code == 2
    assert f"{option} takes NAME=VALUE, got '{value}'" in result.err
