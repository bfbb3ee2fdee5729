"""Measures whether explanations of trained models lie on the disc and depend on the weights.

Each RUN is a folder that `planetvision train` wrote. Its test split and PHOTOS, images of known
classes, are explained by their most probable class, and every map is checked.

`energy` is the median share of a map on the disc, over the images on which a disc is found, and
`chance` that of a uniform map. `shuffled` is the energy of the maps of a network with shuffled
weights, for the same images and classes. `trained wins` is the number of images on which the
trained network has more, with Wilson's interval. `moved` and `random` are the median rank
correlations with the map of the image moved by a few pixels and with that of shuffled weights.
"""

from __future__ import annotations

import argparse
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import stats

from planetvision import PlanetClassifier
from planetvision.core.devices import resolve_device
from planetvision.data import Catalog, read_labelled
from planetvision.evaluation import wilson_interval
from planetvision.explain import EXPLAINERS
from planetvision.explain.checks import create_body_masks, measure_energy, randomize_network
from planetvision.explain.checks.similarity import create_maps
from planetvision.explain.explainer import MapSettings, explain_catalog


def measure(classifier: PlanetClassifier, catalog: Catalog, method: str) -> dict[str, Any]:
    """The figures of one model on one lot of images."""
    network, classes = classifier.network_, classifier.classes_.tolist()
    device = resolve_device("auto")
    explanations = explain_catalog(
        network,
        catalog,
        MapSettings(method=method),
        classes=classes,
        device=device,
        checked=None,
    )
    checks, verdict = explanations.checks, explanations.verdict
    assert checks is not None
    assert verdict is not None
    images = torch.stack([torch.from_numpy(item.image).permute(2, 0, 1) for item in explanations])
    targets = torch.tensor([classes.index(item.top_label) for item in explanations])
    shuffled = randomize_network(network, images[:32].to(device), seed=1)
    explainer = EXPLAINERS.get(method).build
    maps = create_maps(shuffled, explainer, images.to(device), targets.to(device), batch_size=16)
    random_energy = measure_energy(maps, create_body_masks(images))
    both = np.isfinite(checks.energy_on_body) & np.isfinite(random_energy)
    wins = int((checks.energy_on_body[both] > random_energy[both]).sum())
    known = checks.energy_on_body[np.isfinite(checks.energy_on_body)]
    interval = stats.bootstrap(
        (known,), np.median, method="percentile", rng=np.random.default_rng(0)
    ).confidence_interval
    return {
        "images": len(explanations),
        "with a disc": len(known),
        "energy": float(np.median(known)),
        "energy_ci95": [float(interval.low), float(interval.high)],
        "chance": verdict.body_share,
        "on the background": verdict.num_background,
        "shuffled": float(np.nanmedian(random_energy)),
        "trained wins": f"{wins} of {int(both.sum())}",
        "trained_wins_ci95": wilson_interval(wins, int(both.sum())),
        "moved": verdict.stability,
        "random": verdict.randomized,
        "follow the weights": f"{verdict.weights.wins} of {verdict.weights.trials}",
        "insertion": verdict.insertion,
        "deletion": verdict.deletion,
        "belief": verdict.belief,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path, help="photographs, one subfolder per class")
    parser.add_argument("runs", type=Path, nargs="+", help="what `planetvision train` wrote")
    parser.add_argument("--method", default="gradcam")
    parser.add_argument("--json", type=Path, default=Path("explanations.json"))
    arguments = parser.parse_args()
    found: dict[str, dict[str, Any]] = {}
    warnings.simplefilter("ignore")
    for run in arguments.runs:
        classifier = PlanetClassifier.load(run / "model")
        classes = classifier.classes_.tolist()
        photos = read_labelled(arguments.photos)
        labels = photos.labels or ()
        lots = {
            "test": read_labelled(run / "split.csv").get_split("test"),
            "photos": photos.select(row for row, one in enumerate(labels) if one in classes),
        }
        for name, catalog in lots.items():
            figures = measure(classifier, catalog, arguments.method)
            found[f"{run.name} {name}"] = figures
            print(f"\n{run.name}, {name}")
            for figure, value in figures.items():
                shown = f"{value:.3f}" if isinstance(value, float) else str(value)
                print(f"  {figure:20}{shown}", flush=True)
    arguments.json.write_text(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
