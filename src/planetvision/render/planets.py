"""The seven bodies: sizes, tilts and albedos as published, and the colours of their pictures."""

from __future__ import annotations

from planetvision.render.body import Body, Haze, Ring

__all__ = ["PLANETS"]

# C and B ring, edges and range of optical depth: NASA PDS Ring-Moon Systems Node, "Vital Statistics
# for Saturn's Rings and Inner Satellites", https://pds-rings.seti.org/saturn/saturn_tables.html
# A ring and the depth of the Cassini division: NASA NSSDCA, "Saturnian Rings Fact Sheet",
# https://nssdc.gsfc.nasa.gov/planetary/factsheet/satringfact.html
# One optical depth a ring, from within the published range, and the brightness are our choice; so
# are the trends: the C ring and the inner B ring grow denser outwards, the A ring thinner.
_SATURN_RINGS = (
    Ring(
        name="c",
        inner_radius_km=74_491,
        outer_radius_km=91_975,
        optical_depth=0.12,
        brightness=0.32,
        depth_trend=(0.55, 1.45),
    ),
    Ring(
        name="b",
        inner_radius_km=91_975,
        outer_radius_km=117_570,
        optical_depth=1.8,
        brightness=1.0,
        depth_trend=(0.6, 1.15),
        inner_dimming=0.2,
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
        depth_trend=(1.2, 0.8),
    ),
)

# Edges and widths: French et al., "The Uranian rings", in "Uranus", University of Arizona Press,
# 1991; rounded. Optical depths of the narrow rings are between 0.3 and 2 there; one each is our
# choice. The groups stand for the rings 6, 5 and 4, alpha and beta, and eta, gamma and delta, which
# no picture of the sizes drawn here tells apart: their depth is spread over the group.
# Dust: between the rings Voyager 2 saw it all over (Smith et al., Science 233:43, 1986,
# doi 10.1126/science.233.4759.43), inwards it is the ring zeta (de Pater et al., Science 312:92,
# 2006, doi 10.1126/science.1125110). Its depth is our choice. It comes first, so that the rings
# stand in it.
_URANUS_RINGS = (
    Ring(
        name="zeta",
        inner_radius_km=36_750,
        outer_radius_km=39_250,
        optical_depth=0.004,
        brightness=0.3,
    ),
    Ring(
        name="dust",
        inner_radius_km=39_250,
        outer_radius_km=51_090,
        optical_depth=0.005,
        brightness=0.3,
    ),
    Ring(
        name="inner",
        inner_radius_km=41_800,
        outer_radius_km=42_600,
        optical_depth=0.01,
        brightness=0.25,
    ),
    Ring(
        name="alpha_beta",
        inner_radius_km=44_700,
        outer_radius_km=45_700,
        optical_depth=0.02,
        brightness=0.3,
    ),
    Ring(
        name="eta_delta",
        inner_radius_km=47_150,
        outer_radius_km=48_320,
        optical_depth=0.02,
        brightness=0.3,
    ),
    Ring(
        name="epsilon",
        inner_radius_km=51_090,
        outer_radius_km=51_210,
        optical_depth=1.2,
        brightness=0.5,
    ),
)

# Radii and, where they are known, widths: NASA NSSDCA, "Neptunian Rings Fact Sheet",
# https://nssdc.gsfc.nasa.gov/planetary/factsheet/nepringfact.html. Depths and brightness are our
# choice, far over what is measured: the narrow rings are spread over a pixel's width, and they
# stand for pictures at longer waves than are drawn here, where the planet is all but black.
_NEPTUNE_RINGS = (
    Ring(
        name="galle",
        inner_radius_km=40_900,
        outer_radius_km=42_900,
        optical_depth=0.006,
        brightness=0.3,
    ),
    Ring(
        name="le_verrier",
        inner_radius_km=52_900,
        outer_radius_km=53_200,
        optical_depth=0.06,
        brightness=0.4,
    ),
    Ring(
        name="lassell",
        inner_radius_km=53_200,
        outer_radius_km=57_200,
        optical_depth=0.008,
        brightness=0.3,
    ),
    Ring(
        name="adams",
        inner_radius_km=62_750,
        outer_radius_km=63_100,
        optical_depth=0.08,
        brightness=0.5,
    ),
)

