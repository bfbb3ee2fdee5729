"""Framing: a frame of any shape becomes the square, or squares, that a backbone is shown."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as pixels

from planetvision.config import InputSpec
from planetvision.geometry import find_body

__all__ = ["BODY_MARGIN", "crop_to_body", "frame_image", "frame_views"]

# On each side, as a share of the body's longer side.
BODY_MARGIN = 0.15
_BODY_MIN_CONFIDENCE = 0.5


def frame_image(image: torch.Tensor, spec: InputSpec) -> torch.Tensor:
    """Returns the image as the square that `spec` asks for.

    Convention: uint8, (3, H, W) in and (3, image_size, image_size) out.

    Args:
        image: The decoded frame.
        spec: Its `framing`, `image_size` and `interpolation` are followed.
    """
    size = spec.image_size
    if image.shape[-2:] == (size, size) and spec.framing != "body":
        return image
    return _FRAMINGS[spec.framing](image, spec)


def frame_views(image: torch.Tensor, spec: InputSpec) -> torch.Tensor:
    """Returns the squares that the network is shown at prediction, the framed image first.

    With `spec.tta == "body"` a crop around the body follows where one is found with confidence.
    It keeps more of the detail of a small disc in a large frame.

    Convention: uint8, (3, H, W) in and (V, 3, image_size, image_size) out, V = 1 or 2.

    Args:
        image: The decoded frame.
        spec: Its `framing`, `tta`, `image_size` and `interpolation` are followed.
    """
    views = [frame_image(image, spec)]
    if spec.tta == "body" and spec.framing != "body":
        crop = crop_to_body(image)
        if crop is not None:
            views.append(frame_image(crop, spec))
    return torch.stack(views)


def crop_to_body(image: torch.Tensor, *, margin: float = BODY_MARGIN) -> torch.Tensor | None:
    """Returns the part of the frame around the body, or None where none is found for sure.

    The whole disc is kept, its night side too, and the rings.

    Convention: uint8, (3, H, W) in and (3, h, w) out.

    Args:
        image: The decoded frame.
        margin: What is kept on each side, where the frame has it, as a share of the body's longer
            side.
    """
    region = find_body(image.permute(1, 2, 0).contiguous().numpy())
    if region is None or region.confidence < _BODY_MIN_CONFIDENCE:
        return None
    top, left, bottom, right = region.expand(margin, image.shape[-2], image.shape[-1])
    return image[:, top:bottom, left:right]


def _resize(image: torch.Tensor, height: int, width: int, spec: InputSpec) -> torch.Tensor:
    if image.shape[-2:] == (height, width):
        return image
    mode = InterpolationMode(spec.interpolation)
    antialias = spec.interpolation != "nearest"
    resized: torch.Tensor = pixels.resize(
        image, [height, width], interpolation=mode, antialias=antialias
    )
    return resized


def _letterbox(image: torch.Tensor, spec: InputSpec) -> torch.Tensor:
    size = spec.image_size
    height, width = image.shape[-2:]
    scale = size / max(height, width)
    new_height, new_width = max(1, round(height * scale)), max(1, round(width * scale))
    resized = _resize(image, new_height, new_width, spec)
    top, left = (size - new_height) // 2, (size - new_width) // 2
    margins = [left, top, size - new_width - left, size - new_height - top]
    padded: torch.Tensor = pixels.pad(resized, margins)
    return padded


def _body(image: torch.Tensor, spec: InputSpec) -> torch.Tensor:
    crop = crop_to_body(image)
    return _letterbox(image if crop is None else crop, spec)


def _squash(image: torch.Tensor, spec: InputSpec) -> torch.Tensor:
    return _resize(image, spec.image_size, spec.image_size, spec)


def _center_crop(image: torch.Tensor, spec: InputSpec) -> torch.Tensor:
    side = min(image.shape[-2:])
    return _squash(pixels.center_crop(image, [side, side]), spec)


_FRAMINGS: dict[str, Callable[[torch.Tensor, InputSpec], torch.Tensor]] = {
    "letterbox": _letterbox,
    "body": _body,
    "squash": _squash,
    "center_crop": _center_crop,
}
