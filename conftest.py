"""Runs the snippets of README.md and docs/ as tests, each page in a folder of its own.

By default small networks stand in for the pretrained backbones and the released model, and the
built-in recipes train for two epochs per stage.
`--as-written` runs each page as its reader would.
"""

from __future__ import annotations

import gc
import hashlib
import os
import shlex
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sybil import Example, Sybil
from sybil.parsers.markdown import CodeBlockParser, PythonCodeBlockParser

if TYPE_CHECKING:
    from planetvision.core.settings import Recipe

pytest_plugins = ["browser"]  # tests/browser.py: the pages in a real browser

# What a page may tell its reader to run, and the tests do not: it installs, clones or serves.
_NOT_RUN = (
    "accelerate launch",
    "cd ",
    "git clone ",
    "make ",
    "pip install ",
    "python benchmarks/",
    "python examples/",
    "tensorboard ",
)
_PREFIX = "planetvision "


# Replaced by a small network of 64 pixels, without `--as-written`.
_LARGE_BACKBONES = ("efficientnet_lite0", "released")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds `--as-written`."""
    parser.addoption(
        "--as-written", action="store_true", help="run the pages of the docs on their own backbones"
    )


def pytest_collection_finish() -> None:
    """Leaves what the collection imported out of garbage collections.

    Accelerate collects garbage after each stage of a training. Of the million objects that torch
    and scikit-learn bring, that takes half a second.
    """
    gc.freeze()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Leaves out what the tests before imported, too."""
    gc.collect()
    gc.freeze()


def pytest_sessionfinish() -> None:
    """Lets the libraries take their objects apart at the end, else some warn of leaks."""
    gc.unfreeze()


