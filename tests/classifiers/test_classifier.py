"""`PlanetClassifier`: scikit-learn's conventions, every kind of input, every wrong one."""

from __future__ import annotations

import copy
import json
import pickle
import shutil
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.base import clone
from sklearn.metrics import accuracy_score
from sklearn.model_selection import GridSearchCV, cross_val_predict, cross_val_score
from sklearn.utils.validation import check_is_fitted
from torch import nn

from planetvision.classifiers.classifier import PlanetClassifier
from planetvision.core.errors import (
    DataError,
    DataWarning,
    NotFittedError,
    SettingsError,
    SourceNotFoundError,
    WeightsWarning,
)
from planetvision.core.settings import InputSpec, Recipe
from planetvision.models.backbones.registry import BACKBONES, register_backbone
from planetvision.models.heads import HEADS, register_head


def test_trained_classifier_tells_the_discs_apart(
    trained: PlanetClassifier, disc_folder: Path
) -> None:
    assert trained.classes_.tolist() == ["blue", "green", "red"]
    assert trained.score(disc_folder) >= 0.9
    assert len(trained.history_) == 8
    assert trained.recipe_.name == "quick"
    assert (trained.metrics_["num_train"], trained.metrics_["num_val"]) == (18, 3)
    best = min(record.val_loss or 9 for record in trained.history_)
    assert trained.metrics_["val_loss"] == best


def test_two_fits_with_one_seed_are_equal_and_another_seed_differs(
    make: Any, brief: Recipe, disc_folder: Path, disc_paths: list[str]
) -> None:
    first, again, other = (
        make(recipe=brief, random_state=seed).fit(disc_folder).predict_proba(disc_paths)
        for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other)


def test_parameters_are_stored_as_given_and_cloned(make: Any, trained: PlanetClassifier) -> None:
    classifier = make(val_fraction=7.0, head="none such")
    assert classifier.get_params()["val_fraction"] == 7.0
    assert classifier.set_params(val_fraction=0.2).val_fraction == 0.2
    twin = clone(trained)
    assert twin.get_params() == trained.get_params()
    assert not hasattr(twin, "network_")
    check_is_fitted(trained)
    with pytest.raises(ValueError, match="is not fitted yet"):
        check_is_fitted(twin)


@pytest.mark.slow
def test_cross_val_score_and_predict_work_on_lists_of_paths(
    make: Any, disc_paths: list[str], disc_labels: list[str]
) -> None:
    scores = cross_val_score(make(), disc_paths, disc_labels, cv=3)
    assert scores.shape == (3,)
    assert scores.mean() > 0.7
    answers = cross_val_predict(make(rejection_rate=0.0), disc_paths, disc_labels, cv=3)
    assert accuracy_score(disc_labels, answers) == pytest.approx(scores.mean())


@pytest.mark.slow
def test_grid_search_finds_the_recipe_that_learns(
    make: Any, quick_recipe: Recipe, disc_paths: list[str], disc_labels: list[str]
) -> None:
    idle = replace(
        quick_recipe,
        name="idle",
        stages=(replace(quick_recipe.stages[0], epochs=1, learning_rate=1e-12),),
    )
    grid = [{"recipe": [idle, quick_recipe]}, {"recipe": [idle], "head": ["mlp"]}]
    search = GridSearchCV(make(test_fraction=0), grid, cv=2).fit(disc_paths, disc_labels)
    assert search.best_params_ == {"recipe": quick_recipe}
    assert search.cv_results_["mean_test_score"].shape == (3,)
    assert search.best_score_ > 0.7
    assert search.predict(disc_paths).labels.count("red") == pytest.approx(8, abs=3)


