"""The example scripts and the benchmark run as a user runs them: as processes of their own."""

from __future__ import annotations

import argparse
import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

ROOT = Path(__file__).parents[2]


def run_script(path: str, *arguments: str, folder: Path) -> str:
    command = [sys.executable, "-W", "error", str(ROOT / path), *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_train_on_a_folder_quickly_judges_and_predicts(tmp_path: Path) -> None:
    out = tmp_path / "run"
    told = run_script(
        "examples/train_on_a_folder.py", "--quick", "--out", str(out), folder=tmp_path
    )
    assert "rendered 42 images" in told
    assert re.search(r"accuracy (?:100|\d+\.\d)% \(\d+ of 7; 95 % interval", told)
    answer = r"^\w+_\d+\.png: (?:unknown|[a-z]+  [<>]?\d+\.\d%)$"
    assert len(re.findall(answer, told, flags=re.MULTILINE)) == 4
    for name in (
        "report/metrics.json",
        "model/model.safetensors",
        "predictions/predictions.csv",
        "explanations/explanations.csv",
    ):
        assert (out / name).is_file()


@pytest.mark.slow
def test_custom_backbone_learns_more_than_chance(tmp_path: Path) -> None:
    told = run_script("examples/custom_backbone.py", folder=tmp_path)
    found = re.search(r"accuracy (?:100|\d+\.\d)% \((\d+) of 14;", told)
    assert found is not None, told
    assert int(found[1]) >= 6  # chance is 2 of 14
    assert "Grad-CAM used blocks" in told


@pytest.mark.slow
def test_runtime_benchmark_prints_the_rates_of_each_lever_and_their_ratios(
    tmp_path: Path,
) -> None:
    options = ("--rounds", "1", "--seconds", "0.1", "--batch-size", "2", "--image-size", "64")
    some = ("--count", "4", "--only", "no option", "1 workers")
    told = run_script("benchmarks/runtime.py", *options, *some, folder=tmp_path)
    rows = dict(re.findall(r"^\| ([^|]+) \| (.+) \|$", told, flags=re.MULTILINE))
    assert set(rows) >= {"as it is", "no option", "0 workers", "1 workers"}
    forward, ratio, step, _, files, _ = (cell.strip() for cell in rows["no option"].split("|"))
    base = float(rows["as it is"].split("|")[0])
    rounding = 0.01 + 0.05 * (1 + float(ratio)) / base  # the rates have one decimal
    assert abs(float(ratio) - float(forward) / base) < rounding
    assert float(step) > 0
    assert files == ""


@pytest.mark.slow
def test_disc_benchmark_prints_a_row_a_body_and_band(tmp_path: Path) -> None:
    options = ("--count", "1", "--size", "64")
    told = run_script("benchmarks/disc_finder.py", *options, folder=tmp_path)
    rows = re.findall(r"^\| (\w+) \| (\d+) to (\d+) \| (\d\.\d+) \|", told, flags=re.MULTILINE)
    assert len(rows) >= 7 * 5
    assert float(next(row[3] for row in rows if row[:3] == ("all", "0", "90"))) > 0.9


@pytest.mark.slow
def test_duplicate_benchmark_prints_recall_and_unrelated_pairs(tmp_path: Path) -> None:
    told = run_script("benchmarks/near_duplicates.py", "--count", "7", folder=tmp_path)
    recall = re.search(r"^all +([\d.]+)% +[\d.]+% +56$", told, flags=re.MULTILINE)
    assert recall is not None, told
    assert float(recall[1]) > 90
    assert "unrelated pairs joined: 0.00% as pairs" in told


@pytest.mark.slow
def test_memory_benchmark_predicts_and_prints_the_growth(tmp_path: Path) -> None:
    options = ("--count", "30", "--every", "10")
    told = run_script("benchmarks/prediction_memory.py", *options, folder=tmp_path)
    assert re.findall(r"^ +(\d+) files", told, flags=re.MULTILINE) == ["0", "10", "20", "30"]
    assert re.search(r"^growth over the second half: -?\d+\.\d %$", told, flags=re.MULTILINE)


@pytest.mark.slow
def test_cache_benchmark_prints_a_ratio_of_each_kind(rendered_folder: Path, tmp_path: Path) -> None:
    options = (str(rendered_folder), "--rounds", "1", "--weights", "none")
    told = run_script("benchmarks/decoded_cache.py", *options, folder=tmp_path)
    ratios = re.findall(r"^(\w+): off / (\w+) = \d+\.\d+$", told, flags=re.MULTILINE)
    assert ratios == [
        (what, kind) for what in ("reading", "training") for kind in ("memory", "disk")
    ]


@pytest.mark.slow
def test_training_benchmark_compares_a_recipe_with_a_shortened_classic(
    rendered_folder: Path, tmp_path: Path
) -> None:
    options = ("--backbone", "tiny", "--device", "cpu", "--classic-epochs", "1")
    recipes = ("--recipes", "probe", "no_such_recipe", "classic")
    told = run_script(
        "benchmarks/training.py",
        str(rendered_folder),
        *options,
        *recipes,
        *("--json", "rows.json"),
        folder=tmp_path,
    )
    rows = json.loads((tmp_path / "rows.json").read_text(encoding="utf-8"))
    assert rows["no_such_recipe"] == {"skipped": "not registered"}
    assert rows["probe"]["n"] == rows["classic"]["n"] == 7
    assert rows["probe"]["epochs"] == 100
    assert not rows["probe"]["extrapolated"]
    classic = rows["classic"]
    assert classic["epochs_run"] == {"head": 1, "fine-tune": 1}
    seconds = [classic["stages"][name]["epoch_seconds"] for name in ("head", "fine-tune")]
    extrapolated = classic["seconds_measured"] + 14 * seconds[0] + 84 * seconds[1]
    assert classic["seconds_total"] == pytest.approx(extrapolated)
    assert set(classic["phases"]) == {"decode", "augment", "forward", "step"}
    ratio = re.search(r"^classic / probe, whole: ([\d.]+)$", told, flags=re.MULTILINE)
    assert ratio is not None, told
    expected = classic["seconds_total"] / rows["probe"]["seconds_total"]
    assert float(ratio[1]) == pytest.approx(expected, abs=0.06)


@pytest.mark.slow
def test_cuda_benchmark_without_cuda_compares_the_cpu_with_itself(tmp_path: Path) -> None:
    options = ("--device", "cpu", "--count", "7", "--only", "grad-cam")
    told = run_script("benchmarks/cuda.py", *options, "--out", "cuda.json", folder=tmp_path)
    assert re.search(r"^grad-cam +ok +maps differ by 0\.0e\+00", told, flags=re.MULTILINE)
    found = json.loads((tmp_path / "cuda.json").read_text(encoding="utf-8"))
    assert found["device"] == "cpu"
    assert found["checks"] == {"grad-cam": "ok"}


def test_cuda_benchmark_ends_with_1_after_a_check_that_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = importlib.util.spec_from_file_location("cuda", ROOT / "benchmarks" / "cuda.py")
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "cuda", script)  # dataclasses look their module up
    spec.loader.exec_module(script)
    monkeypatch.setattr(script, "write_dataset", lambda *_, **__: None)
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", False)

    def fail(arguments: argparse.Namespace, report: Any, folder: Path) -> None:
        assert list(script.list_precisions(arguments, report, "resume")) == ["fp32", "bf16"]
        report.check("resume fp32", False, "other bits")

    monkeypatch.setitem(script.CHECKS, "resume", fail)
    out = tmp_path / "cuda.json"
    options = ["--device", "cpu", "--only", "resume", "--out", str(out)]
    monkeypatch.setattr(sys, "argv", ["cuda.py", *options])
    with pytest.raises(SystemExit) as ended:
        script.main()
    assert ended.value.code == 1
    assert re.search(r"^resume fp16 +not on this device: ", capsys.readouterr().out, re.MULTILINE)
    checks = {"resume fp16": "not on this device", "resume fp32": "FAILED"}
    assert json.loads(out.read_text(encoding="utf-8"))["checks"] == checks
