"""`Body`, `Ring` and `Haze`: the appearance of a body as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from planetvision.imaging.light import Floats, srgb_to_linear

Rgb = tuple[int, int, int]


@dataclass(frozen=True, kw_only=True)
class Ring:
    """A ring, or a gap that is not empty, in the equatorial plane.

    Args:
        name: Its name.
        inner_radius_km: The inner edge, from the planet's centre.
        outer_radius_km: The outer edge, from the planet's centre.
        optical_depth: The optical depth seen along the plane's normal.
        brightness: The reflected light of an opaque stretch, relative to the brightest ring.
        depth_trend: What the optical depth is multiplied by at the inner and at the outer edge.
        inner_dimming: How much darker it is at the inner edge, in [0, 1].
    """

    name: str
    inner_radius_km: float
    outer_radius_km: float
    optical_depth: float
    brightness: float
    depth_trend: tuple[float, float] = (1.0, 1.0)
    inner_dimming: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Haze:
    """A visible atmosphere: a veil over the disc and a glow above the limb.

    Its numbers are this library's choice, made to look like published pictures.

    Args:
        veil: The colour of the air before the disc.
        nadir_depth: How much of the ground it hides in the middle of the disc, in [0, 1].
        limb_depth: How much more it hides at the limb.
        glow: The colour of the air above the limb.
        strength: The brightness of the glow where the Sun stands overhead.
        veil_bands: The colour of the air before the disc in the bands of `Body.bands`.
        glow_bands: The colour of the air above the limb in them.
        band_depths: What its depth is multiplied by in red, green and blue, then in those bands:
            air and fine haze hide more the shorter the wave, dust much the same at any.
    """

    veil: Rgb
    nadir_depth: float
    limb_depth: float
    glow: Rgb
    strength: float
    veil_bands: Rgb
    glow_bands: Rgb
    band_depths: tuple[float, float, float, float, float, float]


@dataclass(frozen=True, kw_only=True)
class Body:
    """The appearance of one body.

    The colours are this library's choice, made to look like published natural-colour pictures;
    they are no measurement. So are the Minnaert exponents.

    Args:
        name: The key in `BODIES` or `OTHER_BODIES`, and the label of its images.
        equatorial_radius_km: The equatorial radius.
        polar_radius_km: The polar radius.
        obliquity_degrees: The angle between equator and orbit, in [0, 90]; it bounds the
            latitude of the Sun.
        sub_observer_latitude_degrees: How far from the equator the observer may stand.
        geometric_albedo: The visual geometric albedo; it sets how bright a picture comes out.
        shading: The law that darkens the surface towards limb and terminator; `emitting` is a star,
            which darkens towards the limb alone.
        minnaert_exponent: The exponent of that law where it is Minnaert's; 1 is Lambert's law.
        band_exponents: The same in the three `bands`. Where methane absorbs, only the haze above it
            is seen, which a slanting line of sight meets more of: under 1/2 the limb is bright.
        terminator_softness: The cosine of incidence over which day fades into night: larger
            under a thick atmosphere.
        painter: The rule that paints its surface, of `surfaces.PAINTERS`.
        colours: The palette as sRGB values in [0, 255], by what they paint.
        bands: The same palette in the ultraviolet (about 350 nm), the near infrared (about 750 nm)
            and the methane band at 890 nm, encoded as sRGB is. Its keys are those of `colours`.
        profile: Belts and zones: rows of latitude in degrees, the colour there, and how far it is
            from the colour of the zones.
        haze: The air, where it is seen.
        rings: The rings, from the inside out.
        has_faint_rings: Whether the rings show only beside a planet that methane darkens: they are
            not part of its outline then.
        filter_shares: The shares of pictures under `photo` in natural colour, through one filter,
            in false colour of the infrared, and with a neighbouring band for one of the colours.
        single_shares: Of the pictures through one filter, the shares of red, green and blue, then
            of `bands`.
        earth_phase_degrees: The largest phase angle of pictures that are drawn as from the Earth.
        libration_degrees: How far the middle of its face strays from the prime meridian in pictures
            from the Earth, or None where it turns under the observer.
        umbra_size_radii: The radius of the shadow that may fall on it while it is full, or None.
        moon_share: The share of pictures with moons beside or before it.
        day_share: The share of pictures before a daylight sky.
        deep_share: The share of those before bright stars and galaxies: a faint body takes a long
            exposure, which shows what is far beyond it.
        has_seas: Whether the Sun is mirrored where its surface has gloss.
        has_clouds_on_maps: Whether clouds are painted over a map, which shows none.
        map_relief_radii: The height that fine bright and dark of a map stand for; 0 where they are
            no slopes.
    """

    name: str
    equatorial_radius_km: float
    polar_radius_km: float
    obliquity_degrees: float
    sub_observer_latitude_degrees: float
    geometric_albedo: float
    shading: Literal["minnaert", "lommel_seeliger", "emitting"] = "minnaert"
    minnaert_exponent: float = 1.0
    band_exponents: tuple[float, float, float] | None = None
    terminator_softness: float = 0.05
    painter: str = "craters"
    colours: Mapping[str, Rgb] = field(hash=False)
    bands: Mapping[str, Rgb] = field(default_factory=dict, hash=False)
    profile: tuple[tuple[float, str, float], ...] = ()
    haze: Haze | None = None
    rings: tuple[Ring, ...] = ()
    has_faint_rings: bool = False
    filter_shares: tuple[float, float, float, float] = (0.68, 0.18, 0.07, 0.07)
    single_shares: tuple[float, float, float, float, float, float] = (
        0.2,
        0.1,
        0.1,
        0.1,
        0.25,
        0.25,
    )
    earth_phase_degrees: float = 12.0
    libration_degrees: float | None = None
    umbra_size_radii: float | None = None
    moon_share: float = 0.06
    day_share: float = 0.0
    deep_share: float = 0.01
    has_seas: bool = False
    has_clouds_on_maps: bool = False
    map_relief_radii: float = 0.0

    @property
    def palette(self) -> Mapping[str, Floats]:
        """The palette in linear light."""
        return {name: srgb_to_linear(value) for name, value in self.colours.items()}

    @property
    def shows_ground(self) -> bool:
        """Whether its ground is visible without air, and so sharp at any distance."""
        return self.map_relief_radii > 0

    @property
    def flattening(self) -> float:
        """The flattening: 1 minus polar over equatorial radius."""
        return 1.0 - self.polar_radius_km / self.equatorial_radius_km

    @property
    def extent(self) -> float:
        """The outermost radius, rings included unless they are faint, in equatorial radii."""
        return 1.0 if self.has_faint_rings else self.ring_extent

    @property
    def ring_extent(self) -> float:
        """The outer radius of the outermost ring in equatorial radii, or 1 without rings."""
        if not self.rings:
            return 1.0
        return max(ring.outer_radius_km for ring in self.rings) / self.equatorial_radius_km
