"""Warnings and the log as lines for a person, and the exit code that they lead to."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import typer

from planetvision.core.errors import DataWarning, PlanetVisionWarning

# The categories of our warnings in this call: images that were left out decide the exit code.
_shown: list[type[Warning]] = []


@contextlib.contextmanager
def show_warnings() -> Iterator[None]:
    """Shows warnings and the log of planetvision as lines on stderr."""
    from planetvision.core.devices import is_main_process

    _shown.clear()
    show = warnings.showwarning
    # Of several processes of a launcher, one prints.
    prints = is_main_process()

    def show_ours(message: Any, category: type[Warning], *rest: Any, **options: Any) -> None:
        # Without the place in the code, which means nothing to a user of the command.
        if issubclass(category, PlanetVisionWarning):
            _shown.append(category)
            if prints:
                typer.echo(f"Warning: {message}", err=True)
        else:
            show(message, category, *rest, **options)

    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("Warning: %(message)s"))
    handler.setLevel(logging.WARNING)
    log = logging.getLogger("planetvision")
    if prints:
        log.addHandler(handler)
    with warnings.catch_warnings():
        warnings.simplefilter("always", PlanetVisionWarning)
        warnings.showwarning = show_ours
        try:
            yield
        finally:
            log.removeHandler(handler)


def finish(errors: Sequence[str] = ()) -> None:
    """Shows the errors of inputs, and ends with code 1 if inputs failed or were left out."""
    for error in errors:
        typer.echo(error, err=True)
    if errors:
        typer.echo(f"{len(errors)} of the inputs failed.", err=True)
    if errors or any(issubclass(category, DataWarning) for category in _shown):
        raise typer.Exit(1)
