"""Performance options of this machine, and which of them are on."""

from __future__ import annotations

import ctypes
import functools
import logging
import os
import sys
import threading

from planetvision.core.errors import SettingsError

logger = logging.getLogger(__name__)

PERFORMANCE_OPTIONS = {
    "allocator": "freed memory stays in the process (Linux with glibc)",
    "threads": "PyTorch starts no more threads than the process may use cores",
    "channels_last": "convolutions work on channels-last memory, if the backbone supports it",
}
_VARIABLE = "PLANETVISION_PERFORMANCE"

# Parameters of glibc's mallopt(3), from <malloc.h>.
_M_TRIM_THRESHOLD = -1
_M_TOP_PAD = -2
_M_MMAP_MAX = -4
_TOP_PAD_BYTES = 256 * 2**20


def resolve_performance(performance: str = "auto") -> frozenset[str]:
    """Returns the names of the performance options that are on.

    Args:
        performance: `all`, `none`, names joined by `+`, or `auto`: the value of the environment
            variable `PLANETVISION_PERFORMANCE`, by default `all`.

    Raises:
        SettingsError: If a name is unknown.

    Example:
        >>> sorted(resolve_performance("allocator+threads"))
        ['allocator', 'threads']
    """
    said = (
        f"`performance` must be 'auto', 'all', 'none' or names joined by '+', got {performance!r}"
    )
    if performance == "auto":
        performance = os.environ.get(_VARIABLE) or "all"
        said = f"`{_VARIABLE}` must be 'all', 'none' or names joined by '+', got {performance!r}"
    if performance in ("all", "none"):
        return frozenset(PERFORMANCE_OPTIONS if performance == "all" else ())
    names = frozenset(performance.split("+")) if isinstance(performance, str) else frozenset({""})
    if not names <= set(PERFORMANCE_OPTIONS):
        raise SettingsError(f"{said}. Known: {', '.join(PERFORMANCE_OPTIONS)}.")
    return names


def apply_performance(performance: str = "auto") -> frozenset[str]:
    """Applies the process-wide performance options, and returns those that took effect.

    `channels_last` is not among them, since it belongs to each network (`create_network`). A later
    call with fewer options does not undo any.

    Args:
        performance: See `resolve_performance`.
    """
    options = resolve_performance(performance)
    done = {
        "allocator": "allocator" in options and _keep_freed_memory(),
        "threads": "threads" in options and _limit_threads(),
    }
    return frozenset(name for name, took_effect in done.items() if took_effect)


def get_num_workers(requested: int | None, num_images: int) -> int:
    """Returns the number of loader processes; None chooses it by images and cores.

    For few images or few cores, starting a process costs more than it saves. Threads other than
    the main one start none, since a forked process could inherit a locked lock and hang.
    """
    if requested is not None:
        return requested
    cores = get_num_cores()
    is_main = threading.current_thread() is threading.main_thread()
    if num_images < 256 or cores <= 2 or not is_main:
        return 0
    return min(8, cores // 2)


def get_num_cores() -> int:
    """Returns the number of cores that this process may use, by affinity and container quota."""
    # Imported here so that the command line starts without it.
    import joblib

    return int(joblib.cpu_count())


@functools.cache
def _keep_freed_memory() -> bool:
    """Keeps freed memory in the process on Linux with glibc, and returns whether it did.

    PyTorch on CPU frees and allocates the same large blocks in every step. By default glibc returns
    them to the system, and the page faults cost more than the arithmetic.

    References:
        mallopt(3), Linux manual page.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:  # musl has none
        return False
    settings = ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, 2**31 - 1), (_M_TOP_PAD, _TOP_PAD_BYTES))
    # A list, not a generator: each setting helps by itself, so all of them are tried.
    accepted = [mallopt(parameter, value) == 1 for parameter, value in settings]
    return all(accepted)


def _limit_threads() -> bool:
    """Lowers PyTorch's number of threads to the number of cores, and returns whether it did.

    PyTorch counts the cores of the machine, not those that a container may use. More threads than
    cores slow it down. A number set by the user is kept.
    """
    import torch

    cores = get_num_cores()
    if "OMP_NUM_THREADS" in os.environ or torch.get_num_threads() <= cores:
        return False
    logger.info("PyTorch uses %d threads instead of %d", cores, torch.get_num_threads())
    torch.set_num_threads(cores)
    return True
