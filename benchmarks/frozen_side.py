"""Records the behaviour of one version of planetvision; `frozen_behaviour.py` runs it.

It uses public names only, and finds those that have moved or been renamed.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import json
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args, get_origin

import numpy as np
import typer
from PIL import Image

import planetvision
from planetvision import PlanetClassifier

Seen: TypeAlias = "dict[str, Any]"

NUM_RENDERS = 24
METHODS = ("gradcam", "integrated_gradients")
OFFLINE_BACKBONE = "efficientnet_lite0"


def find(name: str, *modules: str) -> Any:
    """Returns a public name from the first of the modules, or the package itself, that has it."""
    for module in ("planetvision", *modules):
        try:
            return getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError):
            continue
    raise AttributeError(f"No module of {modules} has '{name}' in {planetvision.__file__}.")


def choose(names: Iterable[str], known: Iterable[str]) -> str:
    """Returns the first of the names that is known."""
    return next(name for name in names if name in set(known))


def draw(cache: Path) -> None:
    """Draws the images that both sides see."""
    write_dataset = find("write_dataset", "planetvision.render")
    write_dataset(cache / "renders", count=NUM_RENDERS, image_size=224, seed=7)
    write_dataset(cache / "planets", count=84, image_size=96, seed=1)
    pictures = find("render_non_planets", "planetvision.render")(count=24, image_size=96, seed=1)
    (cache / "negatives").mkdir()
    for number, pixels in enumerate(pictures):
        Image.fromarray(pixels).save(cache / "negatives" / f"{number:02}.png")


def write(cache: Path) -> None:
    """Writes a model, a manifest and a run, which later versions must read."""
    folder = cache / "written"
    classifier = fit(cache, "tiny")
    classifier.evaluate()
    classifier.save(folder / "model")
    find("save_manifest", "planetvision.data")(classifier.split_, folder / "model.csv")
    negatives = choose(("--others", "--negatives"), describe_commands()["train"])
    call("train", cache / "planets", "--out", folder / "run", "--backbone", "tiny",
         "--recipe", "probe", "--image-size", 64, "--device", "cpu", "--quiet",
         negatives, cache / "negatives")  # fmt: skip


def see(cache: Path) -> Seen:
    """Returns all that is compared, by what it is."""
    files = list_files(cache / "renders")
    released = PlanetClassifier.from_pretrained(device="cpu")
    trained = fit(cache, OFFLINE_BACKBONE)
    folder = cache / "written"
    return {
        **{f"released model: {name}": value for name, value in answer(released, files).items()},
        **{
            f"explanation: {method}": np.stack(
                [item.heatmap for item in released.explain(files[:4], method=method, checks=False)]
            )
            for method in METHODS
        },
        **{f"probe on {OFFLINE_BACKBONE}: {name}": value for name, value in {
            **answer(trained, files),
            "metrics": trained.metrics_,
            "split": describe_catalog(trained.split_, cache),
            "test part": dict(trained.evaluate(explain=False, audit=False).metrics),
        }.items()},
        **read("model", folder / "model", folder / "model.csv", files, cache),
        **read("run", folder / "run" / "model", folder / "run" / "split.csv", files, cache),
        **{f"command: {name}": options for name, options in describe_commands().items()},
    }  # fmt: skip


def read(name: str, model: Path, manifest: Path, files: Sequence[str], cache: Path) -> Seen:
    """Returns what a model and a manifest that are on disk give."""
    classifier = PlanetClassifier.load(model, device="cpu")
    verification = find("verify", "planetvision.workflows")(model, manifest, device="cpu")
    catalog = find("read_labelled", "planetvision.data")(manifest)
    seen = {
        **answer(classifier, files),
        "metrics": classifier.metrics_,
        "test part": dict(classifier.evaluate(manifest, explain=False, audit=False).metrics),
        "manifest": describe_catalog(catalog, cache),
        "verify": [verification.is_intact, list(verification.problems)],
        "exit code of verify": call("verify", model, manifest, "--device", "cpu", "--quiet"),
    }
    return {f"saved {name}: {part}": value for part, value in seen.items()}


def fit(cache: Path, backbone: str) -> PlanetClassifier:
    """Trains a head on renders, with negatives."""
    name = choose(("others", "negatives"), inspect.signature(PlanetClassifier.fit).parameters)
    negatives: dict[str, Any] = {name: str(cache / "negatives")}
    classifier = PlanetClassifier(
        backbone, recipe="probe", image_size=64, device="cpu", random_state=3
    )
    return classifier.fit(cache / "planets", **negatives)


def answer(classifier: PlanetClassifier, files: Sequence[str]) -> Seen:
    """Returns what a classifier says of images."""
    predictions = classifier.predict(files)
    score = choose(("ood_score", "ood_scores", "novelty"), dir(predictions))
    return {
        "labels": np.asarray(predictions).tolist(),
        "probabilities": predictions.probabilities,
        "OOD scores": getattr(predictions, score),
        "threshold": predictions.threshold,
    }


def describe_catalog(catalog: Any, cache: Path) -> list[list[str]]:
    """Returns path, label and part of each image."""
    frame = catalog.to_frame()[["path", "label", "split"]]
    frame["path"] = [Path(path).resolve().relative_to(cache).as_posix() for path in frame["path"]]
    rows: list[list[str]] = frame.astype(str).to_numpy().tolist()
    return rows


def call(*arguments: object) -> int:
    """Runs the command in this process and returns its exit code."""
    main = find("main", "planetvision.__main__", "planetvision.cli.main")
    try:
        main([str(argument) for argument in arguments])
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def describe_commands() -> dict[str, Mapping[str, Any]]:
    """Returns the options of each command: type, default and whether they may be repeated."""
    app = find("app", "planetvision.cli", "planetvision.cli.app", "planetvision.cli.main")
    return dict(_describe(typer.main.get_command(app), ""))


def _describe(command: Any, name: str) -> Iterable[tuple[str, Mapping[str, Any]]]:
    for key, part in getattr(command, "commands", {}).items():
        yield from _describe(part, f"{name} {key}".strip())
    yield (
        name or "planetvision",
        {
            next((it for it in item.opts if it.startswith("--")), item.opts[0]): {
                "names": [*item.opts, *item.secondary_opts],
                "type": _describe_type(item),
                "default": repr(_get_value(item.default)),
                "required": item.required,
                "many": [item.nargs, getattr(item, "multiple", False)],
            }
            for item in command.params
        },
    )


def _get_value(default: object) -> object:
    return default.value if isinstance(default, Enum) else default


def _describe_type(item: Any) -> object:
    """Returns the name of an option's type, or its choices; Typer keeps them by its version."""
    if hasattr(item, "type"):  # Click's
        return list(getattr(item.type, "choices", ())) or item.type.name
    kind = item.type_descriptor.annotation
    if isinstance(kind, type) and issubclass(kind, Enum):
        return [member.value for member in kind]
    if get_origin(kind) is Literal:
        return list(get_args(kind))
    return getattr(kind, "__name__", str(kind))


def list_files(folder: Path) -> list[str]:
    return sorted(str(path) for path in folder.rglob("*.png"))


def save(seen: Seen, path: Path) -> None:
    """Writes what was seen: arrays as they are, all else as JSON."""
    arrays = {name: value for name, value in seen.items() if isinstance(value, np.ndarray)}
    rest = {name: value for name, value in seen.items() if name not in arrays}
    np.savez(path.with_suffix(".npz"), **arrays)  # type: ignore[arg-type]
    text = json.dumps(rest, default=lambda value: value.tolist())
    path.with_suffix(".json").write_text(text, encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("step", choices=["draw", "write", "see"])
    parser.add_argument("cache", type=Path)
    parser.add_argument("--tree", type=Path, required=True, help="whose version this must be")
    parser.add_argument("--out", type=Path, required=True, help="where `see` writes, no suffix")
    arguments = parser.parse_args()
    source = (arguments.tree / "src").resolve()
    assert Path(planetvision.__file__).resolve().is_relative_to(source), planetvision.__file__
    cache = arguments.cache.resolve()
    if arguments.step == "see":
        save(see(cache), arguments.out)
    else:
        (draw if arguments.step == "draw" else write)(cache)


if __name__ == "__main__":
    main()
