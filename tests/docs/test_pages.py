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
from planetvision.inference.ood_scores import OOD_SCORES
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


def test_command_pages_name_every_command_and_option() -> None:
    pages = sorted((ROOT / "docs" / "reference").glob("command-line*.md"))
    text = "\n".join(page.read_text(encoding="utf-8") for page in pages)
    sections = re.split(r"^## ", text, flags=re.MULTILINE)
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
        ("docs/how-to/recipes.md", RECIPES),
        ("docs/how-to/results.md", EXPLAINERS),
        ("docs/concepts/unknown.md", OOD_SCORES),
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


def test_paths_in_the_pages_exist() -> None:
    pages = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")]
    pages += sorted((ROOT / "docs").rglob("*.md")) + sorted((ROOT / "benchmarks").glob("*.md"))
    pattern = r"(?<![\w./-])(?:src|tests|docs|benchmarks|examples|release)/[\w./-]*\w"
    named = {
        (page.relative_to(ROOT), path)
        for page in pages
        for path in re.findall(pattern, page.read_text(encoding="utf-8"))
    }
    assert len(named) > 50
    missing = [f"{page}: {path}" for page, path in sorted(named) if not (ROOT / path).exists()]
    assert missing == []


def test_contributing_names_what_the_files_contain() -> None:
    items = re.split(r"\n(?=[-|#\n])", read_page("CONTRIBUTING.md"))
    checked = 0
    for item in items:
        files = re.findall(r"`(src/[\w/]+\.py)`", item)
        names = re.findall(r"`@?(_\w+|register_\w+|[A-Z]+)(?:\.add\b[^`]*)?`", item)
        text = "".join(read_page(file) for file in files)
        checked += len(names) if files else 0
        assert not files or [name for name in names if name not in text] == [], item
    assert checked >= 9


def test_no_page_is_longer_than_150_lines() -> None:
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
    lengths = {page.name: len(page.read_text(encoding="utf-8").splitlines()) for page in pages}
    assert {name: length for name, length in lengths.items() if length > 150} == {}
