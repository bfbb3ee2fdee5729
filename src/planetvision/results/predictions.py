"""`Predictions`: what a model said of each image."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import numpy.typing as npt

from planetvision.core.errors import ImageError, OutputError
from planetvision.core.files import create_output_folder, create_table, write_table
from planetvision.core.settings import Label
from planetvision.core.text import format_share
from planetvision.data.images import ImageSource, read_image
from planetvision.results.plots.gallery import Tile, annotate_image, draw_collage, save_image

if TYPE_CHECKING:
    import pandas as pd


UNKNOWN = "unknown"
"""The label of an image that appears to show none of the classes."""

_MAX_COLLAGE_TILES = 48
_READ_SIZE = 1024


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """The answer of a model for one image.

    Args:
        path: The image's path, or its kind and index.
        label: The answer: the most probable class, or `unknown`; None if the image could not be
            read.
        confidence: The probability of the most probable class, in [0, 1], given that the image
            shows one of the classes; NaN if the image could not be read.
        second_label: The next class.
        second_confidence: Its probability.
        probabilities: The probability of each class.
        error: Why the image could not be read; empty if it could.
        top_label: The most probable class, also where the answer is `unknown`.
        novelty: How little the image is like those that the model knows: 0 is typical of them, and
            most are under 1; None if the model has no score of it.
        known: Whether its novelty is under the threshold.
    """

    path: str
    label: Label | None
    confidence: float
    second_label: Label | None
    second_confidence: float
    probabilities: Mapping[Label, float]
    error: str = ""
    top_label: Label | None = None
    novelty: float | None = None
    known: bool = True

    @property
    def answer(self) -> str:
        """The label, with its probability if it is a class, for pictures."""
        return f"{self.label}  {format_share(self.confidence)}" if self.known else str(self.label)

    @property
    def remark(self) -> str:
        """The next class with its probability, or the nearest of what is unknown, for pictures."""
        if not self.known:
            return f"nearest: {self.top_label}  {format_share(self.confidence)}"
        return f"next: {self.second_label}  {format_share(self.second_confidence)}"


@dataclass(frozen=True, kw_only=True, eq=False)
class Predictions(Sequence[Prediction]):
    """The answers of a model, one per image, in the order of the input.

    It is a sequence of `Prediction`, and `numpy.asarray(predictions)` gives the labels, so
    scikit-learn's metrics take it.

    Args:
        paths: The name of each image.
        sources: Where each image is, or the image itself.
        classes: The classes, in the order of the columns of `probabilities`.
        probabilities: float64 of shape (N, C), rows that sum to 1; NaN rows for images that could
            not be read.
        errors: Why each image could not be read; empty strings for those that could.
        novelty: The novelty of each image, (N,); NaN for those that could not be read. None where
            the model has no score of it.
        threshold: The novelty over which an image is unknown; infinite if none is.
        temperature: What the logits were divided by.
    """

    paths: tuple[str, ...]
    sources: tuple[ImageSource, ...]
    classes: tuple[Label, ...]
    probabilities: npt.NDArray[np.float64]
    errors: tuple[str, ...]
    novelty: npt.NDArray[np.float64] | None = None
    threshold: float = math.inf
    temperature: float = 1.0

    def __len__(self) -> int:
        return len(self.paths)

    @overload
    def __getitem__(self, index: int) -> Prediction: ...

    @overload
    def __getitem__(self, index: slice) -> Predictions: ...

    def __getitem__(self, index: int | slice) -> Prediction | Predictions:
        if isinstance(index, slice):
            return replace(
                self,
                paths=self.paths[index],
                sources=self.sources[index],
                probabilities=self.probabilities[index],
                errors=self.errors[index],
                novelty=None if self.novelty is None else self.novelty[index],
            )
        if self.errors[index]:
            return Prediction(
                path=self.paths[index],
                label=None,
                confidence=float("nan"),
                second_label=None,
                second_confidence=float("nan"),
                probabilities={label: float("nan") for label in self.classes},
                error=self.errors[index],
                known=False,
            )
        row = self.probabilities[index]
        first, second = np.argsort(-row, kind="stable")[:2]
        # Not `self.known[index]`, which looks at all images for each.
        known = self.novelty is None or bool(self.novelty[index] <= self.threshold)
        return Prediction(
            path=self.paths[index],
            label=self.classes[first] if known else UNKNOWN,
            top_label=self.classes[first],
            novelty=None if self.novelty is None else float(self.novelty[index]),
            known=known,
            confidence=float(row[first]),
            second_label=self.classes[second],
            second_confidence=float(row[second]),
            probabilities=dict(zip(self.classes, row.tolist(), strict=True)),
        )

    def __iter__(self) -> Iterator[Prediction]:
        return (self[index] for index in range(len(self)))

    def __array__(
        self, dtype: npt.DTypeLike | None = None, copy: bool | None = None
    ) -> npt.NDArray[Any]:
        del copy  # the labels are computed, so the array is always new
        # Integers and a string in one array would all become strings.
        mixed = not all(isinstance(label, str) for label in self.classes)
        if self.failed or (mixed and not self.known.all()):
            return np.array(self.labels, dtype=dtype or object)
        return np.array(self.labels, dtype=dtype)

    @property
    def labels(self) -> list[Label | None]:
        """The answer for each image, a class or `unknown`; None where it could not be read."""
        return [prediction.label for prediction in self]

    @property
    def top_labels(self) -> list[Label | None]:
        """The most probable class of each image; None where it could not be read."""
        return [prediction.top_label for prediction in self]

    @property
    def known(self) -> npt.NDArray[np.bool_]:
        """Whether each image could be read and is not over the threshold, (N,)."""
        if self.novelty is None or self.threshold == math.inf:
            return self.readable
        return self.readable & (self.novelty <= self.threshold)

    @property
    def readable(self) -> npt.NDArray[np.bool_]:
        """Whether each image could be read, (N,)."""
        return np.array([not error for error in self.errors], dtype=bool)

    @property
    def failed(self) -> list[Prediction]:
        """Those of images that could not be read."""
        return [self[index] for index, error in enumerate(self.errors) if error]

    def to_frame(self) -> pd.DataFrame:
        """Returns a table with one row per image.

        Its columns are `path`, `label`, `confidence`, `known`, `novelty`, `top_label`,
        `second_label`, `second_confidence`, `p_<class>` for each class, and `error`.
        """
        rows = list(self)
        table: dict[str, Sequence[Any]] = {
            "path": [row.path for row in rows],
            "label": [row.label for row in rows],
            "confidence": [row.confidence for row in rows],
            "known": [row.known for row in rows],
            "novelty": [row.novelty for row in rows],
            "top_label": [row.top_label for row in rows],
            "second_label": [row.second_label for row in rows],
            "second_confidence": [row.second_confidence for row in rows],
        }
        for column, label in enumerate(self.classes):
            table[f"p_{label}"] = self.probabilities[:, column].tolist()
        table["error"] = list(self.errors)
        return create_table(table)

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Writes `predictions.csv`, `annotated/` and `collage.png`, and returns the folder.

        Args:
            path: The folder, which must be new or empty.
            overwrite: Whether files in it may be replaced.

        Raises:
            OutputExistsError: If it is not empty and `overwrite` is false.
            OutputError: If it cannot be written, or would replace the images that were predicted.
        """
        readable = [
            source for source, error in zip(self.sources, self.errors, strict=True) if not error
        ]
        check_not_replaced(readable, Path(path), Path(path, "annotated"))
        folder = create_output_folder(path, overwrite=overwrite)
        remove_stale(folder / "predictions.csv", folder / "annotated")
        frame = self.to_frame()
        write_table(folder / "predictions.csv", frame)
        pictures = folder / "annotated"
        pictures.mkdir(exist_ok=True)
        # What an earlier call left must not pass for a picture of this one.
        (folder / "collage.png").unlink(missing_ok=True)
        tiles: list[Tile] = []
        for name, source, prediction in zip(
            name_pictures(self.paths), self.sources, self, strict=True
        ):
            if prediction.error:
                continue
            try:
                image = read_image(source, stretch="linear", min_size=_READ_SIZE)
            except ImageError:  # it was there when it was predicted, and is gone now
                continue
            picture = annotate_image(image, title=prediction.answer, lines=(prediction.remark,))
            save_image(picture, pictures / name)
            if len(tiles) < _MAX_COLLAGE_TILES:
                nearest = () if prediction.known else (prediction.remark,)
                lines = (*nearest, Path(prediction.path).name)
                tiles.append(Tile(image, prediction.answer, lines))
        if tiles:
            shown = f"{len(tiles)} of {len(self)}" if len(tiles) < len(self) else str(len(self))
            heading = f"{shown} image{'' if len(self) == 1 else 's'}"
            save_image(draw_collage(tiles, heading=heading), folder / "collage.png")
        return folder


