"""TIFF layouts that are read as the file means them; `check_layout` refuses all others by name.

Pillow and OpenCV open many more layouts, and show some of them as another picture without a word.
The tests compare each layout that is read here with `tifffile`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from planetvision.data.decoders.registry import ImageFile

# Tags of TIFF 6.0, and ImageDepth of libtiff.
_REDUCED, _WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC = 254, 256, 257, 258, 259, 262
_FILL_ORDER, _STRIPS, _SAMPLES, _PLANAR, _PREDICTOR, _TILES = 266, 273, 277, 284, 317, 324
_SUB_IFDS, _INK_SET, _EXTRA, _FORMAT, _DEPTH = 330, 332, 338, 339, 32997

_WHITE_IS_ZERO, _GRAY, _RGB, _PALETTE, _CMYK, _YCBCR = 0, 1, 2, 3, 5, 6
_COLORS = {
    _WHITE_IS_ZERO: ("gray with white as zero", 1),
    _GRAY: ("gray", 1),
    _RGB: ("RGB", 3),
    _PALETTE: ("palette", 1),
    _CMYK: ("CMYK", 4),
    _YCBCR: ("YCbCr", 3),
}
_OTHER_COLORS = {
    4: "transparency mask",
    8: "CIELab",
    9: "ICCLab",
    10: "ITULab",
    32803: "color filter array",
    32844: "LogL",
    32845: "LogLuv",
    34892: "linear raw",
}
_KINDS = {1: "u", 2: "i", 3: "f", 5: "complex i", 6: "complex f"}
_KIND_NAMES = {
    "u": "unsigned integers",
    "i": "signed integers",
    "f": "floats",
    "complex i": "complex integers",
    "complex f": "complex floats",
    "?": "of an undefined format",
}
_WIDE = ("u32", "u64", "i16", "i32", "i64", "f32", "f64")
_TYPES = {
    # TIFF defines no black for white as zero in signed integers and floats.
    _WHITE_IS_ZERO: ("u1", "u2", "u4", "u8", "u16", "u32", "u64"),
    _GRAY: ("u1", "u2", "u4", "u8", "u12", "u16", *_WIDE),
    _RGB: ("u8", "u16", *_WIDE),
    _PALETTE: ("u1", "u2", "u4", "u8"),
    _CMYK: ("u8", "u16"),
    _YCBCR: ("u8",),
}
_EXTRA_NAMES = {0: "unspecified", 1: "associated alpha", 2: "unassociated alpha"}
# What the first extra sample may be, and how many there may be; those behind the first are ignored.
_EXTRAS: dict[tuple[int, str], tuple[tuple[int, ...], int]] = {
    (_GRAY, "u8"): ((0, 2), 1),
    (_PALETTE, "u8"): ((0, 2), 1),
    (_RGB, "u8"): ((0, 1, 2), 3),
    (_RGB, "u16"): ((0, 2), 1),
    **{(_RGB, kind): ((0,), 1) for kind in _WIDE},
    (_CMYK, "u8"): ((0,), 2),
}
_COMPRESSIONS = {
    1: "none", 2: "CCITT", 3: "CCITT", 4: "CCITT", 5: "LZW", 7: "JPEG", 8: "Deflate",
    32771: "CCITT", 32773: "PackBits", 32946: "Deflate", 34925: "LZMA", 50000: "Zstandard",
}  # fmt: skip
_PREDICTED = ("LZW", "Deflate", "LZMA", "Zstandard")


@dataclass(frozen=True, kw_only=True)
class TiffLayout:
    """How a page of a TIFF file stores its samples.

    Args:
        height: Rows as stored.
        width: Columns as stored.
        photometric: What the samples mean: the tag PhotometricInterpretation; -1 if it is missing.
        bits: Bits of each sample.
        kinds: Kind of each sample: `u`, `i`, `f`, complex or `?`.
        samples: Samples per pixel.
        extras: What the samples behind the color are: the tag ExtraSamples. A fourth sample of RGB
            without this tag is unassociated alpha, as Pillow has it.
        compression: The tag Compression.
        is_planar: Whether each sample has a plane of its own.
        is_big_endian: Whether the high byte comes first.
        is_reduced: Whether the page is a small copy of a picture elsewhere in the file.
        fill_order: 2 if the lowest bit comes first.
        predictor: 1 for none.
        ink_set: 1 for CMYK.
        depth: Slices of a volume.
    """

    height: int
    width: int
    photometric: int
    bits: tuple[int, ...]
    kinds: tuple[str, ...]
    samples: int
    extras: tuple[int, ...]
    compression: int
    is_planar: bool
    is_big_endian: bool
    is_reduced: bool
    fill_order: int
    predictor: int
    ink_set: int
    depth: int

    @property
    def type(self) -> str:
        """Kind and bits of the samples, such as `u8`; `mixed` if they differ."""
        types = {f"{kind}{bits}" for kind in self.kinds for bits in self.bits}
        return types.pop() if len(types) == 1 else "mixed"

    @property
    def is_inverted(self) -> bool:
        """Whether white is stored as zero."""
        return self.photometric == _WHITE_IS_ZERO

    @classmethod
    def from_tags(cls, tags: Mapping[int, Any], file: ImageFile) -> TiffLayout:
        """Returns the layout that the tags of a page describe.

        Args:
            tags: A directory of Pillow's `TiffImagePlugin`.
            file: Where it comes from, for messages.

        Raises:
            ImageError: If a tag holds no number, or the page has no size.
        """

        def get(tag: int, *default: int) -> tuple[int, ...]:
            value = tags.get(tag, default)
            values = value if isinstance(value, tuple) else (value,)
            if not all(isinstance(item, int) for item in values) or (default and not values):
                raise file.fail(f"it is damaged or truncated (its TIFF tag {tag} is {value!r})")
            return values

        if not ({_WIDTH, _HEIGHT} <= set(tags) and {_STRIPS, _TILES} & set(tags)):
            raise file.fail("it is damaged or truncated (its TIFF tags hold no size or no pixels)")
        samples, photometric = get(_SAMPLES, 1)[0], get(_PHOTOMETRIC, -1)[0]
        bits, extras = get(_BITS, 1), get(_EXTRA)
        if photometric == _RGB and samples == 4 and not extras:
            extras = (2,)
        return cls(
            height=get(_HEIGHT)[0],
            width=get(_WIDTH)[0],
            photometric=photometric,
            bits=bits[:samples],
            kinds=tuple(_KINDS.get(item, "?") for item in get(_FORMAT, 1)[:samples]),
            samples=samples,
            extras=extras,
            compression=get(_COMPRESSION, 1)[0],
            is_planar=get(_PLANAR, 1)[0] == 2 and samples > 1,
            is_big_endian=getattr(tags, "prefix", b"II") == b"MM",
            is_reduced=bool(get(_REDUCED, 0)[0] & 1)
            and (_SUB_IFDS in tags or bool(getattr(tags, "next", 0))),
            fill_order=get(_FILL_ORDER, 1)[0],
            predictor=get(_PREDICTOR, 1)[0],
            ink_set=get(_INK_SET, 1)[0],
            depth=get(_DEPTH, 1)[0],
        )


def check_layout(layout: TiffLayout, file: ImageFile) -> None:
    """Checks that the picture of a page is read as the file means it.

    Raises:
        ImageError: If it is not; the message names the property and says how to save the file.
    """
    for is_refused, describe, remedy in _REFUSED:
        if is_refused(layout):
            raise file.fail(f"it is a TIFF {describe(layout)}. {remedy}")


def _describe_types(layout: TiffLayout) -> str:
    kinds: dict[str, list[str]] = {}
    for item in _TYPES[layout.photometric]:
        kinds.setdefault(_KIND_NAMES[item[0]], []).append(item[1:])
    known = ", ".join(f"{kind} of {'/'.join(bits)} bits" for kind, bits in kinds.items())
    bits = "/".join(str(item) for item in dict.fromkeys(layout.bits))
    given = " and ".join(_KIND_NAMES[kind] for kind in dict.fromkeys(layout.kinds))
    color = _COLORS[layout.photometric][0]
    return f"whose samples are {given} of {bits} bits, expected for {color}: {known}"


def _describe_extras(layout: TiffLayout) -> str:
    color, count = _COLORS[layout.photometric]
    names = dict.fromkeys(_EXTRA_NAMES.get(item, str(item)) for item in layout.extras)
    return (
        f"with SamplesPerPixel {layout.samples} at {layout.bits[0]} bits, expected {count} for "
        f"{color}; ExtraSamples ({' and '.join(names) or 'missing'}) are not read here"
    )


def _has_other_extras(layout: TiffLayout) -> bool:
    surplus = layout.samples - _COLORS[layout.photometric][1]
    if surplus == 0 and not layout.extras:
        return False
    first, most = _EXTRAS.get((layout.photometric, layout.type), ((), 0))
    return (
        len(layout.extras) != surplus
        or surplus > most
        or layout.extras[0] not in first
        or any(layout.extras[1:])
    )


def _is_other_jpeg(layout: TiffLayout) -> bool:
    is_jpeg = _COMPRESSIONS[layout.compression] == "JPEG"
    is_plain = layout.type == "u8" and not layout.extras and not layout.is_planar
    if layout.photometric == _YCBCR:
        return not is_jpeg or not is_plain
    return is_jpeg and not (is_plain and layout.photometric in (_GRAY, _RGB))


def _is_other_planar(layout: TiffLayout) -> bool:
    is_plain = layout.photometric in (_RGB, _CMYK) and layout.extras in ((), (2,))
    return layout.is_planar and not (is_plain and layout.type == "u8")


_AS_RGB = "Save it as gray or RGB of 8 or 16 bits"
_Rule = tuple[Callable[[TiffLayout], bool], Callable[[TiffLayout], str], str]
# The first rule that applies is reported; later rules may rely on earlier ones.
_REFUSED: tuple[_Rule, ...] = (
    (
        lambda layout: layout.is_reduced,
        lambda _: "whose first page is a reduced copy (NewSubfileType) of a picture further on",
        "Save the full picture as the first page",
    ),
    (
        lambda layout: layout.depth != 1,
        lambda layout: f"of a volume of {layout.depth} slices (ImageDepth), expected one",
        "Save one slice",
    ),
    (
        lambda layout: layout.photometric not in _COLORS,
        lambda layout: (
            "whose photometric interpretation is "
            f"{_OTHER_COLORS.get(layout.photometric, max(layout.photometric, 0) or 'missing')}, "
            f"expected {', '.join(name for name, _ in _COLORS.values())}"
        ),
        _AS_RGB,
    ),
    (
        lambda layout: layout.compression not in _COMPRESSIONS,
        lambda layout: (
            f"with compression {layout.compression}, expected one of "
            f"{', '.join(dict.fromkeys(_COMPRESSIONS.values()))}"
        ),
        "Save it with LZW or Deflate compression",
    ),
    (lambda layout: layout.type not in _TYPES[layout.photometric], _describe_types, _AS_RGB),
    (
        lambda layout: layout.type == "u12" and layout.is_big_endian,
        lambda _: "of 12 bits in big-endian byte order, expected little-endian",
        "Save it with 16 bits",
    ),
    (
        _has_other_extras,
        _describe_extras,
        "Put the picture on black and save it without ExtraSamples",
    ),
    (
        lambda layout: layout.photometric == _CMYK and layout.ink_set != 1,
        lambda layout: f"of other inks than CMYK (InkSet {layout.ink_set})",
        _AS_RGB,
    ),
    (
        _is_other_jpeg,
        lambda layout: (
            f"of {_COLORS[layout.photometric][0]} with compression "
            f"{_COMPRESSIONS[layout.compression]}, expected JPEG for YCbCr, and for JPEG gray, RGB "
            "or YCbCr of 8 bits"
        ),
        "Save it as RGB with LZW or Deflate compression",
    ),
    (
        _is_other_planar,
        lambda layout: (
            f"with one plane per sample (PlanarConfiguration 2) for {layout.samples} samples of "
            f"{layout.bits[0]} bits, expected RGB or CMYK of 8 bits or interleaved samples"
        ),
        "Save it with interleaved samples (PlanarConfiguration 1)",
    ),
    (
        lambda layout: (
            layout.fill_order != 1 and (layout.type != "u1" or layout.photometric == _PALETTE)
        ),
        lambda layout: (
            f"of {layout.bits[0]} bits with the lowest bit first (FillOrder {layout.fill_order})"
        ),
        "Save it with FillOrder 1",
    ),
    (
        lambda layout: (
            layout.predictor != 1 and _COMPRESSIONS[layout.compression] not in _PREDICTED
        ),
        lambda layout: (
            f"with a predictor and compression {_COMPRESSIONS[layout.compression]}, expected one "
            f"of {', '.join(_PREDICTED)}"
        ),
        "Save it with LZW or Deflate compression",
    ),
)
