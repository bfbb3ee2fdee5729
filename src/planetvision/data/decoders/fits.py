"""FITS images, by astropy (extra `fits`)."""

from __future__ import annotations

import contextlib
import gzip
import io
import math
import re
import zlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from planetvision.core.errors import ImageError, MissingExtraError
from planetvision.data.decoders.registry import MAX_BYTES, DecodedImage, ImageFacts, ImageFile

if TYPE_CHECKING:
    from collections.abc import Iterator


_MAGIC = b"SIMPLE  ="
_GZIP = b"\x1f\x8b"
_BLOCK_BYTES = 1 << 20
# Real files hold a few tens; a file with more is damaged.
_MAX_HDUS = 500
# Headers of mosaics list thousands of frames; 1000 blocks hold 36,000 cards.
_HEADER_BLOCK_BYTES = 2880
_MAX_HEADER_BLOCKS = 1000
# astropy counts up to these before it looks at anything else. The standard allows 999.
_COUNT = re.compile(rb"(?:HIERARCH\s+)?(Z?NAXIS|TFIELDS)\s*=\s*([+-]?\d+)", re.IGNORECASE)
_MAX_COUNT = 999
# What small files may unpack to, and how many times its size a larger one.
_SMALL_BYTES = 1 << 27
_MAX_GZIP_RATIO = 100
# Pixels that any packed image may have, and how many more for each byte: gzip's best is 1032.
_SMALL_PIXELS = 1 << 22
_MAX_PIXELS_A_BYTE = 1000
_MAX_TILES = 100_000
# The C code of the others, HCOMPRESS and PLIO, follows lengths in its input out of its memory.
_SAFE = ("RICE_1", "RICE_ONE", "GZIP_1", "GZIP_2", "NOCOMPRESS")


def is_fits(head: bytes) -> bool:
    """Returns whether a file with this start is FITS, plain or packed by gzip."""
    if not head.startswith(_GZIP):
        return head.startswith(_MAGIC)
    try:
        return _unzip(io.BytesIO(head), len(_MAGIC)).startswith(_MAGIC)
    except OSError:
        return False


def decode_fits(file: ImageFile) -> DecodedImage:
    """Returns an image of a FITS file, upright.

    It is the HDU given by index or name, or else the first that holds a 2-D
    image or a cube of three planes, which become red, green and blue; leading axes of length 1, as
    radio astronomy has them, do not count. BZERO and BSCALE are followed; BLANK and NaN values are
    missing. The rows of FITS count from the bottom of the picture: they are turned over, so that
    the first row of the result is the top.

    References:
        Pence, W. D., et al. (2010), "Definition of the Flexible Image Transport System (FITS),
        version 3.0", A&A 524, A42, doi:10.1051/0004-6361/201015362.
    """
    try:
        from astropy.io import fits
    except ImportError as cause:
        raise MissingExtraError.for_feature(
            "Reading FITS images", package="astropy", extra="fits"
        ) from cause
    file = _unpack(file)
    _check_header(file, 0)
    with fits.open(file.stream, mode="readonly", memmap=False, lazy_load_hdus=True) as hdus:
        index, hdu = _choose(hdus, file)
        *planes, height, width = _get_shape(hdu)
        channels = 3 if planes else 1
        bits = abs(int(hdu.header["BITPIX"]))
        _check_size(hdu, index, file)
        values = np.asarray(hdu.data)
        pages = 0
        with contextlib.suppress(ImageError):  # of an HDU behind the image
            for other in _walk(hdus, file):
                pages += _is_image(other)
        facts = ImageFacts(
            height=height, width=width, bits=bits, channels=channels, format="FITS", pages=pages
        )
    values = values.reshape(*planes, height, width)
    values = np.moveaxis(values, 0, 2) if planes else values
    return DecodedImage(values[::-1], facts)


def check_fits(file: ImageFile) -> None:
    """Checks all HDUs of a FITS file that another library will read.

    Args:
        file: The file.

    Raises:
        ImageError: If an HDU is damaged, too large or of a compression that is not safe to read.
    """
    from astropy.io import fits

    file = _unpack(file)
    _check_header(file, 0)
    with fits.open(file.stream, mode="readonly", memmap=False, lazy_load_hdus=True) as hdus:
        for index, hdu in enumerate(_walk(hdus, file)):
            if _is_image(hdu):
                _check_size(hdu, index, file)


