"""TIFF: every layout is read as an independent reader, `tifffile`, has it, or refused by name."""

from __future__ import annotations

import io
import itertools
import re
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, cast

import numpy as np
import numpy.typing as npt
import pytest
import tifffile
from PIL import Image

from planetvision.core.errors import ImageError
from planetvision.data import decode_image
from planetvision.data.images import read_values

Values = npt.NDArray[Any]
Order = Literal["<", ">"]

COLORS = {
    "miniswhite": 1,
    "minisblack": 1,
    "rgb": 3,
    "palette": 1,
    "separated": 4,
    "ycbcr": 3,
    "cielab": 3,
}
TYPES = (
    *("uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64"),
    *("float16", "float32", "float64"),
)
EXTRAS = (None, "unspecified", "assocalpha", "unassalpha")
ORDERS: tuple[Order, Order] = ("<", ">")


@dataclass(frozen=True)
class Case:
    """A file that `tifffile` writes."""

    dtype: str
    photometric: str
    samples: int
    extra: str | None = None
    is_planar: bool = False
    order: Order = "<"
    orientation: int = 1
    compression: str | None = None
    predictor: bool = False

    @property
    def layout(self) -> tuple[object, ...]:
        return self.dtype, self.photometric, self.samples, self.extra, self.is_planar


def create_values(case: Case, height: int = 5, width: int = 7) -> Values:
    """Returns interleaved samples over the whole range, weighted by associated alpha."""
    random, dtype = np.random.default_rng(0), np.dtype(case.dtype)
    shape = (height, width, case.samples)
    if dtype.kind == "f":
        return random.normal(size=shape).astype(dtype)
    limits = np.iinfo(dtype)
    values = random.integers(limits.min, limits.max, shape, dtype=dtype, endpoint=True)
    values[0, 0], values[-1, -1] = limits.min, limits.max
    if case.extra == "assocalpha" and case.dtype in ("uint8", "uint16"):
        count = COLORS[case.photometric]
        alpha = values[..., count : count + 1].astype(np.float64) / limits.max
        values[..., :count] = (values[..., :count] * alpha).astype(dtype)
    return values


def write(case: Case, values: Values | None = None, **options: Any) -> bytes | None:
    """Returns the file, or None if `tifffile` cannot write it without its codecs."""
    values = create_values(case) if values is None else values
    if case.samples == 1:
        values = values[..., 0]
    else:
        options["planarconfig"] = "separate" if case.is_planar else "contig"
        values = np.moveaxis(values, 2, 0) if case.is_planar else values
    if case.extra is not None:
        surplus = case.samples - COLORS[case.photometric]
        options["extrasamples"] = [case.extra, *["unspecified"] * (surplus - 1)]
    if case.photometric == "palette":
        shape = (3, 256 ** np.dtype(case.dtype).itemsize)
        options["colormap"] = np.random.default_rng(1).integers(0, 65536, shape).astype(np.uint16)
    if case.orientation != 1:
        options["extratags"] = [(274, "H", 1, case.orientation, True)]
    stream = io.BytesIO()
    try:
        tifffile.imwrite(
            stream,
            values,
            photometric=case.photometric,
            byteorder=case.order,
            compression=case.compression,
            predictor=case.predictor,
            metadata=None,
            **options,
        )
    except (KeyError, ValueError):
        return None
    return stream.getvalue()


def turn(values: Values, orientation: int) -> Values:
    """Returns the upright picture, pixel by pixel: TIFF 6.0, page 36."""
    sides = {
        **{1: "top left", 2: "top right", 3: "bottom right", 4: "bottom left"},
        **{5: "left top", 6: "right top", 7: "right bottom", 8: "left bottom"},
    }[orientation]  # of the stored row 0, of the stored column 0
    height, width = values.shape[:2]
    shape = (width, height) if orientation > 4 else (height, width)
    upright = np.zeros((*shape, *values.shape[2:]), values.dtype)
    for row, column in np.ndindex(height, width):
        down, right = (row, column) if orientation < 5 else (column, row)
        if "bottom" in sides:
            down = shape[0] - 1 - down
        if "right" in sides:
            right = shape[1] - 1 - right
        upright[down, right] = values[row, column]
    return upright


