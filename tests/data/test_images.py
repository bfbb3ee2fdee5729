"""Decoding: every format and mode becomes the same RGB array, every fault an `ImageError`."""

from __future__ import annotations

import io
import random
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from planetvision.data.images import describe_source, read_image
from planetvision.errors import ImageError

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


def test_16_bit_gray_png_is_scaled_by_257_and_not_white() -> None:
    deep = np.array([[0, 257, 32896], [65535, 128, 129]], dtype=np.uint16)
    decoded = read_image(encode(Image.fromarray(deep), "PNG"))
    assert decoded[..., 0].tolist() == [[0, 1, 128], [255, 0, 1]]
    assert (decoded[..., 0] == decoded[..., 2]).all()


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bit_file_and_array_in_a_pillow_image_agree(kind: str) -> None:
    deep = (np.arange(64, dtype=np.uint16) * 1000).reshape(8, 8)
    image = Image.fromarray(deep)
    np.testing.assert_array_equal(read_image(encode(image, kind)), read_image(image))
    assert read_image(image)[7, 7].tolist() == [245, 245, 245]


def test_values_beyond_16_bits_raise_and_name_their_range() -> None:
    image = Image.fromarray(np.array([[0, 70000]], dtype=np.int32))
    with pytest.raises(ImageError, match="its values run from 0 to 70000; 0 to 65535 was expected"):
        read_image(image)


def test_floating_point_image_raises() -> None:
    image = Image.fromarray(np.array([[0.0, 0.5]], dtype=np.float32))
    with pytest.raises(ImageError, match="it holds floating-point values"):
        read_image(encode(image, "TIFF"))


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


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_exif_orientation_is_followed(picture: Picture, orientation: int) -> None:
    stored = np.ascontiguousarray(ORIENTATIONS[orientation](picture))
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(Image.fromarray(stored), "PNG", exif=exif.tobytes())
    np.testing.assert_array_equal(read_image(data), picture)


def test_pillow_image_gives_its_pixels(picture: Picture) -> None:
    np.testing.assert_array_equal(read_image(Image.fromarray(picture)), picture)


def test_array_gives_its_pixels_and_gray_is_repeated(picture: Picture) -> None:
    np.testing.assert_array_equal(read_image(picture), picture)
    gray = picture[..., 1]
    np.testing.assert_array_equal(read_image(gray), np.stack([gray] * 3, axis=2))
    flipped = read_image(picture[::-1])
    assert flipped.flags.c_contiguous
    np.testing.assert_array_equal(flipped, picture[::-1])


@pytest.mark.parametrize(
    ("array", "cause"),
    [
        (np.zeros((4, 4, 3), np.float32), "dtype uint8 was expected, got float32"),
        (np.zeros((4, 4, 3), np.uint16), "dtype uint8 was expected, got uint16"),
        (np.zeros((4, 4, 4), np.uint8), r"shape \(H, W, 3\) was expected, got \(4, 4, 4\)"),
        (np.zeros((3, 4, 4), np.uint8), r"shape \(H, W, 3\) was expected, got \(3, 4, 4\)"),
        (np.zeros((0, 4, 3), np.uint8), r"shape \(H, W, 3\) was expected, got \(0, 4, 3\)"),
        (np.zeros(4, np.uint8), r"shape \(H, W, 3\) was expected, got \(4,\)"),
        (np.zeros((2, 4, 4, 3), np.uint8), r"shape \(H, W, 3\) was expected, got \(2, 4, 4, 3\)"),
    ],
)
def test_array_of_another_type_or_shape_raises(array: npt.NDArray[Any], cause: str) -> None:
    with pytest.raises(ImageError, match=f"Cannot read '<array>': an array of {cause}"):
        read_image(array)


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


def test_min_size_decodes_a_large_jpeg_smaller_but_not_below() -> None:
    rows, columns = np.mgrid[0:800, 0:640]
    large = np.stack([rows // 4, columns // 4, rows // 8], axis=2).astype(np.uint8)
    data = encode(Image.fromarray(large), "JPEG", quality=95)
    small = read_image(data, min_size=150)
    assert small.shape == (200, 160, 3)
    assert np.abs(small[100, 80].astype(int) - large[400, 320]).max() <= 3
    assert read_image(data, min_size=641).shape == (800, 640, 3)
    assert read_image(data).shape == (800, 640, 3)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "TIFF", "BMP", "WEBP"])
def test_damaged_bytes_give_an_image_or_an_image_error_only(picture: Picture, kind: str) -> None:
    data = encode(Image.fromarray(picture[:24, :24]), kind)
    chance = random.Random(kind)
    decoded, refused = 0, 0
    for _ in range(80):
        mutated = bytearray(data)
        for _ in range(chance.choice((1, 4, 32))):
            mutated[chance.randrange(len(mutated))] = chance.randrange(256)
        del mutated[chance.choice((len(mutated), chance.randrange(len(mutated)))) :]
        try:
            image = read_image(bytes(mutated))
        except ImageError as error:
            refused += str(error).startswith("Cannot read '<bytes>': ")
        else:
            assert image.dtype == np.uint8
            assert image.ndim == 3
            assert image.shape[2] == 3
            decoded += 1
    assert decoded + refused == 80
    assert refused > 0


def test_describe_source_gives_the_path_or_kind_and_index() -> None:
    assert describe_source(Path("a") / "b.png") == str(Path("a") / "b.png")
    assert describe_source("a.png", 3) == "a.png"
    assert describe_source(np.zeros((2, 2, 3), np.uint8), 3) == "<array 3>"
    assert describe_source(b"123", 0) == "<bytes 0>"
    assert describe_source(Image.new("L", (1, 1))) == "<image>"
