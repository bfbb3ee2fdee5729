"""Gradients of a batch, in as many chunks as memory requires."""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from accelerate.utils.memory import clear_device_cache, should_reduce_batch_size

from planetvision.core.errors import DataError, TrainingError
from planetvision.data.loading import NO_CLASS
from planetvision.training.distributed import find_present
from planetvision.training.stage_run import StageRun
from planetvision.training.stages import learns_batch_statistics

if TYPE_CHECKING:
    from accelerate import Accelerator


logger = logging.getLogger(__name__)


def compute_gradients(
    accelerator: Accelerator,
    run: StageRun,
    inputs: Sequence[torch.Tensor],
    targets: torch.Tensor,
) -> tuple[float, float, int]:
    """Computes the gradients of a batch's mean loss.

    If a batch does not fit into memory, the number of chunks per batch is doubled. The gradients
    stay the same if BatchNorm keeps its statistics.

    Args:
        accelerator: The engine.
        run: The objects of the stage.
        inputs: The arguments of `run.module`.
        targets: The class index of each image.

    Returns:
        The mean loss of the images with a class, or of all images if none has one; the number of
        correct predictions, and the number of images with a class; over all processes.

    Raises:
        DataError: If a target is below -1.
        TrainingError: If a single image does not fit, or a batch in one of several processes.
    """
    while True:
        run.optimizer.zero_grad()
        try:
            return _add_up(accelerator, run, inputs, targets)
        except RuntimeError as error:
            if not should_reduce_batch_size(error):
                raise
            if accelerator.num_processes > 1:  # the others already compute the whole batch
                raise TrainingError(
                    f"A batch does not fit into memory in one of several processes, in stage "
                    f"'{run.stage.name}' ({error}). Choose a smaller batch_size, and set "
                    "accumulation_steps to keep the images per step.",
                    stage=run.stage.name,
                ) from error
            _halve(run, len(targets), error)


def _add_up(
    accelerator: Accelerator,
    run: StageRun,
    inputs: Sequence[torch.Tensor],
    targets: torch.Tensor,
) -> tuple[float, float, int]:
    objective = run.objective
    present = find_present(accelerator, targets)
    mixed, soft = objective.mix(inputs, targets)
    weights = objective.get_weights(soft) * present
    has_class = targets != NO_CLASS
    totals = torch.stack([weights.sum(), (weights * has_class).sum()])
    # The loss of a batch without weight is zero, not 0 / 0.
    totals = accelerator.reduce(totals, "sum").clamp(min=torch.finfo(weights.dtype).tiny)
    total, total_known = totals.unbind()
    sums = torch.zeros(5, dtype=torch.float64, device=targets.device)
    chunks = torch.arange(len(targets)).chunk(run.num_chunks)
    for number, rows in enumerate(chunks, start=1):
        here = slice(int(rows[0]), int(rows[-1]) + 1)
        # Processes exchange gradients once, with the last chunk.
        together = number == len(chunks)
        with contextlib.nullcontext() if together else accelerator.no_sync(run.module):
            with accelerator.autocast():
                logits = run.module(*(tensor[here] for tensor in mixed))
            losses = objective.get_losses(logits.float(), soft[here])
            loss = (losses * weights[here]).sum() / total
            # Gradients are averaged over processes, and `total` is the sum over processes.
            accelerator.backward(loss * accelerator.num_processes)
        # No prediction is correct for a negative.
        judged = has_class[here] * present[here]
        right = (logits.argmax(dim=1) == targets[here]) * judged
        known = (losses.detach() * weights[here] * has_class[here]).sum() / total_known
        wrong = (targets[here] < NO_CLASS).sum()
        sums += torch.stack([loss.detach(), known, right.sum(), judged.sum(), wrong]).double()
    whole, known_loss, correct, count, num_wrong = accelerator.reduce(sums, "sum").tolist()
    if num_wrong:
        raise DataError(
            f"A target must be a class index, or {NO_CLASS} for negatives, got lower values in a "
            f"training batch (images: {int(num_wrong)}). Number the classes from 0."
        )
    # A non-finite loss must be reported, even if only negatives cause it.
    return known_loss if count and math.isfinite(whole) else whole, correct, int(count)


def _halve(run: StageRun, num_images: int, cause: RuntimeError) -> None:
    """Doubles the number of chunks per batch."""
    if run.num_chunks >= num_images:
        raise TrainingError(
            f"A single image does not fit into memory in stage '{run.stage.name}' ({cause}). "
            "Choose a smaller `image_size` or backbone, fewer `trainable_blocks`, or "
            "precision='bf16'.",
            stage=run.stage.name,
        ) from cause
    run.num_chunks = min(2 * run.num_chunks, num_images)
    clear_device_cache(garbage_collection=True)
    logger.warning(
        "stage %s: a batch of %d images does not fit into memory and is split into %d chunks, "
        "with %s; batch_size=%d would fit",
        run.stage.name,
        num_images,
        run.num_chunks,
        "BatchNorm statistics per chunk"
        if learns_batch_statistics(run.module)
        else "the same result",
        max(1, num_images // run.num_chunks),
    )
