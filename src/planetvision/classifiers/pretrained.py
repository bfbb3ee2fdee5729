"""The released model, which comes with the package."""

from __future__ import annotations

from pathlib import Path

from planetvision.classifiers.storage import CONFIG_FILE
from planetvision.core.errors import ModelFormatError
from planetvision.models.backbones.weights import RELEASED_FOLDER

__all__ = ["get_pretrained_folder"]


def get_pretrained_folder() -> Path:
    """Returns the folder of the released model.

    Raises:
        ModelFormatError: If this copy of the package has none.
    """
    if not (RELEASED_FOLDER / CONFIG_FILE).is_file():
        raise ModelFormatError(
            f"This copy of planetvision has no released model in '{RELEASED_FOLDER}'. Name the "
            "folder of a model of your own, install planetvision again, or train the released one: "
            "release/train.py of the repository says how.",
            path=str(RELEASED_FOLDER),
        )
    return RELEASED_FOLDER