def test_metrics_of_scikit_learn_take_predictions(
    trained: PlanetClassifier, disc_paths: list[str], disc_labels: list[str]
) -> None:
    predictions = trained.predict(disc_paths, rejection_rate=0)
    right = sum(
        answer == label for answer, label in zip(predictions.labels, disc_labels, strict=True)
    )
    assert accuracy_score(disc_labels, predictions) == right / 24
    assert trained.score(disc_paths, disc_labels) == pytest.approx(right / 24)
    weights = [float(label == "red") for label in disc_labels]
    red = sum(predictions.labels[row] == "red" for row in range(24) if weights[row]) / 8
    assert trained.score(disc_paths, disc_labels, sample_weight=weights) == pytest.approx(red)


def test_integer_labels_come_back_as_integers(
    make: Any, brief: Recipe, disc_paths: list[str], tmp_path: Path
) -> None:
    labels = np.repeat([30, 10, 20], 8)
    classifier = make(recipe=brief).fit(disc_paths, labels)
    assert classifier.classes_.tolist() == [10, 20, 30]
    answers = np.asarray(classifier.predict(disc_paths))
    assert answers.dtype.kind == "i"
    assert set(answers) <= {10, 20, 30}
    loaded = PlanetClassifier.load(classifier.save(tmp_path / "model"), device="cpu")
    assert loaded.classes_.tolist() == [10, 20, 30]
    np.testing.assert_array_equal(np.asarray(loaded.predict(disc_paths)), answers)


def test_every_kind_of_input_gives_the_same_answers(
    trained: PlanetClassifier, disc_folder: Path, disc_paths: list[str]
) -> None:
    red = sorted(path for path in disc_paths if "/red/" in path)
    expected = trained.predict_proba(red)
    arrays = [np.array(Image.open(path)) for path in red]
    for kind in (
        disc_folder / "red",
        str(disc_folder / "red" / "*.png"),
        [Path(path) for path in red],
        tuple(red),
        np.array(red),
        arrays,
        np.stack(arrays),
        [Image.open(path) for path in red],
        [Path(path).read_bytes() for path in red],
    ):
        np.testing.assert_allclose(trained.predict_proba(kind), expected, atol=1e-6)
    for one in (red[0], Path(red[0]), arrays[0], Image.open(red[0]), Path(red[0]).read_bytes()):
        np.testing.assert_allclose(trained.predict_proba(one), expected[:1], atol=1e-6)


def test_fit_takes_arrays_images_and_bytes(
    make: Any, brief: Recipe, disc_paths: list[str], disc_labels: list[str]
) -> None:
    expected = make(recipe=brief).fit(disc_paths, disc_labels).predict_proba(disc_paths[:3])
    for kind in (
        [np.array(Image.open(path)) for path in disc_paths],
        [Image.open(path) for path in disc_paths],
        [Path(path).read_bytes() for path in disc_paths],
    ):
        found = make(recipe=brief).fit(kind, disc_labels).predict_proba(disc_paths[:3])
        np.testing.assert_array_equal(found, expected)


def test_split_is_70_15_15_of_every_class_and_written_as_a_manifest(
    make: Any, brief: Recipe, tmp_path: Path
) -> None:
    for name, colour in (("a", 60), ("b", 200)):
        (tmp_path / name).mkdir()
        for number in range(20):
            Image.new("RGB", (32, 32), (colour, number, 0)).save(tmp_path / name / f"{number}.png")
    frame = make(recipe=brief).fit(tmp_path).split_.to_frame()
    assert list(frame.columns) == ["path", "label", "split", "group", "sha256"]
    counts = Counter(zip(frame["label"], frame["split"], strict=True))
    assert counts == {
        (label, split): count
        for label in "ab"
        for split, count in (("train", 14), ("val", 3), ("test", 3))
    }
    assert frame["path"].is_unique


def test_split_folders_are_used_as_they_are(
    make: Any, brief: Recipe, disc_paths: list[str], tmp_path: Path
) -> None:
    parts = ["train"] * 5 + ["val", "test", "test"]
    for row, path in enumerate(disc_paths):
        folder = tmp_path / parts[row % 8] / Path(path).parent.name
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder)
    classifier = make(recipe=brief).fit(tmp_path)
    for path, split in zip(classifier.split_.names, classifier.split_.splits, strict=True):
        assert Path(path).parent.parent.name == split
    assert classifier.metrics_["num_train"] == 15
    kept = classifier.evaluate()
    assert kept.metrics["n"] == 6
    assert classifier.evaluate(tmp_path).metrics == kept.metrics
    assert classifier.metrics_["test"]["n"] == 6


