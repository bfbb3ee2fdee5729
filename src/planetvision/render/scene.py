"""`Scene`: all parameters of a picture, drawn before it is rendered."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np

from planetvision.imaging.instrument import Instrument, draw_instrument
from planetvision.imaging.light import Floats
from planetvision.render.body import Body
from planetvision.render.camera import Camera
from planetvision.render.geometry import View, find_sun
from planetvision.render.surfaces import NUM_VARIANTS

FILTERS = ("red", "green", "blue", "ultraviolet", "infrared", "methane")
"""What a channel of a picture may show: those of the eye, then those of `Body.bands`."""

_NATURAL = (0, 1, 2)
# What a thing whose colour is known to the eye alone shows in each of `FILTERS`.
_NEAREST_COLOURS = (0, 1, 2, 2, 0, 0)
# From within the rings, or from just beyond them, they fill the sky: faint ones are left out there.
_FAINT_RING_CLEARANCE = 1.1
# The Earth's shadow lies opposite the Sun: a Moon within it is full to about this angle.
_MAX_ECLIPSE_PHASE_DEGREES = 1.5
_DISTANT_SHARE = 0.08
# How many times larger than the frame a body is at most; telescopes show craters larger still.
_NEAREST, _NEAREST_GROUND = 2.8, 5.0
_CLEAN_BACKGROUNDS = {"black": 0.4, "stars": 0.4, "gradient": 0.2}
_PHOTO_BACKGROUNDS = {
    "black": 0.56,
    "stars": 0.18,
    "gradient": 0.07,
    "glow": 0.1,
    "page": 0.04,
    "plain": 0.05,
}


@dataclass(frozen=True, kw_only=True)
class Moon:
    """A small body beside the large one, before it or behind it.

    Args:
        across_radii: Its place along the equator, in radii of the large body.
        along_radii: Its place along the projected pole.
        size_radii: Its radius.
        colour: Its linear colour.
        is_before: Whether it is nearer to the observer than the large body.
    """

    across_radii: float
    along_radii: float
    size_radii: float
    colour: tuple[float, float, float]
    is_before: bool


@dataclass(frozen=True, kw_only=True)
class Eclipse:
    """The shadow of another body, lit only by light that its air refracts.

    Args:
        across_radii: The place of the shadow's centre along the equator, in radii of this body.
        along_radii: Its place along the projected pole.
        size_radii: Its radius.
        colour: The linear colour of the light in it, as a share of sunlight.
    """

    across_radii: float
    along_radii: float
    size_radii: float
    colour: tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class Scene:
    """The body, the viewpoint, the light and the camera of a picture.

    Args:
        body: The body.
        image_size: The height and width of the picture in pixels.
        view: Where it stands and which side it shows.
        sun: The direction of the Sun as (across, pole, front).
        phase_angle_degrees: The angle between Sun and observer at the body.
        sub_solar_latitude_degrees: The latitude below the Sun.
        sub_observer_longitude_degrees: The longitude in the middle of the disc.
        variant: Which face of the painted surface it has.
        map_file: The map that it has instead, or None.
        filters: What red, green and blue of the picture show, as indices into `FILTERS`.
        balance: How far each channel is exposed by itself, in [0, 1], as false colour often is.
        ring_gain: What the light of faint rings is multiplied by: at longer waves than are drawn
            here they are the brighter beside the planet.
        contrast: What differences from the mean colour are multiplied by.
        shading_shift: What is added to Minnaert's exponent.
        haze_depth: What is added to how much of the ground its air hides, if it has any.
        eclipse: A shadow on it, or None; only near phase 0.
        moons: Small bodies in the picture.
        background: One of `imaging.backgrounds.BACKGROUNDS`.
        is_metered: Whether the exposure follows the light of this picture; else it is the body's.
        instrument: The camera.
    """

    body: Body
    image_size: int
    view: View
    sun: Floats
    phase_angle_degrees: float
    sub_solar_latitude_degrees: float
    sub_observer_longitude_degrees: float
    variant: int
    map_file: Path | None = None
    filters: tuple[int, int, int] = _NATURAL
    balance: float = 0.0
    ring_gain: float = 1.0
    contrast: float = 1.0
    shading_shift: float = 0.0
    haze_depth: float = 0.0
    eclipse: Eclipse | None = None
    moons: tuple[Moon, ...] = ()
    background: str = "black"
    is_metered: bool = False
    instrument: Instrument

    @property
    def nearest_colours(self) -> tuple[int, int, int]:
        """Which of red, green and blue each channel shows of a thing that has no other bands."""
        first, second, third = (_NEAREST_COLOURS[index] for index in self.filters)
        return first, second, third

    @property
    def shows_rings(self) -> bool:
        """Whether the body's rings are in the picture; faint ones only from beyond them."""
        if not self.body.has_faint_rings:
            return bool(self.body.rings)
        return _shows_faint_rings(self.filters) and self.view.distance_radii > (
            _FAINT_RING_CLEARANCE * self.body.ring_extent
        )