# Radii: Archinal et al., "Report of the IAU Working Group on Cartographic Coordinates and
# Rotational Elements: 2015", Celest. Mech. Dyn. Astron. 130:22, 2018, tables 4 and 5 (Mars: the
# mean of its two polar radii; the giants: at 1 bar), doi 10.1007/s10569-017-9805-5
# Obliquities and visual geometric albedos: NASA NSSDCA, "Planetary Fact Sheet" and its pages by
# planet, https://nssdc.gsfc.nasa.gov/planetary/factsheet/; Uranus's 97.77 degrees is given here as
# its supplement, and the Moon's is the tilt of its spin axis to the ecliptic.
# The shares of filters are this library's choice: spacecraft sent home most of their pictures of
# Mars and the giants through one filter, and Uranus and Neptune are often seen in the infrared.
# That Neptune is bluer than Uranus, and by how little: Irwin et al., "Modelling the seasonal cycle
# of Uranus's colour and magnitude, and comparison with Neptune", MNRAS 527:11521, 2024. Neptune is
# drawn somewhat bluer than found there, because most pictures in circulation show it so.
PLANETS = (
    Body(
        name="earth",
        equatorial_radius_km=6378.14,
        polar_radius_km=6356.75,
        obliquity_degrees=23.44,
        sub_observer_latitude_degrees=35.0,
        geometric_albedo=0.434,
        earth_phase_degrees=40.0,
        has_seas=True,
        has_clouds_on_maps=True,
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
        },
        bands={
            "ocean": (88, 22, 10),
            "shallows": (112, 40, 16),
            "forest": (30, 176, 140),
            "steppe": (52, 180, 150),
            "desert": (96, 214, 206),
            "tundra": (70, 150, 120),
            "ice": (228, 214, 170),
            "cloud": (246, 248, 240),
        },
        haze=Haze(
            veil=(116, 168, 240),
            nadir_depth=0.05,
            limb_depth=0.6,
            glow=(96, 160, 255),
            strength=0.5,
            veil_bands=(236, 96, 40),
            glow_bands=(255, 84, 30),
            band_depths=(0.7, 1.0, 1.4, 2.6, 0.5, 0.3),
        ),
    ),
    Body(
        name="jupiter",
        equatorial_radius_km=71_492,
        polar_radius_km=66_854,
        obliquity_degrees=3.13,
        sub_observer_latitude_degrees=14.0,
        geometric_albedo=0.538,
        filter_shares=(0.6, 0.26, 0.07, 0.07),
        single_shares=(0.22, 0.16, 0.14, 0.1, 0.18, 0.2),
        moon_share=0.25,
        minnaert_exponent=0.92,
        band_exponents=(0.95, 0.9, 0.65),
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
        bands={
            "zone": (176, 226, 112),
            "equator": (170, 220, 196),
            "belt": (112, 184, 66),
            "dark_belt": (84, 156, 48),
            "pole": (96, 130, 150),
            "red_spot": (66, 196, 208),
            "oval": (190, 236, 190),
            "festoon": (120, 112, 56),
        },
    ),
    Body(
        name="mars",
        equatorial_radius_km=3396.19,
        polar_radius_km=3376.20,
        obliquity_degrees=25.19,
        sub_observer_latitude_degrees=28.0,
        geometric_albedo=0.170,
        filter_shares=(0.6, 0.27, 0.04, 0.09),
        single_shares=(0.3, 0.16, 0.26, 0.06, 0.17, 0.05),
        earth_phase_degrees=40.0,
        minnaert_exponent=0.8,
        terminator_softness=0.04,
        colours={
            "dust": (190, 126, 82),
            "bright_dust": (220, 166, 118),
            "dark": (84, 58, 50),
            "ice": (244, 240, 234),
            "cloud": (228, 212, 200),
        },
        bands={
            "dust": (76, 212, 208),
            "bright_dust": (92, 234, 232),
            "dark": (60, 104, 98),
            "ice": (226, 236, 226),
            "cloud": (236, 216, 206),
        },
        haze=Haze(
            veil=(214, 190, 184),
            nadir_depth=0.0,
            limb_depth=0.3,
            glow=(206, 176, 168),
            strength=0.12,
            veil_bands=(204, 196, 188),
            glow_bands=(190, 176, 168),
            band_depths=(0.8, 1.0, 1.4, 1.8, 0.7, 0.6),
        ),
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
        earth_phase_degrees=40.0,
        # The libration in longitude stays under 8 degrees: NASA NSSDCA, as above.
        libration_degrees=7.5,
        # At the Moon's distance the umbra is about 2.7 times as wide as the Moon: Espenak & Meeus,
        # "Five Millennium Canon of Lunar Eclipses", NASA/TP-2009-214172.
        umbra_size_radii=2.7,
        day_share=0.12,
        map_relief_radii=0.03,
        shading="lommel_seeliger",
        terminator_softness=0.01,
        colours={
            "highland": (196, 191, 184),
            "mare": (112, 111, 112),
            "ray": (236, 232, 226),
        },
        bands={
            "highland": (168, 208, 214),
            "mare": (92, 134, 140),
            "ray": (216, 240, 240),
        },
    ),
    Body(
        name="neptune",
        equatorial_radius_km=24_764,
        polar_radius_km=24_341,
        obliquity_degrees=28.32,
        sub_observer_latitude_degrees=35.0,
        geometric_albedo=0.442,
        filter_shares=(0.5, 0.28, 0.17, 0.05),
        single_shares=(0.18, 0.14, 0.1, 0.06, 0.24, 0.28),
        moon_share=0.25,
        deep_share=0.1,
        minnaert_exponent=0.9,
        band_exponents=(0.85, 0.75, 0.4),
        colours={
            "base": (98, 146, 214),
            "bright": (132, 178, 236),
            "dark": (62, 104, 188),
            "spot": (38, 72, 150),
            "cloud": (240, 246, 252),
            "ring": (48, 46, 44),
        },
        bands={
            "base": (176, 110, 26),
            "bright": (184, 128, 48),
            "dark": (164, 92, 16),
            "spot": (134, 80, 12),
            "cloud": (212, 236, 250),
            "ring": (50, 130, 150),
        },
        rings=_NEPTUNE_RINGS,
        has_faint_rings=True,
    ),
    Body(
        name="saturn",
        equatorial_radius_km=60_268,
        polar_radius_km=54_364,
        obliquity_degrees=26.73,
        sub_observer_latitude_degrees=27.0,
        geometric_albedo=0.499,
        filter_shares=(0.6, 0.26, 0.07, 0.07),
        single_shares=(0.22, 0.16, 0.14, 0.1, 0.18, 0.2),
        moon_share=0.25,
        minnaert_exponent=0.95,
        band_exponents=(0.9, 0.9, 0.6),
        colours={
            "zone": (232, 210, 162),
            "equator": (242, 226, 184),
            "belt": (196, 164, 112),
            "pole": (164, 150, 118),
            "ring": (222, 206, 178),
        },
        bands={
            "zone": (146, 226, 116),
            "equator": (160, 228, 232),
            "belt": (116, 196, 88),
            "pole": (112, 154, 58),
            "ring": (206, 232, 240),
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
        filter_shares=(0.5, 0.28, 0.17, 0.05),
        single_shares=(0.18, 0.14, 0.1, 0.06, 0.24, 0.28),
        moon_share=0.25,
        deep_share=0.1,
        minnaert_exponent=0.9,
        band_exponents=(0.85, 0.8, 0.5),
        colours={
            "base": (172, 216, 222),
            "pole": (212, 236, 236),
            "band": (158, 206, 214),
            "ring": (52, 52, 52),
        },
        bands={
            "base": (192, 122, 42),
            "pole": (204, 190, 120),
            "band": (186, 110, 34),
            "ring": (56, 150, 160),
        },
        rings=_URANUS_RINGS,
        has_faint_rings=True,
    ),
)
