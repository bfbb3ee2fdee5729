"""`Evaluation`: how good a model is on labelled images, and how sure one can be of that."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from planetvision.core.errors import ImageError, count
from planetvision.core.files import create_output_folder, create_table, write_json, write_table
from planetvision.core.text import format_accuracy, format_interval, format_share
from planetvision.data.catalog import Label
from planetvision.data.images import read_image
from planetvision.results.explanations import Explanations
from planetvision.results.plots.gallery import Tile, draw_collage, save_image
from planetvision.results.plots.style import Tone
from planetvision.results.predictions import Prediction, Predictions
from planetvision.results.sampling import take_in_turn

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Evaluation"]

_MAX_GRID_TILES = 24
_MAX_MISSES = 48
_READ_SIZE = 448
# What is not written by every evaluation.
_OPTIONAL = (
    "others.csv",
    "explanations.csv",
    "prediction_grid.png",
    "misclassified.png",
    "gradcam_grid.png",
    "roc_curves.png",
    "roc_curves.csv",
    "precision_recall_curves.png",
    "precision_recall_curves.csv",
    "reliability_uncalibrated.csv",
    "risk_coverage.png",
    "risk_coverage.csv",
    "novelty.png",
    "slices.png",
    "slices.csv",
    "faithfulness.png",
    "faithfulness.csv",
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Evaluation:
    """How good a model is on labelled images.

    Args:
        metrics: `accuracy`, `n`, `accuracy_ci95`, `macro_f1`, `per_class`, `classes`,
            `confusion_matrix` and more, as JSON can hold them; see `evaluation.metrics`.
        predictions: What the model said of each image.
        labels: What each image shows.
        explanations: Grad-CAM of some of the images; None where the backbone yields none.
        others: What the model said of images that show none of its classes; None without any.
        curves: Tables of `roc`, `precision_recall`, `reliability`, `reliability_uncalibrated`,
            `risk_coverage_confidence` and `risk_coverage_novelty`, those that there are.
        slices: The accuracy on parts of the images: see `evaluation.slices`; None without any.
        about: What the report says of the rest, as JSON can hold it: `data`, `model`, `settings`
            and `versions` by name, `training`, the `data_` of the classifier, `findings` of the
            audit (`severity`, `message`, `remedy`), and `repeat`, the commands that give the same
            again.
    """

    metrics: Mapping[str, Any]
    predictions: Predictions
    labels: tuple[Label, ...]
    explanations: Explanations | None = None
    others: Predictions | None = None
    curves: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    slices: pd.DataFrame | None = None
    about: Mapping[str, Any] = field(default_factory=dict)

    @property
    def accuracy(self) -> float:
        """The share of images whose most probable class is right, in [0, 1].

        Whether they were called unknown is another question: see `metrics["rejection"]`.
        """
        return float(self.metrics["accuracy"])

    @property
    def misclassified(self) -> list[tuple[Prediction, Label]]:
        """Images whose most probable class is wrong, with the true label, the surest first."""
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
        return [*self.predictions.failed, *(self.others.failed if self.others else ())]

    @property
    def remarks(self) -> list[str]:
        """What is to be said of classes, confidence and the answer `unknown`, a sentence each."""
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
        if "num_others" in rejection:
            number = count(rejection["num_others"], "image")
            interval = rejection["others_answered_ci95"]
            share = _format_with_interval(rejection["others_answered"], interval)
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
        """The names of columns, and a row a class: right, of how many, precision, recall, F1."""
        rows: list[tuple[str | int, ...]] = []
        for index, (name, values) in enumerate(self.metrics["per_class"].items()):
            right = self.metrics["confusion_matrix"][index][index]
            rates = (values[key] for key in ("precision", "recall", "f1"))
            shares = ("-" if rate is None else f"{rate:.3f}" for rate in rates)
            rows.append((name, right, values["support"], *shares))
        return ("class", "right", "of", "precision", "recall", "F1"), rows

    def to_frame(self) -> pd.DataFrame:
        """Returns the classification report: precision, recall, F1 and support, a row a class.

        The last rows are the averages: `macro` over classes, `weighted` over images.
        """
        import pandas as pd

        columns = ["precision", "recall", "f1", "support"]
        rows = {**self.metrics["per_class"], **self.metrics["averages"]}
        frame = pd.DataFrame.from_dict(rows, orient="index")[columns]
        frame.index.name = "class"
        return frame.reset_index()

    def to_mistakes_frame(self) -> pd.DataFrame:
        """Returns a row an image whose most probable class is wrong, the surest first.

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

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Writes a report with its numbers and figures, and returns the folder.

        `report.html` is one page for all, which needs no other file. Beside it lie its numbers,
        `metrics.json`, `classification_report.csv`, `predictions.csv`, `mistakes.csv`, and
        `others.csv` where there are images of none of the classes, `explanations.csv` where there
        are explanations; each figure as a PNG, with its
        numbers as a CSV of the same name where they stand nowhere else; and the collages
        `prediction_grid.png`, `gradcam_grid.png` where there are explanations, and
        `misclassified.png` where there are wrong answers.

        Args:
            path: The folder, which must be new or empty.
            overwrite: Whether files in it may be replaced.

        Raises:
            OutputExistsError: If it is not empty and `overwrite` is false.
            OutputError: If it cannot be written.
        """
        from planetvision.results.report import draw_figures, save_report

        folder = create_output_folder(path, overwrite=overwrite)
        # What an earlier evaluation left must not pass for a part of this one.
        for name in _OPTIONAL:
            (folder / name).unlink(missing_ok=True)
        write_json(folder / "metrics.json", self.metrics)
        report = self.to_frame()
        write_table(folder / "classification_report.csv", report)
        table = self.predictions.to_frame()
        table.insert(1, "true_label", list(self.labels))
        write_table(folder / "predictions.csv", table)
        mistakes = self.to_mistakes_frame()
        write_table(folder / "mistakes.csv", mistakes)
        if self.others is not None:
            others = self.others.to_frame()
            write_table(folder / "others.csv", others)
        if self.explanations is not None:
            explained = self.explanations.to_frame()
            write_table(folder / "explanations.csv", explained)
        figures = draw_figures(self)
        for figure in figures:
            figure.save(folder)
        self._save_pictures(folder)
        save_report(self, figures, folder / "report.html")
        return folder

    def _save_pictures(self, folder: Path) -> None:
        pairs = list(zip(self.predictions, self.labels, strict=True))
        tiles = list(self.draw_tiles([pairs[row] for row in self.sample_rows(_MAX_GRID_TILES)]))
        if tiles:
            save_image(draw_collage(tiles, heading=str(self)), folder / "prediction_grid.png")
        misses = list(self.draw_tiles(self.misclassified[:_MAX_MISSES]))
        if misses:
            wrong = count(len(self.misclassified), "image")
            heading = f"{wrong} most like another class than the true one, the surest first"
            save_image(draw_collage(misses, heading=heading), folder / "misclassified.png")
        explained = [item for item in self.explanations or () if not item.error]
        maps = [
            Tile(item.overlay, item.answer, (Path(item.path).name,))
            for item in explained[:_MAX_GRID_TILES]
        ]
        if maps:
            heading = "Where the network found the evidence for its answer (Grad-CAM)"
            save_image(draw_collage(maps, heading=heading), folder / "gradcam_grid.png")

    def sample_rows(self, limit: int) -> list[int]:
        """Returns up to `limit` rows that could be read, taken from the classes in turn."""
        return sample_rows(self.predictions, self.labels, limit)

    def draw_tiles(self, pairs: Sequence[tuple[Prediction, Label]]) -> Iterator[Tile]:
        """Returns a picture of each answer, marked right or wrong unless it is `unknown`.

        Images that cannot be read are left out.

        Args:
            pairs: Answers of this evaluation, each with the true label.
        """
        sources = dict(zip(self.predictions.paths, self.predictions.sources, strict=True))
        for prediction, label in pairs:
            try:
                image = read_image(sources[prediction.path], stretch="linear", min_size=_READ_SIZE)
            except ImageError:
                continue
            right = prediction.top_label == label
            nearest = () if prediction.known else (prediction.remark,)
            truth = () if right else (f"is {label}",)
            tone: Tone = "neutral"
            if prediction.known:
                tone = "good" if right else "bad"
            name = Path(prediction.path).name
            yield Tile(image, prediction.answer, (*nearest, *truth, name), tone)


def _format_share(value: float | None) -> str:
    return "none" if value is None else format_share(value)


def _format_with_interval(value: float, interval: Sequence[float]) -> str:
    return f"{format_share(value)}; 95 % interval {format_interval(interval)}"


def sample_rows(predictions: Predictions, labels: Sequence[Label], limit: int) -> list[int]:
    """Returns up to `limit` rows that could be read, taken from the classes in turn."""
    readable = np.flatnonzero(predictions.readable).tolist()
    return [readable[index] for index in take_in_turn([labels[row] for row in readable], limit)]