def _shows_faint_rings(filters: tuple[int, int, int]) -> bool:
    """Returns whether the filters show them: one is methane's band, or all are infrared."""
    return FILTERS.index("methane") in filters or min(filters) >= FILTERS.index("infrared")


def draw_scene(
    body: Body,
    rng: np.random.Generator,
    *,
    image_size: int,
    look: str,
    phase_angle_degrees: float | None = None,
    camera: Camera | None = None,
    maps: Mapping[str, Path] = MappingProxyType({}),
) -> Scene:
    """Returns a scene; everything that is not given is drawn at random.

    What is given changes itself and what follows from it: the latitude of the Sun has to allow the
    phase angle, and only a full Moon is eclipsed. All else stays as the generator would have drawn
    it.

    Args:
        body: The body.
        rng: The source of chance.
        image_size: The height and width in pixels.
        look: One of `LOOKS`.
        phase_angle_degrees: The phase angle, or None.
        camera: What of the camera is fixed.
        maps: Maps by body.
    """
    return LOOKS[look](body, rng, image_size, phase_angle_degrees, camera or Camera(), maps)


def _draw_clean(
    body: Body,
    rng: np.random.Generator,
    image_size: int,
    phase_angle_degrees: float | None,
    camera: Camera,
    maps: Mapping[str, Path],
) -> Scene:
    """Draws a whole body before a dark sky, well exposed by a good camera."""
    drawn_phase = 135 * float(rng.beta(1.2, 2.4))
    phase = drawn_phase if phase_angle_degrees is None else phase_angle_degrees
    # Rings nearly edge-on are rare and hardly seen; the Sun lights the side that is seen.
    has_rings = body.extent > 1
    low = 5.0 if has_rings else 0.0
    latitude = float(rng.uniform(low, body.sub_observer_latitude_degrees) * rng.choice([-1, 1]))
    if camera.sub_observer_latitude_degrees is not None:
        latitude = camera.sub_observer_latitude_degrees
    solar = float(rng.uniform(-1, 1)) * body.obliquity_degrees
    if has_rings:
        solar = math.copysign(max(abs(solar), 3.0), latitude)
    sun, solar = find_sun(phase, latitude, solar, east=bool(rng.integers(2)))
    longitude_range = 180.0 if body.libration_degrees is None else body.libration_degrees
    longitude = float(rng.uniform(-longitude_range, longitude_range))
    position_angle = _draw_position_angle(rng, any_share=0.25)
    smallest = 0.3 if has_rings else 0.2
    reach = float(rng.uniform(smallest, 0.47)) * (image_size - 2) / image_size
    # Mostly near the middle, never over the edge.
    shift = rng.triangular(-1, 0, 1, 2)
    view = camera.create_view(
        body,
        image_size=image_size,
        latitude_degrees=latitude,
        position_angle_degrees=position_angle,
        reach=reach,
        shift=(float(shift[0]), float(shift[1])),
    )
    variant = int(rng.integers(NUM_VARIANTS))
    background = str(rng.choice(list(_CLEAN_BACKGROUNDS), p=list(_CLEAN_BACKGROUNDS.values())))
    exposure = float(rng.uniform(0.9, 1.15))
    psf_pixels = float(rng.uniform(0.2, 0.6)) * max(image_size / 224, 0.5)
    noise = float(rng.uniform(0.4, 2.2))
    return Scene(
        body=body,
        image_size=image_size,
        view=view,
        sun=sun,
        phase_angle_degrees=phase,
        sub_solar_latitude_degrees=solar,
        sub_observer_longitude_degrees=camera.pick_longitude(longitude),
        variant=variant,
        map_file=maps.get(body.name),
        background=background,
        # About 0.4 levels of 255 in the dark and 0.9 in middle gray, times `noise`.
        instrument=Instrument(
            psf_pixels=psf_pixels,
            exposure=exposure,
            full_well=20_000 / noise**2,
            read_noise=1.2e-4 * noise,
        ),
    )


