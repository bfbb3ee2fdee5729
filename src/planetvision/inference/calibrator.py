"""`Calibrator`: calibration of probabilities, and the OOD score with its threshold."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from planetvision.core.errors import SettingsError, count
from planetvision.core.settings import Precision
from planetvision.data.loading import ImageDataset
from planetvision.inference.ood_scores import (
    OOD_SCORES,
    NetworkOutputs,
    OODScoreSpec,
    State,
    check_rejection_rate,
)
from planetvision.inference.outputs import ForwardOptions, ViewedImages, collect_outputs
from planetvision.inference.temperature import fit_temperature, get_error_after
from planetvision.models.network import PlanetNet
from planetvision.results.sampling import take_in_turn

# More images do not improve the OOD scores, but enlarge the saved model.
_MAX_KNOWN = 2000
# The policy whose views represent images of the same bodies from other sources.
POLICY = "strong_body"
# The quantile of the calibration images that has the OOD score 1.
_TYPICAL_SHARE = 0.95


@dataclass(frozen=True, kw_only=True, eq=False)
class Calibrator:
    """Calibrator of a network: temperature, OOD score and threshold.

    All OOD scores have the same scale: 0 is the median of the calibration images, and 95 % of them
    are below 1.

    Args:
        temperature: The divisor of the logits before the softmax.
        score: The registered OOD score.
        state: The arrays of the score.
        raw_novelties: The unscaled scores of the calibration images, sorted, (M,).
        num_images: The number of validation images, each used once plain and once augmented.
    """

    temperature: float
    score: str
    state: State
    raw_novelties: npt.NDArray[np.float64]
    num_images: int

    @property
    def needs_levels(self) -> bool:
        """Whether the score needs `NetworkOutputs.levels`."""
        return OOD_SCORES.get(self.score).needs_levels

    def calibrate(self, logits: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Returns the probabilities of logits, both (N, C)."""
        return _softmax(logits / self.temperature)

    def get_novelty(self, images: NetworkOutputs) -> npt.NDArray[np.float64]:
        """Returns the OOD score of each image, (N,)."""
        return self._scale(_compute_scores(OOD_SCORES.get(self.score), self.state, images))

    def get_threshold(self, rejection_rate: float) -> float:
        """Returns the threshold of the OOD score; images above it are unknown.

        It is the quantile of split conformal prediction with several values per image: a view of a
        new image from the calibration distribution exceeds it with at most that probability. This
        needs at least 1 / rate - 1 calibration images; with fewer, it is their highest score.

        Args:
            rejection_rate: The share of images of known bodies that may be rejected, in [0, 1); 0
                rejects none.

        References:
            Vovk, Gammerman & Shafer, Algorithmic Learning in a Random World, 2005, chapter 2.
        """
        rate = check_rejection_rate(rejection_rate)
        if rate == 0:
            return math.inf
        total = len(self.raw_novelties)
        # Views of one image are not independent, and a new image also has several.
        views = total // self.num_images
        rank = min(math.ceil((total + views) * (1 - rate)), total)
        return float(self._scale(self.raw_novelties)[max(rank, 1) - 1])

    def to_dict(self) -> dict[str, Any]:
        """Returns the values that are not tensors, for JSON."""
        return {
            "temperature": self.temperature,
            "score": self.score,
            "num_images": self.num_images,
        }

    def to_tensors(self) -> dict[str, torch.Tensor]:
        """Returns the arrays by name."""
        arrays = {"raw_novelties": self.raw_novelties}
        arrays.update({f"state.{name}": np.asarray(value) for name, value in self.state.items()})
        # Copies, since two names can share one array.
        return {
            name: torch.tensor(np.asarray(value)).contiguous() for name, value in arrays.items()
        }

    @classmethod
    def from_parts(
        cls, fields: Mapping[str, Any], tensors: Mapping[str, torch.Tensor]
    ) -> Calibrator:
        """Returns the calibrator from the results of `to_dict` and `to_tensors`.

        Raises:
            KeyError: If a value is missing.
        """
        return cls(
            temperature=float(fields["temperature"]),
            score=OOD_SCORES.get(fields["score"]).name,
            state={
                name.removeprefix("state."): value.numpy()
                for name, value in tensors.items()
                if name.startswith("state.")
            },
            raw_novelties=tensors["raw_novelties"].double().numpy(),
            num_images=int(fields["num_images"]),
        )

    @functools.cached_property
    def _measure(self) -> tuple[float, float]:
        """The zero and the unit of the scale of OOD scores."""
        middle, high = np.quantile(self.raw_novelties, [0.5, _TYPICAL_SHARE])
        # If all scores are equal, a small unit keeps other scores finite.
        return middle, max(high - middle, 1e-9 * max(abs(middle), 1.0))

    def _scale(self, raw: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        zero, step = self._measure
        return (raw - zero) / step


def calibrate_outputs(
    outputs: NetworkOutputs, calibrator: Calibrator | None
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Returns the probabilities (N, C) and the OOD scores (N,) of images.

    Without a calibrator they are the plain softmax and minus infinity, which exceeds no threshold.
    """
    if calibrator is None:
        return _softmax(outputs.logits), np.full(len(outputs), -math.inf)
    return calibrator.calibrate(outputs.logits), calibrator.get_novelty(outputs)


def fit_calibrator(
    network: PlanetNet,
    train: ImageDataset,
    val: ImageDataset,
    *,
    negatives: ImageDataset | None = None,
    score: str,
    device: torch.device,
    batch_size: int = 32,
    num_workers: int | None = None,
    precision: Precision = "fp32",
    progress: bool = False,
) -> Calibrator:
    """Returns the calibrator of a trained network.

    The temperature is fitted on the validation images, and the OOD score on the training images
    without augmentation. The scores of the validation images, each plain and once more under the
    policy `strong_body`, give the scale and the threshold.

    Args:
        network: The network, which is moved to `device` and set to evaluation mode.
        train: The training images, of which at most 2,000 are used, from the classes in turn.
        val: The validation images; likewise.
        negatives: Images that show none of the classes, for scores that learn from them.
        score: The registered OOD score.
        device: The device.
        batch_size: Images per forward pass.
        num_workers: Loader processes; None chooses automatically.
        precision: The precision of the network; `auto` is `fp32`.
        progress: Whether to show a progress bar.

    Raises:
        UnknownNameError: If the score is unknown.
        SettingsError: If it does not give one finite number per image, or needs negatives and got
            none.
    """
    spec = OOD_SCORES.get(score)
    options: ForwardOptions = {
        "device": device,
        "batch_size": batch_size,
        "num_workers": num_workers,
        "precision": precision,
        "levels": spec.needs_levels,
        "progress": progress,
    }
    known_rows = take_in_turn(train.targets, _MAX_KNOWN)
    val_rows = take_in_turn(val.targets, _MAX_KNOWN)
    unlike = None
    if spec.needs_negatives:
        if negatives is None:
            raise SettingsError(
                f"The OOD score '{score}' learns from negatives, and got none. Pass "
                "negatives=ImageDataset(...), or choose another score."
            )
        unlike = collect_outputs(network, ViewedImages(negatives), **options)
    known = collect_outputs(network, ViewedImages(train, known_rows), **options)
    # In the memory layout of a loaded array, since BLAS sums a transposed one in another order.
    state = {
        name: np.ascontiguousarray(value) for name, value in spec.build().fit(known, unlike).items()
    }
    plain = collect_outputs(network, ViewedImages(val, val_rows), **options)
    elsewhere = ViewedImages(val.with_augmentation(POLICY), val_rows, augmented=True)
    augmented = collect_outputs(network, elsewhere, **options)
    targets = np.array([val.targets[index] for index in val_rows])
    raw = np.concatenate([_compute_scores(spec, state, images) for images in (plain, augmented)])
    return Calibrator(
        temperature=fit_temperature(plain.logits, targets, doubt=get_error_after(len(targets))),
        score=score,
        state=state,
        raw_novelties=np.sort(raw),
        num_images=len(val_rows),
    )


def _compute_scores(
    spec: OODScoreSpec, state: State, images: NetworkOutputs
) -> npt.NDArray[np.float64]:
    """Returns the scores of images, after checking that there is one finite number per image."""
    values = np.asarray(spec.build().score(state, images), dtype=np.float64)
    if values.shape != (len(images),):
        what = f"the shape {values.shape}"
    elif not np.isfinite(values).all():
        what = f"{int((~np.isfinite(values)).sum())} that are not finite"
    else:
        return values
    raise SettingsError(
        f"The OOD score '{spec.name}' must give one finite number per image, got {what} for "
        f"{count(len(images), 'image')}. Correct it, or choose another ood_score: "
        f"{', '.join(OOD_SCORES.names())}."
    )


def _softmax(logits: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    from scipy.special import softmax

    probabilities: npt.NDArray[np.float64] = softmax(logits, axis=1)
    return probabilities
