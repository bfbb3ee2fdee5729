"""Progress, logs and trackers."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from planetvision.core.errors import MissingExtraError, OutputExistsError, UnknownNameError
from planetvision.core.settings import Recipe, Stage
from planetvision.data.loading import ImageDataset
from planetvision.models.network import PlanetNet
from planetvision.training.callbacks import (
    Callback,
    CSVLogger,
    ProgressBar,
    TensorBoardLogger,
    TrackerLogger,
)
from planetvision.training.trainer import Trainer


def test_tensorboard_without_its_package_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(MissingExtraError, match=r'pip install "planetvision\[tensorboard\]"') as c:
        TensorBoardLogger(tmp_path / "log")
    assert (c.value.package, c.value.extra) == ("tensorboard", "tensorboard")
    assert not (tmp_path / "log").exists()


STAGE = Stage(name="head", epochs=2, learning_rate=0.1, views=1)
RECIPE = Recipe(name="test", stages=(STAGE,), batch_size=6, augmentation="none")


def fit(network: PlanetNet, train: ImageDataset, *callbacks: Callback, **options: Any) -> Trainer:
    trainer = Trainer(network, RECIPE, device="cpu", num_workers=0, callbacks=callbacks, **options)
    trainer.fit(train, train)
    return trainer


def test_progress_bar_shows_stage_loss_and_accuracy(
    create: Callable[..., PlanetNet],
    train: ImageDataset,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    trainer = fit(create(), train, ProgressBar())
    shown = capsys.readouterr().err
    assert "stage head: 100%" in shown
    record = trainer.state.history[-1]
    assert f"loss={record.train_loss:.3f}, val_accuracy={record.val_accuracy:.3f}" in shown


def test_progress_in_a_log_file_is_a_line_an_epoch(
    create: Callable[..., PlanetNet], train: ImageDataset, capsys: pytest.CaptureFixture[str]
) -> None:
    trainer = fit(create(), train, ProgressBar())
    assert capsys.readouterr().err.splitlines() == [
        f"stage head, epoch {record.epoch} of 2: loss {record.train_loss:.3f}, "
        f"val_accuracy {record.val_accuracy:.3f}"
        for record in trainer.state.history
    ]


def test_csv_log_holds_the_history_and_replaces_no_other_file(
    create: Callable[..., PlanetNet], train: ImageDataset, tmp_path: Path
) -> None:
    path = tmp_path / "logs" / "history.csv"
    trainer = fit(create(), train, CSVLogger(path))
    frame = pd.read_csv(path)
    assert frame["train_loss"].tolist() == pytest.approx(
        trainer.state.history.to_frame()["train_loss"]
    )
    with pytest.raises(OutputExistsError, match="pass overwrite=True"):
        fit(create(), train, CSVLogger(path))
    fit(create(), train, CSVLogger(path, overwrite=True))


def test_tracker_of_accelerate_gets_every_epoch(
    create: Callable[..., PlanetNet], train: ImageDataset, tmp_path: Path
) -> None:
    event_accumulator = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator"
    )
    logger = TrackerLogger("tensorboard", run_name="mine", folder=tmp_path)
    trainer = fit(create(), train, logger)
    events = event_accumulator.EventAccumulator(str(tmp_path / "mine")).Reload()
    written = [scalar.value for scalar in events.Scalars("train_loss")]
    assert written == pytest.approx(
        [record.train_loss for record in trainer.state.history], rel=1e-6
    )


def test_tracker_that_is_unknown_or_not_installed_says_so() -> None:
    with pytest.raises(UnknownNameError, match=r"Unknown tracker 'wandbb'\. Did you mean 'wandb'"):
        TrackerLogger("wandbb")
    with pytest.raises(MissingExtraError, match=r"needs its package.* pip install clearml"):
        TrackerLogger("clearml")
