"""A run: train a classifier, write down all that it gave in one folder, go on if it is cut off."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from planetvision.classifiers.classifier import PlanetClassifier
from planetvision.core.devices import is_main_process
from planetvision.core.errors import CheckpointError, OutputError
from planetvision.core.files import check_output, create_output_folder, write_json
from planetvision.data import save_manifest
from planetvision.data.sources import list_input_places
from planetvision.training.callbacks import Callback

if TYPE_CHECKING:
    from planetvision.data import Label
    from planetvision.data.tables import ColumnMap
    from planetvision.results import Evaluation
    from planetvision.training.state import TrainingState

__all__ = [
    "Run",
    "can_resume",
    "check_apart_from_others",
    "check_outside_data",
    "describe_start",
    "is_run_folder",
    "resume_run",
    "train_run",
]

_CHECKPOINTS = "checkpoint"
_SETTINGS = "run.json"


@dataclass(frozen=True, kw_only=True)
class Run:
    """What a run left behind.

    Args:
        folder: It holds `model/`, `history.csv`, `history.png`, `split.csv`, `run.json`, and
            `report/` where there is a test part.
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
    others: Any = None,
    warm_start_from: Any = None,
    callbacks: Iterable[Callback] = (),
    overwrite: bool = False,
    resume: bool = False,
) -> Run:
    """Trains the classifier on `data` and returns the run.

    While it trains, the folder holds `checkpoint/`, from which a run that is cut off goes on, and
    `run.json`, which says how it was started. Of several processes of a launcher one writes.

    Args:
        classifier: Not yet trained.
        data: A folder, a table, or with `labels` a sequence, as for `PlanetClassifier.fit`.
        folder: Where the run goes; it must be new or empty, not inside the data, and apart from
            `others`.
        labels: The label of each image of a sequence.
        groups: The group of each image of a sequence, as for `fit`.
        columns: The names of a table's columns, as for `fit`.
        others: Images that show none of the classes, as for `fit`.
        warm_start_from: A trained model to begin with, as for `fit`.
        callbacks: Hooks into the training.
        overwrite: Whether files of an earlier run may be replaced.
        resume: Whether this is a run that was cut off, and goes on; data and settings must be the
            same.

    Raises:
        CheckpointError: If it shall go on and there is no checkpoint, or it is of another training.
        OutputExistsError: If the folder is not empty and `overwrite` is false; before training.
        OutputError: If the folder lies inside the data, where it would become a class; or inside
            `others`, or these inside it.
    """
    overwrite = overwrite or resume or not is_main_process()
    target = check_output(folder, overwrite=overwrite)
    check_outside_data(target, data)
    check_apart_from_others(target, others)
    described = describe_start(
        classifier, data, labels, columns, others=others, warm_start_from=warm_start_from
    )
    classifier.fit(
        data,
        labels,
        groups=groups,
        columns=columns,
        others=others,
        warm_start_from=warm_start_from,
        callbacks=[_Start(target, described), *callbacks],
        checkpoints=target / _CHECKPOINTS,
        resume=resume,
    )
    if not is_main_process():
        return Run(folder=target, classifier=classifier, evaluation=None)
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
    shutil.rmtree(target / _CHECKPOINTS, ignore_errors=True)
    return Run(folder=target, classifier=classifier, evaluation=evaluation)


def check_outside_data(target: Path, data: Any) -> None:
    """Checks that an output folder does not lie in the folder of the data.

    Raises:
        OutputError: If it does, where it would become a class.
    """
    if isinstance(data, str | os.PathLike) and target.resolve().is_relative_to(
        Path(data).resolve()
    ):
        raise OutputError(
            f"The output folder '{target}' lies in the data folder '{os.fspath(data)}', where it "
            "would be taken for a class. Name another one.",
            path=str(target),
        )


def check_apart_from_others(target: Path, others: Any) -> None:
    """Checks that an output folder and the images of none of the classes do not lie in each other.

    Raises:
        OutputError: If the folder lies in theirs, where its pictures would be taken for others, or
            they lie in it, where they might be replaced.
    """
    root = target.resolve()
    for one in others if isinstance(others, list | tuple) else [others]:
        (place,) = list_input_places(one) if isinstance(one, str | os.PathLike) else (None,)
        if place is None:
            continue
        # A pattern such as others/*/*.png matches what lies in folders of that folder.
        deeper = len(Path(one).absolute().parts) - len(place.absolute().parts)
        reaches_down = Path(one).is_dir() or "**" in os.fspath(one) or deeper > 1
        if reaches_down and root.is_relative_to(place.resolve()):
            raise OutputError(
                f"The output folder '{target}' lies in the folder of others '{place}', where its "
                "pictures would be taken for others. Name another one.",
                path=str(target),
            )
        if place.resolve().is_relative_to(root):
            raise OutputError(
                f"The others in '{place}' lie in the output folder '{target}', whose files may be "
                "replaced. Name another folder for the output.",
                path=str(target),
            )


