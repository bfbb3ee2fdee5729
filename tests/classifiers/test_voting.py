"""Models that vote: the mean of what they say, their maps together, and the folder of them all."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from planetvision.classifiers.classifier import PlanetClassifier
from planetvision.classifiers.voting import VotingPlanetClassifier, load_classifier
from planetvision.core.errors import ModelFormatError, NotFittedError, SettingsError
from planetvision.core.settings import Recipe
from planetvision.data import Catalog
from planetvision.workflows.verification import verify


@pytest.fixture(scope="module")
def second(disc_folder: Path, quick_recipe: Recipe) -> PlanetClassifier:
    """Another tiny classifier of the same discs."""
    settings: dict[str, Any] = {"recipe": quick_recipe, "image_size": 48, "random_state": 1}
    return PlanetClassifier("tiny", device="cpu", **settings).fit(disc_folder)


@pytest.fixture(scope="module")
def voting(trained_once: PlanetClassifier, second: PlanetClassifier) -> VotingPlanetClassifier:
    return VotingPlanetClassifier([trained_once, second])


@pytest.mark.slow
def test_probabilities_and_novelty_are_the_means_of_the_models(
    voting: VotingPlanetClassifier,
    trained: PlanetClassifier,
    second: PlanetClassifier,
    disc_paths: list[str],
) -> None:
    one, other = trained.predict(disc_paths), second.predict(disc_paths)
    both = voting.predict(disc_paths)
    expected = (one.probabilities + other.probabilities) / 2
    np.testing.assert_allclose(both.probabilities, expected)
    assert both.novelty is not None
    assert one.novelty is not None
    assert other.novelty is not None
    np.testing.assert_allclose(both.novelty, (one.novelty + other.novelty) / 2)
    assert both.threshold == pytest.approx((one.threshold + other.threshold) / 2)
    uneven = VotingPlanetClassifier([trained, second], weights=[3, 1]).predict_proba(disc_paths)
    np.testing.assert_allclose(uneven, 0.75 * one.probabilities + 0.25 * other.probabilities)


def test_rate_of_0_calls_nothing_unknown_and_a_broken_file_is_a_row(
    voting: VotingPlanetClassifier, disc_paths: list[str], tmp_path: Path
) -> None:
    broken = tmp_path / "broken.png"
    broken.write_text("no image")
    predictions = voting.predict([disc_paths[0], str(broken)], rejection_rate=0, tta="flips")
    assert predictions.threshold == math.inf
    assert [row.error == "" for row in predictions] == [True, False]


@pytest.mark.slow
def test_evaluation_has_the_numbers_of_the_mean(
    voting: VotingPlanetClassifier, disc_folder: Path, disc_paths: list[str], disc_labels: list[str]
) -> None:
    evaluation = voting.evaluate(disc_folder, negatives=[np.zeros((40, 40, 3), np.uint8)])
    assert evaluation.accuracy == voting.score(disc_paths, disc_labels)
    assert "uncalibrated" not in evaluation.metrics, "each model has a temperature of its own"
    assert evaluation.metrics["rejection"]["num_negatives"] == 1
    assert evaluation.explanations is not None
    assert evaluation.about["model"]["model 2, image_size"] == 48


def test_map_is_the_mean_of_the_models_maps_for_the_class_that_they_answer(
    voting: VotingPlanetClassifier,
    trained: PlanetClassifier,
    second: PlanetClassifier,
    disc_paths: list[str],
) -> None:
    paths = disc_paths[::9]
    together = voting.explain(paths, method="occlusion", checks=False)
    labels = [row.top_label for row in voting.predict(paths)]
    assert [item.target for item in together] == labels
    for path, item, label in zip(paths, together, labels, strict=True):
        maps = [
            model.explain(path, method="occlusion", target=label, checks=False)[0].heatmap
            for model in (trained, second)
        ]
        mean = (maps[0] + maps[1]) / 2
        np.testing.assert_allclose(item.heatmap, mean / mean.max(), rtol=1e-3, atol=1e-4)


def test_saved_models_vote_as_before(
    voting: VotingPlanetClassifier, disc_paths: list[str], tmp_path: Path
) -> None:
    folder = voting.save(tmp_path / "model")
    assert sorted(path.name for path in folder.iterdir()) == ["member-1", "member-2", "voting.json"]
    loaded = load_classifier(folder, device="cpu")
    assert isinstance(loaded, VotingPlanetClassifier)
    before, after = voting.predict(disc_paths), loaded.predict(disc_paths)
    np.testing.assert_array_equal(before.probabilities, after.probabilities)
    assert isinstance(load_classifier(folder / "member-1", device="cpu"), PlanetClassifier)


def test_models_that_cannot_vote_are_refused(
    trained: PlanetClassifier, make: Any, brief: Recipe, disc_paths: list[str]
) -> None:
    with pytest.raises(SettingsError, match="two trained models or more, got 1"):
        VotingPlanetClassifier([trained])
    with pytest.raises(NotFittedError, match="Model 2 of `classifiers` is not trained"):
        VotingPlanetClassifier([trained, make()])
    labels = ["a" if "blue" in path else "b" for path in disc_paths]
    other = make(recipe=brief).fit(disc_paths, labels)
    with pytest.raises(SettingsError, match="model 1 knows blue, green, red, model 2 a, b"):
        VotingPlanetClassifier([trained, other])
    with pytest.raises(SettingsError, match="two trained models or more, got 'runs/x'"):
        VotingPlanetClassifier("runs/x")
    for weights in ([1.0], [1.0, 0.0], [1.0, math.nan], ["a", "b"]):
        with pytest.raises(SettingsError, match="a positive number for each of the 2 models"):
            VotingPlanetClassifier([trained, trained], weights=weights)  # type: ignore[arg-type]


def test_voting_without_data_or_by_layers_says_what_to_do(
    voting: VotingPlanetClassifier, disc_paths: list[str]
) -> None:
    with pytest.raises(NotFittedError, match=r"evaluate\('FOLDER'\)"):
        voting.evaluate()
    with pytest.raises(SettingsError, match="2 models vote"):
        voting.explain(disc_paths[:1], layers=["0"])


def test_file_that_goes_between_two_models_is_a_row_with_its_error(
    voting: VotingPlanetClassifier, disc_paths: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    second = voting._members[1]
    answer = second._answer
    monkeypatch.setattr(
        second,
        "_answer",
        lambda catalog, **options: answer(
            Catalog(sources=(catalog.sources[0], "gone.png")), **options
        ),
    )
    predictions = voting.predict(disc_paths[:2])
    assert [bool(row.error) for row in predictions] == [False, True]
    assert predictions.labels[1] is None


def test_one_model_and_several_replace_each_other_in_a_folder(
    voting: VotingPlanetClassifier, trained: PlanetClassifier, tmp_path: Path
) -> None:
    folder = voting.save(tmp_path / "model")
    trained.save(folder, overwrite=True)
    assert isinstance(load_classifier(folder, device="cpu"), PlanetClassifier)
    three = VotingPlanetClassifier([trained, trained, trained])
    three.save(folder, overwrite=True)
    voting.save(folder, overwrite=True)
    assert sorted(path.name for path in folder.iterdir()) == ["member-1", "member-2", "voting.json"]
    with pytest.raises(ModelFormatError, match="several voting models"):
        verify(folder)
    assert verify(folder / "member-1").is_intact


def test_settings_of_explanations_are_checked_as_for_one_model(
    voting: VotingPlanetClassifier, disc_paths: list[str]
) -> None:
    with pytest.raises(SettingsError, match="is the same for every class, got `target` 'red'"):
        voting.explain(disc_paths[:1], method="eigencam", target="red")
    explanations = voting.explain(disc_paths[-2:], target="red", against="blue")
    assert [item.subject for item in explanations] == ["red against blue"] * 2
    assert explanations.checks is not None
    assert np.isfinite(explanations.checks.stability).all()


def test_damaged_folder_is_refused(voting: VotingPlanetClassifier, tmp_path: Path) -> None:
    with pytest.raises(ModelFormatError, match="does not hold a VotingPlanetClassifier"):
        VotingPlanetClassifier.load(tmp_path)
    folder = voting.save(tmp_path / "model")
    described = json.loads((folder / "voting.json").read_text())
    (folder / "voting.json").write_text(json.dumps({**described, "format_version": 9}))
    with pytest.raises(ModelFormatError, match="format version 9; this planetvision reads 1"):
        load_classifier(folder)
