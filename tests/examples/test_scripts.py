"""The example scripts and the benchmark run as a user runs them: as processes of their own."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def run_script(path: str, *arguments: str, folder: Path) -> str:
    command = [sys.executable, "-W", "error", str(ROOT / path), *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_train_on_a_folder_quickly_judges_and_predicts(tmp_path: Path) -> None:
    out = tmp_path / "run"
    told = run_script(
        "examples/train_on_a_folder.py", "--quick", "--out", str(out), folder=tmp_path
    )
    assert "drew 42 images" in told
    assert re.search(r"accuracy \d+\.\d% \(\d+ of 7; 95 % interval", told)
    assert len(re.findall(r"^\w+_\d+\.png: \w+, \d+\.\d%$", told, flags=re.MULTILINE)) == 4
    for name in (
        "report/metrics.json",
        "model/model.safetensors",
        "predictions/predictions.csv",
        "explanations/explanations.csv",
    ):
        assert (out / name).is_file()


def test_custom_backbone_learns_more_than_chance(tmp_path: Path) -> None:
    told = run_script("examples/custom_backbone.py", folder=tmp_path)
    found = re.search(r"accuracy \d+\.\d% \((\d+) of 14;", told)
    assert found is not None, told
    assert int(found[1]) >= 6  # chance is 2 of 14
    assert "Grad-CAM looked at blocks" in told


def test_allocator_benchmark_prints_both_rates_and_their_ratio(tmp_path: Path) -> None:
    options = ("--rounds", "1", "--batches", "1", "--batch-size", "2", "--threads", "1")
    told = run_script("benchmarks/allocator.py", *options, folder=tmp_path)
    rates = dict(re.findall(r"^median +(\w+) +([\d.]+) images/s$", told, flags=re.MULTILINE))
    assert set(rates) == {"system", "tuned"}
    ratio = re.search(r"^tuned / system: ([\d.]+)$", told, flags=re.MULTILINE)
    assert ratio is not None
    assert abs(float(ratio[1]) - float(rates["tuned"]) / float(rates["system"])) < 0.02
