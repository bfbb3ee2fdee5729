"""Compares ways of fine-tuning by their accuracy outside the training domain.

A head is trained on frozen features once per seed, as the recipe `balanced` does. From there each
variant fine-tunes in its own way. The score on the test split is saturated and chooses nothing. The
score on rendered bodies chooses (other maps, other light, and a simulated instrument: gray,
blurred, noisy, compressed), by a rule that was fixed beforehand: the highest mean accuracy over the
seeds, and of equal ones the lowest mean calibrated loss. Photographs, if a folder of them is named,
are measured and choose nothing.

Results are added to the file --json as they come; finished variants are not run again.
"""

from __future__ import annotations

import argparse
import copy
import csv
import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageFilter

from planetvision.core.performance import apply_performance
from planetvision.core.settings import InputSpec, Recipe, Stage
from planetvision.data import read_labelled, split_catalog
from planetvision.data.cache import create_cache
from planetvision.data.catalog import Catalog
from planetvision.data.loading import create_datasets
from planetvision.data.preparation import prepare_catalog
from planetvision.evaluation.metrics import wilson_interval
from planetvision.inference.outputs import compute_outputs
from planetvision.inference.predictor import load_views
from planetvision.inference.temperature import fit_temperature, get_cross_entropy
from planetvision.models.backbones.registry import BACKBONES
from planetvision.models.network import PlanetNet, create_network
from planetvision.render import write_dataset
from planetvision.training import RECIPES
from planetvision.training.trainer import Trainer

BACKBONE = "efficientnet_lite0"
# The last three blocks on cached views of each image, to the end. The validation split is
# saturated, and choosing by it mostly undoes the stage. Each variant changes one thing, the last
# ones several.
BASE = Stage(
    name="fine-tune",
    epochs=2,
    learning_rate=1e-4,
    backbone_rate=0.3,
    trainable_blocks=3,
    warmup_epochs=1,
    weight_decay=1e-2,
    views=3,
    monitor="none",
)
EACH_EPOCH = replace(BASE, views=0, epochs=4)
AVERAGED = replace(BASE, ema_decay=0.98, weight_interpolation=0.5)
STRONG = {"augmentation": "strong_body"}
# After the first round, in which the rate was what mattered; those of five blocks at the end came
# after the second.
FAST = replace(BASE, learning_rate=1e-3)
FAST_AVERAGED = replace(FAST, ema_decay=0.9)
FASTER = replace(BASE, learning_rate=3e-3)

Variant = tuple[Stage | None, dict[str, Any]]
VARIANTS: dict[str, Variant] = {
    "head alone": (None, {}),
    "last 3 blocks": (BASE, {}),
    "best epoch by loss": (replace(BASE, monitor="loss"), {}),
    "best epoch by calibrated loss": (replace(BASE, monitor="calibrated_loss"), {}),
    "half way back": (replace(BASE, weight_interpolation=0.5), {}),
    "moving average": (replace(BASE, ema_decay=0.98), {}),
    "average, half way": (AVERAGED, {}),
    "strong views, head alone": (None, STRONG),
    "strong views": (BASE, STRONG),
    "strong, half way": (replace(BASE, weight_interpolation=0.5), STRONG),
    "strong, average, half way": (AVERAGED, STRONG),
    "last 5 blocks": (replace(BASE, trainable_blocks=5), {}),
    "last 5, layer decay 0.6": (replace(BASE, trainable_blocks=5, layer_decay=0.6), {}),
    "strong, last 5, decay, half way": (
        replace(AVERAGED, trainable_blocks=5, layer_decay=0.6),
        STRONG,
    ),
    "BatchNorm moves": (replace(BASE, freeze_batch_norm=False), {}),
    "ten times the rate": (replace(BASE, learning_rate=1e-3), {}),
    "label smoothing": (BASE, {"label_smoothing": 0.1}),
    "weight decay 0.1": (replace(BASE, weight_decay=0.1), {}),
    "new views each epoch": (EACH_EPOCH, {}),
    "mixup": (replace(EACH_EPOCH, mixup=0.2), {}),
    "cutmix": (replace(EACH_EPOCH, cutmix=1.0), {}),
    "without a head first": (EACH_EPOCH, {"skip_head": True}),
    "thirty times the rate": (FASTER, {}),
    "fast, average": (FAST_AVERAGED, {}),
    "fast, half way back": (replace(FAST, weight_interpolation=0.5), {}),
    "fast, average, half way": (replace(FAST_AVERAGED, weight_interpolation=0.5), {}),
    "fast, strong views": (FAST, STRONG),
    "fast, strong, average": (FAST_AVERAGED, STRONG),
    "fast, last 5 blocks": (replace(FAST, trainable_blocks=5), {}),
    "fast, last 5, layer decay 0.6": (
        replace(FAST_AVERAGED, trainable_blocks=5, layer_decay=0.6),
        {},
    ),
    "fast, label smoothing": (FAST, {"label_smoothing": 0.1}),
    "fast, twice as long": (replace(FAST, epochs=4), {}),
    "fast, new views each epoch": (replace(EACH_EPOCH, learning_rate=1e-3), {}),
    "fast, mixup": (replace(EACH_EPOCH, learning_rate=1e-3, mixup=0.2), {}),
    "fast, last 5, average": (replace(FAST_AVERAGED, trainable_blocks=5), {}),
    "fast, last 5, strong views": (replace(FAST, trainable_blocks=5), STRONG),
    "fast, last 5, twice as long": (replace(FAST, trainable_blocks=5, epochs=4), {}),
    "thirty times, last 5 blocks": (replace(FASTER, trainable_blocks=5), {}),
}


