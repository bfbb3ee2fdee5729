"""Image formats: `DECODERS`, each a function from a file to an array of any numeric type."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from planetvision.data.decoders.registry import (
    DECODERS,
    MAX_PIXELS,
    DecodedImage,
    DecoderSpec,
    ImageFacts,
    ImageFile,
    find_decoder,
    list_decoders,
    register_decoder,
)

__all__ = [
    "DECODERS",
    "MAX_PIXELS",
    "DecodedImage",
    "DecoderSpec",
    "ImageFacts",
    "ImageFile",
    "find_decoder",
    "list_decoders",
    "register_decoder",
]

_TIFF_MAGICS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def _defer(module: str, name: str, *formats: str) -> Callable[[Any], Any]:
    """Returns a function of a module that is imported by the first call: listing is light."""

    def call(argument: Any) -> Any:
        function = getattr(import_module(f"planetvision.data.decoders.{module}"), name)
        return function(argument, *formats)

    return call


_recognize_fits = _defer("fits", "is_fits")


_BUILT_IN = (
    DecoderSpec(
        name="jpeg",
        build=_defer("pillow", "decode_with_pillow", "JPEG", "MPO"),
        summary="JPEG, also CMYK; may be decoded smaller",
        suffixes=(".jpg", ".jpeg"),
        recognize=lambda head: head.startswith(b"\xff\xd8\xff"),
    ),
    DecoderSpec(
        name="png",
        build=_defer("pillow", "decode_with_pillow", "PNG"),
        summary="PNG of 1 to 16 bits: gray, palette, colour, opacity",
        suffixes=(".png",),
        recognize=lambda head: head.startswith(b"\x89PNG\r\n\x1a\n"),
    ),
    DecoderSpec(
        name="tiff",
        build=_defer("tiff", "decode_tiff"),
        summary="TIFF of 1 to 64 bits, integers and floats; the first page",
        suffixes=(".tif", ".tiff"),
        recognize=lambda head: head.startswith(_TIFF_MAGICS),
    ),
    DecoderSpec(
        name="bmp",
        build=_defer("pillow", "decode_with_pillow", "BMP"),
        summary="Windows bitmaps",
        suffixes=(".bmp",),
        recognize=lambda head: head.startswith(b"BM"),
    ),
    DecoderSpec(
        name="webp",
        build=_defer("pillow", "decode_with_pillow", "WEBP"),
        summary="WebP; the first frame",
        suffixes=(".webp",),
        recognize=lambda head: head.startswith(b"RIFF") and head[8:12] == b"WEBP",
    ),
    DecoderSpec(
        name="gif",
        build=_defer("pillow", "decode_with_pillow", "GIF"),
        summary="GIF; the first frame",
        suffixes=(".gif",),
        recognize=lambda head: head.startswith((b"GIF87a", b"GIF89a")),
    ),
    DecoderSpec(
        name="pnm",
        build=_defer("pillow", "decode_pnm"),
        summary="PBM, PGM and PPM of 1 to 16 bits, PFM",
        suffixes=(".ppm", ".pgm", ".pbm", ".pnm", ".pfm"),
        recognize=lambda head: head[:1] == b"P" and head[1:2] in b"123456f" and head[2:3].isspace(),
    ),
    DecoderSpec(
        name="fits",
        build=_defer("fits", "decode_fits"),
        summary="FITS, also packed by gzip or fpack; the first image or the HDU that is named",
        suffixes=(".fits", ".fit", ".fts", ".fits.gz", ".fit.gz", ".fits.fz", ".fz"),
        recognize=lambda head: (
            head.startswith((b"SIMPLE", b"\x1f\x8b")) and bool(_recognize_fits(head))
        ),
        extra="fits",
        source="Pence et al. (2010), doi:10.1051/0004-6361/201015362",
    ),
    DecoderSpec(
        name="pds",
        build=_defer("pds", "decode_pds"),
        summary="PDS3 and PDS4 products with attached or detached labels; the first image",
        suffixes=(".img", ".lbl", ".xml", ".lblx"),
        recognize=_defer("pds", "is_pds"),
        companions=_defer("pds", "find_pds_companions"),
        extra="pds",
        source="NASA Planetary Data System, Standards Reference",
    ),
)
for _spec in _BUILT_IN:
    DECODERS.add(_spec)
