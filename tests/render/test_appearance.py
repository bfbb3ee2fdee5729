"""The appearance of bodies as data, and getting one by its name."""

from __future__ import annotations

import itertools
import pickle
from typing import cast

import pytest

from planetvision.core.errors import SettingsError, UnknownNameError
from planetvision.render import BODIES, OTHER_BODIES
from planetvision.render.appearance import get_body
from planetvision.render.surfaces import PAINTERS


def test_bodies_are_the_seven_in_alphabetical_order() -> None:
    assert list(BODIES) == ["earth", "jupiter", "mars", "moon", "neptune", "saturn", "uranus"]
    assert all(name == body.name for name, body in BODIES.items())


def test_flattening_agrees_with_the_published_values() -> None:
    # NASA NSSDCA Planetary Fact Sheets, "Ellipticity".
    published = {
        "earth": 0.00335,
        "jupiter": 0.06487,
        "mars": 0.00589,
        "moon": 0.0,
        "neptune": 0.01708,
        "saturn": 0.09796,
        "uranus": 0.02293,
    }
    for name, value in published.items():
        assert BODIES[name].flattening == pytest.approx(value, abs=2e-5)


def test_rings_follow_one_another_outwards() -> None:
    assert [name for name, body in BODIES.items() if body.rings] == ["neptune", "saturn", "uranus"]
    rings = BODIES["saturn"].rings
    assert [ring.name for ring in rings] == ["c", "b", "cassini_division", "a"]
    for inner, outer in itertools.pairwise(rings):
        assert inner.outer_radius_km == outer.inner_radius_km
    for name in ("uranus", "neptune"):
        # The dust lies between the other rings, which stand in it: it comes before them.
        rings = tuple(ring for ring in BODIES[name].rings if ring.name != "dust")
        for inner, outer in itertools.pairwise(rings):
            assert inner.outer_radius_km <= outer.inner_radius_km
    zeta, dust, *others = BODIES["uranus"].rings
    assert [ring.name for ring in (zeta, dust, others[0])] == ["zeta", "dust", "inner"]
    assert zeta.outer_radius_km == dust.inner_radius_km
    assert dust.outer_radius_km == others[-1].inner_radius_km
    assert BODIES["saturn"].extent == pytest.approx(136_775 / 60_268)
    assert BODIES["mars"].extent == 1


@pytest.mark.parametrize(("name", "reach"), [("uranus", 2.0036), ("neptune", 2.548)])
def test_faint_rings_are_no_part_of_the_outline(name: str, reach: float) -> None:
    body = BODIES[name]
    assert body.has_faint_rings
    assert body.extent == 1
    assert body.ring_extent == pytest.approx(reach, abs=1e-3)


@pytest.mark.parametrize("name", [*BODIES, *OTHER_BODIES])
def test_shares_of_filters_add_up_to_one(name: str) -> None:
    body = get_body(name)
    assert sum(body.filter_shares) == pytest.approx(1)
    assert sum(body.single_shares) == pytest.approx(1)


@pytest.mark.parametrize("name", ["mars", "jupiter", "saturn", "uranus", "neptune"])
def test_a_quarter_of_the_pictures_shows_one_band(name: str) -> None:
    assert 0.25 <= BODIES[name].filter_shares[1] <= 0.3


@pytest.mark.parametrize("name", [*BODIES, *OTHER_BODIES])
def test_every_colour_has_its_bands(name: str) -> None:
    body = get_body(name)
    assert body.name == name
    assert set(body.bands) == set(body.colours)
    levels = [
        level for table in (body.colours, body.bands) for rgb in table.values() for level in rgb
    ]
    assert all(0 <= level <= 255 for level in levels)
    if body.shading == "minnaert":
        assert 0 < body.minnaert_exponent <= 1
    assert body.polar_radius_km <= body.equatorial_radius_km


def test_methane_darkens_the_two_that_hold_most_of_it() -> None:
    for name in ("uranus", "neptune"):
        ultraviolet, infrared, methane = BODIES[name].bands["base"]
        assert methane < infrared < ultraviolet


@pytest.mark.parametrize("name", [*BODIES, *OTHER_BODIES])
def test_surface_rule_exists_and_finds_its_colours(name: str) -> None:
    body = get_body(name)
    assert body.painter in PAINTERS
    assert {colour for _, colour, _ in body.profile} <= set(body.colours)
    latitudes = [latitude for latitude, _, _ in body.profile]
    assert latitudes == sorted(latitudes)


def test_every_body_survives_pickling() -> None:
    assert pickle.loads(pickle.dumps(tuple(BODIES.values()))) == tuple(BODIES.values())
    assert len(set(BODIES.values())) == len(BODIES)


def test_get_with_misspelt_name_suggests_nearest() -> None:
    with pytest.raises(
        UnknownNameError,
        match=r"^Unknown body 'satrun'\. Did you mean 'saturn' or 'sun'\? Known: earth, jupiter, "
        r"mars, moon, neptune, saturn, uranus, mercury, .*\.$",
    ) as caught:
        get_body("satrun")
    assert caught.value.name == "satrun"
    assert caught.value.suggestions == ("saturn", "sun")


def test_get_with_a_name_like_no_other_lists_the_known() -> None:
    with pytest.raises(UnknownNameError, match=r"^Unknown body 'xyz'\. Known: earth, "):
        get_body("xyz")


def test_get_with_a_number_says_that_a_name_was_expected() -> None:
    with pytest.raises(SettingsError, match=r"chosen by its name, a string; got 3 of type int"):
        get_body(cast(str, 3))


@pytest.mark.parametrize(
    ("planet", "moons"),
    [
        ("mars", ("phobos", "deimos")),
        ("saturn", ("mimas", "enceladus", "tethys", "dione", "rhea", "titan")),
        ("jupiter", ("io", "europa", "ganymede", "callisto")),
        ("uranus", ("miranda", "ariel", "umbriel", "titania", "oberon")),
        ("pluto", ("charon",)),
    ],
)
def test_moons_that_turn_upright_have_the_season_of_their_planet(
    planet: str, moons: tuple[str, ...]
) -> None:
    expected = pytest.approx(get_body(planet).obliquity_degrees, abs=0.1)
    assert [get_body(moon).obliquity_degrees for moon in moons] == [expected] * len(moons)
