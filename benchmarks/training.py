"""Compares the time of each recipe with the published pipeline and fastai on one machine.

All train on one split of a folder from the same pretrained weights, each in a process of its own
(`training_row.py`). `classic` runs plainly, as published scripts do: no cached features, no cache
of decoded images, no options of `planetvision.core.performance`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

from planetvision.core.settings import InputSpec
from planetvision.data import read_labelled, split_catalog
from planetvision.data.preparation import prepare_catalog
from planetvision.training.recipes import RECIPES

Row: TypeAlias = "dict[str, Any]"

PLAIN = "classic"
PEER = "fastai"
ROWS = ("probe", "balanced", PLAIN, PEER)
SHARED = ("backbone", "seed", "device", "precision")


def write_split(folder: Path, table: Path, seed: int) -> None:
    """Splits the images once, so that all train and are evaluated on the same."""
    catalog = prepare_catalog(read_labelled(folder.resolve()), InputSpec()).catalog
    split_catalog(catalog, seed=seed).to_frame().to_csv(table, index=False)


def measure_apart(name: str, table: Path, options: Sequence[str]) -> Row:
    """Returns what a process of its own tells of the recipe `name`."""
    if name != PEER and name not in RECIPES.names():
        return {"skipped": "not registered"}
    script, result = Path(__file__).with_name("training_row.py"), table.with_suffix(".json")
    command = [sys.executable, str(script), str(table), name, "--json", str(result), *options]
    plain = {"PLANETVISION_PERFORMANCE": "none"} if name == PLAIN else {}
    subprocess.run(command, env={**os.environ, **plain}, check=True)
    row: Row = json.loads(result.read_text())
    return row


def show(rows: dict[str, Row]) -> None:
    print(
        f"\n{'recipe':<9}{'seconds':>10}{'to 100 %':>10}{'epochs':>8}  accuracy on the test split"
    )
    for name, row in rows.items():
        reached = row["seconds_to_target"]
        low, high = row["accuracy_ci95"]
        best = "" if reached is not None else f", at best {row['best_accuracy']:.1%}"
        print(
            f"{name + '*' * row['extrapolated']:<9}{row['seconds_total']:>10.1f}"
            f"{'never' if reached is None else format(reached, '.1f'):>10}{row['epochs']:>8}"
            f"  {row['accuracy']:.1%} of {row['n']} ({low:.1%} to {high:.1%}){best}"
        )
    for name, row in rows.items():
        if row["extrapolated"]:
            print(
                f"* {name}: extrapolated epoch by epoch from {row['seconds_measured']:.1f} s and "
                f"{row['epochs']} epochs; not run: {row['epochs_skipped']}. The accuracy is that "
                "of what was run."
            )
    show_parts({name: row for name, row in rows.items() if "phases" in row})
    show_ratios(rows)


def show_parts(rows: dict[str, Row]) -> None:
    print("\nA pass over the training images, seconds (images per second):")
    for name, row in rows.items():
        parts = (
            f"{phase} {taken['seconds']:.2f} ({taken['images_per_second']:.0f})"
            for phase, taken in row["phases"].items()
        )
        print(f"{name:<9} {'  '.join(parts)}")
    print("\nAn epoch after a stage's first, and the share of it that is the bare model's:")
    for name, row in rows.items():
        for stage, taken in row["stages"].items():
            print(
                f"{name:<9} {stage:<10} {taken['epoch_seconds']:8.3f} s {taken['bare_share']:7.1%}"
            )


def show_ratios(rows: dict[str, Row]) -> None:
    if PLAIN not in rows:
        return
    print()
    plain = rows[PLAIN]
    for name, row in rows.items():
        if name == PLAIN:
            continue
        for key, what in (("seconds_total", "whole"), ("seconds_to_target", "to 100 %")):
            known = row[key] is not None and plain[key] is not None
            ratio = f"{plain[key] / row[key]:.1f}" if known else "unknown, one of them never was"
            print(f"{PLAIN} / {name}, {what}: {ratio}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="a folder with one subfolder per class")
    parser.add_argument("--recipes", nargs="+", default=ROWS, help=f"of {', '.join(ROWS)}")
    parser.add_argument(
        "--classic-epochs", type=int, help="run so many of each stage of classic, and extrapolate"
    )
    parser.add_argument("--fastai-epochs", type=int, help="by default 5, after 1 that is frozen")
    parser.add_argument("--backbone", default="efficientnet_lite0", help="fastai has this one only")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--json", type=Path, help="also write the results to this file")
    arguments = parser.parse_args()
    shared = [f"--{name}={getattr(arguments, name)}" for name in SHARED]
    epochs = {PLAIN: arguments.classic_epochs, PEER: arguments.fastai_epochs}
    rows: dict[str, Row] = {}
    with tempfile.TemporaryDirectory() as scratch:
        table = Path(scratch, "split.csv")
        write_split(arguments.folder, table, arguments.seed)
        for name in arguments.recipes:
            own = [f"--epochs={epochs[name]}"] if epochs.get(name) is not None else []
            rows[name] = measure_apart(name, table, [*shared, *own])
            told = rows[name].get("skipped") or f"{rows[name]['seconds_total']:.1f} s"
            print(f"{name}: {told}", flush=True)
    show({name: row for name, row in rows.items() if "skipped" not in row})
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