def read_plainly(data: bytes) -> Values | None:
    """Returns the picture by the letter of TIFF 6.0, NaN where nothing is seen.

    None if TIFF defines no picture: negative or broken values with an inverse or opacity, and
    colors that depend on more than the samples.
    """
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        page = cast(tifffile.TiffPage, file.pages[0])
        samples = np.concatenate(list(page.asarray(squeeze=False)[:, 0]), axis=-1)
        photometric = tifffile.PHOTOMETRIC(page.photometric).name.lower()
        extras, colormap = page.extrasamples, page.colormap
        orientation = int(page.tags[274].value) if 274 in page.tags else 1
    if photometric in ("ycbcr", "cielab"):
        return None
    count, is_unsigned = COLORS[photometric], samples.dtype.kind == "u"
    top = float(np.iinfo(samples.dtype).max) if is_unsigned else 1.0
    picture = samples[..., :count].astype(np.float64)
    if photometric == "miniswhite":
        picture = top - picture
    elif photometric == "palette":
        assert colormap is not None
        picture = np.moveaxis(colormap[:, samples[..., 0]] >> 8, 0, 2).astype(np.float64)
    elif photometric == "separated":
        picture = (top - picture[..., :3]) * (top - picture[..., 3:]) / top
    alphas = [place for place, extra in enumerate(extras) if extra in (1, 2)]
    if not is_unsigned and (alphas or photometric == "miniswhite"):
        return None
    if alphas:
        opacity = samples[..., count + alphas[0], None].astype(np.float64) / top
        picture = np.where(opacity > 0, picture * (opacity if 2 in extras else 1), np.nan)
    return turn(picture, orientation)


def find_difference(data: bytes, case: Case, values: Values) -> str:
    expected = read_plainly(data)
    if expected is None:
        return "TIFF defines no picture"
    gray = values if values.ndim == 3 else values[..., None]
    if gray.shape[:2] != expected.shape[:2] or gray.shape[2] not in (3, expected.shape[2]):
        return f"shape {values.shape}"
    expected = np.broadcast_to(expected, gray.shape)
    is_seen = np.isfinite(expected)
    hidden = gray[~is_seen]
    if not (np.isnan(hidden) | (hidden == 0)).all():
        return "what is transparent is not black"
    # Eight bits are rounded once for the opacity, and once more where Pillow divided by it.
    is_rounded = values.dtype == np.uint8 and (case.extra is not None or case.samples == 4)
    tolerance = 1.0 if is_rounded else 0.0
    error = np.abs(gray[is_seen].astype(np.float64) - expected[is_seen])
    return "" if (error <= tolerance + 1e-6 * np.abs(expected[is_seen])).all() else "values"


def is_named(case: Case, message: str) -> bool:
    """Whether a refusal names a property in which this file is unusual, and a remedy."""
    bits = 8 * np.dtype(case.dtype).itemsize
    properties = {
        f"PlanarConfiguration 2) for {case.samples} samples of {bits} bits": case.is_planar,
        f"SamplesPerPixel {case.samples} at {bits} bits": case.extra is not None,
        f"of {bits} bits, expected for": case.dtype != "uint8",
        "photometric interpretation is CIELab": case.photometric == "cielab",
        "of YCbCr with compression": case.photometric == "ycbcr",
    }
    named = [is_unusual for text, is_unusual in properties.items() if text in message]
    return named == [True] and re.search(r"\. (Save|Put) .*\.$", message) is not None


def list_cases(dtype: str) -> Iterator[Case]:
    """Yields each combination in one of the orientations, which take turns."""
    orientations = itertools.cycle(range(1, 9))
    packings = ((None, False), ("zlib", False), ("zlib", True))
    for photometric, samples, extra, is_planar, order, packing in itertools.product(
        COLORS, range(1, 6), EXTRAS, (False, True), ORDERS, packings
    ):
        surplus = samples - COLORS[photometric]
        if surplus < 0 or (surplus > 0) != (extra is not None) or (is_planar and samples == 1):
            continue
        if photometric == "palette" and dtype not in ("uint8", "uint16"):
            continue
        yield Case(
            *(dtype, photometric, samples, extra, is_planar, order, next(orientations), *packing)
        )


