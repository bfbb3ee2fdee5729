"""Trains the released model: renders its images, trains on them, and copies it to the package.

    make release-model EYES=FOLDER MAPS=FOLDER PICTURES=FOLDER        or
    python release/train.py EYES --maps MAPS --pictures PICTURES [--work FOLDER] [--out FOLDER]

`EYES` contains renders of NASA's "Eyes on the Solar System", in one subfolder per class: the data
set of the published PlanetaryImageClassifier. `MAPS` contains equirectangular maps, called
earth.png and so on, whose licences must allow it. `PICTURES` contains, at any depth, negatives:
pictures of anything but bodies of the solar system. Nothing else is read, and no photograph of a
body.

Every step writes its result to the work folder, with a mark that lists its inputs, and is skipped
if it is done. An interrupted training resumes after its last epoch, and a finished one is not
repeated. A work folder of other images, maps or numbers is refused, and one that another version of
the rendering code has filled.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import math
import re
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image

import planetvision
from planetvision import PlanetClassifier
from planetvision.classifiers.storage import is_model_folder
from planetvision.core.devices import derive_seed, seeded
from planetvision.core.errors import PlanetVisionError
from planetvision.core.files import hash_file, write_atomically, write_json
from planetvision.core.settings import InputSpec
from planetvision.data import read_image, read_labelled, split_catalog
from planetvision.data.preparation import prepare_catalog
from planetvision.imaging.instrument import draw_instrument, take_picture
from planetvision.imaging.light import Image as Pixels
from planetvision.imaging.light import decode_srgb
from planetvision.imaging.policies import create_transform
from planetvision.render import (
    BODIES,
    NON_PLANETS,
    render_dataset,
    render_non_planets,
    write_dataset,
)
from planetvision.render.maps import get_maps
from planetvision.results.sampling import take_in_turn
from planetvision.workflows.run import can_resume, resume_run, train_run

Inputs = dict[str, object]

SEED = 1
SIZE = 224
RENDERS_PER_BODY = 600
OTHERS_PER_BODY = 150
# Small gray moons are left out: as negatives they made the Moon look novel, and moons that no
# training had seen no more so.
OTHERS = (
    *("mercury", "venus", "pluto", "io", "europa", "ganymede"),
    *("callisto", "titan", "triton", "ceres", "rhea", "sun"),
)
NUM_NON_PLANETS = 2800
NUM_PICTURES = 1200
VIEWS_PER_IMAGE = 4
# A smaller disc could be any body: it does not teach what none of the seven looks like.
MIN_OTHER_RADIUS_PIXELS = 14
# Every tenth render chooses nothing and trains nothing: it calibrates.
VAL_EVERY = 10
# Icons, flags and diagrams of classes are no pictures; the other names may be those of bodies.
MIN_PICTURE_SIDE = 100
MAX_PICTURE_PIXELS = 20_000_000
# A part of one color shows nothing.
MIN_PICTURE_DEVIATION = 15
PICTURES_LEFT_OUT = re.compile(
    "earth|globe|world|moon|planet|mercury|venus|mars|jupiter|saturn|uranus|neptune|pluto|sun|"
    "astro|eclipse|stars|icons|flags|(^|/)(class|struct)[a-z0-9_]*\\.png$",
    re.IGNORECASE,
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("eyes", type=Path)
    parser.add_argument("--maps", type=Path, required=True)
    parser.add_argument("--pictures", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path("release-model"))
    parser.add_argument("--out", type=Path, default=Path("src/planetvision/models/released"))
    parser.add_argument("--recipe", default="robust")
    arguments = parser.parse_args()
    try:
        read_labelled(arguments.eyes)
        get_maps(arguments.maps)
    except PlanetVisionError as error:
        raise SystemExit(str(error)) from None
    work: Path = arguments.work
    step = partial(run_step, work)

    renders, negatives, run = work / "renders", work / "negatives", work / "run"
    code = fingerprint_code()
    drawn = {"seed": SEED, "size": SIZE, "code": code, "maps": fingerprint_folder(arguments.maps)}
    inputs: dict[str, Inputs] = {
        "renders": {**drawn, "a_body": RENDERS_PER_BODY, "bodies": list(BODIES)},
        "other bodies": {
            **drawn,
            "a_body": OTHERS_PER_BODY,
            "bodies": list(OTHERS),
            "smallest": MIN_OTHER_RADIUS_PIXELS,
        },
        "non-planets": {
            "seed": SEED,
            "size": SIZE,
            "code": code,
            "count": NUM_NON_PLANETS,
            "kinds": list(NON_PLANETS),
        },
        "pictures": {
            "seed": SEED,
            "size": SIZE,
            "pictures": fingerprint_folder(arguments.pictures),
            "count": NUM_PICTURES,
            "limits": [MIN_PICTURE_SIDE, MAX_PICTURE_PIXELS, MIN_PICTURE_DEVIATION],
            "left_out": PICTURES_LEFT_OUT.pattern,
        },
        "views": {
            "seed": SEED,
            "size": SIZE,
            "code": code,
            "eyes": fingerprint_folder(arguments.eyes),
            "an_image": VIEWS_PER_IMAGE,
        },
    }
    inputs["table"] = {
        "renders": inputs["renders"],
        "views": inputs["views"],
        "val_every": VAL_EVERY,
    }
    classifier = PlanetClassifier(
        recipe=arguments.recipe,
        # Seen from space nothing has an upside: right more often on the validation images.
        tta="body+rotations",
        ood_score="layered",
        group_duplicates=False,
        cache_gigabytes=6,
        random_state=SEED,
        progress=True,
    )
    inputs["training"] = {
        "table": inputs["table"],
        "negatives": [inputs[name] for name in ("other bodies", "non-planets", "pictures")],
        "settings": classifier.to_settings(),
    }
    # All of them before the first is done: hours of drawing are no place to find out.
    for name, made_from in inputs.items():
        check_mark(work, name, made_from)

    def train() -> None:
        if can_resume(run):
            resume_run(run, progress=True)
        elif not is_model_folder(run / "model"):
            train_run(
                classifier,
                work / "table.csv",
                run,
                negatives=[negatives / name for name in ("bodies", "non_planets", "pictures")],
                overwrite=True,
            )

    for name, do in (
        ("renders", lambda: draw_renders(renders, arguments.maps)),
        ("other bodies", lambda: draw_other_bodies(negatives / "bodies", arguments.maps)),
        ("non-planets", lambda: draw_non_planets(negatives / "non_planets")),
        ("pictures", lambda: take_pictures(arguments.pictures, negatives / "pictures")),
        ("views", lambda: draw_views(arguments.eyes, work)),
        ("table", lambda: write_table(work)),
        ("training", train),
    ):
        step(name, do, inputs[name])
    trained = PlanetClassifier.load(run / "model")
    released = trained.save(arguments.out, overwrite=True, half=True)
    shutil.copy(Path(__file__).with_name("PROVENANCE.md"), released)
    print(f"the released model: {released}")


def run_step(work: Path, name: str, do: Callable[[], object], made_from: Inputs) -> None:
    """Runs a step unless its mark exists, and writes the mark."""
    if check_mark(work, name, made_from):
        print(f"{name}: done before")
        return
    work.mkdir(parents=True, exist_ok=True)
    print(f"{name} ...", flush=True)
    mark = get_mark(work, name)
    write_json(mark, {"made_from": made_from, "is_done": False})
    do()
    write_json(mark, {"made_from": made_from, "is_done": True})


def check_mark(work: Path, name: str, made_from: Inputs) -> bool:
    """Returns whether a step is done; exits if it was started with other inputs."""
    mark = get_mark(work, name)
    if not mark.exists():
        return False
    try:
        told = json.loads(mark.read_text(encoding="utf-8"))
    except ValueError:  # the empty mark of an earlier version of this script
        told = {"made_from": {}, "is_done": False}
    before, now = told["made_from"], json.loads(json.dumps(made_from))  # JSON has lists for tuples
    different = [key for key in {**before, **now} if before.get(key) != now.get(key)]
    if different:
        raise SystemExit(
            f"'{work}' holds '{name}' made from other inputs ({', '.join(different)}). Name "
            "another folder by --work, or remove that one."
        )
    return bool(told["is_done"])


def get_mark(work: Path, name: str) -> Path:
    return work / f".{name.replace(' ', '-')}"


def fingerprint_code() -> str:
    """Returns a hash of the rendering code: renderer, light, instruments and disc finder."""
    package = Path(planetvision.__file__).parent
    parts = ("render", "imaging")
    return " ".join(fingerprint_folder(package / it, "*.py") for it in parts)


def fingerprint_folder(folder: Path, pattern: str = "*") -> str:
    """Returns a hash of the names and the contents of all files in a folder."""
    files = sorted(path for path in folder.rglob(pattern) if path.is_file())
    if not files:
        raise SystemExit(f"There are no files in '{folder}'. Name a folder that holds some.")
    lines = [f"{hash_file(path)}  {path.relative_to(folder).as_posix()}\n" for path in files]
    return hashlib.sha256("".join(lines).encode(errors="surrogateescape")).hexdigest()


def draw_renders(folder: Path, maps: Path) -> None:
    count = RENDERS_PER_BODY * len(BODIES)
    write_dataset(
        folder, count=count, image_size=SIZE, seed=SEED, look="photo", maps=maps, overwrite=True
    )


def draw_other_bodies(folder: Path, maps: Path) -> None:
    for name in OTHERS:
        drawn = render_dataset(
            count=OTHERS_PER_BODY,
            image_size=SIZE,
            seed=SEED,
            bodies=[name],
            look="photo",
            maps=maps,
        )
        for number, rendered in enumerate(drawn):
            if float(rendered.parameters["radius_pixels"]) >= MIN_OTHER_RADIUS_PIXELS * SIZE / 224:
                save_png(rendered.image, folder / name / f"{number:05d}.png")


def draw_non_planets(folder: Path) -> None:
    """Applies another instrument to six in ten, so that lost lines do not imply a planet."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn = render_non_planets(count=NUM_NON_PLANETS, image_size=SIZE, seed=SEED)
    for number, picture in enumerate(drawn):
        rng = np.random.default_rng(derive_seed("release", SEED, number))
        if rng.uniform() < 0.6:
            exposure = math.exp(rng.normal(0, 0.3))
            instrument = dataclasses.replace(draw_instrument(rng), exposure=exposure)
            picture = take_picture(decode_srgb(picture), instrument, rng)
        save_png(picture, folder / f"{number:05d}.png")


