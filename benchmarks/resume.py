"""Checks that trainings killed at random moments and resumed end with the same bits.

One uninterrupted training is the reference. Every other training runs in a process of its own that
is killed (SIGKILL) after a random time, once or several times, and then resumed to its end. Cached
features that are refreshed, a partly trained backbone, mixing, averages of weights and loader
processes are all on.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

IMAGE_SIZE = 48
CLASSES = ("earth", "mars", "saturn")


def draw(folder: Path, count: int) -> None:
    """Draws the images of each class."""
    from PIL import Image

    from planetvision.render import render_body

    for name in CLASSES:
        (folder / name).mkdir(parents=True)
        for seed in range(count):
            body = render_body(name, image_size=IMAGE_SIZE, seed=seed)
            Image.fromarray(body.image).save(folder / name / f"{seed:02}.png")


def train(folder: Path, checkpoints: Path, workers: int, resume: bool) -> str:
    """Trains or resumes, and returns the hash of the weights."""
    from planetvision.core.settings import InputSpec, Recipe, Stage
    from planetvision.data.loading import ImageDataset
    from planetvision.models.network import create_network
    from planetvision.training.trainer import Trainer

    spec = InputSpec(image_size=IMAGE_SIZE)
    paths = sorted(folder.glob("*/*.png"))
    targets = [CLASSES.index(path.parent.name) for path in paths]
    train_set, val_set = (
        ImageDataset([str(path) for path in paths[first::4]], targets[first::4], input_spec=spec)
        for first in (0, 1)
    )
    stages = (
        Stage(name="head", epochs=12, learning_rate=1e-2, views=2, refresh_epochs=3, ema_decay=0.9),
        Stage(
            name="tail",
            epochs=6,
            learning_rate=3e-3,
            trainable_blocks=2,
            views=2,
            freeze_batch_norm=False,
            optimizer="timm:lamb",
            weight_interpolation=0.7,
        ),
        Stage(
            name="all",
            epochs=6,
            learning_rate=1e-3,
            trainable_blocks=None,
            mixup=0.2,
            cutmix=1.0,
            ema_decay=0.9,
            layer_decay=0.8,
            accumulation_steps=2,
        ),
    )
    recipe = Recipe(
        name="resume",
        stages=stages,
        batch_size=8,
        augmentation="light",
        head_options={"dropout": 0.2},
    )
    network = create_network(
        "tiny",
        num_classes=len(CLASSES),
        head_options={"dropout": 0.2},
        weights="none",
        input_spec=spec,
        seed=0,
    )
    trainer = Trainer(network, recipe, device="cpu", num_workers=workers, checkpoints=checkpoints)
    trainer.fit(train_set, val_set, resume=checkpoints if resume else None)
    digest = hashlib.sha256()
    for name, value in network.state_dict().items():
        digest.update(name.encode())
        digest.update(value.numpy().tobytes())
    return digest.hexdigest()


def start(folder: Path, checkpoints: Path, workers: int, resume: bool) -> subprocess.Popen[str]:
    """Starts a training in a process of its own, which prints the hash."""
    command = [sys.executable, __file__, "--train", str(folder), str(checkpoints), str(workers)]
    return subprocess.Popen(
        [*command, "resume"] if resume else command, stdout=subprocess.PIPE, text=True
    )


def run_once(folder: Path, checkpoints: Path, whole_seconds: float, seed: int) -> tuple[str, int]:
    """Returns the hash of a training that is killed at random, and how often it was."""
    moments = random.Random(seed)
    kills = 0
    while True:
        process = start(folder, checkpoints, seed % 3, (checkpoints / "stage.pt").exists())
        wait = moments.uniform(0, whole_seconds) if kills < 3 else None
        try:
            output, _ = process.communicate(timeout=wait)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            kills += 1
            continue
        if process.returncode:
            raise SystemExit(f"run {seed} ended with {process.returncode}")
        return output.strip(), kills


def main() -> None:
    if sys.argv[1:2] == ["--train"]:
        folder, checkpoints, workers, *rest = sys.argv[2:]
        print(train(Path(folder), Path(checkpoints), int(workers), bool(rest)))
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=50, help="trainings, most of them killed")
    parser.add_argument("--seed", type=int, default=0, help="where the seeds of the runs begin")
    parser.add_argument("--count", type=int, default=24, help="images per class")
    arguments = parser.parse_args()
    root = Path(tempfile.mkdtemp(prefix="planetvision-resume-"))
    try:
        draw(root / "images", arguments.count)
        started = time.perf_counter()
        expected, _ = start(root / "images", root / "whole", 0, False).communicate()
        seconds = time.perf_counter() - started
        print(f"never cut off: {seconds:.1f} s, {expected.strip()[:16]}", flush=True)
        same = killed = 0
        for seed in range(arguments.seed, arguments.seed + arguments.runs):
            found, kills = run_once(root / "images", root / str(seed), seconds, seed)
            same += kills > 0 and found == expected.strip()
            killed += kills > 0
            print(f"run {seed:2}  killed {kills} times  {found[:16]}", flush=True)
            shutil.rmtree(root / str(seed), ignore_errors=True)
        print(f"{same} of {killed} that were killed are identical to the bit")
    finally:
        shutil.rmtree(root, ignore_errors=True)
    if same < killed:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
