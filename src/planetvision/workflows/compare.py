"""Comparing: which of two models is better, asked of both on the same images."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from planetvision.classifiers.base import AnsweringModel
from planetvision.classifiers.voting import load_classifier
from planetvision.core.errors import SettingsError, itemize
from planetvision.core.settings import Precision
from planetvision.data import Catalog, Label, read_labelled

if TYPE_CHECKING:
    from planetvision.data.catalog import ClassMap
    from planetvision.data.tables import ColumnMap
    from planetvision.results import Comparison

__all__ = ["compare"]

_USUAL_NAME = "model"
_LETTERS = ("A", "B")


def compare(
    first: AnsweringModel | str | os.PathLike[str],
    second: AnsweringModel | str | os.PathLike[str],
    X: Any,
    y: Iterable[Label] | None = None,
    *,
    names: tuple[str, str] | None = None,
    columns: ColumnMap | None = None,
    class_map: ClassMap | None = None,
    device: str = "auto",
    precision: Precision = "auto",
    tuning: str = "auto",
    progress: bool = False,
) -> Comparison:
    """Returns whether one of two models is better than the other, by a paired test.

    The images must be new to both models: on those that one of them was trained on it would win.

    Args:
        first: A trained classifier, or the folder of a saved one.
        second: The other one.
        X: Labelled images, as for `PlanetClassifier.fit`; of a folder with a `test/` part, that
            part alone is used.
        y: The label of each image of a sequence.
        names: What the two are called; None takes the folders that they were loaded from, else `A`
            and `B`.
        columns: As for `PlanetClassifier.fit`.
        class_map: The models' names of classes that these data call otherwise. For classes that it
            does not name, the models' own class maps hold.
        device: Where a model given by its folder runs.
        precision: In which arithmetic; `auto` is `fp32`.
        tuning: The levers of the machine that are on.
        progress: Whether a model given by its folder shows a progress bar.

    Raises:
        SettingsError: If the class maps of the two disagree, or the names are alike.
        ModelFormatError: If a folder holds no model.
        NotFittedError: If a classifier is not trained.
        DataError: If the data cannot be used, or nothing is left to compare.

    Warns:
        DataWarning: If images are left out, since one of the models does not know their class.
    """
    from planetvision.evaluation.paired_test import compare_predictions

    names = names or _name_models(first, second)
    if names[0] == names[1]:
        raise SettingsError(
            f"The names of the two models must differ, got {names[0]!r} twice. Pass two of them."
        )
    classifiers = [
        model
        if isinstance(model, AnsweringModel)
        else load_classifier(
            model, device=device, precision=precision, tuning=tuning, progress=progress
        )
        for model in (first, second)
    ]
    catalog = _read(classifiers, X, y, columns, class_map)
    # Whether an answer would be called unknown changes nothing here.
    answers = [classifier.predict(catalog, rejection_rate=0) for classifier in classifiers]
    return compare_predictions(answers[0], answers[1], catalog.labels or (), names=names)


def _read(
    classifiers: Sequence[AnsweringModel],
    X: Any,
    y: Iterable[Label] | None,
    columns: ColumnMap | None,
    class_map: ClassMap | None,
) -> Catalog:
    """Returns the images under the names that both models give them."""
    given = {str(old) for old in class_map or {}}
    own: dict[Label, Label | None] = {}
    problems = []
    for classifier in classifiers:
        for old, new in (classifier.class_map or {}).items():
            if str(old) in given:
                continue
            if own.setdefault(old, new) != new:
                problems.append(f"'{old}' is {own[old]!r} to one and {new!r} to the other")
    if problems:
        raise SettingsError(
            itemize(
                "The class maps of the two models disagree. Say by class_map=... (--class OLD=NEW) "
                "what these classes are to be called:",
                problems,
            ),
            problems=problems,
        )
    return read_labelled(
        X,
        y,
        columns=columns,
        class_map={**own, **(class_map or {})},
        optional_classes={str(old) for old in own},
    ).get_tested()


def _name_models(first: object, second: object) -> tuple[str, str]:
    """Returns what tells two models apart: the names of their folders, or of those above."""
    paths = [_split_path(first), _split_path(second)]
    differ = [list(parts) for parts in paths]
    while differ[0] and differ[1] and differ[0][-1] == differ[1][-1]:
        for parts in differ:
            parts.pop()
    names = [
        _get_name(left or parts) or letter
        for left, parts, letter in zip(differ, paths, _LETTERS, strict=True)
    ]
    if names[0] == names[1]:
        names = [f"{name} ({letter})" for name, letter in zip(names, _LETTERS, strict=True)]
    return names[0], names[1]


def _split_path(model: object) -> list[str]:
    if isinstance(model, AnsweringModel):
        model = model.folder
    if not isinstance(model, str | os.PathLike):
        return []
    return list(Path(os.path.abspath(model)).parts)  # noqa: PTH100 - Path.absolute keeps ".."


def _get_name(parts: list[str]) -> str:
    """Returns the last name of a path, or the one above it if every run calls it that."""
    if len(parts) > 1 and parts[-1] == _USUAL_NAME:
        return parts[-2]
    return parts[-1] if parts else ""
