"""The example plugin is installed for real, listed without an import, and trained with."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "examples" / "plugin_package"

Run = Callable[[str], str]

LIST = """
import sys
from planetvision.models import list_backbones
assert "dilated_net" in list_backbones()
assert "planetvision_example_plugin" not in sys.modules, "listing must not import a plugin"
assert "torch" not in sys.modules
print("listed")
"""

TRAIN = """
from planetvision import PlanetClassifier
from planetvision.render import write_dataset
write_dataset("planets", count=28, image_size=64, bodies=["saturn", "neptune"])
classifier = PlanetClassifier("dilated_net", recipe="scratch").fit("planets")
classifier.save("model")
print(classifier.evaluate().accuracy)
"""

LOAD = """
import sys
from planetvision import PlanetClassifier
assert "planetvision_example_plugin" not in sys.modules
classifier = PlanetClassifier.load("model")
print(",".join(classifier.predict("planets").labels))
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Runs code in a new process that sees the installed plugin."""
    source = tmp_path_factory.mktemp("source") / "plugin_package"
    shutil.copytree(PACKAGE, source)  # a build must leave nothing in the working tree
    site = tmp_path_factory.mktemp("site")
    options = ("--no-deps", "--no-build-isolation", "--no-index", "--quiet")
    subprocess.run(
        [sys.executable, "-m", "pip", "install", *options, "--target", str(site), str(source)],
        check=True,
    )
    folder = tmp_path_factory.mktemp("work")

    def run_code(code: str) -> str:
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", code],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(site)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    return run_code


def test_installed_plugin_is_listed_without_being_imported(run: Run) -> None:
    assert run(LIST) == "listed"


@pytest.mark.slow
def test_installed_plugin_trains_saves_and_loads_by_its_name(run: Run) -> None:
    assert float(run(TRAIN)) >= 0.75
    labels = run(LOAD).split(",")
    truth = ["neptune"] * 14 + ["saturn"] * 14
    assert sum(label == true for label, true in zip(labels, truth, strict=True)) >= 22


def test_plugin_that_is_not_installed_is_unknown() -> None:
    from planetvision.core.errors import UnknownNameError
    from planetvision.models.backbones.registry import BACKBONES

    with pytest.raises(UnknownNameError, match="Unknown backbone 'dilated_net'"):
        BACKBONES.get("dilated_net")
