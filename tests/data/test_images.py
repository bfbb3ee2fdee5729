"""Decoding: every format and mode becomes the same RGB array, every fault an `ImageError`."""

from __future__ import annotations

import io
import os
import re
import threading
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from planetvision.core.errors import ConversionWarning, ImageError, SettingsError
from planetvision.data.images import (
    _DecoderWarning,
    _ignoring_decoders,
    decode_image,
    describe_source,
    read_image,
)
from planetvision.data.stretch import stretch_image

Picture = npt.NDArray[np.uint8]
LOSSLESS = {"PNG": {}, "BMP": {}, "TIFF": {}, "WEBP": {"lossless": True}, "PPM": {}}


@pytest.fixture
def picture() -> Picture:
    """Smooth, so that a lossy format keeps it, and different in every corner."""
    rows, columns = np.mgrid[0:40, 0:56]
    channels = (rows * 6, columns * 4, 255 - rows * 3 - columns * 2)
    return np.stack(channels, axis=2).astype(np.uint8)


def encode(image: Image.Image, kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format=kind, **options)
    return stream.getvalue()


@pytest.mark.parametrize("kind", LOSSLESS)
def test_lossless_format_keeps_every_pixel(picture: Picture, kind: str, tmp_path: Path) -> None:
    data = encode(Image.fromarray(picture), kind, **LOSSLESS[kind])
    path = tmp_path / f"a.{kind.lower()}"
    path.write_bytes(data)
    for source in (path, str(path), data):
        decoded = read_image(source)
        np.testing.assert_array_equal(decoded, picture)
        assert decoded.dtype == np.uint8
        assert decoded.flags.c_contiguous


@pytest.mark.parametrize(("kind", "off"), [("JPEG", 6), ("WEBP", 12)])
def test_lossy_format_keeps_pixels_nearly(picture: Picture, kind: str, off: int) -> None:
    decoded = read_image(encode(Image.fromarray(picture), kind, quality=95))
    assert decoded.shape == picture.shape
    assert np.abs(decoded.astype(int) - picture).max() <= off


def test_gif_and_animation_give_the_first_frame() -> None:
    frames = [Image.new("RGB", (8, 6), color) for color in ("red", "blue")]
    data = encode(frames[0], "GIF", save_all=True, append_images=frames[1:])
    decoded = read_image(data)
    assert decoded.shape == (6, 8, 3)
    assert (decoded == (255, 0, 0)).all()


def test_palette_gives_its_colours(picture: Picture) -> None:
    paletted = Image.fromarray(picture).quantize(16)
    expected = np.asarray(paletted.convert("RGB"))
    np.testing.assert_array_equal(read_image(encode(paletted, "PNG")), expected)
    assert np.abs(expected.astype(int) - picture).mean() < 25


def test_gray_is_repeated_in_all_channels(picture: Picture) -> None:
    gray = picture[..., 0]
    decoded = read_image(encode(Image.fromarray(gray), "PNG"))
    np.testing.assert_array_equal(decoded, np.stack([gray] * 3, axis=2))


def test_one_bit_gives_black_and_white() -> None:
    bits = np.array([[0, 1], [1, 0]], dtype=bool)
    decoded = read_image(encode(Image.fromarray(bits), "PNG"))
    assert decoded[..., 0].tolist() == [[0, 255], [255, 0]]


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
def test_16_bit_file_and_array_in_a_pillow_image_agree(kind: str) -> None:
    deep = (np.arange(64, dtype=np.uint16) * 1000).reshape(8, 8)
    expected = np.rint(np.arange(64).reshape(8, 8) * 255 / 63)
    image = Image.fromarray(deep)
    for source in (encode(image, kind), image, deep):
        decoded = decode_image(source, stretch="linear")
        np.testing.assert_array_equal(decoded.array[..., 1], expected)
        assert decoded.facts.bits == 16


@pytest.mark.parametrize(
    "values",
    [
        np.array([[0, 35_000, 70_000]], np.int32),
        np.array([[-1.0, 0.0, 1.0]], np.float32),
        np.array([[-3, 0, 3]], np.int16),
        np.array([[0.0, 5e-9, 1e-8]]),
    ],
)
def test_values_of_any_range_are_stretched(values: npt.NDArray[Any]) -> None:
    assert read_image(values, stretch="linear")[0, :, 0].tolist() == [0, 128, 255]
    if values.dtype in (np.int32, np.float32):
        image = Image.fromarray(values)
        assert read_image(image, stretch="linear")[0, :, 2].tolist() == [0, 128, 255]
        assert read_image(encode(image, "TIFF"), stretch="linear")[0, :, 0].tolist() == [
            0,
            128,
            255,
        ]