def take_pictures(source: Path, folder: Path) -> None:
    """Selects pictures at random, equally many per subfolder: each whole, and cropped."""
    paths = {
        hash_file(path): path for path in sorted(source.rglob("*")) if is_picture(path, source)
    }
    rng = np.random.default_rng(derive_seed("pictures", SEED))
    shuffled = [list(paths.values())[index] for index in rng.permutation(len(paths))]
    subfolders = [path.relative_to(source).parts[0] for path in shuffled]
    for number, index in enumerate(take_in_turn(subfolders, NUM_PICTURES)):
        picture = open_picture(shuffled[index], rng)
        side = int(min(picture.size) * rng.uniform(0.3, 0.9))
        left, top = (int(rng.integers(0, length - side + 1)) for length in picture.size)
        part = picture.crop((left, top, left + side, top + side))
        for name, pixels in (("whole", picture), ("part", part)):
            pixels.thumbnail((2 * SIZE, 2 * SIZE))
            values = np.asarray(pixels)
            if values.std() > MIN_PICTURE_DEVIATION:
                save_png(values, folder / f"{number:05d}_{name}.png")


def is_picture(path: Path, source: Path) -> bool:
    if path.suffix.lower() not in {".jpg", ".jpeg", ".png"} or not path.is_file():
        return False
    if path.is_symlink() or PICTURES_LEFT_OUT.search(path.relative_to(source).as_posix()):
        return False
    try:
        with Image.open(path) as picture:
            pixels = picture.width * picture.height
            if min(picture.size) < MIN_PICTURE_SIDE or pixels > MAX_PICTURE_PIXELS:
                return False
            picture.load()
            return True
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return False


