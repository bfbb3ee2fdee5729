"""What the processes of a launcher do together: agree, share batches out."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.utils.data import DataLoader

from planetvision.core.errors import SettingsError, TrainingWarning
from planetvision.training.stages import learns_batch_statistics

if TYPE_CHECKING:
    from accelerate import Accelerator

__all__ = [
    "agree_on_any",
    "check_shareable",
    "find_present",
    "warn_of_batch_statistics",
]


def find_present(accelerator: Accelerator, targets: torch.Tensor) -> torch.Tensor:
    """Returns 1 for each image of this process's part of a batch, and 0 for what fills it up.

    Several processes share a batch in equal parts, for which Accelerate repeats images.
    """
    present = torch.ones(len(targets), device=targets.device)
    state = accelerator.gradient_state
    if accelerator.num_processes > 1 and state.end_of_dataloader and state.remainder > 0:
        first = len(targets) * accelerator.process_index
        present[max(0, state.remainder - first) :] = 0
    return present


def agree_on_any(accelerator: Accelerator, here: bool) -> bool:
    """Returns whether it is so in any process: what one does alone, the others wait for forever."""
    if accelerator.num_processes == 1:
        return here
    flag = torch.tensor(float(here), device=accelerator.device)
    return bool(accelerator.reduce(flag, "sum") > 0)


def check_shareable(loader: DataLoader[Any], accelerator: Accelerator) -> None:
    """Checks that a loader's last batch can be shared out.

    Raises:
        SettingsError: If its sampler leaves images out, by which Accelerate does not count.
    """
    sampler: Any = loader.sampler
    if accelerator.num_processes == 1 or not hasattr(sampler, "__len__"):
        return
    data: Any = loader.dataset
    if len(sampler) != len(data):
        raise SettingsError(
            f"A loader's sampler gives {len(sampler)} of {len(data)} images, which several "
            "processes cannot share out. Pass a loader of torch.utils.data.Subset(data, rows)."
        )


def warn_of_batch_statistics(module: nn.Module, accelerator: Accelerator) -> None:
    """Warns where several processes would give other results than one."""
    if accelerator.num_processes > 1 and learns_batch_statistics(module):
        warnings.warn(
            "BatchNorm learns its statistics from each process's part of a batch, so the result "
            "differs from that of one process. Pass freeze_batch_norm=True, or convert the network "
            "by torch.nn.SyncBatchNorm.convert_sync_batchnorm on GPUs.",
            TrainingWarning,
            stacklevel=2,
        )
