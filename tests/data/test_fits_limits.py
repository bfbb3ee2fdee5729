"""FITS files whose headers or tiles lie: each ends soon, in an `ImageError`, and the process lives.

The files are read in a process of their own, since the failure is a hang or the end of the process.
"""

from __future__ import annotations

import gzip
import io
import json
import random
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from planetvision.core.errors import ImageError
from planetvision.data import decode_image, read_image

SECONDS = 10  # those that are refused take a hundredth of it, on a busy machine, too
VALUES = (np.arange(32 * 32).reshape(32, 32) * 7 % 200).astype(np.int16)
SAFE = ("RICE_1", "GZIP_1", "GZIP_2", "NOCOMPRESS")
UNSAFE = ("HCOMPRESS_1", "PLIO_1")
WORKER = """
import faulthandler, json, pathlib, sys, warnings
from planetvision.data import read_image
from planetvision.core.errors import ImageError
warnings.simplefilter("ignore")
import astropy.io.fits, numpy
for path in sys.argv[2:]:
    print(json.dumps([path, None]), flush=True)
    faulthandler.dump_traceback_later(float(sys.argv[1]), exit=True)
    try:
        shape = read_image(path, stretch="linear").shape
        result = f"image {shape[0]} x {shape[1]}"
    except ImageError as error:
        result = f"ImageError: {error.cause}"
    faulthandler.cancel_dump_traceback_later()
    print(json.dumps([path, result]), flush=True)
"""


def read_apart(files: dict[str, bytes], folder: Path) -> dict[str, str]:
    """Returns what reading each of these files gave; `died` if it ended the process or hung."""
    paths = []
    for number, data in enumerate(files.values()):
        paths.append(folder / f"{number}.fits")
        paths[-1].write_bytes(data)
    results: dict[str, str] = {}
    while len(results) < len(paths):
        rest = [str(path) for path in paths if str(path) not in results]
        done = subprocess.run(
            [sys.executable, "-c", WORKER, str(SECONDS), *rest],
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS * len(rest) + 60,
        )
        assert done.stdout, done.stderr
        for line in done.stdout.splitlines():
            path, result = json.loads(line)
            results[path] = result or f"died: {done.stderr[-500:]}"
    return dict(zip(files, (results[str(path)] for path in paths), strict=True))


def save(*hdus: Any) -> bytes:
    stream = io.BytesIO()
    fits.HDUList(list(hdus)).writeto(stream)
    return stream.getvalue()


def write_card(keyword: str, value: object) -> bytes:
    return f"{keyword:8}= {value!s:>20}".encode().ljust(80)


def set_card(data: bytes, keyword: str, value: object, start: int = 0) -> bytes:
    """Returns the file with this card from the byte `start` on, added if there is none."""
    changed = bytearray(data)
    place = changed.find(f"{keyword:8}=".encode(), start)
    end = changed.index(b"END" + b" " * 77, start)
    if start <= place < end:
        changed[place : place + 80] = write_card(keyword, value)
    else:
        changed[end : end + 160] = write_card(keyword, value) + b"END".ljust(80)
    return bytes(changed)


PLAIN = save(fits.PrimaryHDU(VALUES))
EXTENSION = save(fits.PrimaryHDU(), fits.ImageHDU(VALUES))
TABLE = save(
    fits.PrimaryHDU(),
    fits.BinTableHDU.from_columns([fits.Column("x", "E", array=np.zeros(3))]),
    fits.ImageHDU(VALUES),
)
END = "END".ljust(80).encode()


def pack(kind: str, values: Any = VALUES, **options: Any) -> bytes:
    packed = fits.CompImageHDU(values, compression_type=kind, tile_shape=values.shape, **options)
    return save(fits.PrimaryHDU(), packed)


def find_heap(data: bytes) -> int:
    hdus = fits.open(io.BytesIO(data), disable_image_compression=True)
    header = hdus[1].header
    return int(hdus[1].fileinfo()["datLoc"]) + int(header["NAXIS1"]) * int(header["NAXIS2"])


