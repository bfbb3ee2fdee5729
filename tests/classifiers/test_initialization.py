"""Training that begins with a trained model, and models in half precision."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from planetvision.classifiers.classifier import PlanetClassifier
from planetvision.classifiers.initialization import read_initial_model
from planetvision.core.errors import ModelFormatError, NotFittedError, SettingsError
from planetvision.core.settings import Recipe
from planetvision.models.backbones.registry import BACKBONES, register_backbone
from planetvision.workflows.run import train_run


@pytest.fixture
def standstill(brief: Recipe) -> Recipe:
    """One epoch at a rate so low that the weights stay what they were."""
    return replace(brief, stages=(replace(brief.stages[0], epochs=1, learning_rate=1e-12),))


def get_weights(classifier: PlanetClassifier, part: str) -> list[torch.Tensor]:
    return list(getattr(classifier.network_, part).state_dict().values())


def are_close(first: list[torch.Tensor], second: list[torch.Tensor]) -> bool:
    return all(
        torch.allclose(one.float(), other.float(), atol=1e-6)
        for one, other in zip(first, second, strict=True)
    )


@pytest.mark.slow
def test_training_begins_with_the_weights_of_the_model(
    make: Any, standstill: Recipe, disc_folder: Path, tmp_path: Path
) -> None:
    trained = make(random_state=1).fit(disc_folder)
    folder = trained.save(tmp_path / "eyes" / "model")
    cold = make(recipe=standstill, random_state=2).fit(disc_folder)
    for source in (trained, folder, str(folder)):
        warm = make(recipe=standstill, random_state=2).fit(disc_folder, init_from=source)
        assert are_close(get_weights(warm, "head"), get_weights(trained, "head"))
        weight = next(iter(trained.network_.backbone.state_dict()))
        same = [classifier.network_.backbone.state_dict()[weight] for classifier in (warm, trained)]
        torch.testing.assert_close(*same, atol=1e-6, rtol=0)
    assert not are_close(get_weights(cold, "head"), get_weights(trained, "head"))
    assert warm.weights_ == "the model 'eyes/model'"


@pytest.mark.slow
def test_other_classes_keep_the_backbone_and_get_a_head_of_their_own(
    make: Any, standstill: Recipe, disc_folder: Path
) -> None:
    trained = make(random_state=1).fit(disc_folder)
    names = {label: f"new_{label}" for label in trained.classes_.tolist()}
    warm = make(recipe=standstill, random_state=2, class_map=names).fit(
        disc_folder, init_from=trained
    )
    assert not are_close(get_weights(warm, "head"), get_weights(trained, "head"))
    weight = next(iter(trained.network_.backbone.state_dict()))
    torch.testing.assert_close(
        warm.network_.backbone.state_dict()[weight],
        trained.network_.backbone.state_dict()[weight],
        atol=1e-6,
        rtol=0,
    )


@pytest.mark.slow
def test_another_backbone_is_refused(make: Any, disc_folder: Path) -> None:
    trained = make().fit(disc_folder)
    message = (
        r"must be a model with the backbone 'torchvision:mobilenet_v3_small', got a trained "
        r"classifier, which has 'tiny'\. Pass backbone='tiny'\."
    )
    with pytest.raises(SettingsError, match=message):
        make(backbone="torchvision:mobilenet_v3_small", image_size=32).fit(
            disc_folder, init_from=trained
        )


def test_backbone_of_other_shapes_is_refused_with_the_size_that_fits(
    brief: Recipe, disc_folder: Path
) -> None:
    @register_backbone("sized_for_a_test", feature_layers=())
    def make_sized(image_size: int) -> nn.Module:
        """Has a weight for each row of pixels."""
        return nn.Sequential(
            nn.AvgPool2d((1, image_size)), nn.Flatten(), nn.Linear(3 * image_size, 4)
        )

    def make(image_size: int) -> PlanetClassifier:
        return PlanetClassifier(
            "sized_for_a_test", recipe=brief, image_size=image_size, device="cpu"
        )

    try:
        small = make(32).fit(disc_folder)
        message = (
            r"whose backbone 'sized_for_a_test' has the shapes of this one, got a trained "
            r"classifier, with 1 tensor of other shapes: '2\.weight' is \(4, 96\) there and "
            r"\(4, 192\) here\. Pass image_size=32, as that model has\."
        )
        with pytest.raises(SettingsError, match=message):
            make(64).fit(disc_folder, init_from=small)
    finally:
        BACKBONES.remove("sized_for_a_test")


@pytest.mark.slow
def test_card_tells_of_the_model_it_began_with(
    make: Any, brief: Recipe, disc_folder: Path, tmp_path: Path
) -> None:
    folder = make(recipe=brief).fit(disc_folder).save(tmp_path / "eyes" / "model")
    for names, head in ((None, "including its head"), ({"red": "mars"}, "with a new head")):
        warm = make(recipe=brief, class_map=names).fit(disc_folder, init_from=folder)
        assert warm.data_["initial_model"]["has_head"] == (names is None)
        card = (warm.save(tmp_path / f"warm {head}") / "MODEL_CARD.md").read_text()
        assert f"| fine-tuned from | the model 'eyes/model'; {head} |" in card
        assert "| licence of those weights | not recorded |" in card
        assert '.fit("DATA", init_from="START")' in card
    assert "fine-tuned from" not in (folder / "MODEL_CARD.md").read_text()


def test_what_is_no_model_is_refused(make: Any, disc_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"must be the folder of a saved model, or a trained"):
        make().fit(disc_folder, init_from=3)
    with pytest.raises(ModelFormatError, match=r"There is no model folder"):
        make().fit(disc_folder, init_from=tmp_path / "nowhere")
    with pytest.raises(NotFittedError):
        make().fit(disc_folder, init_from=make())


@pytest.mark.slow
def test_run_writes_down_what_it_began_with(make: Any, disc_folder: Path, tmp_path: Path) -> None:
    folder = make().fit(disc_folder).save(tmp_path / "first")
    train_run(make(), disc_folder, tmp_path / "run", init_from=folder)
    written = json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))
    assert written["init_from"] == str(folder.absolute())
    assert written["data"] == str(disc_folder.absolute())


@pytest.mark.slow
def test_model_in_half_precision_is_half_as_large_and_answers_alike(
    make: Any, disc_folder: Path, disc_paths: list[str], tmp_path: Path
) -> None:
    trained = make().fit(disc_folder)
    whole, half = (trained.save(tmp_path / name, half=name == "half") for name in ("whole", "half"))
    sizes = [(folder / "model.safetensors").stat().st_size for folder in (whole, half)]
    assert sizes[1] < 0.65 * sizes[0]
    loaded = PlanetClassifier.load(half)
    assert {value.dtype for value in loaded.network_.parameters()} == {torch.float32}
    np.testing.assert_allclose(
        loaded.predict_proba(disc_paths), trained.predict_proba(disc_paths), atol=5e-3
    )
    again = loaded.save(tmp_path / "again", half=True)
    first, second = (load_file(folder / "model.safetensors") for folder in (half, again))
    assert {value.dtype for value in first.values() if value.is_floating_point()} == {torch.float16}
    assert all(torch.equal(value, second[name]) for name, value in first.items())


def test_weights_too_large_for_half_precision_stay_as_they_are(
    make: Any, brief: Recipe, disc_folder: Path, disc_paths: list[str], tmp_path: Path
) -> None:
    trained = make(recipe=brief).fit(disc_folder)
    name, weight = next(iter(trained.network_.head.named_parameters()))
    with torch.no_grad():
        weight.view(-1)[0] = 70_000.0
    folder = trained.save(tmp_path / "half", half=True)
    written = load_file(folder / "model.safetensors")
    assert written.pop(f"head.{name}").dtype == torch.float32
    floats = [value for value in written.values() if value.is_floating_point()]
    assert {value.dtype for value in floats} == {torch.float16}
    loaded = PlanetClassifier.load(folder)
    assert torch.equal(loaded.network_.head.state_dict()[name], weight)
    assert np.isfinite(loaded.predict_proba(disc_paths)).all()


def test_start_of_a_classifier_is_its_network(make: Any, disc_folder: Path) -> None:
    trained = make().fit(disc_folder)
    start = read_initial_model(trained)
    assert start.network is trained.network_
    assert start.classes == tuple(trained.classes_.tolist())