def _unpack(file: ImageFile) -> ImageFile:
    """Returns the file without the compression of gzip, checked to be FITS.

    astropy would unpack other archives, too, and without a limit.
    """
    if file.head.startswith(_GZIP):
        limit = min(MAX_BYTES, max(_SMALL_BYTES, _MAX_GZIP_RATIO * file.size))
        data = _unzip(file.stream, limit + 1)
        if len(data) > limit:
            raise file.fail(f"it unpacks to more than the limit of {limit:,} bytes")
        file = replace(file, stream=io.BytesIO(data), size=len(data))
    if not file.head.startswith(_MAGIC[:6]):
        raise file.fail("it is damaged or no FITS file (it does not begin with SIMPLE)")
    return file


def _check_header(file: ImageFile, offset: int) -> None:
    """Checks the header at this place before astropy reads it."""
    file.stream.seek(offset)
    for _ in range(_MAX_HEADER_BLOCKS):
        block = file.stream.read(_HEADER_BLOCK_BYTES)
        for start in range(0, len(block), 80):
            card = block[start : start + 80]
            count = _COUNT.match(card)
            if count is not None and not 0 <= int(count[2]) <= _MAX_COUNT:
                name = count[1].decode().upper()
                raise file.fail(
                    f"it is damaged (its header gives {name} as {int(count[2])}, FITS allows 0 to "
                    f"{_MAX_COUNT})"
                )
            if card.rstrip() == b"END":
                file.stream.seek(offset)
                return
        if not block:  # astropy says what is missing
            file.stream.seek(offset)
            return
    raise file.fail(
        f"it is damaged (a header has no END in {_MAX_HEADER_BLOCKS * _HEADER_BLOCK_BYTES:,} bytes)"
    )


