"""Exceptions and warnings of planetvision.

Each exception is a `PlanetVisionError` and also the built-in exception that a caller would catch.
All take one positional message and keyword-only fields, so that they survive pickling: an error
in a loader worker reaches the parent process unchanged.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Sequence
from dataclasses import dataclass


def itemize(heading: str, problems: Sequence[str], limit: int = 20) -> str:
    """Returns the heading with one line per problem; problems beyond the limit are counted."""
    if len(problems) == 1:
        return f"{heading} {problems[0]}"
    lines = [f"  - {problem}" for problem in problems[:limit]]
    if len(problems) > limit:
        lines.append(f"  ... and {len(problems) - limit} more")
    return "\n".join([heading, *lines])


def count(number: int, noun: str) -> str:
    """Returns the number with its noun, in the singular for 1."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


@dataclass(eq=False, repr=False)
class PlanetVisionError(Exception):
    """Base class of the errors that planetvision raises."""

    message: str

    def __post_init__(self) -> None:
        super().__init__(self.message)

    def __str__(self) -> str:
        return self.message


@dataclass(eq=False, repr=False, kw_only=True)
class SettingsError(PlanetVisionError, ValueError):
    """One or more settings are wrong; `problems` lists them."""

    problems: Sequence[str] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        self.problems = tuple(self.problems) or (self.message,)

    @classmethod
    def from_problems(cls, problems: Sequence[str]) -> SettingsError:
        """Returns one error that reports all `problems` at once."""
        heading = "" if len(problems) == 1 else f"{len(problems)} settings are wrong:"
        return cls(itemize(heading, problems).strip(), problems=problems)


@dataclass(eq=False, repr=False, kw_only=True)
class UnknownNameError(SettingsError, LookupError):
    """A registry has no entry of that name."""

    family: str = ""
    name: str = ""
    suggestions: Sequence[str] = ()

    @classmethod
    def among(
        cls, statement: str, *, known: Collection[str], remedy: str, family: str, name: str
    ) -> UnknownNameError:
        """Returns an error that suggests the known names closest to the given one.

        Args:
            statement: What was given, such as "Unknown head 'liner'."
            known: The known names.
            remedy: What to do; it follows the suggestion.
            family: The plural noun of the names, such as "heads".
            name: The given name; a prefix before a colon is not compared.
        """
        spelt = name.rpartition(":")[2].lower()
        near = tuple(difflib.get_close_matches(spelt, known, n=3, cutoff=0.6))
        hint = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
        return cls(f"{statement}{hint} {remedy}", family=family, name=name, suggestions=near)


@dataclass(eq=False, repr=False, kw_only=True)
class DuplicateNameError(PlanetVisionError, ValueError):
    """A registry already has an entry of that name."""

    family: str = ""
    name: str = ""


@dataclass(eq=False, repr=False, kw_only=True)
class PluginError(PlanetVisionError, ImportError):
    """An installed plugin cannot be loaded; `distribution` names the package it belongs to."""

    name: str | None = None
    distribution: str = ""


@dataclass(eq=False, repr=False, kw_only=True)
class MissingExtraError(PlanetVisionError, ImportError):
    """A feature needs a package that is not installed; `extra` installs it."""

    feature: str = ""
    package: str = ""
    extra: str = ""

    @classmethod
    def for_feature(cls, feature: str, *, package: str, extra: str) -> MissingExtraError:
        """Returns the error for a feature that needs `package`, which `extra` installs."""
        return cls(
            f"{feature} needs the package '{package}', which is not installed. "
            f'Install it with: pip install "planetvision[{extra}]"',
            feature=feature,
            package=package,
            extra=extra,
        )


@dataclass(eq=False, repr=False, kw_only=True)
class DataError(PlanetVisionError, ValueError):
    """The data cannot be used; `problems` lists the faults."""

    problems: Sequence[str] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        self.problems = tuple(self.problems) or (self.message,)


@dataclass(eq=False, repr=False, kw_only=True)
class SourceNotFoundError(DataError, FileNotFoundError):
    """A file or folder does not exist."""

    source: str = ""


@dataclass(eq=False, repr=False, kw_only=True)
class ImageError(PlanetVisionError, OSError):
    """An image cannot be decoded; `source` names it and `cause` gives the reason."""

    source: str = ""
    cause: str = ""


@dataclass(eq=False, repr=False, kw_only=True)
class WeightsError(PlanetVisionError, RuntimeError):
    """Pretrained weights are not available; `tried` lists the places searched."""

    backbone: str = ""
    tried: Sequence[str] = ()


@dataclass(eq=False, repr=False, kw_only=True)
class ModelFormatError(PlanetVisionError, ValueError):
    """A folder does not hold a model that this version can load."""

    path: str = ""


class NotFittedError(PlanetVisionError, ValueError, AttributeError):
    """A method that needs a fitted classifier was called before `fit` or `load`."""


@dataclass(eq=False, repr=False, kw_only=True)
class OutputError(PlanetVisionError, OSError):
    """Results cannot be written to `path`."""

    path: str = ""


class OutputExistsError(OutputError, FileExistsError):
    """Writing would replace existing files."""


@dataclass(eq=False, repr=False, kw_only=True)
class TrainingError(PlanetVisionError, RuntimeError):
    """Training cannot continue; `stage`, `epoch` and `step` say where it stopped."""

    stage: str = ""
    epoch: int = 0
    step: int = 0


@dataclass(eq=False, repr=False, kw_only=True)
class CheckpointError(PlanetVisionError, ValueError):
    """Training cannot resume from a checkpoint; `differences` lists the settings that differ."""

    path: str = ""
    differences: Sequence[str] = ()


class ExplanationError(PlanetVisionError, RuntimeError):
    """This model, or this layer, cannot be explained."""


class PlanetVisionWarning(UserWarning):
    """Base class of the warnings that planetvision gives."""


class DataWarning(PlanetVisionWarning):
    """The data have a property that the user should know."""


class ConversionWarning(PlanetVisionWarning):
    """An image lost depth in the default conversion to 8 bits."""


class PluginWarning(PlanetVisionWarning):
    """An installed plugin is ignored."""


class SplitWarning(PlanetVisionWarning):
    """A split differs from the requested one."""


class TrainingWarning(PlanetVisionWarning):
    """A training has a property that the user should know."""


class WeightsWarning(PlanetVisionWarning):
    """The weights are not those that one would expect."""
