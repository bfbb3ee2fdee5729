"""`TrainingHistory`: one record per epoch."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from planetvision.core.files import create_output_folder, write_table

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, kw_only=True)
class EpochRecord:
    """One epoch.

    Args:
        stage: The stage it belongs to.
        epoch: Its number from 1, counted through all stages.
        train_loss: The mean loss over the training images, under augmentation, each weighing what
            its class does; images outside the classes are not counted.
        train_accuracy: The share of them that was right, in [0, 1].
        val_loss: The mean cross-entropy over the validation images; None without any.
        val_accuracy: The share of them that was right.
        val_calibrated_loss: The mean cross-entropy over them at the temperature that makes it
            lowest.
        learning_rate: The head's rate at the epoch's first step.
        seconds: How long it took.
    """

    stage: str
    epoch: int
    train_loss: float
    train_accuracy: float
    val_loss: float | None
    val_accuracy: float | None
    val_calibrated_loss: float | None = None
    learning_rate: float
    seconds: float


@dataclass
class TrainingHistory:
    """The epochs of a training, in order."""

    records: list[EpochRecord] = field(default_factory=list)

    def append(self, record: EpochRecord) -> None:
        """Adds an epoch."""
        self.records.append(record)

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> EpochRecord:
        return self.records[index]

    def __iter__(self) -> Iterator[EpochRecord]:
        return iter(self.records)

    def to_frame(self) -> pd.DataFrame:
        """Returns a table with the fields of `EpochRecord` as columns."""
        import pandas as pd

        columns = [item.name for item in dataclasses.fields(EpochRecord)]
        rows = [dataclasses.asdict(record) for record in self.records]
        return pd.DataFrame(rows, columns=columns)

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Writes `history.csv` and `history.png` into a folder, and returns the folder.

        Args:
            path: The folder, which must be new or empty.
            overwrite: Whether files in it may be replaced.

        Raises:
            OutputExistsError: If it is not empty and `overwrite` is false.
        """
        from planetvision.results.plots.style import save_figure
        from planetvision.results.plots.training import plot_history

        folder = create_output_folder(path, overwrite=overwrite)
        frame = self.to_frame()
        write_table(folder / "history.csv", frame)
        save_figure(plot_history(frame), folder / "history.png")
        return folder
