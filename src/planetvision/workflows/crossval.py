"""Cross-validation: each image is tested once, by a model that was not trained on it."""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import clone

from planetvision.classifiers.classifier import PlanetClassifier
from planetvision.core.errors import CheckpointError, DataError, SettingsError, itemize
from planetvision.core.files import (
    check_output,
    create_output_folder,
    create_table,
    write_json,
    write_table,
)
from planetvision.data import Catalog, read_labelled, split_catalog, split_folds
from planetvision.data.catalog import SplitName
from planetvision.data.manifest import hash_sources
from planetvision.evaluation.metrics import wilson_interval
from planetvision.results.crossvalidation import RESULT_FILES, CrossValidation, FoldScore
from planetvision.results.predictions import Predictions
from planetvision.training.callbacks import Callback
from planetvision.training.plan import create_plan
from planetvision.workflows.run import (
    can_resume,
    check_outside_data,
    describe_start,
    read_start,
    train_run,
)

if TYPE_CHECKING:
    from planetvision.core.settings import InputSpec, Label
    from planetvision.data.tables import ColumnMap
    from planetvision.results import Evaluation


_SETTINGS = "crossval.json"
_FOLDS = "folds.csv"
# The last file of a fold: it is finished.
_DONE = "fold.json"
_ANSWERS = Path("report", "predictions.csv")
# Settings that change no result.
_FREE_SETTINGS = frozenset({"progress", "num_workers", "cache", "cache_gigabytes"})
# The other images of a fold are split in two: with two folds each needs two groups of a class.
_MIN_GROUPS = 4


def cross_validate(
    classifier: PlanetClassifier,
    data: Any,
    folder: str | os.PathLike[str],
    *,
    num_folds: int = 5,
    labels: Iterable[Label] | None = None,
    groups: Iterable[object] | None = None,
    columns: ColumnMap | None = None,
    callbacks: Iterable[Callback] = (),
    keep_models: bool = True,
    overwrite: bool = False,
    resume: bool = False,
    say: Callable[[str], object] | None = None,
) -> CrossValidation:
    """Trains once per fold, tests on that fold, and returns the scores.

    The folds are stratified by class and keep groups and near-duplicates together. Each fold splits
    its validation images (`val_fraction`) from the others. Splits of the data are ignored.

    The folder holds `fold-1` and so on, each a run of `train_run`, and the files of
    `CrossValidation.save`. `crossval.json` and `folds.csv` hold the settings and the fold of each
    image, from which an interrupted cross-validation resumes.

    Args:
        classifier: The settings of the training; it stays untrained.
        data: Labelled images, as for `PlanetClassifier.fit`.
        folder: The output folder; it must be new or empty, and not inside the data.
        num_folds: The number of folds, at least 2.
        labels: The label of each image of a sequence.
        groups: The group of each image of a sequence, as for `fit`.
        columns: The names of a table's columns, as for `fit`.
        callbacks: Hooks into each training.
        keep_models: Whether to keep the model of each fold.
        overwrite: Whether files of an earlier cross-validation may be replaced.
        resume: Whether to resume an interrupted cross-validation with the same data and settings.
        say: A function that receives a line after each fold.

    Raises:
        SettingsError: If settings are wrong, there are fewer than 2 folds, or a launcher started
            several processes.
        DataError: If the data cannot be used, or a class has too few images or groups for the
            folds; before any training.
        CheckpointError: If it cannot resume, or data or settings have changed.
        OutputExistsError: If the folder is not empty and `overwrite` is false.
        OutputError: If the folder lies inside the data.
    """
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    if processes > 1:
        raise SettingsError(
            f"Cross-validation runs in one process, got {processes}. Start it without a launcher, "
            "or train single runs with one."
        )
    target = check_output(folder, overwrite=overwrite or resume)
    check_outside_data(target, data)
    spec = create_plan(classifier).input_spec
    described = {
        **describe_start(classifier, data, labels, columns),
        "num_folds": num_folds,
        "keep_models": keep_models,
    }
    catalog = read_labelled(
        data, labels, groups=groups, columns=columns, class_map=classifier.class_map
    )
    given = replace(catalog, splits=None, sources=tuple(map(_make_absolute, catalog.sources)))
    if resume:
        catalog, folds = _read_folds(target, given, described)
    else:
        catalog, folds = _assign_folds(given, num_folds, classifier, spec)
    splits = _split_by_fold(catalog, folds, classifier)
    if not resume:
        _start(target, given, catalog, folds, described)
    for number, split in enumerate(splits, start=1):
        place = target / f"fold-{number}"
        _train_fold(classifier, split, place, callbacks=callbacks, keep_model=keep_models)
        if say is not None:
            say(f"fold {number} of {num_folds} is finished")
    result = _collect(target, catalog, folds)
    result.save(target, overwrite=True)
    return result


