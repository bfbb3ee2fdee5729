"""Training objective: mixing of images, class weights, label smoothing and the loss."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torchvision.transforms import v2

from planetvision.core.errors import DataError
from planetvision.core.settings import Recipe, Stage
from planetvision.data.loading import NO_CLASS
from planetvision.training.losses import LOSSES


class Objective:
    """Training objective of a stage.

    Convention: targets are class indices, (N,), with -1 for negatives; for mixed images they are
    probabilities, (N, K).

    Args:
        recipe: The recipe, with the loss, label smoothing, class weights and weight of negatives.
        stage: The stage, with MixUp and CutMix.
        class_counts: The number of training images of each class, (K,); None if unknown.
    """

    def __init__(self, recipe: Recipe, stage: Stage, class_counts: torch.Tensor | None) -> None:
        self.loss = LOSSES.get(recipe.loss).create(recipe.loss_options)
        self.label_smoothing = recipe.label_smoothing
        self.negatives_weight = recipe.negatives_weight
        self.class_weights = None
        if recipe.class_weights == "balanced" and class_counts is not None:
            self.class_weights = class_counts.sum() / (
                len(class_counts) * class_counts.clamp(min=1)
            )
        kinds = ((v2.MixUp, stage.mixup), (v2.CutMix, stage.cutmix))
        num_classes = 0 if class_counts is None else len(class_counts)
        self._mixers = [
            kind(alpha=alpha, num_classes=num_classes) for kind, alpha in kinds if alpha
        ]

    def mix(
        self, inputs: Sequence[torch.Tensor], targets: torch.Tensor
    ) -> tuple[Sequence[torch.Tensor], torch.Tensor]:
        """Returns the batch with images and targets mixed, if the stage mixes them."""
        if not self._mixers:
            return inputs, targets
        mixer = self._mixers[int(torch.randint(len(self._mixers), ()))]
        (images,) = inputs
        if images.dtype == torch.uint8:  # scaled as in `PlanetNet.normalize`
            images = images.float() / 255.0
        images, targets = mixer(images, targets)
        return (images,), targets

    def get_weights(self, targets: torch.Tensor) -> torch.Tensor:
        """Returns the loss weight of each image, (N,)."""
        weights = torch.ones(len(targets), device=targets.device)
        is_mixed = targets.ndim == 2
        if self.class_weights is not None:
            known = targets if is_mixed else targets.clamp(min=0)
            weights = known @ self.class_weights if is_mixed else self.class_weights[known]
        if is_mixed:
            return weights
        return torch.where(targets == NO_CLASS, self.negatives_weight, weights)

    def get_losses(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Returns the loss of each image, (N,).

        Raises:
            DataError: If a target is not below the number of logits.
        """
        num_classes = logits.shape[1]
        if targets.ndim == 1:
            check_targets(targets, num_classes)
            known = nn.functional.one_hot(targets.clamp(min=0), num_classes).to(logits.dtype)
            even = torch.full_like(known, 1 / num_classes)
            targets = torch.where((targets == NO_CLASS)[:, None], even, known)
        else:
            # Classes after the last one in the data have no images.
            targets = nn.functional.pad(targets, (0, num_classes - targets.shape[1]))
        smoothing = self.label_smoothing
        return self.loss(logits, targets * (1 - smoothing) + smoothing / num_classes)


def check_targets(targets: torch.Tensor, num_classes: int) -> None:
    """Checks that all targets are classes of the network.

    Raises:
        DataError: If a target is too large.
    """
    highest = int(targets.max())
    if highest >= num_classes:
        raise DataError(
            f"A target must be a class index below {num_classes}, the number of the network's "
            f"classes, got {highest}. Number the classes from 0, or create the network with "
            f"num_classes={highest + 1}."
        )
