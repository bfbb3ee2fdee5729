"""Decoders: the registry, deep colour of every format, FITS, PDS, and limits."""

from __future__ import annotations

import builtins
import gzip
import importlib.util
import io
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from astropy.io import fits
from PIL import Image

from planetvision.core.errors import (
    ConversionWarning,
    DataWarning,
    ImageError,
    MissingExtraError,
    SettingsError,
)
from planetvision.core.settings import InputSpec
from planetvision.data import (
    DECODERS,
    Catalog,
    DecodedImage,
    DecoderSpec,
    ImageFacts,
    ImageFile,
    decode_image,
    list_decoders,
    read_image,
    read_labelled,
    register_decoder,
)
from planetvision.data.cache import MemoryCache, create_cache_key, read_through
from planetvision.data.decoders import MAX_PIXELS, find_decoder
from planetvision.data.decoders import registry as decoder_registry
from planetvision.data.decoders.registry import list_suffixes
from planetvision.data.stretch import stretch_image
from planetvision.data.survey import survey_catalog
from planetvision.inference.predictor import load_views

Values = npt.NDArray[Any]
Register = Callable[..., Callable[[Any], Any]]


def load_fuzz() -> ModuleType:
    script = Path(__file__).parents[2] / "benchmarks" / "fuzz_images.py"
    spec = importlib.util.spec_from_file_location("fuzz_files", script)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


FUZZ = load_fuzz()


@pytest.fixture
def registered() -> Iterator[Register]:
    """Registers decoders that go again after the test."""
    before = set(DECODERS.names())
    yield register_decoder
    for name in set(DECODERS.names()) - before:
        DECODERS.remove(name)


def read_gray(source: Any, **options: Any) -> Values:
    image = read_image(source, **{"stretch": "linear", **options})
    assert (image[..., 0] == image[..., 1]).all()
    assert (image[..., 0] == image[..., 2]).all()
    return image[..., 0]


def save_fits(*hdus: Any) -> bytes:
    stream = io.BytesIO()
    fits.HDUList(list(hdus)).writeto(stream)
    return stream.getvalue()


def encode(values: Values, suffix: str) -> bytes:
    stored = values if values.ndim == 2 else values[..., [2, 1, 0, *range(3, values.shape[2])]]
    done, data = cv2.imencode(suffix, np.ascontiguousarray(stored))
    assert done
    return bytes(data.tobytes())


# The registry


def test_every_format_is_listed() -> None:
    expected = ["bmp", "fits", "gif", "jpeg", "pds", "png", "pnm", "tiff", "webp"]
    assert list_decoders() == expected


