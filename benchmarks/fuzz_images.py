"""Feeds damaged files to `read_image`: each must give an image or an `ImageError`.

    python benchmarks/fuzz_images.py --count 10000

Small valid files of every format are damaged at random: flipped bits, other bytes, blocks that are
cut, doubled, moved or zeroed, cut ends, swapped headers, extreme numbers in headers. Batches run in
processes of their own. These count as failures: any other exception, a crash, a file that takes
longer than the limit, output on the error stream, a warning, and memory that grows. The exit code
is 1 if there was a failure.
"""

from __future__ import annotations

import argparse
import collections
import faulthandler
import gzip
import io
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Files = dict[str, bytes]
EXTREMES = (0, 1, 2, 127, 128, 255, 256, 32767, 32768, 65535, 2**31 - 1, 2**31, 2**32 - 1)
SECONDS_A_FILE = 10
# What one batch may take more than after its first hundred files.
GROWTH_MEBIBYTES = 200
# What any one file may make the process hold at its peak.
PEAK_MEBIBYTES = 2500

PDS3_LABEL = """PDS_VERSION_ID = PDS3
RECORD_TYPE = FIXED_LENGTH
RECORD_BYTES = {columns}
FILE_RECORDS = {records}
{pointer}
DATA_SET_ID = "TEST"
OBJECT = IMAGE
  LINES = {rows}
  LINE_SAMPLES = {columns}
  SAMPLE_TYPE = {sample_type}
  SAMPLE_BITS = {bits}
  BANDS = {bands}
  BAND_STORAGE_TYPE = BAND_SEQUENTIAL
{more}END_OBJECT = IMAGE
END
"""
PDS4_LABEL = """<?xml version="1.0" encoding="UTF-8"?>
<Product_Observational xmlns="http://pds.nasa.gov/pds4/pds/v1">
  <Identification_Area>
    <logical_identifier>urn:nasa:pds:test:data:image</logical_identifier>
    <version_id>1.0</version_id>
    <title>test</title>
    <information_model_version>1.14.0.0</information_model_version>
    <product_class>Product_Observational</product_class>
  </Identification_Area>
  <File_Area_Observational>
    <File><file_name>{file_name}</file_name></File>
    <{kind}>
      <local_identifier>image</local_identifier>
      <offset unit="byte">0</offset>
      <axes>{num_axes}</axes>
      <axis_index_order>Last Index Fastest</axis_index_order>
      <Element_Array><data_type>{data_type}</data_type></Element_Array>
      {axes}
      {more}
    </{kind}>
  </File_Area_Observational>
</Product_Observational>
"""


