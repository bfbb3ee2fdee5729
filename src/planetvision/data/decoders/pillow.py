"""The formats that Pillow reads, at their full depth where Pillow itself would reduce it.

Pillow was chosen over OpenCV and torchvision by `benchmarks/decoding.py`: it is as fast where
images are reduced on reading, notices damage, and neither writes to the error stream nor crashes.
"""

from __future__ import annotations

import logging
import re
import sys
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from PIL import Image, TiffImagePlugin, UnidentifiedImageError
from PIL import ImageFile as PillowFile

from planetvision.data.decoders.registry import DecodedImage, ImageFacts, ImageFile
from planetvision.data.decoders.tiff_layout import TiffLayout, check_layout

Values = npt.NDArray[Any]

_ORIENTATION_TAG = 0x0112
# Pillow keeps the high byte of each value only. The same bytes read in the other order give the
# low byte.
_OTHER_ORDER = {
    "16B": "16L",
    "16L": "16B",
    "16N": "16L" if sys.byteorder == "big" else "16B",
}
# libtiff gives values in the machine's order, and Pillow swaps the bytes of these once more.
_NATIVE_ORDER = {"I;16BS": "I;16NS", "I;32BS": "I;32NS", "F;32BF": "F;32NF"}
# Pillow logs some damage before it raises. Without any handler Python would print that.
logging.getLogger("PIL").addHandler(logging.NullHandler())


def decode_with_pillow(file: ImageFile, *formats: str) -> DecodedImage:
    """Returns the image in a file of one of these formats of Pillow's."""
    try:
        with Image.open(file.stream, formats=formats) as image:
            file.check_size(image.height, image.width)
            size = image.size
            if file.min_size is not None:
                image.draft("RGB", (file.min_size, file.min_size))
            return decode_opened(image, file, formats=formats, size=size)
    except UnidentifiedImageError as cause:
        raise file.fail(
            f"it is not an image in a format that is known: it is no {formats[0]} that can be read"
        ) from cause
    except Image.DecompressionBombError as cause:
        raise file.fail(f"it has too many pixels ({cause})") from cause


def decode_opened(
    image: Image.Image,
    file: ImageFile,
    *,
    formats: tuple[str, ...] = (),
    size: tuple[int, int] | None = None,
) -> DecodedImage:
    """Returns the values of a Pillow image, upright and on black.

    Args:
        image: The image; what was not decoded before is decoded now.
        file: Where it comes from, for messages.
        formats: The formats to open the file by again, for deep colour; none if there is no file.
        size: Width and height in the file, if it is to be decoded smaller.
    """
    width, height = size or image.size
    file.check_size(height, width)
    layout = None
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        layout = TiffLayout.from_tags(image.tag_v2, file)
        check_layout(layout, file)
        height, width = layout.height, layout.width
        _set_native_order(image)
    mode, format_name = image.mode, image.format or "Pillow image"
    rawmode = _get_rawmode(image) if formats else ""
    values, bits = _read_deep(image, rawmode, file, formats, layout)
    if values is None:
        image.load()
        orientation = image.getexif().get(_ORIENTATION_TAG, 1)
        values, bits = _read_shallow(image), 1 if mode == "1" else 8
    else:
        orientation = image.getexif().get(_ORIENTATION_TAG, 1)
    if rawmode.startswith("LA"):  # Pillow opens 16 bits of it as RGBA
        mode = "LA"
    channels = {"LA": 2, "RGB": 3, "RGBA": 4, "RGBa": 4, "CMYK": 4, "YCbCr": 3, "LAB": 3}
    facts = ImageFacts(
        height=height,
        width=width,
        bits=bits,
        channels=channels.get(mode, 1),
        format=format_name,
        pages=_count_pages(image),
    )
    return DecodedImage(_turn(values, orientation), facts)


_PNM_TOKEN = re.compile(rb"(?:\s+|#[^\r\n]*[\r\n])*([0-9]+)")


def decode_pnm(file: ImageFile) -> DecodedImage:
    """Returns a PBM, PGM, PPM or PFM image; gray and colour of up to 16 bits."""
    data = file.head
    kind = data[:2]
    numbers: list[int] = []
    end = 2
    while kind in (b"P2", b"P3", b"P5", b"P6") and len(numbers) < 3:
        token = _PNM_TOKEN.match(data, end)
        if token is None:
            raise file.fail("it is damaged or truncated (its header holds no three numbers)")
        numbers.append(int(token[1][:20]))
        end = token.end()
    if len(numbers) < 3 or numbers[2] < 256:
        return decode_with_pillow(file, "PPM")
    width, height, peak = numbers
    if peak > 65535:
        raise file.fail(f"its largest value is {peak}, at most 65535 was expected")
    channels = 3 if kind in (b"P3", b"P6") else 1
    count = height * width * channels
    plain = kind in (b"P2", b"P3")
    file.check_size(height, width, count * 2)
    data = file.read()
    if plain:
        words = re.sub(rb"#[^\r\n]*", b"", data[end:]).split(maxsplit=count)[:count]
        if len(words) < count or not all(word.isdigit() and len(word) < 6 for word in words):
            raise file.fail("it is damaged or truncated (not all its values are numbers)")
        values = np.array(words, dtype=np.uint32).astype(np.uint16)
    else:
        values = np.frombuffer(data, ">u2", count, end + 1).astype(np.uint16)
    shape = (height, width, 3) if channels == 3 else (height, width)
    facts = ImageFacts(
        height=height, width=width, bits=peak.bit_length(), channels=channels, format="PPM"
    )
    return DecodedImage(values.reshape(shape), facts)


