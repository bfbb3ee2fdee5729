"""`BlindResult`: answers for images under random names, joined with their true labels."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from planetvision.core.files import create_output_folder, create_table, write_json, write_table
from planetvision.results.evaluation import Evaluation
from planetvision.results.plots.gallery import draw_collage, save_image
from planetvision.results.predictions import check_not_replaced

if TYPE_CHECKING:
    import pandas as pd


_MAX_TILES = 48


@dataclass(frozen=True, kw_only=True, eq=False)
class BlindResult:
    """What a blind test gave.

    Args:
        evaluation: Answers, labels and metrics; its predictions are in the order of the random
            names.
        originals: The file that each image was made from.
    """

    evaluation: Evaluation
    originals: tuple[str, ...]

    def __str__(self) -> str:
        return f"blind test: {self.evaluation}"

    def to_frame(self) -> pd.DataFrame:
        """Returns one row per image.

        Its columns are `name`, `original`, `true_label`, `label`, `confidence`, `top_label`,
        `right` (whether the most probable class is the true one) and `error`.
        """
        rows = list(zip(self.evaluation.predictions, self.evaluation.labels, strict=True))
        return create_table(
            {
                "name": [Path(answer.path).name for answer, _ in rows],
                "original": list(self.originals),
                "true_label": [label for _, label in rows],
                "label": [answer.label for answer, _ in rows],
                "confidence": [answer.confidence for answer, _ in rows],
                "top_label": [answer.top_label for answer, _ in rows],
                "right": [answer.top_label == label for answer, label in rows],
                "error": [answer.error for answer, _ in rows],
            }
        )

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Writes `blind.csv`, `metrics.json` and `showcase.png`, and returns the folder.

        The showcase holds the first images in the order of their random names: a random sample,
        with right and wrong answers as they come.

        Args:
            path: The folder, which must be new or empty.
            overwrite: Whether files in it may be replaced.

        Raises:
            OutputExistsError: If it is not empty and `overwrite` is false.
            OutputError: If it cannot be written, or holds the images that were scored.
        """
        check_not_replaced(self.evaluation.predictions.sources, Path(path))
        folder = create_output_folder(path, overwrite=overwrite)
        frame = self.to_frame()
        write_table(folder / "blind.csv", frame)
        write_json(folder / "metrics.json", self.evaluation.metrics)
        (folder / "showcase.png").unlink(missing_ok=True)
        pairs = list(zip(self.evaluation.predictions, self.evaluation.labels, strict=True))
        tiles = list(self.evaluation.draw_tiles(pairs[:_MAX_TILES]))
        if tiles:
            save_image(draw_collage(tiles, heading=str(self)), folder / "showcase.png")
        return folder
