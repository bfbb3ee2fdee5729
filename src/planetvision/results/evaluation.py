"""`Evaluation`: how good a model is on labelled images, with confidence intervals."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from planetvision.core.errors import ImageError, count
from planetvision.core.files import create_output_folder, write_json, write_table
from planetvision.core.settings import Label
from planetvision.data.images import read_image
from planetvision.results.evaluation_data import EvaluationData
from planetvision.results.plots.gallery import Tile, draw_collage, save_image
from planetvision.results.plots.style import Tone
from planetvision.results.predictions import Prediction
from planetvision.results.sampling import sample_rows

_MAX_GRID_TILES = 24
_MAX_MISSES = 48
_READ_SIZE = 448
# Files that not every evaluation writes.
_OPTIONAL = (
    "negatives.csv",
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
class Evaluation(EvaluationData):
    """How good a model is on labelled images.

    Args:
        metrics: `accuracy`, `n`, `accuracy_ci95`, `macro_f1`, `per_class`, `classes`,
            `confusion_matrix` and more, as JSON can hold them; see `evaluation.metrics`.
        predictions: The answer for each image.
        labels: What each image shows.
        explanations: Grad-CAM of some of the images; None where the backbone yields none.
        negatives: The answers for images outside its classes; None without any.
        curves: Tables of `roc`, `precision_recall`, `reliability`, `reliability_uncalibrated`,
            `risk_coverage_confidence` and `risk_coverage_novelty`, those that there are.
        slices: The accuracy on slices of the images: see `evaluation.slices`; None without any.
        about: What the report says of the rest, as JSON can hold it: `data`, `model`, `settings`
            and `versions` by name, `training`, the `data_` of the classifier, `findings` of the
            audit (`severity`, `message`, `remedy`), and `repeat`, the commands that give the same
            again.
    """

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Writes a report with its numbers and figures, and returns the folder.

        `report.html` is one page for all, which needs no other file. Beside it lie its numbers,
        `metrics.json`, `classification_report.csv`, `predictions.csv`, `mistakes.csv`, and
        `negatives.csv` if there are images outside the classes, `explanations.csv` where there
        are explanations; each figure as a PNG, with its numbers as a CSV of the same name where no
        other file has them; and the collages `prediction_grid.png`, `gradcam_grid.png` if there are
        explanations, and `misclassified.png` if there are wrong answers.

        Args:
            path: The folder, which must be new or empty.
            overwrite: Whether files in it may be replaced.

        Raises:
            OutputExistsError: If it is not empty and `overwrite` is false.
            OutputError: If it cannot be written.
        """
        from planetvision.results.report import draw_figures, save_report

        folder = create_output_folder(path, overwrite=overwrite)
        # What an earlier evaluation left must not be taken for a file of this one.
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
        if self.negatives is not None:
            negatives = self.negatives.to_frame()
            write_table(folder / "negatives.csv", negatives)
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
        rows = sample_rows(self.predictions, self.labels, _MAX_GRID_TILES)
        tiles = list(self.draw_tiles([pairs[row] for row in rows]))
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