def list_read() -> Iterator[Case]:
    """Yields the layouts that must be read, in any byte order, orientation and compression."""
    for color in ("miniswhite", "minisblack", "palette"):
        yield Case("uint8", color, 1)
    for dtype in ("uint16", "uint32", "uint64"):
        yield Case(dtype, "miniswhite", 1)
    for dtype in TYPES:
        if dtype not in ("uint8", "int8", "float16"):
            yield Case(dtype, "minisblack", 1)
            yield Case(dtype, "rgb", 3)
            yield Case(dtype, "rgb", 4, "unspecified")
    for extra in ("unspecified", "unassalpha"):
        yield Case("uint8", "minisblack", 2, extra)
    yield Case("uint8", "rgb", 3)
    for extra, samples in itertools.product(("unspecified", "assocalpha", "unassalpha"), (4, 5)):
        yield Case("uint8", "rgb", samples, extra)
    yield Case("uint16", "rgb", 4, "unassalpha")
    yield Case("uint8", "separated", 4)
    yield Case("uint8", "separated", 5, "unspecified")
    yield Case("uint16", "separated", 4)
    yield Case("uint8", "rgb", 3, None, True)
    yield Case("uint8", "rgb", 4, "unassalpha", True)
    yield Case("uint8", "separated", 4, None, True)


READ = {case.layout for case in list_read()}


@pytest.mark.parametrize("dtype", TYPES)
def test_each_layout_is_read_as_tifffile_has_it_or_refused_by_name(dtype: str) -> None:
    wrong, read, count = [], set(), 0
    for case in list_cases(dtype):
        data = write(case)
        if data is None:
            continue
        count += 1
        try:
            values = read_values(data)
        except ImageError as error:
            if case.layout in READ or not is_named(case, str(error)):
                wrong.append((case, str(error)))
            continue
        read.add(case.layout)
        difference = find_difference(data, case, values)
        if difference:
            wrong.append((case, difference))
    assert not wrong, f"{len(wrong)} of {count} files, such as {wrong[:3]}"
    assert read == {layout for layout in READ if layout[0] == dtype}
    assert count > 300


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_of_each_layout_is_followed_and_facts_are_as_stored(orientation: int) -> None:
    for case, order, compression in itertools.product(list_read(), ORDERS, (None, "zlib")):
        case = replace(case, order=order, compression=compression, orientation=orientation)
        data = write(case)
        assert data is not None
        assert find_difference(data, case, read_values(data)) == "", case
        facts = decode_image(data, stretch="linear").facts
        assert (facts.height, facts.width) == (5, 7)


@pytest.mark.parametrize("options", [{"tile": (16, 32)}, {"rowsperstrip": 3}, {"bigtiff": True}])
def test_tiles_strips_and_bigtiff_of_each_layout_are_read(options: dict[str, Any]) -> None:
    for case, compression in itertools.product(list_read(), (None, "zlib")):
        for order in ORDERS[: 1 if "bigtiff" in options else 2]:
            case = replace(case, order=order, compression=compression)
            data = write(case, create_values(case, 20, 37), **options)
            assert data is not None
            assert find_difference(data, case, read_values(data)) == "", case


def test_bigtiff_in_big_endian_order_is_refused_by_name() -> None:
    data = write(Case("uint8", "rgb", 3, order=">"), bigtiff=True)
    assert data is not None
    with pytest.raises(ImageError, match=r"BigTIFF in big-endian byte order, .*\. Save it"):
        read_values(data)


# What tifffile does not write


