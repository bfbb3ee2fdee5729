"""Device, precision, seeds, and Accelerate's process-wide state."""

from __future__ import annotations

import atexit
import functools
import hashlib
import os
import platform
import random
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from typing import TYPE_CHECKING, Literal

from planetvision.core.errors import SettingsError
from planetvision.core.settings import Precision

if TYPE_CHECKING:
    import torch
    from accelerate import Accelerator


_RECORDED = ("planetvision", "torch", "torchvision", "timm", "numpy", "pillow")

MixedPrecision = Literal["no", "fp16", "bf16"]


def resolve_device(device: str) -> torch.device:
    """Returns the device of that name; `auto` is CUDA if available, else the CPU.

    Raises:
        SettingsError: If the name is unknown, or the device is not available.
    """
    import torch

    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        resolved = torch.device(device)
    except (RuntimeError, TypeError) as cause:
        raise SettingsError(
            f"`device` must be 'auto', 'cpu', 'cuda' or 'cuda:N', got {device!r}. Pass 'auto'."
        ) from cause
    if resolved.type == "cuda" and not torch.cuda.is_available():
        raise SettingsError(
            f"`device` is {device!r}, but PyTorch sees no CUDA device on this machine. "
            "Pass 'auto' or 'cpu'."
        )
    if resolved.type == "cuda" and (resolved.index or 0) >= torch.cuda.device_count():
        raise SettingsError(
            f"`device` is {device!r}, but there are only {torch.cuda.device_count()} CUDA devices. "
            "The first is 'cuda:0'."
        )
    if resolved.type == "cuda":
        index = resolved.index
        if index is None and "LOCAL_RANK" in os.environ:  # set by torchrun and accelerate launch
            index = int(os.environ["LOCAL_RANK"]) % torch.cuda.device_count()
        # Without an index the device would change with `torch.cuda.set_device`.
        return torch.device("cuda", torch.cuda.current_device() if index is None else index)
    if resolved.type != "cpu":
        raise SettingsError(f"`device` must be a CPU or CUDA device, got {device!r}. Pass 'auto'.")
    return resolved


def resolve_precision(precision: Precision, device: torch.device) -> MixedPrecision:
    """Returns Accelerate's name of the precision; `auto` is bf16 or fp16 on CUDA, fp32 on CPU.

    Raises:
        SettingsError: If the precision is unknown, or `fp16` on a CPU.
    """
    import torch

    if precision == "auto":
        if device.type != "cuda":
            return "no"
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    if precision == "fp16" and device.type == "cpu":
        raise SettingsError(
            "`precision` 'fp16' needs a CUDA device, and the device is the CPU. "
            "Pass 'auto', 'fp32' or 'bf16'."
        )
    if precision not in ("fp32", "fp16", "bf16"):
        raise SettingsError(
            f"`precision` must be one of 'auto', 'fp32', 'fp16', 'bf16', got {precision!r}."
        )
    return "no" if precision == "fp32" else precision


def create_autocast(precision: MixedPrecision, device: torch.device) -> torch.autocast:
    """Returns the context manager in which forward passes run in this precision."""
    import torch

    dtype = torch.float16 if precision == "fp16" else torch.bfloat16
    return torch.autocast(device.type, dtype=dtype, enabled=precision != "no")


@contextmanager
def create_accelerator(precision: MixedPrecision, device: torch.device) -> Iterator[Accelerator]:
    """Yields an `Accelerator`, and restores the process-wide state afterwards.

    Accelerate keeps its settings in class attributes, which the first `Accelerator` of a process
    sets for all later ones. They are saved here and restored afterwards, so that one process can
    run fits with different settings beside the caller's own `Accelerator`.
    """
    import torch
    from accelerate import Accelerator, DataLoaderConfiguration
    from accelerate.state import AcceleratorState, GradientState, PartialState

    holders = (PartialState, AcceleratorState, GradientState)
    kept = [dict(holder._shared_state) for holder in holders]
    variable = "ACCELERATE_MIXED_PRECISION"
    kept_variable = os.environ.get(variable)
    for holder in holders:
        holder._shared_state.clear()
    kept_device = torch.cuda.current_device() if device.type == "cuda" else None
    try:
        if device.type == "cuda":
            torch.cuda.set_device(device)
        accelerator = Accelerator(
            cpu=device.type == "cpu",
            mixed_precision=precision,
            # The batch size does not depend on the number of processes.
            dataloader_config=DataLoaderConfiguration(split_batches=True),
        )
        if accelerator.num_processes > 1:
            _leave_process_group_at_exit()
        yield accelerator
    finally:
        for holder, state in zip(holders, kept, strict=True):
            holder._shared_state.clear()
            holder._shared_state.update(state)
        if kept_device is not None:
            torch.cuda.set_device(kept_device)
        os.environ.pop(variable, None)
        if kept_variable is not None:
            os.environ[variable] = kept_variable


@functools.cache
def _leave_process_group_at_exit() -> None:
    """Destroys the process group before the process ends; later fits can use it until then.

    Threads of a group that is left open sometimes abort the interpreter at shutdown ("terminate
    called without an active exception"), and the launcher then reports a failure.
    """
    from torch import distributed

    def leave() -> None:
        if distributed.is_initialized():
            distributed.destroy_process_group()

    atexit.register(leave)


def list_versions() -> dict[str, str]:
    """Returns the versions of Python and of the packages that results depend on."""
    found = {"python": platform.python_version()}
    for name in _RECORDED:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def is_main_process() -> bool:
    """Returns whether this is the launcher's main process, which writes files and output."""
    return os.environ.get("RANK", "0") == "0"


def derive_seed(*parts: int | str) -> int:
    """Returns a seed in [0, 2**63) that depends on the parts alone.

    Unlike `hash`, it is the same on every platform and in every process.

    Example:
        >>> derive_seed(0, "split") == derive_seed(0, "split")
        True
        >>> derive_seed(0, "split") == derive_seed(1, "split")
        False
    """
    # NumPy integers must give the seeds of Python's; the command line starts without NumPy.
    plain = (part.item() if hasattr(part, "item") else part for part in parts)
    text = "/".join(f"{type(part).__name__}:{part}" for part in plain)
    digest = hashlib.blake2b(text.encode(errors="surrogateescape"), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


@contextmanager
def seeded(seed: int, *, device: torch.device | None = None) -> Iterator[None]:
    """Seeds Python, NumPy and PyTorch inside the block, and restores their states afterwards.

    Args:
        seed: A seed in [0, 2**63), for example from `derive_seed`.
        device: A CUDA device whose generator is seeded too.
    """
    import numpy as np
    import torch

    python_state = random.getstate()
    numpy_state = np.random.get_state()  # noqa: NPY002 - user policies may use the global state
    torch_state = torch.random.get_rng_state()
    cuda_state = None
    if device is not None and device.type == "cuda":
        cuda_state = torch.cuda.get_rng_state(device)
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002
    torch.default_generator.manual_seed(seed)
    if device is not None and cuda_state is not None:
        with torch.cuda.device(device):
            torch.cuda.manual_seed(seed)
    try:
        yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)  # noqa: NPY002
        torch.random.set_rng_state(torch_state)
        if device is not None and cuda_state is not None:
            torch.cuda.set_rng_state(cuda_state, device)
