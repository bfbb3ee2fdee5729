"""`Paint`: the painted surface of a body."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from planetvision.imaging.light import Floats
from planetvision.render.body import Body
from planetvision.render.sphere import Sphere


@dataclass(frozen=True)
class Paint:
    """A surface on the grid of a `Sphere`.

    Args:
        colour: Linear light in [0, 1], as (row, column, 3).
        gloss: Where the surface mirrors the Sun, in [0, 1], as (row, column).
        elevation: The height of the ground in radii, as (row, column).
    """

    colour: Floats
    gloss: Floats | None = None
    elevation: Floats | None = None


Painter = Callable[[Sphere, Body], Paint]
