"""`Trust`: how sure a trained network may be of its answers, and what it has to call unknown."""

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
    NOVELTY_SCORES,
    NetworkOutputs,
    NoveltySpec,
    State,
    check_rejection_rate,
)
from planetvision.inference.outputs import ViewedImages, collect_outputs
from planetvision.inference.temperature import fit_temperature, get_error_after
from planetvision.models.network import PlanetNet
from planetvision.results.sampling import take_in_turn

__all__ = ["POLICY", "Trust", "calibrate_outputs", "fit_trust"]

# Of more images features and distances are known no better, and a model's folder grows.
_MAX_KNOWN = 2000
# The policy whose views stand for images of the same bodies from elsewhere.
POLICY = "strong_body"
# Where the scale of novelty has its one.
_TYPICAL_SHARE = 0.95


@dataclass(frozen=True, kw_only=True, eq=False)
class Trust:
    """What turns a network's evidence into probabilities and novelty.

    Novelty is on a scale of its own, whatever the score: 0 is the median of the images that it was
    calibrated on, and 95 % of them are below 1.

    Args:
        temperature: What logits are divided by before the softmax.
        score: The registered score of novelty.
        state: The arrays of the score.
        raw_novelties: What the score gave for the images it was calibrated on, sorted, (M,).
        num_images: How many validation images that was, each once as it is and once augmented.
    """

    temperature: float
    score: str
    state: State
    raw_novelties: npt.NDArray[np.float64]
    num_images: int

    @property
    def needs_levels(self) -> bool:
        """Whether the evidence it is asked about must have levels."""
        return NOVELTY_SCORES.get(self.score).needs_levels

    def calibrate(self, logits: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Returns the probabilities of logits, both (N, C)."""
        return _softmax(logits / self.temperature)

    def get_novelty(self, images: NetworkOutputs) -> npt.NDArray[np.float64]:
        """Returns the novelty of each image, (N,)."""
        return self._scale(_ask(NOVELTY_SCORES.get(self.score), self.state, images))

    def get_threshold(self, rejection_rate: float) -> float:
        """Returns the novelty over which an image is unknown.

        It is the quantile of split conformal prediction for images that each gave several values:
        one of the views of an image like those it was calibrated on is over it with at most that
        probability, if there are at least 1 / rate - 1 of them; of fewer images it is their
        largest novelty.

        Args:
            rejection_rate: The share of images of known bodies that may be lost, in [0, 1); 0 calls
                nothing unknown.

        References:
            Vovk, Gammerman & Shafer, Algorithmic Learning in a Random World, 2005, chapter 2.
        """
        rate = check_rejection_rate(rejection_rate)
        if rate == 0:
            return math.inf
        total = len(self.raw_novelties)
        # The views of one image are not independent of each other: a new image brings as many.
        views = total // self.num_images
        rank = min(math.ceil((total + views) * (1 - rate)), total)
        return float(self._scale(self.raw_novelties)[max(rank, 1) - 1])

    def to_dict(self) -> dict[str, Any]:
        """Returns what is no tensor, as JSON can hold it."""
        return {
            "temperature": self.temperature,
            "score": self.score,
            "num_images": self.num_images,
        }

    def to_tensors(self) -> dict[str, torch.Tensor]:
        """Returns the arrays by name."""
        arrays = {"raw_novelties": self.raw_novelties}
        arrays.update({f"state.{name}": np.asarray(value) for name, value in self.state.items()})
        # Copies: two names may stand for one array.
        return {
            name: torch.tensor(np.asarray(value)).contiguous() for name, value in arrays.items()
        }

    @classmethod
    def from_parts(cls, fields: Mapping[str, Any], tensors: Mapping[str, torch.Tensor]) -> Trust:
        """Returns what `to_dict` and `to_tensors` described.

        Raises:
            KeyError: If a part is missing.
        """
        return cls(
            temperature=float(fields["temperature"]),
            score=NOVELTY_SCORES.get(fields["score"]).name,
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
        """The zero of the scale of novelty, and its one above that."""
        middle, high = np.quantile(self.raw_novelties, [0.5, _TYPICAL_SHARE])
        # All alike: any other image is infinitely far, and a number must be written all the same.
        return middle, max(high - middle, 1e-9 * max(abs(middle), 1.0))

    def _scale(self, raw: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        zero, step = self._measure
        return (raw - zero) / step


def calibrate_outputs(
    evidence: NetworkOutputs, trust: Trust | None
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Returns the probabilities (N, C) and the novelty (N,) of images.

    Without a trust they are the plain softmax and minus infinity, which is over no threshold.
    """
    if trust is None:
        return _softmax(evidence.logits), np.full(len(evidence), -math.inf)
    return trust.calibrate(evidence.logits), trust.get_novelty(evidence)


def fit_trust(
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
) -> Trust:
    """Returns how far a trained network can be trusted.

    The temperature is fitted to the validation images; the score of novelty learns from the
    training images as they are, and what it gives for the validation images, each as it is and
    once more under the policy `strong_body`, is the scale that others are judged by.

    Args:
        network: The network; it is left in evaluation mode on `device`.
        train: The images it learned from; of many, 2,000 from the classes in turn are used.
        val: Those it did not; likewise.
        negatives: Images that show none of the classes, for scores that learn from them.
        score: The registered score of novelty.
        device: Where to run.
        batch_size: Images a forward pass.
        num_workers: Loader processes; None lets the machine decide.
        precision: The arithmetic of the network; `auto` is `fp32`.
        progress: Whether to show a progress bar.

    Raises:
        UnknownNameError: If the score is unknown.
        SettingsError: If it does not give one finite number per image, or needs negatives and got
            none.
    """
    spec = NOVELTY_SCORES.get(score)
    running: dict[str, Any] = {
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
    if spec.needs_others:
        if negatives is None:
            raise SettingsError(
                f"The OOD score '{score}' learns from negatives, and got none. Pass "
                "negatives=ImageDataset(...), or choose another score."
            )
        unlike = collect_outputs(network, ViewedImages(negatives), **running)
    known = collect_outputs(network, ViewedImages(train, known_rows), **running)
    # In the order that a loaded array has: BLAS adds up a transposed one in another.
    state = {
        name: np.ascontiguousarray(value) for name, value in spec.build().fit(known, unlike).items()
    }
    plain = collect_outputs(network, ViewedImages(val, val_rows), **running)
    elsewhere = ViewedImages(val.with_augmentation(POLICY), val_rows, augmented=True)
    augmented = collect_outputs(network, elsewhere, **running)
    targets = np.array([val.targets[index] for index in val_rows])
    raw = np.concatenate([_ask(spec, state, images) for images in (plain, augmented)])
    return Trust(
        temperature=fit_temperature(plain.logits, targets, doubt=get_error_after(len(targets))),
        score=score,
        state=state,
        raw_novelties=np.sort(raw),
        num_images=len(val_rows),
    )


def _ask(spec: NoveltySpec, state: State, images: NetworkOutputs) -> npt.NDArray[np.float64]:
    """Returns what a score gives for images, once it proves to be one finite number each."""
    values = np.asarray(spec.build().score(state, images), dtype=np.float64)
    if values.shape != (len(images),):
        what = f"the shape {values.shape}"
    elif not np.isfinite(values).all():
        what = f"{int((~np.isfinite(values)).sum())} that are not finite"
    else:
        return values
    raise SettingsError(
        f"The novelty score '{spec.name}' must give one finite number an image, and gave {what} "
        f"for {count(len(images), 'image')}. Correct it, or choose another novelty_score: "
        f"{', '.join(NOVELTY_SCORES.names())}."
    )


def _softmax(logits: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    from scipy.special import softmax

    probabilities: npt.NDArray[np.float64] = softmax(logits, axis=1)
    return probabilities
