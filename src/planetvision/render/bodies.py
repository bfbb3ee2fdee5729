"""The seven bodies: sizes, tilts and albedos as published, and the colours of their pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from planetvision.errors import SettingsError, UnknownNameError

__all__ = ["BODIES", "Body", "Ring", "get_body"]

Rgb = tuple[int, int, int]


@dataclass(frozen=True, kw_only=True)
class Ring:
    """One ring, or one gap that is not empty, in the equatorial plane.

    Args:
        name: Its name.
        inner_radius_km: The inner edge, from the planet's centre.
        outer_radius_km: The outer edge, from the planet's centre.
        optical_depth: The optical depth seen along the plane's normal.
        brightness: The reflected light of an opaque stretch, relative to the brightest ring.
    """

    name: str
    inner_radius_km: float
    outer_radius_km: float
    optical_depth: float
    brightness: float


@dataclass(frozen=True, kw_only=True)
class Body:
    """What the renderer knows of one body.

    The colours are this library's choice, made to look like published natural-colour pictures;
    they are no measurement. So are the Minnaert exponents.

    Args:
        name: The key in `BODIES`, and the label of its images.
        equatorial_radius_km: The equatorial radius.
        polar_radius_km: The polar radius.
        obliquity_degrees: The angle between equator and orbit, in [0, 90]; it bounds the
            latitude of the Sun.
        sub_observer_latitude_degrees: How far from the equator the observer may stand.
        geometric_albedo: The visual geometric albedo; it sets how bright a picture comes out.
        shading: The law that darkens the surface towards limb and terminator.
        minnaert_exponent: The exponent of that law where it is Minnaert's; 1 is Lambert's law.
        terminator_softness: The cosine of incidence over which day fades into night: larger
            under a thick atmosphere.
        colours: The palette as sRGB values in [0, 255], by what they paint.
        halo: The colour of the air above the limb, where it is seen.
        rings: The rings, from the inside out.
    """

    name: str
    equatorial_radius_km: float
    polar_radius_km: float
    obliquity_degrees: float
    sub_observer_latitude_degrees: float
    geometric_albedo: float
    shading: Literal["minnaert", "lommel_seeliger"] = "minnaert"
    minnaert_exponent: float = 1.0
    terminator_softness: float = 0.05
    colours: Mapping[str, Rgb] = field(hash=False)
    halo: Rgb | None = None
    rings: tuple[Ring, ...] = ()

    @property
    def flattening(self) -> float:
        """How much shorter the polar radius is, as a fraction of the equatorial one."""
        return 1.0 - self.polar_radius_km / self.equatorial_radius_km

    @property
    def extent(self) -> float:
        """The outermost radius, rings included, in equatorial radii."""
        if not self.rings:
            return 1.0
        return max(ring.outer_radius_km for ring in self.rings) / self.equatorial_radius_km


# C and B ring, edges and range of optical depth: NASA PDS Ring-Moon Systems Node, "Vital Statistics
# for Saturn's Rings and Inner Satellites", https://pds-rings.seti.org/saturn/saturn_tables.html
# A ring and the depth of the Cassini division: NASA NSSDCA, "Saturnian Rings Fact Sheet",
# https://nssdc.gsfc.nasa.gov/planetary/factsheet/satringfact.html
# One optical depth a ring, from within the published range, and the brightness are our choice.
_SATURN_RINGS = (
    Ring(
        name="c",
        inner_radius_km=74_491,
        outer_radius_km=91_975,
        optical_depth=0.12,
        brightness=0.32,
    ),
    Ring(
        name="b",
        inner_radius_km=91_975,
        outer_radius_km=117_570,
        optical_depth=1.8,
        brightness=1.0,
    ),
    Ring(
        name="cassini_division",
        inner_radius_km=117_570,
        outer_radius_km=122_170,
        optical_depth=0.06,
        brightness=0.3,
    ),
    Ring(
        name="a",
        inner_radius_km=122_170,
        outer_radius_km=136_775,
        optical_depth=0.6,
        brightness=0.75,
    ),
)

# Radii: Archinal et al., "Report of the IAU Working Group on Cartographic Coordinates and
# Rotational Elements: 2015", Celest. Mech. Dyn. Astron. 130:22, 2018, tables 4 and 5 (Mars: the
# mean of its two polar radii; the giants: at 1 bar), doi 10.1007/s10569-017-9805-5
# Obliquities and visual geometric albedos: NASA NSSDCA, "Planetary Fact Sheet" and its pages by
# planet, https://nssdc.gsfc.nasa.gov/planetary/factsheet/; Uranus's 97.77 degrees is given here as
# its supplement, and the Moon's is the tilt of its spin axis to the ecliptic.
# That Neptune is bluer than Uranus, and by how little: Irwin et al., "Modelling the seasonal cycle
# of Uranus's colour and magnitude, and comparison with Neptune", MNRAS 527:11521, 2024. Neptune is
# drawn somewhat bluer than found there, because most pictures in circulation show it so.
_BODIES = (
    Body(
        name="earth",
        equatorial_radius_km=6378.14,
        polar_radius_km=6356.75,
        obliquity_degrees=23.44,
        sub_observer_latitude_degrees=35.0,
        geometric_albedo=0.434,
        minnaert_exponent=0.95,
        terminator_softness=0.08,
        colours={
            "ocean": (13, 40, 92),
            "shallows": (28, 88, 128),
            "forest": (44, 74, 34),
            "steppe": (116, 112, 66),
            "desert": (186, 158, 114),
            "tundra": (110, 104, 84),
            "ice": (236, 242, 248),
            "cloud": (252, 252, 252),
            "air": (116, 168, 240),
        },
        halo=(96, 160, 255),
    ),
    Body(
        name="jupiter",
        equatorial_radius_km=71_492,
        polar_radius_km=66_854,
        obliquity_degrees=3.13,
        sub_observer_latitude_degrees=14.0,
        geometric_albedo=0.538,
        minnaert_exponent=0.92,
        colours={
            "zone": (236, 224, 202),
            "equator": (232, 212, 176),
            "belt": (160, 108, 72),
            "dark_belt": (126, 82, 56),
            "pole": (140, 130, 122),
            "red_spot": (176, 104, 76),
            "oval": (246, 240, 228),
            "festoon": (108, 112, 124),
        },
    ),
    Body(
        name="mars",
        equatorial_radius_km=3396.19,
        polar_radius_km=3376.20,
        obliquity_degrees=25.19,
        sub_observer_latitude_degrees=28.0,
        geometric_albedo=0.170,
        minnaert_exponent=0.8,
        terminator_softness=0.04,
        colours={
            "dust": (190, 126, 82),
            "bright_dust": (220, 166, 118),
            "dark": (84, 58, 50),
            "ice": (244, 240, 234),
            "cloud": (228, 212, 200),
        },
        halo=(206, 176, 168),
    ),
    Body(
        name="moon",
        equatorial_radius_km=1737.4,
        polar_radius_km=1737.4,
        obliquity_degrees=1.54,
        # The libration in latitude, that is the obliquity to the orbit about the Earth: NASA
        # NSSDCA, "Moon Fact Sheet", https://nssdc.gsfc.nasa.gov/planetary/factsheet/moonfact.html
        sub_observer_latitude_degrees=6.68,
        geometric_albedo=0.12,
        shading="lommel_seeliger",
        terminator_softness=0.01,
        colours={
            "highland": (196, 191, 184),
            "mare": (112, 111, 112),
            "ray": (236, 232, 226),
        },
    ),
    Body(
        name="neptune",
        equatorial_radius_km=24_764,
        polar_radius_km=24_341,
        obliquity_degrees=28.32,
        sub_observer_latitude_degrees=35.0,
        geometric_albedo=0.442,
        minnaert_exponent=0.9,
        colours={
            "base": (98, 146, 214),
            "bright": (132, 178, 236),
            "dark": (62, 104, 188),
            "spot": (38, 72, 150),
            "cloud": (240, 246, 252),
        },
    ),
    Body(
        name="saturn",
        equatorial_radius_km=60_268,
        polar_radius_km=54_364,
        obliquity_degrees=26.73,
        sub_observer_latitude_degrees=27.0,
        geometric_albedo=0.499,
        minnaert_exponent=0.95,
        colours={
            "zone": (232, 210, 162),
            "equator": (242, 226, 184),
            "belt": (196, 164, 112),
            "pole": (164, 150, 118),
            "ring": (222, 206, 178),
        },
        rings=_SATURN_RINGS,
    ),
    Body(
        name="uranus",
        equatorial_radius_km=25_559,
        polar_radius_km=24_973,
        # 180 degrees less 97.77 degrees.
        obliquity_degrees=82.23,
        sub_observer_latitude_degrees=75.0,
        geometric_albedo=0.488,
        minnaert_exponent=0.9,
        colours={
            "base": (172, 216, 222),
            "pole": (212, 236, 236),
            "band": (158, 206, 214),
        },
    ),
)

BODIES: Mapping[str, Body] = MappingProxyType({body.name: body for body in _BODIES})


def get_body(name: str) -> Body:
    """Returns the body called `name`.

    Raises:
        SettingsError: If `name` is not a string.
        UnknownNameError: If there is no such body; the message suggests the nearest name.
    """
    known = ", ".join(BODIES)
    if not isinstance(name, str):
        raise SettingsError(
            f"A body is chosen by its name, a string; got {name!r} of type {type(name).__name__}. "
            f"Known: {known}."
        )
    if name in BODIES:
        return BODIES[name]
    raise UnknownNameError.among(
        f"Unknown body {name!r}.",
        known=BODIES,
        remedy=f"Known: {known}.",
        family="bodies",
        name=name,
    )
