"""Results as lines and tables in a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from planetvision.core.errors import count

if TYPE_CHECKING:
    from planetvision.results import Audit, Evaluation, Explanations, Predictions
    from planetvision.workflows.run import Run


_SHOWN_ROWS = 20
_SHOWN_NAMES = 4


def show_run(run: Run) -> None:
    """Shows the test scores of a run and its files."""
    from planetvision.core.devices import is_main_process

    if not is_main_process():
        return
    if run.evaluation is None:
        typer.echo("no test split: the model is trained but not evaluated")
    else:
        show_evaluation(run.evaluation)
    typer.echo(f"\nrun: {run.folder}")
    for name in ("model", "history.csv", "split.csv", "report"):
        if (run.folder / name).exists():
            typer.echo(f"  {run.folder / name}")


def show_evaluation(evaluation: Evaluation) -> None:
    """Shows scores, a table of classes and the most confident mistakes."""
    typer.echo(str(evaluation))
    columns, rows = evaluation.class_table
    show_table([columns, *(tuple(map(str, row)) for row in rows)])
    for remark in evaluation.remarks:
        typer.echo(remark)
    _show_mistakes(evaluation)


def _show_mistakes(evaluation: Evaluation) -> None:
    from planetvision.core.text import format_share

    wrong = evaluation.misclassified
    if not wrong:
        return
    typer.echo(f"the most confident of {count(len(wrong), 'mistake')}:")
    show_table(
        [
            (
                f"  {answer.path}",
                f"{answer.top_label} {format_share(answer.confidence)}",
                f"is {label} {format_share(answer.probabilities[label])}",
            )
            for answer, label in wrong[:_SHOWN_NAMES]
        ]
    )


def show_audit(audit: Audit) -> None:
    """Shows the counts per class, the findings and the baselines of an audit."""
    typer.echo(f"{audit}\n")
    splits = [name for name in ("train", "val", "test") if name in (audit.catalog.splits or ())]
    counts = {name: audit.catalog.get_split(name).counts for name in splits}
    show_table(
        [
            ("class", "images", *splits),
            *(
                (str(label), str(number), *(str(counts[name].get(label, 0)) for name in splits))
                for label, number in audit.catalog.counts.items()
            ),
        ]
    )
    for finding in audit.findings:
        remedy = f" {finding.remedy}" if finding.remedy else ""
        typer.echo(f"\n{finding.severity}: {finding.message}{remedy}")
        names = audit.get_names(finding)
        for name in names[:_SHOWN_NAMES]:
            typer.echo(f"  {name}")
        if len(names) > _SHOWN_NAMES:
            typer.echo(f"  ... and {len(names) - _SHOWN_NAMES} more; --out DIR lists all of them")
    if audit.baselines:
        typer.echo(f"\nBaselines on the {audit.scored} split:")
    for baseline in audit.baselines:
        typer.echo(f"  {baseline}")
    for remark in audit.remarks:
        typer.echo(f"\n{remark}")


def list_predictions(predictions: Predictions) -> list[tuple[str, ...]]:
    """Returns one row per image that could be read: path, label, and confidence or remark."""
    from planetvision.core.text import format_share

    return [
        (row.path, str(row.label), format_share(row.confidence) if row.known else row.remark)
        for row in predictions
        if not row.error
    ]


def list_explanations(explanations: Explanations) -> Iterator[tuple[str, ...]]:
    """Yields a header, and one row per explained image."""
    from planetvision.core.text import format_share

    yield "image", "evidence for", "method", "on the body", "by chance"
    assert explanations.checks is not None  # the command keeps them
    figures = explanations.checks.to_figures()
    for row, item in enumerate(explanations):
        if item.error:
            continue
        shares = (figures["energy_on_body"][row], figures["body_share"][row])
        cells = ["-" if share != share else format_share(share) for share in shares]
        yield item.path, item.subject, item.method, *cells


def show_rows(rows: Sequence[tuple[str, ...]], *, table: Path | None) -> None:
    """Shows the first rows of a table that is also in a file, or all rows without a file."""
    num_shown = len(rows) if table is None else _SHOWN_ROWS
    show_table(rows[:num_shown])
    if len(rows) > num_shown:
        typer.echo(f"... and {len(rows) - num_shown} more: {table}")


def show_table(rows: Sequence[tuple[str, ...]], *, flush_right: bool = True) -> None:
    """Shows rows of cells in aligned columns.

    Args:
        rows: The rows, all of the same length.
        flush_right: Whether all columns but the first are flush right.
    """
    if not rows:
        return
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = [
            cell.rjust(width) if column and flush_right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        typer.echo("  ".join(cells).rstrip())
