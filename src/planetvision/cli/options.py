"""The options that commands share; those of `PlanetClassifier` come from `ClassifierSettings`."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import typing
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer

from planetvision.core.errors import SettingsError
from planetvision.training.settings import ClassifierSettings

Command: TypeAlias = Callable[..., None]
Settings: TypeAlias = Mapping[str, Any]
"""Settings of `PlanetClassifier` by name, as given on the command line."""

RUNNING = ("device", "precision", "performance", "progress")
"""The settings of a trained model that predicts."""

_DATA = (
    "A folder with one subfolder per class, or with train/, val/, test/ of those; or a CSV, TSV "
    "or Parquet table."
)

Model = Annotated[Path, typer.Argument(help="Folder of a trained model.", show_default=False)]
ModelAndInputs = Annotated[
    list[str],
    typer.Argument(
        metavar="[MODEL] IMAGES...",
        help="Images, folders or glob patterns, after the folder of a model; by default the "
        "released model.",
        show_default=False,
    ),
]
ModelAndData = Annotated[
    list[str],
    typer.Argument(
        metavar="[MODEL] DATA",
        help=f"{_DATA} Before it the folder of a model; by default the released model.",
        show_default=False,
    ),
]
Data = Annotated[Path, typer.Argument(help=_DATA, show_default=False)]
Out = Annotated[Path, typer.Option(help="New or empty folder for the results.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace files in the output folder.")]
Columns = Annotated[
    list[str] | None,
    typer.Option(
        "--column",
        help="Column of a table, as path=FILE or label=BODY; split= ignores the splits. By default "
        "guessed. May be repeated.",
    ),
]
RejectionRate = Annotated[
    float | None,
    typer.Option(
        help="Fraction of images of known bodies that may be called unknown, 0 for none; by "
        "default that of the training."
    ),
]


def with_settings(*names: str) -> Callable[[Command], Command]:
    """Returns a decorator that gives a command one option per setting of `PlanetClassifier`.

    The command receives them as the mapping `settings`, with `progress` as the opposite of
    `--quiet`.

    Args:
        names: The settings; without any, all that have an option.
    """
    fields = dataclasses.fields(ClassifierSettings)
    options = [
        _create_option(field.name, **field.metadata)
        for field in fields
        if field.metadata and (not names or field.name in names)
    ]

    def decorate(function: Command) -> Command:
        @functools.wraps(function)
        def command(**given: Any) -> None:
            settings = {option.name: given.pop(option.name) for option in options}
            if "progress" in settings:  # the option is --quiet
                settings["progress"] = not settings["progress"]
            function(settings=settings, **given)

        signature = inspect.signature(function, eval_str=True)
        parameters: list[inspect.Parameter] = []
        for item in signature.parameters.values():
            parameters += options if item.name == "settings" else [item]
        # Typer reads both.
        command.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        command.__annotations__ = {item.name: item.annotation for item in parameters}
        return command

    return decorate


def _create_option(setting: str, *, help: str, name: str | None, type: Any) -> inspect.Parameter:
    """Returns the parameter of a command that offers a setting."""
    default = getattr(ClassifierSettings, setting)
    kind = type or typing.get_type_hints(ClassifierSettings)[setting]
    if kind == list[str]:
        kind, default = list[str] | None, None
    if default is False and name is None:
        name = f"--{setting}"  # without a form that turns it off
    return inspect.Parameter(
        setting,
        inspect.Parameter.KEYWORD_ONLY,
        default=default,
        annotation=Annotated[kind, typer.Option(*filter(None, [name]), help=help)],
    )


def join_inputs(inputs: Sequence[str] | None) -> Any:
    """Returns a single input by itself, several as a list, and None for none.

    A single input may be a folder or a table.
    """
    if not inputs:
        return None
    return list(inputs) if len(inputs) > 1 else inputs[0]


def parse_pairs(pairs: Sequence[str] | None, option: str) -> dict[Any, Any] | None:
    """Returns the mapping of NAME=VALUE options, with None for an empty value.

    Args:
        pairs: The values of the option.
        option: The option, for messages.

    Raises:
        SettingsError: If a value has no name or no `=`, or names repeat.
    """
    if not pairs:
        return None
    parsed: dict[str, Any] = {}
    problems = []
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            problems.append(f"{option} takes NAME=VALUE, got {pair!r}.")
        elif name in parsed:
            problems.append(
                f"{option} names {name!r} twice, with {parsed[name] or ''!r} and {value!r}. "
                "Leave one out."
            )
        parsed[name] = value or None
    if problems:
        raise SettingsError.from_problems(problems)
    return parsed


def parse_weights(given: Sequence[str] | None) -> Any:
    """Returns the setting `weights`: one source, or one for each member of an ensemble."""
    sources = given or [str(ClassifierSettings.weights)]
    # A file may have the sign in its name.
    if len(sources) == 1 and ("=" not in sources[0] or Path(sources[0]).exists()):
        return sources[0]
    return parse_pairs(sources, "--weights")