def test_the_stretch_that_is_named_is_the_one_that_is_used() -> None:
    deep = (np.arange(4000, dtype=np.uint16) ** 2 % 60_000).reshape(50, 80)
    data = encode(Image.fromarray(deep), "PNG")
    results = [read_image(data, stretch=name) for name in ("linear", "percentile", "asinh")]
    for number, image in enumerate(results):
        for other in results[:number]:
            assert (image != other).any()
    np.testing.assert_array_equal(results[2][..., 0], stretch_image(deep, "asinh"))


def test_lossy_conversion_without_a_stretch_warns_and_names_file_bits_and_stretch(
    tmp_path: Path,
) -> None:
    path = tmp_path / "deep.png"
    Image.fromarray(np.array([[0, 4095]], np.uint16)).save(path)
    said = r"Lossy conversion: '.*deep\.png' has 16 bits per channel .* the stretch 'linear'"
    with pytest.warns(ConversionWarning, match=said) as caught:
        assert read_image(path)[0, :, 0].tolist() == [0, 255]
    assert caught[0].filename == __file__
    with pytest.warns(ConversionWarning, match=r"'<array>' has 32 bits"):
        decode_image(np.array([[0.0, 1.0]], np.float32))


class Decoding(threading.Thread):
    """A thread that decodes, warns as libraries do, and waits at both ends until it may go on."""

    def __init__(self) -> None:
        super().__init__()
        self.may_enter, self.inside, self.may_leave = (threading.Event() for _ in range(3))
        self.escaped: list[Warning] = []

    def run(self) -> None:
        self.may_enter.wait(10)
        with _ignoring_decoders():
            self.inside.set()
            self.may_leave.wait(10)
            try:
                warnings.warn("as decoders give them", UserWarning, stacklevel=1)
            except UserWarning as warning:
                self.escaped.append(warning)

    def enter(self) -> None:
        self.may_enter.set()
        self.inside.wait(10)

    def leave(self) -> None:
        self.may_leave.set()
        self.join(10)


@pytest.mark.parametrize("first_to_leave", ["decoder", "caller"])
@pytest.mark.parametrize("first_to_enter", ["decoder", "caller"])
def test_warnings_are_heard_again_after_catchers_of_two_threads_overlap(
    first_to_enter: str, first_to_leave: str
) -> None:
    with _ignoring_decoders():
        pass
    thread, catcher = Decoding(), warnings.catch_warnings()
    before = warnings.filters
    thread.start()
    actions = {"decoder": (thread.enter, thread.leave)}
    actions["caller"] = (catcher.__enter__, lambda: catcher.__exit__(None, None, None))
    others = {"decoder": "caller", "caller": "decoder"}
    for who in (first_to_enter, others[first_to_enter]):
        actions[who][0]()
    with pytest.raises(UserWarning, match="mine"):  # this thread is heard all the time
        warnings.warn("mine", UserWarning, stacklevel=1)
    for who in (first_to_leave, others[first_to_leave]):
        actions[who][1]()
    assert not thread.escaped
    assert warnings.filters is before
    with pytest.raises(UserWarning, match="mine"):
        warnings.warn("mine", UserWarning, stacklevel=1)


def test_decoders_are_not_heard_whatever_filter_came_last() -> None:
    for _ in range(3):
        warnings.simplefilter("error")
        with _ignoring_decoders():
            warnings.warn("as decoders give them", UserWarning, stacklevel=1)
    assert sum(entry[2] is _DecoderWarning for entry in warnings.filters) == 1


def test_conversion_warning_is_not_lost_in_a_decoder_that_reads_another_file() -> None:
    deep = encode(Image.fromarray(np.arange(4, dtype=np.uint16).reshape(2, 2)), "PNG")
    with _ignoring_decoders():
        with pytest.warns(ConversionWarning):
            read_image(deep)
        warnings.warn("as decoders give them", UserWarning, stacklevel=1)


def test_unknown_stretch_and_strange_hdu_are_settings_errors(picture: Picture) -> None:
    with pytest.raises(SettingsError, match=r"`stretch` must be one of 'linear'.*got 'log'"):
        read_image(picture, stretch="log")  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match=r"`hdu` must be an index or a name, got 1\.5"):
        read_image(picture, hdu=1.5)  # type: ignore[arg-type]


def test_alpha_is_put_on_black() -> None:
    pixels = np.array([[[200, 100, 50, 255], [200, 100, 50, 0], [200, 100, 50, 128]]], np.uint8)
    decoded = read_image(encode(Image.fromarray(pixels), "PNG"))
    assert decoded[0, 0].tolist() == [200, 100, 50]
    assert decoded[0, 1].tolist() == [0, 0, 0]
    np.testing.assert_allclose(decoded[0, 2], [100, 50, 25], atol=1)


