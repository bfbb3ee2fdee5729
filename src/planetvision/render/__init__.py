"""Synthetic pictures of seven bodies of the solar system, drawn by physics and chance.

It is the data set of the demo and of the tests, which need no download, and a source of random
scenes for training. No picture or map is stored: surfaces are painted by rules, then lit and seen
from a random direction.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
