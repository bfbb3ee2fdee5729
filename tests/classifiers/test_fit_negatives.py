"""`fit(negatives=...)`: images of none of the classes, from the loss to the answer."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from planetvision.classifiers.classifier import PlanetClassifier
from planetvision.core.errors import (
    CheckpointError,
    DataError,
    DataWarning,
    OutputError,
    SettingsError,
)
from planetvision.core.settings import Recipe, Stage
from planetvision.inference.ood_scores import OOD_SCORES, NetworkOutputs, register_ood_score
from planetvision.render import render_non_planets
from planetvision.training.callbacks import Callback
from planetvision.workflows.run import resume_run, train_run


@pytest.fixture(scope="module")
def unlike() -> list[Any]:
    return list(render_non_planets(count=24, image_size=40, seed=3))


@pytest.fixture
def other_folder(tmp_path: Path, unlike: list[Any]) -> Path:
    folder = tmp_path / "negatives"
    folder.mkdir()
    for number, image in enumerate(unlike):
        Image.fromarray(image).save(folder / f"{number:02d}.png")
    return folder


class CutOff(Callback):
    """Ctrl-C after the first epoch."""

    def on_epoch_end(self, state: Any, record: Any) -> None:
        raise KeyboardInterrupt


def get_confidence(classifier: PlanetClassifier, images: Any) -> float:
    return float(np.mean(classifier.predict_proba(images).max(axis=1)))


@pytest.mark.slow
def test_network_grows_unsure_of_others_and_stays_sure_of_its_classes(
    make: Any, brief: Recipe, disc_folder: Path, disc_paths: list[str], unlike: list[Any]
) -> None:
    stages = (replace(brief.stages[0], epochs=30),)
    recipe = replace(brief, stages=stages, negatives_weight=1.0)
    plain = make(recipe=recipe).fit(disc_folder)
    taught = make(recipe=recipe).fit(disc_folder, negatives=unlike)
    assert taught.metrics_["num_negatives"] == 24
    assert plain.metrics_["num_negatives"] == 0
    assert get_confidence(taught, unlike) < get_confidence(plain, unlike) - 0.05
    assert taught.score(disc_paths, [Path(path).parent.name for path in disc_paths]) > 0.9


@pytest.mark.slow
def test_weight_of_nothing_leaves_the_network_as_it_was(
    make: Any, brief: Recipe, disc_folder: Path, unlike: list[Any]
) -> None:
    # BatchNorm learns here, and would learn from images that count nothing.
    assert not brief.stages[0].freeze_batch_norm
    plain, without, taught = (
        make(recipe=replace(brief, negatives_weight=weight)).fit(disc_folder, negatives=negatives)
        for weight, negatives in ((0.0, None), (0.0, unlike), (2.0, unlike))
    )
    states = [list(one.network_.state_dict().values()) for one in (plain, without, taught)]
    assert all(torch.equal(*pair) for pair in zip(*states[:2], strict=True))
    assert not all(torch.equal(*pair) for pair in zip(*states[::2], strict=True))


def test_mixing_stages_take_others_that_count_nothing(
    make: Any, brief: Recipe, disc_folder: Path, unlike: list[Any]
) -> None:
    stage = Stage(name="mixed", epochs=1, learning_rate=1e-2, trainable_blocks=None, mixup=0.2)
    recipe = replace(brief, stages=(stage,), negatives_weight=0.0)
    assert make(recipe=recipe).fit(disc_folder, negatives=unlike).metrics_["num_negatives"] == 24


@pytest.mark.slow
def test_folder_of_others_is_read_as_for_predict(
    make: Any, disc_folder: Path, other_folder: Path
) -> None:
    assert make().fit(disc_folder, negatives=other_folder).metrics_["num_negatives"] == 24
    assert make().fit(disc_folder, negatives=[str(other_folder)]).metrics_["num_negatives"] == 24


@pytest.mark.slow
def test_score_of_novelty_learns_from_the_others_given_too(
    make: Any, disc_folder: Path, unlike: list[Any]
) -> None:
    seen: list[int] = []

    @register_ood_score("counting_others", needs_negatives=True)
    class Counting:
        """Counts what it is given."""

        def fit(self, known: NetworkOutputs, negatives: NetworkOutputs | None) -> dict[str, Any]:
            assert negatives is not None
            seen.append(len(negatives))
            return {}

        def score(self, state: Any, images: NetworkOutputs) -> Any:
            return -images.logits.max(axis=1)

    try:
        make(ood_score="counting_others").fit(disc_folder)
        make(ood_score="counting_others").fit(disc_folder, negatives=unlike)
    finally:
        OOD_SCORES.remove("counting_others")
    assert seen[1] == seen[0] + 24


@pytest.mark.slow
def test_others_that_cannot_be_read_are_named_before_training(
    make: Any, disc_folder: Path, other_folder: Path
) -> None:
    (other_folder / "broken.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"broken\.png"):
        make().fit(disc_folder, negatives=other_folder)
    with pytest.warns(DataWarning, match=r"broken\.png"):
        classifier = make(on_error="skip").fit(disc_folder, negatives=other_folder)
    assert classifier.metrics_["num_negatives"] == 24


def test_mixing_stages_cannot_take_others(
    make: Any, brief: Recipe, disc_folder: Path, unlike: list[Any]
) -> None:
    stage = Stage(name="mixed", epochs=1, learning_rate=1e-2, trainable_blocks=None, mixup=0.2)
    with pytest.raises(SettingsError, match=r"the stages mixed.*Leave the negatives out"):
        make(recipe=replace(brief, stages=(stage,))).fit(disc_folder, negatives=unlike)


@pytest.mark.slow
def test_run_that_is_cut_off_goes_on_with_its_others(
    make: Any, brief: Recipe, disc_folder: Path, other_folder: Path, tmp_path: Path
) -> None:
    recipe = replace(brief, stages=(replace(brief.stages[0], epochs=4),))
    whole = train_run(make(recipe=recipe), disc_folder, tmp_path / "whole", negatives=other_folder)
    with pytest.raises(KeyboardInterrupt):
        train_run(
            make(recipe=recipe),
            disc_folder,
            tmp_path / "cut",
            negatives=other_folder,
            callbacks=[CutOff()],
        )
    written = json.loads((tmp_path / "cut" / "run.json").read_text(encoding="utf-8"))
    assert written["negatives"] == [str(other_folder.absolute())]
    again = resume_run(tmp_path / "cut")
    assert again.classifier.metrics_["num_negatives"] == 24
    for first, second in zip(
        whole.classifier.network_.state_dict().values(),
        again.classifier.network_.state_dict().values(),
        strict=True,
    ):
        np.testing.assert_array_equal(first.numpy(), second.numpy())


@pytest.mark.slow
def test_run_with_others_or_a_start_in_memory_says_what_to_pass_again(
    make: Any, brief: Recipe, disc_folder: Path, unlike: list[Any], tmp_path: Path
) -> None:
    start = make(recipe=brief).fit(disc_folder)
    cases: list[tuple[dict[str, Any], str, str]] = [
        ({"negatives": unlike}, "its `negatives` as images in memory", ", negatives=..."),
        (
            {"init_from": start},
            "a classifier in memory to fine-tune from",
            ", init_from=...",
        ),
        (
            {"negatives": unlike, "init_from": start},
            "its `negatives` as images in memory and a classifier in memory to fine-tune from",
            ", negatives=..., init_from=...",
        ),
    ]
    for number, (given, what, options) in enumerate(cases):
        folder = tmp_path / f"run{number}"
        with pytest.raises(KeyboardInterrupt):
            train_run(make(recipe=brief), disc_folder, folder, callbacks=[CutOff()], **given)
        written = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        assert (written["data"], written["negatives"]) == (None, None)
        message = (
            f"was given {what}, which is not stored. Call "
            f"train_run(classifier, data, folder{options}, resume=True) with the same"
        )
        with pytest.raises(CheckpointError, match=re.escape(message)):
            resume_run(folder)
    again = train_run(make(recipe=brief), disc_folder, folder, resume=True, **given)
    assert again.classifier.metrics_["num_negatives"] == 24


def test_output_in_the_others_or_around_them_is_refused_before_training(
    make: Any, disc_folder: Path, other_folder: Path, tmp_path: Path
) -> None:
    before = sorted(tmp_path.rglob("*"))
    inside = r"lies in the folder of negatives '.*negatives', where its pictures would be taken"
    around = r"The negatives in '.*negatives' lie in the output folder '.*', whose files may"
    for negatives in (
        other_folder,
        [str(other_folder)],
        other_folder / "**" / "*.png",
        other_folder / "*" / "*.png",
    ):
        with pytest.raises(OutputError, match=inside):
            train_run(
                make(), disc_folder, other_folder / "run", negatives=negatives, overwrite=True
            )
        with pytest.raises(OutputError, match=around):
            train_run(make(), disc_folder, tmp_path, negatives=negatives, overwrite=True)
    file = other_folder / "00.png"
    with pytest.raises(OutputError, match=around):
        train_run(make(), disc_folder, tmp_path, negatives=file, overwrite=True)
    assert sorted(tmp_path.rglob("*")) == before


def test_output_below_the_files_that_a_pattern_matches_is_taken(
    make: Any, brief: Recipe, disc_folder: Path, other_folder: Path
) -> None:
    run = train_run(
        make(recipe=brief, test_fraction=0),
        disc_folder,
        other_folder / "run",
        negatives=other_folder / "*.png",
    )
    assert run.classifier.metrics_["num_negatives"] == 24


@pytest.mark.slow
def test_card_tells_of_the_others(
    make: Any, brief: Recipe, disc_folder: Path, other_folder: Path, unlike: list[Any]
) -> None:
    def read_card(negatives: Any, weight: float = 0.5) -> str:
        recipe = replace(brief, negatives_weight=weight)
        classifier = make(recipe=recipe).fit(disc_folder, negatives=negatives)
        name = f"model {len(list(other_folder.parent.iterdir()))}"
        return str((classifier.save(other_folder.parent / name) / "MODEL_CARD.md").read_text())

    card = read_card([other_folder, *unlike[:2]], weight=0.25)
    assert "26 images that show none of the classes (negatives, images in memory)" in card
    assert "with the weight 0.25 relative to an image of a class" in card
    assert '.fit("DATA", negatives="NEGATIVES")' in card
    assert str(other_folder) not in card
    card = read_card(str(other_folder / "*.png"), weight=0.0)
    assert "24 images that show none of the classes (negatives). The network was not" in card
    card = read_card(None)
    assert "It was trained without negatives." in card
    assert '.fit("DATA")' in card
