"""Calibrator: probabilities, novelty and the answer "unknown", from training to a loaded model."""

from __future__ import annotations

import json
import logging
import math
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import softmax

from planetvision.classifiers.classifier import PlanetClassifier
from planetvision.core.errors import DataWarning, ModelFormatError, SettingsError, UnknownNameError
from planetvision.core.settings import Recipe
from planetvision.inference import Calibrator
from planetvision.inference.ood_scores import OOD_SCORES, register_ood_score
from planetvision.inference.outputs import compute_outputs
from planetvision.inference.predictor import load_views
from planetvision.render import render_non_planets
from planetvision.results import UNKNOWN


def create_trust(raw: list[float], temperature: float = 1.0) -> Calibrator:
    return Calibrator(
        temperature=temperature,
        score="energy",
        state={},
        raw_novelties=np.sort(np.array(raw)),
        num_images=len(raw),
    )


@pytest.fixture(scope="module")
def strange() -> list[Any]:
    """Forty pictures of something else."""
    return list(render_non_planets(count=40, image_size=40, seed=5))


def test_threshold_is_the_conformal_quantile() -> None:
    calibrator = create_trust(list(range(1, 100)))
    # 99 images: rank ceil(100 * 0.95) = 95; zero is the median 50, one the quantile 94.1.
    assert calibrator.get_threshold(0.05) == pytest.approx((95 - 50) / (94.1 - 50))
    assert calibrator.get_threshold(0.5) == pytest.approx(0)
    assert calibrator.get_threshold(0.001) == pytest.approx((99 - 50) / (94.1 - 50)), "the largest"
    assert calibrator.get_threshold(0) == math.inf
    assert calibrator.get_threshold(0.999) == pytest.approx((1 - 50) / (94.1 - 50)), "the smallest"
    pairs = replace(calibrator, raw_novelties=np.arange(1.0, 101.0), num_images=50)
    # 50 images with two values each: rank ceil(102 * 0.95) = 97; the quantiles are 50.5 and 95.05.
    assert pairs.get_threshold(0.05) == pytest.approx((97 - 50.5) / (95.05 - 50.5))


def test_no_more_than_the_rate_are_lost_of_images_like_those_it_was_calibrated_on() -> None:
    generator = np.random.default_rng(0)
    lost = []
    for _ in range(300):
        calibrator = create_trust(generator.gamma(2, 1, 40).tolist())
        images = calibrator._scale(generator.gamma(2, 1, 200))
        lost.append((images > calibrator.get_threshold(0.1)).mean())
    # 300 calibrations of 40: the mean is known to about 0.003.
    assert 0.07 < np.mean(lost) < 0.1 + 0.01


@pytest.mark.parametrize("number", [19, 60])
def test_bound_holds_for_views_of_an_image_that_are_all_alike(number: int) -> None:
    generator = np.random.default_rng(1)
    lost = []
    for _ in range(2000):
        calibrator = create_trust(np.repeat(generator.normal(0, 1, number), 2).tolist())
        calibrator = replace(calibrator, num_images=number)
        new = calibrator._scale(generator.normal(0, 1, 50))
        lost.append((new > calibrator.get_threshold(0.05)).mean())
    assert np.mean(lost) < 0.05 + 0.004


def test_novelties_that_are_all_alike_still_give_numbers() -> None:
    calibrator = create_trust([2.0, 2.0, 2.0])
    assert calibrator.get_threshold(0.05) == 0
    assert np.isfinite(calibrator._scale(np.array([2.0, 3.0]))).all()


def test_calibration_is_the_softmax_of_logits_divided_by_the_temperature() -> None:
    logits = np.array([[2.0, 1.0, -1.0]])
    found = create_trust([0.0, 1.0], temperature=2.0).calibrate(logits)
    np.testing.assert_allclose(found, softmax(logits / 2, axis=1))


