"""The report of an evaluation: its figures, and one page that says what they show."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from planetvision.core.errors import ImageError, count
from planetvision.core.files import write_bytes, write_table
from planetvision.core.text import format_interval, format_share
from planetvision.data.catalog import name_origin
from planetvision.data.images import read_image
from planetvision.results.explanations import Explanation, Explanations
from planetvision.results.html.blocks import (
    Block,
    Code,
    Details,
    Facts,
    Gallery,
    Highlights,
    Link,
    Plot,
    Section,
    Table,
)
from planetvision.results.html.page import pair_images, save_page
from planetvision.results.plots.charts import plot_confusion_matrix, plot_per_class_accuracy
from planetvision.results.plots.curves import (
    plot_faithfulness,
    plot_novelty,
    plot_precision_recall_curves,
    plot_reliability,
    plot_risk_coverage,
    plot_roc_curves,
    plot_slices,
)
from planetvision.results.plots.gallery import Tile
from planetvision.results.plots.style import encode_figure
from planetvision.results.predictions import Prediction
from planetvision.results.sampling import take_in_turn

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from planetvision.results.evaluation import Evaluation

__all__ = ["ReportFigure", "draw_figures", "save_report"]

_MAX_MISTAKES = 24
_MAX_EXPLAINED = 14
_MAX_COLD = 12
_MAX_SLICES = 12
_MAX_HEADINGS = 8
# Of fewer images a part is not called weak.
_MIN_WEAK = 5
_READ_SIZE = 448


@dataclass(frozen=True, kw_only=True, eq=False)
class ReportFigure:
    """A figure of the report, and its numbers.

    Args:
        name: What its files are called.
        figure: The figure.
        alt: What it shows, for those who do not see it.
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
        """The figure as a part of a page in the folder of its files."""
        numbers = [f"{name}.csv" for name in self.tables] + list(self.links)
        links = (Link("PNG", f"{self.name}.png"), *(Link(name, name) for name in numbers))
        return Plot(png=self.png, alt=self.alt, caption=self.caption, links=links)


def draw_figures(evaluation: Evaluation) -> list[ReportFigure]:
    """Returns the figures that the numbers allow."""
    return [
        *_draw_classes(evaluation),
        *_draw_curves(evaluation),
        *_draw_certainty(evaluation),
        *_draw_novelty(evaluation),
        *_draw_slices(evaluation),
        *_draw_faithfulness(evaluation),
    ]


def _draw_classes(evaluation: Evaluation) -> Iterator[ReportFigure]:
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


def _draw_curves(evaluation: Evaluation) -> Iterator[ReportFigure]:
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


def _draw_certainty(evaluation: Evaluation) -> Iterator[ReportFigure]:
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


def _draw_novelty(evaluation: Evaluation) -> Iterator[ReportFigure]:
    predictions, others = evaluation.predictions, evaluation.others
    if predictions.novelty is None or evaluation.metrics.get("rejection") is None:
        return
    novelty = predictions.novelty[predictions.readable]
    unlike = None
    if others is not None and others.novelty is not None:
        unlike = others.novelty[others.readable]
    yield ReportFigure(
        name="novelty",
        figure=plot_novelty(novelty, unlike, evaluation.metrics["rejection"]["threshold"]),
        alt="How novelty is spread over the images, with the threshold of the answer unknown.",
        caption="What lies over the threshold is called unknown.",
        links=("predictions.csv", *(("others.csv",) if others is not None else ())),
    )


def _draw_slices(evaluation: Evaluation) -> Iterator[ReportFigure]:
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


def _draw_faithfulness(evaluation: Evaluation) -> Iterator[ReportFigure]:
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


def save_report(evaluation: Evaluation, figures: Sequence[ReportFigure], path: Path) -> None:
    """Writes the page.

    Args:
        evaluation: What it reports.
        figures: The figures, which lie beside it.
        path: The file, which ends in `.html`.

    Raises:
        OutputError: If it cannot be written.
    """
    plots = {figure.name: figure.block for figure in figures}
    about = evaluation.about
    origin = about.get("data", {}).get("origin", "labelled images")
    versions = about.get("versions", {})
    footer = f"planetvision {versions['planetvision']}" if "planetvision" in versions else ""
    save_page(
        path,
        f"How good the model is on {name_origin(str(origin))}",
        lead=[Highlights(tuple(_list_highlights(evaluation))), f"{_capitalize(str(evaluation))}."],
        sections=list(_list_sections(evaluation, plots)),
        footer=footer,
    )


