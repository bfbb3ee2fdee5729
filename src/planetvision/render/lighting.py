"""`paint_scene`: computes the light of a scene, from back to front."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from planetvision.imaging.backgrounds import is_in_front
from planetvision.imaging.instrument import find_gain
from planetvision.imaging.light import Floats, srgb_to_linear
from planetvision.render.body import Body, Haze, Rgb
from planetvision.render.geometry import Globe, RingPlane
from planetvision.render.photometry import lommel_seeliger, minnaert, smoothstep
from planetvision.render.rings import RingProfile, get_ring_profile
from planetvision.render.scene import Eclipse, Moon, Scene
from planetvision.render.surfaces import (
    MIN_TEXELS_A_RADIUS,
    Spectrum,
    Surface,
    choose_height,
    get_surface,
)

# Where a metered picture puts its brightest parts, and what it brings faint ones up by at most.
_METERED_LEVEL, _MAX_GAIN = 0.62, 40.0
# The grid on which the day side is measured, and the cosine of incidence where it begins.
_ESTIMATE_CELLS, _DAY_COSINE = 24, 0.05


@dataclass(frozen=True)
class _Pixels:
    """The pixels that a body may touch: their window, and their places in radii."""

    window: tuple[slice, slice]
    across: Floats
    along: Floats


@dataclass(frozen=True)
class Painted:
    """The light of a scene and where its body is.

    Args:
        light: Linear light, as (row, column, 3).
        mask: True on the body, as (row, column).
    """

    light: Floats
    mask: npt.NDArray[np.bool_]


def paint_scene(background: Floats, scene: Scene) -> Painted:
    """Returns the light of a scene, from the background to the nearest moon.

    Args:
        background: The light behind the body.
        scene: The scene.
    """
    body, view = scene.body, scene.view
    chosen = _choose_colours(scene, background)
    picture = chosen.copy() if chosen is background else chosen
    mask = np.zeros(picture.shape[:2], np.bool_)
    pixels = _find_pixels(scene)
    if pixels is None:
        return Painted(picture, mask)
    window, across, along = pixels.window, pixels.across, pixels.along
    globe = view.see_globe(across, along)
    profile = get_ring_profile(body.name) if body.rings else None
    shown = profile if scene.shows_rings else None
    light = _light_globe(scene, globe, profile)
    rings = (
        None if shown is None else _light_rings(scene, view.see_ring_plane(across, along), shown)
    )
    gain = _meter(scene, light, globe.coverage, rings)

    part = np.zeros_like(light)
    veiled = np.zeros_like(globe.coverage)
    part = _add_moons(part, veiled, scene, pixels, before=False)
    if body.haze is not None:
        part = part + _glow(scene, globe, body.haze)
    if rings is not None:
        far = rings.opacity * ~rings.near
        part, veiled = _cover(part, veiled, rings.light, far)
    part, veiled = _cover(part, veiled, light, globe.coverage)
    if rings is not None:
        part, veiled = _cover(part, veiled, rings.light, rings.opacity * rings.near)
    part = _add_moons(part, veiled, scene, pixels, before=True)

    if not is_in_front(scene.background):
        picture[window] *= (1 - veiled)[..., None]
    picture[window] += part * gain
    inside = globe.coverage >= 0.5
    if rings is not None and not body.has_faint_rings:
        inside |= rings.whole
    mask[window] = inside
    return Painted(picture, mask)


def estimate_lit_share(scene: Scene) -> float:
    """Returns an estimate of the share of the frame that the day side of the body takes.

    It depends on the geometry alone, and costs a fraction of a millisecond.
    """
    view, size = scene.view, scene.image_size
    half_height, half_width = view.half_sizes(1.0)
    places, cell = [], 1.0
    for center, half in (
        (view.center_row_pixels, half_height),
        (view.center_column_pixels, half_width),
    ):
        first = max(center - half * view.radius_pixels, -0.5)
        step = (min(center + half * view.radius_pixels, size - 0.5) - first) / _ESTIMATE_CELLS
        if step <= 0:
            return 0.0
        places.append(np.asarray(first + step * (np.arange(_ESTIMATE_CELLS) + 0.5), np.float32))
        cell *= step
    globe = view.see_globe(*view.locate(places[0][:, None], places[1][None]))
    is_day = True if scene.body.shading == "emitting" else globe.normal @ scene.sun > _DAY_COSINE
    return float((globe.coverage * is_day).sum()) * cell / size**2


def _find_pixels(scene: Scene) -> _Pixels | None:
    """Returns the window of body, rings, air and moons, or None if all are out of sight."""
    view, size = scene.view, scene.image_size
    extent = scene.body.ring_extent if scene.shows_rings else 1.0
    half_height, half_width = view.half_sizes(extent)
    # Air above the limb reaches a little beyond the disc, and moons as far as they stand.
    reach = max(
        (math.hypot(it.across_radii, it.along_radii) + 0.1 for it in scene.moons), default=0
    )
    margin = 3 + 0.06 * view.radius_pixels
    bounds = []
    for center, half in (
        (view.center_row_pixels, half_height),
        (view.center_column_pixels, half_width),
    ):
        half_pixels = max(half, reach) * view.radius_pixels + margin
        first = max(math.floor(center - half_pixels), 0)
        last = min(math.ceil(center + half_pixels) + 1, size)
        # Slopes are differences of neighbours: a line by itself has none.
        if last - first < 2:
            return None
        bounds.append((first, last))
    (top, bottom), (left, right) = bounds
    rows = np.arange(top, bottom, dtype=np.float32)[:, None]
    columns = np.arange(left, right, dtype=np.float32)[None]
    return _Pixels(np.s_[top:bottom, left:right], *view.locate(rows, columns))


def _cover(part: Floats, veiled: Floats, light: Floats, opacity: Floats) -> tuple[Floats, Floats]:
    """Returns the light with one more layer, and how much of the sky is then hidden."""
    covered = part + (light - part) * opacity[..., None]
    return covered, veiled + (1 - veiled) * opacity


def _exposure_of(body: Body) -> float:
    # A camera is set for each body by itself, but seldom undoes all of the difference between the
    # dark Moon and bright Jupiter: the fourth root leaves a hint of it. The choice is ours.
    return float((body.geometric_albedo / 0.5) ** 0.25)


def _meter(scene: Scene, light: Floats, coverage: Floats, rings: _Rings | None) -> Floats:
    """Returns the gain of the light before it reaches the camera, by channel."""
    gain = np.float32(_meter_all(scene, light, coverage, rings))
    if not scene.balance:
        return np.full(3, gain, np.float32)
    seen = light[coverage > 0.5]
    levels = np.quantile(seen, 0.9, axis=0) if seen.size else np.ones(3)
    levels = np.maximum(levels, 1e-4 + 0.02 * levels.max())
    return np.asarray(gain * (levels.max() / levels) ** scene.balance, np.float32)


def _meter_all(scene: Scene, light: Floats, coverage: Floats, rings: _Rings | None) -> float:
    if not scene.is_metered:
        return _exposure_of(scene.body)
    # A tenth of the time that a maximum over an axis of three takes.
    brightness = np.maximum(np.maximum(light[..., 0], light[..., 1]), light[..., 2])
    seen = brightness[coverage > 0.5]
    if rings is not None and not scene.body.has_faint_rings:
        seen = np.concatenate([seen, (rings.light.max(axis=-1) * rings.opacity)[rings.whole]])
    if seen.size == 0:
        return 1.0
    # Of a thin crescent most of the disc is night: only what is lit counts.
    lit = seen[seen > 0.1 * seen.max()]
    return find_gain(lit, level=_METERED_LEVEL, max_gain=_MAX_GAIN) if lit.size else _MAX_GAIN


def _choose_level(levels: tuple[Surface, ...], radius_pixels: float) -> Surface:
    """Returns the smallest map with a texel or more to a pixel, to keep it from aliasing."""
    for surface in reversed(levels):
        if surface.colour.shape[0] >= MIN_TEXELS_A_RADIUS * radius_pixels:
            return surface
    return levels[0]


def _get_surface(scene: Scene, spectrum: Spectrum) -> Surface:
    radius = scene.view.radius_pixels
    map_file = scene.map_file if spectrum == "visible" else None
    # Maps cost no time to paint, and show more than those of whole discs hold.
    is_sharp = scene.body.shows_ground or map_file is not None
    levels = get_surface(
        scene.body.name,
        scene.variant,
        choose_height(scene.image_size, radius_pixels=radius if is_sharp else 0.0),
        spectrum=spectrum,
        map_file=map_file,
    )
    return _choose_level(levels, radius)


def _filter(scene: Scene, visible: Floats | None, bands: Floats | None) -> Floats:
    """Returns the three channels that the scene's filters choose among the six."""
    chosen = []
    for index in scene.filters:
        source = visible if index < 3 else bands
        assert source is not None
        chosen.append(source[..., index % 3])
    return np.stack(chosen, axis=-1)


