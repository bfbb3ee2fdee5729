"""Decoding: whatever the file was becomes an RGB uint8 array, or an `ImageError` that says why."""

from __future__ import annotations

import io
import os
import threading
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import numpy as np
import numpy.typing as npt

from planetvision.errors import ImageError

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["IMAGE_SUFFIXES", "ImageArray", "ImageSource", "describe_source", "read_image"]

ImageArray: TypeAlias = npt.NDArray[np.uint8]
ImageSource: TypeAlias = "str | os.PathLike[str] | bytes | ImageArray | Image.Image"

IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp", ".gif", ".ppm", ".pgm"}
)
_MAX_PIXELS = 300_000_000


def describe_source(source: object, index: int | None = None) -> str:
    """Returns how messages and tables name a source: its path, or its kind and index."""
    if isinstance(source, str | os.PathLike):
        return os.fspath(source)
    kind = {np.ndarray: "array", bytes: "bytes"}.get(type(source), "image")
    return f"<{kind}>" if index is None else f"<{kind} {index}>"


def read_image(source: ImageSource, *, min_size: int | None = None) -> ImageArray:
    """Returns the image as an RGB array.

    It follows the EXIF orientation, puts transparent pixels on black, repeats gray in all three
    channels, takes the first frame of an animation, and scales 16-bit values linearly, so that
    the full range of the type becomes 0 to 255.

    Convention: uint8 of shape (H, W, 3), values in [0, 255].

    Args:
        source: A path, the bytes of a file, a Pillow image, or an array: uint8 of shape (H, W, 3),
            or (H, W) for gray.
        min_size: A JPEG that is much larger may be decoded at a reduced size of which both sides
            are still at least this many pixels; it is faster. None decodes all of it.

    Raises:
        ImageError: If it cannot be read; the message names the source and the cause.
    """
    if isinstance(source, np.ndarray):
        return _check_array(source)
    from PIL import Image, UnidentifiedImageError

    name = describe_source(source)
    try:
        with _QUIET:
            if isinstance(source, Image.Image):
                return _to_array(source, name)
            with Image.open(_check_file(source, name)) as image:
                if image.width * image.height > _MAX_PIXELS:
                    raise _fail(
                        name,
                        f"it has {image.width} x {image.height} pixels, over the limit of "
                        f"{_MAX_PIXELS:,}",
                    )
                if min_size is not None:
                    image.draft("RGB", (min_size, min_size))
                return _to_array(image, name)
    except ImageError:
        raise
    except UnidentifiedImageError as cause:
        raise _fail(name, "it is not an image in a format that Pillow knows") from cause
    except PermissionError as cause:
        raise _fail(name, "no permission to read it") from cause
    except Image.DecompressionBombError as cause:
        raise _fail(name, f"it has too many pixels ({cause})") from cause
    # Pillow's decoders raise a wide range of built-ins on damaged files.
    except Exception as cause:
        raise _fail(name, f"it is damaged or truncated ({cause})") from cause


class _Quiet:
    """Ignores Python's warnings while at least one thread is inside.

    Pillow warns of odd metadata and of sizes under our own limit, which do not matter here.
    `warnings.catch_warnings` in each thread would let the last one to leave restore what another
    had set, and the process would stay silent for ever.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._catcher = warnings.catch_warnings()

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._catcher = warnings.catch_warnings()
                self._catcher.__enter__()
                warnings.simplefilter("ignore")
            self._inside += 1

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._catcher.__exit__(None, None, None)


_QUIET = _Quiet()


def _check_file(source: object, name: str) -> io.BytesIO | Path:
    if isinstance(source, bytes):
        if not source:
            raise _fail(name, "it is empty (0 bytes)")
        return io.BytesIO(source)
    if not isinstance(source, str | os.PathLike):
        raise _fail(
            name, f"a path, bytes, array or Pillow image was expected, got {type(source).__name__}"
        )
    path = Path(source)
    try:
        if not path.exists():
            raise _fail(name, "there is no such file")
        if path.is_dir():
            raise _fail(name, "it is a folder, a file was expected")
        if path.stat().st_size == 0:
            raise _fail(name, "it is empty (0 bytes)")
    except ImageError:
        raise
    except OSError as cause:  # a folder that may not be looked into, a name that is too long
        raise _fail(name, cause.strerror or str(cause)) from cause
    return path


def _fail(name: str, cause: str) -> ImageError:
    return ImageError(f"Cannot read '{name}': {cause}.", source=name, cause=cause)


def _check_array(array: npt.NDArray[Any]) -> ImageArray:
    name = describe_source(array)
    if array.dtype != np.uint8:
        raise _fail(name, f"an array of dtype uint8 was expected, got {array.dtype}")
    if array.ndim == 2:
        array = np.repeat(array[:, :, None], 3, axis=2)
    if array.ndim != 3 or array.shape[2] != 3 or array.size == 0:
        raise _fail(name, f"an array of shape (H, W, 3) was expected, got {array.shape}")
    return np.ascontiguousarray(array)


def _to_array(image: Image.Image, name: str) -> ImageArray:
    from PIL import Image, ImageOps

    if 0 in image.size:
        raise _fail(name, f"it has no pixels ({image.width} x {image.height})")
    upright = ImageOps.exif_transpose(image)
    if upright.mode.startswith("I;16") or upright.mode in ("I", "F"):
        return _scale_deep(np.asarray(upright), name)
    if upright.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in upright.info:
        pixels = upright.convert("RGBA")
        black = Image.new("RGBA", pixels.size, (0, 0, 0, 255))
        upright = Image.alpha_composite(black, pixels)
    return np.array(upright.convert("RGB"), dtype=np.uint8)


def _scale_deep(values: npt.NDArray[Any], name: str) -> ImageArray:
    if values.dtype.kind == "f":
        raise _fail(name, "it holds floating-point values; convert it to 8 or 16 bits first")
    low, high = int(values.min()), int(values.max())
    if low < 0 or high > 65535:
        raise _fail(name, f"its values run from {low} to {high}; 0 to 65535 was expected")
    gray = np.round(values.astype(np.float32) / 257.0).astype(np.uint8)
    return cast(ImageArray, np.repeat(gray[:, :, None], 3, axis=2))
