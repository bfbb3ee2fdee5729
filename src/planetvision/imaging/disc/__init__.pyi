from .ellipse import Ellipse as Ellipse
from .finder import find_body as find_body
from .region import BodyRegion as BodyRegion
