"""`Audit`: findings about a data set, and trivial baselines."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from planetvision.core.errors import ImageError, count
from planetvision.core.files import create_output_folder, write_json, write_table
from planetvision.core.text import format_accuracy, format_interval, format_share
from planetvision.data.catalog import SPLIT_NAMES, Catalog, name_origin
from planetvision.data.duplicates import DuplicatePair
from planetvision.data.images import ImageArray, read_image
from planetvision.data.survey import Survey
from planetvision.results.html.blocks import Block, Gallery, Section, Table
from planetvision.results.html.page import pair_images, save_page
from planetvision.results.plots.gallery import Tile
from planetvision.results.plots.style import Tone
from planetvision.results.sampling import take_in_turn

if TYPE_CHECKING:
    import pandas as pd


Severity = Literal["error", "warning", "note"]
_MAX_TILES = 24
_READ_SIZE = 224


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that a person should know of the data.

    Args:
        kind: What it is, such as `conflicting_duplicates`.
        severity: `error` makes scores wrong, `warning` may, a `note` is good to know.
        message: What was found.
        remedy: What to do about it; empty where nothing need be done.
        rows: The images that it is about, as rows of the audit's catalog.
        num_images: How many images it is about, where they are not in the catalog.
    """

    kind: str
    severity: Severity
    message: str
    remedy: str = ""
    rows: tuple[int, ...] = ()
    num_images: int = 0


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """How far something trivial comes on the same split.

    Args:
        name: What it is.
        accuracy: Its share of right answers, in [0, 1].
        n: The images it was scored on.
        accuracy_ci95: The Wilson interval of the accuracy.
    """

    name: str
    accuracy: float
    n: int
    accuracy_ci95: tuple[float, float]

    def __str__(self) -> str:
        return f"{self.name}: {format_accuracy(self.accuracy, self.n, self.accuracy_ci95)}"


