"""Framing: a frame of any shape becomes the square, or squares, that a backbone takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as pixels

from planetvision.core.settings import InputSpec, parse_tta
from planetvision.imaging.disc.finder import find_body

# On each side, as a share of the body's longer side.
BODY_MARGIN = 0.15
_BODY_MIN_CONFIDENCE = 0.5


def frame_image(image: torch.Tensor, spec: InputSpec) -> torch.Tensor:
    """Returns the image as the square that `spec` describes.

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
    """Returns the squares that the network takes at prediction, each in all of its views.

    What `spec.tta` names is added. `body` adds a crop around the body where one is found with
    confidence: it keeps more of the detail of a small disc in a large frame. `rotations` shows each
    of these squares turned by 0, 90, 180 and 270 degrees, `flips` as it is, mirrored left to right,
    mirrored upside down, and both, which is the half turn; together they are the eight symmetries
    of the square. Each is there once, and no pixel is interpolated. They form groups: a square, and
    the same square mirrored or turned, have the same views in another order.

    Convention: uint8, (3, H, W) in and (Q, V, 3, image_size, image_size) out, of Q squares V views
    each. The squares are the framed image, and the crop if there is one; V is 1, with `flips` or
    `rotations` 4, with both 8, and the first view is the square as it is, upright.

    Args:
        image: The decoded frame.
        spec: Its `framing`, `tta`, `image_size` and `interpolation` are followed.
    """
    names = parse_tta(spec.tta)
    squares = [frame_image(image, spec)]
    if "body" in names and spec.framing != "body":
        crop = crop_to_body(image)
        if crop is not None:
            squares.append(frame_image(crop, spec))
    return torch.stack([torch.stack(_list_symmetries(square, names)) for square in squares])


def crop_to_body(image: torch.Tensor, *, margin: float = BODY_MARGIN) -> torch.Tensor | None:
    """Returns the crop around the body, or None if no clear body is found.

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


def _list_symmetries(square: torch.Tensor, names: Sequence[str]) -> list[torch.Tensor]:
    """Returns the square mirrored and turned as `names` ask for, as it is first."""
    images = [square, square.flip(-1)] if "flips" in names else [square]
    step = 1 if "rotations" in names else 2 if "flips" in names else 4
    return [image.rot90(turns, (-2, -1)) for image in images for turns in range(0, 4, step)]


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
