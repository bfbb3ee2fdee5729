"""Batched prediction that continues after unreadable images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch.utils.data import Dataset

from planetvision.core.errors import ImageError
from planetvision.core.performance import apply_performance
from planetvision.core.settings import InputSpec, Label, Precision, Tta
from planetvision.data.catalog import Catalog
from planetvision.data.images import ImageSource, decode_image
from planetvision.data.survey import warn_of_conversion
from planetvision.imaging.framing import frame_views
from planetvision.inference.calibrator import Calibrator, calibrate_outputs
from planetvision.inference.outputs import Views, iterate_outputs
from planetvision.models.network import PlanetNet
from planetvision.results import Predictions


def load_views(source: ImageSource, spec: InputSpec) -> Views:
    """Returns the views of an image, or the error that it could not be read."""
    try:
        decoded = decode_image(source, stretch=spec.stretch, min_size=spec.decode_size)
    except ImageError as error:
        return Views(None, str(error))
    image = torch.from_numpy(decoded.array).permute(2, 0, 1)
    return Views(frame_views(image, spec).contiguous(), is_stretched=decoded.is_stretched)


class FramedImages(Dataset[Views]):
    """The views of the images of a catalog, with errors for unreadable ones."""

    def __init__(self, sources: Sequence[ImageSource], spec: InputSpec) -> None:
        self.sources = tuple(sources)
        self.spec = spec

    def __len__(self) -> int:
        return len(self.sources)

    def __getitem__(self, index: int) -> Views:
        return load_views(self.sources[index], self.spec)

    def __getitems__(self, indices: Sequence[int]) -> list[Views]:
        """Returns a batch as a list, since unreadable images cannot be stacked."""
        return [self[index] for index in indices]


def predict_catalog(
    network: PlanetNet,
    catalog: Catalog,
    *,
    classes: Sequence[Label],
    device: torch.device,
    calibrator: Calibrator | None = None,
    rejection_rate: float = 0.0,
    tta: Tta | None = None,
    batch_size: int = 32,
    num_workers: int | None = None,
    precision: Precision = "fp32",
    performance: str = "auto",
    progress: bool = False,
) -> Predictions:
    """Returns the prediction for each image; unreadable images have an error instead.

    Args:
        network: The network, which is moved to `device` and set to evaluation mode.
        catalog: The images.
        classes: The label of each logit.
        device: The device.
        calibrator: Calibrates probabilities and OOD scores; None gives the plain softmax, and no
            image is unknown.
        rejection_rate: The share of images of known bodies that may be called unknown.
        tta: The test-time augmentation, as in `InputSpec`; None takes the network's own, which it
            was calibrated with.
        batch_size: Images per forward pass.
        num_workers: Loader processes; None chooses automatically.
        precision: The precision of the network; `auto` is `fp32`.
        performance: Performance options: see `planetvision.core.performance`.
        progress: Whether to show a progress bar.

    Raises:
        SettingsError: If the precision is not supported, a performance option or the augmentation
            is unknown, or the rejection rate is not in [0, 1).
    """
    threshold = calibrator.get_threshold(rejection_rate) if calibrator else math.inf
    spec = network.input_spec if tta is None else replace(network.input_spec, tta=tta)
    apply_performance(performance)
    probabilities = np.full((len(catalog), len(classes)), np.nan)
    novelty = np.full(len(catalog), np.nan)
    errors: list[str] = []
    is_stretched: list[bool] = []
    for batch, outputs in iterate_outputs(
        network,
        FramedImages(catalog.sources, spec),
        device=device,
        batch_size=batch_size,
        num_workers=num_workers,
        precision=precision,
        levels=calibrator is not None and calibrator.needs_levels,
        progress=progress,
    ):
        if outputs is not None:
            rows = [len(errors) + at for at, views in enumerate(batch) if not views.error]
            probabilities[rows], novelty[rows] = calibrate_outputs(outputs, calibrator)
        errors += [views.error for views in batch]
        is_stretched += [views.is_stretched for views in batch]
    warn_of_conversion(catalog, is_stretched, spec.stretch)
    return Predictions(
        paths=tuple(catalog.names),
        sources=catalog.sources,
        classes=tuple(classes),
        probabilities=probabilities,
        errors=tuple(errors),
        novelty=novelty if calibrator else None,
        threshold=threshold,
        temperature=calibrator.temperature if calibrator else 1.0,
    )
