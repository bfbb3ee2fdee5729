"""`DECODERS`: the registry of image formats."""

from __future__ import annotations

import functools
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import numpy as np
import numpy.typing as npt

from planetvision.core.errors import ImageError, SettingsError
from planetvision.core.registry import Entry, Registry

# Twice Pillow's MAX_IMAGE_PIXELS: there Pillow itself calls an image a decompression bomb.
MAX_PIXELS = 2 * (1024**3 // 4 // 3)
# What the largest image has at three channels of 32 bits, and then some for headers.
MAX_BYTES = 2_200_000_000
HEAD_BYTES = 4096


@dataclass(frozen=True, kw_only=True)
class ImageFacts:
    """What an image is in its file, before it is turned upright or reduced.

    Args:
        height: Rows.
        width: Columns.
        bits: Bits per channel: 8, 12, 16, 32 or 64.
        channels: Channels, opacity included.
        format: The format's usual name, such as `JPEG`.
        pages: How many images the file holds; the first is read.
    """

    height: int
    width: int
    bits: int
    channels: int
    format: str
    pages: int = 1


@dataclass(frozen=True)
class DecodedImage:
    """An image with what it was in its file.

    Args:
        array: The values: (H, W, 3) of uint8 from `decode_image`; (H, W) or (H, W, 3) of any
            numeric type from a decoder, NaN where a value is missing.
        facts: What the file says.
        is_stretched: Whether a stretch made the 8 bits; `decode_image` sets it. A FITS file of
            8 bits with a scale holds floats, too.
    """

    array: npt.NDArray[Any]
    facts: ImageFacts
    is_stretched: bool = False

    @classmethod
    def from_array(cls, array: npt.NDArray[Any], format_name: str) -> DecodedImage:
        """Returns the image whose facts are those of the array itself."""
        return cls(
            array,
            ImageFacts(
                height=array.shape[0],
                width=array.shape[1],
                bits=8 * array.dtype.itemsize,
                channels=1 if array.ndim == 2 else array.shape[2],
                format=format_name,
            ),
        )


@dataclass(frozen=True, kw_only=True)
class ImageFile:
    """The file that a decoder reads.

    Args:
        name: How messages call it.
        stream: Its bytes, from the start; the library closes it.
        size: How many bytes there are.
        path: Where it lies; None if it was given as bytes.
        min_size: The image may come reduced, as long as both sides keep this many pixels.
        hdu: The HDU of a FITS file to read.
        allow_unsafe: Whether compressions whose decoder may end the process are read.
    """

    name: str
    stream: BinaryIO
    size: int
    path: Path | None = None
    min_size: int | None = None
    hdu: int | str | None = None
    allow_unsafe: bool = False

    @classmethod
    def from_bytes(
        cls,
        data: bytes,
        name: str = "<bytes>",
        *,
        min_size: int | None = None,
        hdu: int | str | None = None,
        allow_unsafe: bool = False,
    ) -> ImageFile:
        """Returns the file that holds these bytes."""
        return cls(
            name=name,
            stream=io.BytesIO(data),
            size=len(data),
            min_size=min_size,
            hdu=hdu,
            allow_unsafe=allow_unsafe,
        )

    @property
    def head(self) -> bytes:
        """The first bytes."""
        self.stream.seek(0)
        head = self.stream.read(HEAD_BYTES)
        self.stream.seek(0)
        return head

    def read(self) -> bytes:
        """Returns all bytes."""
        self.stream.seek(0)
        return self.stream.read()

    def fail(self, cause: str) -> ImageError:
        """Returns the error that names this file and the cause, to be raised."""
        return ImageError(f"Cannot read '{self.name}': {cause}.", source=self.name, cause=cause)

    def check_size(self, height: int, width: int, bytes_stored: int = 0) -> None:
        """Checks a size that a header claims, before memory is taken for it.

        Args:
            height: Rows.
            width: Columns.
            bytes_stored: How many bytes the file must hold for it, where that is known.

        Raises:
            ImageError: If there are no pixels, more than `MAX_PIXELS`, or more bytes than the file
                has.
        """
        if height < 1 or width < 1:
            raise self.fail(f"it has no pixels ({width} x {height})")
        if height * width > MAX_PIXELS:
            raise self.fail(f"it has {width} x {height} pixels, over the limit of {MAX_PIXELS:,}")
        if bytes_stored > self.size:
            raise self.fail(
                f"it is damaged or truncated (its header promises {bytes_stored:,} bytes of "
                f"{width} x {height} pixels, the file has {self.size:,} bytes)"
            )


Decode: TypeAlias = Callable[[ImageFile], "npt.NDArray[Any] | DecodedImage"]
Recognize: TypeAlias = Callable[[bytes], bool]
Companions: TypeAlias = Callable[[Path], tuple[Path, ...]]


def _recognize_nothing(head: bytes) -> bool:
    return False


def _name_no_companions(path: Path) -> tuple[Path, ...]:
    return ()


@dataclass(frozen=True, kw_only=True)
class DecoderSpec(Entry):
    """An image format.

    `build(file)` decodes an `ImageFile`: it returns an array of shape (H, W) or (H, W, 3) and any
    numeric type, or a `DecodedImage` with the facts about the file. NaN marks missing values. The
    library reduces more than 8 bits to 8 by the chosen stretch. Exceptions become an `ImageError`;
    `raise file.fail(cause)` states the cause. Decoders registered later are tried first.

    Args:
        suffixes: The suffixes of file names, in lower case with their dot.
        recognize: Returns whether the first 4096 bytes begin such a file. Content takes precedence;
            the name decides only if no decoder recognises the content.
        companions: Returns the other files that the image is read from, such as the data file of a
            label: if one of them changes, the image has changed.
    """

    build: Decode
    suffixes: tuple[str, ...] = ()
    recognize: Recognize = _recognize_nothing
    companions: Companions = _name_no_companions

    def __post_init__(self) -> None:
        given: object = self.suffixes
        suffixes = (given,) if isinstance(given, str) else tuple(self.suffixes)
        bad = [item for item in suffixes if not item.startswith(".") or item != item.lower()]
        if bad:
            raise SettingsError(
                f"The suffixes of the decoder '{self.name}' must start with a dot and be in lower "
                f"case, got {', '.join(map(repr, bad))}. Pass '.raw', for example."
            )
        object.__setattr__(self, "suffixes", suffixes)


DECODERS: Registry[DecoderSpec, Decode] = Registry("decoders", DecoderSpec)
register_decoder = DECODERS.register
list_decoders = DECODERS.names


@functools.cache
def load_plugins() -> None:
    """Imports the decoders of installed packages once, since content is matched against all."""
    DECODERS.specs()


def list_suffixes() -> tuple[str, ...]:
    """Returns the file name suffixes of all registered decoders."""
    load_plugins()
    return tuple(suffix for spec in DECODERS.added() for suffix in spec.suffixes)


def find_decoder(head: bytes, name: str = "") -> DecoderSpec | None:
    """Returns the decoder for a file, found by content or else by name.

    Args:
        head: The first bytes of the file.
        name: The name of the file, or nothing.
    """
    load_plugins()
    specs = DECODERS.added()[::-1]
    lower = name.lower()
    named = [spec for spec in specs if lower.endswith(spec.suffixes)]
    for spec in [*named, *(spec for spec in specs if spec not in named)]:
        if spec.recognize(head):
            return spec
    # The longest ending is the most telling: `.fits.gz` before `.gz`.
    return max(named, key=lambda spec: _longest(spec, lower), default=None)


def find_companions(path: Path, head: bytes) -> tuple[Path, ...]:
    """Returns the other files that hold parts of this file's image.

    Args:
        path: The file.
        head: Its first bytes.
    """
    spec = find_decoder(head, path.name)
    return () if spec is None else spec.companions(path)


def _longest(spec: DecoderSpec, name: str) -> int:
    return max(len(suffix) for suffix in spec.suffixes if name.endswith(suffix))


def check_values(values: object, spec_name: str, file: ImageFile) -> npt.NDArray[Any]:
    """Returns a decoder's result after checking that it is an image."""
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "buif":
        given = values.dtype if isinstance(values, np.ndarray) else type(values).__name__
        raise file.fail(
            f"the decoder '{spec_name}' must return an array of numbers, it returned {given}"
        )
    if values.ndim not in (2, 3) or (values.ndim == 3 and values.shape[2] != 3):
        raise file.fail(
            f"the decoder '{spec_name}' must return an array of shape (H, W) or (H, W, 3), it "
            f"returned {values.shape}"
        )
    file.check_size(values.shape[0], values.shape[1])
    return values