def replace_tile(data: bytes, tile: bytes) -> bytes:
    """Returns the file of one packed tile with another one."""
    heap = find_heap(data)
    row = heap - 8
    data = data[:row] + len(tile).to_bytes(4, "big") + bytes(4) + tile
    data = data.ljust(-(-len(data) // 2880) * 2880, b"\0")
    return set_card(data, "PCOUNT", len(tile), 2880)


def create_headers() -> dict[str, tuple[bytes, str]]:
    """Returns files whose headers promise what cannot be, each with the cause to expect."""
    counts = (1000, 10**9, 10**30, -1)
    damaged = r"it is damaged|it has|it holds neither|over the limit"
    cases = {}
    for value in counts:
        cause = f"its header gives {{}} as {value}, FITS allows 0 to 999"
        for name, data, keyword in (
            ("primary", PLAIN, "NAXIS"),
            ("extension", EXTENSION, "NAXIS"),
            ("table", TABLE, "TFIELDS"),
            ("packed", pack("RICE_1"), "ZNAXIS"),
            ("packed", pack("RICE_1"), "TFIELDS"),
        ):
            start = 0 if name == "primary" else 2880
            file = set_card(data, keyword, value, start)
            cases[f"{name} {keyword} {value}"] = (file, cause.format(keyword))
    lower = PLAIN.replace(b"NAXIS   =", b"naxis   =", 1)
    cases["lower case"] = (lower.replace(b"   2", b" 9999", 1), damaged)
    long = write_card("NAXIS", 10**9).replace(b"NAXIS   =", b"HIERARCH NAXIS =")[:80]
    place = PLAIN.index(b"NAXIS ")
    cases["hierarch"] = (PLAIN[:place] + long.ljust(80) + PLAIN[place + 80 :], damaged)
    for value in (0, -5, 10**9, 10**18, 2**63, 10**40):
        for keyword in ("NAXIS1", "NAXIS2"):
            cases[f"{keyword} {value}"] = (set_card(PLAIN, keyword, value), damaged)
            for kind in SAFE:
                z = f"Z{keyword}"
                cases[f"{kind} {z} {value}"] = (set_card(pack(kind), z, value, 2880), damaged)
    for value in (-(10**6), 10**9, 10**18, 10**40):
        for keyword in ("GCOUNT", "PCOUNT"):
            cases[f"{keyword} {value}"] = (set_card(PLAIN, keyword, value), damaged)
            for kind in ("RICE_1", "GZIP_1"):
                file = set_card(pack(kind), keyword, value, 2880)
                cases[f"{kind} {keyword} {value}"] = (file, damaged)
        for keyword in ("NAXIS1", "NAXIS2", "THEAP"):
            file = set_card(pack("GZIP_1"), keyword, value, 2880)
            cases[f"table {keyword} {value}"] = (file, damaged)
    for value in (0, -1, -(10**18)):
        file = set_card(pack("RICE_1"), "ZTILE1", value, 2880)
        cases[f"ZTILE1 {value}"] = (file, r"its tiles have -?\d+ x 32 pixels")
    for form in ("'1PB(1) '", "'1QB(99999999999)'", "'999999999999E'", "'1QJ     '", 7):
        file = set_card(pack("GZIP_1"), "TFORM1", form, 2880)
        cases[f"TFORM1 {form}"] = (file, r"it is damaged|image 32 x 32")
    for form in ("'LZW     '", "' '", 5):
        file = set_card(pack("RICE_1"), "ZCMPTYPE", form, 2880)
        cases[f"ZCMPTYPE {form}"] = (file, r"is packed by|it is damaged")
    for setting in (0, -1, 10**6, 2**31 - 1, 2**63, "'a'", 1.5):
        for keyword in ("ZVAL1", "ZVAL2"):
            file = set_card(pack("RICE_1"), keyword, setting, 2880)
            cases[f"{keyword} {setting}"] = (file, damaged)
    return cases


def create_bombs() -> dict[str, tuple[bytes, str]]:
    """Returns small files that unpack to much or never end, each with the cause to expect."""
    zip_stream = io.BytesIO()
    with zipfile.ZipFile(zip_stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.fits", PLAIN + bytes(10**7))
    empty = b"XTENSION= 'IMAGE   '".ljust(80) + write_card("BITPIX", 8) + write_card("NAXIS", 0)
    empty = (empty + write_card("PCOUNT", 0) + write_card("GCOUNT", 1) + END).ljust(2880)
    no_end = write_card("SIMPLE", "T") + write_card("BITPIX", 8)
    promise = set_card(pack("PLIO_1"), "ZNAXIS1", 13_000, 2880)
    gzip_tile = gzip.compress(bytes(20_000_000))
    blocks = pack("RICE_1")
    for keyword in ("ZNAXIS1", "ZNAXIS2", "ZTILE1", "ZTILE2"):
        blocks = set_card(blocks, keyword, 13_000, 2880)
        promise = set_card(promise, keyword, 13_000, 2880)
    shared = save(
        fits.PrimaryHDU(), fits.CompImageHDU(VALUES, compression_type="GZIP_1", tile_shape=(1, 32))
    )
    start = find_heap(shared) - 8 * 32
    rows = (10**9).to_bytes(4, "big") + bytes(4)
    return {
        "gzip": (gzip.compress(PLAIN + bytes(150_000_000), 1), "unpacks to more than the limit"),
        "gzip in gzip": (gzip.compress(gzip.compress(PLAIN)), "does not begin with SIMPLE"),
        "zip": (zip_stream.getvalue(), "does not begin with SIMPLE"),
        "no end": (no_end.ljust(2000), "it is damaged"),
        "no end in 30 MB": (no_end.ljust(30_000_000), "has no END in 2,880,000 bytes"),
        "5000 parts": (EXTENSION[:2880] + empty * 5000, "it holds neither"),
        "5000 parts behind": (PLAIN + empty * 5000, "image 32 x 32"),
        "promised by rice": (blocks, "promises 13000 x 13000 pixels in"),
        "promised by plio": (promise, "is packed by PLIO_1"),
        "gzip in a tile": (replace_tile(pack("GZIP_1"), gzip_tile), "a tile of it unpacks to more"),
        "gzip_2 in a tile": (replace_tile(pack("GZIP_2"), gzip_tile), "a tile of it unpacks to"),
        "tiles of one byte string": (
            shared[:start] + rows * 32 + shared[start + 8 * 32 :],
            "its tiles have more bytes than its table",
        ),
        "tiles of one pixel": (
            set_card(set_card(pack("NOCOMPRESS"), "ZTILE1", 1, 2880), "ZTILE2", 1, 2880),
            "it is damaged",
        ),
    }


def create_random(count: int) -> dict[str, tuple[bytes, str]]:
    """Returns files with random values in their headers and random bytes in their tiles."""
    chance = random.Random(0)
    bases = [PLAIN, EXTENSION, TABLE, *(pack(kind) for kind in (*SAFE, *UNSAFE))]
    values = (-1, 0, 1, 2, 3, 31, 255, 999, 2**15, 2**31 - 1, 2**31, 2**32, 10**12, 2**63, 10**25)
    cases = {}
    for number in range(count):
        base = chance.choice(bases)
        start = 0 if base is PLAIN else 2880
        end = base.index(END, start)
        cards = range(start + 80, end, 80)
        for _ in range(chance.choice((1, 1, 2, 4))):
            keyword = base[(place := chance.choice(cards)) : place + 8].decode().strip()
            if base[place + 8 : place + 9] == b"=":
                base = set_card(base, keyword, chance.choice(values), start)
        damaged = bytearray(base)
        if chance.random() < 0.5:
            for _ in range(chance.choice((1, 8, 64))):
                damaged[chance.randrange(end + 80, len(damaged))] = chance.randrange(256)
        cases[f"random {number}"] = (bytes(damaged), "")
    return cases


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, str]]:
    """What reading each file gave, and the cause to expect."""
    cases = {**create_headers(), **create_bombs()}
    files = {name: data for name, (data, _) in cases.items()}
    given = read_apart(files, tmp_path_factory.mktemp("hostile"))
    return {name: (given[name], cause) for name, (_, cause) in cases.items()}


@pytest.mark.slow
def test_no_random_damage_ends_the_process_or_takes_long(tmp_path: Path) -> None:
    cases = create_random(300)
    given = read_apart({name: data for name, (data, _) in cases.items()}, tmp_path)
    assert len(given) == 300
    assert not [name for name, answer in given.items() if answer.startswith("died")]


def test_files_that_lie_are_refused_with_their_cause(answers: dict[str, tuple[str, str]]) -> None:
    wrong = {
        name: (given, cause)
        for name, (given, cause) in answers.items()
        if not re.search(cause, given)
        or (not given.startswith("ImageError") and cause and "image" not in cause)
    }
    assert not wrong


@pytest.mark.parametrize("kind", UNSAFE)
def test_unsafe_compressions_are_refused_unless_they_are_allowed(kind: str) -> None:
    data = pack(kind)
    with pytest.raises(ImageError, match=f"HDU 1 is packed by {kind}, .*`allow_unsafe=True`"):
        read_image(data, stretch="linear")
    image = read_image(data, stretch="linear", allow_unsafe=True)
    expected = read_image(save(fits.PrimaryHDU(VALUES)), stretch="linear")
    np.testing.assert_array_equal(image, expected)
    facts = decode_image(gzip.compress(data), stretch="linear", allow_unsafe=True).facts
    assert (facts.height, facts.width) == (32, 32)


@pytest.mark.parametrize("kind", UNSAFE)
def test_damaged_tiles_of_unsafe_compressions_do_not_end_the_process(
    kind: str, tmp_path: Path
) -> None:
    base = pack(kind, np.zeros((1000, 1000), np.int16) if kind == "PLIO_1" else VALUES)
    heap = find_heap(base)
    files = {}
    for first in (33, 64, 128):
        for second in (32, 33, 100):
            damaged = bytearray(base)
            if kind == "HCOMPRESS_1":  # sizes over those of the tile: it writes behind its memory
                damaged[heap + 2 : heap + 6] = first.to_bytes(4, "big")
                damaged[heap + 6 : heap + 10] = second.to_bytes(4, "big")
            else:  # a list that is longer than the tile: it reads behind its memory
                damaged[heap + 2 : heap + 4] = (32_767 - first).to_bytes(2, "big")
                damaged[heap + 6 : heap + 8] = b"\xff\xff"
                damaged[heap + 8 : heap + 12] = b"\x7f\xff" + (32_767 - second).to_bytes(2, "big")
            files[f"{first} {second}"] = bytes(damaged)
    given = list(read_apart(files, tmp_path).values())
    assert not [result for result in given if result.startswith("died")]
    assert all("is packed by" in result for result in given)


@pytest.mark.parametrize("kind", SAFE)
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.float32, np.float64])
def test_honest_packed_images_are_read_as_astropy_reads_them(kind: str, dtype: Any) -> None:
    chance = np.random.default_rng(0)
    values = chance.normal(100, 30, (70, 50)).clip(0, 255).astype(dtype)
    values[20:40] = 7  # rows that pack to next to nothing
    for tile in ((1, 50), (16, 16), (70, 50)):
        packed = fits.CompImageHDU(values, compression_type=kind, tile_shape=tile)
        data = save(fits.PrimaryHDU(), packed)
        stored = fits.open(io.BytesIO(data))[1].data
        expected = read_image(np.ascontiguousarray(stored[::-1]), stretch="linear")
        np.testing.assert_array_equal(read_image(data, stretch="linear"), expected)


def test_honest_image_of_one_value_is_read_however_small_it_packs() -> None:
    flat = np.zeros((2000, 3000), np.int16)
    for kind in ("RICE_1", "GZIP_1"):
        assert read_image(pack(kind, flat), stretch="linear").shape == (2000, 3000, 3)
    packed = gzip.compress(save(fits.PrimaryHDU(flat)))
    assert read_image(packed, stretch="linear").shape == (2000, 3000, 3)
