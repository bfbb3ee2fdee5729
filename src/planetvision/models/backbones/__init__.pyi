from .registry import BACKBONES as BACKBONES
from .registry import list_backbones as list_backbones
from .registry import register_backbone as register_backbone
from .spec import BackboneSpec as BackboneSpec
from .spec import FeatureLayout as FeatureLayout