def _list_highlights(evaluation: Evaluation) -> Iterator[tuple[str, str, str]]:
    metrics = evaluation.metrics
    n = metrics["n"]
    right = round(metrics["accuracy"] * n)
    interval = _format_interval(metrics["accuracy_ci95"])
    yield "accuracy", format_share(metrics["accuracy"]), f"{interval}; {right} of {n}"
    yield "macro F1", format_share(metrics["macro_f1"]), _format_interval(metrics["macro_f1_ci95"])
    yield "calibration error", format_share(metrics["ece"]), _format_interval(metrics["ece_ci95"])
    verdict = evaluation.explanations.verdict if evaluation.explanations is not None else None
    if verdict is not None and verdict.energy_on_body is not None:
        chance = "" if verdict.body_share is None else format_share(verdict.body_share)
        yield "evidence on the body", format_share(verdict.energy_on_body), f"by chance {chance}"
    rejection = metrics.get("rejection") or {}
    if rejection.get("threshold") is not None and rejection["coverage"] is not None:
        yield (
            "answered with a class",
            format_share(rejection["coverage"]),
            _format_interval(rejection["coverage_ci95"]),
        )
    if rejection.get("threshold") is not None and "num_others" in rejection:
        yield (
            "other things answered",
            format_share(rejection["others_answered"]),
            f"{_format_interval(rejection['others_answered_ci95'])}; "
            f"of {count(rejection['num_others'], 'image')}",
        )


def _list_sections(evaluation: Evaluation, plots: Mapping[str, Plot]) -> Iterator[Section]:
    def pick(*names: str) -> tuple[Block, ...]:
        return tuple(plots[name] for name in names if name in plots)

    yield Section("In words", tuple(f"{_capitalize(text)}." for text in evaluation.remarks))
    yield Section(
        "Classes",
        (
            _create_class_table(evaluation.metrics),
            *pick("confusion_matrix", "per_class_accuracy"),
            *_fold(
                "ROC and precision-recall curves", pick("roc_curves", "precision_recall_curves")
            ),
        ),
    )
    yield Section("How sure it is", pick("reliability", "risk_coverage"))
    if "novelty" in plots:
        yield Section("The answer unknown", pick("novelty"))
    if "slices" in plots:
        yield Section("Parts of the images", (*_list_weak_slices(evaluation), *pick("slices")))
    yield Section("Mistakes", tuple(_list_mistakes(evaluation)))
    if evaluation.explanations is not None:
        yield Section("Where it looked", (*_list_explanations(evaluation), *pick("faithfulness")))
    yield from _list_about(evaluation)


def _fold(summary: str, blocks: tuple[Block, ...]) -> tuple[Block, ...]:
    return (Details(summary, blocks),) if blocks else ()


def _create_class_table(metrics: Mapping[str, Any]) -> Table:
    rows = []
    for name, values in metrics["per_class"].items():
        interval = _format_interval(values["recall_ci95"], prefix="")
        cells = [values.get(key) for key in ("precision", "f1", "roc_auc", "ece")]
        precision, f1, area, error = ("-" if cell is None else f"{cell:.3f}" for cell in cells)
        recall = "-" if values["recall"] is None else f"{values['recall']:.3f}"
        rows.append((name, values["support"], recall, interval, precision, f1, area, error))
    return Table(
        (
            "class",
            "images",
            "recall",
            "95 % interval",
            "precision",
            "F1",
            "ROC area",
            "calibration error",
        ),
        tuple(rows),
    )


def _list_weak_slices(evaluation: Evaluation) -> Iterator[str]:
    """The parts whose whole interval lies under the accuracy of all."""
    slices = evaluation.slices
    assert slices is not None
    weak = slices[(slices["high"] < evaluation.accuracy) & (slices["images"] >= _MIN_WEAK)]
    columns = ["by", "value", "right", "images", "low", "high"]
    for by, value, right, images, low, high in zip(*(weak[name] for name in columns), strict=True):
        yield (
            f"Weaker than the whole: {by}: {value}, {right} of {images} right (95 % interval "
            f"{format_interval((low, high))})."
        )


def _list_mistakes(evaluation: Evaluation) -> Iterator[Block]:
    wrong = evaluation.misclassified
    if not wrong:
        yield "No image is most like another class than the true one."
        return
    yield (
        f"{count(len(wrong), 'image')} most like another class than the true one, the surest "
        "first, each beside where the network found the evidence for its answer."
    )
    maps = {item.path: item for item in evaluation.explanations or () if not item.error}
    sources = dict(zip(evaluation.predictions.paths, evaluation.predictions.sources, strict=True))
    tiles = [
        _create_mistake(answer, label, sources, maps) for answer, label in wrong[:_MAX_MISTAKES]
    ]
    yield Gallery(tuple(tile for tile in tiles if tile is not None), wide=True)
    if len(wrong) > _MAX_MISTAKES:
        yield Link(f"all {len(wrong)} in mistakes.csv", "mistakes.csv")