def test_gray_with_alpha_is_put_on_black() -> None:
    image = Image.fromarray(np.array([[[200, 255], [200, 0]]], np.uint8), mode=None)
    assert image.mode == "LA"
    assert read_image(encode(image, "PNG"))[..., 1].tolist() == [[200, 0]]


def test_transparent_palette_colour_is_put_on_black() -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([255, 0, 0, 0, 255, 0])
    image.putdata([0, 1])
    decoded = read_image(encode(image, "PNG", transparency=1))
    assert decoded.tolist() == [[[255, 0, 0], [0, 0, 0]]]


def test_transparent_rgb_colour_is_put_on_black() -> None:
    image = Image.fromarray(np.array([[[9, 9, 9], [250, 1, 2]]], np.uint8))
    decoded = read_image(encode(image, "PNG", transparency=(250, 1, 2)))
    assert decoded.tolist() == [[[9, 9, 9], [0, 0, 0]]]


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk_becomes_rgb(kind: str) -> None:
    image = Image.new("CMYK", (16, 16), (0, 255, 255, 0))  # magenta and yellow make red
    decoded = read_image(encode(image, kind))
    np.testing.assert_allclose(decoded[8, 8], [255, 0, 0], atol=4)


# How each EXIF orientation shows the stored pixels, as the standard (JEITA CP-3451) has it: what
# the stored row 0 and column 0 are on the upright picture.
ORIENTATIONS = {
    1: lambda upright: upright,
    2: np.fliplr,
    3: lambda upright: np.rot90(upright, 2),
    4: np.flipud,
    5: lambda upright: upright.transpose(1, 0, 2),
    6: lambda upright: np.rot90(upright, 1),
    7: lambda upright: np.rot90(upright, 2).transpose(1, 0, 2),
    8: lambda upright: np.rot90(upright, -1),
}


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_exif_orientation_is_followed(picture: Picture, orientation: int, kind: str) -> None:
    stored = np.ascontiguousarray(ORIENTATIONS[orientation](picture))
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encode(Image.fromarray(stored), kind, exif=exif.tobytes(), **options)
    np.testing.assert_array_equal(read_image(data), picture)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_exif_orientation_of_deep_gray_is_followed(picture: Picture, orientation: int) -> None:
    stored = np.ascontiguousarray(ORIENTATIONS[orientation](picture[..., :1]))[..., 0]
    exif = Image.Exif()
    exif[0x0112] = orientation
    for kind in ("PNG", "TIFF"):
        data = encode(Image.fromarray(stored.astype(np.uint16)), kind, exif=exif.tobytes())
        decoded = read_image(data, stretch="linear")
        np.testing.assert_array_equal(decoded[..., 0], stretch_image(picture[..., 0] * np.int64(1)))


def test_pillow_image_gives_its_pixels(picture: Picture) -> None:
    np.testing.assert_array_equal(read_image(Image.fromarray(picture)), picture)


def test_array_gives_its_pixels_and_gray_is_repeated(picture: Picture) -> None:
    np.testing.assert_array_equal(read_image(picture), picture)
    gray = picture[..., 1]
    np.testing.assert_array_equal(read_image(gray), np.stack([gray] * 3, axis=2))
    flipped = read_image(picture[::-1])
    assert flipped.flags.c_contiguous
    np.testing.assert_array_equal(flipped, picture[::-1])


@pytest.mark.parametrize("shape", [(4, 4, 4), (3, 4, 4), (0, 4, 3), (4,), (2, 4, 4, 3)])
def test_array_of_another_shape_raises(shape: tuple[int, ...]) -> None:
    expected = re.escape(f"an array of shape (H, W, 3) or (H, W) was expected, got {shape}")
    with pytest.raises(ImageError, match=f"Cannot read '<array>': {expected}"):
        read_image(np.zeros(shape, np.uint8))


@pytest.mark.parametrize("dtype", [np.complex64, np.bool_, np.dtype("U3"), object])
def test_array_of_something_else_than_numbers_raises(dtype: Any) -> None:
    with pytest.raises(ImageError, match="an array of integers or floats was expected, got"):
        read_image(np.zeros((4, 4), dtype))


def test_missing_file_names_file_and_cause(tmp_path: Path) -> None:
    path = tmp_path / "no.png"
    with pytest.raises(ImageError, match=r"no\.png': there is no such file\.") as caught:
        read_image(path)
    assert caught.value.source == str(path)
    assert caught.value.cause == "there is no such file"


def test_folder_names_folder_and_cause(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="it is a folder, a file was expected"):
        read_image(str(tmp_path))


