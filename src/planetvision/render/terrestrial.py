"""The surfaces of the Earth, Mars and the Moon.

Continents, dark regions and seas stand where they are, as outlines of a few points or ellipses;
noise draws their edges.
"""

from __future__ import annotations

import numpy as np

from planetvision.imaging.light import Floats
from planetvision.render.appearance import read_data
from planetvision.render.body import Body
from planetvision.render.craters import Craters
from planetvision.render.paint import Paint
from planetvision.render.photometry import smoothstep
from planetvision.render.sphere import Sphere, mix

# Each table says what its rows are.
_PLACES = {name: table["rows"] for name, table in read_data("places.json").items()}


def _draw_land(sphere: Sphere) -> Floats:
    import cv2

    scale, shift = sphere.height / 180, 4
    canvas = np.zeros((sphere.height, 2 * sphere.height), np.uint8)
    for outline in _PLACES["continents"]:
        corners = [((180 + lon) * scale, (90 - lat) * scale) for lon, lat in outline]
        points = np.round(np.array(corners) * 2**shift).astype(np.int32)
        cv2.fillPoly(canvas, [points], 255, lineType=cv2.LINE_AA, shift=shift)
    blurred = cv2.GaussianBlur(canvas.astype(np.float32) / 255, (0, 0), sphere.height / 180)
    coast = np.asarray(blurred, np.float32) + 0.13 * sphere.noise("coast", frequency=9, octaves=4)
    # The coast of Antarctica, at about 70 degrees south but for the peninsula and two bays.
    ragged = sphere.latitude_degrees + 2.5 * sphere.noise("antarctica", frequency=4, octaves=4)
    bays = 6 * sphere.blob(-76, -175, height_degrees=8, width_degrees=12, softness=1)
    antarctica = smoothstep(-70, -71.5, ragged + bays)
    return np.maximum(smoothstep(0.42, 0.58, coast), antarctica)


def paint_earth(sphere: Sphere, body: Body) -> Paint:
    """Paints oceans, continents by climate, polar ice, and clouds that follow the circulation."""
    colour = body.palette
    latitude = sphere.latitude_degrees
    polar = np.abs(latitude)
    land = _draw_land(sphere)
    rough = sphere.noise("ground", frequency=5, octaves=5)

    dry = np.zeros_like(land)
    for center_lat, center_lon, half_height, half_width in _PLACES["deserts"]:
        spot = sphere.ellipse(
            center_lat, center_lon, height_degrees=half_height, width_degrees=half_width
        )
        dry = np.maximum(dry, smoothstep(1.3, 0.6, spot + 0.25 * rough))
    wet = smoothstep(24, 6, polar + 4 * rough)
    boreal = smoothstep(44, 52, polar + 3 * rough)
    ground = mix(
        sphere.fill(colour["steppe"]),
        colour["forest"],
        np.maximum(np.maximum(wet, 0.8 * boreal), smoothstep(-0.2, 1.2, rough)),
    )
    ground = mix(ground, colour["desert"], dry)
    ground = mix(ground, colour["tundra"], smoothstep(62, 69, polar + 3 * rough))
    ground = ground * (1 + 0.12 * sphere.noise("relief", frequency=14, octaves=3))[..., None]

    shelf = smoothstep(0.0, 1.0, np.clip(_blur(land, sphere.height / 120), 0, 1))
    water = mix(sphere.fill(colour["ocean"]), colour["shallows"], 0.6 * shelf)
    picture = mix(water, ground, land)

    season = sphere.generator("season").uniform(-4, 4)
    greenland = sphere.blob(73, -41, height_degrees=11, width_degrees=9, softness=0.5)
    sea_ice = smoothstep(76, 80, latitude + season + 4 * rough)
    shelf_ice = smoothstep(-67, -70, latitude + season + 2 * rough)
    snow = smoothstep(66, 74, latitude + season + 5 * rough) * land
    ice = np.clip(np.maximum.reduce([greenland * land, sea_ice, shelf_ice, 0.8 * snow]), 0, 1)
    picture = mix(picture, colour["ice"], ice)

    clouds = _draw_clouds(sphere, dry * land)
    picture = mix(picture, colour["cloud"], clouds)
    gloss = (1 - land) * (1 - ice) * (1 - clouds)
    return Paint(picture, gloss=gloss)


