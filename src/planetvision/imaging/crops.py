"""Random crops that keep a given share of the body."""

from __future__ import annotations

import numpy as np
import torch
from torchvision.transforms import RandomResizedCrop

from planetvision.core.errors import SettingsError
from planetvision.imaging.disc.finder import find_body

MIN_BODY_FRACTION = 0.5
_MIN_CONFIDENCE = 0.5
_MAX_TRIES = 20


def random_crop_keeping_body(
    image: torch.Tensor,
    *,
    min_body_fraction: float = MIN_BODY_FRACTION,
    scale: tuple[float, float] = (0.08, 1.0),
    ratio: tuple[float, float] = (3 / 4, 4 / 3),
) -> torch.Tensor:
    """Returns a random crop that keeps at least a given share of the body.

    A crop that knows nothing of the body shows black sky now and then, under the body's label.
    Crops are drawn as torchvision's `RandomResizedCrop` draws them, and drawn anew until one keeps
    enough; where 20 do not, the frame is returned whole. Where no body is found with confidence,
    the first crop is taken. Chance is torch's.

    Convention: uint8, (3, H, W) in and (3, h, w) out.

    Args:
        image: The decoded frame.
        min_body_fraction: The least share of the body's pixels, its night side and rings too, in
            [0, 1].
        scale: The least and the largest share of the frame's area.
        ratio: The least and the largest width over height.

    Raises:
        SettingsError: If `min_body_fraction` is out of range.
    """
    if not 0 <= min_body_fraction <= 1:
        raise SettingsError(
            f"`min_body_fraction` must lie in [0, 1], got {min_body_fraction!r}. "
            "Pass a share of the body such as 0.5."
        )
    region = find_body(image.permute(1, 2, 0).contiguous().numpy())
    is_sure = region is not None and region.confidence >= _MIN_CONFIDENCE
    mask = region.create_mask() if region is not None and is_sure else None
    least = 0.0 if mask is None else min_body_fraction * np.count_nonzero(mask)
    for _ in range(_MAX_TRIES):
        top, left, height, width = RandomResizedCrop.get_params(image, list(scale), list(ratio))
        rows, columns = slice(top, top + height), slice(left, left + width)
        if mask is None or np.count_nonzero(mask[rows, columns]) >= least:
            return image[:, rows, columns]
    return image