def build(tags: Mapping[int, tuple[int, ...]], data: bytes, order: Order = "<") -> bytes:
    """Returns a file of one strip with these tags over the usual ones of 5 x 7 gray bytes."""
    usual = {256: (7,), 257: (5,), 258: (8,), 259: (1,), 262: (1,), 277: (1,), 278: (5,)}
    entries = {**usual, **tags, 273: (0,), 279: (len(data),)}
    entries = {code: values for code, values in entries.items() if values}
    blobs, start = b"", 8 + 2 + 12 * len(entries) + 4
    long = {code: 2 * len(values) for code, values in entries.items() if len(values) > 2}
    entries[273] = (start + sum(long.values()),)
    directory = struct.pack(f"{order}H", len(entries))
    for code, values in sorted(entries.items()):
        kind, letter = (4, "I") if code in (273, 279) else (3, "H")
        raw = struct.pack(f"{order}{len(values)}{letter}", *values)
        if code in long:
            blobs, raw = blobs + raw, struct.pack(f"{order}I", start + len(blobs))
        directory += struct.pack(f"{order}HHI", code, kind, len(values)) + raw.ljust(4, b"\0")
    head = b"II*\0" if order == "<" else b"MM\0*"
    return head + struct.pack(f"{order}I", 8) + directory + bytes(4) + blobs + data


def pack(values: Values, bits: int) -> bytes:
    """Returns rows of samples of any number of bits, each row filled up to a byte."""
    digits = (values[..., None] >> np.arange(bits)[::-1]) & 1
    return np.packbits(digits.reshape(len(values), -1).astype(np.uint8), axis=1).tobytes()


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("bits", [1, 2, 4, 6, 10, 12, 14, 24])
def test_odd_numbers_of_bits_are_read_or_refused(bits: int, order: Order) -> None:
    values = np.random.default_rng(0).integers(0, 2**bits, (5, 7))
    colormap = np.random.default_rng(1).integers(0, 65536, (3, 2 ** min(bits, 8)))
    for photometric, is_packed in itertools.product((0, 1, 3), (False, True)):
        colors = tuple(colormap.ravel().tolist()) if photometric == 3 else ()
        compression = 8 if is_packed else 1
        tags = {258: (bits,), 259: (compression,), 262: (photometric,), 320: colors}
        data = zlib.compress(pack(values, bits)) if is_packed else pack(values, bits)
        file = build(tags, data, order)
        if bits not in (1, 2, 4) and (bits, photometric, order) != (12, 1, "<"):
            with pytest.raises(ImageError, match=rf"it is a TIFF .*of {bits} bits.*\. Save it"):
                read_values(file)
            continue
        expected = values if photometric == 1 else 2**bits - 1 - values
        expected = expected * 255 // (2**bits - 1) if bits < 8 else expected
        if photometric == 3:
            expected = np.moveaxis(colormap[:, values] >> 8, 0, 2)
        read = read_values(file)
        expected = expected if read.ndim == expected.ndim else np.repeat(expected[..., None], 3, 2)
        np.testing.assert_array_equal(read, expected)


@pytest.mark.parametrize("extra", [0, 2])
def test_palette_with_an_extra_sample_is_read(extra: int) -> None:
    values = np.random.default_rng(0).integers(0, 256, (5, 7, 2)).astype(np.uint8)
    colormap = np.random.default_rng(1).integers(0, 65536, (3, 256))
    tags = {258: (8, 8), 262: (3,), 277: (2,), 320: tuple(colormap.ravel().tolist()), 338: (extra,)}
    share = values[..., 1:] / 255 if extra else 1
    expected = np.moveaxis(colormap[:, values[..., 0]] >> 8, 0, 2) * share
    assert np.abs(read_values(build(tags, values.tobytes())) - expected).max() <= 1