def _get_colour(scene: Scene, visible: Rgb, bands: Rgb | None = None) -> Floats:
    """Returns the linear colour of one thing through the scene's filters."""
    return _filter(scene, srgb_to_linear(visible), srgb_to_linear(bands or visible))


def _choose_colours(scene: Scene, light: Floats) -> Floats:
    """Returns what the filters pass of light that is known only as red, green and blue."""
    chosen = scene.nearest_colours
    return light if chosen == (0, 1, 2) else np.take(light, chosen, axis=-1)


def _light_globe(scene: Scene, globe: Globe, profile: RingProfile | None) -> Floats:
    body, sun = scene.body, scene.sun
    longitude = globe.hour + np.float32(math.radians(scene.sub_observer_longitude_degrees))
    visible = bands = details = None
    if min(scene.filters) < 3:
        visible, details = _get_surface(scene, "visible").sample(globe.latitude, longitude)
    if max(scene.filters) >= 3:
        bands, details = _get_surface(scene, "bands").sample(globe.latitude, longitude)
    colour = _filter(scene, visible, bands)
    if scene.contrast != 1 and globe.coverage.any():
        mean = colour[globe.coverage > 0].mean(axis=0)
        colour = np.clip(mean + (colour - mean) * np.float32(scene.contrast), 0, 1)

    if body.shading == "emitting":
        # The law of limb darkening that is linear in the cosine, with the Sun's coefficient in
        # visible light: Cox (ed.), "Allen's Astrophysical Quantities", 4th ed., 2000, section 14.7.
        return np.asarray(colour * (0.4 + 0.6 * globe.emission)[..., None] * 1.25, np.float32)
    cosine = globe.normal @ sun
    ground = cosine
    if details is not None:
        ground = cosine - _slope_towards(globe, details, sun, globe.emission)
    soft = body.terminator_softness
    # A hyperbola that is the cosine by day, and fades to 0 past the terminator.
    incidence = np.clip((ground + np.sqrt(ground**2 + soft**2)) / 2 - soft**2 / 4, 0, 1)
    night = smoothstep(-2.0 * soft - 0.01, 0.5 * soft, cosine)
    sunlight = night
    if profile is not None and not body.has_faint_rings:
        sunlight = night * _shadow_of_rings(globe, sun, profile)
    light = colour * _darken(scene, globe, incidence) * sunlight[..., None]
    if details is not None and body.has_seas:
        light = light + _glint(scene, globe, details[..., 0] * incidence * night)
    if body.haze is not None:
        light = _veil(scene, light, globe, body.haze, incidence * night)
    if scene.eclipse is not None:
        light = light * _shade_eclipse(scene, globe, scene.eclipse)
    return np.asarray(light * np.float32(1.25), np.float32)


