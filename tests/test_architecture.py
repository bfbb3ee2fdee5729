"""Imports between packages are those of the table in docs/concepts/architecture.md."""

from __future__ import annotations

import ast
import graphlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import planetvision

PACKAGE = Path(planetvision.__file__).parent
TABLE = PACKAGE.parents[1] / "docs" / "concepts" / "architecture.md"
ROW = re.compile(r"^\| `(\w+)` \| .+ \| ([\w, ]*)\|$", re.MULTILINE)

MAX_FILE_LINES = 500
MAX_FUNCTION_LINES = 80
MAX_PARAMETERS = 12


def read_table() -> dict[str, list[str]]:
    """Returns the packages in the order of the table, each with those that it may import."""
    return {
        package: re.findall(r"\w+", imports)
        for package, imports in ROW.findall(TABLE.read_text(encoding="utf-8"))
    }


ALLOWED = read_table()


def name_module(file: Path) -> str:
    parts = file.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {name_module(file): file for file in sorted(PACKAGE.rglob("*.py"))}


def is_type_checking(test: ast.expr) -> bool:
    names = {getattr(node, "id", None) or getattr(node, "attr", None) for node in ast.walk(test)}
    return "TYPE_CHECKING" in names


def walk_code(node: ast.AST, *, types: bool) -> Iterator[ast.AST]:
    """Every node; without `types` not those that only type checkers see."""
    for child in ast.iter_child_nodes(node):
        if not types and isinstance(child, ast.If) and is_type_checking(child.test):
            for other in child.orelse:
                yield other
                yield from walk_code(other, types=types)
            continue
        yield child
        yield from walk_code(child, types=types)


def find_home(package: str, name: str) -> str:
    """The module that a name of a package comes from, by the package's stub."""
    module = f"{package}.{name}"
    if module in FILES:
        return module
    stub = FILES[package].with_suffix(".pyi") if package in FILES else Path("none")
    if stub.name == "__init__.pyi" and stub.exists():
        for node in ast.parse(stub.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ImportFrom) and name in {it.name for it in node.names}:
                return find_home(f"{package}.{node.module}", name)
    return package


def find_imported(source: str, module: str, *, types: bool = False) -> list[tuple[int, str]]:
    """The line and the module of every import of planetvision in the source of `module`."""
    found = []
    parents = module.split(".")[:-1]
    for node in walk_code(ast.parse(source), types=types):
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            start = parents[: len(parents) - node.level + 1] if node.level else []
            base = ".".join([*start, *([node.module] if node.module else [])])
            modules = [find_home(base, alias.name) for alias in node.names]
        else:
            continue
        found += [(node.lineno, it) for it in modules if it.split(".")[0] == "planetvision"]
    return found


def get_package(module: str) -> str:
    """The package of a module; empty for planetvision itself."""
    return [*module.split("."), ""][1]


def find_forbidden(source: str, module: str) -> list[str]:
    package = get_package(module)
    return [
        f"{module}, line {line}: {package} may not import {other}"
        for line, other in find_imported(source, module)
        if get_package(other) not in {package, *ALLOWED[package]}
    ]


def test_table_lists_the_packages_that_exist() -> None:
    packages = {file.parent.name for file in PACKAGE.glob("*/__init__.py")}
    assert set(ALLOWED) == packages
    assert {file.name for file in PACKAGE.glob("*.py")} == {"__init__.py", "__main__.py"}


@pytest.mark.parametrize("package", ALLOWED)
def test_package_may_import_only_packages_above_it(package: str) -> None:
    order = list(ALLOWED)
    assert set(ALLOWED[package]) <= set(order[: order.index(package)])


@pytest.mark.parametrize("package", ALLOWED)
def test_package_imports_what_the_table_allows_and_nothing_else(package: str) -> None:
    problems, used = [], set()
    for module, file in FILES.items():
        if get_package(module) == package:
            source = file.read_text(encoding="utf-8")
            problems += find_forbidden(source, module)
            used |= {get_package(other) for _, other in find_imported(source, module)}
    assert problems == []
    assert used - {package} == set(ALLOWED[package]), "the table allows more than is used"


def test_no_file_imports_itself_by_way_of_others() -> None:
    graph = {
        module: {
            other
            for _, other in find_imported(file.read_text(encoding="utf-8"), module, types=True)
            if other != module
        }
        for module, file in FILES.items()
    }
    graphlib.TopologicalSorter(graph).prepare()


def count_parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    given = function.args
    names = [it.arg for it in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
    starred = sum(it is not None for it in (given.vararg, given.kwarg))
    return len([name for name in names if name not in ("self", "cls")]) + starred


@pytest.mark.parametrize("module", FILES)
def test_file_and_its_functions_are_short(module: str) -> None:
    source = FILES[module].read_text(encoding="utf-8")
    assert len(source.splitlines()) <= MAX_FILE_LINES
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            assert node.end_lineno - node.lineno < MAX_FUNCTION_LINES, node.name
            assert count_parameters(node) <= MAX_PARAMETERS, node.name


@pytest.mark.parametrize("module", FILES)
def test_file_says_what_it_is_for(module: str) -> None:
    assert ast.get_docstring(ast.parse(FILES[module].read_text(encoding="utf-8")))


@pytest.mark.parametrize(
    "source",
    [
        "from planetvision.cli.main import main",
        "from planetvision import cli",
        "import planetvision.cli",
        "import planetvision.cli as commands",
        "def run():\n    from planetvision.cli.main import main",
        "class Later:\n    import planetvision.cli",
        "try:\n    import planetvision.cli\nexcept ImportError:\n    pass",
        "if TYPE_CHECKING:\n    pass\nelse:\n    import planetvision.cli",
        "from ..cli import main",
        "from .. import cli",
        "from planetvision import PlanetClassifier",
    ],
)
def test_forbidden_import_is_found(source: str) -> None:
    assert len(find_forbidden(source, "planetvision.data.images")) == 1


@pytest.mark.parametrize(
    "source",
    [
        "from planetvision.core.errors import ImageError",
        "from planetvision.core import PlanetVisionError",
        "from planetvision.data.catalog import Catalog",
        "from .catalog import Catalog",
        "if TYPE_CHECKING:\n    from planetvision.cli.main import main",
        "if typing.TYPE_CHECKING:\n    from planetvision.cli.main import main",
        "import numpy.cli",
    ],
)
def test_allowed_import_is_not_found(source: str) -> None:
    assert find_forbidden(source, "planetvision.data.images") == []
