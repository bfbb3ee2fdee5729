"""`draw_policy`: one image under an augmentation policy, as a sheet of views."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from planetvision.core.errors import SettingsError
from planetvision.core.settings import InputSpec
from planetvision.results.plots.gallery import Tile, draw_collage
from planetvision.results.plots.validation import check_image

if TYPE_CHECKING:
    import torch


_COLUMNS = 6


def draw_policy(
    image: NDArray[np.uint8],
    policy: str,
    *,
    count: int = 23,
    seed: int = 0,
    image_size: int = 224,
) -> NDArray[np.uint8]:
    """Returns a sheet: the framed image first, then `count` views of it under a policy.

    View n depends only on the seed and on n, so a longer sheet begins like a shorter one.

    Convention: RGB, uint8 of shape (H, W, 3) in and out.

    Args:
        image: The image.
        policy: The registered augmentation policy.
        count: The number of views.
        seed: The seed.
        image_size: The side of each view in pixels.

    Raises:
        UnknownNameError: If there is no such policy.
        SettingsError: If the image is not an RGB uint8 array, or a number is out of range.
    """
    import torch

    from planetvision.core.devices import derive_seed, seeded
    from planetvision.imaging.framing import frame_image
    from planetvision.imaging.policies import create_transform

    check_image(image)
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        raise SettingsError(
            f"`count` must be a whole number of at least 1, got {count!r}. Pass 23, for example."
        )
    spec = InputSpec(image_size=image_size)
    transform = create_transform(policy, spec)
    frame = torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()
    tiles = [Tile(_to_array(frame_image(frame, spec)), "original")]
    for number in range(count):
        with seeded(derive_seed("sheet", seed, number)):
            tiles.append(Tile(_to_array(transform(frame)), f"view {number + 1}"))
    return draw_collage(tiles, columns=_COLUMNS, heading=f"{policy}, seed {seed}")


def _to_array(view: torch.Tensor) -> NDArray[np.uint8]:
    return np.asarray(view.permute(1, 2, 0).contiguous().numpy(), np.uint8)
