"""Measures one recipe in this process; `training.py` runs it and compares.

`classic` runs plainly, as published scripts do: no cached features and no cache of decoded images.
The clock runs from reading the table to the trained network, and stops while the benchmark
evaluates the test split; imports come before it. What `PlanetClassifier.fit` does after its
training, audit and calibration, is not included.

After the training, it measures what the bare model needs for an epoch: the steps in a plain loop on
tensors in memory, and a forward pass of as many images as validate it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

# Some of these are first imported while training otherwise, and would count as such.
import accelerate  # noqa: F401
import numpy as np
import timm  # noqa: F401
import torch
from torch.nn.functional import cross_entropy
from torchvision.transforms import v2  # noqa: F401

from planetvision import PlanetClassifier
from planetvision.core.devices import create_autocast, resolve_device, resolve_precision
from planetvision.core.settings import Recipe, Stage
from planetvision.data import read_labelled
from planetvision.data.cache import create_cache
from planetvision.data.images import read_image
from planetvision.data.loading import ImageDataset, create_datasets
from planetvision.data.preparation import prepare_catalog
from planetvision.evaluation.metrics import wilson_interval
from planetvision.imaging.policies import create_transform
from planetvision.inference.outputs import compute_outputs
from planetvision.inference.predictor import load_views
from planetvision.models.backbones.timm_models import build_efficientnet_lite0
from planetvision.models.network import PlanetNet, create_network
from planetvision.results.history import EpochRecord, TrainingHistory
from planetvision.training.callbacks import Callback
from planetvision.training.plan import create_plan
from planetvision.training.stage_run import StageRun
from planetvision.training.state import TrainingState
from planetvision.training.trainer import Trainer

Row: TypeAlias = "dict[str, Any]"

PLAIN = "classic"
PEER = "fastai"
FASTAI_EPOCHS = 5
BATCH = 32
# Shorter passes are repeated until they take this long.
MIN_SECONDS = 1.0


class Clock:
    """Seconds since it was made, without those that it was paused."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._paused = 0.0
        self._started = self._now()

    def read(self) -> float:
        return self._now() - self._started - self._paused

    @contextmanager
    def paused(self) -> Iterator[None]:
        began = self._now()
        yield
        self._paused += self._now() - began

    def _now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()


class Exam:
    """Evaluates the test split, off the clock, and records when how many were right."""

    def __init__(self, clock: Clock, targets: torch.Tensor) -> None:
        self.clock = clock
        self.targets = targets
        self.marks: list[tuple[float, int]] = []

    def hold(self, ask: Callable[[], torch.Tensor]) -> None:
        seconds = self.clock.read()
        with self.clock.paused():
            right = int((ask().cpu() == self.targets).sum())
        self.marks.append((seconds, right))

    def report(self) -> Row:
        """Returns the seconds and the accuracy; the last mark is that of the trained network."""
        n = len(self.targets)
        rights = [right for _, right in self.marks]
        first = rights.index(n) if n in rights else None
        return {
            "seconds_total": self.marks[-1][0],
            "seconds_to_target": None if first is None else self.marks[first][0],
            "epochs_to_target": None if first is None else min(first + 1, len(rights) - 1),
            "accuracy": rights[-1] / n,
            "n": n,
            "accuracy_ci95": wilson_interval(rights[-1], n),
            "best_accuracy": max(rights) / n,
            "epochs": len(rights) - 1,
        }


class AskAfterEachEpoch(Callback):
    """Holds an exam of the whole network after each epoch, whatever the stage trains on."""

    def __init__(self, exam: Exam, network: PlanetNet, images: Sequence[torch.Tensor]) -> None:
        self.exam = exam
        self.network = network
        self.images = images

    def on_epoch_end(self, state: TrainingState, record: EpochRecord) -> None:
        self.exam.hold(lambda: answer(self.network, self.images))


class FirstEpochs(Trainer):
    """Runs only the first epochs of each stage, at the rates that they have in the whole stage."""

    limit: int | None = None

    def has_next_epoch(self, run: StageRun) -> bool:
        return run.num_epochs < (self.limit or run.stage.epochs) and super().has_next_epoch(run)


@torch.no_grad()
def answer(network: PlanetNet, images: Sequence[torch.Tensor] | torch.Tensor) -> torch.Tensor:
    """Returns the class of each image by all its views, as prediction does."""
    network.eval()
    parts = [images[start : start + BATCH] for start in range(0, len(images), BATCH)]
    logits = [compute_outputs(network, list(part)).logits for part in parts]
    return torch.from_numpy(np.concatenate(logits).argmax(axis=1))


