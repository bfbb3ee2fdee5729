"""The survey: decodes every image once and records its facts, hash, body and descriptor."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from planetvision.core.errors import (
    ConversionWarning,
    DataError,
    DataWarning,
    ImageError,
    count,
    itemize,
)
from planetvision.core.settings import Stretch
from planetvision.data.cache import DecodedCache, create_cache_key
from planetvision.data.catalog import Catalog
from planetvision.data.decoders import ImageFacts
from planetvision.data.descriptors import ImageDescriptor, describe_body
from planetvision.data.images import ImageArray, ImageSource, decode_image, describe_source
from planetvision.data.manifest import hash_source
from planetvision.imaging.disc.finder import find_body
from planetvision.imaging.disc.region import BodyRegion

THUMBNAIL_SIZE = 32
_PICTURE_SIZE = 224
_BODY_MIN_CONFIDENCE = 0.5
OnError = Literal["raise", "skip"]


@dataclass(frozen=True, kw_only=True, eq=False)
class SurveyedImage:
    """The survey's record of one image.

    Args:
        facts: Size, depth and format of the file; None if it could not be read.
        is_stretched: Whether a stretch made its 8 bits.
        sha256: The hash of the file's content; empty if it could not be read.
        body: Where the body is, in the image as it was decoded; None where none was found.
        descriptor: What near-duplicates are found by; None if the image could not be read.
        mean_color: The mean of red, green and blue over the frame, in [0, 255].
        thumbnail: The frame squashed to 32 x 32 pixels, uint8 of shape (32, 32, 3).
        error: Why it could not be read; None if it could.
    """

    facts: ImageFacts | None = None
    is_stretched: bool = False
    sha256: str = ""
    body: BodyRegion | None = None
    descriptor: ImageDescriptor | None = None
    mean_color: npt.NDArray[np.float32]
    thumbnail: ImageArray
    error: ImageError | None = None

    @property
    def has_body(self) -> bool:
        """Whether a body was found with confidence."""
        return self.body is not None and self.body.confidence >= _BODY_MIN_CONFIDENCE


@dataclass(frozen=True, eq=False)
class Survey:
    """The survey's records of the images of a catalog, in its order."""

    images: tuple[SurveyedImage, ...]

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, row: int) -> SurveyedImage:
        return self.images[row]

    @property
    def errors(self) -> dict[int, ImageError]:
        """The errors of the images that could not be read, by row."""
        return {
            row: image.error for row, image in enumerate(self.images) if image.error is not None
        }

    @property
    def descriptors(self) -> tuple[ImageDescriptor | None, ...]:
        """The descriptors for near-duplicates; None where an image could not be read."""
        return tuple(image.descriptor for image in self.images)

    @property
    def hashes(self) -> tuple[str, ...]:
        """The hash of each image's content."""
        return tuple(image.sha256 for image in self.images)

    def without_views(self) -> Survey:
        """Returns the survey without its descriptors, which take most of its memory."""
        return Survey(
            tuple(
                image
                if image.descriptor is None
                else replace(image, descriptor=replace(image.descriptor, views=()))
                for image in self.images
            )
        )

    def select(self, rows: Iterable[int]) -> Survey:
        """Returns the survey of these rows, in this order."""
        return Survey(tuple(self.images[row] for row in rows))


def survey_catalog(
    catalog: Catalog,
    *,
    min_size: int | None = None,
    stretch: Stretch = "linear",
    cache: DecodedCache | None = None,
    progress: bool = False,
) -> Survey:
    """Decodes every image of the catalog once and returns the records.

    Args:
        catalog: The images.
        min_size: As in `read_image`: large images may be reduced on the way.
        stretch: How images with more than 8 bits per channel are brought to 8.
        cache: Where the decoded images are kept for the training that follows.
        progress: Whether to show a progress bar.

    Returns:
        The survey. Images of more than 8 bits are counted in one `ConversionWarning`.
    """
    sources = catalog.sources

    def look(source: ImageSource) -> SurveyedImage:
        return _survey_image(source, min_size=min_size, stretch=stretch, cache=cache)

    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        found = tqdm(
            pool.map(look, sources),
            total=len(sources),
            desc="reading",
            unit="image",
            disable=not progress,
        )
        survey = Survey(tuple(found))
    warn_of_conversion(catalog, [image.is_stretched for image in survey.images], stretch)
    return survey


