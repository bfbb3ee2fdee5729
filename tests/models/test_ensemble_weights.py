"""Weights for each member of an ensemble, through all that stores or takes the setting."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from sklearn.base import clone

from planetvision.classifiers.classifier import PlanetClassifier
from planetvision.cli import main as cli
from planetvision.core.errors import CheckpointError, WeightsWarning
from planetvision.core.settings import Recipe
from planetvision.models.backbones.registry import BACKBONES
from planetvision.models.backbones.tiny import TinyBackbone
from planetvision.training.callbacks import Callback
from planetvision.training.state import TrainingState
from planetvision.workflows.crossval import cross_validate, resume_cross_validation
from planetvision.workflows.run import resume_run, train_run

OTHER = "other_for_a_test"
ENSEMBLE = f"ensemble:tiny+{OTHER}"
Make = Callable[..., PlanetClassifier]


class Stop(Callback):
    """Presses Ctrl-C after the first epoch of the first training."""

    def on_epoch_end(self, state: TrainingState, record: object) -> None:
        raise KeyboardInterrupt


@pytest.fixture(autouse=True)
def other(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = replace(BACKBONES.get("tiny"), name=OTHER, weights="made up", licence="MIT")
    monkeypatch.setitem(BACKBONES._entries, OTHER, spec)


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A file of weights, by its path from the working directory."""
    monkeypatch.chdir(tmp_path)
    torch.save(TinyBackbone().state_dict(), "own.pth")
    return "own.pth"


@pytest.fixture
def make_both(make: Any, brief: Recipe, file: str) -> Make:
    def create(**arguments: Any) -> PlanetClassifier:
        weights = {"tiny": file, OTHER: "pretrained"}
        arguments = {"recipe": brief, "weights": weights, **arguments}
        classifier: PlanetClassifier = make(backbone=ENSEMBLE, **arguments)
        return classifier

    return create


@pytest.mark.parametrize(
    "weights",
    [
        "pretrained",
        "none",
        "own.pth",
        Path("own.pth"),
        {"tiny": "own.pth", OTHER: "pretrained"},
        {OTHER: Path("own.pth"), "tiny": "none"},
    ],
)
def test_setting_is_cloned_as_given_and_comes_back_from_json_with_absolute_paths(
    weights: Any, make_both: Make, tmp_path: Path
) -> None:
    classifier = make_both(weights=weights)
    assert classifier.get_params()["weights"] is weights
    assert clone(classifier).weights == weights
    stored = json.loads(json.dumps(classifier.to_settings()))
    again = PlanetClassifier.from_settings(stored)
    found = again.weights

    def expect(source: Any) -> Any:
        return str(tmp_path / "own.pth") if str(source) == "own.pth" else source

    if isinstance(weights, dict):
        assert found == {name: expect(source) for name, source in weights.items()}
    else:
        assert found == expect(weights)
    assert json.loads(json.dumps(again.to_settings())) == stored


@pytest.mark.slow
def test_model_its_card_and_its_evaluation_say_where_each_member_started(
    make_both: Make, disc_folder: Path, tmp_path: Path
) -> None:
    classifier = make_both().fit(disc_folder)
    expected = {"tiny": "file own.pth", OTHER: "made up"}
    assert classifier.weights_ == expected
    loaded = PlanetClassifier.load(classifier.save(tmp_path / "model"), device="cpu")
    assert loaded.weights_ == expected
    folder = loaded.save(tmp_path / "again")
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    assert config["backbone"]["weights"] == expected
    card = (folder / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "tiny: file own.pth; other\\_for\\_a\\_test: made up" in card
    assert f'"weights": {{"tiny": "FILE", "{OTHER}": "pretrained"}}}}' in card
    assert "| licence of those weights | not recorded |" in card
    about = loaded.evaluate(disc_folder, explain=False).about["model"]
    assert about["weights before training"] == f"tiny: file own.pth; {OTHER}: made up"


@pytest.mark.parametrize(
    ("sources", "licence"),
    [
        (("none", "pretrained"), "MIT"),
        (("none", "none"), "none: it started from random weights"),
        (("file", "pretrained"), "not recorded"),
    ],
)
def test_card_tells_the_licence_where_no_weights_are_of_a_file(
    sources: tuple[str, str],
    licence: str,
    make_both: Make,
    file: str,
    disc_folder: Path,
    tmp_path: Path,
) -> None:
    given = [file if source == "file" else source for source in sources]
    classifier = make_both(weights=dict(zip(("tiny", OTHER), given, strict=True)))
    folder = classifier.fit(disc_folder).save(tmp_path / "model")
    card = (folder / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert f"| licence of those weights | {licence} |" in card


def test_frozen_random_member_is_warned_of_by_name(
    make_both: Make, brief: Recipe, disc_folder: Path
) -> None:
    frozen = replace(brief, stages=(replace(brief.stages[0], trainable_blocks=0, views=1),))
    weights = {"tiny": "none", OTHER: "pretrained"}
    with pytest.warns(WeightsWarning, match="The backbone 'tiny' starts without pretrained"):
        make_both(recipe=frozen, weights=weights).fit(disc_folder)


@pytest.mark.slow
def test_run_that_was_cut_off_goes_on_with_the_weights_of_each_member(
    make_both: Make, quick_recipe: Recipe, disc_folder: Path, tmp_path: Path
) -> None:
    two = replace(quick_recipe, stages=(replace(quick_recipe.stages[0], epochs=2),))
    with pytest.raises(KeyboardInterrupt):
        train_run(make_both(recipe=two), disc_folder, tmp_path / "run", callbacks=[Stop()])
    stored = json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))["settings"]
    expected = {"tiny": str(tmp_path / "own.pth"), OTHER: "pretrained"}
    assert stored["weights"] == expected
    run = resume_run(tmp_path / "run")
    assert run.classifier.weights == expected
    assert run.classifier.weights_ == {"tiny": "file own.pth", OTHER: "made up"}


