"""`POLICIES`: the registry of augmentation policies."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from planetvision.core.errors import SettingsError
from planetvision.core.registry import Entry, Registry
from planetvision.core.settings import InputSpec

if TYPE_CHECKING:
    import torch


ImageTransform: TypeAlias = "Callable[[torch.Tensor], torch.Tensor]"
PolicyBuilder: TypeAlias = Callable[[InputSpec], ImageTransform]


@dataclass(frozen=True, kw_only=True)
class AugmentationSpec(Entry):
    """An augmentation policy.

    `build(input_spec)` returns a function from one image to one image: uint8 (3, H, W) in, uint8
    (3, H', W') out. An image that is not `image_size` square is framed afterwards, so a policy that
    only flips need not resize. Randomness from `torch`, `numpy.random` and `random` is seeded per
    image and epoch, in every process.
    """

    build: PolicyBuilder


POLICIES: Registry[AugmentationSpec, PolicyBuilder] = Registry("augmentations", AugmentationSpec)
register_augmentation = POLICIES.register
list_augmentations = POLICIES.names


def create_transform(name: str, spec: InputSpec) -> ImageTransform:
    """Returns the policy `name` followed by the framing of `spec`.

    Convention: uint8 (3, H, W) in, uint8 (3, image_size, image_size) out.

    Raises:
        UnknownNameError: If there is no such policy.
        SettingsError: If the policy returns anything but a uint8 image; raised at the first image.
    """
    from planetvision.imaging.framing import frame_image

    policy = POLICIES.get(name).build(spec)

    def transform(image: torch.Tensor) -> torch.Tensor:
        import torch

        changed = policy(image)
        if changed.dtype != torch.uint8 or changed.ndim != 3 or changed.shape[0] != 3:
            raise SettingsError(
                f"The augmentation '{name}' must return a uint8 image of shape (3, H, W), got "
                f"{changed.dtype} of shape {tuple(changed.shape)}. Return the image unnormalised."
            )
        if changed.shape[-2:] == (spec.image_size, spec.image_size):
            return changed
        return frame_image(changed, spec)

    return transform


@register_augmentation("none")
def _none(spec: InputSpec) -> ImageTransform:
    """The framed image as it is."""
    from planetvision.imaging.framing import frame_image

    return lambda image: frame_image(image, spec)


@register_augmentation("light")
def _light(spec: InputSpec) -> ImageTransform:
    """Half of them cropped to the body; any rotation, flips, scale 0.6-1.2, exposure 0.4-1.5."""
    from torchvision.transforms import InterpolationMode, v2

    from planetvision.imaging.framing import crop_to_body, frame_image

    change = v2.Compose(
        [
            v2.RandomHorizontalFlip(),
            v2.RandomVerticalFlip(),
            v2.RandomAffine(
                degrees=180,
                translate=(0.1, 0.1),
                scale=(0.6, 1.2),
                interpolation=InterpolationMode.BILINEAR,
            ),
            # Exposure says nothing of the body; archives hold it from night side to overexposed.
            v2.ColorJitter(brightness=(0.4, 1.5), contrast=0.1, saturation=0.1),
        ]
    )

    def transform(image: torch.Tensor) -> torch.Tensor:
        # How large a body appears says nothing of it, and at prediction both may be shown.
        crop = crop_to_body(image) if random.random() < 0.5 else None
        changed: torch.Tensor = change(frame_image(image if crop is None else crop, spec))
        return changed

    return transform


def _turn_and_jitter(*first: torch.nn.Module) -> ImageTransform:
    """Returns the transforms in `first`, then rotation, flips and colour jitter."""
    from torchvision.transforms import InterpolationMode, v2

    change: ImageTransform = v2.Compose(
        [
            *first,
            v2.RandomRotation(40, interpolation=InterpolationMode.BILINEAR),
            v2.RandomHorizontalFlip(),
            v2.RandomVerticalFlip(),
            v2.ColorJitter(brightness=0.3, contrast=0.3, saturation=0.3, hue=0.1),
        ]
    )
    return change


@register_augmentation("strong", source="the published PlanetaryImageClassifier pipeline")
def _strong(spec: InputSpec) -> ImageTransform:
    """Random resized crop, rotation to 40 degrees, both flips, colour jitter 0.3/0.3/0.3/0.1."""
    from torchvision.transforms import InterpolationMode, v2

    mode = InterpolationMode.BILINEAR
    return _turn_and_jitter(
        v2.RandomResizedCrop(spec.image_size, interpolation=mode, antialias=True)
    )


@register_augmentation("strong_body")
def _strong_body(spec: InputSpec) -> ImageTransform:
    """As strong, but every crop keeps at least half of the body."""
    from torchvision.transforms import InterpolationMode, v2

    from planetvision.imaging.crops import random_crop_keeping_body

    mode = InterpolationMode.BILINEAR
    size = [spec.image_size, spec.image_size]
    change = _turn_and_jitter()

    def transform(image: torch.Tensor) -> torch.Tensor:
        crop = random_crop_keeping_body(image)
        resized = v2.functional.resize(crop, size, interpolation=mode, antialias=True)
        return change(resized)

    return transform


@register_augmentation("celestial")
def _celestial(spec: InputSpec) -> ImageTransform:
    """Any rotation, scale and place; other backgrounds; another camera, down to its file."""
    from planetvision.imaging.celestial import create_celestial

    return create_celestial(spec)
