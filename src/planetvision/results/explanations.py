"""`Explanations`: where in each image the network found its answer."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, overload

import numpy as np
import numpy.typing as npt

from planetvision.core.errors import OutputError, OutputExistsError, SettingsError
from planetvision.core.files import (
    create_output_folder,
    create_table,
    write_atomically,
    write_table,
    write_text,
)
from planetvision.core.settings import Label
from planetvision.core.text import format_share
from planetvision.data.images import ImageArray
from planetvision.results.explanation_checks import ROUNDING, ExplanationChecks, ExplanationVerdict
from planetvision.results.plots.gallery import save_image
from planetvision.results.plots.overlay import draw_explanation, overlay_heatmap
from planetvision.results.predictions import check_not_replaced, name_pictures, remove_stale

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, kw_only=True, eq=False)
class Explanation:
    """Where in one image the network found the evidence for one class.

    Args:
        path: The image's path, or its kind and index.
        image: What the network was shown, uint8 of shape (S, S, 3).
        heatmap: The raw map of the layer, float32 of shape (h, w), in [0, 1] with its largest
            value at 1; all 0 where nothing spoke for the class.
        label: The answer: the most probable class, or `unknown`; None if the image could not be
            read.
        confidence: The probability of the most probable class.
        target: The class that the map explains; None if the method's map is of no one class, or
            the image could not be read.
        method: The registered explainer.
        layers: The layers it used.
        error: Why the image could not be read; empty if it could.
        known: Whether the answer is one of the classes.
        top_label: The most probable class, also where the answer is `unknown`.
        against: The class that `target` is set against; None if the map is of `target` alone.
    """

    path: str
    image: ImageArray
    heatmap: npt.NDArray[np.float32]
    label: Label | None
    confidence: float
    target: Label | None
    method: str
    layers: tuple[str, ...]
    error: str = ""
    known: bool = True
    top_label: Label | None = None
    against: Label | None = None

    @property
    def subject(self) -> str:
        """What the map is evidence for: the class, and the one that it is set against."""
        if self.target is None:
            return "no one class"
        return str(self.target) if self.against is None else f"{self.target} against {self.against}"

    @classmethod
    def create_failed(
        cls, path: str, error: str, *, method: str = "", layers: tuple[str, ...] = ()
    ) -> Explanation:
        """Returns that of an image that could not be read.

        Args:
            path: What the image is called.
            error: Why it could not be read.
            method: The registered explainer.
            layers: The layers it used.
        """
        return cls(
            path=path,
            image=np.zeros((1, 1, 3), dtype=np.uint8),
            heatmap=np.zeros((1, 1), dtype=np.float32),
            label=None,
            confidence=float("nan"),
            target=None,
            method=method,
            layers=layers,
            error=error,
            known=False,
        )

    @property
    def answer(self) -> str:
        """The label, with its probability if it is a class, for pictures."""
        return f"{self.label}  {format_share(self.confidence)}" if self.known else str(self.label)

    @property
    def overlay(self) -> ImageArray:
        """The map laid over the image, uint8 of shape (S, S, 3)."""
        return overlay_heatmap(self.image, self.heatmap)

    def draw(self) -> ImageArray:
        """Returns image, overlay and map side by side with a caption."""
        why = f"evidence for {self.subject}, {self.method}"
        return draw_explanation(self.image, self.heatmap, title=self.answer, lines=(why,))


@dataclass(frozen=True, kw_only=True, eq=False)
class Explanations(Sequence[Explanation]):
    """One explanation per image, in the order of the input.

    Args:
        items: The explanations.
        checks: Where each map lies, and of those that were checked in full how far it can be
            believed; None where nothing was measured.
        verdict: What these figures say together; None where no map was checked in full.
    """

    items: tuple[Explanation, ...]
    checks: ExplanationChecks | None = None
    verdict: ExplanationVerdict | None = None

    def __len__(self) -> int:
        return len(self.items)

    @overload
    def __getitem__(self, index: int) -> Explanation: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[Explanation, ...]: ...

    def __getitem__(self, index: int | slice) -> Explanation | tuple[Explanation, ...]:
        return self.items[index]

    def __iter__(self) -> Iterator[Explanation]:
        return iter(self.items)

    @property
    def failed(self) -> list[Explanation]:
        """Those of images that could not be read."""
        return [item for item in self.items if item.error]

    def list_background(self) -> list[int]:
        """Returns the rows whose body is colder than what is around it, the coldest first."""
        if self.checks is None:
            return []
        lack = self.checks.body_share - self.checks.energy_on_body
        cold = [row for row, value in enumerate(lack.tolist()) if value > ROUNDING]
        return sorted(cold, key=lambda row: -lack[row])

    def to_frame(self) -> pd.DataFrame:
        """Returns one row per image; what was not measured is NaN.

        Its columns are `path`, `label`, `confidence`, `known`, `target`, `against`, `method`,
        `layers`; where maps were checked `energy_on_body`, `body_share`, `deletion`, `insertion`,
        `stability` and `randomized`, see `ExplanationChecks`; and `error`.
        """
        figures = self.checks.to_figures() if self.checks is not None else {}
        return create_table(
            {
                "path": [item.path for item in self],
                "label": [item.label for item in self],
                "confidence": [item.confidence for item in self],
                "known": [item.known for item in self],
                "target": [item.target for item in self],
                "against": [item.against for item in self],
                "method": [item.method for item in self],
                "layers": ["+".join(item.layers) for item in self],
                **figures,
                "error": [item.error for item in self],
            }
        )

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Writes the pictures and raw maps, and returns where.

        To a folder it writes, for each image, image beside overlay beside map as a PNG and the
        raw map as a `.npy` of the same name; and for all `explanations.csv`, with the figures of
        the checks, and `verdict.txt`, what these say together. To a path that ends in `.png`, which
        one image may be saved to, it writes the picture and the map beside it.

        Args:
            path: A folder, which must be new or empty; or a `.png` file.
            overwrite: Whether files may be replaced.

        Raises:
            SettingsError: If a `.png` is named for more than one image, or one that failed.
            OutputExistsError: If something is there already and `overwrite` is false.
            OutputError: If it cannot be written.
        """
        target = Path(path)
        if target.suffix.lower() == ".png" and len(self) == 1 and not self.failed:
            for file in (target, target.with_suffix(".npy")):
                if file.exists() and not overwrite:
                    raise OutputExistsError(
                        f"'{file}' exists already. Name another file, or pass overwrite=True.",
                        path=str(file),
                    )
            if Path(self.items[0].path).resolve() == target.resolve():
                raise OutputError(
                    f"'{target}' is the image itself. Name another file.", path=str(target)
                )
            create_output_folder(target.parent, overwrite=True)
            self._save_one(self.items[0], target)
            return target
        if target.suffix.lower() == ".png":
            raise SettingsError(
                f"'{target}' is one picture, and there are {len(self)} explanations, "
                f"{len(self.failed)} of them failed. Name a folder."
            )
        check_not_replaced([item.path for item in self if not item.error], target)
        folder = create_output_folder(target, overwrite=overwrite)
        remove_stale(folder / "explanations.csv", folder)
        for name, item in zip(name_pictures([item.path for item in self]), self, strict=True):
            if not item.error:
                self._save_one(item, folder / name)
        frame = self.to_frame()
        write_table(folder / "explanations.csv", frame)
        (folder / "verdict.txt").unlink(missing_ok=True)
        if self.verdict is not None:
            write_text(folder / "verdict.txt", f"{self.verdict}\n")
        return folder

    @staticmethod
    def _save_one(item: Explanation, picture: Path) -> None:
        save_image(item.draw(), picture)

        def write(file: Path) -> None:
            with file.open("wb") as stream:
                np.save(stream, item.heatmap, allow_pickle=False)

        write_atomically(picture.with_suffix(".npy"), write)
