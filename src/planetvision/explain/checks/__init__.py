"""Checks of explanations: whether maps can be believed, and what they show if so.

They need PyTorch, so the room itself does not import them.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
