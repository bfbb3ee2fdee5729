"""`CrossValidation`: how good a way of training is, each image tested once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any

import numpy as np

from planetvision.core.errors import count
from planetvision.core.files import create_output_folder, write_json, write_table
from planetvision.core.text import format_accuracy, format_interval, format_share
from planetvision.results.evaluation import Evaluation
from planetvision.results.html.blocks import Gallery, Section, Table
from planetvision.results.html.page import save_page
from planetvision.results.plots.confusion import plot_confusion_matrix
from planetvision.results.plots.style import save_figure

if TYPE_CHECKING:
    import pandas as pd


RESULT_FILES = (
    "metrics.json",
    "scores.csv",
    "predictions.csv",
    "confusion_matrix.png",
    "crossval.html",
)

_MAX_MISSES = 48
_CAVEAT = (
    "Each image was tested once, by a model that was not trained on it. The folds share most of "
    "their training images, so that their scores depend on one another: the standard deviation "
    "over folds is no standard error of the mean. And all images are of one source: how good the "
    "models are on others, they cannot say."
)


@dataclass(frozen=True, kw_only=True)
class FoldScore:
    """How good the model of one fold is.

    Args:
        fold: Its number, from 1.
        n: The images it was tested on that could be read.
        right: How many of them it got right.
        accuracy_ci95: The Wilson interval of the share; None without images.
    """

    fold: int
    n: int
    right: int
    accuracy_ci95: tuple[float, float] | None

    @property
    def accuracy(self) -> float | None:
        """The share of right answers, in [0, 1]; None without images."""
        return self.right / self.n if self.n else None

    def __str__(self) -> str:
        if self.accuracy is None or self.accuracy_ci95 is None:
            return f"fold {self.fold}: no image could be read"
        told = format_accuracy(self.accuracy, self.n, self.accuracy_ci95)
        return f"fold {self.fold}: accuracy {told}"


@dataclass(frozen=True, kw_only=True, eq=False)
class CrossValidation:
    """How good a way of training is on images of one source, each tested once.

    The folds share most of their training images, so their scores depend on one another: the
    standard deviation over folds shows how much luck there is in one split, and is no standard
    error of the mean.

    Args:
        evaluation: The answers for all images, each by the model that was not trained on it, in the
            order of the data. Novelty is divided by the threshold of each model, so that over 1 an
            image is unknown.
        folds: The fold of each image, from 1.
        scores: How good the model of each fold is.

    References:
        Bengio & Grandvalet, No Unbiased Estimator of the Variance of K-Fold Cross-Validation, 2004,
        Journal of Machine Learning Research 5, 1089-1105.
    """

    evaluation: Evaluation
    folds: tuple[int, ...]
    scores: tuple[FoldScore, ...]

    @property
    def num_folds(self) -> int:
        """How many folds there are."""
        return len(self.scores)

    @property
    def accuracy(self) -> float:
        """The share of all images that are right, in [0, 1]."""
        return self.evaluation.accuracy

    @property
    def mean(self) -> float:
        """The mean accuracy of the folds."""
        return fmean(self._accuracies())

    @property
    def standard_deviation(self) -> float | None:
        """How far the accuracies of the folds scatter; None where only one has any images."""
        accuracies = self._accuracies()
        return stdev(accuracies) if len(accuracies) > 1 else None

    def __str__(self) -> str:
        accuracies = self._accuracies()
        span = format_interval((min(accuracies), max(accuracies)))
        spread = self.standard_deviation
        scatter = "" if spread is None else f", standard deviation {100 * spread:.1f} points"
        return (
            f"{self.num_folds}-fold cross-validation: {self.evaluation}; fold by fold {span}, "
            f"mean {format_share(self.mean)}{scatter}"
        )

    def to_frame(self) -> pd.DataFrame:
        """Returns one row per fold: `fold,n,right,accuracy,accuracy_low,accuracy_high`.

        The last two are the limits of the 95 % interval.
        """
        import pandas as pd

        rows = [
            {
                "fold": score.fold,
                "n": score.n,
                "right": score.right,
                "accuracy": score.accuracy,
                "accuracy_low": score.accuracy_ci95 and score.accuracy_ci95[0],
                "accuracy_high": score.accuracy_ci95 and score.accuracy_ci95[1],
            }
            for score in self.scores
        ]
        return pd.DataFrame(rows)

    def to_dict(self) -> dict[str, Any]:
        """Returns the numbers as JSON can hold them: the metrics of all, and those by fold."""
        return {
            **self.evaluation.metrics,
            "num_folds": self.num_folds,
            "fold_mean": self.mean,
            "fold_standard_deviation": self.standard_deviation,
            "folds": [
                {
                    "fold": score.fold,
                    "n": score.n,
                    "right": score.right,
                    "accuracy": score.accuracy,
                    "accuracy_ci95": score.accuracy_ci95 and list(score.accuracy_ci95),
                }
                for score in self.scores
            ],
        }

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Writes numbers, tables and a page, and returns the folder.

        `metrics.json`, `scores.csv` (one row per fold), `predictions.csv` (one row per image,
        with its fold), `confusion_matrix.png` and `crossval.html`.

        Args:
            path: The folder, which must be new or empty.
            overwrite: Whether files in it may be replaced.

        Raises:
            OutputExistsError: If it is not empty and `overwrite` is false.
            OutputError: If it cannot be written.
        """
        folder = create_output_folder(path, overwrite=overwrite)
        write_json(folder / "metrics.json", self.to_dict())
        scores, answers = self.to_frame(), self.evaluation.predictions.to_frame()
        write_table(folder / "scores.csv", scores)
        answers.insert(1, "fold", list(self.folds))
        answers.insert(2, "true_label", list(self.evaluation.labels))
        write_table(folder / "predictions.csv", answers)
        metrics = self.evaluation.metrics
        matrix = np.array(metrics["confusion_matrix"], dtype=np.int64)
        figure = plot_confusion_matrix(matrix, classes=list(map(str, metrics["classes"])))
        save_figure(figure, folder / "confusion_matrix.png")
        save_page(
            folder / "crossval.html",
            f"{self.num_folds}-fold cross-validation",
            lead=[f"{self}.", _CAVEAT],
            sections=list(self._sections()),
            footer=f"planetvision {metadata.version('planetvision')}",
        )
        return folder

    def _accuracies(self) -> list[float]:
        return [score.accuracy for score in self.scores if score.accuracy is not None]

    def _sections(self) -> Iterator[Section]:
        rows = tuple(
            (score.fold, score.n, score.right, *_format_accuracy(score)) for score in self.scores
        )
        columns = ("fold", "images", "right", "accuracy", "95 % interval")
        remarks = (f"{remark}." for remark in self.evaluation.remarks)
        yield Section("Folds", (Table(columns, rows), *remarks))
        names, classes = self.evaluation.class_table
        yield Section("Classes", (Table(names, tuple(classes)),))
        missed = self.evaluation.misclassified
        tiles = tuple(self.evaluation.draw_tiles(missed[:_MAX_MISSES]))
        if tiles:
            heading = f"{count(len(missed), 'wrong answer')}, the surest first"
            more = len(missed) - _MAX_MISSES
            note = (f"... and {more} more, listed in predictions.csv.",) if more > 0 else ()
            yield Section(heading, (Gallery(tiles), *note))
        failed = tuple((row.path, row.error) for row in self.evaluation.predictions.failed)
        if failed:
            table = Table(("image", "why"), failed, stacked=True)
            yield Section("Images that cannot be read", (table,))


def _format_accuracy(score: FoldScore) -> tuple[str, str]:
    if score.accuracy is None or score.accuracy_ci95 is None:
        return "-", "-"
    return format_share(score.accuracy), format_interval(score.accuracy_ci95)
