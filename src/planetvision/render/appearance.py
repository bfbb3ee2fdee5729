"""`BODIES` and `OTHER_BODIES`: the bodies that can be rendered, from `appearance.json`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.resources import files
from types import MappingProxyType
from typing import Any

from planetvision.core.bodies import BODY_FACTS
from planetvision.render.arguments import check_name
from planetvision.render.body import Body, Haze, Ring


def read_data(name: str) -> dict[str, Any]:
    """Returns the content of a JSON file of this package, with tuples for lists.

    Args:
        name: The file's name.
    """

    def freeze(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: freeze(entry) for key, entry in value.items()}
        return tuple(map(freeze, value)) if isinstance(value, list) else value

    text = files("planetvision.render").joinpath(name).read_text(encoding="utf-8")
    data: dict[str, Any] = freeze(json.loads(text))
    return data


def _create_bodies(entries: Mapping[str, dict[str, Any]]) -> Mapping[str, Body]:
    def create(name: str, values: dict[str, Any]) -> Body:
        facts = BODY_FACTS[name]
        values = {key: value for key, value in values.items() if key != "sources"}
        haze, rings = values.pop("haze", None), values.pop("rings", ())
        return Body(
            name=name,
            equatorial_radius_km=facts.equatorial_radius_km,
            polar_radius_km=facts.polar_radius_km,
            haze=None if haze is None else Haze(**haze),
            rings=tuple(Ring(**ring) for ring in rings),
            **values,
        )

    return MappingProxyType({name: create(name, values) for name, values in entries.items()})


_APPEARANCE = read_data("appearance.json")

BODIES = _create_bodies(_APPEARANCE["bodies"])
"""The seven bodies that the library tells apart."""

OTHER_BODIES = _create_bodies(_APPEARANCE["other_bodies"])
"""Other bodies, some of which look like one of the seven: the right answer is "unknown"."""


def get_body(name: str) -> Body:
    """Returns the body called `name`.

    Raises:
        SettingsError: If `name` is not a string.
        UnknownNameError: If there is no such body; the message suggests the nearest name.
    """
    bodies = {**BODIES, **OTHER_BODIES}
    check_name(
        name,
        bodies,
        expected="A body is chosen by its name, a string;",
        what="body",
        family="bodies",
    )
    return bodies[name]
