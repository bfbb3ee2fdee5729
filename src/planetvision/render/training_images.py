"""`RenderedImages`: training images that are rendered on demand."""

from __future__ import annotations

import os
from collections.abc import Sequence

import torch

from planetvision.core.devices import derive_seed
from planetvision.core.files import hash_file
from planetvision.core.settings import InputSpec
from planetvision.data.loading import ImageDataset
from planetvision.render import render_body
from planetvision.render.dataset import check_dataset
from planetvision.render.maps import get_maps


class RenderedImages(ImageDataset):
    """A dataset of bodies that are rendered on the fly, without files.

    The key of an item is `(index, draw)`, or `index` for draw 0. The same pair and seed give the
    same picture in any process and order. Where a stage of a trainer
    stores no views, each epoch asks for another draw, and no picture is seen again; of cached
    views there are as many as `Stage.views` says. What is validated or shown as it is, is draw 0:
    give validation images another seed than training images.

    Convention: an item is a uint8 tensor of shape (3, image_size, image_size) and the index of its
    body in `classes`.

    Args:
        count: How many pictures each epoch has; the bodies take turns.
        input_spec: What the network is shown; pictures are drawn at its size.
        bodies: The bodies, of `BODIES` or `OTHER_BODIES`; None is all of `BODIES`.
        look: As for `render_body`.
        maps: As for `render_body`.
        augmentation: The registered policy that is applied to what was drawn.
        seed: The seed of the pictures and of the policy.

    Raises:
        UnknownNameError: If there is no such body or look.
        SettingsError: If a number is out of range, if `bodies` holds none or one twice, or if
            `maps` is no folder of maps.
        DataError: If a map cannot be read, is too large, or is not twice as wide as high.

    Example:
        >>> from planetvision import InputSpec
        >>> from planetvision.render.training_images import RenderedImages
        >>> images = RenderedImages(14, input_spec=InputSpec(image_size=64), look="clean")
        >>> pixels, target = images[(3, 1)]
        >>> tuple(pixels.shape), images.classes[target]
        ((3, 64, 64), 'moon')
    """

    has_files = False

    def __init__(
        self,
        count: int,
        *,
        input_spec: InputSpec,
        bodies: Sequence[str] | None = None,
        look: str = "photo",
        maps: str | os.PathLike[str] | None = None,
        augmentation: str = "none",
        seed: int = 0,
    ) -> None:
        self.classes = check_dataset(
            count=count,
            image_size=input_spec.image_size,
            seed=seed,
            bodies=bodies,
            look=look,
            maps=maps,
        )
        self.look = look
        self.maps = maps
        targets = [number % len(self.classes) for number in range(count)]
        # What is drawn stands in place of a file's content, for checkpoints: of a map its content.
        files = {} if maps is None else get_maps(maps)
        shown = [hash_file(files[body]) if body in files else "" for body in self.classes]
        drawn = [
            f"{self.classes[target]} {number // len(self.classes)} {look} {shown[target]}"
            for number, target in enumerate(targets)
        ]
        super().__init__(
            [f"{self.classes[target]} {number}" for number, target in enumerate(targets)],
            targets,
            input_spec=input_spec,
            augmentation=augmentation,
            seed=seed,
            hashes=drawn,
        )

    def read(self, index: int, draw: int = 0) -> torch.Tensor:
        """Returns a picture, uint8 of shape (3, S, S), not yet augmented."""
        body, number = str(self.sources[index]).split()
        rendered = render_body(
            body,
            image_size=self.input_spec.image_size,
            seed=derive_seed("rendered", self.seed, int(number), draw),
            look=self.look,
            maps=self.maps,
        )
        return torch.from_numpy(rendered.image).permute(2, 0, 1)