def _draw_photo(
    body: Body,
    rng: np.random.Generator,
    image_size: int,
    phase_angle_degrees: float | None,
    camera: Camera,
    maps: Mapping[str, Path],
) -> Scene:
    """Draws a picture as in archives: any distance, crop, light, filter, camera and file."""
    # From the Earth the outer planets are always nearly full; spacecraft see every phase.
    from_earth = rng.uniform() < 0.5
    drawn_phase = float(
        rng.uniform(0, body.earth_phase_degrees) if from_earth else 160 * rng.beta(1.3, 1.9)
    )
    eclipse = _draw_eclipse(body, rng)
    if eclipse is not None:
        drawn_phase = float(rng.uniform(0, _MAX_ECLIPSE_PHASE_DEGREES))
    phase = drawn_phase if phase_angle_degrees is None else phase_angle_degrees
    if phase > _MAX_ECLIPSE_PHASE_DEGREES:
        eclipse = None
    latitude = float(rng.uniform(-1, 1)) * body.sub_observer_latitude_degrees
    if rng.uniform() < 0.12:
        latitude = math.degrees(math.asin(rng.uniform(-1, 1)))
    if camera.sub_observer_latitude_degrees is not None:
        latitude = camera.sub_observer_latitude_degrees
    solar = float(rng.uniform(-1, 1)) * body.obliquity_degrees
    if body.rings and rng.uniform() < 0.85:
        solar = math.copysign(max(abs(solar), 2.0), latitude)
    sun, solar = find_sun(phase, latitude, solar, east=bool(rng.integers(2)))
    longitude = float(rng.uniform(-180, 180))
    if body.libration_degrees is not None and rng.uniform() < 0.75:
        longitude = float(rng.uniform(-body.libration_degrees, body.libration_degrees))
    position_angle = _draw_position_angle(rng, any_share=0.5)
    reach, shift = _draw_framing(body, rng)
    filters = _draw_filters(body, rng)
    # Pictures that show faint rings mostly have room for them.
    has_room = rng.uniform() < 0.75
    extent = body.extent
    if body.has_faint_rings and has_room and _shows_faint_rings(filters):
        extent = body.ring_extent
        reach = max(reach, 0.2)
    near = extent + math.exp(rng.uniform(0, 3))
    distance = math.inf if rng.uniform() < 0.75 else near
    view = camera.create_view(
        body,
        image_size=image_size,
        latitude_degrees=latitude,
        position_angle_degrees=position_angle,
        reach=reach,
        shift=shift,
        distance_radii=distance,
        extent=extent,
    )
    # Drawn with or without maps: with them a seed shows the same scene.
    wants_map = rng.uniform() < 0.65 and max(filters) <= max(_NATURAL)
    return Scene(
        body=body,
        image_size=image_size,
        view=view,
        sun=sun,
        phase_angle_degrees=phase,
        sub_solar_latitude_degrees=solar,
        sub_observer_longitude_degrees=camera.pick_longitude(longitude),
        variant=int(rng.integers(NUM_VARIANTS)),
        map_file=maps.get(body.name) if wants_map else None,
        filters=filters,
        balance=float(rng.uniform(0.2, 1)) if len(set(filters) - set(_NATURAL)) > 1 else 0.0,
        ring_gain=math.exp(rng.uniform(0, math.log(20))),
        contrast=math.exp(rng.normal(0, 0.25)),
        shading_shift=float(rng.normal(0, 0.08)),
        haze_depth=float(rng.uniform(0, 0.35)) if rng.uniform() < 0.6 else 0.0,
        eclipse=eclipse,
        moons=_draw_moons(body, rng),
        background=_draw_background(body, rng),
        is_metered=True,
        instrument=_draw_camera(rng, image_size, is_single=len(set(filters)) == 1),
    )


def _draw_framing(body: Body, rng: np.random.Generator) -> tuple[float, tuple[float, float]]:
    """Returns the body's reach in shares of the frame, and its shift from the middle."""
    framing = rng.uniform()
    if framing < 0.7:
        # Some are a few pixels wide, as a planet is to a spacecraft that is still far away.
        smallest, largest = (0.035, 0.1) if framing < _DISTANT_SHARE else (0.1, 1.0)
        reach = 0.49 * math.exp(rng.uniform(math.log(smallest), math.log(largest)))
        return reach, (float(rng.triangular(-1, 0, 1)), float(rng.triangular(-1, 0, 1)))
    # A close-up, or a body that is partly out of the frame.
    nearest = _NEAREST_GROUND if body.shows_ground else _NEAREST
    reach = 0.49 * math.exp(rng.uniform(0, math.log(nearest)))
    return reach, (float(rng.uniform(-0.8, 0.8)), float(rng.uniform(-0.8, 0.8)))


