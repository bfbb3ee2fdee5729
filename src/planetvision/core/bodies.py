"""The table of bodies: name, kind, parent and radii of each, with the source of the radii."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from types import MappingProxyType
from typing import Literal, cast

BodyKind = Literal["star", "planet", "dwarf planet", "moon", "asteroid"]


@dataclass(frozen=True, kw_only=True)
class BodyFacts:
    """A row of `bodies.csv`.

    Args:
        name: The name in lower case, which is also the label of its images.
        kind: The kind of body.
        parent: The body that it orbits, or None for the Sun.
        equatorial_radius_km: The equatorial radius.
        polar_radius_km: The polar radius.
        source: The source of the radii.
    """

    name: str
    kind: BodyKind
    parent: str | None
    equatorial_radius_km: float
    polar_radius_km: float
    source: str


def _load_facts() -> Mapping[str, BodyFacts]:
    text = files("planetvision.core").joinpath("bodies.csv").read_text(encoding="utf-8")
    return MappingProxyType(
        {
            row["name"]: BodyFacts(
                name=row["name"],
                kind=cast(BodyKind, row["kind"]),
                parent=row["parent"] or None,
                equatorial_radius_km=float(row["equatorial_radius_km"]),
                polar_radius_km=float(row["polar_radius_km"]),
                source=row["source"],
            )
            for row in csv.DictReader(text.splitlines())
        }
    )


BODY_FACTS = _load_facts()
"""All bodies by name: the Sun, then outwards, each followed by its moons."""