@dataclass(frozen=True, kw_only=True, eq=False)
class Audit:
    """The findings about a data set.

    Args:
        catalog: The images that could be read, with labels, groups and splits.
        survey: The survey of each of them.
        unreadable: Why the others could not be read.
        findings: What a person should know, the worst first.
        duplicates: Exact and near duplicates, as rows of the catalog.
        baselines: The trivial baselines.
        scored: The split that the baselines were scored on; they learned from `train`.
        remarks: What was not measured, and why.
    """

    catalog: Catalog
    survey: Survey
    unreadable: tuple[ImageError, ...]
    findings: tuple[Finding, ...]
    duplicates: tuple[DuplicatePair, ...]
    baselines: tuple[Baseline, ...] = ()
    scored: str = "test"
    remarks: tuple[str, ...] = ()

    def __str__(self) -> str:
        counts = Counter(finding.severity for finding in self.findings)
        found = [
            count(counts[severity], severity)
            for severity in ("error", "warning", "note")
            if counts[severity]
        ]
        unread = len(self.unreadable)
        beside = f" and {count(unread, 'file')} that cannot be read" if unread else ""
        return (
            f"{count(len(self.catalog), 'image')} of {len(self.catalog.classes)} classes{beside}: "
            f"{', '.join(found) or 'nothing to report'}"
        )

    def __repr__(self) -> str:
        return f"<Audit of {self.catalog.origin}: {self}>"

    def get_names(self, finding: Finding) -> list[str]:
        """Returns the files, or other names, of the images that a finding is about."""
        if finding.kind == "unreadable":
            return [error.source for error in self.unreadable]
        names = self.catalog.names
        return [names[row] for row in finding.rows]

    def to_frame(self) -> pd.DataFrame:
        """Returns the findings: a row each with `severity,kind,images,message,remedy`."""
        import pandas as pd

        rows = [
            {
                "severity": finding.severity,
                "kind": finding.kind,
                "images": finding.num_images or len(finding.rows),
                "message": finding.message,
                "remedy": finding.remedy,
            }
            for finding in self.findings
        ]
        return pd.DataFrame(rows, columns=["severity", "kind", "images", "message", "remedy"])

    def to_dict(self) -> dict[str, Any]:
        """Returns the whole as JSON can hold it."""
        names = self.catalog.names
        return {
            "origin": self.catalog.origin,
            "num_images": len(self.catalog),
            "unreadable": [
                {"image": error.source, "cause": error.cause} for error in self.unreadable
            ],
            "counts": {str(label): number for label, number in self.catalog.counts.items()},
            "splits": {
                split: {
                    str(label): number
                    for label, number in self.catalog.get_split(split).counts.items()
                }
                for split in SPLIT_NAMES
                if self.catalog.splits is not None
            },
            "findings": [
                {
                    "kind": finding.kind,
                    "severity": finding.severity,
                    "message": finding.message,
                    "remedy": finding.remedy,
                    "images": self.get_names(finding),
                }
                for finding in self.findings
            ],
            "duplicates": [
                {
                    "first": names[pair.first],
                    "second": names[pair.second],
                    "similarity": round(float(pair.similarity), 4),
                }
                for pair in self.duplicates
            ],
            "baselines": {
                "scored": self.scored,
                "scores": [
                    {
                        "name": baseline.name,
                        "accuracy": baseline.accuracy,
                        "n": baseline.n,
                        "accuracy_ci95": list(baseline.accuracy_ci95),
                    }
                    for baseline in self.baselines
                ],
            },
            "remarks": list(self.remarks),
        }

    def to_image_frame(self) -> pd.DataFrame:
        """Returns one row per image that could be read: the manifest, and its survey."""
        frame = self.catalog.to_frame()
        images = self.survey.images
        for name in ("format", "width", "height", "bits", "channels", "pages"):
            frame[name] = [getattr(image.facts, name, None) for image in images]
        frame["body_found"] = [image.has_body for image in images]
        frame["body_confidence"] = [
            None if image.body is None else round(image.body.confidence, 3) for image in images
        ]
        frame["body_area_fraction"] = [
            None if image.body is None else round(image.body.area_fraction, 4) for image in images
        ]
        return frame

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Writes `index.html`, `audit.json`, `findings.csv`, `images.csv`; returns the folder.

        Args:
            path: The folder, which must be new or empty.
            overwrite: Whether files in it may be replaced.

        Raises:
            OutputExistsError: If it is not empty and `overwrite` is false.
            OutputError: If it cannot be written.
        """
        folder = create_output_folder(path, overwrite=overwrite)
        write_json(folder / "audit.json", self.to_dict())
        findings, images = self.to_frame(), self.to_image_frame()
        write_table(folder / "findings.csv", findings)
        write_table(folder / "images.csv", images)
        save_page(
            folder / "index.html",
            f"Audit of {name_origin(self.catalog.origin)}",
            lead=[f"{self}."],
            sections=list(self._sections()),
            footer=f"planetvision {metadata.version('planetvision')}",
        )
        return folder

    def _sections(self) -> Iterator[Section]:
        yield Section("Findings", (self._finding_table(), *self.remarks))
        if self.unreadable:
            rows = tuple((error.source, error.cause) for error in self.unreadable)
            yield Section(
                "Files that cannot be read", (Table(("file", "why"), rows, stacked=True),)
            )
        yield Section("Classes", (self._class_table(),))
        if self.baselines:
            yield Section("How far trivial answers come", self._baseline_blocks())
        for finding in self.findings:
            if finding.kind in _HEADINGS and finding.rows:
                show = self._pair_blocks if finding.kind in _PAIR_KINDS else self._row_blocks
                blocks = (finding.message, finding.remedy, *show(finding))
                yield Section(_HEADINGS[finding.kind], blocks)
        yield Section("Files", (self._file_table(),))

    def _finding_table(self) -> Block:
        if not self.findings:
            return "Nothing to report."
        return Table(
            ("severity", "what was found", "what to do"),
            tuple(
                (finding.severity, finding.message, finding.remedy or "nothing")
                for finding in self.findings
            ),
            stacked=True,
        )

    def _class_table(self) -> Table:
        counts = self.catalog.counts
        total = max(1, len(self.catalog))
        splits = SPLIT_NAMES if self.catalog.splits is not None else ()
        parts = {split: self.catalog.get_split(split).counts for split in splits}
        return Table(
            ("class", "images", "share", *splits),
            tuple(
                (
                    label,
                    number,
                    f"{number / total:.1%}",
                    *(parts[split].get(label, 0) for split in splits),
                )
                for label, number in counts.items()
            ),
        )

    def _baseline_blocks(self) -> tuple[Block, ...]:
        rows = tuple(
            (
                baseline.name,
                format_share(baseline.accuracy),
                format_interval(baseline.accuracy_ci95),
                baseline.n,
            )
            for baseline in self.baselines
        )
        return (
            f"Each learned from the train split and was scored on the {self.scored} split. A "
            "network that is not clearly better has learned nothing that these do not know.",
            Table(("baseline", "accuracy", "95 % interval", "images"), rows),
        )

    def _file_table(self) -> Table:
        sizes: dict[tuple[str, str, str], list[tuple[int, int]]] = {}
        for image in self.survey.images:
            if image.facts is not None:
                facts = image.facts
                kind = (facts.format, f"{facts.bits} bits", f"{facts.channels} channels")
                sizes.setdefault(kind, []).append((facts.width, facts.height))
        rows = sorted(sizes.items(), key=lambda item: -len(item[1]))
        return Table(
            ("format", "depth", "colours", "files", "smallest", "largest"),
            tuple(
                (
                    *kind,
                    len(found),
                    _format_size(min(found, key=math.prod)),
                    _format_size(max(found, key=math.prod)),
                )
                for kind, found in rows
            ),
        )

    def _row_blocks(self, finding: Finding) -> tuple[Block, ...]:
        labels = self.catalog.labels or ()
        chosen = take_in_turn([labels[row] for row in finding.rows], _MAX_TILES)
        tiles = tuple(
            Tile(image, self._name(row), (self._label(row),), _get_tone(finding))
            for row in (finding.rows[index] for index in chosen)
            if (image := self._read(row)) is not None
        )
        return (Gallery(tiles), *_say_more(len(finding.rows) - _MAX_TILES, "images"))

    def _pair_blocks(self, finding: Finding) -> tuple[Block, ...]:
        labels, wanted = self.catalog.labels or (), set(finding.rows)
        pairs = [
            pair
            for pair in self.duplicates
            if {pair.first, pair.second} <= wanted and self._is_of(finding.kind, pair)
        ]
        chosen = take_in_turn([labels[pair.first] for pair in pairs], _MAX_TILES)
        tiles = []
        for pair in (pairs[index] for index in chosen):
            first, second = self._read(pair.first), self._read(pair.second)
            if first is not None and second is not None:
                rows = (pair.first, pair.second)
                lines = tuple(f"{self._name(row)} ({self._label(row)})" for row in rows)
                title = (
                    "same pixels"
                    if pair.similarity >= 1
                    else f"similarity {min(pair.similarity, 0.999):.3f}"
                )
                tiles.append(Tile(pair_images(first, second), title, lines, _get_tone(finding)))
        return (
            Gallery(tuple(tiles), wide=True),
            *_say_more(len(pairs) - _MAX_TILES, "pairs"),
        )

    def _is_of(self, kind: str, pair: DuplicatePair) -> bool:
        labels, splits = self.catalog.labels or (), self.catalog.splits
        if kind == "conflicting_duplicates":
            return labels[pair.first] != labels[pair.second]
        if kind == "leaks":
            return splits is not None and splits[pair.first] != splits[pair.second]
        alike = labels[pair.first] == labels[pair.second]
        return alike and (pair.similarity >= 1) == (kind == "exact_duplicates")

    def _read(self, row: int) -> ImageArray | None:
        try:
            return read_image(self.catalog.sources[row], min_size=_READ_SIZE, stretch="linear")
        except ImageError:
            return None

    def _name(self, row: int) -> str:
        return Path(self.catalog.names[row]).name

    def _label(self, row: int) -> str:
        split = "" if self.catalog.splits is None else f", {self.catalog.splits[row]}"
        return f"{(self.catalog.labels or ())[row]}{split}"


_HEADINGS: Mapping[str, str] = {
    "conflicting_duplicates": "Copies under different labels",
    "leaks": "Copies in different parts",
    "exact_duplicates": "The same pixels",
    "near_duplicates": "Near-duplicates",
    "no_body": "No body found",
    "small": "Small images",
    "bit_depth": "More than 8 bits",
    "large_group": "A large group",
}
_PAIR_KINDS = frozenset({"conflicting_duplicates", "leaks", "exact_duplicates", "near_duplicates"})


def _get_tone(finding: Finding) -> Tone:
    return "bad" if finding.severity == "error" else "neutral"


def _say_more(number: int, what: str) -> tuple[str, ...]:
    return (f"... and {number} more {what}, listed in audit.json.",) if number > 0 else ()


def _format_size(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]}"
