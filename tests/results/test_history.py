"""Training history: one row an epoch."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from planetvision.core.errors import OutputExistsError
from planetvision.results import EpochRecord, TrainingHistory

COLUMNS = [
    "stage",
    "epoch",
    "train_loss",
    "train_accuracy",
    "val_loss",
    "val_accuracy",
    "val_calibrated_loss",
    "learning_rate",
    "seconds",
]


def create_history(num_epochs: int, *, validated: bool = True) -> TrainingHistory:
    history = TrainingHistory()
    for epoch in range(1, num_epochs + 1):
        history.append(
            EpochRecord(
                stage="probe" if epoch < 3 else "tune",
                epoch=epoch,
                train_loss=1 / epoch,
                train_accuracy=1 - 0.5 / epoch,
                val_loss=1.5 / epoch if validated else None,
                val_accuracy=1 - 0.75 / epoch if validated else None,
                val_calibrated_loss=1.2 / epoch if validated else None,
                learning_rate=1e-3,
                seconds=0.25,
            )
        )
    return history


def test_history_is_a_sequence_of_records() -> None:
    history = create_history(3)
    assert len(history) == 3
    assert history[0].stage == "probe"
    assert history[-1].epoch == 3
    assert [record.epoch for record in history] == [1, 2, 3]


def test_history_frame_has_the_fields_as_columns() -> None:
    frame = create_history(4).to_frame()
    assert list(frame.columns) == COLUMNS
    assert frame["stage"].tolist() == ["probe", "probe", "tune", "tune"]
    assert frame.iloc[1].tolist() == ["probe", 2, 0.5, 0.75, 0.75, 0.625, 0.6, 1e-3, 0.25]


def test_history_of_no_epochs_has_the_columns_too() -> None:
    frame = TrainingHistory().to_frame()
    assert list(frame.columns) == COLUMNS
    assert len(frame) == 0


def test_two_histories_share_no_records() -> None:
    first, second = TrainingHistory(), TrainingHistory()
    first.append(create_history(1)[0])
    assert len(second) == 0


@pytest.mark.parametrize("validated", [True, False])
def test_save_writes_table_and_picture(tmp_path: Path, validated: bool) -> None:
    folder = create_history(4, validated=validated).save(tmp_path / "run")
    assert sorted(path.name for path in folder.iterdir()) == ["history.csv", "history.png"]
    table = pd.read_csv(folder / "history.csv")
    assert list(table.columns) == COLUMNS
    assert table["train_loss"].tolist() == pytest.approx([1, 0.5, 1 / 3, 0.25])
    assert bool(table["val_loss"].isna().all()) is not validated
    with Image.open(folder / "history.png") as picture:
        assert len(picture.convert("RGB").getcolors(10**6) or ()) > 5, "something is drawn"


def test_save_refuses_to_replace_unless_told(tmp_path: Path) -> None:
    (tmp_path / "history.csv").write_text("mine")
    with pytest.raises(OutputExistsError, match="is not empty"):
        create_history(2).save(tmp_path)
    assert (tmp_path / "history.csv").read_text() == "mine"
    create_history(2).save(tmp_path, overwrite=True)
    assert len(pd.read_csv(tmp_path / "history.csv")) == 2
