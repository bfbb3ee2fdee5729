"""Compares decoders of image files: speed, correctness, and what they do with damage.

    python benchmarks/decoding.py

It writes its own files to a temporary folder and decodes each by Pillow, OpenCV, torchvision and
`read_image`, in turn, on one thread. A damaged file is decoded in a process of its own, because a
decoder may end the process.
"""

from __future__ import annotations

import argparse
import io
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torchvision import io as torchvision_io

from planetvision.data import read_image

Pixels: TypeAlias = npt.NDArray[Any]
Decoder: TypeAlias = Callable[[Path], Pixels]

# Twice the input size of the default backbone, as training asks for.
MIN_SIZE = 448
DAMAGES = ("truncated", "zeroed block")


def decode_pillow(path: Path, draft: int | None = None) -> Pixels:
    with Image.open(path) as image:
        if draft is not None:
            image.draft("RGB", (draft, draft))
        return np.asarray(image if image.mode != "P" else image.convert("RGB"))


def decode_opencv(path: Path, flag: int = cv2.IMREAD_COLOR) -> Pixels:
    pixels: Any = cv2.imread(str(path), flag)
    if pixels is None:
        raise OSError("imread gave None")
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB))


def decode_torchvision(path: Path) -> Pixels:
    pixels = torchvision_io.decode_image(torchvision_io.read_file(str(path)))
    return np.asarray(pixels.permute(1, 2, 0).contiguous().numpy())


def decode_ours(path: Path, min_size: int | None = None) -> Pixels:
    return read_image(path, stretch="linear", min_size=min_size)


WAYS: dict[str, Decoder] = {
    "pillow": decode_pillow,
    "pillow, draft": lambda path: decode_pillow(path, MIN_SIZE),
    "opencv": decode_opencv,
    "opencv, 1/2": lambda path: decode_opencv(path, cv2.IMREAD_REDUCED_COLOR_2),
    "opencv, 1/4": lambda path: decode_opencv(path, cv2.IMREAD_REDUCED_COLOR_4),
    "opencv, 1/8": lambda path: decode_opencv(path, cv2.IMREAD_REDUCED_COLOR_8),
    "opencv, as stored": lambda path: decode_opencv(path, cv2.IMREAD_UNCHANGED),
    "torchvision": decode_torchvision,
    "read_image": decode_ours,
    "read_image, min_size": lambda path: decode_ours(path, MIN_SIZE),
}


def draw_picture(height: int, width: int) -> Pixels:
    """Returns smooth shapes with a little noise, as photographs have them."""
    generator = np.random.default_rng(0)
    rows, columns = np.mgrid[0:height, 0:width]
    gray = 128 + 60 * np.sin(columns / 97.0) * np.cos(rows / 53.0)
    layers = [np.roll(gray, shift, axis=1) for shift in (0, 50, 90)]
    noisy = np.stack(layers, axis=2) + generator.normal(0, 3, (height, width, 1))
    return noisy.clip(0, 255).astype(np.uint8)


def write_files(folder: Path) -> dict[str, tuple[Path, Pixels]]:
    """Returns the files by name, each with the pixels that it should give."""
    files: dict[str, tuple[Path, Pixels]] = {}
    for name, height, width in (("640", 640, 640), ("4096", 2048, 4096)):
        picture = draw_picture(height, width)
        deep = picture.astype(np.uint16) * 256 + 7
        image = Image.fromarray(picture)
        for suffix, options in (("jpg", {"quality": 95}), ("png", {}), ("tif", {})):
            path = folder / f"{name}.{suffix}"
            image.save(path, **options)  # type: ignore[arg-type]
            files[f"{suffix} {name}"] = (path, picture)
        for suffix in ("png", "tif"):
            path = folder / f"{name}_16.{suffix}"
            cv2.imwrite(str(path), np.ascontiguousarray(deep[..., ::-1]))
            files[f"{suffix} 16 bit {name}"] = (path, deep)
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = draw_picture(640, 640)
    path = folder / "exif.jpg"
    Image.fromarray(np.rot90(turned)).save(path, exif=exif.tobytes(), quality=95)
    files["jpg 640 turned by EXIF"] = (path, turned)
    return files


