"""Trains on a folder with one subfolder per class, evaluates, predicts, explains, saves and loads.

Without a folder it renders a small data set first.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from planetvision import PlanetClassifier
from planetvision.render import write_dataset


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, help="one subfolder per class")
    parser.add_argument("--out", type=Path, help="folder for results; by default temporary")
    parser.add_argument("--quick", action="store_true", help="few images, the recipe probe")
    arguments = parser.parse_args()

    with tempfile.TemporaryDirectory() as temporary:
        folder: Path = arguments.folder or Path(temporary) / "planets"
        out: Path = arguments.out or Path(temporary) / "out"
        if arguments.folder is None:
            count = 42 if arguments.quick else 210
            write_dataset(folder, count=count, image_size=128, seed=0)
            print(f"rendered {count} images")
        run(folder, out, recipe="probe" if arguments.quick else "balanced")


def run(folder: Path, out: Path, *, recipe: str) -> None:
    classifier = PlanetClassifier("efficientnet_lite0", recipe=recipe, random_state=0)
    classifier.fit(folder)
    print(f"trained in {len(classifier.history_)} epochs on {len(classifier.split_)} images")

    evaluation = classifier.evaluate()  # on the test split, which `fit` held out
    evaluation.save(out / "report")
    print(evaluation)

    classifier.save(out / "model")
    loaded = PlanetClassifier.load(out / "model")

    test_paths = classifier.split_.get_split("test").sources[:4]
    predictions = loaded.predict(test_paths)
    predictions.save(out / "predictions")
    for prediction in predictions:
        name = Path(prediction.path).name
        print(f"{name}: {prediction.answer}")

    loaded.explain(test_paths).save(out / "explanations")


if __name__ == "__main__":
    main()
