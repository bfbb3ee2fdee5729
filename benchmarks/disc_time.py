"""Compares the time to find a body in a frame of 640 pixels with the time to decode the frame.

Both are measured in turn on the same frames, on one core, and medians are compared.
"""

from __future__ import annotations

import argparse
import io
import statistics
import time
from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from planetvision.imaging.disc.finder import clear_found_bodies, find_body
from planetvision.render import BODIES, render_body

SIZE = 640


def measure(call: Callable[[], object]) -> float:
    """Returns the milliseconds that one call takes."""
    started = time.perf_counter()
    call()
    return 1000 * (time.perf_counter() - started)


def search(image: npt.NDArray[np.uint8]) -> None:
    clear_found_bodies()
    find_body(image)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=4, help="frames per body")
    parser.add_argument("--rounds", type=int, default=9, help="measurements per frame")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    finding: dict[str, list[float]] = {}
    decoding: dict[str, list[float]] = {}
    for name in BODIES:
        finding[name], decoding[name] = [], []
        for seed in range(arguments.frames):
            image = render_body(name, image_size=SIZE, seed=seed).image
            stream = io.BytesIO()
            Image.fromarray(image).save(stream, "JPEG", quality=90)
            data = stream.getvalue()
            pairs = [
                (
                    measure(lambda image=image: search(image)),  # type: ignore[misc]
                    measure(lambda data=data: np.asarray(Image.open(io.BytesIO(data)))),  # type: ignore[misc]
                )
                for _ in range(arguments.rounds)
            ]
            finding[name].append(statistics.median(pair[0] for pair in pairs))
            decoding[name].append(statistics.median(pair[1] for pair in pairs))
        found, decoded = statistics.median(finding[name]), statistics.median(decoding[name])
        print(
            f"{name:<8} find {found:6.2f} ms  decode {decoded:5.2f} ms  "
            f"find / decode: {found / decoded:.1f}",
            flush=True,
        )
    found = statistics.median(value for values in finding.values() for value in values)
    decoded = statistics.median(value for values in decoding.values() for value in values)
    print(
        f"median   find {found:6.2f} ms  decode {decoded:5.2f} ms  "
        f"find / decode: {found / decoded:.1f}"
    )


if __name__ == "__main__":
    main()
