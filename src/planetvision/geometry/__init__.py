"""Where the body is in a frame: pure functions on arrays."""

from planetvision.geometry.body import BodyRegion, find_body

__all__ = ["BodyRegion", "find_body"]