@pytest.fixture(scope="session", autouse=True)
def remembered_comparisons() -> Iterator[None]:
    """Compares two views of images once per run: most tests train on the same few images."""
    from planetvision.data import duplicates

    compare = duplicates._compare
    known: dict[tuple[bytes, int, bool], float] = {}

    def compare_once(view: Any, other: Any, shift: int, mirrored: bool) -> float:
        digest = hashlib.blake2b(view.tobytes() + other.tobytes(), digest_size=16).digest()
        key = (digest, shift, mirrored)
        if key not in known:
            known[key] = compare(view, other, shift, mirrored)
        return known[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(duplicates, "_compare", compare_once)
        yield


def run_commands(example: Example) -> None:
    """Runs the lines of a shell block that call planetvision, in this process.

    A trailing backslash joins lines. Lines that are neither our command nor known to be left out
    fail, so that no page holds a command that nobody has thought of.
    """
    from planetvision.cli.main import main

    for line in str(example.parsed).replace("\\\n", " ").splitlines():
        command = line.strip()
        if not command or command.startswith(("#", *_NOT_RUN)):
            continue
        assert command.startswith(_PREFIX), f"nothing says how to test this line: {command}"
        with pytest.raises(SystemExit) as end:
            main(shlex.split(command, comments=True)[1:])
        assert not end.value.code, f"exit code {end.value.code}: {command}"


def refuse(example: Example) -> None:
    """Fails: such a block would look tested and not be."""
    raise AssertionError("Write shell commands in a `bash` block, so that they are run.")


pytest_collect_file = Sybil(
    parsers=[
        PythonCodeBlockParser(),
        CodeBlockParser(language="bash", evaluator=run_commands),
        *(CodeBlockParser(language=name, evaluator=refuse) for name in ("console", "sh", "shell")),
    ],
    patterns=["README.md", "docs/*.md", "docs/**/*.md"],
    fixtures=["page_folder"],
).pytest()


@pytest.fixture(scope="session")
def coarse_maps(request: pytest.FixtureRequest) -> Iterator[None]:
    """Draws bodies from their smallest maps, without `--as-written`: a large one takes a second."""
    if request.config.getoption("--as-written"):
        yield
        return
    from planetvision.render import surfaces

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(surfaces, "_HEIGHTS", surfaces._HEIGHTS[:1])
        yield


@pytest.fixture(scope="session")
def snippet_data(coarse_maps: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that the pages speak of, drawn once: a few images a body."""
    from planetvision.render import write_dataset

    root = tmp_path_factory.mktemp("snippet_data")
    write_dataset(root / "data" / "planets", count=28, image_size=96, seed=0)
    fresh = write_dataset(root / "data" / "test", count=14, image_size=96, seed=1)
    (root / "my_images").mkdir()
    for path in fresh[:4]:
        shutil.copy(path, root / "my_images")
    shutil.copy(root / "data" / "test" / "saturn" / "saturn_00000.png", root / "saturn.png")
    return root


@pytest.fixture(scope="session")
def brief_recipes(request: pytest.FixtureRequest) -> Iterator[None]:
    """Lets each stage of a built-in recipe end after two epochs, without `--as-written`."""
    if request.config.getoption("--as-written"):
        yield
        return
    from planetvision.training import RECIPES

    def shorten(build: Callable[[], Recipe]) -> Recipe:
        recipe = build()
        stages = tuple(
            replace(stage, epochs=min(2, stage.epochs), warmup_epochs=0) for stage in recipe.stages
        )
        return replace(recipe, stages=stages)

    with pytest.MonkeyPatch.context() as patch:
        for name in RECIPES.names():
            spec = RECIPES.get(name)
            patch.setitem(RECIPES._entries, name, replace(spec, build=partial(shorten, spec.build)))
        yield


@pytest.fixture(scope="session")
def few_maps(request: pytest.FixtureRequest) -> Iterator[None]:
    """Lets an evaluation explain and check a few images, without `--as-written`."""
    if request.config.getoption("--as-written"):
        yield
        return
    from planetvision.evaluation import evaluator

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluator, "_MAX_EXPLAINED", 7)
        patch.setattr(evaluator, "_MAX_CHECKED", 2)
        yield


@pytest.fixture(scope="session")
def small_released_model(snippet_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small model of the same classes as the released one."""
    from planetvision import PlanetClassifier

    classifier = PlanetClassifier("tiny", recipe="scratch", image_size=64, device="cpu")
    classifier.fit(snippet_data / "data" / "planets")
    return classifier.save(tmp_path_factory.mktemp("released") / "model")


@pytest.fixture(scope="module")
def backbones(request: pytest.FixtureRequest) -> Iterator[None]:
    """Lets the pretrained backbones and the released model be small, without `--as-written`."""
    if request.config.getoption("--as-written"):
        yield
        return
    from planetvision.classifiers import pretrained
    from planetvision.models.backbones.registry import BACKBONES

    tiny = BACKBONES.get("tiny")
    with pytest.MonkeyPatch.context() as patch:
        for name in _LARGE_BACKBONES:
            spec = replace(
                BACKBONES.get(name),
                build=lambda pretrained=True: tiny.build(),
                input=replace(tiny.input, image_size=64),
                feature_size=tiny.feature_size,
            )
            patch.setitem(BACKBONES._entries, name, spec)
        folder = request.getfixturevalue("small_released_model")
        patch.setattr(pretrained, "RELEASED_FOLDER", folder)
        yield


@pytest.fixture(scope="module")
def page_folder(
    snippet_data: Path,
    backbones: None,
    brief_recipes: None,
    few_maps: None,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Path]:
    """A working folder with those files for one page; registrations end with the page."""
    from planetvision.core.registry import Registry
    from planetvision.data import DECODERS
    from planetvision.explain import EXPLAINERS
    from planetvision.imaging.policies import POLICIES
    from planetvision.models.backbones.registry import BACKBONES
    from planetvision.models.heads import HEADS
    from planetvision.training import RECIPES
    from planetvision.training.schedules import SCHEDULES

    registries: list[Registry[Any, Any]] = [
        BACKBONES,
        DECODERS,
        HEADS,
        POLICIES,
        SCHEDULES,
        RECIPES,
        EXPLAINERS,
    ]
    before = [set(registry.names()) for registry in registries]
    folder = tmp_path_factory.mktemp("page")
    shutil.copytree(snippet_data, folder, dirs_exist_ok=True)
    home = Path.cwd()
    os.chdir(folder)
    yield folder
    os.chdir(home)
    for registry, names in zip(registries, before, strict=True):
        for name in set(registry.names()) - names:
            registry.remove(name)
