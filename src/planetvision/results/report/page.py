"""The page of a report: its sections, from the key figures to the commands that repeat it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from planetvision.core.errors import count
from planetvision.core.text import format_interval, format_share
from planetvision.data.catalog import name_origin
from planetvision.results.evaluation_data import EvaluationData
from planetvision.results.html.blocks import (
    Block,
    Code,
    Details,
    Facts,
    Highlights,
    Link,
    Plot,
    Section,
    Table,
)
from planetvision.results.html.page import save_page
from planetvision.results.report.figures import ReportFigure
from planetvision.results.report.galleries import list_explanations, list_mistakes

# Slices with fewer images are not called weak.
_MIN_WEAK = 5


def save_report(evaluation: EvaluationData, figures: Sequence[ReportFigure], path: Path) -> None:
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


def _list_highlights(evaluation: EvaluationData) -> Iterator[tuple[str, str, str]]:
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
    if rejection.get("threshold") is not None and "num_negatives" in rejection:
        yield (
            "negatives answered",
            format_share(rejection["negatives_answered"]),
            f"{_format_interval(rejection['negatives_answered_ci95'])}; "
            f"of {count(rejection['num_negatives'], 'image')}",
        )


def _list_sections(evaluation: EvaluationData, plots: Mapping[str, Plot]) -> Iterator[Section]:
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
    yield Section("Mistakes", tuple(list_mistakes(evaluation)))
    if evaluation.explanations is not None:
        yield Section("Where it looked", (*list_explanations(evaluation), *pick("faithfulness")))
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


def _list_weak_slices(evaluation: EvaluationData) -> Iterator[str]:
    """The slices whose whole interval lies below the overall accuracy."""
    slices = evaluation.slices
    assert slices is not None
    weak = slices[(slices["high"] < evaluation.accuracy) & (slices["images"] >= _MIN_WEAK)]
    columns = ["by", "value", "right", "images", "low", "high"]
    for by, value, right, images, low, high in zip(*(weak[name] for name in columns), strict=True):
        yield (
            f"Weaker than the whole: {by}: {value}, {right} of {images} right (95 % interval "
            f"{format_interval((low, high))})."
        )


def _list_about(evaluation: EvaluationData) -> Iterator[Section]:
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
            *(("negatives.csv",) if evaluation.negatives is not None else ()),
            *(("explanations.csv",) if evaluation.explanations is not None else ()),
        )
    ]
    repeat = about.get("repeat") or ()
    commands = (Code("\n".join(repeat)),) if repeat else ()
    yield Section("How to repeat it, and the numbers", (*commands, *files))


def _list_baselines(baselines: Mapping[str, Any]) -> Iterator[Block]:
    """The trivial baselines on the training data."""
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
