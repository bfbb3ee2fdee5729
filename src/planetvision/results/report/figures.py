"""The figures of a report, each with its numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from planetvision.core.files import write_bytes, write_table
from planetvision.results.evaluation_data import EvaluationData
from planetvision.results.html.blocks import Link, Plot
from planetvision.results.plots import (
    encode_figure,
    plot_confusion_matrix,
    plot_faithfulness,
    plot_novelty,
    plot_per_class_accuracy,
    plot_precision_recall_curves,
    plot_reliability,
    plot_risk_coverage,
    plot_roc_curves,
    plot_slices,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


_MAX_SLICES = 12
_MAX_HEADINGS = 8


@dataclass(frozen=True, kw_only=True, eq=False)
class ReportFigure:
    """A figure of the report, and its numbers.

    Args:
        name: The name of its files.
        figure: The figure.
        alt: A description for readers who cannot see it.
        caption: How it is read.
        tables: Its numbers, by the names of their files.
        links: Other files that hold its numbers.
    """

    name: str
    figure: Figure
    alt: str
    caption: str
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    links: tuple[str, ...] = ()

    @cached_property
    def png(self) -> bytes:
        """The picture."""
        return encode_figure(self.figure)

    def save(self, folder: Path) -> None:
        """Writes the picture and the numbers.

        Raises:
            OutputError: If they cannot be written.
        """
        write_bytes(folder / f"{self.name}.png", self.png)
        for name, frame in self.tables.items():
            write_table(folder / f"{name}.csv", frame)

    @property
    def block(self) -> Plot:
        """The figure as a block of a page that lies beside its files."""
        numbers = [f"{name}.csv" for name in self.tables] + list(self.links)
        links = (Link("PNG", f"{self.name}.png"), *(Link(name, name) for name in numbers))
        return Plot(png=self.png, alt=self.alt, caption=self.caption, links=links)


def draw_figures(evaluation: EvaluationData) -> list[ReportFigure]:
    """Returns the figures that the numbers allow."""
    return [
        *_draw_classes(evaluation),
        *_draw_curves(evaluation),
        *_draw_certainty(evaluation),
        *_draw_novelty(evaluation),
        *_draw_slices(evaluation),
        *_draw_faithfulness(evaluation),
    ]


def _draw_classes(evaluation: EvaluationData) -> Iterator[ReportFigure]:
    import pandas as pd

    metrics = evaluation.metrics
    classes = [str(label) for label in metrics["classes"]]
    matrix = np.array(metrics["confusion_matrix"], dtype=np.int64)
    table = pd.DataFrame(matrix, columns=classes)
    table.insert(0, "true class", classes)
    for name, normalize, table_of in (
        ("confusion_matrix", False, {"confusion_matrix": table}),
        ("confusion_matrix_normalized", True, {}),
    ):
        yield ReportFigure(
            name=name,
            figure=plot_confusion_matrix(matrix, classes=classes, normalize=normalize),
            alt="Confusion matrix: how many images of each true class were given each answer.",
            caption="Rows are true classes, columns the most probable ones.",
            tables=table_of,
        )
    intervals = [metrics["per_class"][name]["recall_ci95"] or (np.nan, np.nan) for name in classes]
    yield ReportFigure(
        name="per_class_accuracy",
        figure=plot_per_class_accuracy(
            np.diag(matrix),
            matrix.sum(axis=1),
            classes=classes,
            intervals=np.array(intervals, dtype=np.float64),
        ),
        alt="The share of the images of each class that were found, with 95 % intervals.",
        caption="The share of each class that was found, with Wilson's 95 % interval.",
        links=("classification_report.csv",),
    )


def _draw_curves(evaluation: EvaluationData) -> Iterator[ReportFigure]:
    classes = [str(label) for label in evaluation.metrics["classes"]]
    for name, key, plot, caption in (
        (
            "roc_curves",
            "roc",
            plot_roc_curves,
            "Each class against the rest: how many of its images are found at the price of how "
            "many others.",
        ),
        (
            "precision_recall_curves",
            "precision_recall",
            plot_precision_recall_curves,
            "Each class against the rest: how pure the images called so are, the more of its own "
            "are found.",
        ),
    ):
        frame = evaluation.curves.get(key)
        if frame is not None and len(frame):
            yield ReportFigure(
                name=name,
                figure=plot(frame, classes=classes),
                alt=f"{name.replace('_', ' ').capitalize()} of each class.",
                caption=caption,
                tables={name: frame},
            )


def _draw_certainty(evaluation: EvaluationData) -> Iterator[ReportFigure]:
    import pandas as pd

    curves = evaluation.curves
    if "reliability" in curves:
        before = curves.get("reliability_uncalibrated")
        tables = {"reliability": curves["reliability"]}
        if before is not None:
            tables["reliability_uncalibrated"] = before
        yield ReportFigure(
            name="reliability",
            figure=plot_reliability(curves["reliability"], before),
            alt="Reliability diagram: the share of right answers over the confidence.",
            caption="On the dashed line answers are as often right as they are sure; under it they "
            "are too sure.",
            tables=tables,
        )
    rankings = {
        name.removeprefix("risk_coverage_"): frame
        for name, frame in curves.items()
        if name.startswith("risk_coverage_")
    }
    if rankings:
        joined = [frame.assign(ranking=name) for name, frame in rankings.items()]
        yield ReportFigure(
            name="risk_coverage",
            figure=plot_risk_coverage({f"by {name}": frame for name, frame in rankings.items()}),
            alt="The share of wrong answers over the share of images that are answered.",
            caption="How many answers are wrong if only the surest images are answered.",
            tables={"risk_coverage": pd.concat(joined, ignore_index=True)},
        )


def _draw_novelty(evaluation: EvaluationData) -> Iterator[ReportFigure]:
    predictions, negatives = evaluation.predictions, evaluation.negatives
    if predictions.novelty is None or evaluation.metrics.get("rejection") is None:
        return
    novelty = predictions.novelty[predictions.readable]
    unlike = None
    if negatives is not None and negatives.novelty is not None:
        unlike = negatives.novelty[negatives.readable]
    yield ReportFigure(
        name="novelty",
        figure=plot_novelty(novelty, unlike, evaluation.metrics["rejection"]["threshold"]),
        alt="How novelty is spread over the images, with the threshold of the answer unknown.",
        caption="What lies over the threshold is called unknown.",
        links=("predictions.csv", *(("negatives.csv",) if negatives is not None else ())),
    )


def _draw_slices(evaluation: EvaluationData) -> Iterator[ReportFigure]:
    slices = evaluation.slices
    if slices is None or not len(slices):
        return
    largest = slices.groupby("by", sort=False)["images"].rank(method="first", ascending=False)
    # The disc comes last, and is always shown.
    headings = list(dict.fromkeys(slices["by"]))[-_MAX_HEADINGS:]
    is_shown = (largest <= _MAX_SLICES) & slices["by"].isin(headings)
    shown = slices[is_shown].rename(columns={"by": "heading", "value": "slice"})
    left_out = len(slices) - len(shown)
    yield ReportFigure(
        name="slices",
        figure=plot_slices(shown.reset_index(drop=True)),
        alt="The accuracy on parts of the images, with 95 % intervals.",
        caption="The accuracy on parts of the images, with Wilson's 95 % interval."
        + (f" {left_out} more parts are in the table." if left_out else ""),
        tables={"slices": slices},
    )


def _draw_faithfulness(evaluation: EvaluationData) -> Iterator[ReportFigure]:
    import pandas as pd

    checks = evaluation.explanations.checks if evaluation.explanations is not None else None
    if checks is None or checks.deletion_curves is None or checks.insertion_curves is None:
        return
    measured = np.isfinite(checks.deletion_curves).all(axis=1)
    if not measured.any():
        return
    curves = [values[measured] for values in (checks.deletion_curves, checks.insertion_curves)]
    table = pd.DataFrame(
        {
            "share": np.linspace(0, 1, curves[0].shape[1]),
            "deletion": curves[0].mean(axis=0),
            "insertion": curves[1].mean(axis=0),
        }
    )
    yield ReportFigure(
        name="faithfulness",
        figure=plot_faithfulness(*curves),
        alt="The probability of the answer as what the maps mark is taken away, and brought in.",
        caption="The further the line of insertion is above that of deletion, the more the answer "
        "hangs on what the maps mark.",
        tables={"faithfulness": table},
    )
