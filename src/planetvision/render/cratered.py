"""Small bodies of rock or ice, gray and full of craters: what is easily taken for the Moon."""

from __future__ import annotations

from functools import partial

from planetvision.render.body import Body

__all__ = ["CRATERED"]

_Cratered = partial(Body, map_relief_radii=0.02, minnaert_exponent=0.6, terminator_softness=0.01)

# Radii: Archinal et al. 2018, tables 4 and 5, doi 10.1007/s10569-017-9805-5, and of Vesta Russell
# et al. 2012, doi 10.1126/science.1219381; of the two longer axes of three the mean. Obliquities
# and visual geometric albedos: NASA NSSDCA, "Planetary Fact Sheet" and its pages by planet and
# satellite, https://nssdc.gsfc.nasa.gov/planetary/factsheet/; rounded, since they only bound the
# season and set an exposure. A moon's season is that of its planet where it turns about it
# upright. The colours are this library's choice.
CRATERED = (
    _Cratered(
        name="phobos",
        equatorial_radius_km=12.2,
        polar_radius_km=9.1,
        obliquity_degrees=25.2,
        sub_observer_latitude_degrees=30.0,
        geometric_albedo=0.07,
        colours={"ground": (118, 110, 102), "dark": (92, 85, 79), "ray": (160, 152, 146)},
        bands={"ground": (88, 120, 118), "dark": (68, 94, 92), "ray": (126, 163, 160)},
    ),
    _Cratered(
        name="deimos",
        equatorial_radius_km=6.9,
        polar_radius_km=5.1,
        obliquity_degrees=25.2,
        sub_observer_latitude_degrees=30.0,
        geometric_albedo=0.07,
        colours={"ground": (128, 119, 108), "dark": (104, 96, 88), "ray": (158, 150, 142)},
        bands={"ground": (93, 131, 128), "dark": (76, 106, 104), "ray": (122, 161, 158)},
    ),
    _Cratered(
        name="vesta",
        equatorial_radius_km=282.5,
        polar_radius_km=223.2,
        obliquity_degrees=27.0,
        sub_observer_latitude_degrees=50.0,
        geometric_albedo=0.42,
        colours={"ground": (176, 170, 160), "dark": (126, 120, 112), "ray": (222, 218, 210)},
        bands={"ground": (138, 180, 176), "dark": (96, 129, 126), "ray": (181, 226, 222)},
    ),
    _Cratered(
        name="mimas",
        equatorial_radius_km=198.2,
        polar_radius_km=198.2,
        obliquity_degrees=26.7,
        sub_observer_latitude_degrees=50.0,
        geometric_albedo=0.6,
        colours={"ground": (196, 196, 194), "dark": (156, 156, 154), "ray": (230, 230, 230)},
        bands={"ground": (167, 200, 196), "dark": (132, 159, 156), "ray": (198, 235, 230)},
    ),
    _Cratered(
        name="enceladus",
        equatorial_radius_km=252.1,
        polar_radius_km=252.1,
        obliquity_degrees=26.7,
        sub_observer_latitude_degrees=60.0,
        geometric_albedo=1.0,
        colours={"ground": (236, 238, 240), "dark": (204, 212, 218), "ray": (250, 250, 252)},
        bands={"ground": (206, 241, 236), "dark": (187, 208, 204), "ray": (217, 255, 250)},
    ),
    _Cratered(
        name="tethys",
        equatorial_radius_km=531.0,
        polar_radius_km=531.0,
        obliquity_degrees=26.7,
        sub_observer_latitude_degrees=50.0,
        geometric_albedo=0.8,
        colours={"ground": (214, 212, 208), "dark": (178, 176, 172), "ray": (244, 244, 242)},
        bands={"ground": (179, 218, 214), "dark": (148, 182, 178), "ray": (208, 249, 244)},
    ),
    _Cratered(
        name="dione",
        equatorial_radius_km=561.4,
        polar_radius_km=561.4,
        obliquity_degrees=26.7,
        sub_observer_latitude_degrees=50.0,
        geometric_albedo=0.7,
        colours={"ground": (196, 194, 190), "dark": (142, 140, 136), "ray": (240, 240, 240)},
        bands={"ground": (163, 200, 196), "dark": (117, 145, 142), "ray": (206, 245, 240)},
    ),
    _Cratered(
        name="miranda",
        equatorial_radius_km=235.8,
        polar_radius_km=235.8,
        obliquity_degrees=82.2,
        sub_observer_latitude_degrees=80.0,
        geometric_albedo=0.27,
        colours={"ground": (168, 166, 164), "dark": (116, 114, 112), "ray": (212, 212, 210)},
        bands={"ground": (141, 171, 168), "dark": (96, 118, 116), "ray": (181, 216, 212)},
    ),
    _Cratered(
        name="ariel",
        equatorial_radius_km=578.9,
        polar_radius_km=578.9,
        obliquity_degrees=82.2,
        sub_observer_latitude_degrees=80.0,
        geometric_albedo=0.34,
        colours={"ground": (184, 178, 172), "dark": (142, 136, 130), "ray": (230, 226, 222)},
        bands={"ground": (148, 188, 184), "dark": (112, 145, 142), "ray": (191, 235, 230)},
    ),
    _Cratered(
        name="umbriel",
        equatorial_radius_km=584.7,
        polar_radius_km=584.7,
        obliquity_degrees=82.2,
        sub_observer_latitude_degrees=80.0,
        geometric_albedo=0.18,
        colours={"ground": (118, 117, 116), "dark": (92, 91, 90), "ray": (176, 176, 176)},
        bands={"ground": (100, 120, 118), "dark": (77, 94, 92), "ray": (151, 180, 176)},
    ),
    _Cratered(
        name="titania",
        equatorial_radius_km=788.9,
        polar_radius_km=788.9,
        obliquity_degrees=82.2,
        sub_observer_latitude_degrees=80.0,
        geometric_albedo=0.27,
        colours={"ground": (156, 148, 140), "dark": (118, 112, 106), "ray": (210, 204, 198)},
        bands={"ground": (120, 159, 156), "dark": (91, 120, 118), "ray": (170, 214, 210)},
    ),
    _Cratered(
        name="oberon",
        equatorial_radius_km=761.4,
        polar_radius_km=761.4,
        obliquity_degrees=82.2,
        sub_observer_latitude_degrees=80.0,
        geometric_albedo=0.24,
        colours={"ground": (146, 138, 132), "dark": (102, 95, 90), "ray": (208, 202, 198)},
        bands={"ground": (114, 149, 146), "dark": (77, 104, 102), "ray": (170, 212, 208)},
    ),
    _Cratered(
        name="charon",
        equatorial_radius_km=606.0,
        polar_radius_km=606.0,
        obliquity_degrees=60.4,
        sub_observer_latitude_degrees=60.0,
        geometric_albedo=0.37,
        colours={"ground": (158, 154, 150), "dark": (122, 106, 96), "ray": (204, 202, 200)},
        bands={"ground": (129, 161, 158), "dark": (83, 124, 122), "ray": (172, 208, 204)},
    ),
)