def _assign_folds(
    given: Catalog, num_folds: int, classifier: PlanetClassifier, spec: InputSpec
) -> tuple[Catalog, tuple[int, ...]]:
    """Returns the readable images with their groups, and the fold of each."""
    from planetvision.data.preparation import prepare_catalog

    # A first try that costs nothing, before every file is decoded.
    split_folds(given, num_folds, seed=classifier.random_state)
    prepared = prepare_catalog(
        given,
        spec,
        group_duplicates=classifier.group_duplicates,
        num_splits=max(num_folds, _MIN_GROUPS),
        on_error=classifier.on_error,
        progress=classifier.progress,
    )
    folds = split_folds(prepared.catalog, num_folds, seed=classifier.random_state)
    return prepared.catalog, tuple(folds)


def can_resume_cross_validation(
    folder: str | os.PathLike[str], *, written_since: float = 0.0
) -> bool:
    """Returns whether the folder holds a cross-validation that can resume.

    Args:
        folder: The folder.
        written_since: The earliest time of its start, as from `time.time()`.
    """
    settings = Path(folder, _SETTINGS)
    return settings.is_file() and settings.stat().st_mtime >= written_since


def resume_cross_validation(
    folder: str | os.PathLike[str],
    *,
    callbacks: Iterable[Callback] = (),
    progress: bool = False,
    say: Callable[[str], object] | None = None,
) -> CrossValidation:
    """Resumes an interrupted cross-validation with its settings, and returns the scores.

    A finished cross-validation returns its scores without any training.

    Args:
        folder: The folder.
        callbacks: Hooks into each training.
        progress: Whether to show progress bars.
        say: As for `cross_validate`.

    Raises:
        CheckpointError: If there is nothing to resume, the data were given as a list (then call
            `cross_validate` with them and `resume=True`), or the data have changed.
    """
    target = Path(folder)
    described = _read_start(target)
    if described["data"] is None:
        raise CheckpointError(
            f"The cross-validation '{target}' was given its images as a list, which is not stored. "
            "Call cross_validate(classifier, images, folder, labels=..., resume=True) with the "
            "same list.",
            path=str(target),
        )
    return cross_validate(
        PlanetClassifier.from_settings({**described["settings"], "progress": progress}),
        described["data"],
        target,
        num_folds=described["num_folds"],
        columns=described["columns"],
        callbacks=callbacks,
        keep_models=described["keep_models"],
        resume=True,
        say=say,
    )


def _make_absolute(source: Any) -> Any:
    if isinstance(source, str | os.PathLike):
        return os.path.abspath(source)  # noqa: PTH100 - Path.absolute keeps ".."
    return source


def _split_by_fold(
    catalog: Catalog, folds: Sequence[int], classifier: PlanetClassifier
) -> list[Catalog]:
    """Returns the catalog once per fold, split for training, validation and test."""
    found = []
    for number in range(max(folds) + 1):
        splits: tuple[SplitName, ...] = tuple(
            "test" if given == number else "train" for given in folds
        )
        fold = replace(catalog, splits=splits, origin=f"fold {number + 1} of {catalog.origin}")
        found.append(
            split_catalog(fold, val_fraction=classifier.val_fraction, seed=classifier.random_state)
        )
    return found


