from .classifier import PlanetClassifier as PlanetClassifier
from .voting import VotingPlanetClassifier as VotingPlanetClassifier
from .voting import load_classifier as load_classifier