def compare(pixels: Pixels, expected: Pixels, *, reduced: bool) -> str:
    """Returns whether the pixels are the expected ones, within what JPEG loses."""
    if reduced and pixels.shape != expected.shape:
        return "smaller"
    if pixels.shape != expected.shape:
        return f"WRONG SHAPE {pixels.shape}"
    if expected.dtype == np.uint16 and pixels.dtype == np.uint8:
        low, high = int(expected.min()), int(expected.max())
        linear = (expected.astype(float) - low) * 255 / (high - low)
        if np.abs(linear - pixels).max() <= 1:
            return "right, stretched"
        return "REDUCED TO 8 BITS"
    away = np.abs(pixels.astype(int) - expected.astype(int))
    off = np.percentile(away, 99.9)
    return "right" if off <= (8 if expected.dtype == np.uint8 else 0) else f"WRONG BY {off:.0f}"


def measure(ways: dict[str, Decoder], path: Path, rounds: int) -> dict[str, float]:
    """Returns the median milliseconds of each way; the ways take turns."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, decode in ways.items():
            start = time.perf_counter()
            decode(path)
            times[name].append(time.perf_counter() - start)
    return {name: 1000 * statistics.median(values) for name, values in times.items()}


def show_speed(folder: Path, rounds: int) -> None:
    for kind, (path, expected) in write_files(folder).items():
        print(f"\n{kind}: milliseconds, ratio to Pillow, result")
        ways: dict[str, Decoder] = {}
        results: dict[str, str] = {}
        for name, decode in WAYS.items():
            reduced = any(word in name for word in ("draft", "1/", "min_size"))
            if reduced and path.suffix != ".jpg":
                continue
            try:
                results[name] = compare(decode(path), expected, reduced=reduced)
                ways[name] = decode
            except (OSError, RuntimeError) as error:
                results[name] = f"cannot: {str(error).splitlines()[0][:60]}"
        times = measure(ways, path, rounds)
        for name, result in results.items():
            if name in times:
                ratio = times[name] / times["pillow"]
                print(f"  {name:22} {times[name]:8.2f}  {ratio:5.2f}  {result}")
            else:
                print(f"  {name:22}        -      -  {result}")


def write_damaged(folder: Path) -> dict[str, Path]:
    """Returns damaged files by name."""
    picture = draw_picture(240, 320)
    image = Image.fromarray(picture)
    paths: dict[str, Path] = {}
    for kind, suffix, options in (
        ("jpg", "JPEG", {"quality": 95}),
        ("png", "PNG", {}),
        ("tif", "TIFF", {}),
        ("tif, lzw", "TIFF", {"compression": "tiff_lzw"}),
    ):
        stream = io.BytesIO()
        image.save(stream, suffix, **options)
        data = stream.getvalue()
        middle = len(data) // 2
        zeroed = data[:middle] + bytes(50) + data[middle + 50 :]
        for damage, damaged in zip(DAMAGES, (data[:middle], zeroed), strict=True):
            path = folder / f"{kind[:3]}_{len(paths)}.{kind[:3]}"
            path.write_bytes(damaged)
            paths[f"{kind}, {damage}"] = path
    return paths


def try_damaged(way: str, path: Path) -> str:
    """Returns what a decoder does with a damaged file, in a process of its own."""
    command = [sys.executable, __file__, "--decode", way, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    result = done.stdout.strip() if done.returncode == 0 else f"CRASH ({done.returncode})"
    return f"{result}, writes to stderr" if done.stderr.strip() else result


def show_damage(folder: Path) -> None:
    ways = ("pillow", "opencv", "torchvision", "read_image")
    print("\nA damaged file should be an error, or an image where the format has no checks")
    print(f"{'':24}" + "".join(f"{way:28}" for way in ways))
    for kind, path in write_damaged(folder).items():
        if kind.startswith("tif"):
            results = [try_damaged(way, path) for way in ways if way != "torchvision"]
            results.insert(2, "cannot read TIFF")
        else:
            results = [try_damaged(way, path) for way in ways]
        print(f"{kind:24}" + "".join(f"{result:28}" for result in results))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--decode", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    if options.decode:
        way, path = options.decode
        try:
            WAYS[way](Path(path))
        except (OSError, RuntimeError, SyntaxError):
            print("error")
        else:
            print("image")
        return
    versions = f"Pillow {metadata.version('pillow')}, OpenCV {cv2.__version__}"
    print(f"{versions}, PyTorch {torch.__version__}; one thread, median of {options.rounds}")
    with tempfile.TemporaryDirectory() as folder:
        show_speed(Path(folder), options.rounds)
        show_damage(Path(folder))


if __name__ == "__main__":
    main()
