"""Checks CUDA against the CPU, and measures the library's share of the bare model's speed.

Two stages, a frozen backbone and then all of it, are trained in each precision on rendered images.
Every check prints a line with `ok` or `FAILED`, or `not on this device` if the device cannot run
it. The exit code is 1 if one failed:

- training: each precision is as accurate on other images as fp32 is, within its 95 % interval, and
  that lies above chance;
- scaler: fp16 scales its gradients and other precisions do not, and a resumed training has the
  scaler of the interrupted one;
- resume: a training that is interrupted twice ends with the same bits. If two uninterrupted ones
  differ, it ends with the same probabilities within a tolerance;
- predict, grad-cam: the released model returns the same as on the CPU, within a tolerance;
- throughput: images per second of the library as a share of the bare model's. It cannot fail,
  because decoding files on the CPU decides it.
"""

from __future__ import annotations

import argparse
import collections
import itertools
import json
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from planetvision import PlanetClassifier, Recipe, Stage
from planetvision.render import write_dataset
from planetvision.training import Callback
from planetvision.training.state import TrainingState

PRECISIONS = ("fp32", "fp16", "bf16")
# Of probabilities and of maps that go from 0 to 1. By default cuDNN rounds the factors of
# convolutions in fp32 to 10 bits (TF32), as fp16 has them; bfloat16 has 7.
EXACT = 1e-3
TOLERANCES = {"fp32": 2e-2, "fp16": 2e-2, "bf16": 1e-1}
BATCH_SIZE = 32
# A small scale that grows often: a training of few steps moves it.
SCALER = {
    "scale": 1024.0,
    "growth_factor": 2.0,
    "backoff_factor": 0.5,
    "growth_interval": 3,
    "_growth_tracker": 0,
}


@dataclass
class Report:
    """What was checked and measured; each line is printed when it is known."""

    checks: dict[str, str] = field(default_factory=dict)
    figures: dict[str, float] = field(default_factory=dict)

    def check(self, name: str, passed: bool, said: str) -> None:
        self.checks[name] = "ok" if passed else "FAILED"
        print(f"{name:<20} {self.checks[name]:<7} {said}", flush=True)

    def leave_out(self, name: str, why: str) -> None:
        self.checks[name] = "not on this device"
        print(f"{name:<20} not on this device: {why}", flush=True)

    def measure(self, name: str, value: float, said: str) -> None:
        self.figures[name] = value
        print(f"{name:<20} {value:7.1%} {said}", flush=True)


class CutOff(Exception):
    """What ends a training before its time."""


class Watch(Callback):
    """Keeps the scaler's state after each stage and epoch, and cuts the training off.

    Args:
        cut: After the first step of which stage and epoch of it; None lets it end.
        sets_scaler: Whether the scaler begins with `SCALER`.
    """

    def __init__(self, cut: tuple[str, int] | None = None, *, sets_scaler: bool = False) -> None:
        self.cut = cut
        self.sets_scaler = sets_scaler
        self.stage = ""
        self.first: dict[str, Any] | None = None
        self.last: dict[str, Any] | None = None

    def on_fit_begin(self, state: TrainingState) -> None:
        scaler = state.accelerator.scaler
        if self.sets_scaler and scaler is not None:
            scaler.load_state_dict(SCALER)

    def on_stage_begin(self, state: TrainingState, stage: Stage) -> None:
        self.stage = stage.name
        if self.first is None:
            self.first = get_scaler_state(state)

    def on_step_end(self, state: TrainingState, loss: float) -> None:
        done = sum(record.stage == self.stage for record in state.history)
        if self.cut == (self.stage, done + 1):
            raise CutOff

    def on_epoch_end(self, state: TrainingState, record: Any) -> None:
        self.last = get_scaler_state(state)


def get_scaler_state(state: TrainingState) -> dict[str, Any] | None:
    scaler = state.accelerator.scaler
    return None if scaler is None else dict(scaler.state_dict())


