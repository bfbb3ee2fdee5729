"""Forward passes with the system's memory allocator settings and with planetvision's.

Both run in processes of their own, in turn (system, tuned, system, tuned, ...), since the settings
hold for a whole process.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time

SETTINGS = ("system", "tuned")
WARMUP_BATCHES = 2


def measure(batches: int, batch_size: int, threads: int | None) -> float:
    """Returns the images a second of forward passes of EfficientNet-Lite0, after a warm-up."""
    from planetvision.runtime import tune_allocator

    tune_allocator()
    import torch

    from planetvision.network import create_network

    if threads is not None:
        torch.set_num_threads(threads)
    network = create_network("efficientnet_lite0", num_classes=7, weights="none", seed=0).eval()
    size = network.input_spec.image_size
    images = torch.zeros(batch_size, 3, size, size, dtype=torch.uint8)
    seconds = []
    with torch.inference_mode():
        for _ in range(WARMUP_BATCHES + batches):
            started = time.perf_counter()
            network(images)
            seconds.append(time.perf_counter() - started)
    return batch_size / statistics.median(seconds[WARMUP_BATCHES:])


def measure_apart(setting: str, options: list[str]) -> float:
    """Returns what `measure` gives in a new process with this setting."""
    command = [sys.executable, __file__, "--measure", *options]
    environment = {**os.environ, "PLANETVISION_ALLOCATOR": setting}
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    return float(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="processes of each setting")
    parser.add_argument("--batches", type=int, default=10, help="forward passes a process")
    parser.add_argument("--batch-size", type=int, default=32, help="images a forward pass")
    parser.add_argument("--threads", type=int, help="PyTorch's threads; by default its own choice")
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(measure(arguments.batches, arguments.batch_size, arguments.threads))
        return
    options = ["--batches", str(arguments.batches), "--batch-size", str(arguments.batch_size)]
    if arguments.threads is not None:
        options += ["--threads", str(arguments.threads)]
    rates: dict[str, list[float]] = {setting: [] for setting in SETTINGS}
    for number in range(arguments.rounds):
        for setting in SETTINGS:
            rate = measure_apart(setting, options)
            rates[setting].append(rate)
            print(f"round {number + 1}  {setting:<6}  {rate:7.1f} images/s", flush=True)
    medians = {setting: statistics.median(values) for setting, values in rates.items()}
    for setting, median in medians.items():
        print(f"median   {setting:<6}  {median:7.1f} images/s")
    print(f"tuned / system: {medians['tuned'] / medians['system']:.2f}")


if __name__ == "__main__":
    main()
