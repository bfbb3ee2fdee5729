"""Calls of the `planetvision` command in this process."""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass
from pathlib import Path

import pytest

from planetvision.cli import main as cli

QUICK = "quick_for_a_test"
FROZEN = "frozen_for_a_test"


@dataclass(frozen=True)
class Result:
    """How a call ended."""

    code: object
    out: str
    err: str


def call(*arguments: object) -> Result:
    out, err = io.StringIO(), io.StringIO()
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        pytest.raises(SystemExit) as ended,
    ):
        cli.main([str(argument) for argument in arguments])
    return Result(ended.value.code or 0, out.getvalue(), err.getvalue())


def train_arguments(data: object, out: Path) -> list[object]:
    return [
        "train", data, "--out", out, "--backbone", "tiny", "--recipe", QUICK,
        "--device", "cpu", "--quiet",
    ]  # fmt: skip


@dataclass(frozen=True)
class TrainedRun:
    """A run of `planetvision train`."""

    folder: Path
    result: Result