@pytest.mark.slow
def test_cross_validation_goes_on_with_the_same_weights_and_no_others(
    make_both: Make, quick_recipe: Recipe, disc_folder: Path, tmp_path: Path
) -> None:
    two = replace(quick_recipe, stages=(replace(quick_recipe.stages[0], epochs=2),))
    out = tmp_path / "folds"
    with pytest.raises(KeyboardInterrupt):
        cross_validate(make_both(recipe=two), disc_folder, out, num_folds=2, callbacks=[Stop()])
    changed = make_both(recipe=two, weights={"tiny": "own.pth", OTHER: "none"})
    with pytest.raises(CheckpointError, match=r"weights: it was \{.*\}, now it is \{.*'none'\}"):
        cross_validate(changed, disc_folder, out, num_folds=2, resume=True)
    assert resume_cross_validation(out).evaluation.metrics["n"] == 24


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Any]:
    """Returns the weights of the classifier that a command makes, or what it complains of."""
    given: list[Any] = []

    def record(classifier: PlanetClassifier, *arguments: object, **options: object) -> None:
        given.append(classifier.weights)
        raise KeyboardInterrupt

    monkeypatch.setattr("planetvision.workflows.run.train_run", record)
    monkeypatch.setattr("planetvision.workflows.crossval.cross_validate", record)

    def call(name: str, *options: str) -> Any:
        with pytest.raises(SystemExit):
            cli.main([name, "data", "--out", str(tmp_path / "out"), *options])
        return given.pop() if given else None

    return call


@pytest.mark.parametrize("name", ["train", "crossval"])
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], "pretrained"),
        (["--weights", "none"], "none"),
        (["--weights", "own.pth"], "own.pth"),
        (["--weights", "a=b.pth"], "a=b.pth"),
        (
            ["--weights", "tiny=own.pth", "--weights", f"{OTHER}=a=b.pth"],
            {"tiny": "own.pth", OTHER: "a=b.pth"},
        ),
        (
            ["--weights", f"{OTHER}=none", "--weights", "timm:resnet18=pretrained"],
            {OTHER: "none", "timm:resnet18": "pretrained"},
        ),
        (["--weights", "tiny=own.pth"], {"tiny": "own.pth"}),
    ],
)
def test_options_are_the_weights_of_the_classifier(
    name: str, options: list[str], expected: Any, file: str, command: Callable[..., Any]
) -> None:
    Path("a=b.pth").touch()
    assert command(name, *options) == expected


@pytest.mark.parametrize("name", ["train", "crossval"])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--weights", "tiny=a.pth", "--weights", "tiny=b.pth"],
            "--weights names 'tiny' twice, with 'a.pth' and 'b.pth'.",
        ),
        (
            ["--weights", "none", "--weights", "tiny=none"],
            "--weights takes NAME=VALUE, got 'none'.",
        ),
        (["--class", "luna=moon", "--class", "luna="], "--class names 'luna' twice, with 'moon'"),
    ],
)
def test_options_that_contradict_are_refused(
    name: str,
    options: list[str],
    message: str,
    command: Callable[..., Any],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert command(name, *options) is None
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--backbone", "tiny", "--weights", "tiny=own.pth"], "'tiny' is not an ensemble"),
        (["--backbone", ENSEMBLE, "--weights", "tiny=own.pth"], f"for the member '{OTHER}'"),
        (
            ["--backbone", ENSEMBLE, "--weights", "tiny=none", "--weights", f"{OTHER}="],
            f"`weights` of '{OTHER}' must be 'pretrained', 'none' or a file",
        ),
    ],
)
def test_weights_of_the_wrong_members_end_the_command_before_the_data_are_read(
    options: list[str],
    message: str,
    file: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["train", "no_data", "--out", str(tmp_path / "out"), *options])
    assert ended.value.code == 2
    assert message in capsys.readouterr().err
