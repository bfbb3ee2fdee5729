"""Images of NASA's Planetary Data System, PDS3 and PDS4, by pdr (extra `pds`)."""

from __future__ import annotations

import math
import os
import re
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.parsers import expat

import numpy as np
import numpy.typing as npt

from planetvision.core.errors import MissingExtraError
from planetvision.data.decoders.registry import DecodedImage, ImageFacts, ImageFile

if TYPE_CHECKING:
    from collections.abc import Iterator


LABEL_SUFFIXES = (".xml", ".lbl", ".lblx")

_PDS3 = b"PDS_VERSION_ID"
_PDS4 = b"pds.nasa.gov/pds4"
# pdr reads files with these suffixes by their suffix, even if they have a label.
_FITS = (".fits", ".fit", ".fz")
_PICTURES = (".jpg", ".jpeg", ".jp2", ".jpf", ".jpc", ".jpx", ".png", ".gif", ".bmp", ".webp")
_MISLEADING = {*_FITS, *_PICTURES, ".tif", ".tiff"}
# pdr unpacks these without a limit.
_PACKED = (".gz", ".bz2", ".zip")
# What a label names: `^IMAGE = ("X.IMG", 3)` of PDS3, `<file_name>X.IMG</file_name>` of PDS4.
_NAMED = re.compile(
    rb"""\^\w+\s*=\s*[({\s]*["']([^"'\0]{1,255})["']|<(?:\w+:)?file_name>\s*([^<\0]{1,255}?)\s*<"""
)
_LABEL_END = re.compile(rb"^END\s*$", re.MULTILINE)
_MAX_LABEL_BYTES = 1 << 20
# pdr copies the whole label for each of several pointers of one name: pointers by values, of
# which those with units, `1 <BYTES>`, are slow to parse.
_MAX_LABEL_WORK = 300_000
_MAX_LABEL_DEPTH = 100
_MAX_LABEL_ELEMENTS = 20_000
_MAX_COMPANIONS = 100
_XML_SUFFIXES = (".xml", ".lblx", ".2bl", ".2al", ".2cl", ".01l")  # the last of Chang'e
# A file name that is one on every system: no folder, no drive, no parent.
_PLAIN = re.compile(r"(?!\.{1,2}$)[^/\\:\0]+")
# How pdr reads images; a table follows pointers to its columns, and theirs, wherever they lead.
_IMAGE_LOADERS = ("ReadImage", "ReadFits", "ReadCompressedImage")
# The constants of a PDS4 label that stand for no value; those of saturation are values.
_PDS4_MISSING = ("missing", "error", "invalid", "unknown", "not_applicable")


def is_pds(head: bytes) -> bool:
    """Returns whether a file with this start is a PDS3 or PDS4 label."""
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
        import pdr  # noqa: F401
    except ImportError as cause:
        raise MissingExtraError.for_feature(
            "Reading PDS images", package="pdr", extra="pds"
        ) from cause
    suffixes = set() if file.path is None else set(map(str.lower, file.path.suffixes))
    is_label = file.path is not None and file.path.suffix.lower() in LABEL_SUFFIXES
    if file.path is not None and (is_label or suffixes.isdisjoint(_MISLEADING)):
        return _decode(file.path, file)
    # pdr reads from paths alone.
    with tempfile.TemporaryDirectory(prefix="planetvision-") as folder:
        head = file.head
        path = Path(folder, "bytes.xml" if head.lstrip().startswith(b"<") else "bytes.img")
        path.write_bytes(file.read())
        return _decode(path, file)


def find_pds_companions(path: Path) -> tuple[Path, ...]:
    """Returns the label beside this file, and the files beside it that the label names."""
    label = _find_label(path)
    with label.open("rb") as file:
        text = _LABEL_END.split(file.read(_MAX_LABEL_BYTES), maxsplit=1)[0]
    names = dict.fromkeys(os.fsdecode(a or b) for a, b in _NAMED.findall(text))
    # Each may take a walk through the folder.
    named = [_find_beside(path, name) for name in [*names][:_MAX_COMPANIONS]]
    return tuple(dict.fromkeys(other for other in (label, *named) if other not in (None, path)))


def _find_label(path: Path) -> Path:
    """Returns the label of this file: itself, or the one beside it."""
    if path.suffix.lower() in LABEL_SUFFIXES:
        return path
    # pdr, too, takes a label beside the file before one within it.
    names = (path.with_suffix(suffix).name for suffix in LABEL_SUFFIXES)
    return _find_beside(path, *names) or path


def _find_beside(path: Path, *names: str) -> Path | None:
    """Returns the first of these files in the folder of `path`; as in pdr, case does not count."""
    folder = path.parent
    plain = [name for name in names if _PLAIN.fullmatch(name)]
    paths = [folder / name for name in plain]
    if plain and not any(path.is_file() for path in paths):
        wanted = {name.lower() for name in plain}
        paths = sorted(other for other in folder.iterdir() if other.name.lower() in wanted)
    return next((other for other in paths if _is_beside(other, path)), None)


def _is_beside(other: Path, path: Path) -> bool:
    """Returns whether `other` is a file in the folder of `path`, and no link out of it."""
    return other.is_file() and other.resolve().parent == path.parent.resolve()


