"""The released model, which comes with the package."""

from __future__ import annotations

from pathlib import Path

from planetvision.errors import ModelFormatError
from planetvision.storage import CONFIG_FILE

__all__ = ["RELEASED_FOLDER", "get_pretrained_folder"]

RELEASED_FOLDER = Path(__file__).parent / "released"
"""Where `make release-model` writes it, and the wheel brings it."""


def get_pretrained_folder() -> Path:
    """Returns the folder of the released model.

    Raises:
        ModelFormatError: If this copy of the package has none.
    """
    if not (RELEASED_FOLDER / CONFIG_FILE).is_file():
        raise ModelFormatError(
            f"This copy of planetvision has no released model in '{RELEASED_FOLDER}'. Name the "
            "folder of a model of your own, or train the released one: make release-model.",
            path=str(RELEASED_FOLDER),
        )
    return RELEASED_FOLDER
