"""TIFF files: Pillow reads them, and OpenCV the layouts that Pillow has no mode for."""

from __future__ import annotations

import ctypes
import functools
import importlib
import threading
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import TiffImagePlugin, UnidentifiedImageError

from planetvision.core.errors import ImageError
from planetvision.data.decoders.pillow import decode_with_pillow
from planetvision.data.decoders.registry import DecodedImage, ImageFacts, ImageFile
from planetvision.data.decoders.tiff_layout import TiffLayout, check_layout

_LOG_LEVEL = threading.Lock()


def decode_tiff(file: ImageFile) -> DecodedImage:
    """Returns the first page of a TIFF file.

    Raises:
        ImageError: If it is damaged, or of a layout that is not read.
    """
    _silence_libtiff()
    try:
        return decode_with_pillow(file, "TIFF")
    except ImageError as error:
        if not isinstance(error.__cause__, UnidentifiedImageError):
            raise
        layout = _read_layout(file)
        check_layout(layout, file)
        decoded = _decode_wide(layout, file)
        if decoded is None:
            raise
        return decoded


def _read_layout(file: ImageFile) -> TiffLayout:
    file.stream.seek(0)
    head = file.stream.read(8)
    if head.startswith(b"MM\0+"):
        raise file.fail(
            "it is a BigTIFF in big-endian byte order, expected little-endian. Save it as a TIFF "
            "without the option BigTIFF"
        )
    if head.startswith(b"II+"):
        head += file.stream.read(8)
    tags = TiffImagePlugin.ImageFileDirectory_v2(head)
    file.stream.seek(tags.next)
    tags.load(file.stream)
    return TiffLayout.from_tags(tags, file)


def _decode_wide(layout: TiffLayout, file: ImageFile) -> DecodedImage | None:
    """Returns a TIFF of 16 to 64 bits in a layout that Pillow has no mode for, or None.

    OpenCV reads nothing that Pillow can read, because it returns some damaged files of 8 bits as
    images without an error. It turns the picture upright itself.
    """
    import cv2

    bits = layout.bits[0]
    if bits < 16:
        return None
    size = layout.height * layout.width * layout.samples * bits // 8
    file.check_size(layout.height, layout.width, size if layout.compression == 1 else 0)
    log = cv2.utils.logging
    with _LOG_LEVEL:  # the level is the process's, and threads must not restore each other's
        level = log.getLogLevel()
        log.setLogLevel(log.LOG_LEVEL_SILENT)
        try:
            read: Any = cv2.imdecode(np.frombuffer(file.read(), np.uint8), cv2.IMREAD_UNCHANGED)
        finally:
            log.setLogLevel(level)
    expected = np.dtype(f"{layout.type[0]}{bits // 8}")
    if read is None or read.itemsize != expected.itemsize:
        return None
    # OpenCV 4 has no unsigned 32 bits and gives the signed ones, which hold the same bytes.
    if (read.dtype.kind, expected.kind) == ("i", "u"):
        read = read.view(expected)
    if read.dtype != expected:
        return None
    values: npt.NDArray[Any] = read[..., 2::-1] if read.ndim == 3 else read
    if layout.is_inverted:
        values = np.iinfo(expected).max - values
    facts = ImageFacts(
        height=layout.height,
        width=layout.width,
        bits=bits,
        channels=layout.samples,
        format="TIFF",
    )
    return DecodedImage(values, facts)


@functools.cache
def _silence_libtiff() -> None:
    """Takes from Pillow's libtiff the handlers that write damage to the error stream.

    Pillow raises an error all the same. Where the library cannot be reached (one that is linked
    statically), the lines appear and nothing else changes.
    """
    try:
        library = ctypes.CDLL(importlib.import_module("PIL._imaging").__file__)
        for name in ("TIFFSetErrorHandler", "TIFFSetWarningHandler"):
            handler = getattr(library, name)
            handler.argtypes, handler.restype = [ctypes.c_void_p], ctypes.c_void_p
            handler(None)
    except (AttributeError, OSError, TypeError):
        return
