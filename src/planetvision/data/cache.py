"""Caches of decoded images in memory or on disk, so that only the first epoch decodes files.

What is kept is the array that `read_image` gave, under a key of the file's content and of the
settings of decoding. A cache changes how long a training takes and nothing else.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import tokenize
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import psutil

from planetvision.core.errors import OutputError, SettingsError, UnknownNameError
from planetvision.core.files import create_output_folder, write_atomically
from planetvision.data.images import ImageArray

logger = logging.getLogger(__name__)

CACHES = ("memory", "disk", "off")
DEFAULT_CACHE_GIGABYTES = 2.0
_GIGABYTE = 10**9
# Part of every path: arrays that another version of the decoding has made are never found.
_LAYOUT = "decoded-1"
# Of the memory that is free when a training starts, for the rest of the machine is at work too.
_MEMORY_SHARE = 0.25
# Of the bound of a folder, written by one run: a count of 2 GB of images takes some 20 ms.
_RECOUNT_SHARE = 0.05
# NumPy parses a header as Python, and lets through what that raises.
_DAMAGE = (ValueError, TypeError, SyntaxError, OverflowError, tokenize.TokenError)


class DecodedCache(Protocol):
    """A cache of arrays by key."""

    def get(self, key: str) -> ImageArray | None:
        """Returns a copy of the array of `key`, or None."""

    def put(self, key: str, array: ImageArray) -> None:
        """Stores a copy if there is room."""


class MemoryCache:
    """Arrays in this process, up to a number of bytes.

    What comes when it is full is not kept: every epoch goes through all images in a new order, so
    making room for one image would only push out another that is needed as soon.

    Loader processes that are forked share what is in it then. Those that are spawned keep nothing,
    as each of them would take `max_bytes` again.

    Args:
        max_bytes: The most that is kept.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.num_bytes = 0
        self._arrays: dict[str, ImageArray] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._arrays)

    def get(self, key: str) -> ImageArray | None:
        """Returns a copy of the array of `key`, or None."""
        kept = self._arrays.get(key)
        # A copy: an augmentation that works in place must not change what the next epoch gets.
        return None if kept is None else kept.copy()

    def put(self, key: str, array: ImageArray) -> None:
        """Stores a copy if there is room."""
        with self._lock:
            if key not in self._arrays and self.num_bytes + array.nbytes <= self.max_bytes:
                self._arrays[key] = array.copy()
                self.num_bytes += array.nbytes

    def __reduce__(self) -> tuple[type[MemoryCache], tuple[int]]:
        return MemoryCache, (0,)


class DiskCache:
    """Arrays as memory-mapped files in a folder, up to a number of bytes.

    Several runs may share the folder: a file appears whole or not at all, and one that another run
    has removed, or that is damaged, counts as not there. Where the bound is passed, the files that
    were not used for the longest time go first.

    Args:
        folder: The folder; it is made where it is missing.
        max_bytes: The most that is kept by all runs together. Each that writes may pass it by a
            twentieth, for it counts what the others wrote once in so many bytes of its own.

    Raises:
        OutputError: If the folder cannot be written.
    """

    def __init__(self, folder: str | os.PathLike[str], max_bytes: int) -> None:
        self.folder = create_output_folder(Path(folder) / _LAYOUT, overwrite=True)
        self.max_bytes = max_bytes
        self._lock = threading.Lock()
        self._num_bytes = sum(size for _, size, _ in self._list_files())
        self._num_uncounted = 0

    def get(self, key: str) -> ImageArray | None:
        """Returns a copy of the array of `key`, or None."""
        path = self._path(key)
        try:
            array = np.array(np.lib.format.open_memmap(path, mode="r"))
            if array.dtype != np.uint8 or array.ndim != 3:
                raise ValueError(f"{array.dtype} of shape {array.shape}")
        except OSError:  # it is not there, or not ours to read
            return None
        except _DAMAGE as error:
            logger.warning("the cached file %s is damaged and is written anew: %s", path, error)
            with contextlib.suppress(OSError):
                path.unlink()
            return None
        with contextlib.suppress(OSError):  # another user's file may be read and not touched
            os.utime(path)
        return array

    def put(self, key: str, array: ImageArray) -> None:
        """Stores the array; a full disk causes a warning and nothing else."""
        path = self._path(key)
        try:
            if array.nbytes > self.max_bytes or path.exists():
                return
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, lambda file: np.save(file, array, allow_pickle=False))
            size = path.stat().st_size
        except (OutputError, OSError) as error:
            logger.warning("a decoded image could not be kept: %s", error)
            return
        with self._lock:
            self._num_bytes += size
            self._num_uncounted += size
            if (
                self._num_bytes > self.max_bytes
                or self._num_uncounted > _RECOUNT_SHARE * self.max_bytes
            ):
                self._make_room()

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.npy"

    def _list_files(self) -> list[tuple[float, int, Path]]:
        """Returns the time of last use and the size of each file."""
        found = []
        for path in self.folder.glob("*/*.npy"):
            with contextlib.suppress(OSError):  # another run has just removed it
                status = path.stat()
                found.append((status.st_mtime, status.st_size, path))
        return found

    def _make_room(self) -> None:
        # Another run may have added or removed files: what lies there is counted, not remembered.
        files = sorted(self._list_files())
        self._num_bytes = sum(size for _, size, _ in files)
        self._num_uncounted = 0
        if self._num_bytes <= self.max_bytes:
            return
        for _, size, path in files:
            # A tenth more than is needed, so that not every image to come makes room again.
            if self._num_bytes <= 0.9 * self.max_bytes:
                break
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)  # another run may be making room, too
                self._num_bytes -= size

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_lock": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._lock = threading.Lock()


