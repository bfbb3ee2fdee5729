"""What happens to pixels before the network: framing to a square, and augmentation policies."""

from planetvision.augment.policies import (
    POLICIES,
    AugmentationSpec,
    ImageTransform,
    create_transform,
    list_augmentations,
    register_augmentation,
)

__all__ = [
    "POLICIES",
    "AugmentationSpec",
    "ImageTransform",
    "create_transform",
    "list_augmentations",
    "register_augmentation",
]
