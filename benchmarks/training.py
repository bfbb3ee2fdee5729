"""The recipes against the published way of training, from the folder to the trained model.

`classic` runs plainly, as the published scripts do: 100 epochs, each decoding, augmenting and
running everything anew; no stored features, no decoded cache, the system's memory allocator. All
have the same weights, split and machine. Each runs in a process of its own, one after the other.

A shortened `classic` (--classic-epochs) runs that many epochs of each stage at the rates of the
full schedule, and multiplies the seconds of an epoch; what was extrapolated is said.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

RECIPES = ("probe", "balanced", "classic")
PLAIN = "classic"
TARGET = 1.0


def prepare(arguments: argparse.Namespace) -> tuple[Any, ...]:
    """Reads, checks and splits the folder as `fit` does; returns what training needs."""
    from planetvision.backbones import BACKBONES
    from planetvision.data import read_labelled, split_catalog
    from planetvision.data.cache import create_cache
    from planetvision.data.loading import create_datasets
    from planetvision.data.preparation import prepare_catalog
    from planetvision.network import create_network
    from planetvision.training import RECIPES as REGISTERED

    recipe = REGISTERED.get(arguments.train).build()
    shown = BACKBONES.get(arguments.backbone).input
    size = arguments.image_size or recipe.image_size or shown.image_size
    spec = replace(shown, image_size=size, tta=recipe.tta)
    cache = create_cache("memory")
    prepared = prepare_catalog(read_labelled(arguments.folder), spec, cache=cache)
    split = split_catalog(prepared.catalog, seed=arguments.seed)
    classes = split.part("train").classes
    network = create_network(
        arguments.backbone,
        num_classes=len(classes),
        head=recipe.head,
        head_options=recipe.head_options,
        weights=arguments.weights,
        input_spec=spec,
        seed=arguments.seed,
    )
    kept = None if arguments.train == PLAIN else cache
    train, val = create_datasets(
        split, classes=classes, input_spec=spec, seed=arguments.seed, cache=kept
    )
    return recipe, network, train, val, split.part("test"), classes


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Trains by one recipe, and returns its times and its accuracy."""
    import torch

    from planetvision.inference.predictor import compute_logits, load_views
    from planetvision.runtime import tune_allocator
    from planetvision.training.callbacks import Callback
    from planetvision.training.trainer import Trainer

    tune_allocator()
    started = time.perf_counter()
    recipe, network, train, val, test, classes = prepare(arguments)
    # The published scripts look for neither damage nor copies: that is no time of theirs.
    prepared = 0.0 if arguments.train == PLAIN else time.perf_counter() - started
    views = [load_views(source, network.input_spec).pixels for source in test.sources]
    answers = torch.tensor([classes.index(label) for label in test.labels or ()])

    class Watch(Callback):
        """Asks about the test part after each epoch, with the clock stopped."""

        def __init__(self) -> None:
            self.stopped = 0.0
            self.to_target: float | None = None
            self.accuracies: list[float] = []
            self.epochs: list[tuple[str, float]] = []
            self.begun = time.perf_counter()

        def spent(self) -> float:
            return time.perf_counter() - self.begun - self.stopped

        def on_epoch_end(self, trainer: Trainer, record: Any) -> None:
            now = time.perf_counter()
            spent = self.spent()
            trained = [module.training for module in trainer.network.modules()]
            trainer.network.eval()
            with torch.inference_mode():
                parts = (views[first : first + 32] for first in range(0, len(views), 32))
                moved = (
                    [item.to(trainer.device) for item in part if item is not None] for part in parts
                )
                logits = torch.cat([compute_logits(network, part) for part in moved])
            right = float((logits.argmax(dim=1).cpu() == answers).double().mean())
            for module, mode in zip(trainer.network.modules(), trained, strict=True):
                module.training = mode
            self.accuracies.append(right)
            self.epochs.append((record.stage, record.seconds))
            if right >= TARGET and self.to_target is None:
                self.to_target = spent
            self.stopped += time.perf_counter() - now

    class Shortened(Trainer):
        """Runs some epochs of each stage at the rates of all of them."""

        def _goes_on(self, run: Any) -> bool:
            return run.num_epochs < arguments.classic_epochs and super()._goes_on(run)

    shortened = arguments.train == PLAIN and arguments.classic_epochs
    watch = Watch()
    trainer = (Shortened if shortened else Trainer)(
        network,
        recipe,
        device=arguments.device,
        precision=arguments.precision,
        seed=arguments.seed,
        store_features=arguments.train != PLAIN,
        callbacks=[watch],
    )
    trainer.fit(train, val)
    training = watch.spent()
    watch.on_epoch_end(trainer, trainer.history[-1])
    epochs: dict[str, list[float]] = {}
    for stage, seconds in watch.epochs[:-1]:
        epochs.setdefault(stage, []).append(seconds)
    result: dict[str, Any] = {
        "seconds_prepare": prepared,
        "seconds_total": prepared + training,
        "seconds_to_target": None if watch.to_target is None else prepared + watch.to_target,
        "accuracy": watch.accuracies[-1],
        "num_test": len(views),
        "best_accuracy": max(watch.accuracies),
        "epochs": len(watch.epochs) - 1,
        "seconds_an_epoch": {
            stage: statistics.median(seconds[1:] or seconds) for stage, seconds in epochs.items()
        },
        "extrapolated": bool(shortened),
    }
    if shortened:
        whole = sum(
            stage.epochs * result["seconds_an_epoch"][stage.name] for stage in recipe.stages
        )
        result["seconds_total"] = prepared + whole
    phases = time_phases(arguments, recipe, network, train)
    last = recipe.stages[-1]
    rows = len(train) * max(1, last.views)
    bare = rows / phases["step"] + len(val) / phases["forward"]
    share = bare / result["seconds_an_epoch"].get(last.name, float("nan"))
    return {**result, "phases": phases, "bare_share": share}


