"""The options of the settings of `PlanetClassifier`, and how values are read."""

from __future__ import annotations

import dataclasses
from typing import get_args

import pytest
import typer

from planetvision.classifiers import PlanetClassifier
from planetvision.cli.options import parse_pairs, parse_weights, with_settings
from planetvision.core.errors import SettingsError
from planetvision.core.settings import Framing
from planetvision.training.settings import ClassifierSettings


def test_settings_are_the_arguments_of_the_classifier() -> None:
    defaults = {field.name: field.default for field in dataclasses.fields(ClassifierSettings)}
    assert PlanetClassifier().get_params() == defaults


def test_command_gets_the_settings_that_were_chosen_as_one_mapping() -> None:
    seen: list[object] = []

    @with_settings("framing", "group_duplicates", "progress", "random_state", "weights")
    def command(data: str, *, settings: object, extra: int = 1) -> None:
        seen.extend([data, settings, extra])

    group = typer.Typer()
    group.command()(command)
    described = {item.name: item for item in typer.main.get_command(group).params}
    assert list(described)[:1] == ["data"]
    assert described["random_state"].opts == ["--seed"]
    assert described["progress"].opts == ["--quiet"]
    assert not described["progress"].secondary_opts
    assert described["group_duplicates"].secondary_opts == ["--no-group-duplicates"]
    arguments = ["x", "--framing", "body", "--quiet", "--weights", "a", "--weights", "b"]
    group(arguments, standalone_mode=False)
    assert seen == [
        "x",
        {
            "framing": "body",
            "weights": ["a", "b"],
            "group_duplicates": True,
            "random_state": 0,
            "progress": False,
        },
        1,
    ]


@pytest.mark.parametrize("value", get_args(Framing))
def test_choices_are_those_of_the_literal(value: str) -> None:
    seen: list[object] = []

    @with_settings("framing")
    def command(*, settings: object) -> None:
        seen.append(settings)

    group = typer.Typer()
    group.command()(command)
    group(["--framing", value], standalone_mode=False)
    assert seen == [{"framing": value}]


def test_parse_pairs_gives_a_mapping_and_reports_all_that_is_wrong() -> None:
    assert parse_pairs(["a=b", "c="], "--class") == {"a": "b", "c": None}
    assert parse_pairs([], "--class") is None
    with pytest.raises(SettingsError, match="--class") as caught:
        parse_pairs(["a", "b=1", "b=2"], "--class")
    assert len(caught.value.problems) == 2


def test_parse_weights_gives_one_source_or_a_mapping() -> None:
    assert parse_weights(None) == "pretrained"
    assert parse_weights(["none"]) == "none"
    assert parse_weights(["a=none", "b=x.pth"]) == {"a": "none", "b": "x.pth"}
