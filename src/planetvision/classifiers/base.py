"""Base class of the classifiers: prediction, evaluation and explanation."""

from __future__ import annotations

import abc
import dataclasses
import os
import shlex
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np
import numpy.typing as npt

from planetvision.core.devices import list_versions
from planetvision.core.errors import DataError, SettingsError, count, itemize
from planetvision.core.settings import ClassMap, InputSpec, Label, Tta
from planetvision.data import Catalog, read_inputs, read_labelled
from planetvision.data.catalog import map_labels
from planetvision.explain import EXPLAINERS

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from planetvision.data.sources import ImageInput
    from planetvision.data.tables import ColumnMap
    from planetvision.results import Evaluation, Explanations, Finding, Predictions


NO_CALIBRATOR = (
    "The model cannot answer 'unknown': it was saved by a version without OOD scores, got "
    "{name}={value}. Train it again, or leave `{name}` out."
)


class ExplainOptions(TypedDict, total=False):
    """Keyword arguments of `explain_catalog` that a classifier passes on.

    `checked` has the rows whose maps are checked; None checks all.
    """

    method: str
    target: Label | None
    against: Label | None
    layers: Sequence[str] | None
    pairs: Sequence[tuple[Label | None, Label | None]] | None
    checked: Collection[int] | None
    tta: Tta | None
    rejection_rate: float | None