def cover_earth(sphere: Sphere, body: Body, ground: Floats) -> Paint:
    """Paints clouds over a map without any; where it is bluish and dark, it is sea and mirrors."""
    sea = smoothstep(1.2, 1.6, ground[..., 2] / np.maximum(ground[..., 0], 1e-3))
    sea = sea * smoothstep(0.25, 0.12, ground[..., 1])
    clouds = _draw_clouds(sphere, np.zeros_like(sea))
    picture = mix(ground, body.palette["cloud"], clouds)
    return Paint(picture, gloss=sea * (1 - clouds))


def _blur(field: Floats, sigma: float) -> Floats:
    import cv2

    return np.asarray(cv2.GaussianBlur(field, (0, 0), sigma), np.float32)


def _draw_clouds(sphere: Sphere, dry: Floats) -> Floats:
    rng = sphere.generator("cyclones")
    points = sphere.points
    for index in range(14):
        hemisphere = 1 if index % 2 else -1
        center = sphere.locate(
            float(hemisphere * rng.uniform(32, 62)), float(rng.uniform(-180, 180))
        )
        # Air turns counter-clockwise about a low in the north, clockwise in the south.
        points = sphere.swirl(
            points,
            center,
            radius_degrees=float(rng.uniform(6, 13)),
            turn_degrees=-hemisphere * float(rng.uniform(140, 300)),
        )
    warp = np.stack(
        [sphere.noise(f"warp{axis}", frequency=3, octaves=3, points=points) for axis in range(3)],
        axis=-1,
    )
    points = points + 0.07 * warp
    broad = sphere.noise("fronts", frequency=2.6, octaves=3, points=points, stretch=1.6)
    fine = sphere.noise("clouds", frequency=7, octaves=6, gain=0.62, points=points, stretch=1.3)
    latitude = sphere.latitude_degrees
    storm_tracks = np.exp(-(((np.abs(latitude) - 52) / 15) ** 2))
    convergence = np.exp(-(((latitude - 6) / 6) ** 2))
    calm = np.exp(-(((np.abs(latitude) - 22) / 9) ** 2))
    cover = 0.62 * broad + 0.62 * fine + 0.55 * storm_tracks + 0.4 * convergence - 0.5 * calm
    return 0.94 * smoothstep(0.15, 1.9, cover - 1.1 * dry).astype(np.float32)


