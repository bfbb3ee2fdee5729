"""Measures memory during the prediction of many files: it must not grow with their number.

It renders a few images, links them under many names, predicts all of them with a small untrained
model, and prints the resident memory as it goes. The last line is the growth over the second half.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

import psutil
import torch

from planetvision.data import read_inputs
from planetvision.inference import predictor
from planetvision.inference.outputs import Views
from planetvision.models.network import create_network
from planetvision.render import write_dataset

DRAWN = 14


def create_files(folder: Path, count: int) -> None:
    drawn = write_dataset(folder / "drawn", count=DRAWN, image_size=224, seed=0)
    target = folder / "many"
    target.mkdir()
    for number in range(count):
        os.link(drawn[number % DRAWN], target / f"{number:06d}.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=20_000, help="how many files")
    parser.add_argument("--every", type=int, default=2_000, help="files between two lines")
    parser.add_argument("--workers", type=int, default=0, help="loader processes")
    arguments = parser.parse_args()
    process = psutil.Process()
    seen: list[tuple[int, float]] = []

    class Watched(predictor.FramedImages):
        """Records the memory as images are read."""

        def __getitem__(self, index: int) -> Views:
            if index % arguments.every == 0:
                seen.append((index, process.memory_info().rss / 2**20))
                print(f"{index:7d} files  {seen[-1][1]:8.1f} MiB", flush=True)
            return super().__getitem__(index)

    predictor.FramedImages = Watched  # type: ignore[misc]
    network = create_network("tiny", num_classes=7, weights="none", seed=0)
    with tempfile.TemporaryDirectory() as folder:
        create_files(Path(folder), arguments.count)
        predictions = predictor.predict_catalog(
            network,
            read_inputs(Path(folder, "many")),
            classes=[str(number) for number in range(7)],
            device=torch.device("cpu"),
            num_workers=arguments.workers,
        )
        seen.append((arguments.count, process.memory_info().rss / 2**20))
    assert not predictions.failed
    middle = seen[len(seen) // 2][1]
    print(f"{arguments.count:7d} files  {seen[-1][1]:8.1f} MiB")
    print(f"growth over the second half: {100 * (seen[-1][1] / middle - 1):.1f} %")


if __name__ == "__main__":
    main()