def _start(
    target: Path,
    given: Catalog,
    catalog: Catalog,
    folds: Sequence[int],
    described: Mapping[str, Any],
) -> None:
    """Writes the settings and folds, and removes the files of an earlier cross-validation."""
    for place in target.glob("fold-*"):
        if (place / _DONE).is_file() or can_resume(place):
            shutil.rmtree(place)
    create_output_folder(target, overwrite=True)
    # Settings first: without them a stale result cannot be resumed.
    for name in (_SETTINGS, _FOLDS, *RESULT_FILES):
        (target / name).unlink(missing_ok=True)
    readable = set(map(id, catalog.sources))
    # The name of an image in memory is its position among all given images.
    named = [
        (name, id(source) in readable)
        for name, source in zip(_escape_names(given), given.sources, strict=True)
    ]
    table = create_table(
        {
            "path": [name for name, is_readable in named if is_readable],
            "label": list(catalog.labels or ()),
            "group": list(catalog.groups or [""] * len(catalog)),
            "sha256": list(catalog.hashes or ()),
            "fold": [fold + 1 for fold in folds],
        }
    )
    write_table(target / _FOLDS, table)
    left_out = [name for name, is_readable in named if not is_readable]
    write_json(target / _SETTINGS, {**described, "num_folds": max(folds) + 1, "left_out": left_out})


def _escape_names(catalog: Catalog) -> list[str]:
    """Returns the names in a form that a text file can hold."""
    return [name.encode(errors="backslashreplace").decode() for name in catalog.names]


def _read_start(target: Path) -> dict[str, Any]:
    names = ("data", "columns", "settings", "num_folds", "keep_models", "left_out")
    return read_start(target / _SETTINGS, names, noun="cross-validation")


def _read_folds(
    target: Path, given: Catalog, described: Mapping[str, Any]
) -> tuple[Catalog, tuple[int, ...]]:
    """Returns the images with their groups and folds, if data and settings are unchanged."""
    import pandas as pd

    earlier = _read_start(target)
    try:
        table = pd.read_csv(target / _FOLDS, dtype=str, keep_default_na=False)
        folds = tuple(int(fold) - 1 for fold in table["fold"])
        paths, labels, groups, hashes = (
            table[name].tolist() for name in ("path", "label", "group", "sha256")
        )
    except (OSError, ValueError, KeyError) as cause:
        raise CheckpointError(
            f"The cross-validation '{target}' cannot resume ({_FOLDS} cannot be read: {cause}). "
            "Start again.",
            path=str(target),
        ) from cause
    names, left_out = _escape_names(given), set(earlier["left_out"])
    differences = _compare_settings(earlier, described)
    kept = [row for row, name in enumerate(names) if name not in left_out]
    catalog = given.select(kept)
    if [names[row] for row in kept] == paths:
        found = hash_sources(catalog.sources)
        for row, path in enumerate(paths):
            label = str((catalog.labels or ())[row])
            if label != labels[row]:
                differences.append(f"'{path}' was '{labels[row]}', now it is '{label}'")
            elif found[row] != hashes[row]:
                differences.append(f"'{path}' has changed" if found[row] else f"'{path}' is gone")
    else:
        now, before = set(names) - left_out, set(paths)
        differences += [f"'{path}' is gone" for path in sorted(before - now)]
        differences += [f"'{path}' is new" for path in sorted(now - before)]
        if now == before:
            differences.append("the images come in another order")
    if differences:
        raise CheckpointError(
            itemize(
                f"The cross-validation '{target}' has other data or settings. Resume with the same "
                "ones, or start again. Differences:",
                differences,
            ),
            path=str(target),
            differences=differences,
        )
    known = tuple(groups) if any(groups) else None
    return replace(catalog, groups=known, hashes=tuple(hashes)), folds


def _compare_settings(earlier: Mapping[str, Any], present: Mapping[str, Any]) -> list[str]:
    # After a round trip through JSON, which turns tuples into lists.
    settings = json.loads(json.dumps(present["settings"]))
    pairs = {name: (earlier["settings"].get(name), value) for name, value in settings.items()}
    pairs["num_folds"] = (earlier["num_folds"], present["num_folds"])
    return [
        f"{name}: it was {before!r}, now it is {now!r}"
        for name, (before, now) in pairs.items()
        if before != now and name not in _FREE_SETTINGS
    ]


