"""The rooms: the list of them is the list of modules, and imports go only upward in it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import planetvision

# The rooms of DESIGN.md, each of which may import those above it.
ROOMS = (
    "errors",
    "wording",
    "registry",
    "config",
    "files",
    "runtime",
    "tuning",
    "geometry",
    "augment",
    "render",
    "figures",
    "data",
    "results",
    "backbones",
    "heads",
    "schedules",
    "optimizers",
    "losses",
    "calibration",
    "novelty",
    "network",
    "training",
    "inference",
    "card",
    "storage",
    "pretrained",
    "warm_start",
    "explain",
    "evaluation",
    "auditing",
    "answering",
    "classifier",
    "voting",
    "comparing",
    "verifying",
    "runs",
    "crossval",
    "blind",
    "demo",
    "doctor",
    "cli",
)
FREE = {"__init__", "__main__"}
PACKAGE = Path(planetvision.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))


def get_room(file: Path) -> str:
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def is_type_checking(test: ast.expr) -> bool:
    names = {getattr(node, "id", None) or getattr(node, "attr", None) for node in ast.walk(test)}
    return "TYPE_CHECKING" in names


def walk_code(node: ast.AST) -> Iterator[ast.AST]:
    """Every node but those that only type checkers see."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and is_type_checking(child.test):
            for other in child.orelse:
                yield other
                yield from walk_code(other)
            continue
        yield child
        yield from walk_code(child)


def find_imported(source: str, module: str) -> list[tuple[int, str]]:
    """The line and room of every import of planetvision in the source of `module`."""
    found = []
    parents = module.split(".")[:-1]
    for node in walk_code(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            start = parents[: len(parents) - node.level + 1] if node.level else []
            base = ".".join([*start, *([node.module] if node.module else [])])
            names = [f"{base}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            parts = name.split(".")
            if parts[0] == "planetvision" and len(parts) > 1 and parts[1] in ROOMS:
                found.append((node.lineno, parts[1]))
            elif parts[0] == "planetvision":
                found.append((node.lineno, "__init__"))
    return found


def find_downward(source: str, module: str) -> list[str]:
    room = module.split(".")[1]
    place = ROOMS.index(room)
    return [
        f"{module}, line {line}: {room} imports {other}, which is below it"
        for line, other in find_imported(source, module)
        if other == "__init__" or ROOMS.index(other) > place
    ]


def test_rooms_are_the_modules_that_exist() -> None:
    existing = {get_room(file) for file in FILES} - FREE
    assert existing == set(ROOMS)
    assert len(ROOMS) == len(set(ROOMS))


@pytest.mark.parametrize("room", ROOMS)
def test_room_imports_only_what_is_above_it(room: str) -> None:
    problems = []
    for file in FILES:
        if get_room(file) == room:
            parts = file.relative_to(PACKAGE.parent).with_suffix("").parts
            problems += find_downward(file.read_text(encoding="utf-8"), ".".join(parts))
    assert problems == []


@pytest.mark.parametrize("room", ROOMS)
def test_room_says_what_it_is_for(room: str) -> None:
    for file in FILES:
        if get_room(file) == room:
            assert ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))), file


@pytest.mark.parametrize(
    "source",
    [
        "from planetvision.cli import main",
        "from planetvision import cli",
        "import planetvision.cli",
        "import planetvision.cli as commands",
        "def run():\n    from planetvision.cli import main",
        "class Later:\n    import planetvision.cli",
        "try:\n    import planetvision.cli\nexcept ImportError:\n    pass",
        "if TYPE_CHECKING:\n    pass\nelse:\n    import planetvision.cli",
        "from ..cli import main",
        "from .. import cli",
        "from planetvision import PlanetClassifier",
    ],
)
def test_downward_import_is_found(source: str) -> None:
    assert len(find_downward(source, "planetvision.data.images")) == 1


@pytest.mark.parametrize(
    "source",
    [
        "from planetvision.errors import ImageError",
        "from planetvision.data.catalog import Catalog",
        "from .catalog import Catalog",
        "if TYPE_CHECKING:\n    from planetvision.cli import main",
        "if typing.TYPE_CHECKING:\n    from planetvision.cli import main",
        "import numpy.cli",
    ],
)
def test_upward_import_is_allowed(source: str) -> None:
    assert find_downward(source, "planetvision.data.images") == []
