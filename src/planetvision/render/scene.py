"""`render_body`: one picture of one body."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from planetvision.render.background import BACKGROUNDS, draw_background
from planetvision.render.bodies import Body, get_body
from planetvision.render.checks import check_integer, check_phase_angle
from planetvision.render.geometry import Globe, View, find_sun
from planetvision.render.photometry import (
    Floats,
    encode_srgb,
    lommel_seeliger,
    minnaert,
    smoothstep,
    srgb_to_linear,
)
from planetvision.render.rings import RingProfile, get_ring_profile
from planetvision.render.surfaces import NUM_VARIANTS, Surface, choose_height, get_surface
from planetvision.runtime import derive_seed

__all__ = ["MIN_IMAGE_SIZE", "RenderedImage", "render_body"]

# planetvision.config.InputSpec asks for no less.
MIN_IMAGE_SIZE = 16


@dataclass(frozen=True)
class RenderedImage:
    """A picture, and the truth about it.

    Args:
        image: The picture as (row, column, RGB), uint8 in sRGB.
        label: The name of the body.
        mask: True on the body, as (row, column): on the whole disc, its night side too, and
            for Saturn on the rings from their inner to their outer edge, the gap between rings
            and disc left out.
        parameters: What was drawn, with the unit at the end of each key.
    """

    image: npt.NDArray[np.uint8]
    label: str
    mask: npt.NDArray[np.bool_]
    parameters: Mapping[str, float | int | str] = field(hash=False)


@dataclass(frozen=True, kw_only=True)
class _Scene:
    """Everything about a picture that chance decides, but for stars and noise."""

    body: Body
    image_size: int
    view: View
    sun: Floats
    phase_angle_degrees: float
    sub_solar_latitude_degrees: float
    sub_observer_longitude_degrees: float
    variant: int
    background: str
    exposure: float
    blur_pixels: float
    noise_levels: float


def render_body(
    name: str,
    *,
    image_size: int = 224,
    seed: int = 0,
    phase_angle_degrees: float | None = None,
) -> RenderedImage:
    """Returns a picture of a body, with chance deciding where it stands and how it is lit.

    The same arguments give the same bytes, with the same versions of NumPy, SciPy and OpenCV. A
    phase angle that is given changes only the light: the rest stays that of the seed.

    Convention:
        The phase angle is the angle between Sun and observer at the body: 0 is a full disc,
        90 a half one, and beyond that lie crescents.

    Args:
        name: One of `BODIES`.
        image_size: The height and width in pixels.
        seed: The seed, any whole number.
        phase_angle_degrees: The phase angle in [0, 180]; None draws one, mostly gibbous.

    Returns:
        The picture with its label, its mask and its parameters.

    Raises:
        UnknownNameError: If there is no such body.
        SettingsError: If a number is out of range.

    Example:
        >>> rendered = render_body("saturn", image_size=64, seed=1)
        >>> rendered.image.shape, rendered.label
        ((64, 64, 3), 'saturn')
    """
    body = get_body(name)
    image_size = check_integer(
        "image_size", image_size, at_least=MIN_IMAGE_SIZE, remedy="Pass pixels, such as 224."
    )
    seed = check_integer("seed", seed, at_least=None, remedy="Pass an int, such as 0.")
    if phase_angle_degrees is not None:
        phase_angle_degrees = check_phase_angle(phase_angle_degrees)
    rng = np.random.default_rng(derive_seed("render", name, image_size, seed))
    scene = _draw_scene(body, image_size, rng, phase_angle_degrees)
    picture = draw_background(scene.background, image_size, rng)
    mask = _paint(picture, scene)
    image = _expose(picture, scene, rng)
    view = scene.view
    return RenderedImage(
        image=image,
        label=name,
        mask=mask,
        parameters={
            "seed": seed,
            "variant": scene.variant,
            "background": scene.background,
            "radius_pixels": view.radius_pixels,
            "polar_radius_pixels": view.radius_pixels * view.minor_axis,
            "ring_radius_pixels": view.radius_pixels * body.extent if body.rings else 0.0,
            "center_row_pixels": view.center_row_pixels,
            "center_column_pixels": view.center_column_pixels,
            "phase_angle_degrees": scene.phase_angle_degrees,
            "position_angle_degrees": view.position_angle_degrees,
            "sub_observer_latitude_degrees": view.sub_observer_latitude_degrees,
            "sub_observer_longitude_degrees": scene.sub_observer_longitude_degrees,
            "sub_solar_latitude_degrees": scene.sub_solar_latitude_degrees,
        },
    )


def _draw_scene(
    body: Body, image_size: int, rng: np.random.Generator, phase_angle_degrees: float | None
) -> _Scene:
    drawn_phase = 135 * float(rng.beta(1.2, 2.4))
    phase = drawn_phase if phase_angle_degrees is None else phase_angle_degrees
    # Rings nearly edge-on are rare and hardly seen; the Sun lights the side that is seen.
    low = 5.0 if body.rings else 0.0
    latitude = float(rng.uniform(low, body.sub_observer_latitude_degrees) * rng.choice([-1, 1]))
    solar = float(rng.uniform(-1, 1)) * body.obliquity_degrees
    if body.rings:
        solar = math.copysign(max(abs(solar), 3.0), latitude)
    sun, solar = find_sun(phase, latitude, solar, east=bool(rng.integers(2)))
    # The Moon keeps one face to the Earth but for its libration in longitude, under 8 degrees.
    longitude_range = 7.5 if body.name == "moon" else 180.0
    longitude = float(rng.uniform(-longitude_range, longitude_range))
    upright = float(np.clip(rng.normal(0, 18), -90, 90))
    position_angle = float(rng.uniform(-180, 180)) if rng.uniform() < 0.25 else upright

    view = View(
        flattening=body.flattening,
        radius_pixels=1.0,
        center_row_pixels=0.0,
        center_column_pixels=0.0,
        sub_observer_latitude_degrees=latitude,
        position_angle_degrees=position_angle,
    )
    half_height, half_width = view.half_sizes(body.extent)
    smallest = 0.3 if body.rings else 0.2
    reach = float(rng.uniform(smallest, 0.47)) * (image_size - 2)
    radius = reach / max(half_height, half_width)
    middle = (image_size - 1) / 2
    # Mostly near the middle, never over the edge.
    shift = rng.triangular(-1, 0, 1, 2)
    room = np.maximum(middle - 1 - radius * np.array([half_height, half_width]), 0)
    view = View(
        flattening=body.flattening,
        radius_pixels=radius,
        center_row_pixels=middle + float(shift[0] * room[0]),
        center_column_pixels=middle + float(shift[1] * room[1]),
        sub_observer_latitude_degrees=latitude,
        position_angle_degrees=position_angle,
    )
    return _Scene(
        body=body,
        image_size=image_size,
        view=view,
        sun=sun,
        phase_angle_degrees=phase,
        sub_solar_latitude_degrees=solar,
        sub_observer_longitude_degrees=longitude,
        variant=int(rng.integers(NUM_VARIANTS)),
        background=str(rng.choice(BACKGROUNDS, p=[0.4, 0.4, 0.2])),
        exposure=float(rng.uniform(0.9, 1.15)),
        blur_pixels=float(rng.uniform(0.2, 0.6)) * max(image_size / 224, 0.5),
        noise_levels=float(rng.uniform(0.4, 2.2)),
    )


def _paint(picture: Floats, scene: _Scene) -> npt.NDArray[np.bool_]:
    """Draws the body into `picture`, from back to front, and returns its mask."""
    body, view = scene.body, scene.view
    size = picture.shape[0]
    half_height, half_width = view.half_sizes(body.extent)
    # Air above the limb reaches a little beyond the disc.
    margin = 3 + 0.06 * view.radius_pixels
    top, left = (
        max(math.floor(center - half * view.radius_pixels - margin), 0)
        for center, half in (
            (view.center_row_pixels, half_height),
            (view.center_column_pixels, half_width),
        )
    )
    bottom, right = (
        min(math.ceil(center + half * view.radius_pixels + margin) + 1, size)
        for center, half in (
            (view.center_row_pixels, half_height),
            (view.center_column_pixels, half_width),
        )
    )
    window = np.s_[top:bottom, left:right]
    rows = np.arange(top, bottom, dtype=np.float32)[:, None]
    columns = np.arange(left, right, dtype=np.float32)[None]
    across, along = view.locate(rows, columns)
    globe = view.see_globe(across, along)
    profile = get_ring_profile(body.name) if body.rings else None
    light = _light_globe(scene, globe, profile)

    part = picture[window]
    inside = globe.coverage >= 0.5
    if body.halo is not None:
        part = part + _glow(scene, globe, body.halo)
    if profile is None:
        part = part + (light - part) * globe.coverage[..., None]
    else:
        ring_light, opacity, near, on_ring = _light_rings(scene, across, along, profile)
        opacity = opacity[..., None]
        far = opacity * ~near[..., None]
        part = part + (ring_light - part) * far
        part = part + (light - part) * globe.coverage[..., None]
        part = part + (ring_light - part) * (opacity - far)
        inside |= on_ring
    picture[window] = part
    mask = np.zeros((size, size), np.bool_)
    mask[window] = inside
    return mask


def _exposure_of(body: Body) -> float:
    # A camera is set for each body by itself, but seldom undoes all of the difference between the
    # dark Moon and bright Jupiter: the fourth root leaves a hint of it. The choice is ours.
    return float((body.geometric_albedo / 0.5) ** 0.25)


def _choose_level(levels: tuple[Surface, ...], radius_pixels: float) -> Surface:
    """Returns the smallest map with a texel or more to a pixel, to keep it from aliasing."""
    for surface in reversed(levels):
        if surface.colour.shape[0] >= math.pi * radius_pixels * 0.9:
            return surface
    return levels[0]


def _light_globe(scene: _Scene, globe: Globe, profile: RingProfile | None) -> Floats:
    body, sun = scene.body, scene.sun
    observer = scene.view.to_observer
    levels = get_surface(body.name, scene.variant, choose_height(scene.image_size))
    surface = _choose_level(levels, scene.view.radius_pixels)
    longitude = globe.hour + np.float32(math.radians(scene.sub_observer_longitude_degrees))
    colour, details = surface.sample(globe.latitude, longitude)

    cosine = globe.normal @ sun
    emission = np.clip(globe.normal @ observer, 0, 1)
    ground = cosine
    if details is not None:
        ground = cosine - _slope_towards(globe, details, sun, emission)
    soft = body.terminator_softness
    # A hyperbola that is the cosine by day, and fades to 0 past the terminator.
    incidence = np.clip((ground + np.sqrt(ground**2 + soft**2)) / 2 - soft**2 / 4, 0, 1)
    night = smoothstep(-2.0 * soft - 0.01, 0.5 * soft, cosine)
    if body.shading == "minnaert":
        law = minnaert(incidence, emission, body.minnaert_exponent)
    else:
        law = lommel_seeliger(incidence, emission)
    law = law * night
    if profile is not None:
        law = law * _shadow_of_rings(globe, sun, profile)
    light = colour * law[..., None]
    if body.name == "earth":
        if details is not None:
            light = light + _glint(scene, globe, details[..., 0] * incidence * night)
        light = _veil(light, sunlight=incidence * night, emission=emission, air=body.colours["air"])
    return light * np.float32(1.25 * _exposure_of(body))


def _slope_towards(globe: Globe, details: Floats, sun: Floats, emission: Floats) -> Floats:
    """Returns how much the ground's slope takes from the cosine of incidence."""
    zero = np.zeros_like(globe.hour)
    east = np.stack([np.cos(globe.hour), zero, -np.sin(globe.hour)], axis=-1)
    north = np.cross(globe.normal, east)
    slope = details[..., 1] * (east @ sun) + details[..., 2] * (north @ sun)
    # At the limb a pixel spans many slopes, which cancel.
    return np.asarray(slope * np.clip(2.5 * emission - 0.25, 0, 1), np.float32)