def run_recipe(settings: PlanetClassifier, table: Path, *, epochs: int | None) -> Row:
    """Does what `PlanetClassifier.fit` does, with access to the test split."""
    plain = settings.recipe == PLAIN
    seed = settings.random_state
    device = resolve_device(settings.device)
    torch.zeros(1, device=device)
    clock = Clock(device)
    plan = create_plan(settings)
    recipe, spec = plan.recipe, plan.input_spec
    cache = create_cache(settings.cache)
    catalog = prepare_catalog(read_labelled(table), spec, cache=cache).catalog
    classes = catalog.get_split("train").classes
    network = create_network(
        settings.backbone,
        num_classes=len(classes),
        head=recipe.head,
        head_options=recipe.head_options,
        weights=settings.weights,
        input_spec=spec,
        seed=seed,
    )
    train, val = create_datasets(catalog, classes=classes, input_spec=spec, seed=seed, cache=cache)
    with clock.paused():
        test = catalog.get_split("test")
        views = [load_views(source, spec).pixels for source in test.sources]
        images = [pixels.to(device) for pixels in views if pixels is not None]
        exam = Exam(clock, torch.tensor([classes.index(label) for label in test.labels or ()]))
    trainer = FirstEpochs(
        network,
        recipe,
        device=settings.device,
        precision=settings.precision,
        seed=seed,
        callbacks=[AskAfterEachEpoch(exam, network, images)],
    )
    trainer.limit = epochs
    trainer.store_features = not plain
    history = trainer.fit(train, val)
    exam.hold(lambda: answer(network, images))
    row = exam.report()
    frames, phases = measure_input(train, recipe)
    stages = {
        stage.name: measure_stage(
            trainer, network, stage, frames.to(device), train.targets, len(val)
        )
        for stage in recipe.stages
    }
    for name, measured in stages.items():
        measured["epoch_seconds"] = get_epoch_seconds(history, name)
        measured["bare_share"] = measured["bare_epoch_seconds"] / measured["epoch_seconds"]
    last = stages[recipe.stages[-1].name]
    phases |= {"forward": measure_forward(network, frames.to(device)), "step": last["step"]}
    row |= {"extrapolated": False, "stages": stages, "phases": phases}
    if epochs is not None:
        extrapolate(row, history, recipe)
    return row


def get_epoch_seconds(history: TrainingHistory, stage: str) -> float:
    """Returns the median of the stage's epochs after its first, of the first where it is alone."""
    seconds = [record.seconds for record in history if record.stage == stage]
    return statistics.median(seconds[1:] or seconds)


def extrapolate(row: Row, history: TrainingHistory, recipe: Recipe) -> None:
    """Adds the epochs that were not run to the seconds, each at the time of those that were."""
    run = Counter(record.stage for record in history)
    skipped = {stage.name: stage.epochs - run[stage.name] for stage in recipe.stages}
    seconds = {name: count * get_epoch_seconds(history, name) for name, count in skipped.items()}
    row |= {
        "extrapolated": any(skipped.values()),
        "seconds_measured": row["seconds_total"],
        "seconds_total": row["seconds_total"] + sum(seconds.values()),
        "epochs_run": dict(run),
        "epochs_skipped": skipped,
    }
    if row["seconds_to_target"] is not None:
        names = list(skipped)
        reached = history[row["epochs_to_target"] - 1].stage
        for name in names[: names.index(reached)]:
            row["seconds_to_target"] += seconds[name]
            row["epochs_to_target"] += skipped[name]


def describe_pass(seconds: float, num_images: int) -> Row:
    return {"seconds": seconds, "images_per_second": num_images / seconds}


def time_pass(run: Callable[[], object], num_images: int, device: torch.device) -> Row:
    """Returns what a pass over that many images takes, the median of as many as a second holds."""
    seconds: list[float] = []
    while sum(seconds) < MIN_SECONDS:
        clock = Clock(device)
        run()
        seconds.append(clock.read())
    return describe_pass(statistics.median(seconds), num_images)


def measure_input(train: ImageDataset, recipe: Recipe) -> tuple[torch.Tensor, Row]:
    """Returns the training images as the network is shown them, and what that took."""
    spec = train.input_spec
    transform = create_transform(recipe.augmentation, spec)
    seconds = {"decode": 0.0, "augment": 0.0}
    frames = []
    for source in train.sources:
        began = time.perf_counter()
        image = read_image(source, min_size=spec.decode_size, stretch=spec.stretch)
        decoded = time.perf_counter()
        frames.append(transform(torch.from_numpy(image).permute(2, 0, 1)))
        seconds["augment"] += time.perf_counter() - decoded
        seconds["decode"] += decoded - began
    phases = {name: describe_pass(taken, len(frames)) for name, taken in seconds.items()}
    return torch.stack(frames), phases


def measure_forward(network: PlanetNet, frames: torch.Tensor) -> Row:
    views = frames[:, None, None]
    answer(network, views[:BATCH])
    return time_pass(lambda: answer(network, views), len(frames), frames.device)