@pytest.mark.slow
def test_settings_of_the_classifier_replace_those_of_the_recipe(
    make: Any, brief: Recipe, disc_folder: Path
) -> None:
    two = replace(brief, stages=(replace(brief.stages[0], batch_size=3),))
    classifier = make(
        recipe=two,
        head="mlp",
        augmentation="light",
        scheduler="constant",
        image_size=48,
        framing="squash",
        tta="body",
        batch_size=7,
    ).fit(disc_folder)
    assert (classifier.recipe_.head, classifier.recipe_.augmentation) == ("mlp", "light")
    stage = classifier.recipe_.stages[0]
    assert (classifier.recipe_.batch_size, stage.batch_size, stage.scheduler) == (
        7,
        None,
        "constant",
    )
    spec = classifier.network_.input_spec
    assert (spec.image_size, spec.framing, spec.tta) == (48, "squash", "body")
    assert type(classifier.network_.head).__name__ == "Sequential"


@pytest.mark.slow
def test_test_time_augmentation_is_that_of_the_recipe_and_is_saved(
    make: Any, brief: Recipe, disc_folder: Path, disc_paths: list[str], tmp_path: Path
) -> None:
    recipe = replace(brief, tta="rotations+body+flips")
    both = make(recipe=recipe).fit(disc_folder)
    alone = make(recipe=recipe, tta="none").fit(disc_folder)
    assert both.network_.input_spec.tta == "body+flips+rotations"
    assert alone.network_.input_spec.tta == "none"
    # It is a matter of prediction: what the network learns is the same.
    learned = alone.network_.state_dict()
    for name, value in both.network_.state_dict().items():
        assert torch.equal(value, learned[name]), name
    expected = both.predict_proba(disc_paths)
    assert not np.array_equal(expected, alone.predict_proba(disc_paths))
    loaded = PlanetClassifier.load(both.save(tmp_path / "model"), device="cpu")
    np.testing.assert_array_equal(loaded.predict_proba(disc_paths), expected)
    answers = [item.confidence for item in loaded.explain(disc_paths[:4])]
    np.testing.assert_allclose(answers, expected[:4].max(axis=1), atol=1e-6)


@pytest.mark.parametrize(
    ("tta", "same", "other"),
    [
        ("flips", (np.fliplr, np.flipud), np.rot90),
        ("rotations", (np.rot90, lambda pixels: np.rot90(pixels, -1)), np.fliplr),
        ("rotations+flips", (np.fliplr, np.flipud, np.rot90), None),
    ],
)
def test_answer_is_the_same_in_the_symmetries_that_prediction_is_shown(
    tta: str, same: tuple[Any, ...], other: Any, trained: PlanetClassifier
) -> None:
    plain = trained.network_.input_spec
    classifier = copy.deepcopy(trained)
    classifier.network_.input_spec = replace(plain, tta=tta)
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    images = [image, *(np.ascontiguousarray(change(image)) for change in same)]
    answers = classifier.predict_proba(images)
    np.testing.assert_allclose(answers[1:], answers[[0] * len(same)], atol=1e-6)
    alone = trained.predict_proba(images)
    assert np.abs(alone[1:] - alone[0]).max(axis=1).min() > 1e-4
    if other is not None:
        elsewhere = classifier.predict_proba([np.ascontiguousarray(other(image))])
        assert np.abs(elsewhere - answers[0]).max() > 1e-4


