"""The pages say what the code says, where no snippet can check it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import typer

from planetvision import __version__
from planetvision.cli.main import app
from planetvision.explain import EXPLAINERS
from planetvision.imaging.policies import POLICIES
from planetvision.inference.ood_scores import NOVELTY_SCORES
from planetvision.models.backbones.registry import BACKBONES
from planetvision.models.heads import HEADS
from planetvision.training import RECIPES
from planetvision.training.schedules import SCHEDULES

ROOT = Path(__file__).parents[2]


def read_page(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def get_options(group: Any, prefix: str = "planetvision") -> dict[str, set[str]]:
    """The options of each command; Typer's groups are Click's or its own, by version."""
    found: dict[str, set[str]] = {}
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            found |= get_options(command, f"{prefix} {name}")
        else:
            options = {option for item in command.params for option in item.opts}
            found[f"{prefix} {name}"] = {name for name in options if name.startswith("--")}
    return found


def test_command_page_names_every_command_and_option() -> None:
    sections = re.split(r"^## ", read_page("docs/reference/command-line.md"), flags=re.MULTILINE)
    shown = {
        " ".join(re.findall(r"^[a-z]+(?: [a-z]+)+", section)): set(
            re.findall(r"^\| `(--[a-z-]+)`", section, flags=re.MULTILINE)
        )
        for section in sections
        if section.startswith("planetvision ")
    }
    expected = get_options(typer.main.get_command(app))
    assert shown == {name: options - {"--help"} for name, options in expected.items()}


@pytest.mark.parametrize(
    ("page", "registry"),
    [
        ("docs/how-to/backbones.md", BACKBONES),
        ("docs/how-to/train-on-your-folder.md", RECIPES),
        ("docs/how-to/results.md", EXPLAINERS),
        ("docs/concepts/unknown.md", NOVELTY_SCORES),
        *[("CHANGELOG.md", one) for one in (BACKBONES, HEADS, POLICIES, SCHEDULES, RECIPES)],
    ],
)
def test_page_names_every_built_in_entry(page: str, registry: Any) -> None:
    text = read_page(page)
    built_in = [
        spec.name for spec in registry.specs() if spec.build.__module__.startswith("planetvision.")
    ]
    assert [name for name in built_in if f"`{name}`" not in text] == []


def test_citation_has_the_version_of_the_package() -> None:
    assert f"\nversion: {__version__}\n" in read_page("CITATION.cff")


def test_links_of_pages_outside_the_site_lead_to_files() -> None:
    for page in ("README.md", "CONTRIBUTING.md", "examples/README.md", "benchmarks/README.md"):
        for link in re.findall(r"\]\((?!https?:)([^)#]+)", read_page(page)):
            assert ((ROOT / page).parent / link).exists(), f"{page} links to {link}"
