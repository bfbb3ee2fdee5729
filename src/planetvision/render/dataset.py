"""`render_dataset` and `write_dataset`: many pictures, evenly over the bodies."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from PIL import Image

from planetvision.errors import SettingsError
from planetvision.files import create_output_folder, write_atomically
from planetvision.render.bodies import BODIES, get_body
from planetvision.render.checks import check_integer
from planetvision.render.scene import MIN_IMAGE_SIZE, RenderedImage, render_body
from planetvision.runtime import derive_seed

__all__ = ["render_dataset", "write_dataset"]


def render_dataset(
    *, count: int, image_size: int = 224, seed: int = 0, bodies: Sequence[str] | None = None
) -> Iterator[RenderedImage]:
    """Returns an iterator over `count` pictures, one body after the other in turn.

    The n-th picture of a body depends on the seed and on n only: with other bodies beside it, or
    with a larger count, it stays the same.

    Args:
        count: How many pictures there are in all.
        image_size: Their height and width in pixels.
        seed: The seed, any whole number.
        bodies: The bodies to draw, in this order; None draws all of `BODIES`.

    Raises:
        UnknownNameError: If there is no such body.
        SettingsError: If a number is out of range, or `bodies` holds none or one twice.
    """
    names = _check_bodies(bodies)
    count = check_integer("count", count, at_least=1, remedy="Pass how many images you want.")
    image_size = check_integer(
        "image_size", image_size, at_least=MIN_IMAGE_SIZE, remedy="Pass pixels, such as 224."
    )
    seed = check_integer("seed", seed, at_least=None, remedy="Pass an int, such as 0.")
    return (
        render_body(
            names[index % len(names)],
            image_size=image_size,
            seed=derive_seed("dataset", seed, index // len(names)),
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
    overwrite: bool = False,
) -> list[Path]:
    """Writes the pictures of `render_dataset` as PNG files, a folder a class, and returns them.

    Args:
        folder: Where `<class>/<class>_00000.png` and so on are written.
        count: How many pictures there are in all.
        image_size: Their height and width in pixels.
        seed: The seed, any whole number.
        bodies: The bodies to draw, in this order; None draws all of `BODIES`.
        overwrite: Whether files in a folder that is not empty may be replaced; files of other
            names stay.

    Returns:
        The paths, in the order of `render_dataset`.

    Raises:
        UnknownNameError: If there is no such body.
        SettingsError: If a number is out of range, or `bodies` holds none or one twice.
        OutputExistsError: If the folder is a file, or is not empty and `overwrite` is false.
        OutputError: If it cannot be written.
    """
    pictures = render_dataset(count=count, image_size=image_size, seed=seed, bodies=bodies)
    root = create_output_folder(folder, overwrite=overwrite)
    written: dict[str, int] = {}
    paths = []
    for rendered in pictures:
        number = written.get(rendered.label, 0)
        written[rendered.label] = number + 1
        path = root / rendered.label / f"{rendered.label}_{number:05d}.png"
        if number == 0:
            create_output_folder(path.parent, overwrite=True)
        write_atomically(path, partial(Image.fromarray(rendered.image).save, format="PNG"))
        paths.append(path)
    return paths


def _check_bodies(bodies: Sequence[str] | None) -> tuple[str, ...]:
    if bodies is None:
        return tuple(BODIES)
    if isinstance(bodies, str):
        raise SettingsError(
            f"`bodies` must be a sequence of names, got the string {bodies!r}. "
            f"Pass a list such as [{bodies!r}]."
        )
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