def test_prediction_is_calibrated_and_says_what_is_unknown(
    trained: PlanetClassifier, disc_paths: list[str], strange: list[Any]
) -> None:
    known, negatives = trained.predict(disc_paths), trained.predict(strange)
    views = [load_views(path, trained.network_.input_spec)[0] for path in disc_paths]
    evidence = compute_outputs(trained.network_, [item for item in views if item is not None])
    assert trained.calibrator_ is not None
    np.testing.assert_allclose(
        known.probabilities, softmax(evidence.logits / trained.calibrator_.temperature, axis=1)
    )
    assert known.novelty is not None
    np.testing.assert_allclose(known.novelty, trained.calibrator_.get_novelty(evidence))
    assert known.threshold == trained.calibrator_.get_threshold(0.05)
    assert known.known.mean() > 0.8
    assert negatives.known.mean() < 0.5
    row = negatives[int(np.argmin(negatives.known))]
    assert (row.label, row.known) == (UNKNOWN, False)
    assert row.top_label in trained.classes_
    assert row.answer == UNKNOWN
    assert row.remark.startswith(f"nearest: {row.top_label}  ")
    assert row.novelty is not None
    assert row.novelty > negatives.threshold
    frame = negatives.to_frame()
    assert frame["known"].tolist() == negatives.known.tolist()
    assert set(frame["label"][~frame["known"]]) == {UNKNOWN}


def test_rate_of_one_call_changes_what_is_unknown(
    trained: PlanetClassifier, disc_paths: list[str], strange: list[Any]
) -> None:
    assert trained.predict(strange, rejection_rate=0).known.all()
    assert UNKNOWN not in trained.predict(strange, rejection_rate=0).labels
    few, many = (
        trained.predict(disc_paths, rejection_rate=rate).known.sum() for rate in (0.9, 0.01)
    )
    assert few < many
    assert (
        trained.predict(disc_paths).top_labels
        == trained.predict(disc_paths, rejection_rate=0.7).top_labels
    )


@pytest.mark.parametrize("call", ["predict", "explain", "evaluate"])
def test_rate_that_is_no_share_is_refused(
    trained: PlanetClassifier, disc_folder: Path, call: str
) -> None:
    with pytest.raises(SettingsError, match="`rejection_rate` must be the fraction"):
        getattr(trained, call)(disc_folder, rejection_rate=5)


def test_wrong_settings_are_refused_before_training(make: Any, disc_folder: Path) -> None:
    with pytest.raises(SettingsError, match="`rejection_rate` must be") as caught:
        make(rejection_rate=1.0, ood_score="nearest").fit(disc_folder)
    assert "Unknown OOD score 'nearest'" in str(caught.value)


def test_score_and_accuracy_do_not_depend_on_the_rate(
    trained: PlanetClassifier, disc_folder: Path
) -> None:
    strict = trained.evaluate(disc_folder, rejection_rate=0.6)
    assert strict.accuracy == trained.score(disc_folder)
    rejection = strict.metrics["rejection"]
    assert rejection["coverage"] == strict.predictions.known.mean() < 1
    assert rejection["accuracy_of_answered"] == pytest.approx(1, abs=0.1)
    assert any("answered with a class" in remark for remark in strict.remarks)


@pytest.mark.slow
def test_evaluation_counts_what_is_something_else(
    trained: PlanetClassifier, disc_folder: Path, strange: list[Any], tmp_path: Path
) -> None:
    data = Path(shutil.copytree(disc_folder, tmp_path / "data"))
    shutil.copytree(data / "red", data / "purple")
    with pytest.warns(DataWarning, match=r"ought to be called unknown: purple \(8\)"):
        evaluation = trained.evaluate(data, negatives=strange)
    rejection = evaluation.metrics["rejection"]
    assert (evaluation.metrics["n"], rejection["num_negatives"]) == (24, 48)
    assert evaluation.negatives is not None
    assert rejection["negatives_answered"] == evaluation.negatives.known.mean()
    assert 0 < rejection["auroc"] <= 1
    assert any("of 48 images of something else" in remark for remark in evaluation.remarks)
    folder = evaluation.save(tmp_path / "report")
    assert len(pd.read_csv(folder / "negatives.csv")) == 48
    trained.evaluate(disc_folder).save(folder, overwrite=True)
    assert not (folder / "negatives.csv").exists(), "it was that of the evaluation before"


def test_explanation_answers_as_prediction_does(
    trained: PlanetClassifier, strange: list[Any]
) -> None:
    predictions, explanations = trained.predict(strange[:10]), trained.explain(strange[:10])
    assert [item.label for item in explanations] == predictions.labels
    assert [item.target for item in explanations] == predictions.top_labels
    np.testing.assert_allclose(
        [item.confidence for item in explanations], [row.confidence for row in predictions]
    )
    assert trained.explain(strange[:3], rejection_rate=0)[0].label != UNKNOWN


