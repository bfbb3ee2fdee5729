"""A run: train a classifier with all results in one folder, and resume an interrupted run."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from planetvision.classifiers.classifier import PlanetClassifier
from planetvision.core.devices import is_main_process
from planetvision.core.errors import CheckpointError, OutputError
from planetvision.core.files import check_output, create_output_folder, write_json
from planetvision.core.renamed import SETTINGS, START, rename
from planetvision.data import save_manifest
from planetvision.data.sources import list_input_places
from planetvision.training.callbacks import Callback
from planetvision.training.recipes import RECIPES

if TYPE_CHECKING:
    from planetvision.core.settings import Label
    from planetvision.data.tables import ColumnMap
    from planetvision.results import Evaluation
    from planetvision.training.state import TrainingState


_CHECKPOINTS = "checkpoint"
_SETTINGS = "run.json"


@dataclass(frozen=True, kw_only=True)
class Run:
    """A finished run.

    Args:
        folder: The folder with `model/`, `history.csv`, `history.png`, `split.csv`, `run.json`, and
            `report/` if there is a test split.
        classifier: The trained classifier.
        evaluation: The evaluation on the test split, if there is one.
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
    negatives: Any = None,
    init_from: Any = None,
    callbacks: Iterable[Callback] = (),
    overwrite: bool = False,
    resume: bool = False,
) -> Run:
    """Trains the classifier on `data` and returns the run.

    During training the folder holds `checkpoint/`, from which an interrupted run resumes, and
    `run.json` with the settings of the run. With several processes of a launcher, one writes.

    Args:
        classifier: An untrained classifier.
        data: A folder, a table, or with `labels` a sequence, as for `PlanetClassifier.fit`.
        folder: The output folder; it must be new or empty, and outside of the data and `negatives`.
        labels: The label of each image of a sequence.
        groups: The group of each image of a sequence, as for `fit`.
        columns: The names of a table's columns, as for `fit`.
        negatives: Negatives, as for `fit`.
        init_from: A trained model to fine-tune from, as for `fit`.
        callbacks: Hooks into the training.
        overwrite: Whether files of an earlier run may be replaced.
        resume: Whether to resume an interrupted run with the same data and settings.

    Raises:
        CheckpointError: If there is no checkpoint to resume from, or it is of another training.
        OutputExistsError: If the folder is not empty and `overwrite` is false; before training.
        OutputError: If the folder lies inside the data, where it would become a class, or inside
            `negatives`, or `negatives` lie inside the folder.
    """
    overwrite = overwrite or resume or not is_main_process()
    target = check_output(folder, overwrite=overwrite)
    check_outside_data(target, data)
    check_apart_from_negatives(target, negatives)
    described = describe_start(
        classifier, data, labels, columns, negatives=negatives, init_from=init_from
    )
    classifier.fit(
        data,
        labels,
        groups=groups,
        columns=columns,
        negatives=negatives,
        init_from=init_from,
        callbacks=[_Start(target, described), *callbacks],
        checkpoints=target / _CHECKPOINTS,
        resume=resume,
    )
    if not is_main_process():
        return Run(folder=target, classifier=classifier, evaluation=None)
    # Checked above; a callback may have written its log there since.
    create_output_folder(target, overwrite=True)
    # The model first, so that a later failure does not lose the training.
    classifier.save(target / "model", overwrite=overwrite)
    save_manifest(classifier.split_, target / "split.csv", overwrite=True)
    classifier.history_.save(target, overwrite=True)
    evaluation = None
    if "test" in (classifier.split_.splits or ()):
        evaluation = classifier.evaluate()
        evaluation.save(target / "report", overwrite=overwrite)
        classifier.save(target / "model", overwrite=True)  # now with its scores
    elif (target / "report" / "metrics.json").exists():
        shutil.rmtree(target / "report")  # of the earlier run
    shutil.rmtree(target / _CHECKPOINTS, ignore_errors=True)
    return Run(folder=target, classifier=classifier, evaluation=evaluation)


def check_outside_data(target: Path, data: Any) -> None:
    """Checks that an output folder does not lie in the folder of the data.

    Raises:
        OutputError: If it lies there, where it would become a class.
    """
    if isinstance(data, str | os.PathLike) and target.resolve().is_relative_to(
        Path(data).resolve()
    ):
        raise OutputError(
            f"The output folder '{target}' lies in the data folder '{os.fspath(data)}', where it "
            "would be taken for a class. Choose another one.",
            path=str(target),
        )


def check_apart_from_negatives(target: Path, negatives: Any) -> None:
    """Checks that an output folder and the negatives do not lie in each other.

    Raises:
        OutputError: If the output folder lies in the folder of the negatives, where its pictures
            would be taken for negatives, or contains them, where they might be replaced.
    """
    root = target.resolve()
    for one in negatives if isinstance(negatives, list | tuple) else [negatives]:
        (place,) = list_input_places(one) if isinstance(one, str | os.PathLike) else (None,)
        if place is None:
            continue
        # A pattern such as negatives/*/*.png also matches files in subfolders.
        deeper = len(Path(one).absolute().parts) - len(place.absolute().parts)
        reaches_down = Path(one).is_dir() or "**" in os.fspath(one) or deeper > 1
        if reaches_down and root.is_relative_to(place.resolve()):
            raise OutputError(
                f"The output folder '{target}' lies in the folder of negatives '{place}', where "
                "its pictures would be taken for negatives. Choose another one.",
                path=str(target),
            )
        if place.resolve().is_relative_to(root):
            raise OutputError(
                f"The negatives in '{place}' lie in the output folder '{target}', whose files may "
                "be replaced. Choose another folder for the output.",
                path=str(target),
            )


