"""Errors: each is its built-in too, keeps its fields, and survives pickling."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from planetvision.core import errors
from planetvision.core.errors import MissingExtraError, PlanetVisionError, SettingsError, itemize

# Each class: the built-ins that a caller would catch, and a value for each of its fields.
CASES: dict[str, tuple[tuple[type[Exception], ...], dict[str, Any]]] = {
    "PlanetVisionError": ((Exception,), {}),
    "SettingsError": ((ValueError,), {"problems": ("one", "two")}),
    "UnknownNameError": (
        (ValueError, LookupError),
        {"family": "heads", "name": "liner", "suggestions": ("linear",)},
    ),
    "DuplicateNameError": ((ValueError,), {"family": "heads", "name": "mlp"}),
    "PluginError": ((ImportError,), {"name": "net", "distribution": "their-package"}),
    "MissingExtraError": (
        (ImportError,),
        {"feature": "a log", "package": "tensorboard", "extra": "tensorboard"},
    ),
    "DataError": ((ValueError,), {"problems": ("one", "two")}),
    "SourceNotFoundError": ((ValueError, FileNotFoundError), {"source": "a.png"}),
    "ImageError": ((OSError,), {"source": "a.png", "cause": "it is empty"}),
    "WeightsError": ((RuntimeError,), {"backbone": "resnet50", "tried": ("hub", "cache")}),
    "ModelFormatError": ((ValueError,), {"path": "model/"}),
    "NotFittedError": ((ValueError, AttributeError), {}),
    "OutputError": ((OSError,), {"path": "out/"}),
    "OutputExistsError": ((OSError, FileExistsError), {"path": "out/"}),
    "TrainingError": ((RuntimeError,), {"stage": "probe", "epoch": 3, "step": 7}),
    "CheckpointError": ((ValueError,), {"path": "run/", "differences": ("seed: 1",)}),
    "ExplanationError": ((RuntimeError,), {}),
}


def test_every_error_of_the_module_has_a_case() -> None:
    defined = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, PlanetVisionError)
    }
    assert defined == set(CASES)


@pytest.mark.parametrize("name", CASES)
def test_error_is_the_built_in_and_shows_its_message(name: str) -> None:
    built_ins, fields = CASES[name]
    error = getattr(errors, name)("what went wrong", **fields)
    assert isinstance(error, (PlanetVisionError, *built_ins))
    for built_in in built_ins:
        assert isinstance(error, built_in)
    # LookupError's children show the repr of their message; ours show the message.
    assert str(error) == "what went wrong"


@pytest.mark.parametrize("name", CASES)
def test_error_after_pickling_has_its_type_message_and_fields(name: str) -> None:
    _, fields = CASES[name]
    error = getattr(errors, name)("what went wrong", **fields)
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert str(copy) == "what went wrong"
    for field, value in fields.items():
        assert getattr(copy, field) == value


def test_warnings_share_a_base_that_is_a_user_warning() -> None:
    for name in ("ConversionWarning", "DataWarning", "PluginWarning", "TrainingWarning"):
        warning = getattr(errors, name)
        assert issubclass(warning, errors.PlanetVisionWarning)
        assert issubclass(warning, UserWarning)


def test_settings_error_from_one_problem_is_that_problem() -> None:
    error = SettingsError.from_problems(["`seed` must be an integer."])
    assert str(error) == "`seed` must be an integer."
    assert error.problems == ("`seed` must be an integer.",)


def test_settings_error_from_several_problems_counts_and_lists_them() -> None:
    error = SettingsError.from_problems(["first.", "second."])
    assert str(error) == "2 settings are wrong:\n  - first.\n  - second."
    assert error.problems == ("first.", "second.")


def test_settings_error_without_problems_is_its_own_problem() -> None:
    assert SettingsError("alone").problems == ("alone",)


def test_itemize_over_the_limit_counts_the_rest() -> None:
    text = itemize("Bad files:", ["a", "b", "c", "d"], limit=3)
    assert text == "Bad files:\n  - a\n  - b\n  - c\n  ... and 1 more"
    assert itemize("Bad files:", ["a", "b"], limit=2) == "Bad files:\n  - a\n  - b"
    assert itemize("Bad file:", ["a"]) == "Bad file: a"


def test_missing_extra_names_feature_package_and_command() -> None:
    error = MissingExtraError.for_feature("The log", package="tensorboard", extra="logs")
    assert str(error) == (
        "The log needs the package 'tensorboard', which is not installed. "
        'Install it with: pip install "planetvision[logs]"'
    )
    assert (error.feature, error.package, error.extra) == ("The log", "tensorboard", "logs")
