"""The released model, which is part of the package."""

from __future__ import annotations

from pathlib import Path

from planetvision.classifiers.storage import CONFIG_FILE
from planetvision.core.errors import ModelFormatError
from planetvision.models.backbones.weights import RELEASED_FOLDER


def get_pretrained_folder() -> Path:
    """Returns the folder of the released model.

    Raises:
        ModelFormatError: If the package has no released model.
    """
    if not (RELEASED_FOLDER / CONFIG_FILE).is_file():
        raise ModelFormatError(
            f"This installation has no released model in '{RELEASED_FOLDER}'. Name the folder of "
            "your own model, reinstall planetvision, or train the released model with "
            "release/train.py of the repository.",
            path=str(RELEASED_FOLDER),
        )
    return RELEASED_FOLDER
