"""The cache of decoded images: bounded, safe to share, and never seen in the result."""

from __future__ import annotations

import io
import os
import pickle
import threading
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from planetvision.core.errors import SettingsError
from planetvision.data.cache import (
    CACHES,
    DecodedCache,
    DiskCache,
    MemoryCache,
    check_cache,
    create_cache,
    create_cache_key,
    get_cache_folder,
    read_through,
)

KEY = "ab" * 32
SIZE = 10 * 20 * 3


def image(level: int = 7) -> npt.NDArray[np.uint8]:
    return np.full((10, 20, 3), level, np.uint8)


@pytest.fixture(params=["memory", "disk"])
def cache(request: pytest.FixtureRequest, tmp_path: Path) -> DecodedCache:
    if request.param == "memory":
        return MemoryCache(10 * SIZE)
    return DiskCache(tmp_path / "cache", 10 * SIZE + 4096)


def test_get_gives_what_was_put(cache: DecodedCache) -> None:
    assert cache.get(KEY) is None
    cache.put(KEY, image())
    found = cache.get(KEY)
    assert found is not None
    np.testing.assert_array_equal(found, image())


def test_what_is_kept_cannot_be_changed_from_outside(cache: DecodedCache) -> None:
    given = image()
    cache.put(KEY, given)
    given[:] = 0
    first = cache.get(KEY)
    assert first is not None
    first[:] = 1
    second = cache.get(KEY)
    assert second is not None
    np.testing.assert_array_equal(second, image())


def test_read_through_decodes_once(cache: DecodedCache) -> None:
    calls = []

    def decode() -> npt.NDArray[np.uint8]:
        calls.append(1)
        return image()

    for _ in range(3):
        np.testing.assert_array_equal(read_through(cache, KEY, decode), image())
    assert len(calls) == 1


@pytest.mark.parametrize("key", ["", KEY])
def test_read_through_without_cache_or_key_decodes_every_time(
    cache: DecodedCache, key: str
) -> None:
    calls = []

    def decode() -> npt.NDArray[np.uint8]:
        calls.append(1)
        return image()

    used = cache if not key else None
    for _ in range(2):
        read_through(used, key, decode)
    assert len(calls) == 2


def test_memory_that_is_full_keeps_what_it_has() -> None:
    cache = MemoryCache(2 * SIZE)
    for level in range(4):
        cache.put(f"{level}", image(level))
    assert len(cache) == 2
    assert cache.num_bytes == 2 * SIZE
    assert cache.get("1") is not None
    assert cache.get("2") is None


def test_memory_of_a_spawned_process_keeps_nothing() -> None:
    cache = MemoryCache(2 * SIZE)
    cache.put(KEY, image())
    copy = pickle.loads(pickle.dumps(cache))
    copy.put(KEY, image())
    assert (copy.max_bytes, len(copy)) == (0, 0)
    assert copy.get(KEY) is None


def test_disk_that_is_full_drops_what_was_unused_longest(tmp_path: Path) -> None:
    file_size = SIZE + 128  # the header of a .npy file
    cache = DiskCache(tmp_path, 3 * file_size)
    for number in range(3):
        cache.put(f"{number}" * 4, image(number))
        os.utime(cache._path(f"{number}" * 4), (number, number))
    assert cache.get("0000") is not None  # used now: 1111 is the oldest
    cache.put("3333", image(3))
    assert cache.get("1111") is None
    assert cache.get("0000") is not None
    assert cache.get("3333") is not None
    kept = sum(path.stat().st_size for path in tmp_path.rglob("*.npy"))
    assert kept <= 3 * file_size


def test_disk_is_shared_by_two_runs(tmp_path: Path) -> None:
    first, second = DiskCache(tmp_path, 10**6), DiskCache(tmp_path, 10**6)
    first.put(KEY, image())
    assert second.get(KEY) is not None
    for path in tmp_path.rglob("*.npy"):
        path.unlink()  # as another run makes room
    assert first.get(KEY) is None


def test_disk_is_bounded_for_all_runs_together(tmp_path: Path) -> None:
    bound = 100 * (SIZE + 128)
    runs = [DiskCache(tmp_path, bound) for _ in range(4)]
    for number in range(90):
        for which, run in enumerate(runs):
            run.put(f"{which}-{number}", image())
        kept = sum(path.stat().st_size for path in tmp_path.rglob("*.npy"))
        assert kept <= bound * (1 + len(runs) * 0.06)
    assert kept >= 0.9 * bound


def test_disk_stays_whole_when_many_threads_write_the_same(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path, 10**7)
    problems: list[object] = []

    def work() -> None:
        for number in range(20):
            cache.put(f"{number:064d}", image(number))
            found = cache.get(f"{number:064d}")
            if found is None or found.max() != number or found.min() != number:
                problems.append(number)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert len(list(tmp_path.rglob("*.npy"))) == 20


