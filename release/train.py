"""Trains the released model: draws its images, trains on them, and puts it into the package.

    make release-model EYES=FOLDER MAPS=FOLDER        or
    python release/train.py EYES --maps MAPS [--work FOLDER] [--out FOLDER]

`EYES` holds renders of NASA's "Eyes on the Solar System", a folder a class: the data set of the
published PlanetaryImageClassifier. `MAPS` holds equirectangular maps, called earth.png and so on,
whose licences must allow it. Nothing else is read: no photograph takes part.

Every step leaves its result in the work folder and is skipped where it is there already; a training
that was cut off goes on after its last epoch.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image

from planetvision import PlanetClassifier
from planetvision.augment import create_transform
from planetvision.augment.instrument import draw_instrument, take_picture
from planetvision.augment.light import Image as Pixels
from planetvision.augment.light import decode_srgb
from planetvision.config import InputSpec
from planetvision.data import read_image, read_labelled, split_catalog
from planetvision.data.preparation import prepare_catalog
from planetvision.files import write_atomically
from planetvision.render import (
    BODIES,
    OTHER_BODIES,
    render_non_planets,
    write_dataset,
)
from planetvision.runs import can_resume, resume_run, train_run
from planetvision.runtime import derive_seed, seeded

SEED = 1
SIZE = 224
RENDERS_PER_BODY = 600
OTHERS_PER_BODY = 150
NUM_NON_PLANETS = 900
VIEWS_PER_IMAGE = 4
# Every tenth render chooses nothing and trains nothing: it calibrates.
VAL_EVERY = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("eyes", type=Path)
    parser.add_argument("--maps", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path("release-model"))
    parser.add_argument("--out", type=Path, default=Path("src/planetvision/released"))
    parser.add_argument("--recipe", default="robust")
    arguments = parser.parse_args()
    work: Path = arguments.work
    step = partial(run_step, work)

    renders, others = work / "renders", work / "others"
    step("renders", lambda: draw_renders(renders, arguments.maps))
    step("other bodies", lambda: draw_other_bodies(others / "bodies", arguments.maps))
    step("non-planets", lambda: draw_non_planets(others / "non_planets"))
    step("views", lambda: draw_views(arguments.eyes, work))
    step("table", lambda: write_table(work))
    run = work / "run"
    if can_resume(run):
        trained = resume_run(run, progress=True)
    else:
        classifier = PlanetClassifier(
            recipe=arguments.recipe,
            novelty_score="drawn",
            group_duplicates=False,
            cache_gigabytes=6,
            random_state=SEED,
            progress=True,
        )
        trained = train_run(
            classifier,
            work / "table.csv",
            run,
            others=[others / "bodies", others / "non_planets"],
            overwrite=True,
        )
    folder = trained.classifier.save(arguments.out, overwrite=True, half=True)
    print(f"the released model: {folder}")


def run_step(work: Path, name: str, do: object) -> None:
    """Does a step whose mark is not there yet, and leaves the mark."""
    assert callable(do)
    mark = work / f".{name.replace(' ', '-')}"
    if mark.exists():
        print(f"{name}: done before")
        return
    work.mkdir(parents=True, exist_ok=True)
    print(f"{name} ...", flush=True)
    do()
    mark.touch()


def draw_renders(folder: Path, maps: Path) -> None:
    count = RENDERS_PER_BODY * len(BODIES)
    write_dataset(
        folder, count=count, image_size=SIZE, seed=SEED, look="photo", maps=maps, overwrite=True
    )


def draw_other_bodies(folder: Path, maps: Path) -> None:
    bodies = list(OTHER_BODIES)
    write_dataset(
        folder,
        count=OTHERS_PER_BODY * len(bodies),
        image_size=SIZE,
        seed=SEED,
        bodies=bodies,
        look="photo",
        maps=maps,
        overwrite=True,
    )


def draw_non_planets(folder: Path) -> None:
    """Six in ten as another instrument shows them: what has lost lines need not be a planet."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn = render_non_planets(count=NUM_NON_PLANETS, image_size=SIZE, seed=SEED)
    for number, picture in enumerate(drawn):
        rng = np.random.default_rng(derive_seed("release", SEED, number))
        if rng.uniform() < 0.6:
            exposure = math.exp(rng.normal(0, 0.3))
            instrument = dataclasses.replace(draw_instrument(rng), exposure=exposure)
            picture = take_picture(decode_srgb(picture), instrument, rng)
        save_png(picture, folder / f"{number:05d}.png")


def draw_views(eyes: Path, work: Path) -> None:
    """Splits the renders of the simulator and shows those that train in the policy `celestial`."""
    spec = InputSpec(image_size=SIZE)
    prepared = prepare_catalog(read_labelled(eyes), spec, progress=True)
    catalog = split_catalog(prepared.catalog, seed=SEED)
    transform = create_transform("celestial", spec)
    rows: list[dict[str, object]] = []
    for source, label, split in zip(
        catalog.sources, catalog.labels or (), catalog.splits or (), strict=True
    ):
        path = Path(str(source))
        rows.append({"path": str(path.absolute()), "label": label, "split": split})
        if split == "test":
            continue
        image = torch.from_numpy(read_image(path).copy()).permute(2, 0, 1)
        for number in range(VIEWS_PER_IMAGE):
            with seeded(derive_seed("release", SEED, f"{label}/{path.stem}", number)):
                view = transform(image).permute(1, 2, 0).contiguous().numpy()
            target = work / "views" / str(label) / f"{path.stem}_{number}.png"
            save_png(view, target)
            rows.append({"path": str(target.absolute()), "label": label, "split": split})
    write_csv(rows, work / "eyes.csv")


def write_table(work: Path) -> None:
    """Joins the renders and the simulator's images with their views."""
    rows = list(list_renders(work / "renders"))
    for row in pd.read_csv(work / "eyes.csv").to_dict("records"):
        rows.append({str(name): value for name, value in row.items()})
    write_csv(rows, work / "table.csv")


def list_renders(folder: Path) -> Iterator[dict[str, object]]:
    table = pd.read_csv(folder / "renders.csv")
    for number, row in enumerate(table.to_dict("records")):
        # Bodies take turns: what counts is the number within the body.
        is_val = number // len(BODIES) % VAL_EVERY == 0
        path = (folder / str(row["path"])).absolute()
        yield {"path": str(path), "label": row["label"], "split": "val" if is_val else "train"}


def write_csv(rows: list[dict[str, object]], path: Path) -> None:
    write_atomically(path, partial(pd.DataFrame(rows).to_csv, index=False))


def save_png(pixels: Pixels, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, compress_level=1)


if __name__ == "__main__":
    main()
