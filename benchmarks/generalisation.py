"""Measures how well models generalise to photographs and reject out-of-distribution images.

    python benchmarks/generalisation.py WORK PHOTOS OTHERS --provenance TABLE [--rows balanced ...]

WORK is the folder that `release/train.py` filled: the split of the simulator's images, their views
under `celestial`, and the renders. PHOTOS contains real photographs, in one subfolder per class.
OTHERS contains out-of-distribution (OOD) images. Neither trains or chooses anything.

Each row is one way to train, for each seed. `test` is the accuracy on the simulator's test split,
`photos` that on the photographs of the seven classes, with Wilson's interval for one seed's images,
`recall` its mean over the classes, `natural` that on those which TABLE marks so. `AUROC` is that of
the OOD score between photographs and OOD images, `at 95` the share of OOD images accepted if 95 %
of the photographs are, `energy` the median share of a Grad-CAM map on the disc.

By a model's own threshold `answered` counts the photographs that are not unknown, `answered right`
those of them whose class is right, and `passed` the OOD images that are not unknown. These are
printed and stored, and have no column.

Results are stored in `--json` after every model, and not measured again. `--every 3` uses a third
of the renders, views and negatives, spread over all kinds: the rows show what each is good for, in
a third of the time. `--sheet` draws the photographs that the released model gets wrong, each with
its prediction.
"""

from __future__ import annotations

import argparse
import json
import statistics
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.metrics import recall_score, roc_auc_score

from planetvision import PlanetClassifier
from planetvision.core.devices import resolve_device
from planetvision.data import Catalog, read_image, read_inputs, read_labelled
from planetvision.evaluation import wilson_interval
from planetvision.explain.explainer import MapSettings, explain_catalog
from planetvision.results.plots.gallery import Tile, draw_collage, save_image

Figures = dict[str, Any]


@dataclass(frozen=True)
class Row:
    """One way to train: which images, by which recipe.

    Args:
        recipe: The recipe.
        eyes: Whether the simulator's images take part.
        views: Whether their views under `celestial` do.
        renders: Whether the renders do.
        negatives: Whether negatives do.
    """

    recipe: str
    eyes: bool = True
    views: bool = False
    renders: bool = False
    negatives: bool = False


ROWS = {
    "classic": Row("classic"),
    "linear probe": Row("probe"),
    "balanced": Row("balanced"),
    "renders only": Row("robust", eyes=False, renders=True),
    "simulator only": Row("robust"),
    "both": Row("robust", renders=True),
    "both, celestial": Row("robust", views=True, renders=True),
    "both, celestial, others": Row("robust", views=True, renders=True, negatives=True),
}
RELEASED = "released model"


def train(row: Row, work: Path, seed: int, every: int) -> PlanetClassifier:
    table = pd.read_csv(work / "table.csv")
    is_render = table["path"].str.startswith(str((work / "renders").absolute()))
    is_view = table["path"].str.startswith(str((work / "views").absolute()))
    is_eyes = ~is_render & ~is_view & (table["split"] != "test")
    chosen = (is_render & row.renders) | (is_view & row.views) | (is_eyes & row.eyes)
    chosen &= is_eyes | choose_every(table, every)
    classifier = PlanetClassifier(
        recipe=row.recipe,
        ood_score="layered" if row.negatives else "mahalanobis",
        group_duplicates=False,
        test_fraction=0,
        cache_gigabytes=6,
        random_state=seed,
    )
    negatives = sorted(str(path) for path in (work / "negatives").rglob("*.png"))
    # At random: kinds of others take turns, and one in six of them would be half of the kinds.
    count = len(negatives) // every
    drawn = np.random.default_rng(0).choice(negatives, count, replace=False).tolist()
    return classifier.fit(table[chosen], negatives=drawn if row.negatives else None)


def choose_every(table: pd.DataFrame, every: int) -> pd.Series:
    """Which rows stay, of each label and part of the split one in `every`."""
    return table.groupby(["label", "split"]).cumcount() % every == 0


