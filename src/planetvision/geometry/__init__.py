"""Where the body is in a frame: pure functions on arrays."""

from planetvision.geometry.body import find_body
from planetvision.geometry.ellipse import Ellipse
from planetvision.geometry.region import BodyRegion

__all__ = ["BodyRegion", "Ellipse", "find_body"]
