"""planetvision: which body of the solar system an image shows.

Names are loaded when they are first used, so that `import planetvision` is light.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
__all__ += ["__version__"]