def _darken(scene: Scene, globe: Globe, incidence: Floats) -> Floats:
    """Returns what the law of the surface leaves of the light, as (row, column, 1 or 3)."""
    body = scene.body
    if body.shading == "lommel_seeliger":
        return lommel_seeliger(incidence, globe.emission)[..., None]
    exponents = [body.minnaert_exponent] * 3 + list(
        body.band_exponents or [body.minnaert_exponent] * 3
    )
    chosen = [exponents[index] + scene.shading_shift for index in scene.filters]
    distinct = [chosen[0]] if len(set(chosen)) == 1 else chosen
    return np.stack([minnaert(incidence, globe.emission, it) for it in distinct], axis=-1)


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


def _glint(scene: Scene, globe: Globe, gloss: Floats) -> Floats:
    """Returns the Sun's image on a rough sea, after Blinn's half-way vector."""
    half = scene.sun + scene.view.to_observer
    half = half / max(float(np.linalg.norm(half)), 1e-6)
    mirrored = 0.16 * gloss * np.clip(globe.normal @ half, 0, 1) ** 70
    return np.asarray(mirrored[..., None] * _get_colour(scene, (255, 248, 230)), np.float32)


def _veil(scene: Scene, light: Floats, globe: Globe, haze: Haze, sunlight: Floats) -> Floats:
    """Returns the light of the ground behind the air, which is lit itself."""
    # The path through the air grows as the line of sight slants.
    depth = haze.nadir_depth + scene.haze_depth + haze.limb_depth * (1 - globe.emission) ** 3
    by_filter = np.array([haze.band_depths[index] for index in scene.filters], np.float32)
    hidden = np.minimum(depth[..., None] * by_filter, 1)
    glow = _get_colour(scene, haze.veil, haze.veil_bands) * sunlight[..., None] ** 0.8
    return np.asarray(light + (glow - light) * hidden, np.float32)


def _glow(scene: Scene, globe: Globe, haze: Haze) -> Floats:
    """Returns the light of the air above the limb, which fades within a pixel or two."""
    thickness = max(0.012 * scene.view.radius_pixels, 0.6)
    lit = np.clip(globe.normal @ scene.sun + 0.1, 0, 1)
    fade = haze.strength * lit * np.exp(-np.maximum(globe.outside_pixels, 0) / thickness)
    colour = _get_colour(scene, haze.glow, haze.glow_bands)
    return np.asarray(fade[..., None] * colour, np.float32)