class AnsweringModel(abc.ABC):
    """Base class of trained classifiers with one or several networks.

    Attributes:
        classes_: The labels, sorted.
        class_map: New names of classes, for `score` and `evaluate`.
    """

    classes_: npt.NDArray[Any]
    class_map: ClassMap | None
    _folder: Path | None = None

    def predict(
        self, X: ImageInput, *, rejection_rate: float | None = None, tta: Tta | None = None
    ) -> Predictions:
        """Returns the prediction for each image: a class, or `unknown`.

        Images that cannot be read have a row with their error.

        Args:
            X: A path, a folder, a glob pattern, an array (H, W, 3) of uint8, a Pillow image, the
                bytes of a file, or a sequence of these.
            rejection_rate: The share of images of known bodies that may be called unknown, 0 for
                none; None takes the classifier's.
            tta: The test-time augmentation of this call; None takes that of the training, which
                probabilities and OOD scores were calibrated with.

        Raises:
            NotFittedError: If the classifier is not trained.
            SourceNotFoundError: If `X` is a file, folder or pattern that does not exist.
            SettingsError: If the rate is not in [0, 1), the augmentation is unknown, or the model
                has no OOD score.
        """
        return self._answer(read_inputs(X), rejection_rate=rejection_rate, tta=tta)

    def predict_proba(self, X: ImageInput) -> npt.NDArray[np.float64]:
        """Returns the probability of each class for each image, (N, C), columns as `classes_`.

        Raises:
            DataError: If an image cannot be read; all such images are listed.
        """
        predictions = self.predict(X)
        self._raise_failed(predictions)
        return predictions.probabilities

    def score(
        self,
        X: ImageInput,
        y: Iterable[Label] | None = None,
        sample_weight: npt.ArrayLike | None = None,
    ) -> float:
        """Returns the accuracy on labelled images, in [0, 1].

        It compares the most probable class, even if the prediction is `unknown`.

        Args:
            X: As for `fit`.
            y: As for `fit`.
            sample_weight: The weight of each image of `X`.

        Raises:
            DataError: If an image cannot be read, or there is not one weight per image.
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
        X: ImageInput | None = None,
        y: Iterable[Label] | None = None,
        *,
        columns: ColumnMap | None = None,
        class_map: ClassMap | None = None,
        negatives: ImageInput | None = None,
        rejection_rate: float | None = None,
        tta: Tta | None = None,
        explain: bool = True,
        audit: bool = True,
    ) -> Evaluation:
        """Returns metrics with intervals, curves, slices and maps on labelled images.

        Classes that the model does not know are left out with a warning, and their images count as
        negatives. The scores are saved with the model, unless `tta` is given.

        Args:
            X: As for `fit`; if it has a test split, only that is used. None takes the test split
                that `fit` kept.
            y: As for `fit`.
            columns: As for `fit`.
            class_map: Maps class names in these data to the model's. Other classes are mapped by
                the classifier's own class map.
            negatives: Images that show none of the classes, as for `predict`. The result then has
                their rejection rate and the AUROC of the OOD score.
            rejection_rate: As for `predict`.
            tta: As for `predict`.
            explain: Whether to compute maps, which takes most of the time.
            audit: Whether to audit the images, which decodes each of them again.

        Raises:
            NotFittedError: If the classifier is not trained, or has no test split.
            SettingsError: As for `predict`; also if `negatives` is given and there is no OOD score.
            DataError: If the model knows none of the classes, or no image can be read.
        """
        from planetvision.evaluation.audit.auditor import audit_images
        from planetvision.evaluation.evaluator import evaluate_catalog

        can_reject = self._can_reject(rejection_rate)
        if negatives is not None and can_reject is None:
            raise SettingsError(NO_CALIBRATOR.format(name="negatives", value="images"))
        if X is None:
            catalog = self._test_split()
        else:
            catalog = self._read_known(X, y, columns, class_map).get_tested()
        rate = None if rejection_rate is None else f"{rejection_rate:g}"
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
            explain=partial(self._explain, rejection_rate=rejection_rate, tta=tta)
            if explain
            else None,
            survey=survey,
            negatives=None if negatives is None else read_inputs(negatives),
            can_reject=bool(can_reject),
            about={
                **self._describe(catalog, findings, tta=tta),
                "repeat": self._list_commands(
                    None if X is None else catalog.origin,
                    negatives=negatives,
                    pairs={"--column": columns, "--class": class_map},
                    options={"--rejection-rate": rate, "--tta": tta},
                    flags={"--no-explain": not explain, "--no-audit": not audit},
                ),
            },
        )
        if tta is None:
            self._keep_scores(evaluation, None if X is None else catalog.origin)
        return evaluation

    def explain(
        self,
        X: ImageInput,
        *,
        method: str = "gradcam",
        target: Label | None = None,
        against: Label | None = None,
        layers: Sequence[str] | None = None,
        checks: bool = True,
        rejection_rate: float | None = None,
    ) -> Explanations:
        """Returns a map per image of the pixels that support a class.

        Args:
            X: As for `predict`.
            method: A registered explainer.
            target: The class to explain; None explains the most probable one.
            against: A second class: the map then shows what supports the target rather than this
                class. If it is the most probable class and `target` is None, the target is
                explained against the second most probable one.
            layers: The dotted names of the backbone's layers to use, for methods that use layers;
                None chooses them automatically.
            checks: Whether to check each map, which takes 32 passes and four more maps per image:
                whether the prediction depends on the marked pixels, whether the map follows shifts
                of the image, and whether it depends on the weights. The share of the map on the
                body is always measured.
            rejection_rate: As for `predict`.

        Raises:
            SettingsError: As for `predict`; also if the method does not use classes or layers.
            ExplanationError: If the method cannot explain this network, or not with these layers.
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
        """The folder that the model was loaded from; None if it was trained."""
        return self._folder

    @abc.abstractmethod
    def _answer(
        self, catalog: Catalog, *, rejection_rate: float | None, tta: Tta | None
    ) -> Predictions:
        """Returns the predictions for a catalog."""

    @abc.abstractmethod
    def _explain(self, catalog: Catalog, **options: Unpack[ExplainOptions]) -> Explanations:
        """Returns the explanations for a catalog."""

    @abc.abstractmethod
    def _can_reject(self, rejection_rate: float | None) -> bool | None:
        """Returns whether images can be called unknown; None if there is no OOD score."""

    @property
    @abc.abstractmethod
    def input_spec(self) -> InputSpec:
        """The input of the network; of several models, that of the first."""

    @abc.abstractmethod
    def _test_split(self) -> Catalog:
        """Returns the test split of the training data."""

    @abc.abstractmethod
    def _keep_scores(self, evaluation: Evaluation, origin: str | None) -> None:
        """Stores the scores; `origin` names the images, None stands for the test split."""

    @abc.abstractmethod
    def _describe_model(self) -> dict[str, Mapping[str, Any]]:
        """Returns the sections `model`, `settings` and `training` of a report."""

    def _list_commands(
        self,
        origin: str | None,
        *,
        negatives: Any,
        pairs: Mapping[str, Mapping[Any, Any] | None],
        options: Mapping[str, str | None],
        flags: Mapping[str, bool],
    ) -> list[str]:
        """Returns the command that repeats an evaluation, with placeholders and their meaning.

        Args:
            origin: The name of the data; None for the test split that `fit` kept.
            negatives: As for `evaluate`.
            pairs: The pairs of each option that takes NAME=VALUE.
            options: The value of each other option; None leaves it out.
            flags: Whether to set each flag.
        """
        model = os.fspath(self._folder) if self._folder is not None else "MODEL"
        data = "split.csv"
        if origin is not None:
            path = origin[1:-1]
            data = path if origin[:1] == "'" and Path(path).exists() else "DATA"
        words = ["planetvision", "evaluate", model, data, "--out", "report"]
        if negatives is not None:
            listed = negatives if isinstance(negatives, list | tuple) else [negatives]
            for one in listed if all(map(_is_path, listed)) else ["NEGATIVES"]:
                words += ["--negatives", os.fspath(one)]
        for option, values in pairs.items():
            for name, value in (values or {}).items():
                words += [option, f"{name}={'' if value is None else value}"]
        for option, text in options.items():
            words += [] if text is None else [option, text]
        words += [flag for flag, is_set in flags.items() if is_set]
        notes = {
            "MODEL": "# MODEL: the folder that save() wrote",
            "split.csv": "# split.csv: the table of the run, beside its model",
            "DATA": f"# DATA: {origin}",
            "NEGATIVES": "# NEGATIVES: the negatives",
        }
        return [shlex.join(words), *(note for name, note in notes.items() if name in words)]

    def _describe(
        self, catalog: Catalog, findings: Sequence[Finding] | None, *, tta: Tta | None
    ) -> dict[str, Any]:
        """Returns the facts in a report besides its numbers, as JSON values."""
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
        X: ImageInput,
        y: Iterable[Label] | None,
        columns: ColumnMap | None = None,
        class_map: ClassMap | None = None,
    ) -> Catalog:
        """Reads labelled data, which can lack classes in the classifier's own map."""
        named = {str(old) for old in class_map or {}}
        own = {old: new for old, new in (self.class_map or {}).items() if str(old) not in named}
        catalog = read_labelled(
            X,
            y,
            columns=columns,
            class_map={**own, **(class_map or {})},
            optional_classes={str(old) for old in own},
        )
        # Folder names and cells of tables are texts, but a class of the model can be an integer.
        spelt = {str(label): label for label in self.classes_.tolist()}
        labels = tuple(spelt.get(str(label), label) for label in catalog.labels or ())
        return dataclasses.replace(catalog, labels=labels)

    def _select_weights(
        self, sample_weight: npt.ArrayLike, labels: Sequence[Label] | None, catalog: Catalog
    ) -> npt.NDArray[np.float64]:
        """Returns the weights of the images that the class map does not drop."""
        weights = np.asarray(sample_weight, dtype=np.float64)
        own = self.class_map or {}
        if labels is not None and len(weights) == len(labels) and own:
            mapped = map_labels(labels, own, optional_classes={str(old) for old in own})
            weights = weights[[label is not None for label in mapped]]
        if weights.shape != (len(catalog),):
            raise DataError(
                f"There are {count(len(catalog), 'image')} to score, and `sample_weight` has the "
                f"shape {np.shape(sample_weight)}. Pass one number per image."
            )
        return weights

    def _raise_failed(self, predictions: Predictions) -> None:
        problems = [row.error for row in predictions.failed]
        if problems:
            heading = f"{len(problems)} of {len(predictions)} images cannot be read:"
            raise DataError(itemize(heading, problems, limit=len(problems)), problems=problems)


def _is_path(value: object) -> bool:
    return isinstance(value, str | os.PathLike)
