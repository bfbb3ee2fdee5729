"""The `planetvision` command: a thin layer over the library, with its names."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib import metadata
from typing import Annotated

import typer

from planetvision.cli import data, listing, train, use
from planetvision.cli.messages import show_warnings
from planetvision.core.errors import PlanetVisionError


def _create_group(help: str, commands: dict[str, Callable[..., None]]) -> typer.Typer:
    group = typer.Typer(
        help=help,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    for name, command in commands.items():
        group.command(name)(command)
    return group


app = _create_group(
    "Identify the solar-system body that an image shows.",
    {
        "demo": train.demo,
        "train": train.train,
        "crossval": train.crossval,
        "evaluate": use.evaluate,
        "compare": use.compare,
        "verify": use.verify,
        "vote": use.vote,
        "predict": use.predict,
        "explain": use.explain,
        "augment": data.augment,
        "list": listing.list_entries,
        "doctor": listing.doctor,
    },
)
app.add_typer(
    _create_group(
        "Create and inspect data.", {"render": data.render_data, "check": data.check_data}
    ),
    name="data",
)
app.add_typer(
    _create_group(
        "Test a model on images under random names.",
        {"make": data.make_blind, "score": data.score_blind},
    ),
    name="blind",
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"planetvision {metadata.version('planetvision')}")
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[
        bool,
        typer.Option("--version", help="Show the version.", callback=_show_version, is_eager=True),
    ] = False,
) -> None:
    """Identify the solar-system body that an image shows."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command and ends the process.

    The exit code is 0, 1 if some inputs failed, or 2 for a wrong call.

    Args:
        arguments: The arguments; None takes those of the process.
    """
    with show_warnings():
        try:
            app(args=list(arguments) if arguments is not None else None)
        except PlanetVisionError as error:
            typer.echo(f"Error: {error}", err=True)
            sys.exit(2)


if __name__ == "__main__":
    main()
