"""Measures how many images per second the renderer draws, in one process and in one per core.

    python benchmarks/renderer.py [--size 224] [--count 700] [--maps FOLDER]
    python benchmarks/renderer.py --photos FOLDER --sheet SHEET.png [--maps FOLDER]

Surfaces are painted before the clock starts: a data set needs them once. With `--photos`, a folder
of photographs in one subfolder per body, it measures nothing and draws a sheet. For each body it
has a row of renders in the look `photo` below a row of photographs.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt

from planetvision.core.performance import get_num_cores
from planetvision.data import read_image, read_inputs
from planetvision.render import BODIES, render_body
from planetvision.render.scene import LOOKS
from planetvision.results.plots.gallery import Tile, draw_collage, save_image

Pixels = npt.NDArray[np.uint8]
COLUMNS = 12
Task = tuple[str, int, int, str, "str | None"]


def draw(task: Task) -> int:
    name, size, seed, look, maps = task
    return render_body(name, image_size=size, seed=seed, look=look, maps=maps).image.size


def start_worker() -> None:
    import cv2

    # A process a core: OpenCV's own threads would only take turns.
    cv2.setNumThreads(1)


def measure(run: Callable[[list[Task]], int], tasks: list[Task]) -> float:
    run(tasks)
    start = time.perf_counter()
    run(tasks)
    return len(tasks) / (time.perf_counter() - start)


def draw_sheet(photos: Path, maps: str | None) -> Pixels:
    tiles = []
    for name in BODIES:
        paths = [Path(str(it)) for it in read_inputs(photos / name).sources][:COLUMNS]
        found = [Tile(read_image(path), path.stem) for path in paths]
        drawn = [
            Tile(render_body(name, seed=seed, look="photo", maps=maps).image, f"{name}, drawn")
            for seed in range(COLUMNS)
        ]
        blank = Tile(np.zeros((8, 8, 3), np.uint8), "")
        tiles += [*found, *[blank] * (COLUMNS - len(found)), *drawn]
    return draw_collage(tiles, columns=COLUMNS, size_pixels=128)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--count", type=int, default=700)
    parser.add_argument("--maps")
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--sheet", type=Path, default=Path("sheet.png"))
    arguments = parser.parse_args()
    if arguments.photos is not None:
        save_image(draw_sheet(arguments.photos, arguments.maps), arguments.sheet)
        return
    cores = get_num_cores()
    start_worker()
    print(f"{arguments.count} images of {arguments.size} pixels, images per second")
    print("| look | one process | " + f"{cores} processes | ratio |")
    print("| --- | ---: | ---: | ---: |")
    for look in LOOKS:
        tasks = [
            (name, arguments.size, seed, look, arguments.maps)
            for seed, name in itertools.product(range(arguments.count // len(BODIES)), BODIES)
        ]
        one = measure(lambda tasks: sum(map(draw, tasks)), tasks)
        with ProcessPoolExecutor(cores, initializer=start_worker) as pool:
            many = measure(lambda tasks: sum(pool.map(draw, tasks, chunksize=16)), tasks)
        print(f"| `{look}` | {one:.0f} | {many:.0f} | {many / one:.2f} |")


if __name__ == "__main__":
    main()
