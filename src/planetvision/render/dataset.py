"""`render_dataset` and `write_dataset`: data sets with equally many pictures of each body."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from planetvision.core.devices import derive_seed
from planetvision.core.errors import SettingsError
from planetvision.core.files import RENDERS_FILE, create_output_folder, write_atomically
from planetvision.render.appearance import BODIES, get_body
from planetvision.render.arguments import check_image_size, check_integer, refuse_single_name
from planetvision.render.image import RenderedImage, check_look, render_body
from planetvision.render.maps import get_maps


def check_dataset(
    *,
    count: int,
    image_size: int,
    seed: int,
    bodies: Sequence[str] | None,
    look: str,
    maps: str | os.PathLike[str] | None,
) -> tuple[str, ...]:
    """Checks the arguments of `render_dataset`, and returns the names of the bodies.

    Raises:
        UnknownNameError: As `render_dataset` does, whose arguments these are.
        SettingsError: Likewise.
        DataError: Likewise.
    """
    names = _check_bodies(bodies)
    check_integer("count", count, at_least=1, remedy="Pass how many images you want.")
    check_image_size(image_size)
    check_integer("seed", seed, at_least=None, remedy="Pass an int, such as 0.")
    check_look(look)
    if maps is not None:
        get_maps(maps)
    return names


def render_dataset(
    *,
    count: int,
    image_size: int = 224,
    seed: int = 0,
    bodies: Sequence[str] | None = None,
    look: str = "clean",
    maps: str | os.PathLike[str] | None = None,
) -> Iterator[RenderedImage]:
    """Returns an iterator over `count` pictures, one body after the other in turn.

    The n-th picture of a body depends on the seed and on n only: with other bodies beside it, or
    with a larger count, it stays the same.

    Args:
        count: How many pictures there are in all.
        image_size: Their height and width in pixels.
        seed: The seed, any whole number.
        bodies: The bodies to draw, in this order, of `BODIES` or `OTHER_BODIES`; None draws all of
            `BODIES`.
        look: As for `render_body`.
        maps: As for `render_body`.

    Raises:
        UnknownNameError: If there is no such body or look.
        SettingsError: If a number is out of range, if `bodies` holds none or one twice, or if
            `maps` is no folder of maps.
        DataError: If a map cannot be read, is too large, or is not twice as wide as high.
    """
    names = check_dataset(
        count=count, image_size=image_size, seed=seed, bodies=bodies, look=look, maps=maps
    )
    return (
        render_body(
            names[index % len(names)],
            image_size=image_size,
            seed=derive_seed("dataset", seed, index // len(names)),
            look=look,
            maps=maps,
        )
        for index in range(count)
    )


def write_dataset(
    folder: str | os.PathLike[str],
    *,
    count: int,
    image_size: int = 224,
    seed: int = 0,
    bodies: Sequence[str] | None = None,
    look: str = "clean",
    maps: str | os.PathLike[str] | None = None,
    masks: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
) -> list[Path]:
    """Writes the pictures of `render_dataset` as PNG files, one folder per class, and returns them.

    The table `renders.csv` beside them has one row per picture: path, label and all parameters.
    Like the folder, it can be trained and evaluated on. Its columns are then attributes, so that
    `evaluate` shows the accuracy by phase, size or filter.

    Args:
        folder: Where `<class>/<class>_00000.png` and so on are written.
        count: How many pictures there are in all.
        image_size: Their height and width in pixels.
        seed: The seed, any whole number.
        bodies: The bodies to draw, in this order, of `BODIES` or `OTHER_BODIES`; None draws all of
            `BODIES`.
        look: As for `render_body`.
        maps: As for `render_body`.
        masks: Another folder, for the masks of the bodies under the same names: 255 on the body, 0
            elsewhere. None writes none.
        overwrite: Whether files in a folder that is not empty may be replaced; files of other
            names stay. The table is written last: where it is missing, writing was cut off.

    Returns:
        The paths, in the order of `render_dataset`.

    Raises:
        UnknownNameError: If there is no such body or look.
        SettingsError: If a number is out of range, if `bodies` holds none or one twice, if `maps`
            is no folder of maps, or if `masks` is within `folder`.
        DataError: If a map cannot be read, is too large, or is not twice as wide as high.
        OutputExistsError: If a folder is a file, or is not empty and `overwrite` is false.
        OutputError: If it cannot be written.
    """
    import pandas as pd

    pictures = render_dataset(
        count=count, image_size=image_size, seed=seed, bodies=bodies, look=look, maps=maps
    )
    if masks is not None and Path(folder).resolve() in (
        Path(masks).resolve(),
        *Path(masks).resolve().parents,
    ):
        raise SettingsError(
            f"`masks` must be a folder outside of the images' own, got '{masks}' for '{folder}': "
            "it would be read as a class. Pass a folder beside it."
        )
    root = create_output_folder(folder, overwrite=overwrite)
    mask_root = None if masks is None else create_output_folder(masks, overwrite=overwrite)
    # That of the pictures replaced below: were they cut off, it would tell of others.
    (root / RENDERS_FILE).unlink(missing_ok=True)
    written: dict[str, int] = {}
    paths, rows = [], []
    for rendered in pictures:
        number = written.get(rendered.label, 0)
        written[rendered.label] = number + 1
        place = Path(rendered.label, f"{rendered.label}_{number:05d}.png")
        _write_png(rendered.image, root / place, is_first=number == 0)
        if mask_root is not None:
            _write_png(np.uint8(255) * rendered.mask, mask_root / place, is_first=number == 0)
        paths.append(root / place)
        rows.append({"path": place.as_posix(), "label": rendered.label, **rendered.parameters})
    table = pd.DataFrame(rows)
    write_atomically(root / RENDERS_FILE, partial(table.to_csv, index=False))
    return paths


def _write_png(pixels: npt.NDArray[np.uint8], path: Path, *, is_first: bool) -> None:
    if is_first:
        create_output_folder(path.parent, overwrite=True)
    write_atomically(path, partial(Image.fromarray(pixels).save, format="PNG"))


def _check_bodies(bodies: Sequence[str] | None) -> tuple[str, ...]:
    if bodies is None:
        return tuple(BODIES)
    refuse_single_name("bodies", bodies)
    names = tuple(get_body(name).name for name in bodies)
    if not names:
        raise SettingsError(
            f"`bodies` must hold one name or more, got {bodies!r}. Leave it out to draw all."
        )
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise SettingsError(
            f"`bodies` must hold each name once, got {', '.join(twice)} twice. "
            "Remove the repeated names."
        )
    return names
