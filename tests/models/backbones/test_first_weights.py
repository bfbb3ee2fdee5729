"""The weights that the members of an ensemble start from."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from torch import nn
from torchvision import models

from planetvision.classifiers.classifier import PlanetClassifier
from planetvision.core.errors import SettingsError, WeightsError, WeightsWarning
from planetvision.evaluation.audit.auditor import audit
from planetvision.models.backbones.registry import BACKBONES
from planetvision.models.backbones.tiny import TinyBackbone
from planetvision.models.network import create_network
from planetvision.workflows.crossval import cross_validate
from planetvision.workflows.run import train_run

MEMBERS = ("first_for_a_test", "second_for_a_test")
ENSEMBLE = f"ensemble:{'+'.join(MEMBERS)}"


def build(pretrained: bool = True) -> nn.Module:
    module = TinyBackbone()
    if pretrained:
        for value in module.parameters():
            nn.init.constant_(value, 0.5)
    return module


@pytest.fixture(autouse=True)
def members(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two small backbones with pretrained weights."""
    for name in MEMBERS:
        spec = replace(BACKBONES.get("tiny"), name=name, build=build, weights="made up")
        monkeypatch.setitem(BACKBONES._entries, name, spec)


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """A file of weights for each member, all of its values alike."""
    places = {name: tmp_path / f"{name}.pth" for name in MEMBERS}
    for number, path in enumerate(places.values(), start=2):
        state = TinyBackbone().state_dict()
        torch.save({name: torch.full_like(value, number) for name, value in state.items()}, path)
    return places


def read_first_values(network: nn.Module) -> list[float]:
    parts = cast(nn.ModuleList, network.get_submodule("backbone.members"))
    return [next(part.parameters()).detach().flatten()[0].item() for part in parts]


def test_state_dicts_of_torchvision_are_the_weights_of_the_members(tmp_path: Path) -> None:
    names = ("efficientnet_b3", "resnet50")
    given = {name: models.get_model(name, weights=None).state_dict() for name in names}
    weights = {name: tmp_path / f"{name}.pth" for name in names}
    for name, path in weights.items():
        torch.save(given[name], path)
    network = create_network(f"ensemble:{'+'.join(names)}", num_classes=2, weights=weights)
    for name, part in zip(names, network.backbone.get_submodule("members").children(), strict=True):
        found = part.state_dict()
        assert len(found) == len(given[name]) - 2, "all but the classifier"
        assert all(torch.equal(value, given[name][key]) for key, value in found.items())


@pytest.mark.parametrize(
    "sources", list(itertools.product(["pretrained", "none", "file"], repeat=2))
)
def test_every_member_has_the_weights_of_its_own_source(
    sources: tuple[str, str], files: dict[str, Path]
) -> None:
    weights = {
        name: files[name] if source == "file" else source
        for name, source in zip(reversed(MEMBERS), reversed(sources), strict=True)
    }
    network = create_network(ENSEMBLE, num_classes=2, weights=weights, seed=0)
    drawn = read_first_values(create_network(ENSEMBLE, num_classes=2, weights="none", seed=0))
    for place, (source, value) in enumerate(zip(sources, read_first_values(network), strict=True)):
        expected = {"pretrained": 0.5, "file": 2.0 + place, "none": None}[source]
        if expected is None:
            assert value not in (0.5, 2.0, 3.0)
        else:
            assert value == expected
    if sources == ("none", "none"):
        assert read_first_values(network) == drawn


def test_member_that_occurs_twice_has_its_weights_in_both_places(files: dict[str, Path]) -> None:
    name = MEMBERS[1]
    network = create_network(
        f"ensemble:{name}+{name}", num_classes=2, weights={name: str(files[name])}
    )
    assert read_first_values(network) == [3.0, 3.0]


def test_one_file_for_the_whole_ensemble_works_as_ever(tmp_path: Path) -> None:
    network = create_network(ENSEMBLE, num_classes=2, weights="pretrained")
    torch.save(network.backbone.state_dict(), tmp_path / "both.pth")
    again = create_network(ENSEMBLE, num_classes=2, weights=tmp_path / "both.pth")
    assert read_first_values(again) == [0.5, 0.5]


def test_member_without_pretrained_weights_is_warned_of_where_they_are_asked_for() -> None:
    weights = {MEMBERS[0]: "pretrained", "tiny": "pretrained"}
    with pytest.warns(WeightsWarning, match="The member 'tiny' of the ensemble has no pretrained"):
        create_network(f"ensemble:{MEMBERS[0]}+tiny", num_classes=2, weights=weights)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        create_network(
            f"ensemble:{MEMBERS[0]}+tiny", num_classes=2, weights={**weights, "tiny": "none"}
        )