def _check_size(hdu: Any, index: int, file: ImageFile) -> None:
    """Checks that the file holds what the header of this image promises."""
    from astropy.io import fits

    height, width = _get_shape(hdu)[-2:]
    if not isinstance(hdu, fits.CompImageHDU):
        file.check_size(height, width, hdu.size)
        return
    file.stream.seek(0)
    # Not closed: that would close the stream.
    tables = fits.open(file.stream, mode="readonly", memmap=False, disable_image_compression=True)
    table = tables[index]
    file.check_size(height, width, table.size)
    kind = str(table.header["ZCMPTYPE"])
    if kind not in _SAFE and not file.allow_unsafe:
        raise file.fail(
            f"its HDU {index} is packed by {kind}, whose decoder may end the whole process if the "
            "data are damaged; pass `allow_unsafe=True` to `read_image` if you trust the file"
        )
    if math.prod(hdu.shape) > _SMALL_PIXELS + _MAX_PIXELS_A_BYTE * table.size:
        raise file.fail(
            f"it is damaged (its header promises {width} x {height} pixels in {table.size:,} "
            "packed bytes)"
        )
    sides = [int(table.header[f"ZTILE{axis}"]) for axis in range(len(hdu.shape), 0, -1)]
    if min(sides) < 1:
        raise file.fail(f"it is damaged (its tiles have {sides[-1]} x {sides[-2]} pixels)")
    tiles = math.prod(-(-side // tile) for side, tile in zip(hdu.shape, sides, strict=True))
    if tiles > _MAX_TILES:
        raise file.fail(f"it has {tiles:,} tiles, over the limit of {_MAX_TILES:,}")
    _check_tiles(table, kind, math.prod(map(min, hdu.shape, sides)), file)


def _check_tiles(table: Any, kind: str, pixels: int, file: ImageFile) -> None:
    """Checks that packed tiles share no bytes and unpack to no more than their pixels.

    Args:
        table: The table that holds them: in each row where they lie, and behind it the bytes.
        kind: How they are packed.
        pixels: How many a tile has at most.
        file: The file.
    """
    row_bytes, rows = int(table.header["NAXIS1"]), int(table.header["NAXIS2"])
    if table.columns.dtype.itemsize != row_bytes:
        raise file.fail(f"it is damaged (the columns of its table do not have {row_bytes} bytes)")
    places = table.data.view(np.ndarray)
    start = table.fileinfo()["datLoc"] + int(table.header.get("THEAP", row_bytes * rows))
    packed_bytes = 0
    for column in table.columns:
        item = {"I": 2, "J": 4, "E": 4, "D": 8}.get(column.format.partition("(")[0][-1:], 1)
        if places.dtype[column.name].shape != (2,):
            continue
        for size, place in places[column.name].astype(np.int64).tolist():
            packed_bytes += size * item
            if size < 0 or place < 0 or packed_bytes > table.size:
                raise file.fail("it is damaged (its tiles have more bytes than its table)")
            is_gzip = column.name == "GZIP_COMPRESSED_DATA" or (
                column.name == "COMPRESSED_DATA" and kind.startswith("GZIP")
            )
            if is_gzip and size:
                file.stream.seek(start + place)
                limit = 8 * pixels
                stream = io.BytesIO(file.stream.read(size * item))
                if len(_unzip(stream, limit + 1)) > limit:
                    raise file.fail(f"a tile of it unpacks to more than {limit:,} bytes")


def _unzip(stream: BinaryIO, limit: int) -> bytes:
    """Returns up to `limit` bytes of what gzip packed, in one member or several."""
    unpacked = bytearray()
    try:
        with gzip.GzipFile(fileobj=stream) as packed:
            # In blocks, since reading allocates the requested size first.
            while block := packed.read(min(_BLOCK_BYTES, limit - len(unpacked))):
                unpacked += block
    except (EOFError, zlib.error) as cause:
        raise OSError(f"gzip: {cause}") from cause
    return bytes(unpacked)


def _walk(hdus: Any, file: ImageFile) -> Iterator[Any]:
    """Yields the HDUs up to the first that cannot be read."""
    for index in range(_MAX_HDUS):
        try:
            hdu = hdus[index]
        # What follows a good image may be damaged in any way; the image is still good.
        except Exception:
            if index == 0:
                raise
            return
        yield hdu
        place = hdu.fileinfo()
        if place["datSpan"] < 0:
            raise file.fail(f"it is damaged (its HDU {index} has {place['datSpan']:,} bytes)")
        _check_header(file, place["datLoc"] + place["datSpan"])


def _get_shape(hdu: Any) -> tuple[int, ...]:
    """Returns the shape without leading axes of length 1, or () if it is no image."""
    shape: tuple[int, ...] = hdu.shape if hdu.is_image else ()
    while len(shape) > 2 and shape[0] == 1:
        shape = shape[1:]
    return shape


def _is_image(hdu: Any) -> bool:
    shape = _get_shape(hdu)
    return (len(shape) == 2 or (len(shape) == 3 and shape[0] == 3)) and min(shape) > 0


def _choose(hdus: Any, file: ImageFile) -> tuple[int, Any]:
    wanted = file.hdu
    if wanted is None:
        for index, hdu in enumerate(_walk(hdus, file)):
            if _is_image(hdu):
                return index, hdu
        raise file.fail(
            "it holds neither a 2-D image nor a cube of three planes; it holds "
            f"{_list_parts(hdus, file)}"
        )
    for index, hdu in enumerate(_walk(hdus, file)):
        if index == wanted or (isinstance(wanted, str) and hdu.name == wanted.strip().upper()):
            if not _is_image(hdu):
                raise file.fail(
                    f"its HDU {wanted!r} is neither a 2-D image nor a cube of three planes; it "
                    f"holds {_list_parts(hdus, file)}"
                )
            return index, hdu
    raise file.fail(f"it has no HDU {wanted!r}; it holds {_list_parts(hdus, file)}")


def _list_parts(hdus: Any, file: ImageFile) -> str:
    parts = []
    for index, hdu in enumerate(_walk(hdus, file)):
        shape = " x ".join(map(str, hdu.shape)) if hdu.is_image else "a table"
        parts.append(f"{index} {hdu.name or 'unnamed'} ({shape or 'no data'})")
    return ", ".join(parts[:10])