def _shadow_of_rings(globe: Globe, sun: Floats, profile: RingProfile) -> Floats:
    """Returns the sunlight, in [0, 1], that the rings let through to the globe."""
    rise = float(sun[1])
    if abs(rise) < 1e-3:
        return np.ones_like(globe.latitude)
    steps = -globe.point[..., 1] / rise
    crossing = np.hypot(
        globe.point[..., 0] + steps * sun[0], globe.point[..., 2] + steps * sun[2]
    ).astype(np.float32)
    down, along = np.gradient(crossing)
    span = np.maximum(np.hypot(down, along), 0.01).astype(np.float32)
    stopped = profile.average(profile.opacity(rise), crossing, span)
    # Light that the rings scatter keeps their shadow from being black.
    return np.where(steps > 0, 1 - 0.9 * stopped, 1).astype(np.float32)


def _glint(scene: _Scene, globe: Globe, gloss: Floats) -> Floats:
    """Returns the Sun's image on a rough sea, after Blinn's half-way vector."""
    half = scene.sun + scene.view.to_observer
    half = half / max(float(np.linalg.norm(half)), 1e-6)
    mirrored = 0.16 * gloss * np.clip(globe.normal @ half, 0, 1) ** 70
    return np.asarray(mirrored[..., None] * np.array([1, 0.94, 0.8]), np.float32)