def create_pds3(
    values: npt.NDArray[Any], *, more: str = "", data_name: str | None = None
) -> tuple[bytes, bytes]:
    """Returns label and data of a PDS3 image (H, W) or (3, H, W); joined they are one file."""
    bands, rows, columns = values.shape if values.ndim == 3 else (1, *values.shape)
    kinds = {"u": "MSB_UNSIGNED_INTEGER", "i": "MSB_INTEGER", "f": "IEEE_REAL"}
    records = 1
    label = ""
    for _ in range(3):  # the label says in records how long it is itself
        pointer = f'^IMAGE = "{data_name}"' if data_name else f"^IMAGE = {records + 1}"
        label = PDS3_LABEL.format(
            rows=rows,
            columns=columns,
            bands=bands,
            bits=8 * values.dtype.itemsize,
            sample_type=kinds[values.dtype.kind],
            records=records + rows * bands * values.dtype.itemsize,
            pointer=pointer,
            more=more,
        ).replace("\n", "\r\n")
        records = -(-len(label) // columns)
    big_endian = values.astype(values.dtype.newbyteorder(">")).tobytes()
    return label.ljust(0 if data_name else records * columns).encode(), big_endian


def create_pds4(
    values: npt.NDArray[Any], *, file_name: str = "image.dat", more: str = ""
) -> tuple[bytes, bytes]:
    """Returns label and data of a PDS4 image (H, W) or (3, H, W)."""
    names = {
        "u1": "UnsignedByte",
        "u2": "UnsignedMSB2",
        "i2": "SignedMSB2",
        "f4": "IEEE754MSBSingle",
        "f8": "IEEE754MSBDouble",
    }
    axis_names = ("Line", "Sample") if values.ndim == 2 else ("Band", "Line", "Sample")
    axes = "".join(
        f"<Axis_Array><axis_name>{name}</axis_name><elements>{size}</elements>"
        f"<sequence_number>{number}</sequence_number></Axis_Array>"
        for number, (name, size) in enumerate(zip(axis_names, values.shape, strict=True), start=1)
    )
    label = PDS4_LABEL.format(
        file_name=file_name,
        kind="Array_2D_Image" if values.ndim == 2 else "Array_3D_Image",
        num_axes=values.ndim,
        data_type=names[values.dtype.str[1:]],
        axes=axes,
        more=more,
    )
    return label.encode(), values.astype(values.dtype.newbyteorder(">")).tobytes()


def create_seeds() -> dict[str, Files]:
    """Returns small valid files by kind: names and bytes, the first is the one to read."""
    import cv2
    from PIL import Image

    rows, columns = np.mgrid[0:24, 0:32]
    picture = np.stack([rows * 10, columns * 7, 255 - rows * 4 - columns * 3], axis=2)
    picture = picture.astype(np.uint8)
    deep = picture.astype(np.uint16) * 200 + 17
    floats = deep.astype(np.float32) / 999
    floats[3, 4] = np.nan
    image = Image.fromarray(picture)
    gray = Image.fromarray(picture[..., 0])

    def save(drawn: Image.Image, kind: str, **options: Any) -> bytes:
        stream = io.BytesIO()
        drawn.save(stream, kind, **options)
        return stream.getvalue()

    def encode(values: npt.NDArray[Any], suffix: str, *options: int) -> bytes:
        done, data = cv2.imencode(suffix, values, list(options))
        assert done
        return data.tobytes()

    exif = Image.Exif()
    exif[0x0112] = 6
    seeds: dict[str, Files] = {
        "jpeg": {"a.jpg": save(image, "JPEG", exif=exif.tobytes())},
        "jpeg_progressive": {"a.jpg": save(image, "JPEG", progressive=True, optimize=True)},
        "jpeg_cmyk": {"a.jpg": save(image.convert("CMYK"), "JPEG")},
        "png": {"a.png": save(image, "PNG")},
        "png_palette": {"a.png": save(image.quantize(16), "PNG", transparency=3)},
        "png_rgba": {"a.png": save(image.convert("RGBA"), "PNG")},
        "png_gray16": {"a.png": save(Image.fromarray(deep[..., 0]), "PNG")},
        "png_rgb16": {"a.png": encode(deep, ".png")},
        "png_rgba16": {"a.png": encode(np.dstack([deep, deep[..., :1]]), ".png")},
        "gif": {"a.gif": save(image, "GIF", save_all=True, append_images=[gray, image])},
        "bmp": {"a.bmp": save(image, "BMP")},
        "bmp_palette": {"a.bmp": save(image.quantize(8), "BMP")},
        "webp": {"a.webp": save(image, "WEBP")},
        "webp_lossless": {"a.webp": save(image.convert("RGBA"), "WEBP", lossless=True)},
        "tiff": {"a.tif": save(image, "TIFF")},
        "tiff_lzw": {"a.tif": save(image, "TIFF", compression="tiff_lzw")},
        "tiff_deflate": {"a.tif": save(image, "TIFF", compression="tiff_adobe_deflate")},
        "tiff_jpeg": {"a.tif": save(image, "TIFF", compression="jpeg")},
        "tiff_packbits": {"a.tif": save(gray, "TIFF", compression="packbits")},
        "tiff_pages": {"a.tif": save(image, "TIFF", save_all=True, append_images=[gray, image])},
        "tiff_gray16": {"a.tif": save(Image.fromarray(deep[..., 0]), "TIFF")},
        "tiff_rgb16": {"a.tif": encode(deep, ".tiff")},
        "tiff_float": {"a.tif": save(Image.fromarray(floats[..., 0]), "TIFF")},
        "tiff_float_rgb": {"a.tif": encode(floats, ".tiff", cv2.IMWRITE_TIFF_COMPRESSION, 1)},
        "tiff_double_rgb": {"a.tif": encode(floats.astype(np.float64), ".tiff")},
        "ppm": {"a.ppm": save(image, "PPM")},
        "ppm_plain": {"a.ppm": b"P3 4 2 255 " + b"1 200 30 " * 8},
        "pgm_plain16": {"a.pgm": b"P2 4 2 4095 " + b"1 2000 " * 4},
        "pgm16": {"a.pgm": b"P5\n32 24\n4095\n" + deep[..., 0].astype(">u2").tobytes()},
        "ppm16": {"a.ppm": b"P6\n32 24\n65535\n" + deep.astype(">u2").tobytes()},
        "pfm": {"a.pfm": save(Image.fromarray(floats[..., 0]), "PPM")},
    }
    seeds.update(_create_fits(picture, deep, floats))
    label, data = create_pds3(deep[..., 0])
    seeds["pds3"] = {"a.img": label + data}
    label, data = create_pds3(picture[..., 0], data_name="b.img")
    seeds["pds3_detached"] = {"b.lbl": label, "b.img": data}
    seeds["pds3_beside"] = {"b.img": data, "b.lbl": label}
    label, data = create_pds3(np.moveaxis(floats, 2, 0))
    seeds["pds3_bands"] = {"a.img": label + data}
    label, data = create_pds4(deep[..., 0])
    seeds["pds4"] = {"image.xml": label, "image.dat": data}
    return seeds


def _create_fits(
    picture: npt.NDArray[Any], deep: npt.NDArray[Any], floats: npt.NDArray[Any]
) -> dict[str, Files]:
    from astropy.io import fits

    def save(*hdus: Any) -> bytes:
        stream = io.BytesIO()
        fits.HDUList(list(hdus)).writeto(stream)
        return stream.getvalue()

    gray = deep[..., 0]
    blank = fits.PrimaryHDU((gray // 2).astype(np.int16))
    blank.header["BLANK"] = 8
    seeds = {
        "fits": save(fits.PrimaryHDU(gray)),
        "fits_blank": save(blank),
        "fits_cube": save(fits.PrimaryHDU(np.moveaxis(floats, 2, 0))),
        "fits_extension": save(
            fits.PrimaryHDU(), fits.ImageHDU(picture[..., 0], name="SCI"), fits.ImageHDU(gray)
        ),
    }
    for kind in ("RICE_1", "GZIP_1", "GZIP_2"):  # damage to the others can end the process
        packed = fits.CompImageHDU((gray // 2).astype(np.int16), compression_type=kind)
        seeds[f"fits_{kind.lower()}"] = save(fits.PrimaryHDU(), packed)
    files = {kind: {"a.fits": data} for kind, data in seeds.items()}
    files["fits_gz"] = {"a.fits.gz": gzip.compress(seeds["fits"])}
    return files


def mutate(data: bytes, chance: random.Random, other: bytes = b"") -> bytes:
    """Returns the data with one to four kinds of damage.

    Args:
        data: A valid file.
        chance: Where the randomness comes from.
        other: A file of another kind, for swapped headers.
    """
    damaged = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        if not damaged:
            break
        size = len(damaged)
        # Headers hold what decoders believe: half of the damage goes there.
        place = (
            chance.randrange(min(size, 256)) if chance.random() < 0.5 else chance.randrange(size)
        )
        length = min(chance.choice((1, 2, 4, 16, 64, 512)), size)
        kind = chance.randrange(11)
        if kind == 0:
            damaged[place] ^= 1 << chance.randrange(8)
        elif kind == 1:
            for _ in range(chance.choice((1, 4, 32))):
                damaged[chance.randrange(size)] = chance.randrange(256)
        elif kind == 2:
            del damaged[chance.randrange(size) :]
        elif kind == 3:
            damaged[place:place] = chance.randbytes(length)
        elif kind == 4:
            del damaged[place : place + length]
        elif kind == 5:
            damaged[place : place + length] = bytes(len(damaged[place : place + length]))
        elif kind == 6:
            damaged[place:place] = damaged[place : place + length]
        elif kind == 7 and other:
            damaged[:length] = other[:length]
        elif kind == 8:
            width = chance.choice((1, 2, 4, 8))
            value = chance.choice(EXTREMES) % 256**width
            order = "little" if chance.random() < 0.5 else "big"
            damaged[place : place + width] = value.to_bytes(width, order)
        elif kind == 9:
            # A number that is written out, as in the headers of FITS, PDS and PGM.
            numbers = list(re.finditer(rb"[0-9]+", bytes(damaged[:8192])))
            if numbers:
                found = chance.choice(numbers)
                text = str(chance.choice((*EXTREMES, -1, 3, 7, 10**12, 10**20)))
                start, end = found.span()
                damaged[start:end] = text.encode().rjust(end - start)
        else:
            first = chance.randrange(size)
            block = damaged[first : first + length]
            del damaged[first : first + length]
            damaged[place:place] = block
    return bytes(damaged)


def create_case(number: int, seeds: dict[str, Files]) -> tuple[str, Files, random.Random]:
    """Returns the kind and the damaged files of a case; the same number gives the same files."""
    chance = random.Random(f"case {number}")
    kinds = sorted(seeds)
    kind = kinds[number % len(kinds)]
    files = dict(seeds[kind])
    victim = chance.choice(sorted(files))
    other = next(iter(seeds[chance.choice(kinds)].values()))
    files[victim] = mutate(files[victim], chance, other)
    return kind, files, chance


def run_case(files: Files, chance: random.Random, folder: Path) -> str:
    """Returns `image`, the kind of the error, or `FAILURE: ` and what went wrong."""
    from planetvision.core.errors import ImageError
    from planetvision.core.settings import STRETCHES
    from planetvision.data import read_image

    path = folder / next(iter(files))
    for name, data in files.items():
        (folder / name).write_bytes(data)
    source: Any = path if len(files) > 1 or chance.random() < 0.7 else path.read_bytes()
    options: dict[str, Any] = {"stretch": chance.choice(STRETCHES)}
    if chance.random() < 0.3:
        options["min_size"] = 8
    try:
        image = read_image(source, **options)
    except ImageError as error:
        named = str(path) if source is path else "<bytes>"
        told = error.source == named and error.cause and str(error).startswith("Cannot read '")
        return sort_cause(error.cause) if told else f"FAILURE: the error says too little: {error}"
    except BaseException as error:
        return f"FAILURE: {type(error).__name__}: {error}"
    finally:
        for name in files:
            (folder / name).unlink()
    right = image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3 and image.size > 0
    return "image" if right else f"FAILURE: it gave {image.dtype} {image.shape}"


def sort_cause(cause: str) -> str:
    """Returns the kind of an error, by how its cause begins."""
    for kind in (
        "it is not an image in a format that is known",
        "it is damaged or",
        "it is empty",
        "it has no pixels",
        "it holds neither",
        "it has no PDS label",
        "the data that its label names",
        "there is not enough memory",
    ):
        if cause.startswith(kind):
            return kind
    if "pixels" in cause or "limit" in cause:
        return "it is over a limit"
    return cause[:60]


def get_resident_mebibytes() -> int:
    """Returns the memory that the process holds, or 0 where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE") // 2**20


def get_peak_mebibytes() -> int:
    """Returns the most memory that the process ever held, or 0 where the system does not say."""
    try:
        import resource
    except ImportError:  # Windows
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // (2**20 if sys.platform == "darwin" else 2**10)


def run_worker(first: int, count: int, seconds: float) -> None:
    """Runs a batch, and prints one line of JSON a case."""
    seeds = create_seeds()
    # Whatever writes to the error stream, C libraries included, writes to this file.
    spilled = tempfile.TemporaryFile()  # noqa: SIM115
    os.dup2(spilled.fileno(), 2)
    warnings.simplefilter("always")
    faulthandler.enable(file=1)
    start_memory = 0
    with tempfile.TemporaryDirectory() as folder:
        for number in range(first, first + count):
            kind, files, chance = create_case(number, seeds)
            print(json.dumps({"start": number, "kind": kind}), flush=True)
            faulthandler.dump_traceback_later(seconds, exit=True, file=1)
            started = time.perf_counter()
            result = run_case(files, chance, Path(folder))
            faulthandler.cancel_dump_traceback_later()
            sys.stderr.flush()
            if os.fstat(2).st_size:
                text = os.pread(2, 500, 0).decode(errors="replace").strip()
                os.ftruncate(2, 0)
                os.lseek(2, 0, os.SEEK_SET)
                result = f"FAILURE: it wrote to the error stream: {text}"
            if number == first + min(100, count // 2):
                start_memory = get_resident_mebibytes()
            line = {
                "end": number,
                "kind": kind,
                "result": result,
                "seconds": time.perf_counter() - started,
            }
            print(json.dumps(line), flush=True)
    growth = get_resident_mebibytes() - start_memory
    print(json.dumps({"growth": growth, "peak": get_peak_mebibytes()}), flush=True)


def run_batch(first: int, count: int, seconds: float) -> tuple[list[dict[str, Any]], int, int]:
    """Returns the results of a batch, its growth and its peak in MiB; crashes are results too."""
    results: list[dict[str, Any]] = []
    growth, peak = 0, 0
    last = first + count
    while first < last:
        command = [sys.executable, __file__, "--worker", str(first), str(last - first)]
        done = subprocess.run(
            [*command, "--seconds", str(seconds)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=60 + seconds * count,
        )
        rest = []
        started: dict[str, Any] = {}
        for text in done.stdout.splitlines():
            try:
                line = json.loads(text)
            except ValueError:
                rest.append(text)
                continue
            if "start" in line:
                started = line
            elif "end" in line:
                results.append(line)
                started = {}
            elif "growth" in line:
                growth, peak = line["growth"], line["peak"]
        if done.returncode == 0:
            break
        if not started:
            raise SystemExit(f"the worker failed by itself:\n{done.stdout}")
        place = " | ".join(text.strip() for text in rest[-12:])
        died = f"FAILURE: the process ended with {done.returncode}: {place}"
        results.append({"end": started["start"], "kind": started["kind"], "result": died})
        first = started["start"] + 1
    return results, growth, peak


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--batch", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0, help="the number of the first case")
    parser.add_argument("--seconds", type=float, default=SECONDS_A_FILE, help="limit for one file")
    parser.add_argument("--worker", type=int, nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        first, size = options.worker
        run_worker(first, size, options.seconds)
        return
    counts: collections.Counter[str] = collections.Counter()
    by_kind: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    failures: list[str] = []
    slowest = 0.0
    end = options.first + options.count
    for first in range(options.first, end, options.batch):
        size = min(options.batch, end - first)
        results, growth, peak = run_batch(first, size, options.seconds)
        for line in results:
            result = line["result"]
            slowest = max(slowest, line.get("seconds", 0.0))
            counts["FAILURE" if result.startswith("FAILURE") else result] += 1
            by_kind[line["kind"]]["images" if result == "image" else "errors"] += 1
            if result.startswith("FAILURE"):
                failures.append(f"case {line['end']} ({line['kind']}): {result}")
        if growth > GROWTH_MEBIBYTES:
            failures.append(f"batch from {first}: memory grew by {growth} MiB")
        if peak > PEAK_MEBIBYTES:
            failures.append(f"batch from {first}: memory reached {peak} MiB")
        print(
            f"{first + size - options.first} files, {len(failures)} failures, peak {peak} MiB, "
            f"growth {growth} MiB",
            flush=True,
        )
    print("\nkind                 images  errors")
    for kind, found in sorted(by_kind.items()):
        print(f"{kind:20} {found['images']:6}  {found['errors']:6}")
    print(f"\n{sum(counts.values())} files; the slowest took {slowest:.2f} s")
    for result, number in counts.most_common():
        print(f"{number:6}  {result}")
    print(f"{len(failures):6}  of anything else")
    for failure in failures[:50]:
        print(failure)
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
