"""Image formats: `DECODERS`, each a function from a file to an array of any numeric type."""

from __future__ import annotations

from typing import TYPE_CHECKING

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

if TYPE_CHECKING:
    from pathlib import Path

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


# Each imports its library when it decodes: listing formats is light.


def _decode_bmp(file: ImageFile) -> DecodedImage:
    from planetvision.data.decoders.pillow import decode_with_pillow

    return decode_with_pillow(file, "BMP")


def _decode_gif(file: ImageFile) -> DecodedImage:
    from planetvision.data.decoders.pillow import decode_with_pillow

    return decode_with_pillow(file, "GIF")


def _decode_jpeg(file: ImageFile) -> DecodedImage:
    from planetvision.data.decoders.pillow import decode_with_pillow

    return decode_with_pillow(file, "JPEG", "MPO")


def _decode_png(file: ImageFile) -> DecodedImage:
    from planetvision.data.decoders.pillow import decode_with_pillow

    return decode_with_pillow(file, "PNG")


def _decode_pnm(file: ImageFile) -> DecodedImage:
    from planetvision.data.decoders.pillow import decode_pnm

    return decode_pnm(file)


def _decode_tiff(file: ImageFile) -> DecodedImage:
    from planetvision.data.decoders.tiff import decode_tiff

    return decode_tiff(file)


def _decode_webp(file: ImageFile) -> DecodedImage:
    from planetvision.data.decoders.pillow import decode_with_pillow

    return decode_with_pillow(file, "WEBP")


def _decode_fits(file: ImageFile) -> DecodedImage:
    from planetvision.data.decoders.fits import decode_fits

    return decode_fits(file)


def _is_fits(head: bytes) -> bool:
    if not head.startswith((b"SIMPLE", b"\x1f\x8b")):
        return False
    from planetvision.data.decoders.fits import is_fits

    return is_fits(head)


def _decode_pds(file: ImageFile) -> DecodedImage:
    from planetvision.data.decoders.pds import decode_pds

    return decode_pds(file)


def _is_pds(head: bytes) -> bool:
    from planetvision.data.decoders.pds import is_pds

    return is_pds(head)


def _find_pds_companions(path: Path) -> tuple[Path, ...]:
    from planetvision.data.decoders.pds import find_pds_companions

    return find_pds_companions(path)


_BUILT_IN = (
    DecoderSpec(
        name="jpeg",
        build=_decode_jpeg,
        summary="JPEG, also CMYK; may be decoded smaller",
        suffixes=(".jpg", ".jpeg"),
        recognize=lambda head: head.startswith(b"\xff\xd8\xff"),
    ),
    DecoderSpec(
        name="png",
        build=_decode_png,
        summary="PNG of 1 to 16 bits: gray, palette, colour, opacity",
        suffixes=(".png",),
        recognize=lambda head: head.startswith(b"\x89PNG\r\n\x1a\n"),
    ),
    DecoderSpec(
        name="tiff",
        build=_decode_tiff,
        summary="TIFF of 1 to 64 bits, integers and floats; the first page",
        suffixes=(".tif", ".tiff"),
        recognize=lambda head: head.startswith(_TIFF_MAGICS),
    ),
    DecoderSpec(
        name="bmp",
        build=_decode_bmp,
        summary="Windows bitmaps",
        suffixes=(".bmp",),
        recognize=lambda head: head.startswith(b"BM"),
    ),
    DecoderSpec(
        name="webp",
        build=_decode_webp,
        summary="WebP; the first frame",
        suffixes=(".webp",),
        recognize=lambda head: head.startswith(b"RIFF") and head[8:12] == b"WEBP",
    ),
    DecoderSpec(
        name="gif",
        build=_decode_gif,
        summary="GIF; the first frame",
        suffixes=(".gif",),
        recognize=lambda head: head.startswith((b"GIF87a", b"GIF89a")),
    ),
    DecoderSpec(
        name="pnm",
        build=_decode_pnm,
        summary="PBM, PGM and PPM of 1 to 16 bits, PFM",
        suffixes=(".ppm", ".pgm", ".pbm", ".pnm", ".pfm"),
        recognize=lambda head: head[:1] == b"P" and head[1:2] in b"123456f" and head[2:3].isspace(),
    ),
    DecoderSpec(
        name="fits",
        build=_decode_fits,
        summary="FITS, also packed by gzip or fpack; the first image or the HDU that is named",
        suffixes=(".fits", ".fit", ".fts", ".fits.gz", ".fit.gz", ".fits.fz", ".fz"),
        recognize=_is_fits,
        extra="fits",
        source="Pence et al. (2010), doi:10.1051/0004-6361/201015362",
    ),
    DecoderSpec(
        name="pds",
        build=_decode_pds,
        summary="PDS3 and PDS4 products with attached or detached labels; the first image",
        suffixes=(".img", ".lbl", ".xml", ".lblx"),
        recognize=_is_pds,
        companions=_find_pds_companions,
        extra="pds",
        source="NASA Planetary Data System, Standards Reference",
    ),
)
for _spec in _BUILT_IN:
    DECODERS.add(_spec)
