from .policies import POLICIES as POLICIES
from .policies import AugmentationSpec as AugmentationSpec
from .policies import ImageTransform as ImageTransform
from .policies import create_transform as create_transform
from .policies import list_augmentations as list_augmentations
from .policies import register_augmentation as register_augmentation