def time_phases(
    arguments: argparse.Namespace, recipe: Any, network: Any, train: Any
) -> dict[str, float]:
    """Returns images a second of decoding, augmenting, and the bare model of the last stage."""
    import torch

    from planetvision.data.images import read_image
    from planetvision.runtime import resolve_device
    from planetvision.training.replay import Replay, find_frozen_part
    from planetvision.training.stages import apply_stage, create_optimizer

    stage = recipe.stages[-1]
    count = min(4 * recipe.batch_size, len(train))
    device = resolve_device(arguments.device)
    network.to(device)

    def synchronize() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    def rate(images: int, work: Any) -> float:
        started = time.perf_counter()
        work()
        synchronize()
        return images / (time.perf_counter() - started)

    spec = network.input_spec
    rates = {
        "decode": rate(
            count,
            lambda: [
                read_image(source, min_size=spec.decode_size, stretch=spec.stretch)
                for source in train.sources[:count]
            ],
        )
    }
    augmented = train.with_augmentation(recipe.augmentation)
    [augmented[index, 1] for index in range(count)]
    rates["augment"] = rate(count, lambda: [augmented[index, 2] for index in range(count)])
    batch = min(stage.batch_size or recipe.batch_size, len(train))
    images = torch.stack([augmented[index, 1][0] for index in range(batch)]).to(device)
    targets = torch.tensor(train.targets[:batch]).to(device)
    apply_stage(network, stage)
    network.train()
    module: torch.nn.Module = network
    inputs: tuple[torch.Tensor, ...] = (images,)
    if stage.views and arguments.train != PLAIN:
        frozen = find_frozen_part(network)
        with torch.no_grad():
            if frozen is not None:
                module, inputs = Replay(frozen), frozen.record(images)
            elif stage.trainable_blocks == 0:
                module, inputs = network.head, (network.forward_features(images),)
        module.train()
    optimizer = create_optimizer(network, stage)

    def forward() -> Any:
        with torch.no_grad():
            return module(*inputs)

    def step() -> None:
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(module(*inputs), targets)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    for name, work in (("forward", forward), ("step", step)):
        work()
        rates[name] = statistics.median(rate(batch, work) for _ in range(7))
    return rates


def show(results: dict[str, dict[str, Any]]) -> None:
    """Prints the table, and how many times as long `classic` takes."""
    print(f"\n{'recipe':<10} {'whole':>9} {'first 100 %':>12} {'accuracy':>16}  images a second")
    for name, result in results.items():
        reached = result["seconds_to_target"]
        right = round(result["accuracy"] * result["num_test"])
        rates = ", ".join(f"{key} {value:.0f}" for key, value in result["phases"].items())
        print(
            f"{name:<10} {result['seconds_total']:8.1f}s "
            f"{'never' if reached is None else f'{reached:.1f}s':>12} "
            f"{right:>4} of {result['num_test']} ({result['accuracy']:.1%})  {rates}"
        )
    plain = results.get(PLAIN)
    for name, result in results.items():
        seconds = result["seconds_an_epoch"]
        shown = ", ".join(f"{stage} {value:.2f} s" for stage, value in seconds.items())
        share = result["bare_share"]
        print(f"{name}: an epoch of {shown}; {share:.0%} of the last is the bare model")
        if plain is None or name == PLAIN:
            continue
        ratio = plain["seconds_total"] / result["seconds_total"]
        print(f"{PLAIN} / {name}: the whole {ratio:.1f}", end="")
        if plain["seconds_to_target"] and result["seconds_to_target"]:
            print(f", first 100 % {plain['seconds_to_target'] / result['seconds_to_target']:.1f}")
        else:
            print(", first 100 % was not reached by both")
    if plain is not None and plain["extrapolated"]:
        print(f"{PLAIN} was shortened: its whole is {plain['epochs']} epochs, extrapolated.")


def main(given: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="a folder a class")
    parser.add_argument("--recipes", nargs="+", default=list(RECIPES))
    parser.add_argument("--classic-epochs", type=int, help="epochs of each stage that are run")
    parser.add_argument("--backbone", default="efficientnet_lite0")
    parser.add_argument("--weights", default="pretrained")
    parser.add_argument("--image-size", type=int, help="by default the recipe's")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--json", type=Path, help="where to write the results")
    parser.add_argument("--train", help=argparse.SUPPRESS)
    arguments = parser.parse_args(given)
    if arguments.train:
        print(json.dumps(run(arguments)))
        return
    results: dict[str, dict[str, Any]] = {}
    for name in arguments.recipes:
        environment = dict(os.environ)
        if name == PLAIN:
            environment["PLANETVISION_ALLOCATOR"] = "system"
        command = [sys.executable, __file__, *(given or sys.argv[1:]), "--train", name]
        done = subprocess.run(
            command, env=environment, check=True, stdout=subprocess.PIPE, text=True
        )
        results[name] = json.loads(done.stdout.splitlines()[-1])
        print(f"{name}: {results[name]['seconds_total']:.1f} s", flush=True)
    show(results)
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
