"""Images of NASA's Planetary Data System, PDS3 and PDS4, by pdr (extra `pds`)."""

from __future__ import annotations

import math
import os
import re
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from planetvision.data.decoders.registry import DecodedImage, ImageFacts, ImageFile
from planetvision.errors import MissingExtraError

__all__ = ["LABEL_SUFFIXES", "decode_pds", "find_pds_companions", "is_pds"]

LABEL_SUFFIXES = (".xml", ".lbl", ".lblx")

_PDS3 = b"PDS_VERSION_ID"
_PDS4 = b"pds.nasa.gov/pds4"
# By these endings pdr would take a file with a label for what the ending says.
_MISLEADING = (".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".fits", ".fit")
# What a label names: `^IMAGE = ("X.IMG", 3)` of PDS3, `<file_name>X.IMG</file_name>` of PDS4.
_NAMED = re.compile(
    rb"""\^\w+\s*=\s*[({\s]*["']([^"'\0]{1,255})["']|<(?:\w+:)?file_name>\s*([^<\0]{1,255}?)\s*<"""
)
_LABEL_END = re.compile(rb"^END\s*$", re.MULTILINE)
_MAX_LABEL_BYTES = 1 << 20
# The constants of a PDS4 label that stand for no value; those of saturation are values.
_PDS4_MISSING = ("missing", "error", "invalid", "unknown", "not_applicable")


def is_pds(head: bytes) -> bool:
    """Returns whether a PDS3 label, with or without its data, or a PDS4 label begins like this."""
    is_label = head.lstrip().startswith(b"<?xml") or b"<Product_Observational" in head
    return _PDS3 in head[:1024] or (is_label and _PDS4 in head)


def decode_pds(file: ImageFile) -> DecodedImage:
    """Returns the first image of a PDS product, upright.

    The file is a label with its data behind it, a label apart (`.lbl`, `.xml`) or the data beside
    such a label. The first object that is a 2-D image or has three bands is taken. Values that the
    label declares special, such as its missing constant, count as missing; so do the customary
    ones of floats, but not those of integers, which are as often values. Scaling factor and offset
    of the label are followed.

    References:
        Jet Propulsion Laboratory (2009), "Planetary Data System Standards Reference", version
        3.8, JPL D-7669, appendix A.19 IMAGE.

        Planetary Data System (2023), "PDS4 Standards Reference", version 1.21.0, section 4A
        Array Base.
    """
    try:
        import pdr
    except ImportError as cause:
        raise MissingExtraError.for_feature(
            "Reading PDS images", package="pdr", extra="pds"
        ) from cause
    if file.path is not None and file.path.suffix.lower() not in _MISLEADING:
        return _decode(pdr.read(str(file.path)), file)
    # pdr reads from paths alone.
    with tempfile.TemporaryDirectory(prefix="planetvision-") as folder:
        head = file.head
        path = Path(folder, "bytes.xml" if head.lstrip().startswith(b"<") else "bytes.img")
        path.write_bytes(file.read())
        return _decode(pdr.read(str(path)), file)


def find_pds_companions(path: Path) -> tuple[Path, ...]:
    """Returns the label beside this file, and the files that the label names."""
    label = path
    if path.suffix.lower() not in LABEL_SUFFIXES:
        # pdr, too, takes a label beside the file before one within it.
        names = (path.with_suffix(suffix).name for suffix in LABEL_SUFFIXES)
        label = _find_beside(path, *names) or path
    with label.open("rb") as file:
        text = _LABEL_END.split(file.read(_MAX_LABEL_BYTES), maxsplit=1)[0]
    named = (_find_beside(path, os.fsdecode(a or b)) for a, b in _NAMED.findall(text))
    return tuple(dict.fromkeys(other for other in (label, *named) if other not in (None, path)))


def _find_beside(path: Path, *names: str) -> Path | None:
    """Returns the first of these files in the folder of `path`; as in pdr, case does not count."""
    folder = path.parent
    paths = [folder / name for name in names]
    if not any(path.is_file() for path in paths):
        wanted = {name.lower() for name in names}
        paths = sorted(other for other in folder.iterdir() if other.name.lower() in wanted)
    return next((path for path in paths if path.is_file()), None)


def _decode(product: Any, file: ImageFile) -> DecodedImage:
    kind = str(product.standard)
    if kind not in ("PDS3", "PDS4"):
        raise file.fail("it has no PDS label, neither in front of its data nor beside them")
    seen = []
    for name in product.index:
        shape, bits = _measure(product, name)
        if not shape:
            continue
        seen.append(f"{name} ({' x '.join(map(str, shape))})")
        bands = shape[0] if len(shape) == 3 else 1
        if len(shape) not in (2, 3) or bands not in (1, 3):
            continue
        size = _get_data_size(product, name)
        if size is None:
            raise file.fail("the data that its label names are not beside it")
        height, width = shape[-2:]
        file.check_size(height, width)
        stored = math.prod(shape) * bits // 8
        if stored > size:
            raise file.fail(
                f"it is damaged or truncated (its label promises {stored:,} bytes of {width} x "
                f"{height} pixels, its data have {size:,})"
            )
        values = _load(product, name)
        if values is None:
            raise file.fail(f"it is damaged or of a layout that pdr does not know ({name})")
        facts = ImageFacts(height=height, width=width, bits=bits, channels=bands, format=kind)
        return DecodedImage(values, facts)
    raise file.fail(
        "it holds neither a 2-D image nor one of three bands; it holds "
        f"{', '.join(seen) or 'no image at all'}"
    )


def _measure(product: Any, name: str) -> tuple[tuple[int, ...], int]:
    """Returns the shape and bits a value that the label claims for an object; () if no image."""
    if product.standard == "PDS4":
        structure = product._pds4_structures[name]
        if name == "label" or not structure.is_array():
            return (), 0
        shape = tuple(structure.meta_data.dimensions())
        data_type = str(structure.meta_data["Element_Array"]["data_type"])
        digits = re.search(r"(\d)$|(Byte)|(Single)|(Double)", data_type)
        if digits is None:
            return (), 0
        size = int(digits[1]) if digits[1] else 1 if digits[2] else 4 if digits[3] else 8
        return shape, 8 * size
    block = product.metablock_(name)
    if "IMAGE" not in name or "HEADER" in name or not hasattr(block, "get"):
        return (), 0
    sizes = [block.get(key, 1) for key in ("BANDS", "LINES", "LINE_SAMPLES")]
    bits = block.get("SAMPLE_BITS", 8)
    if not all(isinstance(item, int) for item in (*sizes, bits)) or bits not in (8, 16, 32, 64):
        return (), 0
    return tuple(sizes if sizes[0] != 1 else sizes[1:]), bits


def _get_data_size(product: Any, name: str) -> int | None:
    target = product._target_path(name)
    path = target[0] if isinstance(target, list | tuple) and target else target
    return Path(path).stat().st_size if path and Path(path).is_file() else None


def _load(product: Any, name: str) -> npt.NDArray[Any] | None:
    raw = product[name]
    if not isinstance(raw, np.ndarray) or raw.dtype.kind not in "uif":
        return None
    if product.standard == "PDS3" and raw.dtype.kind in "ui":
        block = product.metablock_(name) or {}
        found = product.find_special_constants(name)
        product.specials[name] = {key: value for key, value in found.items() if key in block}
    scaled = product.get_scaled(name)
    mask = np.ma.getmaskarray(scaled) | _find_missing(product, name, raw)
    # The scale of 8 bits would make floats of them, and the picture is the same without it.
    values = raw if raw.dtype.itemsize == 1 else np.ma.getdata(scaled)
    if mask.any():
        values = np.where(mask, 0 if values.dtype.itemsize == 1 else np.nan, values)
        values = values.astype(raw.dtype) if raw.dtype.itemsize == 1 else values
    if values.ndim == 3:
        values = values[0] if len(values) == 1 else np.moveaxis(values, 0, 2)
    if product.standard == "PDS4":
        direction = product.metaget_("vertical_display_direction")
        values = values[::-1] if direction == "Bottom to Top" else values
    return values


def _find_missing(product: Any, name: str, raw: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Returns where a PDS4 label declares the value special; pdr masks PDS3's by itself."""
    missing = np.zeros(raw.shape, dtype=bool)
    if product.standard == "PDS4":
        constants = product._pds4_structures[name].meta_data.get("Special_Constants") or {}
        for kind in _PDS4_MISSING:
            if (constant := constants.get(f"{kind}_constant")) is not None:
                missing |= raw == float(constant)
    return missing