@pytest.mark.parametrize("compression", [None, "group3", "group4", "tiff_lzw", "packbits"])
def test_lowest_bit_first_is_read_for_one_bit_and_refused_for_more(compression: str | None) -> None:
    values = np.random.default_rng(0).integers(0, 2, (9, 21)).astype(bool)
    stream = io.BytesIO()
    Image.fromarray(values).save(stream, "TIFF", compression=compression)
    with tifffile.TiffFile(io.BytesIO(stream.getvalue())) as file:
        page = cast(tifffile.TiffPage, file.pages[0])
        (start,), (count,) = page.dataoffsets, page.databytecounts
        compressed, photometric = int(page.compression), int(page.photometric)
    strip = stream.getvalue()[start : start + count]
    mirrored = bytes(int(f"{byte:08b}"[::-1], 2) for byte in strip)
    tags = {256: (21,), 257: (9,), 258: (1,), 259: (compressed,), 262: (photometric,), 278: (9,)}
    for data in (stream.getvalue(), build(tags, strip), build({**tags, 266: (2,)}, mirrored)):
        np.testing.assert_array_equal(read_values(data)[..., 0], values * 255)
    for bits in (2, 4, 8, 16):
        with pytest.raises(ImageError, match=rf"of {bits} bits with the lowest bit .*FillOrder 2"):
            read_values(build({258: (bits,), 266: (2,)}, bytes(99)))


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("samples", [1, 3])
def test_floats_with_their_predictor_are_read(samples: int, order: Order) -> None:
    values = np.random.default_rng(0).normal(size=(5, 7, samples)).astype(np.float32)
    # Adobe Photoshop TIFF Technical Note 3: the high bytes of a row, then the next ones, as
    # differences of bytes that are `samples` apart.
    rows = values.reshape(5, -1).astype(">f4").view(np.uint8).reshape(5, -1, 4).swapaxes(1, 2)
    chain = np.ascontiguousarray(rows).reshape(5, -1, samples)
    chain[:, 1:] -= chain[:, :-1].copy()
    tags = {258: (32,) * samples, 259: (8,), 262: (1 if samples == 1 else 2,), 277: (samples,)}
    tags |= {317: (3,), 339: (3,) * samples}
    read = read_values(build(tags, zlib.compress(chain.tobytes()), order))
    np.testing.assert_array_equal(read.reshape(values.shape), values)


REFUSED: dict[str, dict[int, tuple[int, ...]]] = {
    "photometric interpretation is missing": {262: ()},
    "photometric interpretation is transparency mask": {258: (1,), 262: (4,)},
    "photometric interpretation is CIELab": {258: (8,) * 3, 262: (8,), 277: (3,)},
    "photometric interpretation is ICCLab": {258: (8,) * 3, 262: (9,), 277: (3,)},
    "photometric interpretation is LogLuv": {258: (16,) * 3, 262: (32845,), 277: (3,)},
    "photometric interpretation is color filter array": {258: (16,), 262: (32803,)},
    "photometric interpretation is linear raw": {258: (16,) * 3, 262: (34892,), 277: (3,)},
    "unsigned integers of 5/6 bits": {258: (5, 6, 5), 262: (2,), 277: (3,)},
    "unsigned integers of 8/16 bits": {258: (8, 8, 16), 262: (2,), 277: (3,)},
    "unsigned integers and signed integers of 16 bits": {
        **{258: (16,) * 3, 262: (2,), 277: (3,), 339: (1, 1, 2)}
    },
    "undefined format of 16 bits": {258: (16,), 339: (4,)},
    "complex integers of 32 bits": {258: (32,), 339: (5,)},
    "complex floats of 64 bits": {258: (64,), 339: (6,)},
    "floats of 24 bits": {258: (24,), 339: (3,)},
    "integers of 4 bits, expected for RGB": {258: (4,) * 3, 262: (2,), 277: (3,)},
    "integers of 16 bits, expected for palette": {258: (16,), 262: (3,)},
    r"expected 1 for gray; ExtraSamples \(missing\)": {258: (8,) * 3, 277: (3,)},
    r"expected 3 for RGB; ExtraSamples \(missing\)": {262: (2,)},
    r"SamplesPerPixel 4 at 32 bits, .* \(unassociated alpha\)": {
        **{258: (32,) * 4, 262: (2,), 277: (4,), 339: (3,) * 4}
    },
    r"ExtraSamples \(associated alpha\)": {258: (16,) * 4, 262: (2,), 277: (4,), 338: (1,)},
    r"ExtraSamples \(999\)": {258: (8,) * 4, 262: (2,), 277: (4,), 338: (999,)},
    r"other inks than CMYK \(InkSet 2\)": {258: (8,) * 4, 262: (5,), 277: (4,), 332: (2,)},
    r"volume of 3 slices \(ImageDepth\)": {32997: (3,)},
    "predictor and compression none": {317: (2,)},
    "compression 34712": {259: (34712,)},
    "compression 6": {258: (8,) * 3, 259: (6,), 262: (6,), 277: (3,)},
    "CMYK with compression JPEG": {258: (8,) * 4, 259: (7,), 262: (5,), 277: (4,)},
    "YCbCr with compression LZW": {258: (8,) * 3, 259: (5,), 262: (6,), 277: (3,)},
}


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("named", REFUSED)
def test_what_has_no_sure_picture_is_refused_by_name(named: str, order: Order) -> None:
    with pytest.raises(ImageError, match=rf"it is a TIFF .*{named}.*\. (Save|Put) "):
        read_values(build(REFUSED[named], bytes(5 * 7 * 16), order))