def _create_mistake(
    answer: Prediction, label: Any, sources: Mapping[str, Any], maps: Mapping[str, Explanation]
) -> Tile | None:
    item = maps.get(answer.path)
    if item is not None:
        picture = pair_images(item.image, item.overlay)
    else:
        try:
            image = read_image(sources[answer.path], stretch="linear", min_size=_READ_SIZE)
        except ImageError:  # it was there when it was predicted, and is gone now
            return None
        picture = pair_images(image, image)
    lines = (
        f"true: {label}, given {format_share(answer.probabilities[label])}",
        *(() if answer.known else ("called unknown",)),
        answer.path,
    )
    return Tile(picture, f"{answer.top_label}  {format_share(answer.confidence)}", lines, "bad")


def _list_explanations(evaluation: Evaluation) -> Iterator[Block]:
    explanations = evaluation.explanations
    assert explanations is not None
    if explanations.verdict is not None:
        yield str(explanations.verdict)
    rows = [row for row, item in enumerate(explanations) if not item.error]
    turns = take_in_turn([str(explanations[row].label) for row in rows], _MAX_EXPLAINED)
    yield Gallery(tuple(_create_map(explanations, rows[turn]) for turn in turns), wide=True)
    cold = explanations.list_background()
    if cold:
        assert explanations.checks is not None
        measured = int(np.isfinite(explanations.checks.energy_on_body).sum())
        yield (
            f"Of {count(measured, 'image')} with a disc and a map, {len(cold)} have more evidence "
            "beside the disc than on it, for their size. The first of them:"
        )
        tiles = tuple(_create_map(explanations, row) for row in cold[:_MAX_COLD])
        yield Gallery(tiles, wide=True)
        if len(cold) > _MAX_COLD:
            yield Link(f"all {len(cold)} in explanations.csv", "explanations.csv")


def _create_map(explanations: Explanations, row: int) -> Tile:
    item = explanations[row]
    lines = [f"evidence for {item.subject}, {item.method}", Path(item.path).name]
    if explanations.checks is not None and np.isfinite(explanations.checks.energy_on_body[row]):
        energy, share = explanations.checks.energy_on_body[row], explanations.checks.body_share[row]
        lines.append(f"{format_share(energy)} on the body, {format_share(share)} by chance")
    return Tile(pair_images(item.image, item.overlay), item.answer, tuple(lines))


def _list_about(evaluation: Evaluation) -> Iterator[Section]:
    about = evaluation.about
    training = about.get("training") or {}
    blocks: list[Block] = []
    if about.get("findings") is not None:
        blocks += ["The images of this evaluation:", _create_audit_table(about["findings"])]
    if training:
        blocks += [
            f"The {count(training['num_images'], 'image')} that the model was trained, validated "
            f"and tested on ({training['origin']}):",
            _create_audit_table(training["findings"]),
            *_list_baselines(training["baselines"]),
        ]
    if blocks:
        yield Section("Audit", tuple(blocks))
    facts = [
        Details(heading, (Facts(tuple((name, str(value)) for name, value in rows.items())),))
        for heading, rows in (
            ("Data", about.get("data")),
            ("Model", about.get("model")),
            ("Settings", about.get("settings")),
            ("Versions", about.get("versions")),
        )
        if rows
    ]
    if facts:
        yield Section("Settings and versions", tuple(facts))
    files = [
        Link(name, name)
        for name in (
            "metrics.json",
            "classification_report.csv",
            "predictions.csv",
            "mistakes.csv",
            *(("others.csv",) if evaluation.others is not None else ()),
            *(("explanations.csv",) if evaluation.explanations is not None else ()),
        )
    ]
    repeat = about.get("repeat") or ()
    commands = (Code("\n".join(repeat)),) if repeat else ()
    yield Section("How to repeat it, and the numbers", (*commands, *files))


def _list_baselines(baselines: Mapping[str, Any]) -> Iterator[Block]:
    """How far trivial answers come on the data of the training."""
    if not baselines["scores"]:
        return
    yield f"How far trivial answers come on its {baselines['scored']} part:"
    yield Table(
        ("answer", "accuracy", "95 % interval", "images"),
        tuple(
            (
                score["name"],
                format_share(score["accuracy"]),
                _format_interval(score["accuracy_ci95"], prefix=""),
                score["n"],
            )
            for score in baselines["scores"]
        ),
    )


def _create_audit_table(findings: Sequence[Mapping[str, str]]) -> Block:
    if not findings:
        return "Nothing to report."
    return Table(
        ("severity", "what was found", "what to do"),
        tuple(
            (finding["severity"], finding["message"], finding["remedy"] or "nothing")
            for finding in findings
        ),
        stacked=True,
    )


def _format_interval(interval: Sequence[float] | None, *, prefix: str = "95 % interval ") -> str:
    if interval is None:
        return "no interval" if prefix else "-"
    return f"{prefix}{format_interval(interval)}"


def _capitalize(text: str) -> str:
    return text[:1].upper() + text[1:]
