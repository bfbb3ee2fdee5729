"""The table of bodies: what it holds, who shares it, and its copy in the documentation."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

from planetvision.core.bodies import BODY_FACTS, BodyKind
from planetvision.render import BODIES, OTHER_BODIES
from planetvision.render.appearance import get_body

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "render.md"


def test_every_body_can_be_drawn_and_has_the_radii_of_the_table() -> None:
    assert set(BODY_FACTS) == {*BODIES, *OTHER_BODIES}
    for name, facts in BODY_FACTS.items():
        body = get_body(name)
        assert body.equatorial_radius_km == facts.equatorial_radius_km
        assert body.polar_radius_km == facts.polar_radius_km


@pytest.mark.parametrize("name", list(BODY_FACTS))
def test_row_is_complete_and_follows_its_parent(name: str) -> None:
    facts = BODY_FACTS[name]
    names = list(BODY_FACTS)
    assert facts.name == name
    assert facts.kind in get_args(BodyKind)
    assert 0 < facts.polar_radius_km <= facts.equatorial_radius_km
    assert facts.source
    if facts.parent is None:
        assert facts.kind == "star"
    else:
        parent = BODY_FACTS[facts.parent]
        assert names.index(facts.parent) < names.index(name)
        assert parent.equatorial_radius_km > facts.equatorial_radius_km
        assert (facts.kind == "moon") == (parent.kind != "star")


def test_documentation_shows_the_table() -> None:
    rows = re.findall(r"^\| ([a-z]+) \| (.+) \| (.*) \| ([\d.,]+) \| ([\d.,]+) \| (.+) \|$",
                      PAGE.read_text(encoding="utf-8"), re.MULTILINE)  # fmt: skip
    assert rows == [
        (
            it.name,
            it.kind,
            it.parent or "",
            f"{it.equatorial_radius_km:,}",
            f"{it.polar_radius_km:,}",
            it.source,
        )
        for it in BODY_FACTS.values()
    ]
