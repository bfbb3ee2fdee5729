"""The table of bodies, and getting one by its name."""

from __future__ import annotations

import itertools
import pickle
from typing import cast

import pytest

from planetvision.errors import SettingsError, UnknownNameError
from planetvision.render import BODIES
from planetvision.render.bodies import get_body


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


def test_rings_follow_one_another_outwards_and_only_saturn_has_any() -> None:
    assert [name for name, body in BODIES.items() if body.rings] == ["saturn"]
    rings = BODIES["saturn"].rings
    assert [ring.name for ring in rings] == ["c", "b", "cassini_division", "a"]
    for inner, outer in itertools.pairwise(rings):
        assert inner.outer_radius_km == outer.inner_radius_km
    assert BODIES["saturn"].extent == pytest.approx(136_775 / 60_268)
    assert BODIES["mars"].extent == 1


def test_every_body_survives_pickling() -> None:
    assert pickle.loads(pickle.dumps(tuple(BODIES.values()))) == tuple(BODIES.values())
    assert len(set(BODIES.values())) == len(BODIES)


def test_get_with_misspelt_name_suggests_nearest() -> None:
    with pytest.raises(
        UnknownNameError,
        match=r"^Unknown body 'satrun'\. Did you mean 'saturn'\? Known: earth, jupiter, mars, "
        r"moon, neptune, saturn, uranus\.$",
    ) as caught:
        get_body("satrun")
    assert caught.value.name == "satrun"
    assert caught.value.suggestions == ("saturn",)


def test_get_with_a_name_like_no_other_lists_the_known() -> None:
    with pytest.raises(UnknownNameError, match=r"^Unknown body 'xyz'\. Known: earth, "):
        get_body("xyz")


def test_get_with_a_number_says_that_a_name_was_expected() -> None:
    with pytest.raises(SettingsError, match=r"chosen by its name, a string; got 3 of type int"):
        get_body(cast(str, 3))
