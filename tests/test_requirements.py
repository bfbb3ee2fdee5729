"""The requirements of pyproject.toml let in what the code works with."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from packaging.requirements import Requirement

from planetvision.cli import main as cli

ROOT = Path(__file__).parents[1]


def walk_commands(group: Any, *path: str) -> Iterator[tuple[str, ...]]:
    yield path
    for name, command in getattr(group, "commands", {}).items():
        yield from walk_commands(command, *path, name)


COMMANDS = list(walk_commands(typer.main.get_command(cli.app)))


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_shows_its_help(
    command: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main([*command, "--help"])
    assert not ended.value.code
    usage, *_ = capsys.readouterr().out.splitlines()
    assert usage.startswith("Usage: ")
    assert f" {' '.join(command)} [OPTIONS]".replace("  ", " ") in usage


@pytest.mark.parametrize(
    ("version", "works"),
    [
        # How the test above ends with each of these and Click 8.5.1.
        ("0.12.4", False),  # no command starts: "Secondary flag is not valid for non-boolean flag"
        ("0.14.0", False),  # "Parameter.make_metavar() missing 1 required positional argument"
        ("0.15.1", False),
        ("0.17.0", False),  # "module 'rich' has no attribute 'markup'"
        ("0.17.3", False),
        ("0.17.4", False),  # "Type not yet supported: typing.Literal"
        ("0.18.0", False),
        ("0.19.0", True),
        ("0.29.2", True),
    ],
)
def test_typer_is_required_in_a_version_in_which_every_command_works(
    version: str, works: bool
) -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (line,) = re.findall(r'^ +"(typer\b[^"]*)"', text, flags=re.MULTILINE)
    assert Requirement(line).specifier.contains(version) == works
