"""Pixel operations: the effects of optics, sensors and processing, one function each.

Convention:
    Pictures are float32 of shape (row, column, 3). Light is linear, with 1 where a sensor is full;
    levels are sRGB values in [0, 255]. No function changes its argument.
"""

from __future__ import annotations

import functools
import math

import numpy as np
import numpy.typing as npt

from planetvision.imaging.light import LUMINANCE, Floats, Image


def blur_gaussian(picture: Floats, sigma_pixels: float) -> Floats:
    """Returns the picture behind a point spread function of that standard deviation."""
    import cv2

    if sigma_pixels <= 0:
        return picture
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma_pixels), np.float32)


def blur_disc(picture: Floats, radius_pixels: float) -> Floats:
    """Returns the picture out of focus: each point becomes an even disc of that radius."""
    import cv2

    if radius_pixels <= 0:
        return picture
    return np.asarray(cv2.filter2D(picture, -1, _create_disc(round(radius_pixels, 2))), np.float32)


@functools.lru_cache(maxsize=512)
def _create_disc(radius_pixels: float) -> Floats:
    reach = math.ceil(radius_pixels)
    offsets = np.arange(-reach, reach + 1)
    # The edge pixels count as far as the disc covers them.
    covered = np.clip(radius_pixels + 0.5 - np.hypot(offsets[:, None], offsets[None]), 0, 1)
    return np.asarray(covered / covered.sum(), np.float32)