def _draw_position_angle(rng: np.random.Generator, *, any_share: float) -> float:
    """Returns an angle near north up, or any angle in a share of the pictures."""
    upright = float(np.clip(rng.normal(0, 18), -90, 90))
    return float(rng.uniform(-180, 180)) if rng.uniform() < any_share else upright


def _draw_background(body: Body, rng: np.random.Generator) -> str:
    kind = str(rng.choice(list(_PHOTO_BACKGROUNDS), p=list(_PHOTO_BACKGROUNDS.values())))
    # One draw: daylight has its lower end, deep fields the upper.
    place = rng.uniform()
    if place < body.day_share:
        return "daylight"
    return "deep_field" if place > 1 - body.deep_share else kind


def _draw_camera(rng: np.random.Generator, image_size: int, *, is_single: bool) -> Instrument:
    instrument = draw_instrument(rng, image_size=image_size)
    if is_single:
        instrument = instrument.to_monochrome()
    # The meter has set the exposure; what is drawn is how far it was off.
    return dataclasses.replace(instrument, exposure=math.exp(rng.normal(-0.05, 0.3)))


def _draw_filters(body: Body, rng: np.random.Generator) -> tuple[int, int, int]:
    """Draws mostly natural colours; else one band, or three as false colour."""
    kind = int(rng.choice(4, p=body.filter_shares))
    band = int(rng.choice(len(FILTERS), p=body.single_shares))
    infrared, methane = FILTERS.index("infrared"), FILTERS.index("methane")
    # False colour has two or three bands: of two, one stands for two of the colours.
    other = int(rng.choice([0, 1, 2, infrared, methane, methane]))
    first, second, third = rng.permutation([infrared, methane, other]).tolist()
    # Close to natural: a neighbouring band stands for one of the colours.
    ultraviolet = FILTERS.index("ultraviolet")
    neighbour = (infrared, 1, 2) if rng.uniform() < 0.6 else (0, 1, ultraviolet)
    choices: list[tuple[int, int, int]] = [
        _NATURAL,
        (band, band, band),
        (first, second, third),
        neighbour,
    ]
    return choices[kind]


def _draw_moons(body: Body, rng: np.random.Generator) -> tuple[Moon, ...]:
    """Draws moons of any tone beside or before the body."""
    if rng.uniform() >= body.moon_share:
        return ()
    moons = []
    for _ in range(int(rng.integers(1, 4))):
        tone = rng.uniform(0.15, 0.7) * (1 + rng.normal(0, 0.08, 3)) * np.array([1.05, 1, 0.92])
        red, green, blue = np.clip(tone, 0.02, 1).tolist()
        moons.append(
            Moon(
                across_radii=float(rng.uniform(-2.2, 2.2)),
                along_radii=float(rng.normal(0, 0.5)),
                size_radii=float(math.exp(rng.uniform(math.log(0.015), math.log(0.08)))),
                colour=(red, green, blue),
                is_before=bool(rng.integers(2)),
            )
        )
    return tuple(moons)


def _draw_eclipse(body: Body, rng: np.random.Generator) -> Eclipse | None:
    if body.umbra_size_radii is None or rng.uniform() >= 0.08:
        return None
    distance, angle = float(rng.uniform(0, 2.6)), float(rng.uniform(0, 2 * math.pi))
    depth = math.exp(rng.uniform(math.log(0.01), math.log(0.2)))
    return Eclipse(
        across_radii=distance * math.cos(angle),
        along_radii=distance * math.sin(angle),
        size_radii=body.umbra_size_radii,
        colour=(
            depth,
            depth * float(rng.uniform(0.15, 0.45)),
            depth * float(rng.uniform(0.05, 0.2)),
        ),
    )


LOOKS: Mapping[str, Callable[..., Scene]] = MappingProxyType(
    {"clean": _draw_clean, "photo": _draw_photo}
)
"""How varied pictures are: `clean` as a textbook shows a body, `photo` as archives hold them."""