@pytest.mark.parametrize("name", list_decoders())
def test_every_decoder_keeps_the_contract(name: str, tmp_path: Path) -> None:
    spec = DECODERS.get(name)
    assert spec.summary
    assert spec.suffixes
    assert all(suffix.startswith(".") and suffix == suffix.lower() for suffix in spec.suffixes)
    assert not spec.recognize(b"")
    assert not spec.recognize(b"these are notes" * 100)
    found = 0
    for files in FUZZ.create_seeds().values():
        first = next(iter(files))
        head = files[first][:4096]
        if find_decoder(head, first) is not spec:
            assert not spec.recognize(head)
            continue
        found += 1
        for other, data in files.items():
            (tmp_path / other).write_bytes(data)
        decoded = decode_image(tmp_path / first, stretch="linear")
        facts = decoded.facts
        assert decoded.array.dtype == np.uint8
        assert {facts.height, facts.width} == set(decoded.array.shape[:2])
        assert facts.bits in (8, 12, 16, 32, 64)
        assert facts.channels in (1, 3, 4)
        if len(files) == 1:  # the same by content alone, and under a wrong name
            data = files[first]
            np.testing.assert_array_equal(read_image(data, stretch="linear"), decoded.array)
            if spec.recognize(head):
                wrong = tmp_path / ("wrong.png" if name == "jpeg" else "wrong.jpg")
                wrong.write_bytes(data)
                np.testing.assert_array_equal(read_image(wrong, stretch="linear"), decoded.array)
        with pytest.raises(ImageError, match="Cannot read"):
            read_image(files[first][: len(head) // 20], stretch="linear")
    assert found


def test_decoder_of_ones_own_is_found_by_content_then_by_name(
    registered: Register, tmp_path: Path
) -> None:
    @registered("grid", suffixes=(".grid",), recognize=lambda head: head.startswith(b"GRID"))
    def grid(file: ImageFile) -> Values:
        """A grid of 16-bit numbers."""
        return np.frombuffer(file.read()[4:], "<u2").reshape(2, 3)

    data = b"GRID" + np.arange(0, 600, 100, dtype="<u2").tobytes()
    expected = [[0, 51, 102], [153, 204, 255]]
    assert DECODERS.get("grid").summary == "A grid of 16-bit numbers."
    decoded = decode_image(data, stretch="linear")
    assert decoded.array[..., 0].tolist() == expected
    assert decoded.facts == ImageFacts(height=2, width=3, bits=16, channels=1, format="grid")
    (tmp_path / "a.png").write_bytes(data)  # content wins over the name
    assert read_gray(tmp_path / "a.png").tolist() == expected
    (tmp_path / "a.GRID").write_bytes(b"????" + data[4:])  # the name decides for the unknown
    assert read_gray(tmp_path / "a.GRID").tolist() == expected
    with pytest.raises(ImageError, match="not an image in a format that is known"):
        read_image(b"????" + data[4:])


def test_files_of_a_decoder_of_ones_own_count_as_images(
    registered: Register, tmp_path: Path
) -> None:
    assert {".jpg", ".pgm", ".fits.gz", ".lbl"} <= set(list_suffixes())
    (tmp_path / "mars").mkdir()
    for name in ("mars/a.png", "b.own", "c.fits.gz"):
        (tmp_path / name).touch()
    registered("own", suffixes=(".own",))(lambda file: np.zeros((2, 2)))
    with pytest.warns(DataWarning, match="2 images in .* itself, beside the class folders"):
        read_labelled(tmp_path)


def test_later_decoder_of_the_same_content_is_asked_first(
    registered: Register,
) -> None:
    png = encode(np.full((2, 2), 9, np.uint8), ".png")

    @registered("my_png", recognize=lambda head: head.startswith(b"\x89PNG"))
    def my_png(file: ImageFile) -> DecodedImage:
        facts = ImageFacts(height=9, width=9, bits=8, channels=1, format="mine", pages=4)
        return DecodedImage(np.full((3, 3), 200, np.uint8), facts)

    decoded = decode_image(png)
    assert decoded.array.shape == (3, 3, 3)
    assert (decoded.facts.format, decoded.facts.pages) == ("mine", 4)
    DECODERS.remove("my_png")
    assert read_image(png).shape == (2, 2, 3)


@pytest.mark.parametrize(
    ("result", "cause"),
    [
        ([[1, 2]], "must return an array of numbers, it returned list"),
        (np.zeros((2, 2), "U1"), "must return an array of numbers, it returned <U1"),
        (np.zeros((2, 2), complex), "must return an array of numbers, it returned complex128"),
        (np.zeros((3, 2, 2)), r"shape \(H, W\) or \(H, W, 3\), it returned \(3, 2, 2\)"),
        (np.zeros((2, 2, 4)), r"shape \(H, W\) or \(H, W, 3\), it returned \(2, 2, 4\)"),
        (np.zeros((0, 2)), "it has no pixels"),
    ],
)
def test_decoder_that_returns_no_image_is_named(
    registered: Register, result: Any, cause: str
) -> None:
    registered("odd", recognize=lambda head: head == b"odd")(lambda file: result)
    with pytest.raises(ImageError, match=cause) as caught:
        read_image(b"odd")
    assert "'odd'" in str(caught.value) or "pixels" in cause


def test_what_a_decoder_raises_is_an_image_error(registered: Register) -> None:
    @registered("odd", recognize=lambda head: head.startswith(b"odd"))
    def odd(file: ImageFile) -> Values:
        if file.size > 3:
            raise file.fail("the moon is in the way")
        raise ZeroDivisionError("in\n  there")

    message = r"the decoder 'odd' failed \(ZeroDivisionError: in there\)"
    with pytest.raises(ImageError, match=message) as caught:
        read_image(b"odd")
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    with pytest.raises(ImageError, match=r"Cannot read '<bytes>': the moon is in the way\."):
        read_image(b"oddly")


def test_suffix_without_a_dot_or_in_capitals_raises() -> None:
    with pytest.raises(SettingsError, match=r"must start with a dot.*got 'raw', '\.RAW'"):
        register_decoder("bad", suffixes=("raw", ".RAW", ".ok"))(lambda file: np.zeros((2, 2)))
    assert DecoderSpec(
        name="one",
        build=lambda file: np.zeros((2, 2)),
        summary="",
        suffixes=".one",  # type: ignore[arg-type]
    ).suffixes == (".one",)


def test_plugins_are_looked_for_once_and_not_an_image(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def count_calls() -> list[Any]:
        calls.append(1)
        return []

    monkeypatch.setattr(DECODERS, "_entry_points", count_calls)
    decoder_registry.load_plugins.cache_clear()
    for _ in range(5):
        read_image(encode(np.zeros((2, 2), np.uint8), ".png"))
    assert len(calls) < 30  # each entry is looked up once, whatever the number of images
    before = len(calls)
    read_image(encode(np.zeros((2, 2), np.uint8), ".png"))
    assert len(calls) == before


# The same numbers in every format


def create_ramp(bits: int) -> Values:
    return np.linspace(0, 2**bits - 1, 40 * 60).round().astype(np.uint16).reshape(40, 60)


def save_ramp(values: Values, kind: str) -> dict[str, bytes]:
    stream = io.BytesIO()
    if kind == "png":
        Image.fromarray(values).save(stream, "PNG")
    elif kind == "tiff":
        Image.fromarray(values).save(stream, "TIFF", compression="tiff_lzw")
    elif kind == "tiff_float":
        Image.fromarray(values.astype(np.float32)).save(stream, "TIFF")
    elif kind == "pgm":
        size = f"{values.shape[1]} {values.shape[0]} {values.max()}"
        return {"a.pgm": f"P5 {size}\n".encode() + values.astype(">u2").tobytes()}
    elif kind == "fits":
        return {"a.fits": save_fits(fits.PrimaryHDU(values[::-1]))}
    elif kind == "fits_packed":
        packed = fits.CompImageHDU(values[::-1].astype(np.int32), compression_type="RICE_1")
        return {"a.fits.fz": save_fits(fits.PrimaryHDU(), packed)}
    elif kind == "pds3":
        return {"a.img": b"".join(FUZZ.create_pds3(values))}
    elif kind == "pds4":
        label, data = FUZZ.create_pds4(values)
        return {"image.xml": label, "image.dat": data}
    return {f"a.{kind}": stream.getvalue()}


@pytest.mark.parametrize("bits", [12, 16])
@pytest.mark.parametrize(
    "kind", ["png", "tiff", "tiff_float", "pgm", "fits", "fits_packed", "pds3", "pds4"]
)
def test_ramp_of_12_or_16_bits_is_the_same_in_every_format_and_never_white(
    kind: str, bits: int, tmp_path: Path
) -> None:
    files = save_ramp(create_ramp(bits), kind)
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    path = tmp_path / next(iter(files))
    expected = np.linspace(0, 255, 40 * 60).reshape(40, 60)
    decoded = read_gray(path)
    assert np.abs(decoded - expected).max() <= 1
    assert (decoded == 255).mean() < 0.01
    for stretch in ("percentile", "asinh", "zscale"):
        again = read_gray(path, stretch=stretch)
        np.testing.assert_array_equal(again, stretch_image(create_ramp(bits), stretch))
        assert (again == 255).mean() < 0.2


# Deep colour, which Pillow itself reduces to 8 bits


@pytest.fixture
def deep() -> Values:
    return np.random.default_rng(0).integers(0, 65536, (7, 9, 3)).astype(np.uint16)


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_16_bit_colour_keeps_all_its_bits(deep: Values, suffix: str) -> None:
    from planetvision.data.decoders.pillow import decode_with_pillow

    file = ImageFile.from_bytes(encode(deep, suffix))
    decoded = decode_with_pillow(file, suffix[1:].upper())
    np.testing.assert_array_equal(decoded.array, deep)
    assert (decoded.facts.bits, decoded.facts.channels) == (16, 3)


def test_16_bit_colour_in_a_narrow_range_keeps_its_steps() -> None:
    values = np.zeros((1, 64, 3), np.uint16)
    values[0, :, 0] = 20_000 + np.arange(64)  # one step of the high byte alone
    values[0, :, 1:] = 20_000
    for suffix in (".png", ".tiff"):
        image = read_image(encode(values, suffix), stretch="linear")
        assert image[0, :, 0].tolist() == np.rint(np.arange(64) * 255 / 63).tolist()


def test_16_bit_colour_with_opacity_is_put_on_black(deep: Values) -> None:
    opacity = np.full((7, 9, 1), 65535, np.uint16)
    opacity[0], opacity[1] = 0, 32768
    decoded = decode_image(encode(np.dstack([deep, opacity]), ".png"), stretch="linear")
    weighted = deep * (opacity / 65535.0)
    low, high = weighted[1:].min(), weighted[1:].max()
    expected = np.rint(255 * (weighted - low) / (high - low))
    assert (decoded.array[0] == 0).all()
    assert np.abs(decoded.array[1:] - expected[1:]).max() <= 1
    assert decoded.facts.channels == 4


def test_16_bit_gray_with_opacity_is_put_on_black() -> None:
    import struct
    import zlib

    rows = np.array([[[0, 65535], [500, 65535], [60_000, 0], [1000, 65535]]], ">u2")

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)

    data = (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", 4, 1, 16, 4, 0, 0, 0))
        + chunk(b"IDAT", zlib.compress(b"\0" + rows.tobytes()))
        + chunk(b"IEND", b"")
    )
    decoded = decode_image(data, stretch="linear")
    assert decoded.array[0, :, 0].tolist() == [0, 128, 0, 255]
    assert (decoded.facts.bits, decoded.facts.channels) == (16, 2)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_colour_in_floats_of_tiff_is_read(dtype: Any) -> None:
    values = np.random.default_rng(0).uniform(-1, 3, (6, 5, 3)).astype(dtype)
    values[2, 3] = np.nan
    decoded = decode_image(encode(values, ".tiff"), stretch="linear")
    np.testing.assert_array_equal(decoded.array, stretch_image(values))
    assert decoded.array[2, 3].tolist() == [0, 0, 0]
    assert decoded.facts.bits == values.dtype.itemsize * 8


def test_16_bit_tiff_where_white_is_zero_is_not_a_negative() -> None:
    stream = io.BytesIO()
    values = np.array([[0, 1000, 65535]], np.uint16)
    Image.fromarray(values).save(stream, "TIFF", tiffinfo={262: 0})
    data = stream.getvalue()
    assert Image.open(io.BytesIO(data)).tag_v2[262] == 0  # type: ignore[attr-defined]
    assert read_gray(data).tolist() == [[255, 251, 0]]


def test_ppm_of_16_bits_and_plain_pgm_with_comments() -> None:
    values = np.array([[[0, 2000, 4000], [1000, 3000, 4000]]], np.uint16)
    data = b"P6\n# a comment\n2 1\n4095\n" + values.astype(">u2").tobytes()
    decoded = decode_image(data, stretch="linear")
    assert decoded.array.tolist() == [[[0, 128, 255], [64, 191, 255]]]
    assert (decoded.facts.bits, decoded.facts.channels) == (12, 3)
    plain = b"P2 # gray\n3 1 1000\n0 500 # a comment\n1000"
    assert read_gray(plain).tolist() == [[0, 128, 255]]
    with pytest.raises(ImageError, match="not all its values are numbers"):
        read_image(b"P2 3 1 1000 0 500")


def test_first_page_of_several_and_their_number() -> None:
    pages = [Image.new("RGB", (8, 6), color) for color in ("red", "blue", "green")]
    for kind, options in (("TIFF", {}), ("GIF", {}), ("WEBP", {"lossless": True})):
        stream = io.BytesIO()
        pages[0].save(stream, kind, save_all=True, append_images=pages[1:], **options)
        decoded = decode_image(stream.getvalue())
        assert (decoded.array == (255, 0, 0)).all()
        assert decoded.facts.pages == 3


def test_facts_are_those_of_the_file_before_it_is_reduced_or_turned() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    stream = io.BytesIO()
    Image.new("RGB", (800, 640)).save(stream, "JPEG", exif=exif.tobytes())
    decoded = decode_image(stream.getvalue(), min_size=100)
    assert decoded.array.shape == (200, 160, 3)
    assert decoded.facts == ImageFacts(height=640, width=800, bits=8, channels=3, format="JPEG")


# FITS


def test_fits_rows_count_from_the_bottom() -> None:
    values = np.arange(6, dtype=np.uint8).reshape(3, 2) * 50
    decoded = decode_image(save_fits(fits.PrimaryHDU(values)))
    assert decoded.array[..., 0].tolist() == values[::-1].tolist()
    assert decoded.facts == ImageFacts(height=3, width=2, bits=8, channels=1, format="FITS")


def test_fits_cube_of_three_planes_is_colour() -> None:
    values = np.random.default_rng(0).integers(0, 255, (3, 5, 4)).astype(np.uint8)
    decoded = decode_image(save_fits(fits.PrimaryHDU(values)))
    np.testing.assert_array_equal(decoded.array, np.moveaxis(values, 0, 2)[::-1])
    assert decoded.facts.channels == 3


def test_fits_cube_of_one_plane_is_gray() -> None:
    values = np.array([[[0, 100, 200]]], np.uint8)
    assert read_gray(save_fits(fits.PrimaryHDU(values))).tolist() == [[0, 100, 200]]


def test_fits_leading_axes_of_length_one_do_not_count() -> None:
    values = np.random.default_rng(0).integers(0, 255, (3, 5, 4)).astype(np.uint8)
    gray = decode_image(save_fits(fits.PrimaryHDU(values[:1, None])))
    np.testing.assert_array_equal(gray.array[..., 0], values[0, ::-1])
    assert (gray.facts.channels, gray.facts.pages) == (1, 1)
    colour = read_image(save_fits(fits.PrimaryHDU(values[None, None])))
    np.testing.assert_array_equal(colour, np.moveaxis(values, 0, 2)[::-1])
    with pytest.raises(ImageError, match=r"it holds 0 PRIMARY \(3 x 1 x 5 x 4\)"):
        read_image(save_fits(fits.PrimaryHDU(values[:, None])))
    with pytest.raises(ImageError, match=r"it holds 0 PRIMARY \(4\)"):
        read_image(save_fits(fits.PrimaryHDU(values[0, 0])))


def test_fits_part_is_the_first_image_or_the_one_that_is_named() -> None:
    first, second = np.full((2, 3), 10, np.uint8), np.full((4, 5), 20, np.uint8)
    table = fits.BinTableHDU.from_columns([fits.Column("x", "E", array=np.zeros(3))])
    data = save_fits(
        fits.PrimaryHDU(),
        table,
        fits.ImageHDU(np.zeros((7, 2, 2), np.uint8), name="CUBE"),
        fits.ImageHDU(first, name="SCI"),
        fits.ImageHDU(second, name="DQ"),
    )
    assert (read_image(data) == 10).all()
    assert (read_image(data, hdu=3) == 10).all()
    assert (read_image(data, hdu="dq") == 20).all()
    assert decode_image(data, hdu=4).facts.pages == 2
    with pytest.raises(ImageError, match=r"it has no HDU 9; it holds 0 PRIMARY \(no data\), 1 un"):
        read_image(data, hdu=9)
    with pytest.raises(ImageError, match=r"no HDU 'ERR'; .*3 SCI \(2 x 3\), 4 DQ \(4 x 5\)"):
        read_image(data, hdu="ERR")
    with pytest.raises(ImageError, match="its HDU 'CUBE' is neither a 2-D image nor"):
        read_image(data, hdu="CUBE")
    with pytest.raises(ImageError, match="it holds neither a 2-D image nor a cube of three planes"):
        read_image(save_fits(fits.PrimaryHDU(), table))


def test_fits_scale_offset_blank_and_nan() -> None:
    values = np.array([[0, 100, 200, -999]], np.int16)
    blank = fits.PrimaryHDU(values)
    blank.header["BLANK"] = -999
    assert read_gray(save_fits(blank)).tolist() == [[0, 128, 255, 0]]
    falling = fits.PrimaryHDU(values[:, :3])
    data = bytearray(save_fits(falling))
    # astropy takes BSCALE for its own when it writes: put the card into the bytes.
    place = data.index(b"END" + b" " * 77)
    data[place : place + 160] = b"BSCALE  =                 -1.0".ljust(80) + b"END".ljust(80)
    assert read_gray(bytes(data)).tolist() == [[255, 128, 0]]
    floats = np.array([[1.0, 2.0, np.nan, 3.0]], np.float32)
    assert read_gray(save_fits(fits.PrimaryHDU(floats))).tolist() == [[0, 128, 0, 255]]


@pytest.mark.parametrize(
    "card", ["BSCALE  =                  2.0", "BLANK   =                    7"]
)
def test_fits_of_8_bits_with_a_scale_or_blanks_is_told_to_be_stretched(card: str) -> None:
    data = bytearray(save_fits(fits.PrimaryHDU(np.array([[0, 100, 200]], np.uint8))))
    assert not decode_image(bytes(data)).is_stretched
    place = data.index(b"END" + b" " * 77)
    data[place : place + 160] = card.encode().ljust(80) + b"END".ljust(80)
    with pytest.warns(ConversionWarning, match="has values of type float32 and was brought to 8"):
        decoded = decode_image(bytes(data))
    assert (decoded.facts.bits, decoded.is_stretched) == (8, True)
    assert decoded.array[0, :, 0].tolist() == [0, 128, 255]
    catalog = Catalog(sources=(bytes(data),))
    with pytest.warns(ConversionWarning, match=r"1 of 1 image .*'asinh'"):
        survey = survey_catalog(catalog, stretch="asinh")
    assert survey[0].is_stretched
    assert load_views(bytes(data), InputSpec(image_size=32, stretch="asinh")).is_stretched


def test_fits_packed_by_gzip_is_read_and_its_size_is_limited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = np.array([[0, 1000, 2000]], np.uint16)
    data = gzip.compress(save_fits(fits.PrimaryHDU(values)))
    (tmp_path / "a.fits.gz").write_bytes(data)
    for source in (data, tmp_path / "a.fits.gz"):
        assert read_gray(source).tolist() == [[0, 128, 255]]
    monkeypatch.setattr("planetvision.data.decoders.fits.MAX_BYTES", 3000)
    with pytest.raises(ImageError, match="it unpacks to more than the limit of 3,000 bytes"):
        read_image(data)
    with pytest.raises(ImageError, match="not an image in a format that is known"):
        read_image(gzip.compress(b"notes"))


def test_fits_in_several_gzip_members_is_read_whole_and_its_size_is_limited(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    values = np.arange(40 * 40, dtype=np.uint16).reshape(40, 40)
    plain = save_fits(fits.PrimaryHDU(values))
    data = b"".join(
        gzip.compress(plain[start : start + 1000]) for start in range(0, len(plain), 1000)
    )
    np.testing.assert_array_equal(read_gray(data), stretch_image(values[::-1]))
    with pytest.raises(ImageError, match="it is damaged or truncated"):
        read_image(data[:-20])
    monkeypatch.setattr("planetvision.data.decoders.fits.MAX_BYTES", len(plain) - 1)
    with pytest.raises(ImageError, match="it unpacks to more than the limit of 8,639 bytes"):
        read_image(data)


# PDS


def test_pds3_attached_and_detached_labels_agree(tmp_path: Path) -> None:
    values = (np.arange(12, dtype=np.uint16) * 300).reshape(3, 4)
    expected = stretch_image(values).tolist()
    attached = b"".join(FUZZ.create_pds3(values))
    assert read_gray(attached).tolist() == expected
    label, data = FUZZ.create_pds3(values, data_name="b.img")
    (tmp_path / "b.lbl").write_bytes(label)
    (tmp_path / "b.img").write_bytes(data)
    assert read_gray(tmp_path / "b.lbl").tolist() == expected
    assert read_gray(tmp_path / "b.img").tolist() == expected
    facts = decode_image(tmp_path / "b.img", stretch="linear").facts
    assert facts == ImageFacts(height=3, width=4, bits=16, channels=1, format="PDS3")
    (tmp_path / "b.img").unlink()
    with pytest.raises(ImageError, match="the data that its label names are not beside it"):
        read_image(tmp_path / "b.lbl")


def test_cache_does_not_give_the_picture_that_a_label_had_of_other_data(tmp_path: Path) -> None:
    cache, path, seen = MemoryCache(10**6), tmp_path / "m.lbl", []
    for level in (0, 255):
        label, data = FUZZ.create_pds3(np.full((40, 40), level, np.uint8), data_name="m.img")
        path.write_bytes(label)
        (tmp_path / "m.img").write_bytes(data)
        sha256 = survey_catalog(Catalog(sources=(str(path),)), cache=cache).hashes[0]
        key = create_cache_key(sha256, min_size=None, stretch="linear")
        seen.append(read_through(cache, key, lambda: read_image(path))[0, 0, 0])
    assert seen == [0, 255]


def test_pds_of_three_bands_is_colour(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 255, (3, 5, 4)).astype(np.uint8)
    expected = np.moveaxis(values, 0, 2)
    np.testing.assert_array_equal(read_image(b"".join(FUZZ.create_pds3(values))), expected)
    label, data = FUZZ.create_pds4(values)
    (tmp_path / "image.xml").write_bytes(label)
    (tmp_path / "image.dat").write_bytes(data)
    np.testing.assert_array_equal(read_image(tmp_path / "image.xml"), expected)


def test_pds_missing_values_are_black_and_take_no_part(tmp_path: Path) -> None:
    values = np.array([[-32768, 100, 200, 300]], np.int16)
    data = b"".join(FUZZ.create_pds3(values, more="  MISSING_CONSTANT = -32768\n"))
    assert read_gray(data).tolist() == [[0, 0, 128, 255]]
    more = "<Special_Constants><missing_constant>-32768</missing_constant></Special_Constants>"
    label, data = FUZZ.create_pds4(values, more=more)
    (tmp_path / "image.xml").write_bytes(label)
    (tmp_path / "image.dat").write_bytes(data)
    assert read_gray(tmp_path / "image.xml").tolist() == [[0, 0, 128, 255]]


def test_pds_8_bits_with_a_scale_stay_as_they_are() -> None:
    values = np.array([[0, 50, 100]], np.uint8)
    scaled = "  SCALING_FACTOR = 0.004\n  OFFSET = 0.1\n"
    assert read_gray(b"".join(FUZZ.create_pds3(values, more=scaled))).tolist() == [[0, 50, 100]]


def test_pds_without_an_image_or_label_says_so(tmp_path: Path) -> None:
    values = np.zeros((5, 4, 4), np.uint8)
    with pytest.raises(ImageError, match=r"nor one of three bands; it holds IMAGE \(5 x 4 x 4\)"):
        read_image(b"".join(FUZZ.create_pds3(values)))
    (tmp_path / "a.img").write_bytes(b"no label here" * 99)
    with pytest.raises(ImageError, match=r"a\.img': "):
        read_image(tmp_path / "a.img")


# Limits


@pytest.mark.parametrize("side", [20_000, 2**31 - 1])
@pytest.mark.parametrize("kind", ["bmp", "png", "gif", "pgm", "pgm16", "tiff", "fits", "pds3"])
def test_huge_sizes_in_headers_are_refused_before_memory_is_taken(kind: str, side: int) -> None:
    small = np.zeros((2, 2), np.uint16)
    stream = io.BytesIO()
    if kind in ("bmp", "png", "gif", "tiff"):
        Image.new("L", (2, 2)).save(stream, kind.upper())
    data = bytearray(stream.getvalue())
    if kind == "bmp":
        data[18:26] = side.to_bytes(4, "little") * 2
    elif kind == "png":
        import zlib

        data[16:24] = side.to_bytes(4, "big") * 2
        data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    elif kind == "gif":
        data[6:10] = b"\xff" * 4
    elif kind == "tiff":
        data = bytearray(encode(np.zeros((2, 2, 3), np.float32), ".tiff"))
        start = int.from_bytes(data[4:8], "little") + 2
        for place in range(start, start + 24, 12):  # the tags of width and height come first
            if bytes(data[place : place + 2]) in (b"\x00\x01", b"\x01\x01"):
                data[place + 2 : place + 4] = b"\x04\x00"
                data[place + 8 : place + 12] = side.to_bytes(4, "little")
    elif kind in ("pgm", "pgm16"):
        peak = 255 if kind == "pgm" else 65535
        data = bytearray(f"P5 {side} {side} {peak}\n".encode() + bytes(100))
    elif kind == "fits":
        text = save_fits(fits.PrimaryHDU(small)).replace(
            b"NAXIS1  =                    2", f"NAXIS1  = {side:20}".encode()
        )
        text = text.replace(b"NAXIS2  =                    2", f"NAXIS2  = {side:20}".encode())
        data = bytearray(text)
    else:
        label, values = FUZZ.create_pds3(small)
        text = label.replace(b"LINES = 2", f"LINES = {side}".encode())
        data = bytearray(text.replace(b"SAMPLES = 2", f"SAMPLES = {side}".encode()) + values)
    with pytest.raises(ImageError, match=r"pixels|header") as caught:
        read_image(bytes(data), stretch="linear")
    assert "memory" not in str(caught.value)


def test_claims_below_the_limit_that_the_file_cannot_hold_are_refused() -> None:
    assert MAX_PIXELS > 13_000 * 13_000
    with pytest.raises(ImageError, match="promises 338,000,000 bytes of 13000 x 13000 pixels"):
        read_image(b"P5 13000 13000 65535\n" + bytes(100))
    data = save_fits(fits.PrimaryHDU(np.zeros((2, 2), np.uint16)))
    data = data.replace(b"NAXIS1  =                    2", b"NAXIS1  =                50000")
    with pytest.raises(ImageError, match="its header promises 200,000 bytes"):
        read_image(data)
    label, values = FUZZ.create_pds3(np.zeros((2, 2), np.uint16))
    with pytest.raises(ImageError, match="its label promises 36,000 bytes"):
        read_image(label.replace(b"LINES = 2", b"LINES = 9000") + values)


# Extras


@pytest.mark.parametrize(
    ("package", "extra", "name"), [("astropy", "fits", "fits"), ("pdr", "pds", "pds3")]
)
def test_missing_extra_is_an_error_of_its_row_with_the_remedy(
    package: str, extra: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = FUZZ.create_seeds()[name]
    path = tmp_path / next(iter(files))
    path.write_bytes(files[path.name])
    good = tmp_path / "good.png"
    good.write_bytes(encode(np.zeros((4, 4), np.uint8), ".png"))
    real = builtins.__import__

    def without_it(module: str, *arguments: Any, **options: Any) -> Any:
        if module.split(".")[0] == package:
            raise ImportError(f"no {package}")
        return real(module, *arguments, **options)

    for module in [module for module in sys.modules if module.split(".")[0] == package]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setattr(builtins, "__import__", without_it)
    with pytest.raises(ImageError) as caught:
        read_image(path, stretch="linear")
    assert str(caught.value) == (
        f"Cannot read '{path}': Reading {extra.upper()} images needs the package '{package}', "
        f'which is not installed. Install it with: pip install "planetvision[{extra}]".'
    )
    assert isinstance(caught.value.__cause__, MissingExtraError)
    assert caught.value.__cause__.extra == extra
    views, reason, _ = load_views(str(path), InputSpec(image_size=32))
    assert views is None
    assert f'pip install "planetvision[{extra}]"' in reason
    assert list(survey_catalog(Catalog(sources=(str(good), str(path)))).errors) == [1]


# What uses them


def test_prediction_and_training_take_the_stretch_of_the_input_spec() -> None:
    from planetvision.data.loading import ImageDataset

    deep = (np.arange(32 * 32, dtype=np.uint16) ** 2 % 60_000).reshape(32, 32)
    for stretch in ("linear", "asinh"):
        spec = InputSpec(image_size=32, stretch=stretch)
        views, _, is_stretched = load_views(deep, spec)
        assert is_stretched
        assert views is not None
        expected = stretch_image(deep, stretch)
        np.testing.assert_array_equal(views[0, 0, 1].numpy(), expected)
        image, _ = ImageDataset([deep], input_spec=spec)[0]
        np.testing.assert_array_equal(image[1].numpy(), expected)


def test_files_in_many_threads_give_what_they_give_alone(tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    paths = []
    for kind, files in FUZZ.create_seeds().items():
        (tmp_path / kind).mkdir()
        for name, data in files.items():
            (tmp_path / kind / name).write_bytes(data)
        paths.append(tmp_path / kind / next(iter(files)))
    alone = [read_image(path, stretch="linear") for path in paths]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda path: read_image(path, stretch="linear"), paths * 4))
    for number, image in enumerate(together):
        np.testing.assert_array_equal(image, alone[number % len(paths)])