def create_recipe(epochs: tuple[int, int]) -> Recipe:
    """Returns a frozen backbone and then all of it, for so many epochs."""
    return Recipe(
        name="two stages",
        augmentation="light",
        batch_size=BATCH_SIZE,
        stages=(
            Stage(name="head", epochs=epochs[0], learning_rate=1e-2, views=1),
            Stage(
                name="all",
                epochs=epochs[1],
                learning_rate=1e-3,
                trainable_blocks=None,
                warmup_epochs=1,
                monitor="none",
            ),
        ),
    )


def create_classifier(
    arguments: argparse.Namespace, precision: Any, epochs: tuple[int, int]
) -> PlanetClassifier:
    return PlanetClassifier(
        arguments.backbone,
        recipe=create_recipe(epochs),
        image_size=arguments.image_size,
        device=arguments.device,
        precision=precision,
        test_fraction=0.0,
        group_duplicates=False,
    )


def list_precisions(arguments: argparse.Namespace, report: Report, check: str) -> Iterator[Any]:
    """Yields the precisions that the device has, and names those that it has not."""
    for precision in PRECISIONS:
        if precision == "fp16" and arguments.device == "cpu":
            report.leave_out(f"{check} {precision}", "fp16 and its scaler need CUDA")
        else:
            yield precision


def check_training(arguments: argparse.Namespace, report: Report, folder: Path) -> None:
    """Trains in each precision, and measures the training in fp32 against the bare steps."""
    low = high = 0.0
    for precision in list_precisions(arguments, report, "training"):
        classifier = create_classifier(arguments, precision, arguments.epochs)
        watch = Watch()
        classifier.fit(folder / "train", callbacks=[watch])
        scores = classifier.evaluate(folder / "test", explain=False, audit=False).metrics
        if precision == "fp32":
            low, high = scores["accuracy_ci95"]
        accuracy = scores["accuracy"]
        has_learned = low > 1 / len(classifier.classes_)
        report.check(
            f"training {precision}",
            has_learned and low <= accuracy <= high,
            f"accuracy {accuracy:.1%} of {scores['n']}; fp32's interval {low:.1%} to {high:.1%}",
        )
        scales = watch.last is not None
        said = f"its scale is {watch.last['scale']:g}" if watch.last else "there is none"
        report.check(f"scaler {precision}", scales == (precision == "fp16"), said)
        if precision == "fp32":
            measure_training(arguments, report, classifier)


def check_resume(arguments: argparse.Namespace, report: Report, folder: Path) -> None:
    """Cuts trainings off in the first epoch of the second stage, and then in the second."""
    for precision in list_precisions(arguments, report, "resume"):
        whole, again = (
            create_classifier(arguments, precision, (2, 2)).fit(
                folder / "few", callbacks=[Watch(sets_scaler=True)]
            )
            for _ in range(2)
        )
        classifier = create_classifier(arguments, precision, (2, 2))
        watches = [Watch(("all", 1), sets_scaler=True), Watch(("all", 2)), Watch()]
        for number, watch in enumerate(watches):
            try:
                classifier.fit(
                    folder / "few",
                    callbacks=[watch],
                    checkpoints=folder / f"resume-{precision}",
                    resume=number > 0,
                )
            except CutOff:
                continue
        names = ("two alike", "cut off")
        pairs = ((whole, again), (whole, classifier))
        alike, cut = (compare_weights(*pair) for pair in pairs)
        chances = [fitted.predict(folder / "few").probabilities for fitted in (whole, classifier)]
        difference = float(np.abs(chances[0] - chances[1]).max())
        told = ", ".join(
            f"{name}: {'same bits' if same else 'other bits'}"
            for name, same in zip(names, (alike, cut), strict=True)
        )
        has_tolerance = not alike and arguments.device != "cpu"
        report.check(
            f"resume {precision}",
            cut or (has_tolerance and difference <= TOLERANCES["bf16"]),
            f"{told}; probabilities differ by {difference:.1e}",
        )
        if precision == "fp16":
            kept = all(
                later.first == earlier.last for earlier, later in itertools.pairwise(watches)
            )
            scales = [watch.last["scale"] for watch in watches if watch.last]
            moves = len(set(scales)) > 1
            report.check("scaler, resumed", kept and moves, f"scales at the cuts {scales}")