def measure(classifier: PlanetClassifier, lots: dict[str, Catalog], natural: set[str]) -> Figures:
    """The figures of one model."""
    figures: Figures = {}
    photos = classifier.predict(list(lots["photos"].sources))
    truth = np.array(lots["photos"].labels)
    answers = np.array([it.top_label for it in photos])
    tested = classifier.predict(list(lots["test"].sources))
    right = np.array([it.top_label for it in tested]) == np.array(lots["test"].labels)
    figures["test"] = [int(right.sum()), len(right)]
    figures["photos"] = [int((answers == truth).sum()), len(truth)]
    figures["recall"] = float(recall_score(truth, answers, average="macro"))
    names = [f"{Path(str(it)).parent.name}/{Path(str(it)).name}" for it in lots["photos"].sources]
    is_natural = np.array([name in natural for name in names])
    figures["natural"] = [int((answers == truth)[is_natural].sum()), int(is_natural.sum())]
    figures["wrong"] = [
        f"{name}: {answer}"
        for name, answer, true in zip(names, answers, truth, strict=True)
        if answer != true
    ]
    known = np.array([bool(it.known) for it in photos])
    figures["answered"] = [int(known.sum()), len(known)]
    figures["answered right"] = [int((answers == truth)[known].sum()), int(known.sum())]
    unlike = classifier.predict(list(lots["negatives"].sources))
    figures["passed"] = [sum(bool(it.known) for it in unlike), len(unlike)]
    near, far = (np.array([it.novelty for it in part]) for part in (photos, unlike))
    marks = np.r_[np.zeros(len(near)), np.ones(len(far))]
    figures["AUROC"] = float(roc_auc_score(marks, np.r_[near, far]))
    figures["at 95"] = float((far <= np.quantile(near, 0.95)).mean())
    explanations = explain_catalog(
        classifier.network_,
        lots["photos"],
        MapSettings(),
        classes=classifier.classes_.tolist(),
        device=resolve_device("auto"),
        checked=None,
    )
    assert explanations.checks is not None
    figures["energy"] = float(np.nanmedian(explanations.checks.energy_on_body))
    return figures


def describe(name: str, found: list[Figures]) -> str:
    def share(key: str) -> str:
        count = found[0][key][1]
        middle = statistics.mean(it[key][0] / max(count, 1) for it in found)
        interval = wilson_interval(round(middle * count), count)
        return "-" if interval is None else f"{middle:.1%} ({interval[0]:.0%}-{interval[1]:.0%})"

    def mean(key: str, form: str) -> str:
        return format(statistics.mean(it[key] for it in found), form)

    cells = [share("test"), share("photos"), mean("recall", ".1%"), share("natural")]
    cells += [mean("AUROC", ".3f"), mean("at 95", ".1%"), mean("energy", ".0%")]
    return f"| {name} | {len(found)} | " + " | ".join(cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("photos", type=Path)
    parser.add_argument("negatives", type=Path)
    parser.add_argument("--provenance", type=Path)
    names = [*ROWS, RELEASED]
    parser.add_argument("--rows", nargs="+", choices=names, default=names)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--sheet", type=Path)
    parser.add_argument("--json", type=Path, default=Path("generalisation.json"))
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    table = pd.read_csv(arguments.work / "table.csv")
    classes = sorted(set(table["label"]))
    photos = read_labelled(arguments.photos)
    labels = photos.labels or ()
    lots = {
        "test": read_labelled(table[table["split"] == "test"]),
        "photos": photos.select(row for row, label in enumerate(labels) if label in classes),
        "negatives": read_inputs(arguments.negatives),
    }
    natural = read_natural(arguments.provenance)
    measured: dict[str, dict[str, Figures]] = {}
    if arguments.json.exists():
        measured = json.loads(arguments.json.read_text())
    suffix = f", one in {arguments.every}" if arguments.every > 1 else ""
    keys = {name: name if name == RELEASED else name + suffix for name in arguments.rows}
    for name, key in keys.items():
        makers: dict[str, Callable[[], PlanetClassifier]] = {
            str(seed): partial(train, ROWS[name], arguments.work, seed, arguments.every)
            for seed in arguments.seeds
            if name != RELEASED
        } or {"-": PlanetClassifier.from_pretrained}
        for seed, make in makers.items():
            if seed not in measured.setdefault(key, {}):
                measured[key][seed] = measure(make(), lots, natural)
                arguments.json.write_text(json.dumps(measured, indent=2))
                print(key, seed, measured[key][seed], flush=True)
    print("| trained by | models | test | photos | recall | natural | AUROC | at 95 | energy |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for key in keys.values():
        print(describe(key, list(measured[key].values())))
    if arguments.sheet is not None and RELEASED in measured:
        save_image(draw_wrong(arguments.photos, measured[RELEASED]["-"]["wrong"]), arguments.sheet)


def draw_wrong(photos: Path, wrong: Sequence[str]) -> npt.NDArray[np.uint8]:
    tiles = []
    for line in wrong:
        name, answer = line.split(": ")
        tiles.append(Tile(read_image(photos / name), answer, (name,), tone="bad"))
    return draw_collage(tiles)


def read_natural(table: Path | None) -> set[str]:
    if table is None:
        return set()
    rows = pd.read_csv(table)
    chosen = rows[rows["natural"] == 1]["file"]
    return {"/".join(Path(file).parts[-2:]) for file in chosen}


if __name__ == "__main__":
    main()