def test_empty_file_and_empty_bytes_name_the_cause(tmp_path: Path) -> None:
    path = tmp_path / "empty.jpg"
    path.touch()
    with pytest.raises(ImageError, match=r"Cannot read '.*empty\.jpg': it is empty \(0 bytes\)\."):
        read_image(path)
    with pytest.raises(ImageError, match=r"Cannot read '<bytes>': it is empty \(0 bytes\)\."):
        read_image(b"")


def test_file_that_is_no_image_names_the_cause(tmp_path: Path) -> None:
    path = tmp_path / "notes.png"
    path.write_text("these are notes, not a picture\n" * 20)
    with pytest.raises(ImageError, match=r"notes\.png': it is not an image in a format"):
        read_image(path)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "TIFF", "BMP"])
def test_truncated_file_names_the_cause(kind: str, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    data = encode(Image.fromarray(noise), kind)
    path = tmp_path / f"half.{kind.lower()}"
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(ImageError, match=r"it is damaged or truncated|it is not an") as caught:
        read_image(path)
    assert caught.value.source == str(path)


def test_truncated_pillow_image_raises_ours_too() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    data = encode(Image.fromarray(noise), "PNG")
    image = Image.open(io.BytesIO(data[: len(data) // 2]))
    with pytest.raises(ImageError, match="Cannot read '<image>': it is damaged or truncated"):
        read_image(image)


def test_name_that_the_system_refuses_raises_ours() -> None:
    with pytest.raises(ImageError, match=r"File name too long|there is no such file"):
        read_image("x" * 5000)
    with pytest.raises(ImageError, match="there is no such file"):
        read_image("nul\0byte.png")


def test_image_with_too_many_pixels_is_refused_by_its_header_alone() -> None:
    data = bytearray(encode(Image.new("1", (1, 1)), "BMP"))
    data[18:26] = (20_000).to_bytes(4, "little") + (20_000).to_bytes(4, "little")
    with pytest.raises(ImageError, match="pixels") as caught:
        read_image(bytes(data))
    assert "damaged" not in str(caught.value)


def test_something_else_than_a_source_names_its_type() -> None:
    with pytest.raises(ImageError, match="bytes, array or Pillow image was expected, got int"):
        read_image(3)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF"])
def test_min_size_reduces_any_format_by_a_whole_number(kind: str) -> None:
    rows, columns = np.mgrid[:601, :903]
    picture = np.stack([rows // 3, columns // 4, 0 * rows], axis=-1).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(picture).save(
        stream, format=kind, **({"quality": 95} if kind == "JPEG" else {})
    )
    whole = read_image(stream.getvalue()).astype(np.float64)
    small = read_image(stream.getvalue(), min_size=150)
    assert small.shape in {(150, 225, 3), (151, 226, 3)}
    blocks = whole[:600, :900].reshape(150, 4, 225, 4, 3).mean(axis=(1, 3))
    assert np.abs(small[:150, :225] - blocks).max() <= (1 if kind != "JPEG" else 4)
    assert read_image(stream.getvalue(), min_size=301).shape == (601, 903, 3)


def test_min_size_reduces_an_array_too() -> None:
    assert read_image(np.zeros((400, 300, 3), np.uint8), min_size=100).shape == (133, 100, 3)
    deep = np.arange(400 * 300, dtype=np.uint16).reshape(400, 300)
    assert read_image(deep, stretch="linear", min_size=100).shape == (133, 100, 3)


def test_min_size_decodes_a_large_jpeg_smaller_but_not_below() -> None:
    rows, columns = np.mgrid[0:800, 0:640]
    large = np.stack([rows // 4, columns // 4, rows // 8], axis=2).astype(np.uint8)
    data = encode(Image.fromarray(large), "JPEG", quality=95)
    small = read_image(data, min_size=150)
    assert small.shape == (200, 160, 3)
    assert np.abs(small[100, 80].astype(int) - large[400, 320]).max() <= 3
    assert read_image(data, min_size=641).shape == (800, 640, 3)
    assert read_image(data).shape == (800, 640, 3)


def test_describe_source_gives_the_path_or_kind_and_index() -> None:
    assert describe_source(Path("a") / "b.png") == str(Path("a") / "b.png")
    assert describe_source("a.png", 3) == "a.png"
    assert describe_source(np.zeros((2, 2, 3), np.uint8), 3) == "<array 3>"
    assert describe_source(b"123", 0) == "<bytes 0>"
    assert describe_source(Image.new("L", (1, 1))) == "<image>"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes are POSIX")
def test_pipe_is_refused_and_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(ImageError, match="it is not a regular file"):
        read_image(tmp_path / "pipe.png")


def test_result_may_be_written_to_without_changing_the_source(picture: Picture) -> None:
    for source in (encode(Image.fromarray(picture), "PNG"), Image.fromarray(picture)):
        decoded = read_image(source)
        decoded[:] = 7
        np.testing.assert_array_equal(read_image(source), picture)