def test_all_wrong_settings_are_reported_at_once(make: Any, disc_folder: Path) -> None:
    classifier = make(
        backbone="tinny",
        head="liner",
        augmentation="lite",
        scheduler="cosin",
        image_size=0,
        framing="crop",
        tta="none+flips",
        val_fraction=1.5,
        test_fraction=-1,
        on_error="ignore",
        device="gpu",
        num_workers=-1,
        random_state=0.5,
        batch_size=0,
    )
    with pytest.raises(SettingsError, match="settings are wrong:") as caught:
        classifier.fit(disc_folder)
    message = str(caught.value)
    for part in (
        "Unknown backbone 'tinny'. Did you mean 'tiny'",
        "Unknown head 'liner'. Did you mean 'linear'",
        "Unknown augmentation 'lite'",
        "Unknown scheduler 'cosin'. Did you mean 'cosine'",
        "`image_size` must be an integer of at least 16, got 0",
        "`framing` must be one of",
        "`tta` must be 'none' alone or names without it, got 'none+flips'. Pass 'flips'.",
        "`val_fraction` must lie strictly between 0 and 1, got 1.5",
        "`test_fraction` must lie in [0, 1), got -1",
        "`on_error` must be one of 'raise', 'skip', got 'ignore'",
        "`device` must be",
        "`num_workers` must be an integer of at least 0, got -1",
        "`random_state` must be an integer, got 0.5",
        "`batch_size` must be an integer of at least 1, got 0",
    ):
        assert part in message
    assert len(caught.value.problems) == 14


