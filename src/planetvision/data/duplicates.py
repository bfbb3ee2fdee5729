"""Near-duplicates: images that show the same picture, rotated, scaled or recompressed."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from planetvision.core.errors import DataError, SettingsError
from planetvision.core.settings import Label
from planetvision.data.catalog import Catalog
from planetvision.data.descriptors import VIEW_SIZE, ImageDescriptor

Floats = npt.NDArray[np.float32]

# The lowest similarity of a near-duplicate, chosen by benchmarks/near_duplicates.py on renders of
# its own seeds; docs/concepts/splits.md has the results on others.
DUPLICATE_THRESHOLD = 0.955

_ANGLES = 96
_RADII = 28
_HARMONICS = 16
# Compared by the part that no rotation changes, then by the best rotation, then pixel by pixel.
_NEAREST = 32
_NEAREST_TURNED = 8
_MIN_CORRELATION = 0.8
_MIN_COARSE = 0.97
# Pairs whose best alignment stretches or resizes one view more than this are no copies: the views
# of copies have one size, and differ by a few % where noise moves the estimate of it.
_MAX_STRETCH = 1.06
_MAX_GROWTH = 1.2
_BLOCK = 4096
_COMPARED = 256


_Candidate: TypeAlias = tuple[int, int, int, bool]


@dataclass(frozen=True, kw_only=True)
class DuplicatePair:
    """Two images that show the same picture.

    Args:
        first: The index of the first image.
        second: The index of the second image, larger than `first`.
        similarity: How alike they are, up to 1 for the same pixels.
    """

    first: int
    second: int
    similarity: float


def find_duplicates(
    descriptors: Sequence[ImageDescriptor | None], *, threshold: float = DUPLICATE_THRESHOLD
) -> tuple[DuplicatePair, ...]:
    """Returns the pairs of images that show the same picture, by index.

    Two images with the same pixels have the similarity 1; of several such each is paired with the
    first. Otherwise one is rotated, mirrored if that helps, and fitted to the other, and the
    similarity is the correlation of their details less twice what the correlation of their
    colours lacks. Both are corrected for the noise of a strong recompression, and do not change
    with the exposure.

    Candidates are the nearest neighbours by the part of the descriptor that no rotation changes,
    so the cost of all but the search for them grows with the number of images, not of pairs.

    Args:
        descriptors: One per image, from `describe_image`; None where there is none.
        threshold: The lowest similarity of a pair, over 0 and up to 1.

    Raises:
        SettingsError: If the threshold is out of range.
    """
    if not 0 < threshold <= 1:
        raise SettingsError(
            f"`threshold` must lie over 0 and up to 1, got {threshold!r}. "
            f"Pass {DUPLICATE_THRESHOLD}, or a larger one for fewer pairs."
        )
    pairs = []
    first_of: dict[str, int] = {}
    for index, descriptor in enumerate(descriptors):
        if descriptor is None:
            continue
        first = first_of.setdefault(descriptor.digest, index)
        if first != index:
            pairs.append(DuplicatePair(first=first, second=index, similarity=1.0))
    # Views without contrast carry no information.
    owned = [
        (index, view)
        for index in first_of.values()
        if (descriptor := descriptors[index]) is not None
        for view in descriptor.views
        if float(view[_DISC].std()) >= 1
    ]
    owners = np.array([index for index, _ in owned], np.int64)
    views = [view for _, view in owned]
    alike: dict[tuple[int, int], float] = {}

    def compare(candidate: _Candidate) -> tuple[tuple[int, int], float]:
        one, other, shift, mirrored = candidate
        key = (int(owners[one]), int(owners[other]))
        # Other views of a pair that is settled, by an earlier block, need not be compared.
        if alike.get(key, 0.0) >= threshold:
            return key, 0.0
        return key, _compare(views[one], views[other], shift, mirrored)

    candidates = list(_find_candidates(views, owners))
    # OpenCV's fit leaves the interpreter to other threads.
    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        for at in range(0, len(candidates), _COMPARED):
            for key, similarity in list(pool.map(compare, candidates[at : at + _COMPARED])):
                alike[key] = max(alike.get(key, 0.0), similarity)
    pairs += [
        DuplicatePair(first=first, second=second, similarity=similarity)
        for (first, second), similarity in alike.items()
        if similarity >= threshold
    ]
    return tuple(sorted(pairs, key=lambda pair: (pair.first, pair.second)))


def _find_candidates(
    views: Sequence[npt.NDArray[np.uint8]], owners: npt.NDArray[np.int64]
) -> Iterator[_Candidate]:
    """Returns pairs of views of different images, with the shift in angle and whether mirrored."""
    from sklearn.neighbors import NearestNeighbors

    if len(views) < 2:
        return
    spectra = np.stack([_transform(view) for view in views])
    magnitudes = np.abs(spectra[:, : _HARMONICS + 1]).reshape(len(views), -1)
    nearest = NearestNeighbors(n_neighbors=min(_NEAREST, len(views) - 1), algorithm="brute")
    neighbours = nearest.fit(magnitudes).kneighbors(return_distance=False)
    own = np.repeat(np.arange(len(views)), neighbours.shape[1])
    ordered = np.sort(np.stack([own, neighbours.ravel()], axis=1), axis=1)
    ordered = np.unique(ordered[owners[ordered[:, 0]] != owners[ordered[:, 1]]], axis=0)
    if len(ordered) == 0:
        return
    best = np.concatenate(
        [_correlate(spectra, ordered[at : at + _BLOCK]) for at in range(0, len(ordered), _BLOCK)]
    )
    # Each image proposes those that are nearest to it once they are turned.
    ranked = np.argsort(-best["correlation"], kind="stable")
    taken = np.zeros(len(views), np.int64)
    for row in ranked:
        if best["correlation"][row] < _MIN_CORRELATION:
            break
        first, second = (int(index) for index in ordered[row])
        if min(taken[first], taken[second]) >= _NEAREST_TURNED:
            continue
        taken[[first, second]] += 1
        yield first, second, int(best["shift"][row]), bool(best["mirrored"][row])


def _transform(view: npt.NDArray[np.uint8]) -> npt.NDArray[np.complex64]:
    """Returns the spectrum along the angle of the brightness around the middle, (angle, radius)."""
    middle = (VIEW_SIZE - 1) / 2
    polar = cv2.warpPolar(
        view.astype(np.float32),
        (_RADII, _ANGLES),
        (middle, middle),
        VIEW_SIZE / 2 - 1,
        cv2.INTER_LINEAR,
    ).mean(axis=2)
    # Each sample counts by the area that it stands for.
    polar = (polar - polar.mean()) * np.sqrt(np.arange(_RADII) + 0.5)
    polar /= max(float(np.linalg.norm(polar)), 1e-6)
    return np.fft.rfft(polar, axis=0).astype(np.complex64)


_Best = np.dtype([("correlation", np.float32), ("shift", np.int32), ("mirrored", np.bool_)])


def _correlate(
    spectra: npt.NDArray[np.complex64], pairs: npt.NDArray[np.int64]
) -> npt.NDArray[np.void]:
    """Returns the best circular correlation of each pair over all shifts, mirrored or not."""
    one, other = spectra[pairs[:, 0]], spectra[pairs[:, 1]]
    result = np.zeros(len(pairs), _Best)
    for mirrored, factor in ((False, np.conj(other)), (True, other)):
        product = np.einsum("nar,nar->na", one, factor)
        correlation = np.fft.irfft(product, n=_ANGLES, axis=1)
        shift = correlation.argmax(axis=1)
        height = np.take_along_axis(correlation, shift[:, None], axis=1)[:, 0]
        better = height > result["correlation"]
        result["correlation"][better] = height[better]
        result["shift"][better] = shift[better]
        result["mirrored"][better] = mirrored
    return result


_DISTANCE = np.hypot(*(np.mgrid[:VIEW_SIZE, :VIEW_SIZE] - (VIEW_SIZE - 1) / 2))
_DISC = _DISTANCE < VIEW_SIZE / 2 - 1
_DISC_MASK = np.where(_DISC, np.uint8(255), np.uint8(0))
_COARSE_MASK = cv2.resize(_DISC_MASK, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)


def _compare(
    view: npt.NDArray[np.uint8], other: npt.NDArray[np.uint8], shift: int, mirrored: bool
) -> float:
    """Returns how alike two views are once the other is turned and fitted to the first."""
    turned = np.ascontiguousarray(other[::-1]) if mirrored else other
    matrix = _fit(view, turned, shift)
    if matrix is None:
        return 0.0
    stretch = np.linalg.svd(matrix[:, :2], compute_uv=False)
    growth = float(stretch[0] * stretch[1])
    if stretch[0] > _MAX_STRETCH * stretch[1] or max(growth, 1 / growth) > _MAX_GROWTH:
        return 0.0
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    fitted = np.asarray(
        cv2.warpAffine(turned, matrix, (VIEW_SIZE, VIEW_SIZE), flags=flags), np.uint8
    )
    # Levels of noise: what JPEG of quality 50 leaves in a view; in the square root of levels for
    # the details, where it is smoothed.
    colour = _get_correlation(
        view[_DISC].astype(np.float32).ravel(), fitted[_DISC].astype(np.float32).ravel(), noise=2
    )
    details = _get_correlation(_get_details(view), _get_details(fitted), noise=0.05)
    return float(np.clip(details - 2 * (1 - colour), 0, 1))


def _fit(
    view: npt.NDArray[np.uint8], turned: npt.NDArray[np.uint8], shift: int
) -> npt.NDArray[np.float32] | None:
    """Returns the affine map from `view` to `turned`, or None where they do not fit.

    References:
        Evangelidis and Psarakis, Parametric image alignment using enhanced correlation coefficient
        maximization, 2008, doi:10.1109/TPAMI.2008.113.
    """
    gray, other = (each.mean(axis=2, dtype=np.float32) for each in (view, turned))
    angle = 2 * np.pi * shift / _ANGLES
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]], np.float32)
    matrix = np.zeros((2, 3), np.float32)
    matrix[:, :2] = turn
    # At half the size first, which costs a quarter and drops most pairs.
    for size, least, steps, mask in (
        (VIEW_SIZE // 2, _MIN_COARSE, 10, _COARSE_MASK),
        (VIEW_SIZE, _MIN_COARSE, 12, _DISC_MASK),
    ):
        middle = np.full(2, (size - 1) / 2, np.float32)
        # The shift is kept relative to the middle, in shares of the size.
        start = matrix.copy()
        start[:, 2] = matrix[:, 2] * size + middle - matrix[:, :2] @ middle
        images = [
            cv2.resize(each, (size, size), interpolation=cv2.INTER_AREA) for each in (gray, other)
        ]
        criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, steps, 1e-4)
        try:
            fit, found = cv2.findTransformECC(
                images[0], images[1], start, cv2.MOTION_AFFINE, criteria, mask, 5
            )
        except cv2.error:  # it diverged
            return None
        if fit < least:
            return None
        matrix = np.asarray(found, np.float32)
        last = matrix.copy()
        matrix[:, 2] = (matrix[:, 2] - middle + matrix[:, :2] @ middle) / size
    return last


def _get_details(view: npt.NDArray[np.uint8]) -> Floats:
    """Returns the fine structure inside the disc, where faint detail counts like bright."""
    root = cv2.GaussianBlur(np.sqrt(view.mean(axis=2, dtype=np.float32) + 2), (0, 0), 0.8)
    fine = (root - cv2.GaussianBlur(root, (0, 0), 2))[_DISC]
    # All discs have limbs in common, whose steps would outweigh what tells them apart.
    return np.asarray(0.7 * np.tanh(fine / 0.7), np.float32)


def _get_correlation(one: Floats, other: Floats, *, noise: float) -> float:
    """Returns the correlation of what two signals would be without this much noise in each."""
    one, other = one - one.mean(), other - other.mean()
    shared = float((one * other).mean())
    power = [float((each**2).mean()) for each in (one, other)]
    # Where nearly all is noise, a correlation by chance must not become a large one.
    clean = [max(each - noise**2, 0.5 * each, 1e-9) for each in power]
    return float(np.clip(shared / np.sqrt(clean[0] * clean[1]), -1, 1))


def group_duplicates(
    number: int, pairs: Sequence[DuplicatePair], groups: Sequence[Label] | None = None
) -> tuple[int, ...]:
    """Returns the group of each image: images of a pair, or of a given group, share one.

    Groups are numbered from 0 in the order of their first image.

    Args:
        number: How many images there are.
        pairs: The pairs of near-duplicates.
        groups: Known groups, one per image; None if there are none.

    Raises:
        DataError: If a pair names an image that is not there, or `groups` has another length.

    Example:
        >>> pair = DuplicatePair(first=1, second=3, similarity=0.99)
        >>> group_duplicates(4, [pair])
        (0, 1, 2, 1)
        >>> group_duplicates(4, [pair], groups=["a", "b", "b", "c"])
        (0, 1, 1, 1)
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    if groups is not None and len(groups) != number:
        raise DataError(f"`groups` must hold one group per image, got {len(groups)} for {number}.")
    edges = [(pair.first, pair.second) for pair in pairs]
    strange = sorted({index for edge in edges for index in edge if not 0 <= index < number})
    if strange:
        raise DataError(
            f"The pairs must name images from 0 to {number - 1}, got {strange[0]}. "
            "Pass the pairs of these images."
        )
    first_of: dict[Label, int] = {}
    for index, group in enumerate(groups or ()):
        edges.append((first_of.setdefault(group, index), index))
    ends = np.array(edges, np.int64).reshape(-1, 2)
    graph = coo_array((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), shape=(number, number))
    _, component = connected_components(graph, directed=False)
    numbers: dict[int, int] = {}
    return tuple(numbers.setdefault(int(each), len(numbers)) for each in component)


def group_catalog(catalog: Catalog, pairs: Sequence[DuplicatePair]) -> Catalog:
    """Returns the catalog with groups that join its own with the near-duplicates.

    Args:
        catalog: The images, with or without groups.
        pairs: Their near-duplicates, by row.

    Raises:
        DataError: If a pair names a row that is not there.
    """
    return replace(catalog, groups=group_duplicates(len(catalog), pairs, catalog.groups))
