"""Times the second epoch with and without the cache of decoded images.

Two things are timed, each in turn with and without the cache. Reading and augmenting every image of
the folder is what the cache speeds up. A whole epoch of fine-tuning the last blocks of
EfficientNet-Lite0 is what a user waits for.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from planetvision.core.settings import InputSpec, Recipe, Stage
from planetvision.data import Catalog, read_labelled
from planetvision.data.cache import DecodedCache, create_cache
from planetvision.data.loading import ImageDataset
from planetvision.data.manifest import hash_sources
from planetvision.models.network import create_network
from planetvision.training.trainer import Trainer

CACHES = ("off", "memory", "disk")


def create_dataset(catalog: Catalog, spec: InputSpec, cache: DecodedCache | None) -> ImageDataset:
    return ImageDataset(
        catalog.sources,
        [catalog.classes.index(label) for label in catalog.labels or ()],
        input_spec=spec,
        augmentation="light",
        hashes=catalog.hashes,
        cache=cache,
    )


def time_reading(dataset: ImageDataset) -> float:
    """Returns the seconds of the second pass over all images."""
    seconds = 0.0
    for draw in (1, 2):
        started = time.perf_counter()
        for index in range(len(dataset)):
            dataset[(index, draw)]
        seconds = time.perf_counter() - started
    return seconds


def time_training(dataset: ImageDataset, num_classes: int, weights: str) -> float:
    """Returns the seconds of the second epoch of fine-tuning the last three blocks."""
    network = create_network("efficientnet_lite0", num_classes=num_classes, weights=weights, seed=0)
    stage = Stage(name="fine-tune", epochs=2, learning_rate=1e-4, trainable_blocks=3)
    trainer = Trainer(network, Recipe(name="two epochs", stages=(stage,)), num_workers=0)
    return trainer.fit(dataset)[1].seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="a folder with one subfolder per class")
    parser.add_argument("--rounds", type=int, default=3, help="how often reading is timed")
    parser.add_argument("--training-rounds", type=int, default=1, help="how often training is")
    parser.add_argument("--gigabytes", type=float, default=2.0, help="the size limit of the cache")
    parser.add_argument("--weights", default="pretrained", help="or none")
    arguments = parser.parse_args()
    catalog = read_labelled(arguments.folder)
    catalog = replace(catalog, hashes=hash_sources(catalog.sources))
    spec = InputSpec()
    num_classes = len(catalog.classes)
    measures: dict[str, tuple[int, Callable[[ImageDataset], float]]] = {
        "reading": (arguments.rounds, time_reading),
        "training": (
            arguments.training_rounds,
            lambda dataset: time_training(dataset, num_classes, arguments.weights),
        ),
    }
    print(f"{len(catalog)} images, second epoch")
    for name, (rounds, measure) in measures.items():
        seconds: dict[str, list[float]] = {cache: [] for cache in CACHES}
        for _ in range(rounds):
            for setting in CACHES:
                with tempfile.TemporaryDirectory() as folder:
                    chosen = folder if setting == "disk" else setting
                    cache = create_cache(chosen, gigabytes=arguments.gigabytes)
                    taken = measure(create_dataset(catalog, spec, cache))
                seconds[setting].append(taken)
                print(f"{name:<8}  {setting:<6}  {taken:7.2f} s", flush=True)
        medians = {setting: statistics.median(values) for setting, values in seconds.items()}
        for setting in CACHES[1:]:
            print(f"{name}: off / {setting} = {medians['off'] / medians[setting]:.2f}")


if __name__ == "__main__":
    main()
