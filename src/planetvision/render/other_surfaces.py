"""Rules for the surfaces of other bodies: craters, clouds, frost, Io, Europa and the Sun."""

from __future__ import annotations

import numpy as np

from planetvision.imaging.light import Floats
from planetvision.render.body import Body
from planetvision.render.craters import Craters
from planetvision.render.paint import Paint
from planetvision.render.photometry import smoothstep
from planetvision.render.sphere import Sphere, mix, pick_place


def paint_craters(sphere: Sphere, body: Body) -> Paint:
    """Paints ground that is craters all over, in two tones, with rays of the youngest."""
    colour = body.palette
    mottle = sphere.noise("mottle", frequency=6, octaves=6, gain=0.65)
    plains = sphere.noise("plains", frequency=1.8, octaves=4, points=sphere.warp(0.06))
    picture = mix(sphere.fill(colour["ground"]), colour["dark"], smoothstep(-0.3, 1.2, plains))
    picture = picture * (1 + 0.08 * mottle)[..., None]
    craters = Craters(sphere)
    craters.scatter("craters", count=1300, smallest_degrees=0.5, largest_degrees=7)
    craters.scatter_small()
    patches = sphere.noise("patches", frequency=16, octaves=3)
    rng = sphere.generator("rays")
    for _ in range(10):
        lat, lon = pick_place(rng)
        radius, strength = float(rng.uniform(0.5, 1.6)), float(rng.uniform(0.3, 0.9))
        craters.stamp(lat, lon, radius_degrees=radius, freshness=strength)
        craters.ray(lat, lon, radius_degrees=radius, strength=strength, patches=patches)
    picture = craters.tint(picture, colour["ray"])
    hills = (0.0022 * mottle).astype(np.float32)
    return Paint(picture, elevation=craters.elevation + hills)


def paint_clouds(sphere: Sphere, body: Body) -> Paint:
    """Paints a cover of cloud all round, in streaks that open towards the poles like a Y."""
    colour = body.palette
    latitude = np.radians(sphere.latitude_degrees)
    # Clouds of Venus lag the faster, the nearer to the equator.
    turn = np.float32(1.4) * np.abs(np.sin(latitude))
    cosine, sine = np.cos(turn), np.sin(turn)
    x, y, z = (sphere.points[..., axis] for axis in range(3))
    points = np.stack([x * cosine - y * sine, x * sine + y * cosine, z], axis=-1)
    broad = sphere.noise("broad", frequency=1.6, octaves=4, points=points, stretch=3)
    fine = sphere.noise("fine", frequency=3, octaves=5, points=points, stretch=5, gain=0.6)
    tone = 0.7 * broad + 0.4 * fine
    picture = mix(sphere.fill(colour["base"]), colour["dark"], 0.7 * smoothstep(0.2, 1.6, tone))
    picture = mix(picture, colour["bright"], 0.7 * smoothstep(-0.2, -1.6, tone))
    hood = smoothstep(55, 75, np.abs(sphere.latitude_degrees))
    return Paint(mix(picture, colour["bright"], 0.4 * hood))


def paint_frost(sphere: Sphere, body: Body) -> Paint:
    """Paints frosts of several ages: a bright plain, dark regions along the equator, a cap."""
    colour = body.palette
    mottle = sphere.noise("mottle", frequency=5, octaves=6, gain=0.6)
    points = sphere.warp(0.08)
    picture = sphere.fill(colour["ground"]) * (1 + 0.07 * mottle)[..., None]
    belt = sphere.noise("belt", frequency=1.5, octaves=4, points=points)
    equator = np.exp(-(((sphere.latitude_degrees + 8) / 16) ** 2))
    picture = mix(picture, colour["dark"], 0.9 * equator * smoothstep(-0.2, 0.9, belt))
    rng = sphere.generator("plain")
    plain = sphere.ellipse(
        float(rng.uniform(5, 30)),
        float(rng.uniform(-180, 180)),
        height_degrees=float(rng.uniform(18, 32)),
        width_degrees=float(rng.uniform(18, 32)),
        points=points,
    )
    picture = mix(picture, colour["bright"], 0.95 * smoothstep(1.1, 0.85, plain))
    cap = smoothstep(48, 66, sphere.latitude_degrees + 5 * mottle)
    picture = mix(picture, colour["cap"], 0.6 * cap)
    craters = Craters(sphere)
    craters.scatter("craters", count=200, smallest_degrees=0.6, largest_degrees=4)
    return Paint(picture, elevation=craters.elevation + (0.0012 * mottle).astype(np.float32))


