"""Decoding: any source becomes an RGB uint8 array, or raises an `ImageError` with the cause."""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypedDict, cast

import numpy as np
import numpy.typing as npt

from planetvision.core.errors import ConversionWarning, ImageError, MissingExtraError, SettingsError
from planetvision.core.settings import Stretch
from planetvision.data.decoders import (
    DECODERS,
    DecodedImage,
    ImageFile,
    find_decoder,
)
from planetvision.data.decoders.registry import check_values, load_plugins
from planetvision.data.stretch import check_stretch, stretch_image

if TYPE_CHECKING:
    from PIL import Image


ImageArray: TypeAlias = npt.NDArray[np.uint8]
ImageSource: TypeAlias = "str | os.PathLike[str] | bytes | npt.NDArray[Any] | Image.Image"


def describe_source(source: object, index: int | None = None) -> str:
    """Returns the name of a source in messages and tables: its path, or its kind and index."""
    if isinstance(source, str | os.PathLike):
        return os.fspath(source)
    kind = {np.ndarray: "array", bytes: "bytes"}.get(type(source), "image")
    return f"<{kind}>" if index is None else f"<{kind} {index}>"


def read_image(
    source: ImageSource,
    *,
    stretch: Stretch | None = None,
    min_size: int | None = None,
    hdu: int | str | None = None,
    allow_unsafe: bool = False,
) -> ImageArray:
    """Returns the image as an RGB array.

    It follows the EXIF orientation, puts transparent pixels on black, repeats gray in all three
    channels, and takes the first frame or page of several. Values of more than 8 bits, also of
    arrays in memory, are brought to 8 by a stretch; missing ones (NaN) become black.

    Convention: uint8 of shape (H, W, 3), values in [0, 255], the first row at the top.

    Args:
        source: A path, the bytes of a file, a Pillow image, or an array of integers or floats of
            shape (H, W, 3), or (H, W) for gray.
        stretch: How more than 8 bits become 8, as in `planetvision.data.stretch`. None takes
            `linear` and warns if values were stretched.
        min_size: An image that is more than twice as large is reduced by a whole number, as far as
            both sides keep this many pixels; a JPEG is then decoded faster. None keeps all of it.
        hdu: The HDU of a FITS file, by index or name; None takes the first image. Other formats
            ignore it.
        allow_unsafe: Whether FITS images packed by HCOMPRESS or PLIO are read. Their decoder ends
            the whole process on damaged data, so by default they are refused.

    Raises:
        ImageError: If it cannot be read; the message names the source and the cause.
        SettingsError: If there is no such stretch, or `hdu` is neither an index nor a name.

    Warns:
        ConversionWarning: If values of more than 8 bits were reduced and no stretch was named.
    """
    options = _Options(min_size=min_size, hdu=hdu, allow_unsafe=allow_unsafe)
    return cast(ImageArray, _decode(source, stretch, options).array)


def read_values(source: ImageSource) -> npt.NDArray[Any]:
    """Returns the stored values, upright and on black, before any stretch.

    Raises:
        ImageError: If it cannot be read.
    """
    with _ignoring_decoders():
        return _read_values(source, describe_source(source), _Options()).array


def decode_image(
    source: ImageSource,
    *,
    stretch: Stretch | None = None,
    min_size: int | None = None,
    hdu: int | str | None = None,
    allow_unsafe: bool = False,
) -> DecodedImage:
    """Returns the image as `read_image` does, with the facts of its file.

    Args:
        source: As for `read_image`.
        stretch: As for `read_image`.
        min_size: As for `read_image`.
        hdu: As for `read_image`.
        allow_unsafe: As for `read_image`.

    Raises:
        ImageError: If it cannot be read; the message names the source and the cause.
        SettingsError: If there is no such stretch, or `hdu` is neither an index nor a name.

    Warns:
        ConversionWarning: If values of more than 8 bits were reduced and no stretch was named.

    Example:
        >>> import numpy as np
        >>> from planetvision.data import decode_image
        >>> decoded = decode_image(np.array([[0, 4095]], np.uint16), stretch="linear")
        >>> decoded.array[..., 0].tolist(), decoded.facts.bits
        ([[0, 255]], 16)
    """
    options = _Options(min_size=min_size, hdu=hdu, allow_unsafe=allow_unsafe)
    return _decode(source, stretch, options)


class _Options(TypedDict, total=False):
    """The options of `read_image` that decoders see in `ImageFile`."""

    min_size: int | None
    hdu: int | str | None
    allow_unsafe: bool


def _decode(source: ImageSource, stretch: Stretch | None, options: _Options) -> DecodedImage:
    hdu, min_size = options.get("hdu"), options.get("min_size")
    if stretch is not None:
        check_stretch(stretch)
    if hdu is not None and (not isinstance(hdu, int | str) or isinstance(hdu, bool)):
        raise SettingsError(
            f"`hdu` must be an index or a name, got {hdu!r}. Pass 1 or 'SCI', for example."
        )
    name = describe_source(source)
    load_plugins()
    with _ignoring_decoders():
        raw = _read_values(source, name, options)
        try:
            array = _reduce(stretch_image(raw.array, stretch or "linear"), min_size)
        except MemoryError as cause:
            raise _fail(name, "there is not enough memory for its pixels") from cause
    values, bits = raw.array.dtype, raw.facts.bits
    is_stretched = values not in (np.uint8, np.bool_)
    if stretch is None and is_stretched:
        depth = f"{bits} bits per channel" if bits > 8 else f"values of type {values}"
        warnings.warn(
            f"Lossy conversion: '{name}' has {depth} and was brought to 8 bits by the stretch "
            "'linear', from its lowest to its highest value. Name a stretch to choose one: "
            "stretch='linear', 'percentile', 'asinh' or 'zscale'.",
            ConversionWarning,
            stacklevel=3,
        )
    if array.ndim == 2:
        array = np.repeat(array[:, :, None], 3, axis=2)
    # PyTorch wants arrays that it may write to; Pillow's are read-only.
    array = np.require(array, requirements=["C", "W"])
    return replace(raw, array=array, is_stretched=is_stretched)


