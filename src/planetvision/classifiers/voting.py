"""`VotingPlanetClassifier`: soft voting of several trained classifiers."""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin

from planetvision.classifiers.base import AnsweringModel, ExplainOptions
from planetvision.classifiers.classifier import PlanetClassifier
from planetvision.classifiers.storage import CONFIG_FILE, MODEL_FILES, VOTING_FILE
from planetvision.core.errors import ModelFormatError, NotFittedError, SettingsError, itemize
from planetvision.core.files import create_output_folder, write_json
from planetvision.core.settings import InputSpec, Label, Precision, Tta
from planetvision.data import Catalog
from planetvision.explain import EXPLAINERS
from planetvision.results import (
    Evaluation,
    Explanation,
    ExplanationChecks,
    Explanations,
    Prediction,
    Predictions,
)
from planetvision.results.explanation_checks import FIGURES

if TYPE_CHECKING:
    from typing_extensions import Unpack


_FORMAT_VERSION = 1
Member: TypeAlias = "PlanetClassifier | str | os.PathLike[str]"


class VotingPlanetClassifier(AnsweringModel, ClassifierMixin, BaseEstimator):  # type: ignore[misc] # sklearn is untyped
    """Soft voting: averages the calibrated probabilities of several trained classifiers.

    The classifiers can have different backbones, sizes and recipes, but must have the same classes.
    An image is unknown if the mean of their OOD scores exceeds the mean of their thresholds. The
    share of rejected images of known bodies is then close to the rejection rate, without its
    guarantee. Several threads may predict at once, as with a `PlanetClassifier`.

    Args:
        classifiers: At least two trained classifiers, or folders of saved ones.
        weights: The weight of each; None weights them equally.

    Attributes:
        classes_: The labels, sorted.

    Raises:
        SettingsError: If there are fewer than two, or their classes or class maps differ.

    Example:
        ```
        models = ["runs/seed-0/model", "runs/seed-1/model", "runs/seed-2/model"]
        voting = VotingPlanetClassifier(models)
        voting.evaluate("photos").save("report")
        voting.save("model")
        ```

    References:
        Lakshminarayanan, Pritzel & Blundell, Simple and Scalable Predictive Uncertainty Estimation
        using Deep Ensembles, 2017, arXiv:1612.01474.
    """

    def __init__(
        self, classifiers: Sequence[Member], *, weights: Sequence[float] | None = None
    ) -> None:
        self.classifiers = classifiers
        self.weights = weights
        self._members = _load_members(classifiers)
        self.classes_ = self._members[0].classes_
        self._get_shares()

    @property
    def class_map(self) -> Mapping[Label, Label | None] | None:  # type: ignore[override]
        """New names of classes, for `score` and `evaluate`."""
        return self._members[0].class_map

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Writes the models to one folder, and returns it.

        Raises:
            OutputExistsError: If the folder is not empty and `overwrite` is false.
            OutputError: If it cannot be written.
        """
        folder = create_output_folder(path, overwrite=overwrite)
        # Removed first, so that an interrupted save cannot be loaded.
        (folder / VOTING_FILE).unlink(missing_ok=True)
        for name in MODEL_FILES:
            (folder / name).unlink(missing_ok=True)
        names = [f"member-{number}" for number in range(1, len(self._members) + 1)]
        for stale in folder.glob("member-*"):
            if stale.name not in names and (stale / CONFIG_FILE).is_file():
                shutil.rmtree(stale)
        for name, member in zip(names, self._members, strict=True):
            member.save(folder / name, overwrite=overwrite)
        write_json(
            folder / VOTING_FILE,
            {
                "format_version": _FORMAT_VERSION,
                "members": names,
                "weights": self._get_shares().tolist(),
            },
        )
        return folder

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        *,
        device: str = "auto",
        precision: Precision = "auto",
        performance: str = "auto",
    ) -> VotingPlanetClassifier:
        """Returns the saved classifier.

        Args:
            path: The folder.
            device: As for `PlanetClassifier.load`.
            precision: As for `PlanetClassifier.load`.
            performance: As for `PlanetClassifier.load`.

        Raises:
            ModelFormatError: If a file is missing or damaged, or a newer version wrote it.
        """
        folder = Path(path)
        try:
            described = json.loads((folder / VOTING_FILE).read_text(encoding="utf-8"))
            version, names = described["format_version"], list(described["members"])
            weights = [float(weight) for weight in described["weights"]]
        except (OSError, ValueError, KeyError, TypeError) as cause:
            raise ModelFormatError(
                f"'{folder}' does not hold a VotingPlanetClassifier ({VOTING_FILE} cannot be read: "
                f"{cause}). Name a folder that VotingPlanetClassifier.save wrote, or load a single "
                "model with PlanetClassifier.load.",
                path=str(folder),
            ) from cause
        if version != _FORMAT_VERSION:
            raise ModelFormatError(
                f"The models in '{folder}' have format version {version!r}; this planetvision "
                f"reads {_FORMAT_VERSION}. Update it: pip install --upgrade planetvision",
                path=str(folder),
            )
        members = [
            PlanetClassifier.load(
                folder / name, device=device, precision=precision, performance=performance
            )
            for name in names
        ]
        voting = cls(members, weights=weights)
        voting._folder = folder
        return voting

    def set_progress(self, progress: bool) -> VotingPlanetClassifier:
        """Turns progress bars on or off; returns the classifier."""
        for member in self._members:
            member.set_params(progress=progress)
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def _answer(
        self, catalog: Catalog, *, rejection_rate: float | None, tta: Tta | None
    ) -> Predictions:
        given = [
            member._answer(catalog, rejection_rate=rejection_rate, tta=tta)
            for member in self._members
        ]
        # A file can be deleted between two models.
        errors = [
            next((error for error in row if error), "")
            for row in zip(*(answers.errors for answers in given), strict=True)
        ]
        novelties = [answers.novelty for answers in given if answers.novelty is not None]
        have_scores = len(novelties) == len(given)
        thresholds = np.array([answers.threshold for answers in given])
        return replace(
            given[0],
            probabilities=self._average([answers.probabilities for answers in given]),
            errors=tuple(errors),
            novelty=self._average(novelties) if have_scores else None,
            threshold=float(self._get_shares() @ thresholds) if have_scores else math.inf,
            temperature=1.0,
        )

    def _explain(self, catalog: Catalog, **options: Unpack[ExplainOptions]) -> Explanations:
        from planetvision.explain.explainer import MapSettings

        method = options.get("method", "gradcam")
        target, against = options.pop("target", None), options.pop("against", None)
        layers, rate = options.pop("layers", None), options.pop("rejection_rate", None)
        MapSettings(method=method, target=target, against=against).check(self.classes_.tolist())
        if layers is not None:
            raise SettingsError(
                f"`layers` names layers of one backbone, and {len(self._members)} models vote, got "
                f"{list(layers)!r}. Leave it out, or explain one of the models."
            )
        answers = self._answer(catalog, rejection_rate=rate, tta=options.get("tta"))
        uses_target = EXPLAINERS.get(method).uses_target
        options["pairs"] = [
            _choose_pair(answer, target, against) if uses_target else (None, None)
            for answer in answers
        ]
        parts = [member._explain(catalog, **options) for member in self._members]
        return _join_explanations(answers, parts, self._get_shares())

    def _can_reject(self, rejection_rate: float | None) -> bool | None:
        found = [member._can_reject(rejection_rate) for member in self._members]
        return None if None in found else all(found)

    @property
    def input_spec(self) -> InputSpec:
        """The input of the first model."""
        return self._members[0].input_spec

    def _test_split(self) -> Catalog:
        raise NotFittedError(
            "A VotingPlanetClassifier has no test split, since test images of one model can be "
            "training images of another. Pass the data to evaluate on: evaluate('FOLDER')."
        )

    def _keep_scores(self, evaluation: Evaluation, origin: str | None) -> None:
        """Does nothing: the scores belong to all models together, and cards to single models."""

    def _describe_model(self) -> dict[str, Mapping[str, Any]]:
        described = [member._describe_model() for member in self._members]
        return {
            name: {
                f"model {number}, {key}": value
                for number, parts in enumerate(described, start=1)
                for key, value in parts[name].items()
            }
            for name in ("model", "settings")
        }

    def _average(self, arrays: Sequence[npt.NDArray[np.float64]]) -> npt.NDArray[np.float64]:
        mean: npt.NDArray[np.float64] = np.tensordot(self._get_shares(), np.stack(arrays), axes=1)
        return mean

    def _get_shares(self) -> npt.NDArray[np.float64]:
        """The weight of each model; they sum to 1."""
        try:
            given = np.ones(len(self._members)) if self.weights is None else self.weights
            shares = np.asarray(given, dtype=np.float64)
        except (TypeError, ValueError):
            shares = np.zeros(0)
        is_right = shares.shape == (len(self._members),) and np.isfinite(shares).all()
        if not is_right or not (shares > 0).all():
            raise SettingsError(
                f"`weights` must hold a positive number for each of the {len(self._members)} "
                f"models, got {self.weights!r}. Leave it out for equal weights."
            )
        total: npt.NDArray[np.float64] = shares / shares.sum()
        return total


def _load_members(classifiers: Sequence[Member]) -> list[PlanetClassifier]:
    """Returns the models, after checking that they are trained and compatible."""
    is_path = isinstance(classifiers, str | os.PathLike)
    if is_path or len(classifiers) < 2:
        given = repr(classifiers) if is_path else len(classifiers)
        raise SettingsError(
            f"`classifiers` must hold two trained models or more, got {given}. Use a single model "
            "directly."
        )
    members = [
        member if isinstance(member, PlanetClassifier) else PlanetClassifier.load(member)
        for member in classifiers
    ]
    for number, member in enumerate(members, start=1):
        if not hasattr(member, "network_"):
            raise NotFittedError(
                f"Model {number} of `classifiers` is not trained. Call its fit(...)."
            )
    first, *rest = members
    problems = []
    for number, member in enumerate(rest, start=2):
        if member.classes_.tolist() != first.classes_.tolist():
            one, other = (", ".join(map(str, model.classes_.tolist())) for model in (first, member))
            problems.append(f"model 1 knows {one}, model {number} {other}")
        if (member.class_map or {}) != (first.class_map or {}):
            problems.append(
                f"the class map of model 1 is {first.class_map}, that of model {number} "
                f"{member.class_map}"
            )
    if problems:
        raise SettingsError(
            itemize(
                "`classifiers` must have the same classes and class maps. Train them on the same "
                "data:",
                problems,
            ),
            problems=problems,
        )
    return members


def _choose_pair(
    answer: Prediction, target: Label | None, against: Label | None
) -> tuple[Label | None, Label | None]:
    """Returns the class to explain, and the class to contrast it with."""
    explained = answer.top_label if target is None else target
    if target is None and against is not None and explained == against:
        return explained, answer.second_label
    return explained, against


def _join_explanations(
    answers: Predictions,
    parts: Sequence[Explanations],
    shares: npt.NDArray[np.float64],
) -> Explanations:
    """Returns the mean of the models' maps, each scaled to 1, on the finest of their grids.

    The share on the body is measured on the mean map; other figures are means over the models.
    """
    import torch

    from planetvision.explain.activations import average_maps
    from planetvision.explain.checks import (
        create_body_masks,
        judge_explanations,
        measure_body_share,
        measure_energy,
    )

    items: list[Explanation] = []
    figures = [part.checks for part in parts if part.checks is not None]
    checks = ExplanationChecks(
        **{
            name: np.tensordot(shares, np.stack([getattr(one, name) for one in figures]), axes=1)
            for name in FIGURES
        }
    )
    for row, answer in enumerate(answers):
        given = [part[row] for part in parts]
        error = answer.error or next((item.error for item in given if item.error), "")
        if error:
            items.append(Explanation.create_failed(answer.path, error, method=given[0].method))
            continue
        maps = [torch.from_numpy(item.heatmap)[None] for item in given]
        mean = average_maps(maps, shares.tolist())
        heatmap = mean / mean.amax().clamp(min=torch.finfo(mean.dtype).tiny)
        items.append(
            replace(
                given[0],
                path=answer.path,
                heatmap=heatmap[0].numpy(),
                label=answer.label,
                confidence=answer.confidence,
                known=answer.known,
                top_label=answer.top_label,
                layers=(),
            )
        )
        masks = create_body_masks(torch.from_numpy(given[0].image).permute(2, 0, 1)[None])
        checks.energy_on_body[row] = measure_energy(heatmap, masks)[0]
        checks.body_share[row] = measure_body_share(masks)[0]
    verdict = judge_explanations(checks) if any(part.verdict for part in parts) else None
    return Explanations(items=tuple(items), checks=checks, verdict=verdict)


def load_classifier(
    path: str | os.PathLike[str],
    *,
    device: str = "auto",
    precision: Precision = "auto",
    performance: str = "auto",
    progress: bool = False,
) -> PlanetClassifier | VotingPlanetClassifier:
    """Returns the saved `PlanetClassifier` or `VotingPlanetClassifier` in a folder.

    Args:
        path: The folder.
        device: As for `PlanetClassifier.load`.
        precision: As for `PlanetClassifier.load`.
        performance: As for `PlanetClassifier.load`.
        progress: Whether to show progress bars.

    Raises:
        ModelFormatError: If a file is missing or damaged, or a newer version wrote it.
        UnknownNameError: If its backbone or head is not registered here.
    """
    running: dict[str, Any] = {"device": device, "precision": precision, "performance": performance}
    if Path(path, VOTING_FILE).is_file():
        return VotingPlanetClassifier.load(path, **running).set_progress(progress)
    classifier: PlanetClassifier = PlanetClassifier.load(path, **running)
    classifier.set_params(progress=progress)
    return classifier
