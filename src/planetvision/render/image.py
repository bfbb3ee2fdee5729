"""`render_body`: renders one picture of one body."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from planetvision.core.devices import derive_seed
from planetvision.core.errors import SettingsError
from planetvision.imaging.backgrounds import draw_background
from planetvision.imaging.instrument import take_picture
from planetvision.render.appearance import get_body
from planetvision.render.arguments import (
    check_image_size,
    check_integer,
    check_name,
    check_phase_angle,
)
from planetvision.render.camera import Camera
from planetvision.render.lighting import estimate_lit_share, paint_scene
from planetvision.render.maps import get_maps
from planetvision.render.scene import FILTERS, LOOKS, Scene, draw_scene


@dataclass(frozen=True, eq=False)
class RenderedImage:
    """A picture with its ground truth.

    Args:
        image: The picture as (row, column, RGB), uint8 in sRGB.
        label: The name of the body.
        mask: True on the body, as (row, column): on the whole disc, its night side and what a moon
            before it hides too, and for Saturn on the rings from their inner to their outer edge,
            the gap between rings and disc left out.
        parameters: What was drawn, with the unit at the end of each key.
    """

    image: npt.NDArray[np.uint8]
    label: str
    mask: npt.NDArray[np.bool_]
    parameters: Mapping[str, float | int | str | bool]


def render_body(
    name: str,
    *,
    image_size: int = 224,
    seed: int = 0,
    look: str = "clean",
    phase_angle_degrees: float | None = None,
    camera: Camera | None = None,
    maps: str | os.PathLike[str] | None = None,
) -> RenderedImage:
    """Renders a body at a random place, in random light.

    The same arguments give the same bytes, with the same versions of NumPy, SciPy and OpenCV. A
    phase angle, a camera or maps that are given change what they say and what follows from it (the
    Sun's latitude has to allow the phase angle; only a full Moon is eclipsed), and the rest stays
    that of the seed.

    Convention:
        The phase angle is the angle between Sun and observer at the body: 0 is a full disc,
        90 a half one, and beyond that lie crescents.

    Args:
        name: One of `BODIES` or `OTHER_BODIES`.
        image_size: The height and width in pixels.
        seed: The seed, any whole number.
        look: `clean` shows the whole body before a dark sky, by a good camera; `photo` varies
            distance, part, light, filter, background and camera as archives do.
        phase_angle_degrees: The phase angle in [0, 180]; None draws one.
        camera: Where it is taken from, as far as that is fixed.
        maps: A folder of equirectangular maps, called `<body>.png` or the like, that stand for
            painted surfaces: always under `clean`, for two of three pictures in natural colour
            under `photo`. Bodies without a map are painted.

    Returns:
        The picture with its label, its mask and its parameters.

    Raises:
        UnknownNameError: If there is no such body or look.
        SettingsError: If a number is out of range, or `maps` is no folder of maps.
        DataError: If a map cannot be read, is too large, or is not twice as wide as high.

    Example:
        >>> rendered = render_body("saturn", image_size=64, seed=1)
        >>> rendered.image.shape, rendered.label
        ((64, 64, 3), 'saturn')
    """
    body = get_body(name)
    image_size = check_image_size(image_size)
    seed = check_integer("seed", seed, at_least=None, remedy="Pass an int, such as 0.")
    check_look(look)
    if camera is not None and not isinstance(camera, Camera):
        raise SettingsError(
            f"`camera` must be a `Camera`, got {camera!r} of type {type(camera).__name__}. Pass "
            "Camera(distance_radii=20), for example, or None to draw one at random."
        )
    if phase_angle_degrees is not None:
        phase_angle_degrees = check_phase_angle(phase_angle_degrees)
    files = _NO_MAPS if maps is None else get_maps(maps)
    draw = partial(draw_scene, body, image_size=image_size, look=look, maps=files)
    for attempt in range(_MAX_TRIES):
        parts = (seed,) if attempt == 0 else (seed, attempt)
        scene_seed = derive_seed("render", name, image_size, *parts)
        rng = np.random.default_rng(scene_seed)
        scene = draw(rng)
        if look == "clean" or estimate_lit_share(scene) >= _MIN_LIT_SHARE:
            break
    if phase_angle_degrees is not None or camera is not None:
        # Which draw it is does not depend on what is given. That may leave nothing to see, and then
        # that is the picture.
        rng = np.random.default_rng(scene_seed)
        scene = draw(rng, phase_angle_degrees=phase_angle_degrees, camera=camera)
    painted = paint_scene(draw_background(scene.background, image_size, rng), scene)
    image = take_picture(painted.light, scene.instrument, rng)
    return RenderedImage(
        image=image, label=name, mask=painted.mask, parameters=_list_parameters(scene, seed, look)
    )


_MAX_TRIES = 8
# About 25 pixels of 224 x 224: with fewer there is nothing to tell it by.
_MIN_LIT_SHARE = 5e-4


_NO_MAPS: Mapping[str, Path] = MappingProxyType({})


def check_look(look: object) -> None:
    """Checks the name of a look.

    Raises:
        SettingsError: If it is no string.
        UnknownNameError: If there is none; the message suggests the nearest name.
    """
    check_name(
        look, LOOKS, expected="`look` must be a name, a string,", what="look", family="looks"
    )


def _list_parameters(scene: Scene, seed: int, look: str) -> dict[str, float | int | str | bool]:
    view, body, it = scene.view, scene.body, scene.instrument
    return {
        "seed": seed,
        "look": look,
        "variant": scene.variant,
        "map": "" if scene.map_file is None else scene.map_file.name,
        "background": scene.background,
        "radius_pixels": view.radius_pixels * view.magnification,
        "polar_radius_pixels": view.radius_pixels * view.magnification * view.minor_axis,
        "ring_radius_pixels": view.radius_pixels * body.extent if body.extent > 1 else 0.0,
        "center_row_pixels": view.center_row_pixels,
        "center_column_pixels": view.center_column_pixels,
        "radius_over_distance": 1 / view.distance_radii,
        "phase_angle_degrees": scene.phase_angle_degrees,
        "position_angle_degrees": view.position_angle_degrees,
        "sub_observer_latitude_degrees": view.sub_observer_latitude_degrees,
        "sub_observer_longitude_degrees": scene.sub_observer_longitude_degrees,
        "sub_solar_latitude_degrees": scene.sub_solar_latitude_degrees,
        "filters": "+".join(FILTERS[index] for index in scene.filters),
        "num_moons": len(scene.moons),
        "is_eclipsed": scene.eclipse is not None,
        "exposure": it.exposure,
        "blur_pixels": it.psf_pixels + it.defocus_pixels,
        "is_monochrome": it.is_monochrome or len(set(scene.filters)) == 1,
        "jpeg_quality": 100 if it.jpeg_quality is None else it.jpeg_quality,
    }