def get_cache_folder() -> Path:
    """Returns where `disk` keeps files: `PLANETVISION_CACHE`, else below the user's cache."""
    named = os.environ.get("PLANETVISION_CACHE")
    if named:
        return Path(named)
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "planetvision"


def check_cache(cache: object, gigabytes: object) -> None:
    """Checks the settings of `create_cache`.

    Raises:
        SettingsError: If one is wrong.
    """
    problems = []
    if not isinstance(cache, str | os.PathLike):
        problems.append(
            f"`cache` must be 'memory', 'disk', 'off' or a folder, got {cache!r}. Pass 'off'."
        )
    elif Path(cache).is_file():
        problems.append(f"`cache` must be a folder, and '{cache}' is a file. Name another path.")
    elif cache not in CACHES and Path(cache).name == cache and not Path(cache).is_dir():
        # A word may be a slip of the pen, and would become a folder.
        error = UnknownNameError.among(
            f"`cache` is {cache!r}, which is neither a kind nor a folder.",
            known=CACHES,
            remedy=f"Pass one of {', '.join(CACHES)}, or write a new folder as './{cache}'.",
            family="caches",
            name=cache,
        )
        problems.append(str(error))
    if (
        not isinstance(gigabytes, int | float | np.integer | np.floating)
        or isinstance(gigabytes, bool)
        or not 0 < gigabytes < float("inf")
    ):
        problems.append(
            f"`cache_gigabytes` must be a number over 0, got {gigabytes!r}. Pass 2.0, or "
            "cache='off'."
        )
    if problems:
        raise SettingsError.from_problems(problems)


def create_cache(
    cache: str | os.PathLike[str], *, gigabytes: float = DEFAULT_CACHE_GIGABYTES
) -> DecodedCache | None:
    """Returns a cache of the given kind, or None for `off`.

    Args:
        cache: `memory`, which takes a quarter of the free memory at most; `disk`, the folder of
            `get_cache_folder`; `off`; or a folder of your own.
        gigabytes: The most that is kept, in 10**9 bytes.

    Raises:
        SettingsError: If an argument is wrong.
        OutputError: If the folder cannot be written.
    """
    check_cache(cache, gigabytes)
    max_bytes = int(gigabytes * _GIGABYTE)
    if cache == "off":
        return None
    if cache == "memory":
        free = int(psutil.virtual_memory().available * _MEMORY_SHARE)
        return MemoryCache(min(max_bytes, free))
    return DiskCache(get_cache_folder() if cache == "disk" else cache, max_bytes)


def create_cache_key(sha256: str, *, min_size: int | None, stretch: str) -> str:
    """Returns the key of an image: its content and how it is decoded; empty without a hash.

    Args:
        sha256: The hash of its content.
        min_size: As in `read_image`.
        stretch: As in `read_image`.
    """
    return f"{sha256}-{min_size or 'full'}-{stretch}" if sha256 else ""


def read_through(
    cache: DecodedCache | None, key: str, decode: Callable[[], ImageArray]
) -> ImageArray:
    """Returns the cached array of `key`; if there is none, decodes it and caches it.

    Args:
        cache: The cache; None decodes every time.
        key: The content and the settings; an empty one is not kept.
        decode: Decodes the image.
    """
    if cache is None or not key:
        return decode()
    kept = cache.get(key)
    if kept is None:
        kept = decode()
        cache.put(key, kept)
    return kept