def open_picture(path: Path, rng: np.random.Generator) -> Image.Image:
    """Returns the picture in RGB; transparent pixels become black, gray or white."""
    picture = Image.open(path).convert("RGBA")
    ground = Image.new("RGBA", picture.size, (int(rng.choice([0, 128, 255])),) * 3 + (255,))
    ground.alpha_composite(picture)
    return ground.convert("RGB")


def draw_views(eyes: Path, work: Path) -> None:
    """Splits the simulator's renders, and writes views of the training split under `celestial`."""
    spec = InputSpec(image_size=SIZE)
    prepared = prepare_catalog(read_labelled(eyes), spec, progress=True)
    catalog = split_catalog(prepared.catalog, seed=SEED)
    transform = create_transform("celestial", spec)
    rows: list[dict[str, object]] = []
    images = zip(catalog.sources, catalog.labels or (), catalog.splits or (), strict=True)
    for index, (source, label, split) in enumerate(images):
        path = Path(str(source))
        rows.append({"path": str(path.absolute()), "label": label, "split": split})
        if split == "test":
            continue
        image = torch.from_numpy(read_image(path).copy()).permute(2, 0, 1)
        for number in range(VIEWS_PER_IMAGE):
            with seeded(derive_seed("release", SEED, index, number)):
                view = transform(image).permute(1, 2, 0).contiguous().numpy()
            # By number: mars.jpg and mars.png, or a/1.png and b/1.png, would be one.
            target = work / "views" / str(label) / f"{index:05d}_{number}.png"
            save_png(view, target)
            rows.append({"path": str(target.absolute()), "label": label, "split": split})
    write_csv(rows, work / "eyes.csv")


def write_table(work: Path) -> None:
    """Joins the renders, the simulator's images and their views."""
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
