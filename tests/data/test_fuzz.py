"""Damaged files: a few hundred of those that `make fuzz` has ten thousand of."""

from __future__ import annotations

import importlib.util
import random
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from planetvision.data import decode_image
from planetvision.data.decoders import DECODERS, find_decoder

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "fuzz_images.py"
NUM_CASES = 552


@pytest.fixture(scope="module")
def fuzz() -> ModuleType:
    spec = importlib.util.spec_from_file_location("fuzz_images", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_files_before_the_damage_are_images_of_every_decoder(
    fuzz: ModuleType, tmp_path: Path
) -> None:
    covered = set()
    for kind, files in fuzz.create_seeds().items():
        folder = tmp_path / kind
        folder.mkdir()
        for name, data in files.items():
            (folder / name).write_bytes(data)
        first = next(iter(files))
        decoded = decode_image(folder / first, stretch="linear")
        assert decoded.array.std() > 10, kind
        spec = find_decoder(files[first], first)
        assert spec is not None
        covered.add(spec.name)
    assert covered == set(DECODERS.names())


def test_damage_is_repeatable_and_changes_the_file(fuzz: ModuleType) -> None:
    data = bytes(range(256)) * 4
    damaged = [fuzz.mutate(data, random.Random(seed), b"other") for seed in range(40)]
    assert damaged == [fuzz.mutate(data, random.Random(seed), b"other") for seed in range(40)]
    assert sum(item != data for item in damaged) >= 36


def test_damaged_files_give_an_image_or_an_image_error_and_nothing_else() -> None:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--count", str(NUM_CASES), "--batch", str(NUM_CASES)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{NUM_CASES} files;" in done.stdout
    assert "     0  of anything else" in done.stdout
    counts = {
        line[8:]: int(line[:6])
        for line in done.stdout.splitlines()
        if line[:6].strip().isdigit() and line[6:8] == "  "
    }
    assert counts["image"] > NUM_CASES / 10
    assert counts["it is damaged or"] > NUM_CASES / 10
    assert sum(counts.values()) == NUM_CASES


def test_worker_tells_of_other_exceptions_and_of_output(
    fuzz: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def explode(*arguments: object, **options: object) -> None:
        raise ValueError("not ours")

    monkeypatch.setattr("planetvision.data.read_image", explode)
    result = fuzz.run_case({"a.png": b"123"}, random.Random(0), tmp_path)
    assert result == "FAILURE: ValueError: not ours"
