"""`BODIES` and `OTHER_BODIES`: what can be drawn, by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from planetvision.render.arguments import check_name
from planetvision.render.body import Body, Ring
from planetvision.render.cratered import CRATERED
from planetvision.render.others import OTHERS
from planetvision.render.planets import PLANETS

__all__ = ["BODIES", "OTHER_BODIES", "Body", "Ring", "get_body"]

BODIES: Mapping[str, Body] = MappingProxyType({body.name: body for body in PLANETS})
"""The seven bodies that the library tells apart."""

OTHER_BODIES: Mapping[str, Body] = MappingProxyType(
    {body.name: body for body in (*OTHERS, *CRATERED)}
)
"""Bodies that are none of the seven and look like them: what "unknown" has to be said of."""


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
