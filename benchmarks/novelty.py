"""Compares OOD scores, and measures how well probabilities are calibrated.

For each seed a classifier is trained on DATA, and every registered OOD score is fitted to the same
features. Rendered images choose the score: bodies (known, but unlike DATA) against kinds of
non-planets that no score has learned from. The results on the test split, on PHOTOS and on OTHERS
choose nothing.

`lost` is the share of images of known classes that is called unknown, `accepted` the share of other
images that is answered with a class, at the default rejection rate; `at 95` is the share of OTHERS
that is accepted if 95 % of the test split are.
"""

from __future__ import annotations

import argparse
import json
import statistics
import warnings
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from sklearn.metrics import roc_auc_score

from planetvision import PlanetClassifier
from planetvision.core.devices import resolve_device
from planetvision.data import read_inputs, read_labelled
from planetvision.data.loading import ImageDataset, create_datasets
from planetvision.evaluation.metrics import compute_calibration_error, compute_cross_entropy
from planetvision.inference.calibrator import POLICY, Calibrator
from planetvision.inference.ood_scores import OOD_SCORES, NetworkOutputs, join_outputs
from planetvision.inference.outputs import ViewedImages, collect_outputs
from planetvision.inference.temperature import fit_temperature, get_error_after
from planetvision.render import BODIES, NON_PLANETS, render_dataset, render_non_planets

Lots: TypeAlias = "dict[str, NetworkOutputs]"
Row: TypeAlias = "dict[str, float]"

FOLDS = 5
NUM_LEARNED = 600  # as many as `fit` draws
IMAGE_SIZE = 224