def compare_weights(first: PlanetClassifier, second: PlanetClassifier) -> bool:
    """Returns whether two networks are the same to the bit."""
    states = [classifier.network_.state_dict() for classifier in (first, second)]
    return all(torch.equal(value, states[1][name]) for name, value in states[0].items())


@contextmanager
def in_whole_fp32() -> Iterator[None]:
    """Lets convolutions and products on CUDA keep all bits of fp32."""
    kept = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = kept


def check_predictions(arguments: argparse.Namespace, report: Report, folder: Path) -> None:
    """Compares the released model's probabilities with those of the CPU."""
    expected = PlanetClassifier.from_pretrained(device="cpu").predict(
        folder / "few", tta=arguments.tta
    )

    def compare(name: str, precision: Any, tolerance: float) -> None:
        there = PlanetClassifier.from_pretrained(device=arguments.device, precision=precision)
        found = there.predict(folder / "few", tta=arguments.tta)
        difference = float(np.abs(found.probabilities - expected.probabilities).max())
        same = float(np.mean(np.asarray(found) == np.asarray(expected)))
        report.check(
            f"predict {name}",
            difference <= tolerance,
            f"probabilities differ by {difference:.1e}, at most {tolerance:g}; "
            f"{same:.1%} of {len(found)} answers are the same",
        )

    with in_whole_fp32():
        compare("fp32 whole", "fp32", EXACT)
    for precision in list_precisions(arguments, report, "predict"):
        compare(precision, precision, TOLERANCES[precision])


def check_maps(arguments: argparse.Namespace, report: Report, folder: Path) -> None:
    """Compares the released model's maps with those of the CPU."""
    paths = sorted((folder / "few").glob("*/*.png"))[::4]

    def explain(device: str) -> Any:
        return PlanetClassifier.from_pretrained(device=device).explain(paths, checks=False)

    expected = explain("cpu")
    with in_whole_fp32():
        found = explain(arguments.device)
    pairs = [
        (one.heatmap, other.heatmap)
        for one, other in zip(expected, found, strict=True)
        if one.target == other.target
    ]
    difference = max(float(np.abs(one - other).max()) for one, other in pairs)
    report.check(
        "grad-cam",
        difference <= 10 * EXACT and len(pairs) == len(paths),
        f"maps differ by {difference:.1e}, at most {10 * EXACT:g}; "
        f"{len(pairs)} of {len(paths)} explain the same class",
    )


def measure_training(
    arguments: argparse.Namespace, report: Report, classifier: PlanetClassifier
) -> None:
    """Compares an epoch of the whole network with as many bare steps and forward passes."""
    epochs = [record.seconds for record in classifier.history_ if record.stage == "all"]
    network = classifier.network_
    images = create_images(network)
    targets = torch.arange(len(images), device=images.device) % len(classifier.classes_)
    forward = time_call(lambda: run_forward(network, images), arguments.seconds)
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.0)

    def step() -> None:
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(network(images), targets).backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    seconds = time_call(step, arguments.seconds)
    counts = classifier.metrics_
    bare = (counts["num_train"] * seconds + counts["num_val"] * forward) / len(images)
    report.measure(
        "training, share",
        bare / min(epochs),
        f"of the bare model's speed in an epoch; {len(images) / seconds:.1f} images/s bare",
    )