def test_tags_that_are_damaged_are_an_image_error() -> None:
    with pytest.raises(ImageError, match="damaged or truncated"):
        read_values(build({257: ()}, bytes(35)))
    with pytest.raises(ImageError, match="damaged or truncated"):
        read_values(build({258: (16,), 277: (2,)}, bytes(35))[:60])


@pytest.mark.parametrize("mode", ["L", "RGB", "YCbCr"])
def test_jpeg_in_tiff_is_read(mode: str) -> None:
    rows, columns = np.mgrid[:32, :48]
    picture = np.stack([rows * 8, columns * 5, 255 - rows * 8], axis=2).astype(np.uint8)
    image, stream = Image.fromarray(picture), io.BytesIO()
    image.convert(mode).save(stream, "TIFF", compression="jpeg", quality=98)
    expected = np.asarray(image.convert("L") if mode == "L" else image, np.int64)
    assert np.abs(read_values(stream.getvalue()) - expected).max() <= 8


# Pages


def write_pages(first: Values, first_type: int, subifds: int, *others: Values) -> bytes:
    stream = io.BytesIO()
    with tifffile.TiffWriter(stream) as file:
        file.write(first, subfiletype=first_type, subifds=subifds, metadata=None)
        for values in others:
            file.write(values, subfiletype=1 - first_type, metadata=None)
    return stream.getvalue()


@pytest.mark.parametrize("subifds", [0, 1])
def test_reduced_page_before_the_full_one_is_refused_by_name(subifds: int) -> None:
    small, full = (np.full((side, side), side, np.uint8) for side in (4, 8))
    with pytest.raises(ImageError, match=r"reduced copy \(NewSubfileType\).*\. Save the full"):
        read_values(write_pages(small, 1, subifds, full))
    np.testing.assert_array_equal(read_values(write_pages(full, 0, subifds, small)), full)
    np.testing.assert_array_equal(read_values(write_pages(small, 1, 0)), small)


# Images that Pillow has opened


def test_layout_of_an_opened_pillow_image_is_checked_too() -> None:
    data = write(Case("int8", "minisblack", 1))
    assert data is not None
    with pytest.raises(ImageError, match=r"'<image>': it is a TIFF whose samples are signed"):
        read_values(Image.open(io.BytesIO(data)))


@pytest.mark.parametrize("dtype", ["uint32", "int16", "int32", "float32"])
def test_deep_gray_of_an_opened_pillow_image_is_that_of_its_file(dtype: str) -> None:
    for order, compression in itertools.product(ORDERS, (None, "zlib")):
        case = Case(dtype, "minisblack", 1, order=order, compression=compression)
        data = write(case)
        assert data is not None
        if (dtype, order) == ("uint32", ">"):
            continue  # Pillow opens none
        image = Image.open(io.BytesIO(data))
        assert find_difference(data, case, read_values(image)) == "", case