def collect(classifier: PlanetClassifier, arguments: argparse.Namespace, seed: int) -> Lots:
    """Features and logits of all images."""
    network, classes = classifier.network_, classifier.classes_.tolist()
    spec, device = network.input_spec, resolve_device("auto")

    gather_views = partial(collect_outputs, network, device=device, levels=True)

    def gather(sources: Sequence[Any], labels: Sequence[Any] | None = None) -> NetworkOutputs:
        targets = None if labels is None else [classes.index(label) for label in labels]
        images = ImageDataset(tuple(sources), targets, input_spec=spec)
        return gather_views(ViewedImages(images))

    train, val = create_datasets(classifier.split_, classes=classes, input_spec=spec, seed=seed)
    test = classifier.split_.get_split("test")
    photos = read_labelled(arguments.photos)
    labels = photos.labels or ()
    photos = photos.select(row for row, label in enumerate(labels) if label in classes)
    bodies = [name for name in BODIES if name in classes]
    drawn = list(
        render_dataset(
            count=arguments.count, image_size=IMAGE_SIZE, seed=1000 + seed, bodies=bodies
        )
    )
    lots = {
        "train": gather_views(ViewedImages(train)),
        "val": gather_views(ViewedImages(val)),
        "augmented": gather_views(ViewedImages(val.with_augmentation(POLICY), augmented=True)),
        "test": gather(test.sources, test.labels),
        "photos": gather(photos.sources, photos.labels),
        "negatives": gather(read_inputs(arguments.negatives).sources),
        "bodies": gather([one.image for one in drawn], [one.label for one in drawn]),
    }
    each = -(-arguments.count // len(NON_PLANETS))
    for kind in NON_PLANETS:
        pictures = render_non_planets(
            count=each, image_size=IMAGE_SIZE, seed=2000 + seed, kinds=[kind]
        )
        lots[kind] = gather(list(pictures))
    learned = render_non_planets(count=NUM_LEARNED, image_size=IMAGE_SIZE, seed=seed)
    lots["learned"] = gather(list(learned))
    return lots


def join(lots: Lots, names: Sequence[str]) -> NetworkOutputs:
    return join_outputs([lots[name] for name in names])


def fit(score: str, lots: Lots, kinds: Sequence[str]) -> Calibrator:
    """What `fit_calibrator` does, with the pictures of these lots as what is not known."""
    scorer = OOD_SCORES.get(score).build()
    state = scorer.fit(lots["train"], join(lots, kinds))
    raw = [scorer.score(state, lots[name]) for name in ("val", "augmented")]
    return Calibrator(
        temperature=1.0,
        score=score,
        state=state,
        raw_novelties=np.sort(np.concatenate(raw)),
        num_images=len(lots["val"]),
    )


def get_auroc(known: Any, negatives: Any) -> float:
    both = np.concatenate([known, negatives])
    return float(roc_auc_score(np.arange(len(both)) >= len(known), both))


def measure(score: str, lots: Lots, rate: float) -> Row:
    """What one score is worth."""
    kinds = list(NON_PLANETS)
    chosen: list[tuple[float, float, float]] = []
    for fold in range(FOLDS if OOD_SCORES.get(score).needs_negatives else 1):
        held = kinds[fold::FOLDS] if OOD_SCORES.get(score).needs_negatives else kinds
        calibrator = fit(score, lots, [kind for kind in kinds if kind not in held] or kinds)
        limit = calibrator.get_threshold(rate)
        bodies, strange = (
            calibrator.get_novelty(lots["bodies"]),
            calibrator.get_novelty(join(lots, held)),
        )
        chosen.append(
            (
                float((bodies > limit).mean()),
                float((strange <= limit).mean()),
                get_auroc(bodies, strange),
            )
        )
    lost, accepted, auroc = (statistics.mean(values) for values in zip(*chosen, strict=True))
    calibrator = fit(score, lots, ["learned"])  # what `PlanetClassifier.fit` gives it
    limit = calibrator.get_threshold(rate)
    test, photos, negatives = (
        calibrator.get_novelty(lots[name]) for name in ("test", "photos", "negatives")
    )
    return {
        "drawn lost": lost,
        "drawn accepted": accepted,
        "mean": (lost + accepted) / 2,
        "drawn AUROC": auroc,
        "test AUROC": get_auroc(test, negatives),
        "at 95": float((negatives <= np.quantile(test, 0.95)).mean()),
        "photos AUROC": get_auroc(photos, negatives),
        "test lost": float((test > limit).mean()),
        "photos lost": float((photos > limit).mean()),
        "others accepted": float((negatives <= limit).mean()),
    }


def judge_calibration(lots: Lots) -> dict[str, Row]:
    """Calibration errors and cross-entropies at several temperatures."""
    val = lots["val"]
    assert val.targets is not None
    doubt = get_error_after(len(val))
    temperatures = {
        "none": 1.0,
        "plain": fit_temperature(val.logits, val.targets),
        "cautious": fit_temperature(val.logits, val.targets, doubt=doubt),
    }
    rows: dict[str, Row] = {}
    for name, temperature in temperatures.items():
        row = {"temperature": temperature}
        calibrator = Calibrator(
            temperature=temperature,
            score="softmax",
            state={},
            raw_novelties=np.zeros(1),
            num_images=1,
        )
        for lot in ("bodies", "test", "photos"):
            targets = lots[lot].targets
            assert targets is not None
            probabilities = calibrator.calibrate(lots[lot].logits)
            row[f"{lot} ECE"] = compute_calibration_error(probabilities, targets)
            row[f"{lot} loss"] = compute_cross_entropy(probabilities, targets)
        rows[name] = row
    return rows


def show(heading: str, rows: dict[str, list[Row]]) -> None:
    columns = list(next(iter(rows.values()))[0])
    print(f"\n{heading}\n{'':12}" + "".join(f"{name:>16}" for name in columns))
    for name, seeds in rows.items():
        means = [statistics.mean(seed[column] for seed in seeds) for column in columns]
        print(f"{name:12}" + "".join(f"{value:16.3f}" for value in means))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="one subfolder per class, to train on")
    parser.add_argument("photos", type=Path, help="photographs, one subfolder per class")
    parser.add_argument("negatives", type=Path, help="out-of-distribution images")
    parser.add_argument("--recipe", default="balanced")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--count", type=int, default=400, help="drawn pictures of each lot")
    parser.add_argument("--rejection-rate", type=float, default=0.05)
    parser.add_argument("--json", type=Path, default=Path("novelty.json"))
    arguments = parser.parse_args()
    scores: dict[str, list[Row]] = {name: [] for name in OOD_SCORES.names()}
    temperatures: dict[str, list[Row]] = {}
    for seed in arguments.seeds:
        classifier = PlanetClassifier(recipe=arguments.recipe, random_state=seed)
        classifier.fit(arguments.data)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            lots = collect(classifier, arguments, seed)
        for name, rows in scores.items():
            rows.append(measure(name, lots, arguments.rejection_rate))
        for name, row in judge_calibration(lots).items():
            temperatures.setdefault(name, []).append(row)
        sizes = {name: len(lots[name]) for name in ("train", "val", "test", "photos", "negatives")}
        print(f"seed {seed}: {sizes}", flush=True)
    show("novelty, means over the seeds", scores)
    show("calibration, means over the seeds", temperatures)
    arguments.json.write_text(json.dumps({"scores": scores, "temperatures": temperatures}))


if __name__ == "__main__":
    main()