def measure_stage(
    trainer: Trainer,
    network: PlanetNet,
    stage: Stage,
    frames: torch.Tensor,
    targets: Sequence[int],
    num_val: int,
) -> Row:
    """Returns what the steps of an epoch take in a plain loop, and the whole bare epoch."""
    device = frames.device
    network.set_trainable(stage.trainable_blocks, freeze_batch_norm=stage.freeze_batch_norm)
    stored = stage.views and trainer.store_features
    extract, module = (trainer.split_network(stage) if stored else None) or (None, network)
    autocast = create_autocast(trainer.precision, device)
    size = stage.batch_size or trainer.recipe.batch_size
    labels = torch.split(torch.tensor(targets, device=device), size)
    network.eval()
    with torch.no_grad(), autocast:
        inputs = [extract(part) if extract else (part,) for part in torch.split(frames, size)]
    learning = [weight for weight in network.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(learning, lr=1e-5)
    scaler = torch.amp.GradScaler(device.type, enabled=trainer.precision == "fp16")

    def step(batch: Sequence[torch.Tensor], label: torch.Tensor) -> None:
        optimizer.zero_grad()
        with autocast:
            loss = cross_entropy(module(*batch).float(), label)
        scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        scaler.step(optimizer)
        scaler.update()

    def train() -> None:
        for pair in zip(inputs, labels, strict=True):
            step(*pair)

    shown = -(-num_val // size)

    @torch.no_grad()
    def validate() -> None:
        with autocast:
            for batch in inputs[:shown]:
                module(*batch)

    module.train()
    step(inputs[0], labels[0])
    steps = time_pass(train, len(frames), device)
    module.eval()
    validation = time_pass(validate, sum(map(len, labels[:shown])), device)
    bare = max(stage.views, 1) * steps["seconds"] + num_val / validation["images_per_second"]
    return {"step": steps, "bare_epoch_seconds": bare}


def run_fastai(settings: PlanetClassifier, table: Path, *, epochs: int | None) -> Row:
    """Fine-tunes the same weights on the same split by fastai, with its defaults."""
    try:
        from fastai.vision import all as vision
    except ImportError as cause:
        return {"skipped": f"not installed ({cause})"}
    device = resolve_device(settings.device)
    precision = resolve_precision(settings.precision, device)
    torch.zeros(1, device=device)
    vision.set_seed(settings.random_state)
    vision.default_device(device.type == "cuda")
    clock = Clock(device)
    catalog = read_labelled(table)
    test = catalog.get_split("test")
    frame = catalog.to_frame()
    frame = frame[frame["split"] != "test"].assign(is_val=lambda rows: rows["split"] == "val")
    loaders = vision.ImageDataLoaders.from_df(
        frame,
        path="/",
        fn_col="path",
        label_col="label",
        valid_col="is_val",
        item_tfms=vision.Resize(224),
        batch_tfms=[
            *vision.aug_transforms(),
            vision.Normalize.from_stats([0.5] * 3, [0.5] * 3, cuda=device.type == "cuda"),
        ],
        device=device,
    )
    learner = vision.vision_learner(loaders, "tf_efficientnet_lite0", pretrained=False)
    learner.model[0].model.load_state_dict(build_efficientnet_lite0().state_dict())
    if precision != "no":
        learner.to_bf16() if precision == "bf16" else learner.to_fp16()
    with clock.paused():
        shown = torch.cat([batch for (batch,) in loaders.test_dl(list(test.sources))])
        exam = Exam(clock, torch.tensor([loaders.vocab.o2i[label] for label in test.labels or ()]))

    @torch.no_grad()
    def ask() -> torch.Tensor:
        learner.model.eval()
        return torch.cat([learner.model(part).argmax(dim=1) for part in torch.split(shown, BATCH)])

    class AskEachEpoch(vision.Callback):  # type: ignore[misc] # untyped
        def after_epoch(self) -> None:
            exam.hold(ask)

    with learner.no_bar(), learner.no_logging():
        learner.fine_tune(epochs or FASTAI_EPOCHS, cbs=AskEachEpoch())
    exam.hold(ask)
    return {**exam.report(), "extrapolated": False}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", type=Path, help="a table of images, labels and splits")
    parser.add_argument("recipe", help=f"a registered recipe, or {PEER}")
    parser.add_argument("--epochs", type=int, help="of each stage; of `fine_tune` for fastai")
    parser.add_argument("--backbone", default="efficientnet_lite0")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--json", type=Path, required=True, help="where the result is written")
    arguments = parser.parse_args()
    settings = PlanetClassifier(
        arguments.backbone,
        recipe=arguments.recipe,
        cache="off" if arguments.recipe == PLAIN else "memory",
        device=arguments.device,
        precision=arguments.precision,
        random_state=arguments.seed,
    )
    run = run_fastai if arguments.recipe == PEER else run_recipe
    row = run(settings, arguments.table, epochs=arguments.epochs)
    device = resolve_device(arguments.device)
    row |= {
        "device": str(device),
        "precision": resolve_precision(arguments.precision, device),
        "threads": torch.get_num_threads(),
    }
    arguments.json.write_text(json.dumps(row))


if __name__ == "__main__":
    main()