def _shade_eclipse(scene: Scene, globe: Globe, eclipse: Eclipse) -> Floats:
    """Returns the light that reaches each point within another body's shadow, by channel."""
    up = np.cross(scene.sun, np.array([1, 0, 0], np.float32))
    length = float(np.linalg.norm(up))
    up = up / length if length > 1e-6 else np.array([0, 1, 0], np.float32)
    right = np.cross(up, scene.sun)
    away = np.hypot(
        globe.point @ right - np.float32(eclipse.across_radii),
        globe.point @ up - np.float32(eclipse.along_radii),
    )
    # The penumbra is about as wide as the Moon; most of it is hardly darker than full light.
    outside = smoothstep(0.97 * eclipse.size_radii, 1.2 * eclipse.size_radii, away)[..., None]
    # Light is bent into the shadow from its rim.
    inside = _choose_colours(scene, np.asarray(eclipse.colour, np.float32)) * (
        0.4 + 1.2 * (np.minimum(away / eclipse.size_radii, 1) ** 2)[..., None]
    )
    return np.asarray(inside + (1 - inside) * outside, np.float32)


@dataclass(frozen=True)
class _Rings:
    """The rings under each pixel: their light, how opaque, whether in front, whether there."""

    light: Floats
    opacity: Floats
    near: npt.NDArray[np.bool_]
    whole: npt.NDArray[np.bool_]


def _light_rings(scene: Scene, plane: RingPlane, profile: RingProfile) -> _Rings:
    view, sun, body = scene.view, scene.sun, scene.body
    sine = float(view.to_observer[1])
    profile_opacity = profile.opacity(sine)
    opacity = profile.average(profile_opacity, plane.radius, plane.span)
    reflected = profile.average(profile_opacity * profile.brightness, plane.radius, plane.span)
    # The dark side of the plane shows only what seeps through.
    seen = 1.0 if sine * float(sun[1]) > 0 else 0.12
    # Rings are much brighter in backscatter than in forward scatter.
    seen *= 0.45 + 0.55 * max(0.0, math.cos(math.radians(scene.phase_angle_degrees) / 2)) ** 2
    strength = reflected / np.maximum(opacity, 1e-4) * view.shade_rings(plane, sun) * seen
    colour = _get_colour(scene, body.colours["ring"], body.bands["ring"])
    gain = 0.95 * (scene.ring_gain if body.has_faint_rings else 1.0)
    light = strength[..., None] * colour * np.float32(gain)
    whole = profile.average(np.ones_like(profile.radius), plane.radius, plane.span) >= 0.5
    return _Rings(np.asarray(light, np.float32), opacity, plane.near, whole)


def _add_moons(
    part: Floats, veiled: Floats, scene: Scene, pixels: _Pixels, *, before: bool
) -> Floats:
    """Returns the light with the moons that stand before the body, or those behind it."""
    for moon in scene.moons:
        if moon.is_before == before:
            light, coverage = _light_moon(scene, moon, pixels)
            part = part + (light - part) * coverage[..., None]
            veiled += (1 - veiled) * coverage
    return part


def _light_moon(scene: Scene, moon: Moon, pixels: _Pixels) -> tuple[Floats, Floats]:
    # Smaller than half a pixel it is drawn as large, and fainter.
    least = 0.5 / scene.view.radius_pixels
    size = max(moon.size_radii, least)
    x = (pixels.across - np.float32(moon.across_radii)) / np.float32(size)
    y = (pixels.along - np.float32(moon.along_radii)) / np.float32(size)
    square = x**2 + y**2
    coverage = np.clip((1 - np.sqrt(square)) * size * scene.view.radius_pixels + 0.5, 0, 1)
    z = np.sqrt(np.maximum(1 - square, 0))
    # The Sun in the axes of the picture: along the equator, along the projected pole, towards us.
    sine, cosine = float(scene.view.to_observer[1]), float(scene.view.to_observer[2])
    right = float(scene.sun[0])
    up = float(scene.sun[1]) * cosine - float(scene.sun[2]) * sine
    towards = float(scene.sun @ scene.view.to_observer)
    lit = lommel_seeliger(np.clip(x * right + y * up + z * towards, 0, 1), np.maximum(z, 0.02))
    faint = np.float32((moon.size_radii / size) ** 2)
    colour = _choose_colours(scene, np.asarray(moon.colour, np.float32))
    light = (lit * faint)[..., None] * colour
    return np.asarray(light, np.float32), np.asarray(coverage, np.float32)