def _check_label(label: Path, file: ImageFile) -> None:
    """Checks what a label names before pdr follows it: pdr would read any file."""
    for pointer, name in _list_names(label, file):
        # A pointer to nothing is often written so.
        if name != "N/A" and not _PLAIN.fullmatch(name):
            raise file.fail(
                f"its label names '{name}' ({pointer}), and only files beside the label are read, "
                "by their plain names"
            )


def _list_names(label: Path, file: ImageFile) -> Iterator[tuple[str, str]]:
    """Yields each pointer of a label with each name that it gives, as pdr reads them."""
    if label.suffix.lower() in _XML_SUFFIXES:
        yield from _list_pds4_names(label, file)
        return
    from pdr.parselabel.pds3 import looks_pvl, read_pvl
    from pdr.parselabel.utils import trim_label

    text = trim_label(label, strict_decode=False)
    values = text.count("=") + text.count(",") + 4 * text.count("<")
    if (10 + text.count("^")) * values > _MAX_LABEL_WORK:
        raise file.fail("its label has too many pointers and values")
    blocks = [read_pvl(str(label), default_strict_decode=not looks_pvl(label))[0]]
    while blocks:
        for key, value in blocks.pop().items():
            if hasattr(value, "items"):
                blocks.append(value)
            elif key.startswith("^"):
                names = value if isinstance(value, tuple | list | set) else (value,)
                yield from ((key, name) for name in names if isinstance(name, str))


def _list_pds4_names(label: Path, file: ImageFile) -> list[tuple[str, str]]:
    with label.open("rb") as stream:
        text = stream.read(_MAX_LABEL_BYTES + 1)
    if len(text) > _MAX_LABEL_BYTES:
        raise file.fail(f"its label has more than the limit of {_MAX_LABEL_BYTES:,} bytes")
    if text.count(b"<") > 2 * _MAX_LABEL_ELEMENTS:
        raise file.fail(f"its label has more than the limit of {_MAX_LABEL_ELEMENTS:,} elements")
    names: list[tuple[str, str]] = []
    path: list[str] = []

    def refuse(*_: object) -> None:
        raise file.fail("its label declares a document type or entities, which no PDS4 label needs")

    def start(tag: str, _: object) -> None:
        path.append(tag.rpartition(":")[2])
        if len(path) > _MAX_LABEL_DEPTH:
            raise file.fail(f"its label nests over {_MAX_LABEL_DEPTH} elements")
        if path[-1] == "file_name":
            names.append((f"<{tag}>", ""))

    def add(part: str) -> None:
        if "file_name" in path:
            names[-1] = (names[-1][0], names[-1][1] + part)

    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler = start
    parser.EndElementHandler = lambda tag: path.pop()
    parser.CharacterDataHandler = add
    parser.Parse(text, True)
    return [(tag, name.strip()) for tag, name in names]


def _decode(path: Path, file: ImageFile) -> DecodedImage:
    import pdr
    from pdr.loaders.dispatch import pointer_to_loader

    label = _find_label(path)
    _check_label(label, file)
    product = pdr.read(str(path), label_fn=str(label))
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
        height, width = shape[-2:]
        data = _find_data(product, name, path, file)
        if kind == "PDS3" and type(pointer_to_loader(name, product)).__name__ not in _IMAGE_LOADERS:
            continue
        file.check_size(height, width)
        stored, size = math.prod(shape) * bits // 8, data.stat().st_size
        if stored > size:
            raise file.fail(
                f"it is damaged or truncated (its label promises {stored:,} bytes of {width} x "
                f"{height} pixels, its data have {size:,})"
            )
        _check_format(data, (width, height), file)
        values = _load(product, name)
        if values is None:
            raise file.fail(f"it is damaged or of a layout that pdr does not know ({name})")
        facts = ImageFacts(height=height, width=width, bits=bits, channels=bands, format=kind)
        return DecodedImage(values, facts)
    raise file.fail(
        "it holds neither a 2-D image nor one of three bands; it holds "
        f"{', '.join(seen) or 'no image at all'}"
    )


def _find_data(product: Any, name: str, path: Path, file: ImageFile) -> Path:
    """Returns the file of an object, as pdr will open it."""
    target = product._target_path(name)
    target = target[0] if isinstance(target, list | tuple) and target else target
    data = Path(target) if target else None
    if data is None or not data.exists():
        raise file.fail("the data that its label names are not beside it")
    if data != path.absolute() and not _is_beside(data, path):
        raise file.fail(
            f"its label names '{data.name}' ({name}), which is no file beside the label or a link "
            "to another folder"
        )
    return data


def _check_format(data: Path, size: tuple[int, int], file: ImageFile) -> None:
    """Checks data that pdr leaves to other libraries, by the ending of their name."""
    suffixes = set(map(str.lower, data.suffixes))
    if not suffixes.isdisjoint(_FITS):
        from planetvision.data.decoders.fits import check_fits

        with data.open("rb") as stream:
            check_fits(replace(file, stream=stream, size=data.stat().st_size))
    elif not suffixes.isdisjoint(_PACKED):
        raise file.fail(f"the data that its label names are packed ('{data.name}'): unpack them")
    elif not suffixes.isdisjoint(_MISLEADING):
        from PIL import Image

        with Image.open(data) as image:
            if image.size != size:
                raise file.fail(
                    f"its label promises {size[0]} x {size[1]} pixels, '{data.name}' has "
                    f"{image.size[0]} x {image.size[1]}"
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
