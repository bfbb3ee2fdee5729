"""Communication between the processes of a launcher."""

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


def find_present(accelerator: Accelerator, targets: torch.Tensor) -> torch.Tensor:
    """Returns 1 for each image of this process's share of a batch, and 0 for padding.

    Accelerate repeats images so that all processes get shares of equal size.
    """
    present = torch.ones(len(targets), device=targets.device)
    state = accelerator.gradient_state
    if accelerator.num_processes > 1 and state.end_of_dataloader and state.remainder > 0:
        first = len(targets) * accelerator.process_index
        present[max(0, state.remainder - first) :] = 0
    return present


def agree_on_any(accelerator: Accelerator, here: bool) -> bool:
    """Returns whether the condition holds in any process, so that all take the same branch."""
    if accelerator.num_processes == 1:
        return here
    flag = torch.tensor(float(here), device=accelerator.device)
    return bool(accelerator.reduce(flag, "sum") > 0)


def check_shareable(loader: DataLoader[Any], accelerator: Accelerator) -> None:
    """Checks that the batches of a loader can be shared between processes.

    Raises:
        SettingsError: If its sampler leaves images out, which Accelerate does not support.
    """
    sampler: Any = loader.sampler
    if accelerator.num_processes == 1 or not hasattr(sampler, "__len__"):
        return
    data: Any = loader.dataset
    if len(sampler) != len(data):
        raise SettingsError(
            f"The sampler of a loader yields {len(sampler)} of {len(data)} images, which several "
            "processes cannot share. Pass a loader of torch.utils.data.Subset(data, rows)."
        )


def warn_of_batch_statistics(module: nn.Module, accelerator: Accelerator) -> None:
    """Warns if the results of several processes differ from those of one."""
    if accelerator.num_processes > 1 and learns_batch_statistics(module):
        warnings.warn(
            "BatchNorm learns its statistics from each process's share of a batch, so the result "
            "differs from that of one process. Pass freeze_batch_norm=True, or on GPUs convert the "
            "network with torch.nn.SyncBatchNorm.convert_sync_batchnorm.",
            TrainingWarning,
            stacklevel=2,
        )