def change_header(old: bytes, new: bytes) -> bytes:
    file = io.BytesIO()
    np.save(file, image(1))
    assert old in file.getvalue()
    return file.getvalue().replace(old, new)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x93NUMPY",
        b"nonsense" * 100,
        b"PK\x03\x04 a zip file by its first bytes",
        pickle.dumps([1]),
        change_header(b"3)", b"3 "),  # TokenError
        change_header(b"|u1", b",u1"),  # SyntaxError
        change_header(b"10", b"-9"),  # OverflowError
        change_header(b" 'fortran", b"b'fortran"),  # TypeError
        change_header(b"|u1", b"|i1"),  # another type
        change_header(b"20, 3", b"60   "),  # two dimensions
    ],
)
def test_disk_with_a_damaged_file_decodes_anew(
    content: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cache = DiskCache(tmp_path, 10**6)
    cache.put(KEY, image(1))
    cache._path(KEY).write_bytes(content)
    np.testing.assert_array_equal(read_through(cache, KEY, lambda: image(2)), image(2))
    assert "is damaged and is written anew" in caplog.text
    found = cache.get(KEY)
    assert found is not None
    np.testing.assert_array_equal(found, image(2))


def test_disk_never_unpickles(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path, 10**6)
    cache.put(KEY, image())
    np.save(cache._path(KEY), np.array([{"a": 1}], dtype=object), allow_pickle=True)
    assert cache.get(KEY) is None


def test_disk_reads_the_file_of_another_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object, **options: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    cache = DiskCache(tmp_path, 10**6)
    cache.put(KEY, image())
    monkeypatch.setattr(os, "utime", refuse)
    assert cache.get(KEY) is not None
    monkeypatch.setattr(np.lib.format, "open_memmap", refuse)
    assert cache.get(KEY) is None
    assert cache._path(KEY).exists()
    monkeypatch.setattr(Path, "exists", refuse)  # a folder that may not be looked into
    cache.put(KEY, image())


def test_disk_works_in_another_process(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path, 10**6)
    cache.put(KEY, image())
    copy = pickle.loads(pickle.dumps(cache))
    assert copy.get(KEY) is not None
    copy.put("cd" * 32, image(3))
    assert cache.get("cd" * 32) is not None


@pytest.mark.parametrize(
    "other",
    [
        create_cache_key("b", min_size=448, stretch="linear"),
        create_cache_key("a", min_size=None, stretch="linear"),
        create_cache_key("a", min_size=224, stretch="linear"),
        create_cache_key("a", min_size=448, stretch="asinh"),
    ],
)
def test_key_differs_with_content_and_each_setting(other: str) -> None:
    assert create_cache_key("a", min_size=448, stretch="linear") != other


def test_key_without_a_hash_is_empty() -> None:
    assert create_cache_key("", min_size=448, stretch="linear") == ""


def test_create_cache_gives_what_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLANETVISION_CACHE", str(tmp_path / "named"))
    assert create_cache("off") is None
    memory = create_cache("memory", gigabytes=1e-6)
    assert isinstance(memory, MemoryCache)
    assert memory.max_bytes == 1000
    disk = create_cache("disk")
    assert isinstance(disk, DiskCache)
    assert disk.folder.is_relative_to(tmp_path / "named")
    own = create_cache(tmp_path / "own", gigabytes=2)
    assert isinstance(own, DiskCache)
    assert own.folder.is_relative_to(tmp_path / "own")
    assert own.max_bytes == 2 * 10**9


def test_cache_folder_follows_the_users_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PLANETVISION_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert get_cache_folder() == Path("/somewhere/planetvision")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert get_cache_folder() == Path.home() / ".cache" / "planetvision"


def test_check_cache_names_all_that_is_wrong(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    for cache in CACHES:
        check_cache(cache, 1)
    with pytest.raises(SettingsError, match="must be 'memory', 'disk', 'off' or a folder, got 3"):
        check_cache(3, 1)
    with pytest.raises(SettingsError, match=r"must be a folder, and '.*file' is a file"):
        check_cache(file, 1)
    for gigabytes in (0, -1, True, "2", float("nan"), float("inf")):
        with pytest.raises(SettingsError, match="`cache_gigabytes` must be a number over 0"):
            check_cache("off", gigabytes)
    with pytest.raises(SettingsError) as caught:
        check_cache(None, None)
    assert len(caught.value.problems) == 2


def test_misspelt_kind_of_cache_is_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingsError, match=r"Did you mean 'disk'\?.*'\./dsik'"):
        create_cache("dsik")
    assert list(tmp_path.iterdir()) == []
    assert isinstance(create_cache("./dsik"), DiskCache)
    assert isinstance(create_cache("dsik"), DiskCache)  # now it is there