def _veil(
    light: Floats, *, sunlight: Floats, emission: Floats, air: tuple[int, int, int]
) -> Floats:
    """Returns the light of the ground behind the air, which is lit itself."""
    # The path through the air grows as the line of sight slants.
    depth = 0.05 + 0.6 * (1 - emission) ** 3
    glow = srgb_to_linear(air) * sunlight[..., None] ** 0.8
    return np.asarray(light + (glow - light) * depth[..., None], np.float32)


def _glow(scene: _Scene, globe: Globe, halo: tuple[int, int, int]) -> Floats:
    """Returns the light of the air above the limb, which fades within a pixel or two."""
    thickness = max(0.012 * scene.view.radius_pixels, 0.6)
    lit = np.clip(globe.normal @ scene.sun + 0.1, 0, 1)
    strength = 0.5 if scene.body.name == "earth" else 0.12
    fade = strength * lit * np.exp(-np.maximum(globe.outside_pixels, 0) / thickness)
    return np.asarray(fade[..., None] * srgb_to_linear(halo), np.float32)


def _light_rings(
    scene: _Scene, across: Floats, along: Floats, profile: RingProfile
) -> tuple[Floats, Floats, npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Returns the rings' light and opacity, where they are in front, and where they are at all."""
    view, sun = scene.view, scene.sun
    radius, span, front = view.see_ring_plane(across, along)
    sine = float(view.to_observer[1])
    profile_opacity = profile.opacity(sine)
    opacity = profile.average(profile_opacity, radius, span)
    reflected = profile.average(profile_opacity * profile.brightness, radius, span)
    # The dark side of the plane shows only what seeps through.
    seen = 1.0 if sine * float(sun[1]) > 0 else 0.12
    # Rings are much brighter in backscatter than in forward scatter.
    seen *= 0.45 + 0.55 * max(0.0, math.cos(math.radians(scene.phase_angle_degrees) / 2)) ** 2
    strength = reflected / np.maximum(opacity, 1e-4) * view.shade_rings(across, front, sun) * seen
    colour = srgb_to_linear(scene.body.colours["ring"])
    light = strength[..., None] * colour * (0.95 * _exposure_of(scene.body))
    whole = profile.average(np.ones_like(profile.radius), radius, span)
    return light.astype(np.float32), opacity, front > 0, whole >= 0.5


def _expose(picture: Floats, scene: _Scene, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Returns what a camera makes of the light: a slight blur, sRGB, a little noise."""
    import cv2

    blurred = cv2.GaussianBlur(picture * np.float32(scene.exposure), (0, 0), scene.blur_pixels)
    levels = encode_srgb(np.asarray(blurred, np.float32))
    noise = rng.standard_normal(levels.shape, dtype=np.float32)
    # Shot noise grows with the light; what is left in the dark is the sensor's own.
    noisy = levels + noise * np.float32(scene.noise_levels) * (0.4 + levels / 255)
    return np.clip(noisy + 0.5, 0, 255).astype(np.uint8)