def _count_pages(image: Image.Image) -> int:
    try:
        return int(getattr(image, "n_frames", 1))
    # What follows a good first page may be damaged in any way.
    except Exception:
        return 1


def _get_rawmode(image: Image.Image) -> str:
    tiles = getattr(image, "tile", ())
    if not tiles:
        return ""
    arguments = tiles[0][3]
    rawmode = arguments[0] if isinstance(arguments, tuple) and arguments else arguments
    return rawmode if isinstance(rawmode, str) else ""


def _read_shallow(image: Image.Image) -> Values:
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        pixels = image.convert("RGBA")
        black = Image.new("RGBA", pixels.size, (0, 0, 0, 255))
        image = Image.alpha_composite(black, pixels)
    if image.mode not in ("L", "RGB"):
        image = image.convert("RGB")
    return np.asarray(image, dtype=np.uint8)


def _read_deep(
    image: Image.Image,
    rawmode: str,
    file: ImageFile,
    formats: tuple[str, ...],
    layout: TiffLayout | None,
) -> tuple[Values | None, int]:
    """Returns values of more than 8 bits and how many bits they have, or None and 8."""
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        return _read_gray(image, rawmode, layout)
    order = rawmode.partition(";")[2]
    if order not in _OTHER_ORDER:
        return None, 8
    if rawmode.startswith("LA"):  # gray and opacity of two bytes each: four bytes, as RGBA has
        _set_rawmode(image, "RGBA")
        image._mode = "RGBA"
        parts = np.asarray(image).astype(np.uint16)
        gray, opacity = (parts[..., first] * 256 + parts[..., first + 1] for first in (0, 2))
        return _put_on_black(gray, opacity), 16
    image.load()
    high = np.asarray(image).astype(np.uint16)
    with Image.open(file.stream, formats=formats) as again:
        _set_rawmode(again, rawmode.replace(order, _OTHER_ORDER[order]))
        values = high * 256 + np.asarray(again)
    transparent = image.info.get("transparency")
    if image.mode == "CMYK":
        ink = 65535.0 - values.astype(np.float32)
        return ink[..., :3] * ink[..., 3:] / 65535.0, 16
    if image.mode == "RGBA":
        return _put_on_black(values[..., :3], values[..., 3]), 16
    if isinstance(transparent, tuple):
        opacity = np.where((values == transparent).all(axis=2), 0, 65535)
        return _put_on_black(values, opacity), 16
    return values, 16


def _read_gray(image: Image.Image, rawmode: str, layout: TiffLayout | None) -> tuple[Values, int]:
    image.load()
    values: Values = np.asarray(image)
    stored = 0 if layout is None else layout.bits[0]
    if layout is not None and layout.type == "u32":  # Pillow has the signed ones only
        values = values.view(np.uint32)
    if layout is not None and layout.is_inverted:  # Pillow heeds it for 8 bits only
        values = np.iinfo(values.dtype).max - values
    transparent = image.info.get("transparency")
    if isinstance(transparent, int) and values.dtype.kind in "iu":
        return _put_on_black(values, np.where(values == transparent, 0, 65535)), 16
    depth = 16 if "16" in image.mode or "16" in rawmode else 32
    return values, stored if stored > 8 else depth


def _put_on_black(values: Values, opacity: Values) -> Values:
    """Returns the values weighted by 16 bits of opacity; what is not seen at all is missing."""
    share = opacity.astype(np.float32) / np.float32(65535)
    share = share[..., None] if values.ndim == 3 else share
    return np.where(share > 0, values * share, np.float32(np.nan))


def _set_rawmode(image: Image.Image, rawmode: str) -> None:
    tiles: list[Any] = []
    for tile in cast(PillowFile.ImageFile, image).tile:
        arguments: Any = tile[3]
        changed = (rawmode, *arguments[1:]) if isinstance(arguments, tuple) else rawmode
        # A named tuple since Pillow 11, a plain one before.
        make: Any = getattr(tile, "_make", tuple)
        tiles.append(make((*tuple(tile)[:3], changed)))
    cast(PillowFile.ImageFile, image).tile = tiles


def _set_native_order(image: Image.Image) -> None:
    tiles: Any = getattr(image, "tile", ())
    rawmode = _get_rawmode(image)
    if tiles and tiles[0][0] == "libtiff" and rawmode in _NATIVE_ORDER:
        _set_rawmode(image, _NATIVE_ORDER[rawmode])


def _turn(values: Values, orientation: object) -> Values:
    """Returns the picture as its EXIF orientation wants it seen (JEITA CP-3451, tag 274)."""
    if orientation in (5, 6, 7, 8):
        values = values.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        values = values[::-1]
    if orientation in (2, 3, 6, 7):
        values = values[:, ::-1]
    return values
