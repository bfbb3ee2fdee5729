"""What every trained model can do with images: answer, be judged, be explained."""

from __future__ import annotations

import abc
import dataclasses
import functools
import os
import shlex
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from planetvision.core.devices import list_versions
from planetvision.core.errors import DataError, SettingsError, count, itemize
from planetvision.core.settings import InputSpec, Tta
from planetvision.data import Catalog, Label, read_inputs, read_labelled
from planetvision.data.catalog import ClassMap, map_labels
from planetvision.explain import EXPLAINERS

if TYPE_CHECKING:
    from planetvision.data.tables import ColumnMap
    from planetvision.results import Evaluation, Explanations, Finding, Predictions

__all__ = ["NO_TRUST", "AnsweringModel"]

NO_TRUST = (
    "The model cannot say 'unknown': it was saved before planetvision fitted a score of novelty, "
    "got {name}={value}. Train it again, or leave that out."
)


class AnsweringModel(abc.ABC):
    """A trained model, be it one network or several.

    Attributes:
        classes_: The labels, sorted.
        class_map: New names of classes, for `score` and `evaluate`.
    """

    classes_: npt.NDArray[Any]
    class_map: ClassMap | None
    _folder: Path | None = None

    def predict(
        self, X: Any, *, rejection_rate: float | None = None, tta: Tta | None = None
    ) -> Predictions:
        """Returns the answer for each image: a class, or `unknown`.

        Images that cannot be read have a row with their error, and the rest goes on.

        Args:
            X: A path, a folder, a glob pattern, an array (H, W, 3) of uint8, a Pillow image, the
                bytes of a file, or a sequence of these.
            rejection_rate: The share of images of known bodies that may be called unknown, 0 for
                none; None takes the classifier's.
            tta: The test-time augmentation for this call; None takes that of the training, which
                novelty and probabilities were calibrated with.

        Raises:
            NotFittedError: If there is no trained network.
            SourceNotFoundError: If a file, folder or pattern that stands alone does not exist.
            SettingsError: If the rate is no share, the augmentation is unknown, or the model cannot
                say "unknown" at all.
        """
        return self._answer(read_inputs(X), rejection_rate=rejection_rate, tta=tta)

    def predict_proba(self, X: Any) -> npt.NDArray[np.float64]:
        """Returns the probability of each class for each image, (N, C), columns as `classes_`.

        Raises:
            DataError: If an image cannot be read; all of them are named.
        """
        predictions = self.predict(X)
        self._raise_failed(predictions)
        return predictions.probabilities

    def score(
        self,
        X: Any,
        y: Iterable[Label] | None = None,
        sample_weight: npt.ArrayLike | None = None,
    ) -> float:
        """Returns the accuracy on labelled images, in [0, 1].

        The most probable class counts, also where the answer is `unknown`.

        Args:
            X: As for `fit`.
            y: As for `fit`.
            sample_weight: The weight of each image of `X`.

        Raises:
            DataError: If an image cannot be read, or there is not one weight an image.
        """
        labels = None if y is None else list(y)
        catalog = self._read_known(X, labels)
        weights = None
        if sample_weight is not None:
            weights = self._select_weights(sample_weight, labels, catalog)
        predictions = self.predict(catalog)
        self._raise_failed(predictions)
        right = [
            answer == label
            for answer, label in zip(predictions.top_labels, catalog.labels or (), strict=True)
        ]
        return float(np.average(np.array(right, dtype=np.float64), weights=weights))

    def evaluate(
        self,
        X: Any = None,
        y: Iterable[Label] | None = None,
        *,
        columns: ColumnMap | None = None,
        class_map: ClassMap | None = None,
        others: Any = None,
        rejection_rate: float | None = None,
        tta: Tta | None = None,
        explain: bool = True,
        audit: bool = True,
    ) -> Evaluation:
        """Returns metrics with intervals, curves, slices and maps on labelled images.

        Classes that the model does not know are left out with a warning, and their images count as
        negatives. The scores are saved with the model, unless `tta` is given.

        Args:
            X: As for `fit`; of a folder with a `test/` part, that part alone is used. None takes
                the test part that `fit` kept.
            y: As for `fit`.
            columns: As for `fit`.
            class_map: The model's names of classes that these data call otherwise. For classes
                that it does not name, the classifier's own class map holds.
            others: Images that show none of the classes (negatives), as for `predict`. The result
                then has their rejection rate and the AUROC of the OOD score.
            rejection_rate: As for `predict`.
            tta: As for `predict`.
            explain: Whether maps are computed, which takes most of the time.
            audit: Whether the images are audited, for which each is decoded once more.

        Raises:
            NotFittedError: If it is not trained, or no test part was kept.
            SettingsError: As for `predict`; and if there are `others` and no score of novelty.
            DataError: If the model knows none of the classes, or no image can be read.
        """
        from planetvision.evaluation.audit.auditor import audit_images
        from planetvision.evaluation.evaluator import evaluate_catalog

        can_reject = self._can_reject(rejection_rate)
        if others is not None and can_reject is None:
            raise SettingsError(NO_TRUST.format(name="others", value="images"))
        if X is None:
            catalog = self._test_part()
        else:
            catalog = self._read_known(X, y, columns, class_map).get_tested()
        survey, findings = None, None
        if audit:
            spec = self.input_spec
            survey, findings = audit_images(
                catalog, min_size=spec.decode_size, stretch=spec.stretch
            )
        evaluation = evaluate_catalog(
            catalog,
            classes=self.classes_.tolist(),
            predict=lambda images: self._answer(images, rejection_rate=rejection_rate, tta=tta),
            explain=functools.partial(self._explain, rejection_rate=rejection_rate, tta=tta)
            if explain
            else None,
            survey=survey,
            others=None if others is None else read_inputs(others),
            can_reject=bool(can_reject),
            about={
                **self._describe(catalog, findings, tta=tta),
                "repeat": self._list_commands(
                    None if X is None else catalog.origin,
                    others=others,
                    columns=columns,
                    class_map=class_map,
                    rejection_rate=rejection_rate,
                    tta=tta,
                    explain=explain,
                    audit=audit,
                ),
            },
        )
        if tta is None:
            self._keep_scores(evaluation, None if X is None else catalog.origin)
        return evaluation

    def explain(
        self,
        X: Any,
        *,
        method: str = "gradcam",
        target: Label | None = None,
        against: Label | None = None,
        layers: Sequence[str] | None = None,
        checks: bool = True,
        rejection_rate: float | None = None,
    ) -> Explanations:
        """Returns where in each image the network found the evidence for a class.

        Args:
            X: As for `predict`.
            method: A registered explainer.
            target: The class to explain; None explains the most probable one.
            against: The class that it is set against: the map then shows what speaks for the one
                and not for the other. Where it is the most probable one itself, and `target` is
                None, the second most probable takes its place.
            layers: The dotted names of the backbone's layers to look at, for methods that look at
                layers; None takes those that are found.
            checks: Whether each map is checked, which takes 32 passes and four more maps an image:
                whether the answer hangs on what it marks, whether it stays when the image moves,
                and whether it follows the weights. Where it lies is always measured.
            rejection_rate: As for `predict`.

        Raises:
            SettingsError: As for `predict`; or if the method has no use for a class or layers.
            ExplanationError: If the method cannot explain this network, or not by these layers.
        """
        EXPLAINERS.get(method)
        return self._explain(
            read_inputs(X),
            method=method,
            target=target,
            against=against,
            layers=layers,
            checked=None if checks else (),
            rejection_rate=rejection_rate,
        )

    @property
    def folder(self) -> Path | None:
        """Where it was loaded from; None for one that was trained since."""
        return self._folder

    @abc.abstractmethod
    def _answer(
        self, catalog: Catalog, *, rejection_rate: float | None, tta: Tta | None
    ) -> Predictions:
        """Returns the answers for a catalog."""

    @abc.abstractmethod
    def _explain(
        self,
        catalog: Catalog,
        *,
        method: str = "gradcam",
        target: Label | None = None,
        against: Label | None = None,
        layers: Sequence[str] | None = None,
        checked: Collection[int] | None = (),
        rejection_rate: float | None = None,
        tta: Tta | None = None,
    ) -> Explanations:
        """Returns the explanations for a catalog; those of the rows `checked`, or all, checked."""

    @abc.abstractmethod
    def _can_reject(self, rejection_rate: float | None) -> bool | None:
        """Returns whether anything may be called unknown; None if there is no score of novelty."""

    @property
    @abc.abstractmethod
    def input_spec(self) -> InputSpec:
        """What the network is shown; of several models, what the first one is shown."""

    @abc.abstractmethod
    def _test_part(self) -> Catalog:
        """Returns the test part that was kept in training."""

    @abc.abstractmethod
    def _keep_scores(self, evaluation: Evaluation, origin: str | None) -> None:
        """Keeps the scores on the test part, or on other images and what they are called."""

    @abc.abstractmethod
    def _describe_model(self) -> dict[str, Mapping[str, Any]]:
        """Returns what a report says of the model: `model`, `settings` and `training`, by name."""

    def _list_commands(
        self,
        origin: str | None,
        *,
        others: Any,
        columns: ColumnMap | None,
        class_map: ClassMap | None,
        rejection_rate: float | None,
        tta: Tta | None,
        explain: bool,
        audit: bool,
    ) -> list[str]:
        """Returns the command that gives the same again, with names for what has none of its own.

        Args:
            origin: What the data are called; None for the test part that `fit` kept.
            others: As for `evaluate`, like the rest.
            columns: As for `evaluate`.
            class_map: As for `evaluate`.
            rejection_rate: As for `evaluate`.
            tta: As for `evaluate`.
            explain: As for `evaluate`.
            audit: As for `evaluate`.
        """
        model = os.fspath(self._folder) if self._folder is not None else "MODEL"
        data = "split.csv"
        if origin is not None:
            path = origin[1:-1]
            data = path if origin[:1] == "'" and Path(path).exists() else "DATA"
        words = ["planetvision", "evaluate", model, data, "--out", "report"]
        if others is not None:
            listed = others if isinstance(others, list | tuple) else [others]
            for one in listed if all(map(_is_path, listed)) else ["OTHERS"]:
                words += ["--others", os.fspath(one)]
        for option, pairs in (("--column", columns), ("--class", class_map)):
            for name, value in (pairs or {}).items():
                words += [option, f"{name}={'' if value is None else value}"]
        if rejection_rate is not None:
            words += ["--rejection-rate", f"{rejection_rate:g}"]
        if tta is not None:
            words += ["--tta", tta]
        words += [] if explain else ["--no-explain"]
        words += [] if audit else ["--no-audit"]
        notes = {
            "MODEL": "# MODEL: the folder that save() wrote",
            "split.csv": "# split.csv: the table of the run, beside its model",
            "DATA": f"# DATA: {origin}",
            "OTHERS": "# OTHERS: the images of something else",
        }
        return [shlex.join(words), *(note for name, note in notes.items() if name in words)]

    def _describe(
        self, catalog: Catalog, findings: Sequence[Finding] | None, *, tta: Tta | None
    ) -> dict[str, Any]:
        """Returns what a report says beside the numbers, as JSON can hold it."""
        counts = ", ".join(f"{label} {number}" for label, number in catalog.counts.items())
        described = self._describe_model()
        if tta is not None:
            described["model"] = {**described["model"], "tta of this evaluation": tta}
        return {
            "data": {"origin": catalog.origin, "images": len(catalog), "classes": counts},
            **described,
            "versions": list_versions(),
            "findings": None
            if findings is None
            else [
                {"severity": item.severity, "message": item.message, "remedy": item.remedy}
                for item in findings
            ],
        }

    def _read_known(
        self,
        X: Any,
        y: Iterable[Label] | None,
        columns: ColumnMap | None = None,
        class_map: ClassMap | None = None,
    ) -> Catalog:
        """Reads data that need not have every class that the classifier's own map names."""
        named = {str(old) for old in class_map or {}}
        own = {old: new for old, new in (self.class_map or {}).items() if str(old) not in named}
        catalog = read_labelled(
            X,
            y,
            columns=columns,
            class_map={**own, **(class_map or {})},
            optional_classes={str(old) for old in own},
        )
        # A folder's name is a text, and the class of a model may be an integer; and in a table.
        spelt = {str(label): label for label in self.classes_.tolist()}
        labels = tuple(spelt.get(str(label), label) for label in catalog.labels or ())
        return dataclasses.replace(catalog, labels=labels)

    def _select_weights(
        self, sample_weight: npt.ArrayLike, labels: Sequence[Label] | None, catalog: Catalog
    ) -> npt.NDArray[np.float64]:
        """Returns the weights of the images that the class map leaves."""
        weights = np.asarray(sample_weight, dtype=np.float64)
        own = self.class_map or {}
        if labels is not None and len(weights) == len(labels) and own:
            mapped = map_labels(labels, own, optional_classes={str(old) for old in own})
            weights = weights[[label is not None for label in mapped]]
        if weights.shape != (len(catalog),):
            raise DataError(
                f"There are {count(len(catalog), 'image')} to score, and `sample_weight` has the "
                f"shape {np.shape(sample_weight)}. Pass one number an image."
            )
        return weights

    def _raise_failed(self, predictions: Predictions) -> None:
        problems = [row.error for row in predictions.failed]
        if problems:
            heading = f"{len(problems)} of {len(predictions)} images cannot be read:"
            raise DataError(itemize(heading, problems, limit=len(problems)), problems=problems)


def _is_path(value: object) -> bool:
    return isinstance(value, str | os.PathLike)
