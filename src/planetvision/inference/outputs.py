"""What a network gives for images, each seen in one view or several."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

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

__all__ = ["ViewedImages", "Views", "collect_outputs", "compute_outputs", "iterate_outputs"]

# More views an image than this go through the network in several passes: memory stays as it is.
_VIEWS_A_PASS = 2


class Views(NamedTuple):
    """An image as the network is shown it.

    Args:
        pixels: uint8 of shape (Q, V, 3, image_size, image_size), of each square its views, as
            `frame_views` gives them; None if it could not be read.
        error: Why it could not be read; empty if it could.
        is_stretched: Whether a stretch made its 8 bits.
    """

    pixels: torch.Tensor | None
    error: str = ""
    is_stretched: bool = False


class ViewedImages(Dataset[Views]):
    """Images of a training as prediction shows them to the network.

    Args:
        images: The images.
        rows: Which of them; None is all.
        augmented: Whether the policy of the images is applied before.
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
        """The class index of each image; -1 where there is none."""
        return [self.images.targets[index] for index in self.rows]


@torch.no_grad()
def compute_outputs(
    network: PlanetNet, images: Sequence[torch.Tensor], *, levels: bool = False
) -> NetworkOutputs:
    """Returns the logits of each image, the mean over its views, and the features of it upright.

    The softmax of a mean of logits is the normalised geometric mean of the views' probabilities.
    Features and levels, from which most scores of novelty learn, are means over the views that are
    neither mirrored nor turned: whatever else an image may show has an upside, and an average over
    its turns would hide it.

    Args:
        network: The network, in evaluation mode.
        images: The views of each image, uint8 of shape (Q, V, 3, S, S) with the upright view of
            each square first, on the network's device; V is the same for all.
        levels: Whether the levels are wanted too.
    """
    squares = torch.cat(list(images))
    upright, turned = squares[:, 0], squares[:, 1:]
    features, given = (
        network.forward_levels(upright) if levels else (network.forward_features(upright), [])
    )
    passes = torch.split(turned.flatten(0, 1), _VIEWS_A_PASS * len(images))
    pooled = [network.forward_features(views) for views in passes if len(views)]
    logits = network.head(torch.cat([features, *pooled]))
    # Of each square its views, the upright one first.
    votes = torch.cat(
        [
            logits[: len(squares), None],
            logits[len(squares) :].unflatten(0, (len(squares), squares.shape[1] - 1)),
        ],
        dim=1,
    )
    counts = [len(views) for views in images]
    return NetworkOutputs(
        features=_average(torch.split(features, counts)),
        logits=_average([part.flatten(0, 1) for part in torch.split(votes, counts)]),
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
    """Yields the images a batch at a time, with what the network gives for the readable ones.

    Args:
        network: The network; it is left in evaluation mode on `device`.
        images: A data set of `Views`.
        device: Where to run.
        batch_size: Images a forward pass.
        num_workers: Loader processes; None lets the machine decide.
        precision: The arithmetic of the network; `auto` is `fp32`.
        levels: Whether the evidence shall have levels.
        task: What the progress bar says.
        progress: Whether to show one.

    Yields:
        The images of the batch, and the evidence of those that could be read, in their order; None
        if none could.

    Raises:
        SettingsError: If the device does not have the precision.
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
            evidence = None
            if readable:
                # Around the forward pass only: weights that are moved to a device in inference
                # mode could never again take part in a gradient.
                with torch.inference_mode(), autocast:
                    evidence = compute_outputs(network, readable, levels=levels)
            yield batch, evidence
            bar.update(len(batch))


def collect_outputs(
    network: PlanetNet,
    images: ViewedImages,
    *,
    device: torch.device,
    batch_size: int = 32,
    num_workers: int | None = None,
    precision: Precision = "fp32",
    levels: bool = False,
    progress: bool = False,
) -> NetworkOutputs:
    """Returns features, logits and targets of all images.

    Args:
        network: The network; it is left in evaluation mode on `device`.
        images: At least one.
        device: Where to run.
        batch_size: Images a forward pass.
        num_workers: Loader processes; None lets the machine decide.
        precision: The arithmetic of the network; `auto` is `fp32`.
        levels: Whether the evidence shall have levels.
        progress: Whether to show a progress bar.

    Raises:
        ImageError: If one of them cannot be read.
    """
    batches = iterate_outputs(
        network,
        images,
        device=device,
        batch_size=batch_size,
        num_workers=num_workers,
        precision=precision,
        levels=levels,
        task="calibrating",
        progress=progress,
    )
    parts = [evidence for _, evidence in batches if evidence is not None]
    targets = np.array(images.targets, dtype=np.int64)
    return replace(join_outputs(parts), targets=targets)


def _average(parts: Sequence[torch.Tensor]) -> npt.NDArray[np.float64]:
    return torch.stack([values.double().mean(dim=0) for values in parts]).cpu().numpy()