def test_settings_of_wrong_types_are_reported_together(make: Any, disc_folder: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        make(weights=None, val_fraction="0.2", num_workers="2").fit(disc_folder)
    assert len(caught.value.problems) == 3
    message = str(caught.value)
    assert "`weights` must be 'pretrained', 'none' or a file, and there is no file None" in message
    assert "`val_fraction` must lie strictly between 0 and 1, got '0.2'" in message
    assert "`num_workers` must be an integer of at least 0, got '2'" in message


@pytest.mark.slow
def test_numbers_of_numpy_train_as_plain_ones_and_are_saved(
    make: Any, brief: Recipe, disc_folder: Path, disc_paths: list[str], tmp_path: Path
) -> None:
    plain = make(recipe=brief, image_size=48, batch_size=7).fit(disc_folder)
    found = make(recipe=brief, image_size=np.int64(48), batch_size=np.int64(7)).fit(disc_folder)
    loaded = PlanetClassifier.load(found.save(tmp_path / "model"), device="cpu")
    assert (loaded.image_size, loaded.batch_size) == (48, 7)
    np.testing.assert_array_equal(loaded.predict_proba(disc_paths), plain.predict_proba(disc_paths))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"image_size": 0}, "`image_size` must be an integer of at least 16, got 0"),
        ({"recipe": "balance"}, "Unknown recipe 'balance'. Did you mean 'balanced'"),
        ({"val_fraction": 0.6, "test_fraction": 0.5}, "leave nothing to train on"),
        ({"precision": "fp16"}, "needs a CUDA device"),
        ({"performance": "turbo"}, "`performance` must be 'auto', 'all', 'none' or names"),
        ({"device": "cuda:7"}, "`device` is 'cuda:7'"),
        ({"framing": "crop"}, "`framing` must be one of"),
        ({"tta": "body+flip"}, "'flip' is not a test-time augmentation. Did you mean 'flips'?"),
    ],
)
def test_each_wrong_setting_is_named(
    make: Any, disc_folder: Path, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        make(**arguments).fit(disc_folder)
    assert message in str(caught.value)


def test_settings_hold_paths_that_another_folder_finds(
    make: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    found = make(weights="own.pth", cache="./decoded").to_settings()
    assert found["weights"] == str(tmp_path / "own.pth")
    assert found["cache"] == str(tmp_path / "decoded")
    words = make(weights="none", cache="disk").to_settings()
    assert (words["weights"], words["cache"]) == ("none", "disk")


def test_prediction_is_in_the_precision_that_was_asked_for(
    trained: PlanetClassifier, disc_paths: list[str], tmp_path: Path
) -> None:
    folder = trained.save(tmp_path / "model")
    found = {
        precision: PlanetClassifier.load(folder, device="cpu", precision=precision).predict_proba(
            disc_paths
        )
        for precision in ("auto", "fp32", "bf16")
    }
    np.testing.assert_array_equal(found["auto"], found["fp32"])
    assert 0 < np.abs(found["bf16"] - found["fp32"]).max() < 0.1


def test_loading_refuses_a_precision_that_the_device_does_not_have(
    trained: PlanetClassifier, tmp_path: Path
) -> None:
    folder = trained.save(tmp_path / "model")
    with pytest.raises(SettingsError, match="'fp16' needs a CUDA device"):
        PlanetClassifier.load(folder, device="cpu", precision="fp16")


def test_loaded_network_has_the_memory_format_of_the_levers(
    trained: PlanetClassifier, disc_paths: list[str], tmp_path: Path
) -> None:
    folder = trained.save(tmp_path / "model")
    for performance, expected in (("all", True), ("none", False)):
        loaded = PlanetClassifier.load(folder, device="cpu", performance=performance)
        assert loaded.network_.spec.channels_last is expected
        np.testing.assert_allclose(
            loaded.predict_proba(disc_paths), trained.predict_proba(disc_paths), atol=1e-5
        )


@pytest.fixture
def damaged_folder(disc_folder: Path, tmp_path: Path) -> Path:
    """The discs, with two files that cannot be read."""
    folder = Path(shutil.copytree(disc_folder, tmp_path / "damaged"))
    (folder / "red" / "text.png").write_text("no image")
    (folder / "blue" / "empty.png").touch()
    return folder


def test_unreadable_files_are_all_named_before_training(make: Any, damaged_folder: Path) -> None:
    with pytest.raises(DataError, match=r"2 of 26 files of .* cannot be read") as caught:
        make().fit(damaged_folder)
    assert len(caught.value.problems) == 2
    assert "red/text.png': it is not an image" in str(caught.value)
    assert "blue/empty.png': it is empty" in str(caught.value)
    assert "--on-error skip" in str(caught.value)


@pytest.mark.parametrize("method", ["fit", "predict_proba", "score"])
def test_every_one_of_many_unreadable_files_is_in_the_message(
    trained: PlanetClassifier, method: str, disc_folder: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(disc_folder, tmp_path / "many"))
    names = [f"red/broken_{number:02d}.png" for number in range(25)]
    for name in names:
        (folder / name).write_text("no image")
    subject = clone(trained) if method == "fit" else trained
    with pytest.raises(DataError, match="25 of 49") as caught:
        getattr(subject, method)(folder)
    assert [name for name in names if name not in str(caught.value)] == []


def test_unreadable_files_are_left_out_when_told_to_skip(
    make: Any, brief: Recipe, damaged_folder: Path
) -> None:
    with pytest.warns(DataWarning, match="2 of 26 files cannot be read and are left out"):
        classifier = make(recipe=brief, on_error="skip").fit(damaged_folder)
    assert len(classifier.split_) == 24
    assert not any(Path(name).stem in ("text", "empty") for name in classifier.split_.names)


def test_class_without_a_readable_image_is_named_with_the_parts(
    make: Any, brief: Recipe, disc_folder: Path, tmp_path: Path
) -> None:
    for part in ("train", "val"):
        shutil.copytree(disc_folder, tmp_path / part)
    for path in (tmp_path / "train" / "red").iterdir():
        path.write_bytes(b"no image")
    with (
        pytest.warns(DataWarning, match="8 of 48 files cannot be read"),
        pytest.raises(DataError, match="the class 'red' is in val but not in train"),
    ):
        make(recipe=brief, on_error="skip").fit(tmp_path)
    shutil.rmtree(tmp_path / "val")
    with pytest.warns(DataWarning, match="no image is left of the class 'red'"):
        classifier = make(recipe=brief, on_error="skip").fit(tmp_path / "train")
    assert classifier.classes_.tolist() == ["blue", "green"]


def test_predict_gives_unreadable_files_a_row_and_predict_proba_names_them(
    trained: PlanetClassifier, damaged_folder: Path
) -> None:
    predictions = trained.predict(damaged_folder)
    assert len(predictions) == 26
    assert sorted(Path(row.path).stem for row in predictions.failed) == ["empty", "text"]
    with pytest.raises(DataError, match="2 of 26 images cannot be read"):
        trained.predict_proba(damaged_folder)


def test_predict_gives_an_empty_folder_and_an_unmatched_glob_in_a_list_their_rows(
    trained: PlanetClassifier, disc_paths: list[str], tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    glob = str(tmp_path / "*.tif")
    predictions = trained.predict([tmp_path / "empty", disc_paths[0], glob])
    assert [bool(row.error) for row in predictions] == [True, False, True]
    assert f"'{tmp_path / 'empty'}': it is a folder" in predictions[0].error
    assert f"'{glob}': there is no such file" in predictions[2].error
    assert predictions[1].label == trained.predict(disc_paths[0])[0].label


def test_one_class_is_refused(make: Any, disc_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(disc_folder / "red", tmp_path / "red")
    with pytest.raises(DataError, match=r"at least 2 classes, .* has 1 \('red'\)"):
        make().fit(tmp_path)


def test_class_with_too_few_images_is_named(
    make: Any, disc_paths: list[str], disc_labels: list[str]
) -> None:
    rows = [0, 1, 2, 8, 9, 16]
    with pytest.raises(DataError, match="at least 3 images") as caught:
        make().fit([disc_paths[row] for row in rows], [disc_labels[row] for row in rows])
    assert caught.value.problems == ("'green' has 2", "'red' has 1")


@pytest.mark.parametrize("method", ["fit", "predict", "evaluate"])
def test_missing_folder_is_a_file_not_found(trained: PlanetClassifier, method: str) -> None:
    subject = clone(trained) if method == "fit" else trained
    with pytest.raises(FileNotFoundError, match=r"There is no .*folder 'nowhere'") as caught:
        getattr(subject, method)("nowhere")
    assert isinstance(caught.value, SourceNotFoundError)


@pytest.mark.parametrize("method", ["predict", "predict_proba", "explain"])
def test_not_fitted_says_what_to_call(make: Any, disc_paths: list[str], method: str) -> None:
    with pytest.raises(NotFittedError, match=r"Call fit\(\.\.\.\), or PlanetClassifier\.load"):
        getattr(make(), method)(disc_paths)


def test_not_fitted_cannot_be_saved_or_evaluated(make: Any, tmp_path: Path) -> None:
    with pytest.raises(NotFittedError):
        make().save(tmp_path / "model")
    with pytest.raises(NotFittedError):
        make().evaluate()
    assert not (tmp_path / "model").exists()


def test_evaluate_judges_the_kept_test_part(trained: PlanetClassifier) -> None:
    evaluation = trained.evaluate()
    test = trained.split_.get_split("test")
    assert evaluation.metrics["n"] == len(test) == 3
    assert evaluation.labels == test.labels
    right = [
        answer == label
        for answer, label in zip(trained.predict(test).top_labels, test.labels or (), strict=True)
    ]
    assert evaluation.accuracy == pytest.approx(sum(right) / 3)
    assert trained.metrics_["test"]["accuracy"] == evaluation.accuracy
    assert evaluation.explanations is not None
    assert len(evaluation.explanations) == 3


def test_evaluate_of_a_folder_judges_all_of_it(
    trained: PlanetClassifier, disc_folder: Path
) -> None:
    evaluation = trained.evaluate(disc_folder)
    assert evaluation.metrics["n"] == 24
    assert evaluation.accuracy == pytest.approx(trained.score(disc_folder))
    assert evaluation.metrics["classes"] == ["blue", "green", "red"]


def test_evaluate_of_unknown_classes_names_them_and_leaves_them_out(
    trained: PlanetClassifier, disc_paths: list[str]
) -> None:
    with pytest.warns(DataWarning, match=r"does not know these classes .*: mauve \(1\)"):
        evaluation = trained.evaluate(disc_paths[:2], ["mauve", "blue"])
    assert evaluation.metrics["n"] == 1
    assert evaluation.labels == ("blue",)


def test_evaluate_without_a_test_part_asks_for_data(
    make: Any, brief: Recipe, disc_folder: Path, model_folder: Path
) -> None:
    without = make(recipe=brief, test_fraction=0).fit(disc_folder)
    assert set(without.split_.splits) == {"train", "val"}
    for classifier in (without, PlanetClassifier.load(model_folder)):
        with pytest.raises(NotFittedError, match="There is no test split"):
            classifier.evaluate()


def test_saved_and_loaded_predicts_the_same_to_the_bit(
    trained: PlanetClassifier, model_folder: Path, disc_paths: list[str]
) -> None:
    loaded = PlanetClassifier.load(model_folder, device="cpu")
    expected = trained.predict_proba(disc_paths)
    np.testing.assert_array_equal(loaded.predict_proba(disc_paths), expected)
    assert loaded.classes_.tolist() == trained.classes_.tolist()
    assert loaded.recipe == trained.recipe_
    assert loaded.backbone == "tiny"
    assert loaded.metrics_["num_train"] == 18
    again = pickle.loads(pickle.dumps(trained))
    np.testing.assert_array_equal(again.predict_proba(disc_paths), expected)


def test_explain_through_the_classifier(trained: PlanetClassifier, disc_paths: list[str]) -> None:
    items = trained.explain(disc_paths[:2], target="red")
    assert [item.path for item in items] == disc_paths[:2]
    assert [item.target for item in items] == ["red", "red"]
    assert [item.label for item in items] == trained.predict(disc_paths[:2]).labels
    against = trained.explain(disc_paths[:2], target="red", against="blue", layers=["blocks.2"])
    assert [(item.subject, item.layers) for item in against] == [
        ("red against blue", ("blocks.2",))
    ] * 2
    assert against[0].heatmap.shape == (4, 4)
    slow = trained.explain(disc_paths[0], method="occlusion")
    assert slow[0].heatmap.shape == (8, 8)
    assert slow[0].heatmap.max() == pytest.approx(1)


@pytest.fixture
def custom() -> Iterator[None]:
    @register_backbone("colours_for_a_test", input=InputSpec(image_size=32))
    def colours() -> nn.Module:
        """Patches of colour."""
        return nn.Sequential(nn.Conv2d(3, 8, 8, stride=8), nn.ReLU())

    @register_head("scaled_for_a_test")
    def scaled(feature_size: int, num_classes: int, *, width: int = 4) -> nn.Module:
        """Two layers."""
        return nn.Sequential(nn.Linear(feature_size, width), nn.Linear(width, num_classes))

    yield
    BACKBONES._entries.pop("colours_for_a_test")
    HEADS._entries.pop("scaled_for_a_test")


@pytest.mark.usefixtures("custom")
def test_custom_backbone_and_head_train_save_load_and_explain(
    make: Any, quick_recipe: Recipe, disc_folder: Path, disc_paths: list[str], tmp_path: Path
) -> None:
    recipe = replace(quick_recipe, head="scaled_for_a_test", head_options={"width": 6})
    classifier = make(backbone="colours_for_a_test", recipe=recipe).fit(disc_folder)
    assert classifier.network_.head[0].weight.shape == (6, 8)
    assert classifier.history_[-1].train_loss < classifier.history_[0].train_loss
    loaded = PlanetClassifier.load(classifier.save(tmp_path / "model"), device="cpu")
    np.testing.assert_array_equal(
        loaded.predict_proba(disc_paths), classifier.predict_proba(disc_paths)
    )
    assert loaded.explain(disc_paths[0])[0].heatmap.shape == (4, 4)


@pytest.mark.slow
def test_frozen_random_backbone_is_warned_of(make: Any, brief: Recipe, disc_folder: Path) -> None:
    frozen = replace(brief, stages=(replace(brief.stages[0], trainable_blocks=0, views=1),))
    with pytest.warns(WeightsWarning, match="'tiny' starts without pretrained weights"):
        make(recipe=frozen).fit(disc_folder)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        make(recipe=brief).fit(disc_folder)


def test_weights_of_a_file_are_the_first_ones(
    make: Any, brief: Recipe, trained: PlanetClassifier, disc_folder: Path, tmp_path: Path
) -> None:
    torch.save(trained.network_.backbone.state_dict(), tmp_path / "backbone.pth")
    frozen = replace(brief, stages=(replace(brief.stages[0], trainable_blocks=0, views=1),))
    classifier = make(recipe=frozen, weights=tmp_path / "backbone.pth").fit(disc_folder)
    for left, right in zip(
        classifier.network_.backbone.parameters(),
        trained.network_.backbone.parameters(),
        strict=True,
    ):
        assert torch.equal(left, right)


def read_saved_weights(classifier: PlanetClassifier, folder: Path) -> str:
    text = (classifier.save(folder) / "config.json").read_text()
    return str(json.loads(text)["backbone"]["weights"])


@pytest.fixture
def weighted() -> Iterator[str]:
    """A backbone that says where its pretrained weights come from."""
    name = "weighted_for_a_test"
    tiny = BACKBONES.get("tiny")
    BACKBONES.add(replace(tiny, name=name, weights="made up"))
    yield name
    BACKBONES.remove(name)


@pytest.mark.parametrize(
    ("weights", "expected"),
    [("pretrained", "made up"), ("none", "none"), ("FILE", "file backbone.pth")],
)
def test_saved_model_says_which_weights_it_started_from(
    weights: str,
    expected: str,
    weighted: str,
    make: Any,
    brief: Recipe,
    trained: PlanetClassifier,
    disc_folder: Path,
    tmp_path: Path,
) -> None:
    if weights == "FILE":
        weights = str(tmp_path / "backbone.pth")
        torch.save(trained.network_.backbone.state_dict(), weights)
    classifier = make(backbone=weighted, recipe=brief, weights=weights).fit(disc_folder)
    assert read_saved_weights(classifier, tmp_path / "model") == expected
    again = PlanetClassifier.load(tmp_path / "model", device="cpu")
    assert read_saved_weights(again, tmp_path / "again") == expected


def test_saved_model_of_a_backbone_without_weights_says_none(model_folder: Path) -> None:
    config = json.loads((model_folder / "config.json").read_text())
    assert config["backbone"]["weights"] == "none"


def test_explaining_an_image_that_says_nothing_measures_nothing(trained: PlanetClassifier) -> None:
    explanations = trained.explain([np.zeros((40, 40, 3), np.uint8)], method="integrated_gradients")
    assert explanations.checks is not None
    assert np.isnan(explanations.checks.deletion).all()
    assert "not known" in str(explanations.verdict)
    assert trained.explain([np.zeros((40, 40, 3), np.uint8)], checks=False).verdict is None


@pytest.mark.slow
def test_integer_classes_are_found_under_their_names_as_text(
    make: Any, brief: Recipe, disc_paths: list[str], disc_labels: list[str], tmp_path: Path
) -> None:
    numbers = [sorted(set(disc_labels)).index(label) for label in disc_labels]
    model = make(recipe=brief).fit(disc_paths, numbers)
    named = model.evaluate(disc_paths, [str(number) for number in numbers], explain=False)
    assert named.accuracy == model.evaluate(disc_paths, numbers, explain=False).accuracy
    broken = tmp_path / "broken.png"
    broken.write_text("no image")
    table = model.predict([disc_paths[0], str(broken)]).to_frame()
    assert isinstance(table["top_label"][0], int), "it is no float beside a label that is missing"


def test_evaluate_without_an_audit_has_no_slices_by_the_disc(
    trained: PlanetClassifier, disc_folder: Path
) -> None:
    evaluation = trained.evaluate(disc_folder, explain=False, audit=False)
    assert evaluation.slices is not None
    assert len(evaluation.slices) == 0
    assert evaluation.about["findings"] is None