def _reduce(array: ImageArray, min_size: int | None) -> ImageArray:
    factor = min(array.shape[:2]) // min_size if min_size else 1
    if factor < 2:
        return array
    import cv2

    # Whole blocks of pixels are averaged, so that nothing is interpolated.
    height, width = (side // factor * factor for side in array.shape[:2])
    size = (width // factor, height // factor)
    reduced = cv2.resize(array[:height, :width], size, interpolation=cv2.INTER_AREA)
    return np.asarray(reduced, np.uint8)


def _read_values(source: ImageSource, name: str, options: _Options) -> DecodedImage:
    """Returns the stored values."""
    decoder = ""
    try:
        if isinstance(source, np.ndarray):
            return DecodedImage.from_array(_check_array(source, name), "array")
        from PIL import Image

        if isinstance(source, Image.Image):
            from planetvision.data.decoders.pillow import decode_opened

            return decode_opened(source, ImageFile.from_bytes(b"", name))
        with _open(source, name, options) as file:
            spec = find_decoder(file.head, "" if file.path is None else file.path.name)
            if spec is None:
                raise file.fail(
                    f"it is not an image in a format that is known ({', '.join(DECODERS.names())})"
                )
            decoder = spec.name
            decoded = spec.build(file)
            values = decoded.array if isinstance(decoded, DecodedImage) else decoded
            values = check_values(values, decoder, file)
            if isinstance(decoded, DecodedImage):
                return replace(decoded, array=values)
            return DecodedImage.from_array(values, decoder)
    except ImageError:
        raise
    except MissingExtraError as cause:
        raise _fail(name, str(cause).rstrip(".")) from cause
    except PermissionError as cause:
        raise _fail(name, "no permission to read it") from cause
    except MemoryError as cause:
        raise _fail(name, "there is not enough memory for its pixels") from cause
    # Decoders raise a wide range of built-ins on damaged files.
    except Exception as cause:
        said = " ".join(str(cause).split())[:300] or type(cause).__name__
        own = decoder and not DECODERS.get(decoder).build.__module__.startswith("planetvision.")
        if own:
            kind = type(cause).__name__
            raise _fail(name, f"the decoder '{decoder}' failed ({kind}: {said})") from cause
        raise _fail(name, f"it is damaged or truncated ({said})") from cause


class _WhileDecoding(type):
    """Makes every warning of a thread that decodes an instance, for the filters of warnings."""

    def __subclasscheck__(cls, category: type) -> bool:
        return getattr(_THREAD, "is_decoding", False) and not issubclass(
            category, ConversionWarning
        )


class _DecoderWarning(Warning, metaclass=_WhileDecoding):
    """What a decoder's library warns of in this thread."""


_THREAD = threading.local()
_FILTER = ("ignore", None, _DecoderWarning, None, 0)


@contextmanager
def _ignoring_decoders() -> Iterator[None]:
    """Ignores the decoders' warnings in this thread.

    Pillow and astropy warn of odd metadata and of sizes under our own limit, which do not matter
    here. The filters of warnings are the process's: `warnings.catch_warnings` in a thread may
    restore what another has set, and the process would stay silent for ever. This filter stays,
    and matches nothing but in a thread that decodes.
    """
    if warnings.filters[:1] != [_FILTER]:
        warnings.simplefilter("ignore", _DecoderWarning)
    before = getattr(_THREAD, "is_decoding", False)
    _THREAD.is_decoding = True
    try:
        yield
    finally:
        _THREAD.is_decoding = before


@contextmanager
def _open(source: object, name: str, options: _Options) -> Iterator[ImageFile]:
    if isinstance(source, bytes):
        if not source:
            raise _fail(name, "it is empty (0 bytes)")
        yield ImageFile.from_bytes(source, name, **options)
        return
    if not isinstance(source, str | os.PathLike):
        raise _fail(
            name, f"a path, bytes, array or Pillow image was expected, got {type(source).__name__}"
        )
    path = Path(source)
    size = _measure_file(path, name)
    with path.open("rb") as stream:
        yield ImageFile(name=name, stream=stream, size=size, path=path, **options)


def _measure_file(path: Path, name: str) -> int:
    try:
        if not path.exists():
            raise _fail(name, "there is no such file")
        if path.is_dir():
            raise _fail(name, "it is a folder, a file was expected")
        if not path.is_file():  # a pipe would never end
            raise _fail(name, "it is not a regular file")
        size = path.stat().st_size
    except ImageError:
        raise
    except ValueError as cause:  # a null byte, before Python 3.13
        raise _fail(name, "there is no such file") from cause
    except OSError as cause:  # a folder that may not be looked into, a name that is too long
        raise _fail(name, cause.strerror or str(cause)) from cause
    if size == 0:
        raise _fail(name, "it is empty (0 bytes)")
    return size


def _fail(name: str, cause: str) -> ImageError:
    return ImageError(f"Cannot read '{name}': {cause}.", source=name, cause=cause)


def _check_array(array: npt.NDArray[Any], name: str) -> npt.NDArray[Any]:
    if array.dtype.kind not in "uif":
        raise _fail(name, f"an array of integers or floats was expected, got {array.dtype}")
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] != 3) or array.size == 0:
        raise _fail(name, f"an array of shape (H, W, 3) or (H, W) was expected, got {array.shape}")
    return array
