"""FITS images, by astropy (extra `fits`)."""

from __future__ import annotations

import gzip
import io
import zlib
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from planetvision.data.decoders.registry import MAX_BYTES, DecodedImage, ImageFacts, ImageFile
from planetvision.errors import MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["decode_fits", "is_fits"]

_MAGIC = b"SIMPLE  ="
_GZIP = b"\x1f\x8b"
_BLOCK_BYTES = 1 << 20
# A header that says so is damaged: real files hold a few tens.
_MAX_HDUS = 1000


def is_fits(head: bytes) -> bool:
    """Returns whether a FITS file begins like this, gzip's compression included."""
    if not head.startswith(_GZIP):
        return head.startswith(_MAGIC)
    try:
        return _unzip(io.BytesIO(head), len(_MAGIC)).startswith(_MAGIC)
    except OSError:
        return False


def decode_fits(file: ImageFile) -> DecodedImage:
    """Returns an image of a FITS file, upright.

    It is the part (HDU) that was asked for by index or name, and else the first that holds a 2-D
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
    if file.head.startswith(_GZIP):
        data = _unzip(file.stream, MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise file.fail(f"it unpacks to more than the limit of {MAX_BYTES:,} bytes")
        file = ImageFile.from_bytes(data, file.name, hdu=file.hdu)
    with fits.open(file.stream, mode="readonly", memmap=False, lazy_load_hdus=True) as hdus:
        hdu = _choose(hdus, file)
        *planes, height, width = _get_shape(hdu)
        channels = 3 if planes else 1
        bits = abs(int(hdu.header["BITPIX"]))
        compressed = isinstance(hdu, fits.CompImageHDU)
        stored = 0 if compressed else height * width * channels * bits // 8
        file.check_size(height, width, stored)
        values = np.asarray(hdu.data)
        facts = ImageFacts(
            height=height,
            width=width,
            bits=bits,
            channels=channels,
            format="FITS",
            pages=sum(_is_image(other) for other in _walk(hdus)),
        )
    values = values.reshape(*planes, height, width)
    values = np.moveaxis(values, 0, 2) if planes else values
    return DecodedImage(values[::-1], facts)


def _unzip(stream: BinaryIO, limit: int) -> bytes:
    """Returns up to `limit` bytes of what gzip packed, in one member or several."""
    unpacked = bytearray()
    try:
        with gzip.GzipFile(fileobj=stream) as packed:
            # In blocks: what is asked for at once is taken from memory before it is read.
            while block := packed.read(min(_BLOCK_BYTES, limit - len(unpacked))):
                unpacked += block
    except (EOFError, zlib.error) as cause:
        raise OSError(f"gzip: {cause}") from cause
    return bytes(unpacked)


def _walk(hdus: Any) -> Iterator[Any]:
    """Yields the parts, until there is none or one cannot be read."""
    for index in range(_MAX_HDUS):
        try:
            yield hdus[index]
        # What follows a good image may be damaged in any way; the image is still good.
        except Exception:
            if index == 0:
                raise
            return


def _get_shape(hdu: Any) -> tuple[int, ...]:
    """Returns the shape without leading axes of length 1; () of what is no image."""
    shape: tuple[int, ...] = hdu.shape if hdu.is_image else ()
    while len(shape) > 2 and shape[0] == 1:
        shape = shape[1:]
    return shape


def _is_image(hdu: Any) -> bool:
    shape = _get_shape(hdu)
    return (len(shape) == 2 or (len(shape) == 3 and shape[0] == 3)) and min(shape) > 0


def _choose(hdus: Any, file: ImageFile) -> Any:
    wanted = file.hdu
    if wanted is None:
        for hdu in _walk(hdus):
            if _is_image(hdu):
                return hdu
        raise file.fail(
            f"it holds neither a 2-D image nor a cube of three planes; it holds {_list_parts(hdus)}"
        )
    for index, hdu in enumerate(_walk(hdus)):
        if index == wanted or (isinstance(wanted, str) and hdu.name == wanted.strip().upper()):
            if not _is_image(hdu):
                raise file.fail(
                    f"its HDU {wanted!r} is neither a 2-D image nor a cube of three planes; it "
                    f"holds {_list_parts(hdus)}"
                )
            return hdu
    raise file.fail(f"it has no HDU {wanted!r}; it holds {_list_parts(hdus)}")


def _list_parts(hdus: Any) -> str:
    parts = []
    for index, hdu in enumerate(_walk(hdus)):
        shape = " x ".join(map(str, hdu.shape)) if hdu.is_image else "a table"
        parts.append(f"{index} {hdu.name or 'unnamed'} ({shape or 'no data'})")
    return ", ".join(parts[:10])