def can_resume(folder: str | os.PathLike[str], *, written_since: float = 0.0) -> bool:
    """Returns whether the run in this folder was cut off and can go on.

    Args:
        folder: The folder of the run.
        written_since: Since when its checkpoint must have been written, as `time.time()` gives it.
    """
    checkpoint = Path(folder, _CHECKPOINTS, "stage.pt")
    return checkpoint.is_file() and checkpoint.stat().st_mtime >= written_since


def is_run_folder(folder: str | os.PathLike[str]) -> bool:
    """Returns whether a run was started in this folder, finished or not."""
    return Path(folder, _SETTINGS).is_file()


def resume_run(
    folder: str | os.PathLike[str],
    *,
    callbacks: Iterable[Callback] = (),
    progress: bool = False,
) -> Run:
    """Goes on with a run that was cut off, as it was started, and returns it.

    Args:
        folder: The folder of the run.
        callbacks: Hooks into the training.
        progress: Whether to show progress bars.

    Raises:
        CheckpointError: If there is nothing to go on from, the data have changed, or the data,
            `others` or the model to begin with were in memory (then call `train_run` with them and
            `resume=True`).
    """
    target = Path(folder)
    try:
        described = json.loads((target / _SETTINGS).read_text(encoding="utf-8"))
        data, columns, settings = (described[name] for name in ("data", "columns", "settings"))
        others, start = described.get("others"), described.get("warm_start_from")
    except (OSError, ValueError, KeyError, TypeError) as cause:
        raise CheckpointError(
            f"'{target}' holds no run that could go on ({_SETTINGS} cannot be read: {cause}). Name "
            "the folder of a run that was cut off.",
            path=str(target),
        ) from cause
    if not can_resume(target):
        done = (target / "model" / "config.json").is_file()
        raise CheckpointError(
            f"The run '{target}' cannot go on: "
            + ("it is finished." if done else "it was cut off before its first stage. Start anew."),
            path=str(target),
        )
    if data is None:
        # Runs of earlier versions do not say what was in memory.
        raise CheckpointError(
            _say_what_to_pass_again(target, described.get("in_memory", ["data"])),
            path=str(target),
        )
    classifier = PlanetClassifier.from_settings({**settings, "progress": progress})
    return train_run(
        classifier,
        data,
        target,
        columns=columns,
        others=others,
        warm_start_from=start,
        callbacks=callbacks,
        resume=True,
    )


def _say_what_to_pass_again(target: Path, names: Sequence[str]) -> str:
    parts = {
        "data": "its images as a list",
        "others": "its `others` as images in memory",
        "warm_start_from": "a classifier in memory to begin with",
    }
    given = [parts[name] for name in names]
    listed = " and ".join([", ".join(given[:-1]), given[-1]] if given[1:] else given)
    data = "images, folder, labels=..." if "data" in names else "data, folder"
    options = "".join(f", {name}=..." for name in ("others", "warm_start_from") if name in names)
    return (
        f"The run '{target}' was given {listed}, which is not written down. Call "
        f"train_run(classifier, {data}{options}, resume=True) with the same, and with all else "
        "that it was given."
    )


class _Start(Callback):
    """Writes how a run was started, once its settings and its data have proved to be right."""

    def __init__(self, folder: Path, described: Mapping[str, Any]) -> None:
        self.folder = folder
        self.described = described

    def on_fit_begin(self, state: TrainingState) -> None:
        if state.is_main_process:
            create_output_folder(self.folder, overwrite=True)
            write_json(self.folder / _SETTINGS, self.described)


def describe_start(
    classifier: PlanetClassifier,
    data: Any,
    labels: object,
    columns: ColumnMap | None,
    *,
    others: Any = None,
    warm_start_from: Any = None,
) -> dict[str, Any]:
    """Returns how a run was started, as JSON can hold it.

    Where a part of it is in memory, such as images in a list, `in_memory` names it, and `data` is
    None: it cannot go on by itself.
    """
    listed = others if isinstance(others, list | tuple) else [] if others is None else [others]
    start = [] if warm_start_from is None else [warm_start_from]
    given = [data, *start, *listed]
    in_memory = [
        name
        for name, parts in (("data", [data]), ("others", listed), ("warm_start_from", start))
        if not all(isinstance(part, str | os.PathLike) for part in parts)
        or (name == "data" and labels is not None)
    ]
    if in_memory:
        paths: list[str | None] = [None] * (1 + len(start))
    else:
        paths = [os.path.abspath(part) for part in given]  # noqa: PTH100
    return {
        "data": paths[0],
        "in_memory": in_memory,
        "columns": None if columns is None else dict(columns),
        "others": paths[1 + len(start) :] or None,
        "warm_start_from": paths[1] if start else None,
        "settings": classifier.to_settings(),
    }