def wobble(
    picture: Floats, *, shift_pixels: float, scale_pixels: float, rng: np.random.Generator
) -> Floats:
    """Returns the picture distorted by atmospheric seeing.

    Args:
        picture: Light or levels.
        shift_pixels: The standard deviation of the shift along either axis.
        scale_pixels: Over how many pixels the shift changes.
        rng: The source of chance.
    """
    import cv2

    if shift_pixels <= 0:
        return picture
    height, width = picture.shape[:2]
    # Cubic interpolation of a coarse lattice is smooth, at a tenth of the time of a wide blur.
    nodes = (2, max(2, math.ceil(height / scale_pixels)), max(2, math.ceil(width / scale_pixels)))
    lattice = rng.normal(0, shift_pixels, nodes).astype(np.float32)
    down, across = (
        cv2.resize(part, (width, height), interpolation=cv2.INTER_CUBIC) for part in lattice
    )
    rows = np.arange(height, dtype=np.float32)[:, None] + np.asarray(down, np.float32)
    columns = np.arange(width, dtype=np.float32)[None] + np.asarray(across, np.float32)
    bent = cv2.remap(picture, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(bent, np.float32)


def mix_channels(picture: Floats, matrix: npt.ArrayLike) -> Floats:
    """Returns a picture whose channels are mixtures of the given ones.

    Args:
        picture: Light.
        matrix: One row for each new channel, of the weights of red, green and blue: a diagonal
            balances white, and three equal rows make the picture monochrome.
    """
    return np.asarray(picture @ np.asarray(matrix, np.float32).T, np.float32)


def change_saturation(light: Floats, factor: float) -> Floats:
    """Returns colours moved away from the gray of the same luminance; 0 leaves only gray."""
    gray = (light @ np.asarray(LUMINANCE, np.float32))[..., None]
    return np.maximum(gray + (light - gray) * np.float32(factor), 0)


def add_noise(
    light: Floats, *, full_well: float, read_noise: float, rng: np.random.Generator
) -> Floats:
    """Returns the light with shot noise and read noise.

    Args:
        light: Linear light.
        full_well: How many photons a full pixel counts: the shot noise of full light is the
            square root of one over it. Infinite is no shot noise.
        read_noise: The standard deviation of the noise that is there in the dark, as a share of
            full light.
        rng: The source of chance.

    References:
        Janesick, Photon Transfer, SPIE Press, 2007, chapter 3; the Poisson distribution is taken as
        normal, which holds except for a few photons.
    """
    variance = np.maximum(light, 0) / np.float32(full_well) + np.float32(read_noise**2)
    noise = rng.standard_normal(light.shape, dtype=np.float32)
    return np.asarray(light + noise * np.sqrt(variance), np.float32)


def sharpen(levels: Floats, *, sigma_pixels: float, amount: float) -> Floats:
    """Returns levels under an unsharp mask, which rings bright and dark along edges.

    Args:
        levels: sRGB values in [0, 255].
        sigma_pixels: The width of the mask.
        amount: How many times the difference to the blurred picture is added.
    """
    return np.asarray(
        levels + np.float32(amount) * (levels - blur_gaussian(levels, sigma_pixels)), np.float32
    )


def resample(picture: Floats, scale: float, *, interpolation: str = "linear") -> Floats:
    """Returns the picture reduced to a share of its size and brought back to it.

    Args:
        picture: Light or levels.
        scale: The share of the height and width that is kept, in (0, 1].
        interpolation: How it is enlarged again: `nearest`, `linear` or `cubic`.
    """
    import cv2

    height, width = picture.shape[:2]
    small = (max(2, round(width * scale)), max(2, round(height * scale)))
    if small == (width, height):
        return picture
    modes = {
        "nearest": cv2.INTER_NEAREST,
        "linear": cv2.INTER_LINEAR,
        "cubic": cv2.INTER_CUBIC,
    }
    reduced = cv2.resize(picture, small, interpolation=cv2.INTER_AREA)
    enlarged = cv2.resize(reduced, (width, height), interpolation=modes[interpolation])
    return np.asarray(enlarged, np.float32)


def drop_lines(levels: Floats, *, share: float, rng: np.random.Generator) -> Floats:
    """Returns levels in which runs of rows, or parts of them, are lost on the way to the ground.

    Args:
        levels: sRGB values in [0, 255].
        share: Which share of the rows is lost, about, in [0, 1].
        rng: The source of chance.
    """
    height, width = levels.shape[:2]
    damaged = levels.copy()
    lost = 0
    while lost < share * height:
        run = min(int(rng.geometric(0.35)), height)
        top = int(rng.integers(0, height - run + 1))
        left = 0 if rng.uniform() < 0.5 else int(rng.integers(0, width))
        part = damaged[top : top + run, left:]
        kind = rng.uniform()
        if kind < 0.5:
            part[:] = rng.choice([0, 0, 0, 128, 255])
        elif kind < 0.7:
            # Bits read wrongly: noise, in full or as dashes.
            part[:] = rng.integers(0, 256, (*part.shape[:2], 1))
        else:
            dashes = rng.uniform(size=(run, part.shape[1], 1)) < rng.uniform(0.05, 0.5)
            part[:] = np.where(dashes, rng.uniform(60, 255), part)
        lost += run
    return damaged


def compress_jpeg(image: Image, quality: int) -> Image:
    """Returns an image as a JPEG file of that quality, in [1, 100], gives it back."""
    import cv2

    done, file = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert done
    decoded = np.asarray(cv2.imdecode(file, cv2.IMREAD_COLOR), np.uint8)
    return np.ascontiguousarray(decoded[..., ::-1])


def draw_caption(
    image: Image,
    text: str,
    *,
    height_pixels: float,
    row_share: float,
    column_share: float,
    level: int,
) -> Image:
    """Returns an image with a line of text on it.

    Args:
        image: The image.
        text: The text; of several lines one below the other.
        height_pixels: The size of the type.
        row_share: Where its top stands, as a share of the room that is left for it.
        column_share: Where its left end stands, likewise.
        level: The gray level of the letters, in [0, 255].
    """
    from PIL import Image as PillowImage
    from PIL import ImageDraw, ImageFont

    canvas = PillowImage.fromarray(image)
    draw = ImageDraw.Draw(canvas)
    font = ImageFont.load_default(size=max(height_pixels, 5))
    left, top, right, bottom = draw.multiline_textbbox((0, 0), text, font=font)
    place = (
        column_share * max(image.shape[1] - (right - left), 0) - left,
        row_share * max(image.shape[0] - (bottom - top), 0) - top,
    )
    draw.multiline_text(place, text, fill=(level, level, level), font=font)
    return np.array(canvas, np.uint8)


def draw_border(
    image: Image, *, widths_pixels: tuple[int, int, int, int], colour: tuple[int, int, int]
) -> Image:
    """Returns an image whose edges are painted over.

    Args:
        image: The image.
        widths_pixels: How wide the border is at the top, left, bottom and right.
        colour: Its sRGB colour.
    """
    top, left, bottom, right = widths_pixels
    framed = np.empty_like(image)
    framed[:] = colour
    rows = slice(top, image.shape[0] - bottom)
    columns = slice(left, image.shape[1] - right)
    framed[rows, columns] = image[rows, columns]
    return framed