def test_loaded_model_gives_the_same_answers(
    trained: PlanetClassifier, model_folder: Path, disc_paths: list[str], strange: list[Any]
) -> None:
    loaded = PlanetClassifier.load(model_folder, device="cpu")
    for images in (disc_paths, strange):
        before, after = trained.predict(images), loaded.predict(images)
        np.testing.assert_array_equal(before.probabilities, after.probabilities)
        np.testing.assert_array_equal(before.novelty, after.novelty)
        assert before.labels == after.labels


@pytest.mark.parametrize("name", OOD_SCORES.names())
def test_each_score_goes_through_training_and_disk(
    make: Any, brief: Recipe, disc_folder: Path, tmp_path: Path, strange: list[Any], name: str
) -> None:
    classifier = make(recipe=brief, ood_score=name).fit(disc_folder)
    loaded = PlanetClassifier.load(classifier.save(tmp_path / "model"), device="cpu")
    before, after = classifier.predict(strange), loaded.predict(strange)
    assert before.novelty is not None
    assert np.isfinite(before.novelty).all()
    np.testing.assert_array_equal(before.novelty, after.novelty)
    assert loaded.ood_score == name


def test_model_of_an_earlier_version_answers_without_unknown(
    model_folder: Path, tmp_path: Path, strange: list[Any], rewrite_config: Any
) -> None:
    folder = Path(shutil.copytree(model_folder, tmp_path / "model"))
    rewrite_config(folder, format_version=1, trust=None)
    (folder / "trust.safetensors").unlink()
    loaded = PlanetClassifier.load(folder, device="cpu")
    predictions = loaded.predict(strange)
    assert predictions.known.all()
    assert predictions.novelty is None
    assert predictions[0].novelty is None
    assert "rejection" not in loaded.evaluate(strange[:2], ["red", "blue"]).metrics
    with pytest.raises(SettingsError, match=r"cannot answer 'unknown'.*got rejection_rate=0.1"):
        loaded.predict(strange, rejection_rate=0.1)
    with pytest.raises(SettingsError, match=r"cannot answer 'unknown'.*Train it again"):
        loaded.evaluate(strange[:2], ["red", "blue"], negatives=strange)
    again = PlanetClassifier.load(loaded.save(tmp_path / "again"), device="cpu")
    assert again.calibrator_ is None


def test_damaged_trust_is_refused(model_folder: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(model_folder, tmp_path / "model"))
    (folder / "trust.safetensors").write_bytes(b"no tensors")
    with pytest.raises(ModelFormatError, match=r"trust.safetensors cannot be read"):
        PlanetClassifier.load(folder)
    (folder / "trust.safetensors").unlink()
    with pytest.raises(ModelFormatError, match=r"trust.safetensors cannot be read"):
        PlanetClassifier.load(folder)


@pytest.fixture
def own_score() -> Iterator[str]:
    name = "own_score_for_a_test"

    @register_ood_score(name)
    class Own:
        """Nothing is new."""

        def fit(self, known: Any, negatives: Any) -> dict[str, Any]:
            return {"size": np.array([len(known)])}

        def score(self, state: Any, images: Any) -> Any:
            return np.full(len(images), float(state["size"][0]))

    yield name
    OOD_SCORES._entries.pop(name, None)


def test_score_of_ones_own_is_asked_and_its_arrays_are_saved(
    make: Any, brief: Recipe, disc_folder: Path, tmp_path: Path, own_score: str
) -> None:
    classifier = make(recipe=brief, ood_score=own_score).fit(disc_folder)
    folder = classifier.save(tmp_path / "model")
    loaded = PlanetClassifier.load(folder, device="cpu")
    assert loaded.calibrator_ is not None
    assert loaded.calibrator_.state["size"].tolist() == [len(classifier.split_.get_split("train"))]
    assert loaded.predict(disc_folder).known.all()
    OOD_SCORES.remove(own_score)
    with pytest.raises(UnknownNameError, match="import or install what registers it first"):
        PlanetClassifier.load(folder)


def test_fitting_it_leaves_the_network_as_it_was(trained: PlanetClassifier) -> None:
    assert all(not parameter.is_inference() for parameter in trained.network_.parameters())
    assert trained.calibrator_ is not None
    assert trained.calibrator_.num_images == len(trained.split_.get_split("val"))
    assert len(trained.calibrator_.raw_novelties) == 2 * trained.calibrator_.num_images
    assert torch.is_grad_enabled()