def degrade(path: Path, number: int) -> None:
    """Passes a drawn picture through a simulated instrument, in place."""
    with Image.open(path) as opened:
        picture = opened.convert("RGB")
    generator = np.random.default_rng(number)
    kind = number // 7 % 4
    if kind == 1:
        picture = picture.convert("L").convert("RGB")
    if kind == 2:
        picture = picture.filter(ImageFilter.GaussianBlur(float(generator.uniform(1, 2.5))))
    if kind == 3:
        values = np.asarray(picture, np.float32) * generator.uniform(0.5, 1.2)
        values += generator.normal(0, generator.uniform(4, 16), values.shape)
        picture = Image.fromarray(values.clip(0, 255).astype(np.uint8))
    picture.save(path.with_suffix(".jpg"), quality=int(generator.integers(35, 95)))
    path.unlink()


class Yardstick:
    """Labelled images as the network is shown them, decoded once.

    Args:
        catalog: The images.
        classes: The label of each logit.
        spec: What the network is shown.
    """

    def __init__(self, catalog: Catalog, classes: Sequence[Any], spec: InputSpec) -> None:
        with ThreadPoolExecutor() as pool:
            loaded = list(pool.map(lambda source: load_views(source, spec), catalog.sources))
        self.views = [views.pixels for views in loaded if views.pixels is not None]
        assert len(self.views) == len(catalog)
        self.targets = np.array([classes.index(label) for label in catalog.labels or ()])
        self.paths = catalog.names

    @torch.inference_mode()
    def measure(self, network: PlanetNet) -> dict[str, Any]:
        """Returns which answers are right, and the calibrated loss."""
        network.eval()
        batches = [self.views[start : start + 32] for start in range(0, len(self.views), 32)]
        logits = np.concatenate([compute_outputs(network, batch).logits for batch in batches])
        temperature = fit_temperature(logits, self.targets)
        loss = get_cross_entropy(logits, self.targets, temperature=temperature)
        right = logits.argmax(axis=1) == self.targets
        return {"right": right.tolist(), "calibrated_loss": loss}


def create_yardsticks(arguments: argparse.Namespace) -> dict[str, Yardstick]:
    """Returns what is measured on outside the domain: drawn bodies, and photographs if named."""
    classes = sorted(path.name for path in arguments.folder.iterdir() if path.is_dir())
    spec = get_spec()
    with tempfile.TemporaryDirectory() as folder:
        drawn = Path(folder, "drawn")
        pictures = write_dataset(drawn, count=arguments.count, seed=1000, bodies=classes)
        for number, path in enumerate(pictures):
            degrade(path, number)
        rulers = {"drawn": Yardstick(read_labelled(drawn), classes, spec)}
    if arguments.photos:
        catalog = read_labelled(arguments.photos)
        known = [row for row, label in enumerate(catalog.labels or ()) if label in classes]
        rulers["photos"] = Yardstick(catalog.select(known), classes, spec)
    return rulers


def get_spec() -> InputSpec:
    """Returns what the networks are shown."""
    return replace(BACKBONES.get(BACKBONE).input, tta=RECIPES.get("balanced").build().tta)