def test_file_of_a_member_that_does_not_fit_is_refused_in_its_name(
    files: dict[str, Path],
) -> None:
    torch.save({"other.weight": torch.zeros(1)}, files[MEMBERS[1]])
    with pytest.raises(WeightsError, match=rf"do not fit the backbone '{MEMBERS[1]}'"):
        create_network(ENSEMBLE, num_classes=2, weights=files)


def test_wrong_file_is_refused_before_any_member_is_built(
    files: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(pretrained: bool = True) -> nn.Module:
        raise AssertionError("it may download for minutes")

    spec = replace(BACKBONES.get(MEMBERS[0]), build=refuse)
    monkeypatch.setitem(BACKBONES._entries, MEMBERS[0], spec)
    weights: dict[str, str | Path] = {MEMBERS[0]: "pretrained", MEMBERS[1]: files[MEMBERS[1]]}
    files[MEMBERS[1]].write_text("not weights")
    with pytest.raises(WeightsError, match=r"not a weights file|cannot be read"):
        create_network(ENSEMBLE, num_classes=2, weights=weights)
    with pytest.raises(WeightsError, match=r"There is no weights file 'nowhere\.pth'"):
        create_network(ENSEMBLE, num_classes=2, weights={**weights, MEMBERS[1]: "nowhere.pth"})


WRONG: list[tuple[str, Any, list[str]]] = [
    (
        ENSEMBLE,
        {MEMBERS[0]: "none", "secnd_for_a_test": "none"},
        [
            f"`weights` names 'secnd_for_a_test', which is not a member of '{ENSEMBLE}'. Did you "
            f"mean '{MEMBERS[1]}'",
            f"`weights` has no source for the member '{MEMBERS[1]}' of '{ENSEMBLE}'. Add",
        ],
    ),
    (ENSEMBLE, {MEMBERS[0]: "none"}, [f"no source for the member '{MEMBERS[1]}'"]),
    (ENSEMBLE, {}, [f"no source for the member '{name}'" for name in MEMBERS]),
    (
        ENSEMBLE,
        {MEMBERS[0]: "none", MEMBERS[1]: "none", 3: "none"},
        ["names 3, which is not a member"],
    ),
    (ENSEMBLE, {MEMBERS[0]: "none", MEMBERS[1]: None}, [f"`weights` of '{MEMBERS[1]}' must be"]),
    ("tiny", {"tiny": "none"}, ["names sources by member, got {'tiny': 'none'}, and the backbone"]),
    ("tiny", 5, ["`weights` must be 'pretrained', 'none' or a file, and there is no file 5."]),
    ("tiny", ["none"], ["`weights` must be 'pretrained', 'none' or a file"]),
]


@pytest.mark.parametrize("way", ["create_network", "fit", "audit", "cross_validate", "train_run"])
@pytest.mark.parametrize(("backbone", "weights", "messages"), WRONG)
def test_wrong_weights_are_refused_before_data_are_read(
    way: str, backbone: str, weights: Any, messages: list[str], tmp_path: Path
) -> None:
    classifier = PlanetClassifier(backbone, weights=weights)
    calls: Mapping[str, Any] = {
        "create_network": lambda: create_network(backbone, num_classes=2, weights=weights),
        "fit": lambda: classifier.fit("nowhere"),
        "audit": lambda: audit("nowhere", backbone=backbone, weights=weights),
        "cross_validate": lambda: cross_validate(classifier, "nowhere", tmp_path / "out"),
        "train_run": lambda: train_run(classifier, "nowhere", tmp_path / "out"),
    }
    with pytest.raises(SettingsError) as caught:
        calls[way]()
    for message in messages:
        assert message in str(caught.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "use",
    [
        lambda weights: PlanetClassifier(ENSEMBLE, weights=weights).fit("no_data"),
        lambda weights: audit("no_data", backbone=ENSEMBLE, weights=weights),
    ],
)
def test_file_of_a_member_that_is_missing_is_named_before_data_are_read(
    use: Callable[[Any], object],
) -> None:
    message = rf"`weights` of '{MEMBERS[1]}' must be .* there is no file 'nowhere\.pth'"
    with pytest.raises(SettingsError, match=message):
        use({MEMBERS[0]: "none", MEMBERS[1]: "nowhere.pth"})
