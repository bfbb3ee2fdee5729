from .registry import EXPLAINERS as EXPLAINERS
from .registry import ExplainerSpec as ExplainerSpec
from .registry import list_explainers as list_explainers
from .registry import register_explainer as register_explainer
