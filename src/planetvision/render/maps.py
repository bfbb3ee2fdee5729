"""`get_maps` and `load_map`: equirectangular maps of bodies from a folder."""

from __future__ import annotations

import functools
import math
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from planetvision.core.errors import DataError, ImageError, SettingsError
from planetvision.data.images import read_values
from planetvision.imaging.light import Floats, decode_srgb
from planetvision.render.appearance import BODIES, OTHER_BODIES

MAP_ENDINGS = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp")


# A map of 16384 x 8192 pixels takes 0.4 GB while it is read.
_MAX_PIXELS = 2**27
_REMEDY = "Save it as a PNG or JPEG file of 8 bits per channel."


def get_maps(folder: str | os.PathLike[str]) -> Mapping[str, Path]:
    """Returns the maps in a folder by body, from files such as `<body>.png` or `<body>.jpg`.

    Case does not count in names. A folder is read once per process. Files with other names are
    ignored. If a body has several, the first ending of `MAP_ENDINGS` counts.

    Raises:
        SettingsError: If it is no folder, or holds no map of any body that can be drawn.
        DataError: If a map cannot be read, is too large, or is not twice as wide as high.
    """
    if not isinstance(folder, str | os.PathLike):
        raise SettingsError(
            f"`maps` must be a folder of equirectangular maps, got {folder!r} of type "
            f"{type(folder).__name__}. Pass a path, or None to paint all surfaces."
        )
    return _find_maps(Path(folder).absolute())


@functools.lru_cache(maxsize=8)
def _find_maps(root: Path) -> Mapping[str, Path]:
    if not root.is_dir():
        raise SettingsError(
            f"`maps` must be a folder of equirectangular maps, got '{root}', which is no folder. "
            "Pass a folder with files such as mars.png."
        )
    names = (*BODIES, *OTHER_BODIES)
    candidates: dict[str, list[tuple[int, str]]] = {}
    for file in root.iterdir():
        name, ending = file.stem.lower(), file.suffix.lower()
        if name in names and ending in MAP_ENDINGS and file.is_file():
            candidates.setdefault(name, []).append((MAP_ENDINGS.index(ending), file.name))
    found = {name: root / min(candidates[name])[1] for name in names if name in candidates}
    if not found:
        raise SettingsError(
            f"`maps` must be a folder of equirectangular maps, and '{root}' holds none of a body "
            f"that can be drawn. Name the files by body, such as mars.png. Known: "
            f"{', '.join(names)}."
        )
    for file in found.values():
        _check_header(file)
    return found


def _check_header(file: Path) -> None:
    """Checks the size in a map's header, before the map is decoded."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            # Large maps are read on purpose, up to our own limit.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(file) as picture:
                width, height = picture.size
    except Image.DecompressionBombError as cause:
        raise _refuse_size(file, "more") from cause
    # Pillow raises ValueError and SyntaxError too on some damaged files.
    except (OSError, SyntaxError, ValueError) as cause:
        raise DataError(f"The map '{file}' cannot be read: {cause}. {_REMEDY}") from cause
    _check_size(file, width, height)


def _check_size(file: Path, width: int, height: int) -> None:
    if width != 2 * height:
        raise DataError(
            f"A map must be twice as wide as high, from longitude -180 to 180 and from the north "
            f"pole to the south, and '{file}' has {width} x {height} pixels. Project it to an "
            "equirectangular (plate carree) map."
        )
    if width * height > _MAX_PIXELS:
        raise _refuse_size(file, f"{width} x {height}")


def _refuse_size(file: Path, size: str) -> DataError:
    return DataError(
        f"A map must have at most {_MAX_PIXELS:,} pixels, and '{file}' has {size}. Shrink it, to "
        "4096 x 2048 for example: no picture shows more."
    )


def load_map(file: Path, height: int) -> Floats:
    """Returns a map in linear light, as (height, 2 * height, 3).

    Convention: row 0 is at the north pole, column 0 at longitude -180 degrees. Maps of 16 bits
    keep their range: 65535 is white.

    Raises:
        DataError: If it cannot be read, is too large, or is not twice as wide as high.
    """
    import cv2

    _check_header(file)
    try:
        pixels = _to_levels(file, read_values(file))
    except ImageError as cause:
        raise DataError(f"The map '{file}' cannot be read: {cause.cause}. {_REMEDY}") from cause
    shrinks = pixels.shape[0] > height
    method = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    resized = cv2.resize(pixels, (2 * height, height), interpolation=method)
    return decode_srgb(np.asarray(resized, np.uint8))


def _to_levels(file: Path, values: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Returns the values of a map as RGB of 8 bits, with their full range kept."""
    if values.dtype == np.bool_:
        values = np.where(values, np.uint8(255), np.uint8(0))
    if values.dtype != np.uint8:
        low, high = float(values.min()), float(values.max())
        limit = 1 if values.dtype.kind == "f" else 65535
        if not (math.isfinite(low) and math.isfinite(high) and low >= 0 and high <= limit):
            raise DataError(
                f"A map must hold values from 0 to 65535, or fractions from 0 to 1, and '{file}' "
                f"holds {low:g} to {high:g}. {_REMEDY}"
            )
        values = np.round(values * (255 / limit)).astype(np.uint8)
    return values if values.ndim == 3 else np.repeat(values[..., None], 3, axis=-1)
