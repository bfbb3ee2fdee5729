from .ood_scores import NOVELTY_SCORES as NOVELTY_SCORES
from .ood_scores import NoveltySpec as NoveltySpec
from .ood_scores import list_novelty_scores as list_novelty_scores
from .ood_scores import register_novelty_score as register_novelty_score
from .predictor import predict_catalog as predict_catalog
from .trust import Trust as Trust
from .trust import fit_trust as fit_trust