@pytest.fixture
def broken_score() -> Iterator[str]:
    name = "broken_score_for_a_test"

    @register_ood_score(name)
    class Broken:
        """Not a number for the first image."""

        def fit(self, known: Any, negatives: Any) -> dict[str, Any]:
            return {}

        def score(self, state: Any, images: Any) -> Any:
            return np.where(np.arange(len(images)) == 0, np.nan, 1.0)

    yield name
    OOD_SCORES.remove(name)


def test_score_that_gives_no_number_is_refused_and_the_training_is_kept(
    make: Any, brief: Recipe, disc_folder: Path, tmp_path: Path, broken_score: str
) -> None:
    classifier = make(recipe=brief, ood_score=broken_score)
    with pytest.raises(SettingsError, match=r"'broken_score_for_a_test' must give one finite num"):
        classifier.fit(disc_folder)
    loaded = PlanetClassifier.load(classifier.save(tmp_path / "model"), device="cpu")
    assert loaded.predict(disc_folder).known.all()


def test_score_of_a_wrong_shape_is_refused(
    trained: PlanetClassifier, disc_paths: list[str]
) -> None:
    assert trained.calibrator_ is not None
    views = [load_views(path, trained.network_.input_spec)[0] for path in disc_paths[:2]]
    evidence = compute_outputs(trained.network_, [item for item in views if item is not None])
    name = "column_for_a_test"

    @register_ood_score(name)
    class Column:
        """A column."""

        def fit(self, known: Any, negatives: Any) -> dict[str, Any]:
            return {}

        def score(self, state: Any, images: Any) -> Any:
            return np.zeros((len(images), 1))

    try:
        with pytest.raises(SettingsError, match=r"got the shape \(2, 1\) for 2 images"):
            replace(trained.calibrator_, score=name).get_novelty(evidence)
    finally:
        OOD_SCORES.remove(name)


def test_arrays_of_any_shape_that_share_memory_come_back_as_they_were() -> None:
    shared = np.arange(3.0)
    calibrator = replace(
        create_trust([0.0, 1.0]), state={"a": shared, "b": shared, "c": np.array(2.5)}
    )
    again = Calibrator.from_parts(calibrator.to_dict(), calibrator.to_tensors())
    assert again.state["c"].shape == ()
    np.testing.assert_array_equal(again.state["b"], shared)


def test_integer_classes_stay_integers_beside_unknown(
    make: Any, brief: Recipe, disc_paths: list[str], strange: list[Any]
) -> None:
    labels = [row % 3 for row in range(len(disc_paths))]
    classifier = make(recipe=brief).fit(disc_paths, labels)
    predictions = classifier.predict([*disc_paths, *strange], rejection_rate=0.9)
    assert UNKNOWN in predictions.labels
    answers = np.asarray(predictions)
    assert answers.dtype == object
    assert {type(label) for label in answers} == {int, str}


def test_others_that_cannot_be_read_are_counted_as_failed(
    trained: PlanetClassifier, disc_folder: Path, strange: list[Any], tmp_path: Path
) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no image")
    evaluation = trained.evaluate(disc_folder, negatives=[*strange[:3], str(broken)])
    assert evaluation.metrics["rejection"]["num_negatives"] == 3
    assert [row.path for row in evaluation.failed] == [str(broken)]


def test_class_called_unknown_is_told_of(
    make: Any, brief: Recipe, disc_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = Path(shutil.copytree(disc_folder, tmp_path / "data"))
    (data / "red").rename(data / UNKNOWN)
    with caplog.at_level(logging.WARNING, logger="planetvision"):
        classifier = make(recipe=brief).fit(data)
    assert "There is a class 'unknown'" in caplog.text
    assert UNKNOWN in classifier.classes_


def test_trust_that_does_not_fit_its_file_is_refused(
    model_folder: Path, tmp_path: Path, rewrite_config: Any
) -> None:
    folder = Path(shutil.copytree(model_folder, tmp_path / "model"))
    config = json.loads((folder / "config.json").read_text())
    rewrite_config(folder, trust={**config["trust"], "temperature": "warm"})
    with pytest.raises(ModelFormatError, match=r"'trust' in config.json and trust.safetensors do"):
        PlanetClassifier.load(folder)
