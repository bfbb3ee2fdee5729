"""`get_maps` and `load_map`: equirectangular maps of bodies, from a folder of one's own."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from planetvision.augment.light import Floats, decode_srgb
from planetvision.errors import DataError, SettingsError
from planetvision.render.bodies import BODIES, OTHER_BODIES

__all__ = ["MAP_ENDINGS", "get_maps", "load_map"]

MAP_ENDINGS = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp")


def get_maps(folder: str | os.PathLike[str]) -> Mapping[str, Path]:
    """Returns the maps in a folder by body: files that are called `<body>.png`, `<body>.jpg` ...

    A folder is looked into once a process. Files of other names are left alone. Where a body has
    several, the first ending of `MAP_ENDINGS` counts.

    Raises:
        SettingsError: If it is no folder, or holds no map of any body that can be drawn.
        DataError: If a map cannot be read, or is not twice as wide as high.
    """
    return _find_maps(Path(folder).absolute())


@functools.lru_cache(maxsize=8)
def _find_maps(root: Path) -> Mapping[str, Path]:
    if not root.is_dir():
        raise SettingsError(
            f"`maps` must be a folder of equirectangular maps, got '{root}', which is no folder. "
            "Pass a folder with files such as mars.png."
        )
    names = (*BODIES, *OTHER_BODIES)
    found = {}
    for name in names:
        files = [root / f"{name}{ending}" for ending in MAP_ENDINGS]
        file = next((file for file in files if file.is_file()), None)
        if file is not None:
            found[name] = file
    if not found:
        raise SettingsError(
            f"`maps` must be a folder of equirectangular maps, and '{root}' holds none of a body "
            f"that can be drawn. Name the files by body, such as mars.png. Known: "
            f"{', '.join(names)}."
        )
    for file in found.values():
        _check_map(file)
    return found


def _check_map(file: Path) -> None:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(file) as picture:
            width, height = picture.size
    except (OSError, UnidentifiedImageError) as cause:
        raise DataError(
            f"The map '{file}' cannot be read: {cause}. Save it as a PNG or JPEG file."
        ) from cause
    if width != 2 * height:
        raise DataError(
            f"A map must be twice as wide as high, from longitude -180 to 180 and from the north "
            f"pole to the south, and '{file}' has {width} x {height} pixels. Project it to an "
            "equirectangular (plate carree) map."
        )


@functools.lru_cache(maxsize=64)
def load_map(file: Path, height: int) -> Floats:
    """Returns a map in linear light, as (height, 2 * height, 3).

    Convention: row 0 is at the north pole, column 0 at longitude -180 degrees.

    Raises:
        DataError: If it cannot be read, or is not twice as wide as high.
    """
    import cv2
    from PIL import Image

    _check_map(file)
    with Image.open(file) as picture:
        pixels = np.asarray(picture.convert("RGB"), np.uint8)
    shrinks = pixels.shape[0] > height
    method = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    resized = cv2.resize(pixels, (2 * height, height), interpolation=method)
    return decode_srgb(np.asarray(resized, np.uint8))
