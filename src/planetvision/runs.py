"""A run: train a classifier and write down all that it gave, in one folder."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from planetvision.classifier import PlanetClassifier
from planetvision.data import save_manifest
from planetvision.errors import OutputError
from planetvision.files import check_output, create_output_folder

if TYPE_CHECKING:
    from planetvision.data import Label
    from planetvision.data.tables import ColumnMap
    from planetvision.results import Evaluation
    from planetvision.training.callbacks import Callback

__all__ = ["Run", "train_run"]


@dataclass(frozen=True, kw_only=True)
class Run:
    """What a run left behind.

    Args:
        folder: It holds `model/`, `history.csv`, `history.png`, `split.csv`, and `report/` where
            there is a test part.
        classifier: The trained classifier.
        evaluation: How good it is on the test part; None where there is none.
    """

    folder: Path
    classifier: PlanetClassifier
    evaluation: Evaluation | None


def train_run(
    classifier: PlanetClassifier,
    data: Any,
    folder: str | os.PathLike[str],
    *,
    labels: Iterable[Label] | None = None,
    groups: Iterable[object] | None = None,
    columns: ColumnMap | None = None,
    callbacks: Iterable[Callback] = (),
    overwrite: bool = False,
) -> Run:
    """Trains the classifier on `data` and returns the run.

    Args:
        classifier: Not yet trained.
        data: A folder, a table, or with `labels` a sequence, as for `PlanetClassifier.fit`.
        folder: Where the run goes; it must be new or empty, and not inside the data.
        labels: The label of each image of a sequence.
        groups: The group of each image of a sequence, as for `fit`.
        columns: The names of a table's columns, as for `fit`.
        callbacks: Hooks into the training.
        overwrite: Whether files of an earlier run may be replaced.

    Raises:
        OutputExistsError: If the folder is not empty and `overwrite` is false; before training.
        OutputError: If the folder lies inside the data, where it would become a class.
    """
    target = check_output(folder, overwrite=overwrite)
    if isinstance(data, str | os.PathLike) and target.resolve().is_relative_to(
        Path(data).resolve()
    ):
        raise OutputError(
            f"The output folder '{target}' lies in the data folder '{os.fspath(data)}', where it "
            "would be taken for a class. Name another one.",
            path=str(target),
        )
    classifier.fit(data, labels, groups=groups, columns=columns, callbacks=callbacks)
    # It was checked above, and a callback may have written its log there since.
    create_output_folder(target, overwrite=True)
    # The model first: whatever fails after it, the training is not lost.
    classifier.save(target / "model", overwrite=overwrite)
    save_manifest(classifier.split_, target / "split.csv", overwrite=True)
    classifier.history_.save(target, overwrite=True)
    evaluation = None
    if "test" in (classifier.split_.splits or ()):
        evaluation = classifier.evaluate()
        evaluation.save(target / "report", overwrite=overwrite)
        classifier.save(target / "model", overwrite=True)  # now with its scores
    elif (target / "report" / "metrics.json").exists():
        shutil.rmtree(target / "report")  # of the earlier run, which was to be overwritten
    return Run(folder=target, classifier=classifier, evaluation=evaluation)
