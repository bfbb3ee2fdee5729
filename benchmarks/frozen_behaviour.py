"""Checks that this working tree behaves like another commit, side by side on one machine.

    git worktree add /tmp/base REVISION
    python benchmarks/frozen_behaviour.py /tmp/base

Each side runs in a process of its own with the `src` of its tree, on images that the base has
rendered, and reads a model, a manifest and a run that the base has written. Numbers must agree to
1e-6, all else exactly. Options and commands that only this tree has are noted and are no
difference. The exit code is 1 if anything differs.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

TOLERANCE = 1e-6
TREE = Path(__file__).parents[1]
# Names that were changed on purpose, old to new: options, arguments and fields of results.
RENAMED = {
    "--others": "--negatives",
    "--warm-start": "--init-from",
    "--novelty-score": "--ood-score",
    "--tuning": "--performance",
    "num_others": "num_negatives",
    "others_answered": "negatives_answered",
    "others_answered_ci95": "negatives_answered_ci95",
}


def compare(base: Any, here: Any, place: str = "") -> Iterator[tuple[str, float]]:
    """Yields each place at which two values differ, and by how much; infinity for no number.

    A place that only the second has is yielded with a difference of zero.
    """
    if isinstance(base, Mapping) and isinstance(here, Mapping):
        names = {name: name if name in here else RENAMED.get(name, name) for name in base}
        for name, new in names.items():
            if new in here:
                yield from compare(base[name], here[new], f"{place}.{name}".lstrip("."))
            else:
                yield f"{place}.{name} is gone".lstrip("."), np.inf
        yield from (
            (f"{place}.{name} is new".lstrip("."), 0.0) for name in here.keys() - names.values()
        )
    elif isinstance(base, list) and isinstance(here, list) and len(base) == len(here):
        for number, (one, other) in enumerate(zip(base, here, strict=True)):
            yield from compare(one, other, f"{place}[{number}]")
    elif isinstance(base, np.ndarray) and isinstance(here, np.ndarray):
        if base.shape != here.shape:
            yield f"{place} of shape {here.shape}, was {base.shape}", np.inf
        elif not np.array_equal(base, here, equal_nan=True):
            # Places at which one alone is no number must not pass as NaN differences do.
            gap = np.where(np.isnan(base) & np.isnan(here), 0, np.abs(base - here))
            yield f"{place} by at most this", float(np.nan_to_num(gap, nan=np.inf).max())
    elif _is_number(base) and _is_number(here):
        yield from compare(np.array([base], float), np.array([here], float), place)
    elif base != here:
        old = {base, RENAMED.get(base, base)} if isinstance(base, str) else ()
        if here not in old:
            yield f"{place}: {_shorten(here)}, was {_shorten(base)}", np.inf


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _shorten(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def report(base: Mapping[str, Any], here: Mapping[str, Any]) -> bool:
    """Prints a row for each thing that was compared, and returns whether all are equal."""
    are_equal = True
    for name in [*base, *(name for name in here if name not in base)]:
        if name not in here:
            rows = [(f"{name} is gone", np.inf)]
        elif name not in base:
            rows = [(f"{name} is new", 0.0)]
        else:
            rows = list(compare(base[name], here[name]))
        # Of the smallest differences only the size is printed.
        told = [row for row in rows if row[1] == 0 or row[1] > TOLERANCE]
        largest = max((gap for _, gap in rows), default=0.0)
        is_equal = largest <= TOLERANCE
        are_equal = are_equal and is_equal
        verdict = "equal" if is_equal else "DIFFERS"
        print(f"{verdict:8} {largest:8.1e}  {name}")
        for place, _ in told[:20]:
            print(f"{'':19} - {place.strip(' :')}")
    return are_equal


def get_commit(tree: Path) -> str:
    command = ["git", "-C", str(tree), "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def run_side(tree: Path, step: str, cache: Path, *, out: Path) -> None:
    """Runs one step with the package of a tree."""
    script = Path(__file__).with_name("frozen_side.py")
    subprocess.run(
        [sys.executable, script, step, cache, "--tree", tree, "--out", out],
        cwd=cache,
        env={**os.environ, "PYTHONPATH": str(tree / "src"), "HF_HUB_OFFLINE": "1"},
        check=True,
    )


def load(path: Path) -> dict[str, Any]:
    """Returns what a side has seen, in its order but for arrays, which come first."""
    with np.load(path.with_suffix(".npz")) as arrays:
        seen: dict[str, Any] = dict(arrays)
    return {**seen, **json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("base", type=Path, help="a worktree of the commit to compare with")
    parser.add_argument(
        "--cache", type=Path, help="where what the base did is kept for the next time"
    )
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        base = arguments.base.resolve()
        cache = (arguments.cache or Path(temporary)).resolve() / get_commit(base)
        if not (cache / "base.json").is_file():  # its last file
            shutil.rmtree(cache, ignore_errors=True)
            cache.mkdir(parents=True)
            for step in ("draw", "write", "see"):
                run_side(base, step, cache, out=cache / "base")
        run_side(TREE, "see", cache, out=cache / "here")
        are_equal = report(load(cache / "base"), load(cache / "here"))
    sys.exit(0 if are_equal else 1)


if __name__ == "__main__":
    main()