def paint_io(sphere: Sphere, body: Body) -> Paint:
    """Paints sulphur plains, frost, reddish poles and vents with rings of fallout."""
    colour = body.palette
    mottle = sphere.noise("mottle", frequency=4, octaves=6, gain=0.65)
    picture = sphere.fill(colour["ground"]) * (1 + 0.1 * mottle)[..., None]
    frost = sphere.noise("frost", frequency=2.5, octaves=5, points=sphere.warp(0.06))
    picture = mix(picture, colour["frost"], 0.8 * smoothstep(0.2, 1.3, frost))
    poles = smoothstep(42, 72, np.abs(sphere.latitude_degrees) + 6 * mottle)
    picture = mix(picture, colour["pole"], 0.8 * poles)
    rng = sphere.generator("vents")
    for index in range(70):
        lat, lon = pick_place(rng)
        size = float(rng.uniform(0.8, 3.5))
        vent = sphere.ellipse(
            lat, lon, height_degrees=size, width_degrees=size * float(rng.uniform(0.8, 1.8))
        )
        if index < 4:
            ring = np.exp(-(((vent * size - 11) / 3.5) ** 2))
            picture = mix(picture, colour["red"], 0.6 * ring)
        halo = np.exp(-((vent / 2.2) ** 2)) * float(rng.uniform(0, 0.6))
        picture = mix(picture, colour["red" if rng.uniform() < 0.4 else "frost"], halo)
        picture = mix(picture, colour["vent"], 0.9 * smoothstep(1.15, 0.75, vent))
    return Paint(picture)


def paint_europa(sphere: Sphere, body: Body) -> Paint:
    """Paints ice with brownish stains and a net of long dark lines."""
    colour = body.palette
    mottle = sphere.noise("mottle", frequency=6, octaves=5, gain=0.6)
    points = sphere.warp(0.02)
    picture = sphere.fill(colour["ground"]) * (1 + 0.04 * mottle)[..., None]
    stain = sphere.noise("stain", frequency=2, octaves=5, points=sphere.warp(0.08))
    picture = mix(picture, colour["stain"], 0.8 * smoothstep(0.2, 1.4, stain))
    rng = sphere.generator("lines")
    lines = np.zeros_like(mottle)
    for _ in range(60):
        # A great or small circle: the points at one distance from a pole of its own.
        axis = rng.normal(0, 1, 3)
        axis /= np.linalg.norm(axis)
        away = np.abs(points @ axis.astype(np.float32) - np.float32(rng.uniform(-0.6, 0.6)))
        width = np.radians(rng.uniform(0.25, 0.8))
        arc = smoothstep(-0.2, 0.3, points @ _pick_direction(rng))
        lines = np.maximum(lines, float(rng.uniform(0.4, 1)) * arc * np.exp(-((away / width) ** 2)))
    return Paint(mix(picture, colour["line"], 0.8 * np.asarray(lines, np.float32)))


def _pick_direction(rng: np.random.Generator) -> Floats:
    direction = rng.normal(0, 1, 3)
    return np.asarray(direction / np.linalg.norm(direction), np.float32)


def paint_sun(sphere: Sphere, body: Body) -> Paint:
    """Paints grains, faculae and groups of spots."""
    colour = body.palette
    grains = sphere.noise("grains", frequency=22, octaves=3, gain=0.7)
    active = sphere.noise("active", frequency=5, octaves=5, gain=0.65)
    picture = sphere.fill(colour["disc"]) * (1 + 0.05 * grains)[..., None]
    royal = np.exp(-(((np.abs(sphere.latitude_degrees) - 18) / 11) ** 2))
    picture = mix(picture, colour["bright"], 0.7 * royal * smoothstep(0.6, 1.8, active))
    rng = sphere.generator("spots")
    for _ in range(14):
        lat = float(rng.choice([-1, 1]) * rng.uniform(6, 32))
        size = float(rng.uniform(0.5, 2.2))
        spot = sphere.ellipse(
            lat, float(rng.uniform(-180, 180)), height_degrees=size, width_degrees=1.4 * size
        )
        picture = mix(picture, colour["spot"], 0.9 * smoothstep(1.3, 0.6, spot + 0.1 * grains))
    return Paint(picture)