def can_resume(folder: str | os.PathLike[str], *, written_since: float = 0.0) -> bool:
    """Returns whether the folder holds an interrupted run that can resume.

    Args:
        folder: The folder of the run.
        written_since: The earliest time of its checkpoint, as from `time.time()`.
    """
    checkpoint = Path(folder, _CHECKPOINTS, "stage.pt")
    return checkpoint.is_file() and checkpoint.stat().st_mtime >= written_since


def is_run_folder(folder: str | os.PathLike[str]) -> bool:
    """Returns whether a run was started in this folder, finished or not."""
    return Path(folder, _SETTINGS).is_file()


def read_start(path: Path, names: Sequence[str], *, noun: str) -> dict[str, Any]:
    """Returns what `describe_start` and its caller wrote to a file.

    Args:
        path: The file.
        names: The names that it must have.
        noun: What was started, for the message.

    Raises:
        CheckpointError: If the file cannot be read or lacks one of the names.
    """
    try:
        described = rename(json.loads(path.read_text(encoding="utf-8")), START)
        described["settings"] = rename(described["settings"], SETTINGS)
        if described["settings"].get("recipe") == "best":  # a second name of `balanced`, once
            recipe = replace(RECIPES.get("balanced").build(), name="best").to_dict()
            described["settings"]["recipe"] = json.loads(json.dumps(recipe))
        return {**described, **{name: described[name] for name in names}}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as cause:
        raise CheckpointError(
            f"'{path.parent}' holds no {noun} to resume ({path.name} cannot be read: {cause}). "
            "Pass the folder of an interrupted one.",
            path=str(path.parent),
        ) from cause


def resume_run(
    folder: str | os.PathLike[str],
    *,
    callbacks: Iterable[Callback] = (),
    progress: bool = False,
) -> Run:
    """Resumes an interrupted run with its settings, and returns it.

    Args:
        folder: The folder of the run.
        callbacks: Hooks into the training.
        progress: Whether to show progress bars.

    Raises:
        CheckpointError: If there is nothing to resume, the data have changed, or the data,
            `negatives` or the model to fine-tune from were in memory (then call `train_run` with
            them and `resume=True`).
    """
    target = Path(folder)
    described = read_start(target / _SETTINGS, ("data", "columns", "settings"), noun="run")
    if not can_resume(target):
        done = (target / "model" / "config.json").is_file()
        raise CheckpointError(
            f"The run '{target}' cannot resume: "
            + ("it is finished." if done else "it stopped before its first stage. Start again."),
            path=str(target),
        )
    if described["data"] is None:
        # Runs of earlier versions do not record what was in memory.
        raise CheckpointError(
            _explain_what_to_pass(
                target, [START.get(it, it) for it in described.get("in_memory", ["data"])]
            ),
            path=str(target),
        )
    classifier = PlanetClassifier.from_settings({**described["settings"], "progress": progress})
    return train_run(
        classifier,
        described["data"],
        target,
        columns=described["columns"],
        negatives=described.get("negatives"),
        init_from=described.get("init_from"),
        callbacks=callbacks,
        resume=True,
    )


def _explain_what_to_pass(target: Path, names: Sequence[str]) -> str:
    parts = {
        "data": "its images as a list",
        "negatives": "its `negatives` as images in memory",
        "init_from": "a classifier in memory to fine-tune from",
    }
    given = [parts[name] for name in names]
    listed = " and ".join([", ".join(given[:-1]), given[-1]] if given[1:] else given)
    data = "images, folder, labels=..." if "data" in names else "data, folder"
    options = "".join(f", {name}=..." for name in ("negatives", "init_from") if name in names)
    return (
        f"The run '{target}' was given {listed}, which is not stored. Call "
        f"train_run(classifier, {data}{options}, resume=True) with the same arguments as before."
    )


class _Start(Callback):
    """Writes the settings of a run, after its settings and data have been checked."""

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
    negatives: Any = None,
    init_from: Any = None,
) -> dict[str, Any]:
    """Returns the arguments of a run in a form that JSON can hold.

    `in_memory` names arguments that are in memory, such as images in a list. Then `data` is None,
    and the run cannot resume from its folder alone.
    """
    listed = (
        negatives
        if isinstance(negatives, list | tuple)
        else []
        if negatives is None
        else [negatives]
    )
    start = [] if init_from is None else [init_from]
    given = [data, *start, *listed]
    in_memory = [
        name
        for name, parts in (("data", [data]), ("negatives", listed), ("init_from", start))
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
        "negatives": paths[1 + len(start) :] or None,
        "init_from": paths[1] if start else None,
        "settings": classifier.to_settings(),
    }
