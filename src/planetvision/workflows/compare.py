"""Comparison: which of two models is better on the same images."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from planetvision.classifiers.base import AnsweringModel
from planetvision.classifiers.voting import load_classifier
from planetvision.core.errors import SettingsError, itemize
from planetvision.core.settings import Label, Precision
from planetvision.data import Catalog, read_labelled

if TYPE_CHECKING:
    from planetvision.core.settings import ClassMap
    from planetvision.data.tables import ColumnMap
    from planetvision.results import Comparison


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
    performance: str = "auto",
    progress: bool = False,
) -> Comparison:
    """Returns whether one of two models is better than the other, by a paired test.

    The images must be new to both models: a model has an advantage on its own training images.

    Args:
        first: A trained classifier, or the folder of a saved one.
        second: The other classifier or folder.
        X: Labelled images, as for `PlanetClassifier.fit`; if they have a test split, only that
            split is used.
        y: The label of each image of a sequence.
        names: The names of the two; None takes the folders they were loaded from, else `A` and `B`.
        columns: As for `PlanetClassifier.fit`.
        class_map: The models' names of classes that have other names in these data. The models' own
            class maps apply to all other classes.
        device: The device of a model that is loaded from a folder.
        precision: Its precision; `auto` is `fp32`.
        performance: The performance options.
        progress: Whether a model that is loaded from a folder shows a progress bar.

    Raises:
        SettingsError: If the class maps of the two disagree, or the names are equal.
        ModelFormatError: If a folder holds no model.
        NotFittedError: If a classifier is not trained.
        DataError: If the data cannot be used, or nothing is left to compare.

    Warns:
        DataWarning: If images are left out because a model does not have their class.
    """
    from planetvision.evaluation.paired_test import compare_predictions

    names = names or _name_models(first, second)
    if names[0] == names[1]:
        raise SettingsError(
            f"The names of the two models must differ, got {names[0]!r} twice. Pass two names."
        )
    classifiers = [
        model
        if isinstance(model, AnsweringModel)
        else load_classifier(
            model, device=device, precision=precision, performance=performance, progress=progress
        )
        for model in (first, second)
    ]
    catalog = _read(classifiers, X, y, columns, class_map)
    # Rejection does not affect the comparison.
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
                problems.append(f"'{old}' is {own[old]!r} in one and {new!r} in the other")
    if problems:
        raise SettingsError(
            itemize(
                "The class maps of the two models disagree. Name these classes by class_map=... "
                "(--class OLD=NEW):",
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
    """Returns names that tell two models apart, from the paths of their folders."""
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
    """Returns the last name of a path, or its parent's if it is the usual name."""
    if len(parts) > 1 and parts[-1] == _USUAL_NAME:
        return parts[-2]
    return parts[-1] if parts else ""
