"""Every exception and warning that planetvision raises.

Each exception is a `PlanetVisionError` and also the built-in that a caller would expect to catch.
All take one positional message and keep their facts in keyword-only fields, so that they survive
pickling (an error raised in a loader worker reaches the parent whole).
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Sequence

__all__ = [
    "CheckpointError",
    "ConversionWarning",
    "DataError",
    "DataWarning",
    "DuplicateNameError",
    "ExplanationError",
    "ImageError",
    "MissingExtraError",
    "ModelFormatError",
    "NotFittedError",
    "OutputError",
    "OutputExistsError",
    "PlanetVisionError",
    "PlanetVisionWarning",
    "PluginError",
    "PluginWarning",
    "SettingsError",
    "SourceNotFoundError",
    "SplitWarning",
    "TrainingError",
    "TrainingWarning",
    "UnknownNameError",
    "WeightsError",
    "WeightsWarning",
    "count",
    "itemize",
]


def itemize(heading: str, problems: Sequence[str], limit: int = 20) -> str:
    """Returns `heading` followed by one line a problem, the rest counted after `limit` lines."""
    if len(problems) == 1:
        return f"{heading} {problems[0]}"
    lines = [f"  - {problem}" for problem in problems[:limit]]
    if len(problems) > limit:
        lines.append(f"  ... and {len(problems) - limit} more")
    return "\n".join([heading, *lines])


def count(number: int, noun: str) -> str:
    """Returns the number with its noun, in the singular where there is one."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


class PlanetVisionError(Exception):
    """The base of every error that planetvision raises on purpose."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    def __str__(self) -> str:
        return self.message


class SettingsError(PlanetVisionError, ValueError):
    """One or more settings are wrong; `problems` names each of them."""

    def __init__(self, message: str, *, problems: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.problems = tuple(problems) or (message,)

    @classmethod
    def from_problems(cls, problems: Sequence[str]) -> SettingsError:
        """Returns one error that reports all `problems` at once."""
        heading = "" if len(problems) == 1 else f"{len(problems)} settings are wrong:"
        return cls(itemize(heading, problems).strip(), problems=problems)


class UnknownNameError(SettingsError, LookupError):
    """A registry has no entry of that name."""

    def __init__(
        self,
        message: str,
        *,
        family: str = "",
        name: str = "",
        suggestions: Sequence[str] = (),
    ) -> None:
        super().__init__(message)
        self.family = family
        self.name = name
        self.suggestions = tuple(suggestions)

    @classmethod
    def among(
        cls, statement: str, *, known: Collection[str], remedy: str, family: str, name: str
    ) -> UnknownNameError:
        """Returns the error that suggests the known names most like the one that was given.

        Args:
            statement: What was given, such as "Unknown head 'liner'."
            known: The names that there are.
            remedy: What to do, after the suggestion.
            family: What the names are names of.
            name: The name as it was asked for; what precedes a colon is not compared.
        """
        spelt = name.rpartition(":")[2].lower()
        near = difflib.get_close_matches(spelt, known, n=3, cutoff=0.6)
        hint = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
        return cls(f"{statement}{hint} {remedy}", family=family, name=name, suggestions=near)


class DuplicateNameError(PlanetVisionError, ValueError):
    """A registry has an entry of that name already."""

    def __init__(self, message: str, *, family: str = "", name: str = "") -> None:
        super().__init__(message)
        self.family = family
        self.name = name


class PluginError(PlanetVisionError, ImportError):
    """An installed plugin could not be loaded; `distribution` says whose it is."""

    def __init__(self, message: str, *, name: str | None = None, distribution: str = "") -> None:
        super().__init__(message)
        self.name = name
        self.distribution = distribution


class MissingExtraError(PlanetVisionError, ImportError):
    """A feature needs a package that is not installed; `extra` is the extra that brings it."""

    def __init__(
        self, message: str, *, feature: str = "", package: str = "", extra: str = ""
    ) -> None:
        super().__init__(message)
        self.feature = feature
        self.package = package
        self.extra = extra

    @classmethod
    def for_feature(cls, feature: str, *, package: str, extra: str) -> MissingExtraError:
        """Returns the error for `feature`, which needs `package` from the extra `extra`."""
        return cls(
            f"{feature} needs the package '{package}', which is not installed. "
            f'Install it with: pip install "planetvision[{extra}]"',
            feature=feature,
            package=package,
            extra=extra,
        )


class DataError(PlanetVisionError, ValueError):
    """The data cannot be used as they are; `problems` names each fault."""

    def __init__(self, message: str, *, problems: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.problems = tuple(problems) or (message,)


class SourceNotFoundError(DataError, FileNotFoundError):
    """A file or folder that was named does not exist."""

    def __init__(self, message: str, *, source: str = "") -> None:
        super().__init__(message)
        self.source = source


class ImageError(PlanetVisionError, OSError):
    """A source could not be decoded to an image; `source` names it and `cause` says why."""

    def __init__(self, message: str, *, source: str = "", cause: str = "") -> None:
        super().__init__(message)
        self.source = source
        self.cause = cause


class WeightsError(PlanetVisionError, RuntimeError):
    """Pretrained weights cannot be had; `tried` lists the places that were looked at."""

    def __init__(self, message: str, *, backbone: str = "", tried: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.backbone = backbone
        self.tried = tuple(tried)


class ModelFormatError(PlanetVisionError, ValueError):
    """A folder does not hold a model that this version can load."""

    def __init__(self, message: str, *, path: str = "") -> None:
        super().__init__(message)
        self.path = path


class NotFittedError(PlanetVisionError, ValueError, AttributeError):
    """A method that needs a fitted classifier was called before `fit` or `load`."""


class OutputError(PlanetVisionError, OSError):
    """Results cannot be written where they were asked for."""

    def __init__(self, message: str, *, path: str = "") -> None:
        super().__init__(message)
        self.path = path


class OutputExistsError(OutputError, FileExistsError):
    """Writing would replace files that are already there."""


class TrainingError(PlanetVisionError, RuntimeError):
    """Training cannot go on; `stage`, `epoch` and `step` say where it stopped."""

    def __init__(self, message: str, *, stage: str = "", epoch: int = 0, step: int = 0) -> None:
        super().__init__(message)
        self.stage = stage
        self.epoch = epoch
        self.step = step


class CheckpointError(PlanetVisionError, ValueError):
    """A training cannot go on from a checkpoint; `differences` names the settings that differ."""

    def __init__(self, message: str, *, path: str = "", differences: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.path = path
        self.differences = tuple(differences)


class ExplanationError(PlanetVisionError, RuntimeError):
    """No explanation can be drawn from this layer or this model."""


class PlanetVisionWarning(UserWarning):
    """The base of every warning that planetvision gives."""


class DataWarning(PlanetVisionWarning):
    """Something about the data that a person should know; the work goes on."""


class ConversionWarning(PlanetVisionWarning):
    """An image lost depth on its way to 8 bits, by a stretch that nobody chose."""


class PluginWarning(PlanetVisionWarning):
    """An installed plugin is passed over; everything else works."""


class SplitWarning(PlanetVisionWarning):
    """A split is not quite as it was asked for; the work goes on."""


class TrainingWarning(PlanetVisionWarning):
    """Something about a training that a person should know; it goes on."""


class WeightsWarning(PlanetVisionWarning):
    """The weights are not what one would expect; the work goes on."""
