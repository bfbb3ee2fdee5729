from .classifiers.classifier import PlanetClassifier as PlanetClassifier
from .classifiers.voting import VotingPlanetClassifier as VotingPlanetClassifier
from .classifiers.voting import load_classifier as load_classifier
from .core.errors import PlanetVisionError as PlanetVisionError
from .core.settings import InputSpec as InputSpec
from .core.settings import Recipe as Recipe
from .core.settings import Stage as Stage
from .data.images import read_image as read_image
from .evaluation.audit.auditor import audit as audit
from .imaging.policies import register_augmentation as register_augmentation
from .models.backbones.registry import register_backbone as register_backbone
from .models.heads import register_head as register_head
from .results.evaluation import Evaluation as Evaluation
from .results.explanations import Explanations as Explanations
from .results.predictions import Predictions as Predictions
from .training.schedules import register_scheduler as register_scheduler
from .training.trainer import Trainer as Trainer
from .workflows.compare import compare as compare
from .workflows.crossval import cross_validate as cross_validate
from .workflows.verification import verify as verify

__version__: str
