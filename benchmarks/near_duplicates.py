"""Measures the recall of planted near-duplicates, and the share of unrelated pairs joined.

Copies of each original are made by one change at a time and by all at once, and searched for among
the originals. Unrelated are pairs of different originals: found as pairs, and in one group when
pairs are chained.

The threshold was chosen with `--seed 0`; other seeds are for reporting:

    python benchmarks/near_duplicates.py --seed 1
    python benchmarks/near_duplicates.py data/planets
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from planetvision.data import describe_image, find_duplicates, group_duplicates, read_image
from planetvision.data.decoders.registry import list_suffixes
from planetvision.data.duplicates import DUPLICATE_THRESHOLD
from planetvision.imaging.disc.finder import find_body
from planetvision.render import render_dataset

Image = npt.NDArray[np.uint8]
Change = Callable[[Image, np.random.Generator], Image]


def rotate(image: Image, rng: np.random.Generator) -> Image:
    """Turns by any angle; the frame grows, so that nothing is cut."""
    height, width = image.shape[:2]
    matrix = cv2.getRotationMatrix2D(
        ((width - 1) / 2, (height - 1) / 2), float(rng.uniform(0, 360)), 1
    )
    cosine, sine = np.abs(matrix[0, :2])
    size = int(height * sine + width * cosine) + 1, int(height * cosine + width * sine) + 1
    matrix[:, 2] += [(size[0] - width) / 2, (size[1] - height) / 2]
    return np.asarray(cv2.warpAffine(image, matrix, size, flags=cv2.INTER_CUBIC), np.uint8)


def mirror(image: Image, rng: np.random.Generator) -> Image:
    return np.ascontiguousarray(image[:, ::-1])


def rescale(image: Image, rng: np.random.Generator) -> Image:
    """Scales by 0.5 to 1.5."""
    factor = float(np.exp(rng.uniform(np.log(0.5), np.log(1.5))))
    mode = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, None, fx=factor, fy=factor, interpolation=mode), np.uint8)


def recompress(image: Image, rng: np.random.Generator) -> Image:
    """Saves as JPEG of quality 50 to 95."""
    quality = int(rng.integers(50, 96))
    _, content = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    decoded = cv2.imdecode(content, cv2.IMREAD_COLOR)
    return np.ascontiguousarray(np.asarray(decoded, np.uint8)[..., ::-1])


def brighten(image: Image, rng: np.random.Generator) -> Image:
    """Multiplies by 0.6 to 1.4, bright parts cut off, under a gamma of 0.85 to 1.18."""
    gain, gamma = rng.uniform(0.6, 1.4), rng.uniform(0.85, 1.18)
    return np.clip(255 * (image / 255.0) ** gamma * gain + 0.5, 0, 255).astype(np.uint8)


def crop(image: Image, rng: np.random.Generator) -> Image:
    """Cuts the frame anywhere outside a margin around the body."""
    body = find_body(image)
    if body is None:
        return image
    height, width = image.shape[:2]
    top, left, bottom, right = body.expand(0.15, height, width)
    share = rng.uniform(0, 1, 4)
    rows = slice(int(top * share[0]), int(height - (height - bottom) * share[1]))
    columns = slice(int(left * share[2]), int(width - (width - right) * share[3]))
    return np.ascontiguousarray(image[rows, columns])


def move(image: Image, rng: np.random.Generator) -> Image:
    """Moves the picture by up to a quarter of the frame, which grows with black."""
    height, width = image.shape[:2]
    down, along = (int(2 * rng.uniform(-0.25, 0.25) * side) for side in (height, width))
    border = ((max(down, 0), max(-down, 0)), (max(along, 0), max(-along, 0)), (0, 0))
    return np.pad(image, border)


def change_all(image: Image, rng: np.random.Generator) -> Image:
    """Turns, scales, changes the brightness and recompresses, in this order."""
    for change in (rotate, rescale, brighten, recompress):
        image = change(image, rng)
    return image


CHANGES: dict[str, Change] = {
    "rotated": rotate,
    "mirrored": mirror,
    "rescaled": rescale,
    "recompressed": recompress,
    "brightness": brighten,
    "cropped": crop,
    "moved": move,
    "all at once": change_all,
}


def measure(images: Sequence[Image], labels: Sequence[str], threshold: float, seed: int) -> None:
    started = time.perf_counter()
    originals = [describe_image(image) for image in images]
    described = time.perf_counter()
    pairs = find_duplicates(originals, threshold=threshold)
    found = time.perf_counter()
    number = len(images)
    unrelated = number * (number - 1) / 2
    sizes = Counter(group_duplicates(number, pairs))
    grouped = sum(size * (size - 1) / 2 for size in sizes.values())
    across = sum(labels[pair.first] != labels[pair.second] for pair in pairs)
    print(
        f"{number} originals, threshold {threshold}: described in {described - started:.1f} s, "
        f"compared in {found - described:.1f} s"
    )
    print(
        f"unrelated pairs joined: {len(pairs) / unrelated:.2%} as pairs, {grouped / unrelated:.2%} "
        f"in one group, of {unrelated:.0f}; {across} pairs of different classes"
    )
    largest = [size for _, size in sizes.most_common(5)]
    print(f"largest groups: {', '.join(map(str, largest))}")
    rng = np.random.default_rng(seed)
    print(f"{'change':<14}{'as pairs':>10}{'in groups':>11}{'copies':>8}")
    direct, chained = [], []
    for name, change in CHANGES.items():
        copies = [describe_image(change(image, rng)) for image in images]
        pairs = find_duplicates([*originals, *copies], threshold=threshold)
        joined = {(pair.first, pair.second) for pair in pairs}
        groups = group_duplicates(2 * number, pairs)
        direct.append([(row, number + row) in joined for row in range(number)])
        chained.append([groups[row] == groups[number + row] for row in range(number)])
        print(f"{name:<14}{np.mean(direct[-1]):>10.1%}{np.mean(chained[-1]):>11.1%}{number:>8}")
    print(f"{'all':<14}{np.mean(direct):>10.1%}{np.mean(chained):>11.1%}{np.size(direct):>8}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, help="images in subfolders; else renders")
    parser.add_argument("--count", type=int, default=350, help="renders")
    parser.add_argument("--seed", type=int, default=1, help="the seed of renders and changes")
    parser.add_argument("--threshold", type=float, default=DUPLICATE_THRESHOLD)
    arguments = parser.parse_args()
    if arguments.folder is None:
        rendered = list(render_dataset(count=arguments.count, seed=arguments.seed))
        images = [each.image for each in rendered]
        labels = [each.label for each in rendered]
    else:
        paths = sorted(
            path
            for path in arguments.folder.glob("*/*")
            if path.name.lower().endswith(list_suffixes())
        )
        images = [read_image(path) for path in paths]
        labels = [path.parent.name for path in paths]
    measure(images, labels, arguments.threshold, arguments.seed)


if __name__ == "__main__":
    main()
