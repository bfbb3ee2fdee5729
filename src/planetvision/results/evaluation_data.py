"""`EvaluationData`: what an evaluation measured, and the tables and sentences made of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from planetvision.core.errors import count
from planetvision.core.files import create_table
from planetvision.core.settings import Label
from planetvision.core.text import format_accuracy, format_interval, format_share
from planetvision.results.explanations import Explanations
from planetvision.results.predictions import Prediction, Predictions

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, kw_only=True, eq=False)
class EvaluationData:
    """The measurements of an `Evaluation`, which documents the fields."""

    metrics: Mapping[str, Any]
    predictions: Predictions
    labels: tuple[Label, ...]
    explanations: Explanations | None = None
    negatives: Predictions | None = None
    curves: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    slices: pd.DataFrame | None = None
    about: Mapping[str, Any] = field(default_factory=dict)

    @property
    def accuracy(self) -> float:
        """The share of images whose most probable class is right, in [0, 1].

        Whether they were called unknown is a separate matter: see `metrics["rejection"]`.
        """
        return float(self.metrics["accuracy"])

    @property
    def misclassified(self) -> list[tuple[Prediction, Label]]:
        """Wrong answers with the true labels, the most confident first."""
        return [(self.predictions[row], self.labels[row]) for row in self.misclassified_rows]

    @cached_property
    def misclassified_rows(self) -> list[int]:
        """The rows of these images, in this order."""
        answers = list(self.predictions)
        wrong = [
            row
            for row, (answer, label) in enumerate(zip(answers, self.labels, strict=True))
            if not answer.error and answer.top_label != label
        ]
        return sorted(wrong, key=lambda row: -answers[row].confidence)

    def __str__(self) -> str:
        accuracy = format_accuracy(self.accuracy, self.metrics["n"], self.metrics["accuracy_ci95"])
        text = f"accuracy {accuracy}"
        failed = len(self.predictions.failed)
        return f"{text}; {count(failed, 'image')} could not be read" if failed else text

    @property
    def failed(self) -> list[Prediction]:
        """The answers for images that could not be read, those of something else included."""
        return [*self.predictions.failed, *(self.negatives.failed if self.negatives else ())]

    @property
    def remarks(self) -> list[str]:
        """Remarks on classes, confidence and the answer `unknown`, one sentence each."""
        found = []
        missing = ", ".join(map(str, self.metrics["missing_classes"]))
        if missing:
            found.append(f"no images of: {missing}; what holds for them is not known")
        calibration = f"calibration error (ECE) {format_share(self.metrics['ece'])}"
        if "uncalibrated" in self.metrics:
            before = format_share(self.metrics["uncalibrated"]["ece"])
            calibration += f", before calibration {before}"
        found.append(calibration)
        rejection = self.metrics.get("rejection")
        if rejection is None:
            return found + self._list_verdict()
        if rejection["threshold"] is not None and rejection["num_known"]:
            answered = round(rejection["coverage"] * rejection["num_known"])
            found.append(
                f"answered with a class: {answered} of {rejection['num_known']} "
                f"({_format_with_interval(rejection['coverage'], rejection['coverage_ci95'])}), "
                f"of which right: {_format_share(rejection['accuracy_of_answered'])}"
            )
        if "num_negatives" in rejection:
            number = count(rejection["num_negatives"], "image")
            interval = rejection["negatives_answered_ci95"]
            share = _format_with_interval(rejection["negatives_answered"], interval)
            found.append(
                f"of {number} of something else answered with a class: {share}; "
                f"novelty tells them apart with an AUROC of {rejection['auroc']:.3f}"
            )
        return found + self._list_verdict()

    def _list_verdict(self) -> list[str]:
        verdict = None if self.explanations is None else self.explanations.verdict
        return [] if verdict is None else [str(verdict).rstrip(".")]

    @property
    def class_table(self) -> tuple[tuple[str, ...], list[tuple[str | int, ...]]]:
        """The column names, and one row per class: right, support, precision, recall, F1."""
        rows: list[tuple[str | int, ...]] = []
        for index, (name, values) in enumerate(self.metrics["per_class"].items()):
            right = self.metrics["confusion_matrix"][index][index]
            rates = (values[key] for key in ("precision", "recall", "f1"))
            shares = ("-" if rate is None else f"{rate:.3f}" for rate in rates)
            rows.append((name, right, values["support"], *shares))
        return ("class", "right", "of", "precision", "recall", "F1"), rows

    def to_frame(self) -> pd.DataFrame:
        """Returns the classification report: precision, recall, F1 and support, one row per class.

        The last rows are the averages: `macro` over classes, `weighted` over images.
        """
        import pandas as pd

        columns = ["precision", "recall", "f1", "support"]
        rows = {**self.metrics["per_class"], **self.metrics["averages"]}
        frame = pd.DataFrame.from_dict(rows, orient="index")[columns]
        frame.index.name = "class"
        return frame.reset_index()

    def to_mistakes_frame(self) -> pd.DataFrame:
        """Returns one row per image whose most probable class is wrong, the most confident first.

        Its columns are `path`, `true_label`, `top_label`, `confidence` (the probability of
        `top_label`), `true_confidence` (that of the true class) and `known`.
        """
        wrong = self.misclassified
        return create_table(
            {
                "path": [answer.path for answer, _ in wrong],
                "true_label": [label for _, label in wrong],
                "top_label": [answer.top_label for answer, _ in wrong],
                "confidence": [answer.confidence for answer, _ in wrong],
                "true_confidence": [answer.probabilities[label] for answer, label in wrong],
                "known": [answer.known for answer, _ in wrong],
            }
        )


def _format_share(value: float | None) -> str:
    return "none" if value is None else format_share(value)


def _format_with_interval(value: float, interval: Sequence[float]) -> str:
    return f"{format_share(value)}; 95 % interval {format_interval(interval)}"
