from .calibrator import Calibrator as Calibrator
from .calibrator import fit_calibrator as fit_calibrator
from .ood_scores import OOD_SCORES as OOD_SCORES
from .ood_scores import OODScoreSpec as OODScoreSpec
from .ood_scores import list_ood_scores as list_ood_scores
from .ood_scores import register_ood_score as register_ood_score
from .predictor import predict_catalog as predict_catalog
