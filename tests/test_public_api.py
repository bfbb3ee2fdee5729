"""The public names, and how light it is to import them.

`python tests/test_public_api.py` writes tests/golden/public_names.json again.
"""

from __future__ import annotations

import importlib
import inspect
import json
import subprocess
import sys
from pathlib import Path

import pytest

import planetvision

GOLDEN = Path(__file__).parent / "golden" / "public_names.json"
ROOT = Path(planetvision.__file__).parent
HEAVY = {"torch", "torchvision", "timm", "accelerate", "sklearn", "matplotlib", "pandas"}


def read_public_names() -> dict[str, list[str]]:
    """Returns the public names of planetvision and of each of its packages."""
    names = {}
    for file in sorted(ROOT.rglob("__init__.py")):
        package = ".".join(["planetvision", *file.parent.relative_to(ROOT).parts])
        names[package] = sorted(getattr(importlib.import_module(package), "__all__", []))
    return names


def test_public_names_are_those_of_the_stored_list() -> None:
    # Removing or renaming one of them breaks users.
    assert read_public_names() == json.loads(GOLDEN.read_text(encoding="utf-8"))


@pytest.mark.parametrize("package", read_public_names())
def test_each_name_of_a_package_can_be_imported_and_is_listed(package: str) -> None:
    module = importlib.import_module(package)
    for name in getattr(module, "__all__", []):
        value = getattr(module, name)
        assert name in {*dir(module), "__version__"}
        if inspect.isclass(value) or inspect.isfunction(value):
            assert getattr(importlib.import_module(value.__module__), name) is value


@pytest.mark.parametrize("package", ["planetvision", "planetvision.data", "planetvision.training"])
def test_missing_name_raises_as_in_any_module(package: str) -> None:
    module = importlib.import_module(package)
    with pytest.raises(AttributeError, match="PlanetNest"):
        module.PlanetNest  # noqa: B018
    with pytest.raises(ImportError, match="cannot import name 'PlanetNest'"):
        exec(f"from {package} import PlanetNest")


def run_python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, timeout=60, check=False
    )


def test_import_loads_nothing_heavy() -> None:
    packages = ", ".join(read_public_names())
    result = run_python("-X", "importtime", "-c", f"import {packages}")
    assert result.returncode == 0, result.stderr
    loaded = {line.rsplit("|", 1)[-1].strip().split(".")[0] for line in result.stderr.splitlines()}
    assert "planetvision" in loaded
    assert loaded.isdisjoint({*HEAVY, "cv2", "scipy"})


def test_import_of_planetvision_loads_no_third_party_library_but_the_loader() -> None:
    result = run_python("-X", "importtime", "-c", "import planetvision")
    loaded = {line.rsplit("|", 1)[-1].strip().split(".")[0] for line in result.stderr.splitlines()}
    assert loaded.isdisjoint({*HEAVY, "numpy", "PIL", "cv2", "scipy"})


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"]])
def test_help_of_the_command_loads_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import sys\n"
        f"sys.argv = ['planetvision', *{arguments!r}]\n"
        "from planetvision.cli.main import main\n"
        "try:\n"
        "    main()\n"
        "except SystemExit as end:\n"
        "    assert not end.code, end.code\n"
        "print('LOADED', *sorted({name.split('.')[0] for name in sys.modules}))\n"
    )
    result = run_python("-c", code)
    assert result.returncode == 0, result.stderr
    assert "Usage" in result.stdout
    loaded = set(result.stdout.rsplit("LOADED", 1)[1].split())
    assert "planetvision" in loaded
    assert loaded.isdisjoint(HEAVY)


def test_python_m_planetvision_is_the_command() -> None:
    result = run_python("-m", "planetvision", "--help")
    assert result.returncode == 0, result.stderr
    assert "Usage: " in result.stdout
    for command in ("train", "evaluate", "compare", "crossval", "predict", "explain", "verify"):
        assert command in result.stdout
    for command in ("list", "doctor", "demo", "data"):
        assert command in result.stdout


if __name__ == "__main__":
    GOLDEN.write_text(json.dumps(read_public_names(), indent=1) + "\n", encoding="utf-8")
