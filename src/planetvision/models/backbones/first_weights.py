"""The setting `weights`: the source of a backbone's weights, or one per member of an ensemble."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

from planetvision.core.errors import UnknownNameError
from planetvision.models.backbones.spec import BackboneSpec

WeightsSource: TypeAlias = str | os.PathLike[str]
"""`pretrained`, `none` (random weights), or a file."""
WeightsSetting: TypeAlias = WeightsSource | Mapping[str, WeightsSource]
"""A source, or a mapping with the source of each member of an ensemble."""

_WORDS = ("pretrained", "none")


def is_weights_file(source: WeightsSource) -> bool:
    """Returns whether a source is a file."""
    return source not in _WORDS


def list_sources(weights: WeightsSetting, backbone: BackboneSpec) -> dict[str, WeightsSource]:
    """Returns the source of each member in the setting, or the source of the whole backbone."""
    return dict(weights) if isinstance(weights, Mapping) else {backbone.name: weights}


def find_weights_problems(
    weights: Any, backbone: BackboneSpec | None, *, with_files: bool = True
) -> list[str]:
    """Returns the problems of the setting.

    Args:
        weights: The setting as given.
        backbone: The backbone; None if it is unknown.
        with_files: Whether files must exist.
    """
    if not isinstance(weights, Mapping):
        return _find_source_problems("`weights`", weights, with_files=with_files)
    problems = []
    if backbone is not None and not backbone.members:
        problems.append(
            f"`weights` names sources by member, got {dict(weights)!r}, and the backbone "
            f"'{backbone.name}' is not an ensemble. Pass one of 'pretrained', 'none' or a file."
        )
    elif backbone is not None:
        members = list(dict.fromkeys(member.name for member in backbone.members))
        listed = ", ".join(members)
        problems += [
            UnknownNameError.among(
                f"`weights` names {name!r}, which is not a member of '{backbone.name}'.",
                known=members,
                remedy=f"Members: {listed}.",
                family="backbones",
                name=str(name),
            ).message
            for name in weights
            if name not in members
        ]
        problems += [
            f"`weights` has no source for the member '{name}' of '{backbone.name}'. Add "
            f"'{name}': 'pretrained', 'none' or a file."
            for name in members
            if name not in weights
        ]
    for name, source in weights.items():
        problems += _find_source_problems(f"`weights` of {name!r}", source, with_files=with_files)
    return problems


def _find_source_problems(what: str, source: Any, *, with_files: bool) -> list[str]:
    is_named = isinstance(source, str | os.PathLike)
    if is_named and not (with_files and is_weights_file(source) and not Path(source).is_file()):
        return []
    return [
        f"{what} must be 'pretrained', 'none' or a file, and there is no file {source!r}. "
        "Check the path."
    ]


def describe_weights(weights: WeightsSetting, backbone: BackboneSpec) -> str | dict[str, str]:
    """Returns the source of the initial weights; for a file its name without the path."""
    if not isinstance(weights, Mapping):
        return _describe_source(weights, backbone)
    return {
        member.name: _describe_source(weights[member.name], member) for member in backbone.members
    }


def _describe_source(source: WeightsSource, backbone: BackboneSpec) -> str:
    if is_weights_file(source):
        return f"file {Path(source).name}"
    return (backbone.weights if source == "pretrained" else "") or "none"


def format_weights(described: str | Mapping[str, str]) -> str:
    """Returns the result of `describe_weights` on one line."""
    if isinstance(described, str):
        return described
    return "; ".join(f"{name}: {source}" for name, source in described.items())


def make_weights_absolute(weights: Any) -> Any:
    """Returns the setting with absolute paths; wrong values are kept."""
    if isinstance(weights, Mapping):
        return {name: make_weights_absolute(source) for name, source in weights.items()}
    if isinstance(weights, str | os.PathLike) and is_weights_file(weights):
        return os.path.abspath(weights)  # noqa: PTH100 - Path.absolute keeps ".."
    return weights
