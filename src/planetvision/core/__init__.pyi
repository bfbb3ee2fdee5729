from .errors import PlanetVisionError as PlanetVisionError
from .errors import PlanetVisionWarning as PlanetVisionWarning
from .registry import Entry as Entry
from .registry import Registry as Registry
from .settings import InputSpec as InputSpec
from .settings import Recipe as Recipe
from .settings import Stage as Stage
