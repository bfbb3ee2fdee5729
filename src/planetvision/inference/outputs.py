"""Network outputs for images in one or several views."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple, TypedDict

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import Dataset, SequentialSampler
from tqdm import tqdm

from planetvision.core.devices import create_autocast, resolve_precision
from planetvision.core.performance import get_num_workers
from planetvision.core.settings import Precision
from planetvision.data.loading import ImageDataset, create_loader
from planetvision.imaging.framing import frame_views
from planetvision.inference.ood_scores import NetworkOutputs, join_outputs
from planetvision.models.network import PlanetNet

if TYPE_CHECKING:
    from typing_extensions import Required, Unpack


# More views per image than this go through the network in several passes, to limit memory.
_VIEWS_A_PASS = 2


class Views(NamedTuple):
    """The views of one image.

    Args:
        pixels: uint8 of shape (Q, V, 3, image_size, image_size): the V views of each of the Q
            squares from `frame_views`; None if the image could not be read.
        error: The reason why it could not be read; empty if it could.
        is_stretched: Whether it was converted to 8 bits by a stretch.
    """

    pixels: torch.Tensor | None
    error: str = ""
    is_stretched: bool = False


class ViewedImages(Dataset[Views]):
    """Training images in the views of prediction.

    Args:
        images: The images.
        rows: The rows to use; None uses all.
        augmented: Whether the augmentation of the images is applied first.
    """

    def __init__(
        self, images: ImageDataset, rows: Sequence[int] | None = None, *, augmented: bool = False
    ) -> None:
        self.images = images
        self.rows = range(len(images)) if rows is None else rows
        self.augmented = augmented

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, row: int) -> Views:
        """Returns the views of an image.

        Raises:
            ImageError: If it cannot be read.
        """
        index = self.rows[row]
        image = self.images[index][0] if self.augmented else self.images.read(index)
        return Views(frame_views(image, self.images.input_spec).contiguous())

    def __getitems__(self, rows: Sequence[int]) -> list[Views]:
        """Returns a batch as a list: images may have one view or two."""
        return [self[row] for row in rows]

    @property
    def targets(self) -> list[int]:
        """The class index of each image; -1 if it has none."""
        return [self.images.targets[index] for index in self.rows]


@torch.no_grad()
def compute_outputs(
    network: PlanetNet, images: Sequence[torch.Tensor], *, levels: bool = False
) -> NetworkOutputs:
    """Returns the mean logits over the views of each image, and its features.

    The softmax of mean logits is the normalised geometric mean of the views' probabilities.
    Features and levels, which most OOD scores use, are means over the upright views only. Out-of-
    distribution images often have an upright orientation, which an average over turns would hide.

    Args:
        network: The network, in evaluation mode.
        images: The views of each image, uint8 of shape (Q, V, 3, S, S), with the upright view of
            each square first, on the network's device; V is the same for all.
        levels: Whether to return levels too.
    """
    squares = torch.cat(list(images))
    upright, turned = squares[:, 0], squares[:, 1:]
    features, given = (
        network.forward_levels(upright) if levels else (network.forward_features(upright), [])
    )
    passes = torch.split(turned.flatten(0, 1), _VIEWS_A_PASS * len(images))
    pooled = [network.forward_features(views) for views in passes if len(views)]
    logits = network.head(torch.cat([features, *pooled]))
    # The views of each square, with the upright one first.
    by_square = torch.cat(
        [
            logits[: len(squares), None],
            logits[len(squares) :].unflatten(0, (len(squares), squares.shape[1] - 1)),
        ],
        dim=1,
    )
    counts = [len(views) for views in images]
    return NetworkOutputs(
        features=_average(torch.split(features, counts)),
        logits=_average([part.flatten(0, 1) for part in torch.split(by_square, counts)]),
        levels=tuple(_average(torch.split(level, counts)) for level in given),
    )


def iterate_outputs(
    network: PlanetNet,
    images: ViewedImages | Dataset[Views],
    *,
    device: torch.device,
    batch_size: int = 32,
    num_workers: int | None = None,
    precision: Precision = "fp32",
    levels: bool = False,
    task: str = "predicting",
    progress: bool = False,
) -> Iterator[tuple[list[Views], NetworkOutputs | None]]:
    """Yields the images in batches, with the network outputs of the readable ones.

    Args:
        network: The network, which is moved to `device` and set to evaluation mode.
        images: A data set of `Views`.
        device: The device.
        batch_size: Images per forward pass.
        num_workers: Loader processes; None chooses automatically.
        precision: The precision of the network; `auto` is `fp32`.
        levels: Whether the outputs include levels.
        task: The text of the progress bar.
        progress: Whether to show a progress bar.

    Yields:
        The images of the batch, and the outputs of the readable ones in their order; None if no
        image could be read.

    Raises:
        SettingsError: If the device does not support the precision.
    """
    mixed = resolve_precision("fp32" if precision == "auto" else precision, device)
    autocast = create_autocast(mixed, device)
    network.move_to(device).eval()
    total = len(images)  # type: ignore[arg-type] # torch's Dataset has no length
    loader = create_loader(
        images,
        SequentialSampler(range(total)),
        batch_size=batch_size,
        num_workers=get_num_workers(num_workers, total),
    )
    with tqdm(total=total, desc=task, unit="image", disable=not progress) as bar:
        for batch in loader:
            readable = [views.pixels.to(device) for views in batch if views.pixels is not None]
            outputs = None
            if readable:
                # Around the forward pass only: weights moved to a device in inference mode could
                # not be trained afterwards.
                with torch.inference_mode(), autocast:
                    outputs = compute_outputs(network, readable, levels=levels)
            yield batch, outputs
            bar.update(len(batch))


class ForwardOptions(TypedDict, total=False):
    """Keyword arguments of `iterate_outputs`."""

    device: Required[torch.device]
    batch_size: int
    num_workers: int | None
    precision: Precision
    levels: bool
    progress: bool


def collect_outputs(
    network: PlanetNet, images: ViewedImages, **options: Unpack[ForwardOptions]
) -> NetworkOutputs:
    """Returns features, logits and targets of all images.

    Args:
        network: The network, which is moved to the device and set to evaluation mode.
        images: The images, at least one.
        options: As for `iterate_outputs`.

    Raises:
        ImageError: If an image cannot be read.
    """
    batches = iterate_outputs(network, images, task="calibrating", **options)
    parts = [outputs for _, outputs in batches if outputs is not None]
    targets = np.array(images.targets, dtype=np.int64)
    return replace(join_outputs(parts), targets=targets)


def _average(parts: Sequence[torch.Tensor]) -> npt.NDArray[np.float64]:
    return torch.stack([values.double().mean(dim=0) for values in parts]).cpu().numpy()