def measure_prediction(arguments: argparse.Namespace, report: Report, folder: Path) -> None:
    """Compares prediction from files with bare forward passes, one view per image."""
    classifier = PlanetClassifier.from_pretrained(device=arguments.device)
    predictions = classifier.predict(folder / "test", tta="none")  # the first one warms up
    started = time.perf_counter()
    classifier.predict(folder / "test", tta="none")
    rate = len(predictions) / (time.perf_counter() - started)
    network = classifier.network_
    images = create_images(network)
    bare = len(images) / time_call(lambda: run_forward(network, images), arguments.seconds)
    report.measure(
        "predict, share",
        rate / bare,
        f"of the bare model's speed; {rate:.1f} images/s from files, {bare:.1f} bare",
    )


def create_images(network: Any) -> torch.Tensor:
    size = network.input_spec.image_size
    return torch.randint(256, (BATCH_SIZE, 3, size, size), dtype=torch.uint8).to(
        network.mean.device
    )


def run_forward(network: Any, images: torch.Tensor) -> None:
    with torch.inference_mode():
        network(images)


def time_call(call: Callable[[], None], seconds: float) -> float:
    """Returns the mean seconds of a call; the first two warm up."""

    def wait() -> float:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        return time.perf_counter()

    call()
    call()
    count, started = 0, wait()
    while time.perf_counter() - started < seconds:
        call()
        count += 1
        wait()
    return (wait() - started) / count


CHECKS: dict[str, Callable[[argparse.Namespace, Report, Path], None]] = {
    "predict": check_predictions,
    "grad-cam": check_maps,
    "throughput": measure_prediction,
    "training": check_training,
    "resume": check_resume,
}


def parse(given: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument(
        "--small", action="store_true", help="few small images; always without CUDA"
    )
    parser.add_argument("--backbone", default="released")
    parser.add_argument("--count", type=int, help="images to train on, and to test on")
    parser.add_argument("--only", nargs="+", choices=CHECKS, default=list(CHECKS))
    parser.add_argument("--seconds", type=float, help="for each rate of the bare model")
    parser.add_argument("--out", type=Path, help="also write checks and figures to this file")
    arguments = parser.parse_args(given)
    if arguments.device == "auto":
        arguments.device = "cuda" if torch.cuda.is_available() else "cpu"
    small = arguments.small = arguments.small or arguments.device == "cpu"
    arguments.count = arguments.count or (42 if small else 700)
    arguments.tta = "none" if small else None
    arguments.few = 14 if small else 140
    arguments.seconds = arguments.seconds or (0.2 if small else 3.0)
    arguments.image_size = 64 if small else None
    arguments.epochs = (20, 1) if small else (20, 4)
    return arguments


def main() -> None:
    arguments = parse()
    cuda = arguments.device == "cuda"
    name = torch.cuda.get_device_name() if cuda else platform.processor() or platform.machine()
    print(f"{arguments.device}: {name}, PyTorch {torch.__version__}", flush=True)
    if not cuda:
        print("No CUDA: predict and grad-cam compare the CPU with itself.", flush=True)
    torch.backends.cudnn.deterministic = True
    report = Report()
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="planetvision-cuda-") as scratch:
        folder = Path(scratch)
        size = arguments.image_size or 224
        sizes = {"train": arguments.count, "test": arguments.count, "few": arguments.few}
        for seed, (part, count) in enumerate(sizes.items()):
            write_dataset(folder / part, count=count, image_size=size, seed=seed)
        for check in arguments.only:
            CHECKS[check](arguments, report, folder)
    report.figures["seconds"] = time.perf_counter() - started
    results = {"device": arguments.device, "name": name, "torch": torch.__version__}
    if arguments.out:
        found = {**results, "checks": report.checks, "figures": report.figures}
        arguments.out.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    counts = collections.Counter(report.checks.values())
    print(", ".join(f"{count} {outcome}" for outcome, count in counts.items()), flush=True)
    sys.exit(1 if counts["FAILED"] else 0)


if __name__ == "__main__":
    main()