def drop_unreadable(
    catalog: Catalog, survey: Survey, *, on_error: OnError
) -> tuple[Catalog, Survey]:
    """Returns the images that could be read, with their rows of the survey.

    Args:
        catalog: The images.
        survey: Their survey.
        on_error: `raise` stops at damaged ones, `skip` names them in a warning.

    Raises:
        DataError: If images cannot be read and `on_error` is `raise`; all of them are named.
    """
    errors = survey.errors
    if not errors:
        return catalog, survey
    problems = [str(error) for error in errors.values()]
    if on_error == "raise":
        heading = (
            f"{len(errors)} of {len(catalog)} files of {catalog.origin} cannot be read. Repair "
            "or remove them, or continue without them by on_error='skip' (--on-error skip):"
        )
        raise DataError(itemize(heading, problems, limit=len(problems)), problems=problems)
    kept = [row for row in range(len(catalog)) if row not in errors]
    readable = catalog.select(kept)
    lost = [f"'{label}'" for label in catalog.classes if label not in readable.counts]
    heading = f"{len(errors)} of {len(catalog)} files cannot be read and are left out"
    if lost:
        heading += f", so that no image is left of the class {', '.join(lost)}"
    warnings.warn(itemize(f"{heading}:", problems, limit=len(problems)), DataWarning, stacklevel=3)
    return readable, survey.select(kept)


def _survey_image(
    source: ImageSource,
    *,
    min_size: int | None,
    stretch: Stretch,
    cache: DecodedCache | None,
) -> SurveyedImage:
    try:
        decoded = decode_image(source, stretch=stretch, min_size=min_size)
        sha256 = hash_source(source)
    except ImageError as error:
        return _note_error(error)
    except OSError as cause:  # the file went after it was decoded
        name, said = describe_source(source), cause.strerror or str(cause)
        return _note_error(ImageError(f"Cannot read '{name}': {said}.", source=name, cause=said))
    if cache is not None:
        cache.put(create_cache_key(sha256, min_size=min_size, stretch=stretch), decoded.array)
    small = _reduce(decoded.array)
    thumbnail = cv2.resize(
        small, (THUMBNAIL_SIZE, THUMBNAIL_SIZE), interpolation=cv2.INTER_AREA
    ).astype(np.uint8)
    body = find_body(decoded.array)
    return SurveyedImage(
        facts=decoded.facts,
        is_stretched=decoded.is_stretched,
        sha256=sha256,
        body=body,
        descriptor=describe_body(decoded.array, body),
        mean_color=small.reshape(-1, 3).mean(axis=0, dtype=np.float64).astype(np.float32),
        thumbnail=thumbnail,
    )


def _note_error(error: ImageError) -> SurveyedImage:
    return SurveyedImage(
        error=error,
        mean_color=np.zeros(3, np.float32),
        thumbnail=np.zeros((THUMBNAIL_SIZE, THUMBNAIL_SIZE, 3), np.uint8),
    )


def _reduce(array: ImageArray) -> ImageArray:
    """Returns the frame with its longer side at most 224 pixels: enough for colours."""
    height, width = array.shape[:2]
    scale = _PICTURE_SIZE / max(height, width)
    if scale >= 1:
        return array
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(array, size, interpolation=cv2.INTER_AREA).astype(np.uint8)


def warn_of_conversion(catalog: Catalog, is_stretched: Sequence[bool], stretch: Stretch) -> None:
    """Issues one `ConversionWarning` if images of a catalog were stretched to 8 bits.

    Args:
        catalog: The images.
        is_stretched: Of each, whether a stretch made its 8 bits.
        stretch: How they were brought to 8 bits.
    """
    deep = [row for row, stretched in enumerate(is_stretched) if stretched]
    if deep:
        warnings.warn(
            f"{len(deep)} of {count(len(catalog), 'image')} of {catalog.origin} have values "
            f"of more than 8 bits per channel (first: '{catalog.names[deep[0]]}') and are "
            f"brought to 8 by the stretch '{stretch}'.",
            ConversionWarning,
            stacklevel=3,
        )
