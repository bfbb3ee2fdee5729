"""`fit(others=...)`: images of none of the classes, from the loss to the answer."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from planetvision.classifier import PlanetClassifier
from planetvision.config import Recipe, Stage
from planetvision.errors import CheckpointError, DataError, DataWarning, SettingsError
from planetvision.novelty import NOVELTY_SCORES, Evidence, register_novelty_score
from planetvision.render import render_non_planets
from planetvision.runs import resume_run, train_run


@pytest.fixture(scope="module")
def unlike() -> list[Any]:
    return list(render_non_planets(count=24, image_size=40, seed=3))


@pytest.fixture
def other_folder(tmp_path: Path, unlike: list[Any]) -> Path:
    folder = tmp_path / "others"
    folder.mkdir()
    for number, image in enumerate(unlike):
        Image.fromarray(image).save(folder / f"{number:02d}.png")
    return folder


def get_confidence(classifier: PlanetClassifier, images: Any) -> float:
    return float(np.mean(classifier.predict_proba(images).max(axis=1)))


def test_network_grows_unsure_of_others_and_stays_sure_of_its_classes(
    make: Any, brief: Recipe, disc_folder: Path, disc_paths: list[str], unlike: list[Any]
) -> None:
    stages = (replace(brief.stages[0], epochs=30),)
    recipe = replace(brief, stages=stages, others_weight=1.0)
    plain = make(recipe=recipe).fit(disc_folder)
    taught = make(recipe=recipe).fit(disc_folder, others=unlike)
    assert taught.metrics_["num_others"] == 24
    assert plain.metrics_["num_others"] == 0
    assert get_confidence(taught, unlike) < get_confidence(plain, unlike) - 0.05
    assert taught.score(disc_paths, [Path(path).parent.name for path in disc_paths]) > 0.9


def test_weight_of_nothing_leaves_the_network_as_it_was(
    make: Any, brief: Recipe, disc_folder: Path, unlike: list[Any]
) -> None:
    # BatchNorm learns here, and would learn from images that count nothing.
    assert not brief.stages[0].freeze_batch_norm
    plain, without, taught = (
        make(recipe=replace(brief, others_weight=weight)).fit(disc_folder, others=others)
        for weight, others in ((0.0, None), (0.0, unlike), (2.0, unlike))
    )
    states = [list(one.network_.state_dict().values()) for one in (plain, without, taught)]
    assert all(torch.equal(*pair) for pair in zip(*states[:2], strict=True))
    assert not all(torch.equal(*pair) for pair in zip(*states[::2], strict=True))


def test_mixing_stages_take_others_that_count_nothing(
    make: Any, brief: Recipe, disc_folder: Path, unlike: list[Any]
) -> None:
    stage = Stage(name="mixed", epochs=1, learning_rate=1e-2, trainable_blocks=None, mixup=0.2)
    recipe = replace(brief, stages=(stage,), others_weight=0.0)
    assert make(recipe=recipe).fit(disc_folder, others=unlike).metrics_["num_others"] == 24


def test_folder_of_others_is_read_as_for_predict(
    make: Any, disc_folder: Path, other_folder: Path
) -> None:
    assert make().fit(disc_folder, others=other_folder).metrics_["num_others"] == 24
    assert make().fit(disc_folder, others=[str(other_folder)]).metrics_["num_others"] == 24


def test_score_of_novelty_learns_from_the_others_given_too(
    make: Any, disc_folder: Path, unlike: list[Any]
) -> None:
    seen: list[int] = []

    @register_novelty_score("counting_others", needs_others=True)
    class Counting:
        """Counts what it is given."""

        def fit(self, known: Evidence, others: Evidence | None) -> dict[str, Any]:
            assert others is not None
            seen.append(len(others))
            return {}

        def score(self, state: Any, images: Evidence) -> Any:
            return -images.logits.max(axis=1)

    try:
        make(novelty_score="counting_others").fit(disc_folder)
        make(novelty_score="counting_others").fit(disc_folder, others=unlike)
    finally:
        NOVELTY_SCORES.remove("counting_others")
    assert seen[1] == seen[0] + 24


def test_others_that_cannot_be_read_are_named_before_training(
    make: Any, disc_folder: Path, other_folder: Path
) -> None:
    (other_folder / "broken.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"broken\.png"):
        make().fit(disc_folder, others=other_folder)
    with pytest.warns(DataWarning, match=r"broken\.png"):
        classifier = make(on_error="skip").fit(disc_folder, others=other_folder)
    assert classifier.metrics_["num_others"] == 24


def test_mixing_stages_cannot_take_others(
    make: Any, brief: Recipe, disc_folder: Path, unlike: list[Any]
) -> None:
    stage = Stage(name="mixed", epochs=1, learning_rate=1e-2, trainable_blocks=None, mixup=0.2)
    with pytest.raises(SettingsError, match=r"the stages mixed mix images.*Leave the others out"):
        make(recipe=replace(brief, stages=(stage,))).fit(disc_folder, others=unlike)


def test_run_that_is_cut_off_goes_on_with_its_others(
    make: Any, brief: Recipe, disc_folder: Path, other_folder: Path, tmp_path: Path
) -> None:
    from planetvision.training.callbacks import Callback

    class Stop(Callback):
        def on_epoch_end(self, trainer: Any, record: Any) -> None:
            if record.epoch >= 1:
                raise KeyboardInterrupt

    recipe = replace(brief, stages=(replace(brief.stages[0], epochs=4),))
    whole = train_run(make(recipe=recipe), disc_folder, tmp_path / "whole", others=other_folder)
    with pytest.raises(KeyboardInterrupt):
        train_run(
            make(recipe=recipe),
            disc_folder,
            tmp_path / "cut",
            others=other_folder,
            callbacks=[Stop()],
        )
    written = json.loads((tmp_path / "cut" / "run.json").read_text(encoding="utf-8"))
    assert written["others"] == [str(other_folder.absolute())]
    again = resume_run(tmp_path / "cut")
    assert again.classifier.metrics_["num_others"] == 24
    for first, second in zip(
        whole.classifier.network_.state_dict().values(),
        again.classifier.network_.state_dict().values(),
        strict=True,
    ):
        np.testing.assert_array_equal(first.numpy(), second.numpy())


def test_others_in_a_list_are_not_written_down(
    make: Any, disc_folder: Path, unlike: list[Any], tmp_path: Path
) -> None:
    train_run(make(), disc_folder, tmp_path / "run", others=unlike)
    written = json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))
    assert written["data"] is None
    assert written["others"] is None
    with pytest.raises(CheckpointError):
        resume_run(tmp_path / "run")