def run_seed(
    arguments: argparse.Namespace,
    seed: int,
    others: dict[str, Yardstick],
    results: dict[str, Any],
) -> None:
    """Trains the head, then every variant that is not in the results, and saves as it goes."""
    wanted = [name for name in arguments.variants if f"{name}/{seed}" not in results]
    if not wanted:
        return
    base = RECIPES.get("balanced").build()
    head_stage = base.stages[0]
    spec = get_spec()
    cache = create_cache("memory")
    catalog = read_labelled(arguments.folder)
    split = split_catalog(prepare_catalog(catalog, spec, cache=cache).catalog, seed=seed)
    classes = split.get_split("train").classes
    train, val = create_datasets(split, classes=classes, input_spec=spec, seed=seed, cache=cache)
    rulers = {"test": Yardstick(split.get_split("test"), classes, spec), **others}

    def train_by(network: PlanetNet, stages: Sequence[Stage], changes: dict[str, Any]) -> None:
        recipe = Recipe(
            **{
                "name": "variant",
                "stages": tuple(stages),
                "augmentation": base.augmentation,
                "batch_size": base.batch_size,
                "head_options": base.head_options,
                **changes,
            }
        )
        Trainer(network, recipe, seed=seed, device=arguments.device).fit(train, val)

    def create() -> PlanetNet:
        return create_network(
            BACKBONE,
            num_classes=len(classes),
            head_options=base.head_options,
            input_spec=spec,
            seed=seed,
        )

    # A head for each kind of views: those of the fine-tuning are its own, too.
    heads: dict[str, PlanetNet] = {}
    for name in wanted:
        stage, changes = VARIANTS[name]
        changes = dict(changes)
        started = time.perf_counter()
        policy = changes.get("augmentation", base.augmentation)
        if changes.pop("skip_head", False):
            network = create()
        else:
            if policy not in heads:
                heads[policy] = create()
                train_by(heads[policy], [head_stage], {**changes, "augmentation": policy})
                started = time.perf_counter()
            network = copy.deepcopy(heads[policy])
        if stage is not None:
            train_by(network, [stage], changes)
        seconds = time.perf_counter() - started
        measured = {key: ruler.measure(network) for key, ruler in rulers.items()}
        results[f"{name}/{seed}"] = {"seconds": seconds, **measured}
        if "photos" in rulers:
            results.setdefault("photos", [Path(path).name for path in rulers["photos"].paths])
        arguments.json.write_text(json.dumps(results))
        drawn = np.mean(measured["drawn"]["right"])
        print(f"seed {seed}  {name:<26} {seconds:6.1f} s  drawn {drawn:6.1%}", flush=True)


def read_natural(path: Path | None) -> set[str]:
    """Returns the names of the photographs in natural colour."""
    if path is None:
        return set()
    with path.open(newline="", encoding="utf-8") as file:
        return {Path(row["file"]).name for row in csv.DictReader(file) if row["natural"] == "1"}


def describe(rows: Sequence[Sequence[bool]]) -> str:
    """Returns the mean accuracy over seeds, with the interval of one seed's number of images."""
    share = float(np.mean(rows))
    low, high = wilson_interval(round(share * len(rows[0])), len(rows[0])) or (0.0, 1.0)
    return f"{share:6.1%} ({low:.0%}-{high:.0%})"


def show(results: dict[str, Any], names: Sequence[str], natural: set[str]) -> None:
    """Prints the table, the best by the rule first."""
    photos = results.get("photos", [])
    in_natural = [name in natural for name in photos]
    lines = []
    for name in names:
        runs = [value for key, value in results.items() if key.startswith(f"{name}/")]
        if not runs:
            continue
        drawn = [run["drawn"]["right"] for run in runs]
        loss = statistics.mean(run["drawn"]["calibrated_loss"] for run in runs)
        cells = [
            name,
            str(len(runs)),
            f"{statistics.median(run['seconds'] for run in runs):.0f}",
            describe([run["test"]["right"] for run in runs]),
            describe(drawn),
            f"{loss:.3f}",
        ]
        if photos:
            right = [run["photos"]["right"] for run in runs]
            cells.append(describe(right))
            if any(in_natural):
                cells.append(describe([np.array(row)[in_natural].tolist() for row in right]))
        lines.append((-float(np.mean(drawn)), loss, cells))
    heads = ["variant", "seeds", "seconds", "test", "drawn", "calibrated loss of drawn"]
    heads += ["photos", "natural photos"][: (1 + any(in_natural)) if photos else 0]
    print("| " + " | ".join(heads) + " |")
    print("| " + " | ".join("---" for _ in heads) + " |")
    for *_, cells in sorted(lines, key=lambda line: line[:2]):
        print("| " + " | ".join(cells) + " |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="one subfolder per class, to train on")
    parser.add_argument("--photos", type=Path, help="one subfolder per class, to measure on")
    parser.add_argument("--provenance", type=Path, help="a CSV of `file` and `natural`")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=VARIANTS)
    parser.add_argument("--count", type=int, default=280, help="drawn pictures")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--json", type=Path, default=Path("fine_tuning.json"))
    arguments = parser.parse_args()
    apply_performance()
    results: dict[str, Any] = {}
    if arguments.json.exists():
        results = json.loads(arguments.json.read_text())
    others = create_yardsticks(arguments)
    for seed in arguments.seeds:
        run_seed(arguments, seed, others, results)
    show(results, arguments.variants, read_natural(arguments.provenance))


if __name__ == "__main__":
    main()
