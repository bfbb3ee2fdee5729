"""Synthetic pictures of seven bodies of the solar system, drawn by physics and chance.

It is the data set of the demo and of the tests, which need no download, and a source of random
scenes for training. No picture or map is stored: surfaces are painted by rules, then lit and seen
from a random direction.
"""

from planetvision.render.bodies import BODIES, OTHER_BODIES
from planetvision.render.body import Body, Haze, Ring
from planetvision.render.camera import Camera
from planetvision.render.dataset import render_dataset, write_dataset
from planetvision.render.image import RenderedImage, render_body
from planetvision.render.non_planets import (
    NON_PLANETS,
    render_non_planet,
    render_non_planets,
    write_non_planets,
)

__all__ = [
    "BODIES",
    "NON_PLANETS",
    "OTHER_BODIES",
    "Body",
    "Camera",
    "Haze",
    "RenderedImage",
    "Ring",
    "render_body",
    "render_dataset",
    "render_non_planet",
    "render_non_planets",
    "write_dataset",
    "write_non_planets",
]
