"""Measures how well the disc is found on rendered bodies, by body and phase.

The truth is the renderer's mask. `found` is the share of frames in which a body is found at all,
`sure` with a confidence of 0.5 or more; a body that is not found counts as an overlap of 0.
"""

from __future__ import annotations

import argparse

import numpy as np

from planetvision.imaging.disc.finder import find_body
from planetvision.render import BODIES, render_body

BANDS = ((0, 30), (30, 60), (60, 90), (90, 120), (120, 150))


def measure(name: str, band: tuple[int, int], count: int, size: int) -> list[tuple[float, float]]:
    """Returns the overlap with the truth (IoU) and the confidence, frame by frame."""
    results = []
    for seed in range(count):
        phase = band[0] + (band[1] - band[0]) * (seed + 0.5) / count
        rendered = render_body(name, image_size=size, seed=seed, phase_angle_degrees=phase)
        region = find_body(rendered.image)
        if region is None:
            results.append((0.0, -1.0))
            continue
        mask = region.create_mask()
        overlap = np.count_nonzero(mask & rendered.mask) / np.count_nonzero(mask | rendered.mask)
        results.append((overlap, region.confidence))
    return results


def show(label: str, phase: str, results: list[tuple[float, float]]) -> None:
    overlap, confidence = np.array(results).T
    print(
        f"| {label} | {phase} | {np.median(overlap):.3f} | {np.percentile(overlap, 5):.2f} "
        f"| {np.mean(confidence >= 0):.0%} | {np.mean(confidence >= 0.5):.0%} |",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=40, help="frames per body and band")
    parser.add_argument("--size", type=int, default=224, help="height and width of a frame")
    arguments = parser.parse_args()
    print("| body | phase in degrees | median IoU | 5th percentile | found | sure |")
    print("| --- | --- | --- | --- | --- | --- |")
    every: dict[tuple[int, int], list[tuple[float, float]]] = {band: [] for band in BANDS}
    for name in BODIES:
        for band in BANDS:
            results = measure(name, band, arguments.count, arguments.size)
            every[band] += results
            show(name, f"{band[0]} to {band[1]}", results)
    for band, results in every.items():
        show("all", f"{band[0]} to {band[1]}", results)
    show("all", "0 to 90", [one for band in BANDS[:3] for one in every[band]])


if __name__ == "__main__":
    main()
