"""Progress bars, and what is missing for TensorBoard."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, cast

import pytest

from planetvision.config import Stage
from planetvision.errors import MissingExtraError
from planetvision.results import EpochRecord
from planetvision.training.callbacks import ProgressBar, TensorBoardLogger


def test_tensorboard_without_its_package_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(MissingExtraError, match=r'pip install "planetvision\[tensorboard\]"') as c:
        TensorBoardLogger(tmp_path / "log")
    assert (c.value.package, c.value.extra) == ("tensorboard", "tensorboard")
    assert not (tmp_path / "log").exists()


def test_progress_bar_shows_stage_loss_and_accuracy_and_closes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    bar, trainer = ProgressBar(), cast(Any, None)
    record = EpochRecord(
        stage="head",
        epoch=1,
        train_loss=0.6251,
        train_accuracy=0.5,
        val_loss=0.5,
        val_accuracy=0.875,
        learning_rate=0.1,
        seconds=1.0,
    )
    bar.on_epoch_end(trainer, record)  # before any stage: nothing to move
    bar.on_stage_begin(trainer, Stage(name="head", epochs=1, learning_rate=0.1))
    bar.on_epoch_end(trainer, record)
    bar.on_fit_end(trainer)
    bar.on_stage_end(trainer, Stage(name="head", epochs=1, learning_rate=0.1))
    shown = capsys.readouterr().err
    assert "stage head: 100%" in shown
    assert "loss=0.625, val_accuracy=0.875" in shown
