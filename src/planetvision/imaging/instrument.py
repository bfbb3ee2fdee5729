"""`Instrument`: a camera and its processing, up to the file."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from planetvision.imaging import operations
from planetvision.imaging.light import LUMINANCE, Floats, Image, encode_srgb

Matrix = tuple[tuple[float, float, float], tuple[float, float, float], tuple[float, float, float]]
_IDENTITY: Matrix = ((1, 0, 0), (0, 1, 0), (0, 0, 1))
_BRIGHTEST_SHARE = 0.03
_SYMBOLS = "0123456789ABCDEFGHJKLMNPRSTUVWXYZabcdefghijkmnoprstuvwxyz:.-/ "


@dataclass(frozen=True, kw_only=True)
class Instrument:
    """The chain from the light of a scene to the pixels of a file.

    The default is a perfect camera. Lengths are in pixels of the picture.

    Args:
        psf_pixels: The standard deviation of the point spread function.
        defocus_pixels: The radius of the disc that a point becomes out of focus.
        seeing_pixels: The standard deviation of the shifts by unsteady air.
        exposure: What the light is multiplied by; what is over 1 then is saturated.
        channels: One row for each channel of the picture, of the weights of the scene's red,
            green and blue: white balance, or a monochrome frame through one filter.
        saturation: How colourful the picture is made; 1 leaves it.
        gamma: The power of the light after exposure; under 1 brings out what is dim.
        pedestal: The light that a pixel shows in the dark.
        full_well: How many photons a full pixel counts; fewer are noisier.
        read_noise: The noise in the dark, as a share of full light.
        resolution: The share of the height and width at which the scene was sampled before it was
            enlarged, in (0, 1].
        interpolation: How it was enlarged.
        sharpening: The amount of unsharp masking, which leaves halos.
        sharpening_pixels: Its width.
        lost_lines: The share of rows that were lost on the way.
        jpeg_quality: The quality of the file, in [1, 100]; None compresses without loss.
        caption: A text written on the picture, or nothing.
        caption_place: Where it stands, as shares of the height and width; then its gray level in
            [0, 1], and the size of its type as a share of the height.
        border_pixels: How wide a border is at the top, left, bottom and right.
        border_level: Its gray level, in [0, 255].
    """

    psf_pixels: float = 0.0
    defocus_pixels: float = 0.0
    seeing_pixels: float = 0.0
    exposure: float = 1.0
    channels: Matrix = _IDENTITY
    saturation: float = 1.0
    gamma: float = 1.0
    pedestal: float = 0.0
    full_well: float = math.inf
    read_noise: float = 0.0
    resolution: float = 1.0
    interpolation: Literal["nearest", "linear", "cubic"] = "linear"
    sharpening: float = 0.0
    sharpening_pixels: float = 1.0
    lost_lines: float = 0.0
    jpeg_quality: int | None = None
    caption: str = ""
    caption_place: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 0.06)
    border_pixels: tuple[int, int, int, int] = (0, 0, 0, 0)
    border_level: int = 0

    @property
    def is_monochrome(self) -> bool:
        """Whether all channels of its pictures are alike."""
        first, *others = self.channels
        return all(row == first for row in others)

    def to_monochrome(self) -> Instrument:
        """Returns this instrument with one channel, which shows as gray: it leaves no tint."""
        if self.is_monochrome:
            return self
        return dataclasses.replace(self, channels=(LUMINANCE, LUMINANCE, LUMINANCE))


def take_picture(light: Floats, instrument: Instrument, rng: np.random.Generator) -> Image:
    """Returns the picture that an instrument takes of a scene, as uint8 in sRGB.

    Args:
        light: The linear light of the scene, as (row, column, 3).
        instrument: The instrument.
        rng: The source of the noise.
    """
    it = instrument
    light = operations.wobble(
        light, shift_pixels=it.seeing_pixels, scale_pixels=max(light.shape[0] / 12, 6), rng=rng
    )
    light = operations.blur_gaussian(light, it.psf_pixels)
    light = operations.blur_disc(light, it.defocus_pixels)
    light = operations.resample(light, it.resolution, interpolation=it.interpolation)
    if it.channels != _IDENTITY:
        light = operations.mix_channels(light, it.channels)
    if it.saturation != 1:
        light = operations.change_saturation(light, it.saturation)
    light = np.clip(light * np.float32(it.exposure), 0, 1)
    if it.gamma != 1:
        light = light ** np.float32(it.gamma)
    light = light * np.float32(1 - it.pedestal) + np.float32(it.pedestal)
    if it.read_noise or math.isfinite(it.full_well):
        gray = it.is_monochrome
        light = operations.add_noise(
            light[..., :1] if gray else light,
            full_well=it.full_well,
            read_noise=it.read_noise,
            rng=rng,
        )
        if gray:
            light = np.asarray(np.repeat(light, 3, axis=-1), np.float32)
    levels = encode_srgb(light)
    if it.sharpening:
        levels = operations.sharpen(levels, sigma_pixels=it.sharpening_pixels, amount=it.sharpening)
    if it.lost_lines:
        levels = operations.drop_lines(levels, share=it.lost_lines, rng=rng)
    image: Image = np.clip(levels + 0.5, 0, 255).astype(np.uint8)
    if it.caption:
        row, column, level, height = it.caption_place
        image = operations.draw_caption(
            image,
            it.caption,
            height_pixels=height * image.shape[0],
            row_share=row,
            column_share=column,
            level=round(255 * level),
        )
    if any(it.border_pixels):
        image = operations.draw_border(
            image, widths_pixels=it.border_pixels, colour=(it.border_level,) * 3
        )
    if it.jpeg_quality is not None:
        image = operations.compress_jpeg(image, it.jpeg_quality)
    return image


def find_gain(brightness: Floats, *, level: float, max_gain: float) -> float:
    """Returns the gain of an exposure meter.

    Args:
        brightness: The brightness of the pixels that count, of any shape, at least one.
        level: Where their brightest parts, the upper 3 %, are to begin.
        max_gain: The most that it returns.
    """
    found = float(np.quantile(brightness, 1 - _BRIGHTEST_SHARE))
    return min(level / found, max_gain) if found > 0 else max_gain


def draw_instrument(rng: np.random.Generator, *, image_size: int = 224) -> Instrument:
    """Returns a random instrument: most are good, some have flaws.

    The ranges are wide on purpose, since archives hold pictures of all ages; colour is kept within
    bounds that leave a body its own: see docs/concepts/celestial.md.

    Args:
        rng: The source of chance.
        image_size: The size of the pictures that it will take, which lengths go with.
    """
    unit = image_size / 224

    def happens(chance: float) -> bool:
        return bool(rng.uniform() < chance)

    def between(low: float, high: float) -> float:
        return float(rng.uniform(low, high))

    def spread(low: float, high: float) -> float:
        return float(math.exp(rng.uniform(math.log(low), math.log(high))))

    sharpened = happens(0.2)
    small = happens(0.2)
    bordered = happens(0.08)
    return Instrument(
        psf_pixels=unit * spread(0.3, 1.6 if happens(0.7) else 4.0),
        defocus_pixels=unit * between(1, 4) if happens(0.1) else 0.0,
        seeing_pixels=unit * between(0.2, 0.7) if happens(0.15) else 0.0,
        exposure=spread(0.45, 1.9),
        channels=_draw_channels(rng),
        saturation=between(0.6, 1.5),
        gamma=spread(0.7, 1.4),
        pedestal=between(0.0, 0.008) if happens(0.3) else 0.0,
        full_well=spread(150, 20_000),
        read_noise=spread(0.0005, 0.012),
        resolution=between(0.15, 0.7) if small else 1.0,
        interpolation=("nearest", "linear", "cubic")[int(rng.integers(3))] if small else "linear",
        sharpening=between(0.5, 2.5) if sharpened else 0.0,
        sharpening_pixels=unit * between(0.8, 4),
        lost_lines=between(0.005, 0.15) if happens(0.04) else 0.0,
        jpeg_quality=int(rng.integers(30, 96)) if happens(0.6) else None,
        caption=_draw_text(rng) if happens(0.06) else "",
        caption_place=(
            float(rng.choice([0.03, 0.97])),
            float(rng.choice([0.03, 0.5, 0.97])),
            between(0.5, 1),
            between(0.04, 0.08),
        ),
        border_pixels=_draw_border(rng, image_size) if bordered else (0, 0, 0, 0),
        border_level=int(rng.choice([0, 0, 255, 128])),
    )


def _draw_channels(rng: np.random.Generator) -> Matrix:
    """Monochrome in one of four, else a white balance that is off by some percent."""
    if rng.uniform() < 0.25:
        filters = (LUMINANCE, *_IDENTITY)
        row = filters[int(rng.choice(4, p=[0.5, 0.2, 0.15, 0.15]))]
        return (row, row, row)
    red, blue = np.exp(rng.normal(0, 0.06, 2)).tolist()
    return ((red, 0, 0), (0, 1, 0), (0, 0, blue))


def _draw_text(rng: np.random.Generator) -> str:
    """Letters and figures without a meaning: a name would give the answer away."""
    lines = []
    for _ in range(int(rng.integers(1, 3))):
        length = int(rng.integers(4, 22))
        lines.append("".join(rng.choice(list(_SYMBOLS), length)).strip())
    return "\n".join(lines)


def _draw_border(rng: np.random.Generator, image_size: int) -> tuple[int, int, int, int]:
    wide = (rng.uniform(0, 0.08, 4) * image_size).astype(int)
    top, left, bottom, right = (int(width) for width in wide)
    # Some have bars above and below or at the sides, as of a film.
    kind = int(rng.integers(3))
    if kind == 0:
        return (top, left, bottom, right)
    return (top, 0, top, 0) if kind == 1 else (0, left, 0, left)
