"""Measures each performance option: one setting changes at a time.

Forward passes, training steps of the whole network, and prediction from files are timed. Every
measurement is a process of its own, since some options affect a whole process. All of them run in
turn, round after round; the ratios are those of one round.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

Change: TypeAlias = "dict[str, Any]"

BASE = "as it is"
PLAIN_FILES = "0 workers"
KINDS = ("forward", "step", "files")
WARM_UP = 2


def list_changes(cores: int, folder: str, *, compile: bool) -> dict[str, Change]:
    """Returns what is measured, by name: the arguments that differ from the defaults."""
    changes: dict[str, Change] = {
        BASE: {},
        "no option": {"performance": "none"},
        "without allocator": {"performance": "threads+channels_last"},
        "without channels_last": {"performance": "allocator+threads"},
        "precision bf16": {"precision": "bf16"},
        "1 thread": {"threads": 1},
        f"{4 * cores} threads": {"threads": 4 * cores},
        "batch of 1": {"batch_size": 1},
        "batch of 8": {"batch_size": 8},
        "batch of 128": {"batch_size": 128},
    }
    if compile:
        changes["compiled"] = {"compile": True}
    for number in sorted({0, 1, 2, cores}):
        changes[f"{number} workers"] = {"num_workers": number, "files": folder}
    return changes


def measure(options: dict[str, Any]) -> dict[str, float]:
    """Returns the images per second of each kind of work, in this process."""
    from planetvision.core.performance import apply_performance

    performance = options.get("performance", "all")
    apply_performance(performance)
    import torch

    from planetvision.core.devices import create_autocast, resolve_precision
    from planetvision.models.network import create_network

    if "threads" in options:
        torch.set_num_threads(options["threads"])
    device = torch.device("cpu")
    network = create_network(
        "efficientnet_lite0", num_classes=7, weights="none", seed=0, performance=performance
    )
    size = options["image_size"]
    count = options["batch_size"]
    images = torch.randint(256, (count, 3, size, size), dtype=torch.uint8)
    targets = torch.arange(count) % 7
    autocast = create_autocast(resolve_precision(options.get("precision", "fp32"), device), device)
    if options.get("compile"):
        network.compile()

    def predict() -> None:
        with torch.inference_mode(), autocast:
            network(images)

    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-6)

    def step() -> None:
        optimizer.zero_grad()
        with autocast:
            loss = torch.nn.functional.cross_entropy(network(images).float(), targets)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    if "files" in options:
        return {"files": measure_files(network, options)}
    network.eval()
    rates = {"forward": count / time_call(predict, options["seconds"])}
    network.train()
    rates["step"] = count / time_call(step, options["seconds"])
    return rates


def time_call(call: Callable[[], None], seconds: float) -> float:
    """Returns the median seconds of a call, over as many as fit into the time."""
    for _ in range(WARM_UP):
        call()
    taken: list[float] = []
    while sum(taken) < seconds:
        started = time.perf_counter()
        call()
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)


def measure_files(network: Any, options: dict[str, Any]) -> float:
    """Returns the images per second from files to probabilities."""
    import torch

    from planetvision.data import read_inputs
    from planetvision.inference import predict_catalog

    catalog = read_inputs(options["files"])
    started = time.perf_counter()
    predict_catalog(
        network,
        catalog,
        classes=range(7),
        device=torch.device("cpu"),
        num_workers=options["num_workers"],
        batch_size=options["batch_size"],
    )
    return len(catalog) / (time.perf_counter() - started)


def measure_apart(options: dict[str, Any]) -> dict[str, float]:
    """Returns what `measure` gives in a new process."""
    command = [sys.executable, __file__, "--measure", json.dumps(options)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    rates: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return rates


def show(rounds: list[dict[str, dict[str, float]]]) -> None:
    """Prints the medians over the rounds, and those of the ratios within each round."""
    print("\n| | " + " | ".join(f"{kind}, images/s | ratio" for kind in KINDS) + " |")
    print("| --- " * (1 + 2 * len(KINDS)) + "|")
    for name in rounds[0]:
        cells = []
        for kind in KINDS:
            if kind not in rounds[0][name]:
                cells += ["", ""]
                continue
            rates = [rates[name][kind] for rates in rounds]
            base = PLAIN_FILES if kind == "files" else BASE
            ratios = [rates[name][kind] / rates[base][kind] for rates in rounds]
            cells += [f"{statistics.median(rates):.1f}", f"{statistics.median(ratios):.2f}"]
        print(f"| {name} | " + " | ".join(cells) + " |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4.0, help="for each kind of work")
    parser.add_argument("--batch-size", type=int, default=32, help="unless that is what changes")
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--count", type=int, default=280, help="files of 640 x 640 pixels")
    parser.add_argument("--compile", action="store_true", help="also measure torch.compile")
    parser.add_argument("--only", nargs="+", help="some of the changes, by name")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(json.loads(arguments.measure))))
        return
    from planetvision.core.performance import get_num_cores
    from planetvision.render import write_dataset

    rounds = []
    with tempfile.TemporaryDirectory() as folder:
        changes = list_changes(get_num_cores(), folder, compile=arguments.compile)
        for name in set(changes) - {BASE, PLAIN_FILES, *(arguments.only or changes)}:
            del changes[name]
        write_dataset(Path(folder), count=arguments.count, image_size=640, seed=0)
        fixed = {
            "batch_size": arguments.batch_size,
            "image_size": arguments.image_size,
            "seconds": arguments.seconds,
        }
        for number in range(1, arguments.rounds + 1):
            rates = {}
            for name, change in changes.items():
                rates[name] = measure_apart({**fixed, **change})
                told = "  ".join(f"{kind} {rate:.1f}" for kind, rate in rates[name].items())
                print(f"round {number}  {name:<22} {told}  images/s", flush=True)
            rounds.append(rates)
    show(rounds)


if __name__ == "__main__":
    main()
