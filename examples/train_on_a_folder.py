"""Trains on a folder with a folder a class, then judges, predicts, explains, saves and loads.

Without a folder it draws a small data set first.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from planetvision import PlanetClassifier
from planetvision.render import write_dataset


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, help="a folder with a folder a class")
    parser.add_argument("--out", type=Path, help="where results go; by default nowhere that stays")
    parser.add_argument("--quick", action="store_true", help="few images, the recipe probe")
    arguments = parser.parse_args()

    with tempfile.TemporaryDirectory() as temporary:
        folder: Path = arguments.folder or Path(temporary) / "planets"
        out: Path = arguments.out or Path(temporary) / "out"
        if arguments.folder is None:
            count = 42 if arguments.quick else 210
            write_dataset(folder, count=count, image_size=128, seed=0)
            print(f"drew {count} images")
        run(folder, out, recipe="probe" if arguments.quick else "balanced")


def run(folder: Path, out: Path, *, recipe: str) -> None:
    classifier = PlanetClassifier("efficientnet_lite0", recipe=recipe, random_state=0)
    classifier.fit(folder)
    print(f"trained in {len(classifier.history_)} epochs on {len(classifier.split_)} images")

    evaluation = classifier.evaluate()  # on the test part that `fit` kept aside
    evaluation.save(out / "report")
    print(evaluation)

    classifier.save(out / "model")
    loaded = PlanetClassifier.load(out / "model")

    test_paths = classifier.split_.part("test").sources[:4]
    predictions = loaded.predict(test_paths)
    predictions.save(out / "predictions")
    for prediction in predictions:
        name = Path(prediction.path).name
        print(f"{name}: {prediction.answer}")

    loaded.explain(test_paths).save(out / "explanations")


if __name__ == "__main__":
    main()
