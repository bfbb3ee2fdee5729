"""`Comparison`: which of two models is better on the same images, if these can tell."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from planetvision.core.errors import ImageError, count
from planetvision.core.files import create_output_folder, create_table, write_json, write_table
from planetvision.core.settings import Label
from planetvision.core.text import format_accuracy, format_share
from planetvision.data.images import read_image
from planetvision.results.html.blocks import Gallery, Section, Table
from planetvision.results.html.page import save_page
from planetvision.results.plots.gallery import Tile
from planetvision.results.predictions import Prediction, Predictions
from planetvision.results.sampling import take_in_turn

if TYPE_CHECKING:
    import pandas as pd


_MAX_TILES = 48
_READ_SIZE = 448
# The share of tests of equally good models in which one is said to be better.
_LEVEL = 0.05


@dataclass(frozen=True, kw_only=True, eq=False)
class Comparison:
    """Which of two models is better on the same images, if these can tell.

    What is right or wrong is the most probable class, whether or not the answer was `unknown`.

    Args:
        names: What the two models are called.
        first: The answers of one model, images that it could not read included.
        second: Those of the other for the same images.
        labels: What each image shows.
        both_right: How many of the images that both could read both get right.
        only_first: How many the first alone.
        only_second: How many the second alone.
        both_wrong: How many neither of them got right.
        p_value: In which share of such tests two equally good models would differ as unevenly, by
            the exact test of McNemar.
        accuracies_ci95: The Wilson interval of each accuracy.
        difference_ci95: The interval of their difference.
        left_out: The classes that not both models know, with the number of their images, which are
            in none of the above.
    """

    names: tuple[str, str]
    first: Predictions
    second: Predictions
    labels: tuple[Label, ...]
    both_right: int
    only_first: int
    only_second: int
    both_wrong: int
    p_value: float
    accuracies_ci95: tuple[tuple[float, float], tuple[float, float]]
    difference_ci95: tuple[float, float]
    left_out: Mapping[Label, int] = field(default_factory=dict)

    @property
    def n(self) -> int:
        """How many images were compared: those that both models could read."""
        return self.both_right + self.only_first + self.only_second + self.both_wrong

    @property
    def accuracies(self) -> tuple[float, float]:
        """The share of images that each gets right, in [0, 1]."""
        both = self.both_right
        return (both + self.only_first) / self.n, (both + self.only_second) / self.n

    @property
    def difference(self) -> float:
        """The accuracy of the first less that of the second."""
        return (self.only_first - self.only_second) / self.n

    @property
    def better(self) -> str | None:
        """The name of the better model; None where these images do not tell.

        Its advantage would come up by chance in less than 5 % of such tests.
        """
        if self.p_value >= _LEVEL:
            return None
        return self.names[0] if self.only_first > self.only_second else self.names[1]

    @property
    def failed(self) -> list[Prediction]:
        """An answer for each image that either model could not read, with the error."""
        pairs = zip(self.first, self.second, strict=True)
        return [one if one.error else other for one, other in pairs if one.error or other.error]

    def __str__(self) -> str:
        first, second = self.names
        images = "these images do not tell which is better"
        if not self.only_first + self.only_second:
            right = (
                f"{self.both_right} of {count(self.n, 'image')}" if self.both_right else "no image"
            )
            alike = "the same " if self.both_right else ""
            return f"{first} and {second} are right on {alike}{right}: {images}."
        found = (
            f"{first} is right on {count(self.only_first, 'image')} that {second} gets wrong, and "
            f"{second} on {self.only_second} that {first} gets wrong (of {self.n})"
        )
        if self.only_first == self.only_second:
            return f"{found}, which is even: {images}."
        verdict = f"{self.better} is better on images like these" if self.better else images
        share = format_share(self.p_value)
        return (
            f"{found}. Were they equally good, so uneven a count would come up in {share} of such "
            f"tests: {verdict}."
        )

    @property
    def remarks(self) -> list[str]:
        """The accuracies and their difference, and what was left out, one sentence each."""
        found = [
            f"{name}: accuracy {format_accuracy(share, self.n, interval)}"
            for name, share, interval in zip(
                self.names, self.accuracies, self.accuracies_ci95, strict=True
            )
        ]
        low, high = (f"{100 * limit:+.1f}" for limit in self.difference_ci95)
        found.append(
            f"{self.names[0]} less {self.names[1]}: {100 * self.difference:+.1f} points "
            f"(95 % interval {low} to {high})"
        )
        if self.failed:
            found.append(f"{count(len(self.failed), 'image')} could not be read")
        if self.left_out:
            named = ", ".join(f"{label} ({number})" for label, number in self.left_out.items())
            found.append(f"left out, since not both models know the class: {named}")
        strange = [
            f"{name} also knows {', '.join(extra)}"
            for name, extra in zip(self.names, self._extra_classes(), strict=True)
            if extra
        ]
        if strange:
            found.append(f"{'; '.join(strange)}: an answer of such a class is wrong here")
        return found

    def to_frame(self) -> pd.DataFrame:
        """Returns one row per image.

        Its columns are `path`, `true_label`, `label_a`, `confidence_a`, `right_a` for the most
        probable class of the first model, `label_b`, `confidence_b`, `right_b` for that of the
        second, and `error`. Nothing is right or wrong where an image could not be read by both.
        """
        table: dict[str, list[Any]] = {
            "path": list(self.first.paths),
            "true_label": list(self.labels),
        }
        errors = [
            one or other for one, other in zip(self.first.errors, self.second.errors, strict=True)
        ]
        for letter, answers in (("a", self.first), ("b", self.second)):
            rows = list(answers)
            table[f"label_{letter}"] = [row.top_label for row in rows]
            table[f"confidence_{letter}"] = [row.confidence for row in rows]
            table[f"right_{letter}"] = [
                None if error else row.top_label == label
                for row, label, error in zip(rows, self.labels, errors, strict=True)
            ]
        table["error"] = errors
        return create_table(table)

    def to_dict(self) -> dict[str, Any]:
        """Returns the numbers as JSON can hold them."""
        return {
            "sentence": str(self),
            "better": self.better,
            "n": self.n,
            "both_right": self.both_right,
            "only_a_right": self.only_first,
            "only_b_right": self.only_second,
            "both_wrong": self.both_wrong,
            "p_value": self.p_value,
            "difference": self.difference,
            "difference_ci95": list(self.difference_ci95),
            "models": [
                {
                    "name": name,
                    "accuracy": share,
                    "accuracy_ci95": list(interval),
                    "classes": list(answers.classes),
                }
                for name, share, interval, answers in zip(
                    self.names,
                    self.accuracies,
                    self.accuracies_ci95,
                    (self.first, self.second),
                    strict=True,
                )
            ],
            "left_out": {str(label): number for label, number in self.left_out.items()},
            "unreadable": [{"image": row.path, "cause": row.error} for row in self.failed],
        }

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Writes `comparison.html`, `comparison.json`, `comparison.csv`; returns the folder.

        Args:
            path: The folder, which must be new or empty.
            overwrite: Whether files in it may be replaced.

        Raises:
            OutputExistsError: If it is not empty and `overwrite` is false.
            OutputError: If it cannot be written.
        """
        folder = create_output_folder(path, overwrite=overwrite)
        write_json(folder / "comparison.json", self.to_dict())
        table = self.to_frame()
        write_table(folder / "comparison.csv", table)
        save_page(
            folder / "comparison.html",
            f"{self.names[0]} and {self.names[1]}",
            lead=[str(self)],
            sections=list(self._sections()),
            footer=f"planetvision {metadata.version('planetvision')}",
        )
        return folder

    def _extra_classes(self) -> list[list[str]]:
        """Returns the classes of each model that the other does not know."""
        both = (self.first.classes, self.second.classes)
        return [
            [str(label) for label in own if label not in others]
            for own, others in (both, both[::-1])
        ]

    def _sections(self) -> Iterator[Section]:
        first, second = self.names
        counts = Table(
            ("", f"{second} right", f"{second} wrong"),
            (
                (f"{first} right", self.both_right, self.only_first),
                (f"{first} wrong", self.only_second, self.both_wrong),
            ),
        )
        yield Section("Counts", (counts, *(f"{remark}." for remark in self.remarks)))
        if self.failed:
            rows = tuple((row.path, row.error) for row in self.failed)
            yield Section(
                "Images that cannot be read", (Table(("image", "why"), rows, stacked=True),)
            )
        left = _MAX_TILES
        frame = self.to_frame()
        read = frame["error"] == ""
        right_a, right_b = (frame[name].eq(True) & read for name in ("right_a", "right_b"))
        differ = frame["label_a"] != frame["label_b"]
        for heading, chosen in (
            (f"Only {first} is right", right_a & ~right_b),
            (f"Only {second} is right", right_b & ~right_a),
            ("Both are wrong, each in its own way", read & ~right_a & ~right_b & differ),
        ):
            found = frame.index[chosen].tolist()
            taken = take_in_turn([self.labels[row] for row in found], left)
            left -= len(taken)
            tiles = tuple(self._draw_tiles([found[index] for index in taken]))
            more = len(found) - len(taken)
            note = (f"... and {more} more, listed in comparison.csv.",) if more else ()
            if found:
                yield Section(heading, (*((Gallery(tiles),) if tiles else ()), *note))

    def _draw_tiles(self, rows: list[int]) -> Iterator[Tile]:
        for row in rows:
            try:
                image = read_image(self.first.sources[row], stretch="linear", min_size=_READ_SIZE)
            except ImageError:  # it was there when it was predicted, and is gone now
                continue
            answers = (
                f"{name}: {answer.top_label}  {format_share(answer.confidence)}"
                for name, answer in zip(
                    self.names, (self.first[row], self.second[row]), strict=True
                )
            )
            file = Path(self.first.paths[row]).name
            yield Tile(image, f"is {self.labels[row]}", (*answers, file))