def paint_mars(sphere: Sphere, body: Body) -> Paint:
    """Paints dust, the dark regions, a canyon, volcanoes, caps and clouds over cratered ground."""
    colour = body.palette
    latitude = sphere.latitude_degrees
    points = sphere.warp(0.045, frequency=5, octaves=5, gain=0.6)
    mottle = sphere.noise("mottle", frequency=6, octaves=6, gain=0.6)

    def draw(regions: tuple[tuple[float, ...], ...], softness: float) -> Floats:
        total = np.zeros_like(latitude)
        for lat, lon, half_height, half_width, tilt, depth in regions:
            region = sphere.blob(
                lat,
                lon,
                height_degrees=half_height,
                # A parallel's 50 degrees are fewer degrees of arc near a pole.
                width_degrees=max(half_width * float(np.cos(np.radians(lat))), half_height / 2),
                points=points,
                tilt_degrees=tilt,
                softness=softness,
            )
            total = np.maximum(total, depth * region)
        return total

    picture = sphere.fill(colour["dust"])
    picture = mix(picture, colour["bright_dust"], np.clip(0.35 + 0.35 * mottle, 0, 1) * 0.6)
    picture = mix(picture, colour["bright_dust"], 0.8 * draw(_PLACES["mars_bright"], 1.2))
    dark = draw(_PLACES["mars_dark"], 0.9)
    southern = 0.25 * smoothstep(-8, -30, latitude + 6 * mottle)
    dark = np.clip(np.maximum(dark, southern) * (1 + 0.16 * mottle), 0, 1)
    picture = mix(picture, colour["dark"], 0.92 * dark)
    # Valles Marineris, drawn somewhat wider than it is, as full discs show it with its shadows.
    canyon = np.maximum(
        sphere.blob(
            *(-10, -68), height_degrees=2.2, width_degrees=19, points=points, tilt_degrees=-6
        ),
        sphere.blob(-6, -100, height_degrees=3, width_degrees=6, points=points, softness=1),
    )
    picture = mix(picture, colour["dark"], 0.8 * canyon)
    summits = np.zeros_like(latitude)
    for lat, lon, radius in _PLACES["mars_volcanoes"]:
        away = sphere.ellipse(lat, lon, height_degrees=radius, width_degrees=radius, points=points)
        summits = np.maximum(summits, smoothstep(1.25, 0.75, away))
    picture = mix(picture, colour["dark"], 0.5 * summits)

    craters = Craters(sphere)
    craters.scatter("craters", count=220, smallest_degrees=0.6, largest_degrees=4)
    picture = picture * (1 + 0.25 * np.clip(craters.albedo, -0.5, 0.5))[..., None]

    rng = sphere.generator("season")
    # Winter's cap reaches far from its pole, summer's hardly from there.
    winter, summer = rng.uniform(56, 72), rng.uniform(72, 84)
    north, south = rng.permutation([winter, summer]).tolist()
    cap = np.maximum(
        smoothstep(north - 1.5, north + 2, latitude + 1.8 * mottle),
        smoothstep(south - 1.5, south + 2, -latitude + 1.8 * mottle),
    )
    picture = mix(picture, colour["ice"], 0.96 * cap)
    haze = sphere.noise("haze", frequency=2.5, octaves=5, stretch=2)
    hood = smoothstep(45, 75, np.abs(latitude)) * 0.3
    cloudiness = float(rng.uniform(0.4, 1.6))
    cloud = smoothstep(1.2, 2.8, haze) * 0.55 + hood * smoothstep(-0.5, 1.5, haze)
    wisps = sphere.noise("wisps", frequency=7, octaves=4, stretch=1.5)
    for lat, lon, radius in _PLACES["mars_volcanoes"]:
        # Air that rises over a volcano drops its ice on the lee side, to the west.
        lee = sphere.ellipse(
            lat + 2, lon - 1.6 * radius, height_degrees=1.5 * radius, width_degrees=2.2 * radius
        )
        strength = float(rng.uniform(0, 0.8))
        cloud = cloud + strength * np.exp(-(lee**2)) * smoothstep(-0.8, 1.0, wisps)
    picture = mix(picture, colour["cloud"], np.clip(cloudiness * cloud, 0, 0.92))
    return Paint(picture, elevation=craters.elevation + 0.0009 * mottle)


def paint_moon(sphere: Sphere, body: Body) -> Paint:
    """Paints the highlands, the seas of the near side, craters and rays."""
    colour = body.palette
    points = sphere.warp(0.03, frequency=6, octaves=5, gain=0.6)
    mottle = sphere.noise("mottle", frequency=8, octaves=6, gain=0.65)
    # The complements of overlapping seas are multiplied, so that they merge without a seam.
    dry = np.ones_like(mottle)
    for lat, lon, half_height, half_width in _PLACES["maria"]:
        sea = sphere.blob(
            lat,
            lon,
            height_degrees=half_height,
            width_degrees=half_width,
            points=points,
            softness=0.5,
        )
        dry *= 1 - 0.94 * sea
    tones = sphere.noise("tones", frequency=3, octaves=4)
    mare = np.clip((1 - dry) * (0.92 + 0.1 * tones), 0, 1)
    picture = mix(
        sphere.fill(colour["highland"]),
        colour["mare"],
        mare,
    )
    picture = picture * (1 + 0.08 * mottle + 0.06 * tones * (1 - mare))[..., None]

    craters = Craters(sphere)
    craters.scatter("craters", count=900, smallest_degrees=0.5, largest_degrees=5)
    # Lava drowned the older craters of the seas.
    craters.elevation *= 1 - 0.85 * mare
    craters.albedo *= 1 - 0.7 * mare
    craters.scatter("late_craters", count=120, smallest_degrees=0.5, largest_degrees=1.6)
    craters.scatter_small()
    patches = sphere.noise("patches", frequency=16, octaves=3)
    for lat, lon, radius, strength in _PLACES["ray_craters"]:
        craters.stamp(lat, lon, radius_degrees=radius, freshness=0.9 * strength)
        craters.ray(lat, lon, radius_degrees=radius, strength=strength, patches=patches)
    picture = craters.tint(picture, colour["ray"])
    hills = (0.0022 * mottle * (1 - 0.8 * mare)).astype(np.float32)
    return Paint(picture, elevation=craters.elevation + hills)