def join_predictions(parts: Sequence[Predictions]) -> Predictions:
    """Returns the answers of one model for several lots of images as one.

    Args:
        parts: At least one, with the same classes, threshold and temperature.
    """
    novelties = [part.novelty for part in parts if part.novelty is not None]
    return replace(
        parts[0],
        paths=tuple(path for part in parts for path in part.paths),
        sources=tuple(source for part in parts for source in part.sources),
        probabilities=np.concatenate([part.probabilities for part in parts]),
        errors=tuple(error for part in parts for error in part.errors),
        novelty=np.concatenate(novelties) if len(novelties) == len(parts) else None,
    )


def check_not_replaced(sources: Sequence[ImageSource], *folders: Path) -> None:
    """Raises an `OutputError` if one of the images lies in a folder that is to be written."""
    written = [folder.resolve() for folder in folders]
    for source in sources:
        if isinstance(source, str | os.PathLike) and Path(source).resolve().parent in written:
            raise OutputError(
                f"The image '{os.fspath(source)}' lies where results would be written, in "
                f"'{Path(source).parent}', and could be replaced. Name another output folder.",
                path=str(folders[0]),
            )


def remove_stale(table: Path, pictures: Path) -> None:
    """Removes the pictures and maps of an earlier `save`, which its table names, and no others."""
    import pandas as pd

    if not table.is_file():
        return
    try:
        paths = pd.read_csv(table)["path"].astype(str).tolist()
    except (KeyError, ValueError, OSError):  # not a table of ours
        return
    for name in name_pictures(paths):
        for suffix in (".png", ".npy"):
            file = (pictures / name).with_suffix(suffix)
            if file.is_file():
                file.unlink()


def name_pictures(paths: Sequence[str]) -> list[str]:
    """Returns a PNG file name for each image: a number, so that none repeats, and its own name."""
    digits = len(str(max(1, len(paths) - 1)))
    names = []
    for index, path in enumerate(paths):
        # As a table holds it, for `remove_stale` finds the pictures by the paths of one.
        path = path.encode(errors="backslashreplace").decode()
        stem = "".join(char if char.isalnum() or char in "-_." else "_" for char in Path(path).stem)
        names.append(f"{index:0{digits}d}_{stem.strip('_')[:80] or 'image'}.png")
    return names
