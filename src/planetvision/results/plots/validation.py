"""What figures are drawn from, checked: pictures, heat maps, class names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from planetvision.core.errors import SettingsError

if TYPE_CHECKING:
    import pandas as pd


# float32 arithmetic (x - min) / (max - min) may leave [0, 1] by this little.
RANGE_TOLERANCE = 1e-5


def describe(value: object) -> str:
    """Returns what `value` is in few words, for a message: an array by shape and type."""
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape} and type {value.dtype}"
    return f"{type(value).__name__} {value!r:.60}"


def check_image(image: NDArray[np.uint8], name: str = "image") -> None:
    """Checks that `image` is an RGB picture.

    Raises:
        SettingsError: If it is not a uint8 array of shape (H, W, 3) with pixels in it.
    """
    if (
        not isinstance(image, np.ndarray)
        or image.dtype != np.uint8
        or image.ndim != 3
        or image.shape[2] != 3
        or 0 in image.shape
    ):
        raise SettingsError(
            f"`{name}` must be a uint8 array of shape (H, W, 3), got {describe(image)}. "
            "Convert it to RGB with values in [0, 255] first."
        )


def check_heatmap(heatmap: NDArray[np.floating[Any]]) -> None:
    """Checks that `heatmap` is a map of heat in [0, 1].

    Raises:
        SettingsError: If it is not a float array of shape (h, w) with values in [0, 1].
    """
    if (
        not isinstance(heatmap, np.ndarray)
        or not np.issubdtype(heatmap.dtype, np.floating)
        or heatmap.ndim != 2
        or 0 in heatmap.shape
    ):
        raise SettingsError(
            f"`heatmap` must be a float array of shape (h, w), got {describe(heatmap)}. "
            "Pass the map of one image and one class."
        )
    low, high = float(heatmap.min()), float(heatmap.max())
    if not (low >= -RANGE_TOLERANCE and high <= 1 + RANGE_TOLERANCE):
        raise SettingsError(
            f"`heatmap` must have values in [0, 1], got values from {low:g} to {high:g}. "
            "Subtract its minimum and divide by its range first."
        )


def check_classes(classes: Sequence[str], num_classes: int, counted: str) -> list[str]:
    """Returns the problems of `classes` as the names of `num_classes` classes.

    Args:
        classes: The names.
        num_classes: How many there must be.
        counted: What says how many there must be, for the message.
    """
    if isinstance(classes, str) or not all(isinstance(name, str) for name in classes):
        return [
            f"`classes` must be a sequence of strings, got {describe(classes)}. "
            "Pass ['mars', 'moon'], for example."
        ]
    if len(classes) != num_classes:
        return [
            f"`classes` must name the {num_classes} classes of {counted}, got {len(classes)} "
            "names. Pass one name a class, in the same order."
        ]
    return []


def check_choice(name: str, value: object, choices: Sequence[str]) -> None:
    """Checks that `value` is one of `choices`.

    Raises:
        SettingsError: If it is not.
    """
    if value not in choices:
        expected = ", ".join(repr(choice) for choice in choices)
        raise SettingsError(
            f"`{name}` must be one of {expected}, got {value!r}. Pass {choices[0]!r}, for example."
        )


def check_frame(
    frame: pd.DataFrame,
    name: str,
    columns: Sequence[str],
    remedy: str,
    *,
    shares: Sequence[str] | None = None,
) -> None:
    """Checks that the columns are there and that some of them hold shares.

    Args:
        frame: The table.
        name: What the caller calls it.
        columns: The columns that it must have.
        remedy: What to do.
        shares: Which of them lie in [0, 1]; None for all but `class`.

    Raises:
        SettingsError: If a column is missing, or a share is outside [0, 1].
    """
    missing = [column for column in columns if column not in getattr(frame, "columns", ())]
    if missing:
        raise SettingsError(
            f"`{name}` must have the columns {', '.join(columns)}, got none called "
            f"{', '.join(missing)}. {remedy}"
        )
    if shares is None:
        shares = [column for column in columns if column != "class"]
    tolerance = 1e-6
    for column in shares:
        values = frame[column].to_numpy(dtype=np.float64, na_value=np.nan)
        if not ((values >= -tolerance) & (values <= 1 + tolerance)).all():  # NaN is neither
            raise SettingsError(
                f"`{column}` of `{name}` must lie in [0, 1], got {values.tolist()!r:.60}. {remedy}"
            )
