"""Verification: whether a model's folder is unchanged and reproduces its scores."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from planetvision.classifiers.classifier import PlanetClassifier
from planetvision.classifiers.records import describe_scores
from planetvision.classifiers.storage import (
    CONFIG_FILE,
    SUMS_FILE,
    VOTING_FILE,
    WEIGHTS_FILE,
    list_model_files,
    read_sums,
)
from planetvision.core.devices import list_versions, resolve_device, resolve_precision
from planetvision.core.errors import ModelFormatError, PlanetVisionError, count
from planetvision.core.files import hash_file
from planetvision.core.renamed import rename_config
from planetvision.core.settings import ClassMap, Label, Precision
from planetvision.core.text import format_accuracy
from planetvision.results import Check, Verification

if TYPE_CHECKING:
    from planetvision.data.tables import ColumnMap
    from planetvision.results import Evaluation


_COPY = "Copy the folder again, or save the model again."


def verify(
    model: str | os.PathLike[str],
    X: Any = None,
    y: Iterable[Label] | None = None,
    *,
    columns: ColumnMap | None = None,
    class_map: ClassMap | None = None,
    device: str = "auto",
    precision: Precision = "auto",
    performance: str = "auto",
    progress: bool = False,
) -> Verification:
    """Returns whether a model's folder is unchanged and reproduces its scores.

    Each file is compared with its hash in `SHA256SUMS`, the model is loaded, and its package
    versions are compared with the installed ones. With data the model is evaluated again. On the
    images of stored scores, recognised by their contents, the number of right predictions must be
    the same. On other images both scores are shown without a conclusion.

    Hashes detect damage, not manipulation: anyone who changes a file can change its hash too.

    Args:
        model: The model's folder.
        X: Labelled images, as for `PlanetClassifier.evaluate`; None skips the evaluation.
        y: As for `PlanetClassifier.evaluate`.
        columns: As for `PlanetClassifier.evaluate`.
        class_map: As for `PlanetClassifier.evaluate`.
        device: The device of the model.
        precision: Its precision; `auto` is `fp32`.
        performance: The performance options.
        progress: Whether to show a progress bar.

    Raises:
        ModelFormatError: If the folder does not exist or holds no file of a model.
        SettingsError: If an argument is wrong.
        DataError: If the data cannot be used.
    """
    root = Path(model)
    if (root / VOTING_FILE).is_file():
        raise ModelFormatError(
            f"'{root}' holds several voting models, expected one model. Verify each of them: "
            f"'{root / 'member-1'}' and so on.",
            path=str(root),
        )
    if not any((root / name).exists() for name in (CONFIG_FILE, WEIGHTS_FILE, SUMS_FILE)):
        raise ModelFormatError(
            f"There is no model in '{root}'. Pass the folder that `save` wrote, such as "
            "'runs/eyes/model'.",
            path=str(root),
        )
    resolve_precision(precision, resolve_device(device))
    config = _read_config(root)
    checks = list(_check_files(root, config))
    evaluation = None
    try:
        classifier = PlanetClassifier.load(
            root, device=device, precision=precision, performance=performance
        ).set_params(progress=progress)
    except PlanetVisionError as error:
        checks.append(Check(subject="model", name="loads", result="no", problem=str(error)))
        checks += _check_versions(config)
    else:
        checks.append(Check(subject="model", name="loads", result="yes"))
        checks += _check_versions(config)
        if X is not None:
            # The evaluation adds its own scores.
            stored = _list_stored(classifier.metrics_)
            evaluation = classifier.evaluate(
                X, y, columns=columns, class_map=class_map, explain=False, audit=False
            )
            checks += _check_scores(stored, evaluation)
    return Verification(folder=str(root), checks=tuple(checks), evaluation=evaluation)


def _read_config(root: Path) -> Mapping[str, Any]:
    """Returns the configuration, or an empty one if it cannot be read; loading reports why."""
    try:
        config = json.loads((root / CONFIG_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return rename_config(config) if isinstance(config, dict) else {}


def _check_files(root: Path, config: Mapping[str, Any]) -> Iterator[Check]:
    ours = list_model_files(has_trust=bool(config.get("trust")))
    if not (root / SUMS_FILE).exists() and config and "fingerprint" not in config:
        yield Check(
            subject="file",
            name=SUMS_FILE,
            result="none",
            note=f"An earlier version of planetvision saved the model without {SUMS_FILE}, so "
            "changes of its files cannot be detected. Save it again to write the file.",
        )
        return
    try:
        sums, damaged = read_sums(root)
    except OSError as cause:
        yield Check(
            subject="file",
            name=SUMS_FILE,
            result="missing",
            problem=f"{SUMS_FILE} cannot be read ({cause.strerror or cause}); saving may have been "
            f"interrupted. {_COPY}",
        )
        return
    for line in damaged:
        yield Check(
            subject="file",
            name=SUMS_FILE,
            result="damaged",
            problem=f"Line {line} of {SUMS_FILE} is damaged. {_COPY}",
        )
    for name, expected in sums.items():
        yield _check_file(root, name, expected)
    for name in ours:
        if name not in sums:
            yield Check(
                subject="file",
                name=name,
                result="not listed",
                problem=f"{SUMS_FILE} does not list {name}. {_COPY}",
            )
    for name in sorted({path.name for path in root.iterdir()} - {*sums, *ours, SUMS_FILE}):
        note = f"'{name}' does not belong to the model."
        yield Check(subject="file", name=name, result="not listed", note=note)


def _check_file(root: Path, name: str, expected: str) -> Check:
    try:
        found = hash_file(root / name)
    except FileNotFoundError:
        problem = f"{name} is missing. {_COPY}"
        return Check(subject="file", name=name, result="missing", problem=problem)
    except OSError as cause:
        problem = f"{name} cannot be read: {cause.strerror or cause}. {_COPY}"
        return Check(subject="file", name=name, result="cannot be read", problem=problem)
    if found != expected:
        problem = f"{name} has changed since the model was saved. {_COPY}"
        return Check(subject="file", name=name, result="changed", problem=problem)
    return Check(subject="file", name=name, result="intact")


def _check_versions(config: Mapping[str, Any]) -> Iterator[Check]:
    saved, here = config.get("versions"), list_versions()
    if not isinstance(saved, Mapping):
        return
    for name, version in saved.items():
        now = here.get(name, "not installed")
        if now != version:
            yield Check(
                subject="version",
                name=str(name),
                result=f"{version}, here {now}",
                note=f"The model was saved with {name} {version}, here is {now}: probabilities may "
                "differ in their last digits.",
            )


def _list_stored(metrics: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """Returns the scores stored with the model, each with the name of its images."""
    test = metrics.get("test")
    others = [(str(scores["origin"]), scores) for scores in metrics.get("elsewhere", ())]
    return [*([("the test split", test)] if test else []), *others]


def _check_scores(
    stored: list[tuple[str, Mapping[str, Any]]], evaluation: Evaluation
) -> Iterator[Check]:
    scores = describe_scores(evaluation)
    now = _format_scores(scores)
    for _, before in stored:
        if before.get("fingerprint") != scores["fingerprint"]:
            continue
        yield Check(subject="scores", name="now", result=now, problem=_compare(before, scores))
        yield Check(subject="scores", name="saved", result=_format_scores(before))
        return
    yield Check(
        subject="scores",
        name="now",
        result=now,
        note=_explain_mismatch([scores for _, scores in stored]),
    )
    for name, before in stored:
        yield Check(subject="scores", name=f"saved, of {name}", result=_format_scores(before))


def _compare(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Returns the problem with two scores on the same images, or an empty string."""
    then_right, now_right = _count_right(before), _count_right(now)
    if then_right == now_right:
        return ""
    return (
        f"On the same {count(now['n'], 'image')} {now_right} predictions are right; "
        f"{then_right} were when the model was saved. Compare the labels, the versions, the device "
        "and the precision of the two evaluations."
    )


def _explain_mismatch(stored: list[Mapping[str, Any]]) -> str:
    if not stored:
        return "No scores were saved with the model: call evaluate() before save()."
    if not any("fingerprint" in scores for scores in stored):
        return "The images of the stored scores were not recorded; these may be others."
    return "These are not the images of the stored scores: the two need not agree."


def _count_right(scores: Mapping[str, Any]) -> int:
    return round(float(scores["accuracy"]) * int(scores["n"]))


def _format_scores(scores: Mapping[str, Any]) -> str:
    accuracy = format_accuracy(scores["accuracy"], scores["n"], scores["accuracy_ci95"])
    return f"accuracy {accuracy}"