def _train_fold(
    classifier: PlanetClassifier,
    part: Catalog,
    place: Path,
    *,
    callbacks: Iterable[Callback],
    keep_model: bool,
) -> None:
    """Trains and tests one fold, unless it is finished; resumes an interrupted one."""
    if not (place / _DONE).is_file() or not (place / _ANSWERS).is_file():
        # Classes already have their new names, and near-duplicates their groups.
        fresh = clone(classifier).set_params(class_map=None, group_duplicates=False)
        run = train_run(
            fresh, part, place, callbacks=callbacks, overwrite=True, resume=can_resume(place)
        )
        assert run.evaluation is not None  # a fold has test images
        threshold = run.evaluation.predictions.threshold
        write_json(place / _DONE, {"threshold": None if math.isinf(threshold) else threshold})
    if not keep_model:
        shutil.rmtree(place / "model", ignore_errors=True)


def _collect(target: Path, catalog: Catalog, folds: Sequence[int]) -> CrossValidation:
    """Joins the files of the folds, so that the result is the same for resumed ones."""
    import pandas as pd

    from planetvision.evaluation.evaluator import judge_predictions

    classes = catalog.classes
    probabilities = np.full((len(catalog), len(classes)), np.nan)
    novelty = np.full(len(catalog), np.nan)
    errors = np.full(len(catalog), "", dtype=object)
    is_bounded = False
    for number in range(max(folds) + 1):
        place = target / f"fold-{number + 1}"
        rows = np.flatnonzero(np.array(folds) == number)
        # As text: some of the float parsers of pandas are not exact.
        table = pd.read_csv(place / _ANSWERS, dtype=object)
        threshold = json.loads((place / _DONE).read_text(encoding="utf-8"))["threshold"]
        if len(table) != len(rows):
            raise DataError(
                f"'{place}' has predictions for {len(table)} of its {len(rows)} images: files had "
                "become unreadable when it was trained. Restore them, remove that folder, and "
                "resume."
            )
        probabilities[rows] = table[[f"p_{label}" for label in classes]].to_numpy().astype(float)
        novelty[rows] = _scale_novelty(table["novelty"].to_numpy().astype(float), threshold)
        errors[rows] = table["error"].fillna("").astype(str)
        is_bounded = is_bounded or threshold is not None
    predictions = Predictions(
        paths=tuple(catalog.names),
        sources=catalog.sources,
        classes=tuple(classes),
        probabilities=probabilities,
        errors=tuple(errors.tolist()),
        novelty=novelty,
        threshold=1.0 if is_bounded else math.inf,
    )
    evaluation = judge_predictions(
        predictions, catalog.labels or (), classes=classes, groups=catalog.groups
    )
    return CrossValidation(
        evaluation=evaluation,
        folds=tuple(fold + 1 for fold in folds),
        scores=_score_folds(evaluation, folds),
    )


def _score_folds(evaluation: Evaluation, folds: Sequence[int]) -> tuple[FoldScore, ...]:
    answers = evaluation.predictions
    found = []
    for number in range(max(folds) + 1):
        right = [
            answer == label
            for answer, label, error, fold in zip(
                answers.top_labels, evaluation.labels, answers.errors, folds, strict=True
            )
            if fold == number and not error
        ]
        interval = wilson_interval(sum(right), len(right))
        found.append(
            FoldScore(fold=number + 1, n=len(right), right=sum(right), accuracy_ci95=interval)
        )
    return tuple(found)


def _scale_novelty(novelty: Any, threshold: float | None) -> Any:
    """Returns the OOD scores on a scale with the threshold at 1."""
    if threshold is None:
        return novelty
    # A high rejection rate puts the threshold below the median, which is 0.
    return novelty / threshold if threshold > 0 else novelty - threshold + 1
