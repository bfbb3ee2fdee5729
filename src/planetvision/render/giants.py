"""The surfaces of Jupiter, Saturn, Uranus and Neptune: bands, storms and clouds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from planetvision.imaging.light import Floats
from planetvision.render.body import Body
from planetvision.render.paint import Paint
from planetvision.render.photometry import smoothstep
from planetvision.render.sphere import Sphere, mix


def _draw_bands(
    latitude: Floats, profile: Sequence[tuple[float, str, float]], colour: Mapping[str, Floats]
) -> Floats:
    """Returns the colours of `Body.profile` at each latitude."""
    knots = [knot for knot, _, _ in profile]
    zone = colour["zone"]
    values = np.array([zone + (colour[name] - zone) * weight for _, name, weight in profile])
    return np.stack(
        [np.interp(latitude, knots, values[:, channel]) for channel in range(3)], axis=-1
    ).astype(np.float32)


def _latitude_of(points: Floats) -> Floats:
    return np.degrees(np.arcsin(np.clip(points[..., 2], -1, 1))).astype(np.float32)


def paint_jupiter(sphere: Sphere, body: Body) -> Paint:
    """Paints belts and zones with turbulent edges, ovals, festoons and the Great Red Spot."""
    colour = body.palette
    rng = sphere.generator("storms")
    spot_longitude = float(rng.uniform(-180, 180))
    # The Great Red Spot lies at about 22 degrees south: Rogers 1995, chapter 10. It is drawn at the
    # size it had in the middle of the 20th century, so that it stays visible in small images.
    spot_latitude, spot_height, spot_width = -22.5, 6.2, 11.5

    points = sphere.points
    # The wake to the west of the spot, and eddies along the belts' edges.
    eddies = [(-15.0, spot_longitude - 12 - 9 * step, 3.2) for step in range(7)]
    for edge in (-8.0, 8.0, 13.0, 17.0, -19.5, -31.0, 25.0, 36.0, -40.0):
        eddies += [(edge, float(rng.uniform(-180, 180)), 2.6) for _ in range(7)]
    for lat, lon, size in eddies:
        points = sphere.swirl(
            points,
            sphere.locate(lat + float(rng.normal(0, 0.8)), lon),
            radius_degrees=size * float(rng.uniform(0.7, 1.3)),
            turn_degrees=float(rng.choice([-1, 1]) * rng.uniform(60, 200)),
        )
    points = sphere.swirl(
        points, sphere.locate(spot_latitude, spot_longitude), radius_degrees=9, turn_degrees=-90
    )
    rolling = sphere.noise("rolling", frequency=5, octaves=5, stretch=3.5, points=points, gain=0.6)
    latitude = _latitude_of(points) + 1.0 * rolling
    # The hollow in the southern edge of the belt, in which the spot lies.
    hollow = sphere.ellipse(
        spot_latitude + 1, spot_longitude, height_degrees=spot_height, width_degrees=spot_width
    )
    latitude = latitude - 5.5 * smoothstep(1.55, 0.95, hollow)
    picture = _draw_bands(latitude, body.profile, colour)

    streaks = sphere.noise("streaks", frequency=3, octaves=6, stretch=11, points=points, gain=0.65)
    fine = sphere.noise("fine", frequency=10, octaves=4, stretch=3, points=points, gain=0.7)
    calm = smoothstep(70, 35, np.abs(sphere.latitude_degrees))
    picture = picture * (1 + (0.085 * streaks + 0.05 * fine) * (0.4 + 0.6 * calm))[..., None]

    # Blue-grey festoons hang from the northern edge of the equatorial zone.
    wave = sphere.noise("festoons", frequency=7, octaves=3, points=points, stretch=0.6)
    slanted = np.exp(-(((latitude - 5.2) / 2.2) ** 2))
    picture = mix(picture, colour["festoon"], 0.75 * slanted * smoothstep(0.5, 1.5, wave))

    for lat, count, size in ((-33.5, 8, 2.2), (-41.0, 6, 1.5), (34.0, 4, 1.5), (-56.0, 5, 1.2)):
        for _ in range(count):
            oval = sphere.ellipse(
                lat + float(rng.normal(0, 0.5)),
                float(rng.uniform(-180, 180)),
                height_degrees=size * 0.75,
                width_degrees=size * float(rng.uniform(1, 1.4)),
            )
            picture = picture * (1 - 0.12 * np.exp(-(((oval - 1.3) / 0.25) ** 2)))[..., None]
            picture = mix(picture, colour["oval"], 0.85 * smoothstep(1.25, 0.6, oval))
    barge = rng.uniform(-180, 180, 3)
    for lon in barge:
        brown = sphere.blob(15.5, float(lon), height_degrees=1.2, width_degrees=4, softness=0.8)
        picture = mix(picture, colour["dark_belt"] * 0.55, 0.8 * brown)

    spot = sphere.ellipse(
        spot_latitude, spot_longitude, height_degrees=spot_height, width_degrees=spot_width
    )
    spot = spot + 0.05 * fine
    picture = mix(picture, colour["oval"], 0.7 * np.exp(-(((spot - 1.22) / 0.16) ** 2)))
    spiral = 1 + 0.12 * np.cos(9 * spot + 0.8 * streaks)
    red = colour["red_spot"] * spiral[..., None]
    picture = mix(picture, red, 0.95 * smoothstep(1.12, 0.82, spot))
    return Paint(picture)


def paint_saturn(sphere: Sphere, body: Body) -> Paint:
    """Paints soft bands, a hint of waves between them, and a few small storms."""
    colour = body.palette
    rng = sphere.generator("storms")
    rolling = sphere.noise("rolling", frequency=4, octaves=4, stretch=3)
    latitude = sphere.latitude_degrees + 0.6 * rolling
    picture = _draw_bands(latitude, body.profile, colour)
    # Narrow bands that go all the way round: noise of the latitude alone.
    height = np.sin(np.radians(latitude))
    upright = np.stack([np.zeros_like(height), np.zeros_like(height), height], axis=-1)
    narrow = sphere.noise("narrow", frequency=12, octaves=3, points=upright, gain=0.7)
    streaks = sphere.noise("streaks", frequency=2, octaves=5, stretch=14, gain=0.6)
    picture = picture * (1 + 0.055 * narrow + 0.02 * streaks)[..., None]
    for _ in range(6):
        storm = sphere.blob(
            float(rng.choice([-1, 1]) * rng.uniform(30, 60)),
            float(rng.uniform(-180, 180)),
            height_degrees=1.2,
            width_degrees=float(rng.uniform(2, 5)),
            softness=1.4,
        )
        picture = mix(picture, colour["equator"], 0.5 * storm)
    return Paint(picture)


def paint_uranus(sphere: Sphere, body: Body) -> Paint:
    """Paints an all but featureless haze that brightens towards the poles."""
    colour = body.palette
    latitude = sphere.latitude_degrees
    haze = sphere.noise("haze", frequency=2, octaves=3, stretch=4)
    # The hood covers the latitudes beyond about 45 degrees; which pole has it changes with the
    # seasons: Irwin et al., MNRAS 527:11521, 2024.
    north, south = sphere.generator("season").permutation([1.0, 0.35])
    hood = np.maximum(
        north * smoothstep(28, 62, latitude + haze), south * smoothstep(28, 62, -latitude + haze)
    )
    picture = sphere.fill(colour["base"])
    collar = np.exp(-(((np.abs(latitude) - 20) / 14) ** 2))
    picture = mix(picture, colour["band"], 0.7 * collar)
    picture = mix(picture, colour["pole"], 0.85 * hood)
    return Paint(picture * (1 + 0.008 * haze)[..., None])


def paint_neptune(sphere: Sphere, body: Body) -> Paint:
    """Paints faint bands, a dark spot with its bright companion, and white streaks of cirrus."""
    colour = body.palette
    rng = sphere.generator("storms")
    rolling = sphere.noise("rolling", frequency=3, octaves=4, stretch=2.5)
    latitude = sphere.latitude_degrees + 2 * rolling
    picture = sphere.fill(colour["base"])
    dark = np.exp(-(((latitude + 58) / 11) ** 2)) + 0.7 * np.exp(-(((latitude - 8) / 10) ** 2))
    bright = np.exp(-(((latitude + 32) / 10) ** 2)) + 0.8 * np.exp(-(((latitude - 36) / 12) ** 2))
    picture = mix(picture, colour["dark"], 0.6 * np.clip(dark, 0, 1))
    picture = mix(picture, colour["bright"], 0.45 * np.clip(bright, 0, 1))
    streaks = sphere.noise("streaks", frequency=2, octaves=5, stretch=9, gain=0.6)
    picture = picture * (1 + 0.035 * streaks)[..., None]

    # The Great Dark Spot of 1989 lay at about 20 degrees south: Smith et al., "Voyager 2 at
    # Neptune: imaging science results", Science 246:1422, 1989. Later ones lay elsewhere.
    spot_latitude = float(rng.choice([-1, -1, 1]) * rng.uniform(17, 30))
    spot_longitude = float(rng.uniform(-180, 180))
    size = float(rng.uniform(0.7, 1.1))
    spot = sphere.ellipse(
        spot_latitude, spot_longitude, height_degrees=7.5 * size, width_degrees=15 * size
    )
    picture = mix(picture, colour["spot"], 0.85 * smoothstep(1.2, 0.6, spot + 0.05 * streaks))
    poleward = float(np.sign(spot_latitude))
    cirrus = [(spot_latitude + poleward * 8.5 * size, spot_longitude + 3, 1.5, 11 * size)]
    for _ in range(12):
        lat = float(rng.choice([-1, 1]) * rng.uniform(22, 48))
        cirrus.append((lat, float(rng.uniform(-180, 180)), 1.1, float(rng.uniform(5, 16))))
    wisps = sphere.noise("wisps", frequency=6, octaves=5, stretch=6, gain=0.7)
    for lat, lon, half_height, half_width in cirrus:
        streak = sphere.ellipse(lat, lon, height_degrees=half_height, width_degrees=half_width)
        weight = np.exp(-(streak**2)) * smoothstep(-1.2, 1.2, wisps)
        picture = mix(picture, colour["cloud"], 0.85 * weight)
    return Paint(picture)
