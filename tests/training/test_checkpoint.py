"""A resumed training has the same result to the bit."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import Accelerator

from planetvision.core.devices import MixedPrecision, create_accelerator
from planetvision.core.errors import (
    CheckpointError,
    OutputError,
    OutputExistsError,
    TrainingError,
    TrainingWarning,
)
from planetvision.core.files import write_atomically
from planetvision.core.settings import InputSpec, Recipe, Stage
from planetvision.data.loading import ImageDataset
from planetvision.models.network import PlanetNet
from planetvision.results import EpochRecord
from planetvision.training.callbacks import Callback, CSVLogger
from planetvision.training.checkpoint import Checkpoints
from planetvision.training.state import TrainingState
from planetvision.training.trainer import Trainer

# Everything that has a state: stored views that are renewed, momentum, averages, mixing, patience.
RECIPE = Recipe(
    name="test",
    augmentation="light",
    batch_size=6,
    label_smoothing=0.1,
    head_options={"dropout": 0.1},
    stages=(
        Stage(
            name="head",
            epochs=3,
            learning_rate=1e-2,
            views=2,
            refresh_epochs=2,
            patience=2,
            ema_decay=0.9,
            monitor="calibrated_loss",
        ),
        Stage(
            name="tail",
            epochs=2,
            learning_rate=3e-3,
            trainable_blocks=2,
            views=2,
            freeze_batch_norm=False,
            optimizer="timm:lamb",
            weight_interpolation=0.5,
        ),
        Stage(
            name="all",
            epochs=3,
            learning_rate=1e-3,
            trainable_blocks=None,
            freeze_batch_norm=False,
            mixup=0.2,
            cutmix=1.0,
            ema_decay=0.9,
            layer_decay=0.7,
            accumulation_steps=2,
            batch_size=3,
        ),
    ),
)
Create = Callable[..., PlanetNet]


class CutOff(Exception):
    pass


class Cut(Callback):
    """Ends the process, as it were, at the n-th moment of those where something is done."""

    def __init__(self, moment: int) -> None:
        self.moment = moment
        self.count = 0

    def _tick(self, *_: object) -> None:
        self.count += 1
        if self.count == self.moment:
            raise CutOff

    def on_stage_begin(self, state: TrainingState, stage: Stage) -> None:
        self._tick()

    def on_step_end(self, state: TrainingState, loss: float) -> None:
        self._tick()

    def on_epoch_end(self, state: TrainingState, record: EpochRecord) -> None:
        self._tick()

    def on_stage_end(self, state: TrainingState, stage: Stage) -> None:
        self._tick()


def make(create: Create, recipe: Recipe = RECIPE, **options: Any) -> Trainer:
    return Trainer(create(0.1), recipe, device="cpu", **{"num_workers": 0, **options})


def get_state(trainer: Trainer) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in trainer.network.state_dict().items()}


def without_seconds(trainer: Trainer) -> list[EpochRecord]:
    return [replace(record, seconds=0.0) for record in trainer.state.history]


def check_same(trainer: Trainer, expected: Trainer) -> None:
    state = get_state(expected)
    assert all(torch.equal(value, state[name]) for name, value in get_state(trainer).items())
    assert without_seconds(trainer) == without_seconds(expected)
    assert trainer.state.val_loss == expected.state.val_loss
    assert trainer.state.val_accuracy == expected.state.val_accuracy


@pytest.fixture(scope="module")
def whole(train: ImageDataset, val: ImageDataset) -> tuple[Trainer, int]:
    """The training that was never cut off, and its number of moments."""
    from planetvision.models.network import create_network

    network = create_network(
        "tiny",
        num_classes=3,
        head_options={"dropout": 0.1},
        weights="none",
        input_spec=train.input_spec,
        seed=0,
    )
    counter = Cut(-1)
    trainer = Trainer(network, RECIPE, device="cpu", num_workers=0, callbacks=[counter])
    trainer.fit(train, val)
    assert len(trainer.state.history) == 8
    return trainer, counter.count


@pytest.mark.slow
def test_training_that_is_cut_off_anywhere_goes_on_to_the_same_bits(
    whole: tuple[Trainer, int],
    create: Create,
    train: ImageDataset,
    val: ImageDataset,
    tmp_path: Path,
) -> None:
    expected, moments = whole
    for moment in range(1, moments + 1, 5):
        folder = tmp_path / str(moment)
        with pytest.raises(CutOff):
            make(create, checkpoints=folder, callbacks=[Cut(moment)]).fit(train, val)
        torch.manual_seed(moment)  # the caller's generators must not matter
        again = make(create, num_workers=moment % 3)
        again.fit(train, val, resume=folder)
        check_same(again, expected)


def test_training_that_is_cut_off_twice_goes_on_too(
    whole: tuple[Trainer, int],
    create: Create,
    train: ImageDataset,
    val: ImageDataset,
    tmp_path: Path,
) -> None:
    with pytest.raises(CutOff):
        make(create, checkpoints=tmp_path, callbacks=[Cut(9)]).fit(train, val)
    with pytest.raises(CutOff):
        make(create, callbacks=[Cut(9)]).fit(train, val, resume=tmp_path)
    last = make(create)
    last.fit(train, val, resume=tmp_path)
    check_same(last, whole[0])
    finished = make(create, callbacks=[Cut(1)])
    finished.fit(train, val, resume=tmp_path)  # there is nothing left to do
    check_same(finished, whole[0])


def test_training_with_a_scaler_goes_on_to_the_same_bits_wherever_it_is_cut_off(
    create: Create,
    train: ImageDataset,
    val: ImageDataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    head = Stage(name="head", epochs=2, learning_rate=1e-2, views=1, monitor="none")
    stages = (head, replace(head, name="all", trainable_blocks=None, views=0))
    recipe = replace(RECIPE, batch_size=9, stages=stages, max_gradient_norm=None)

    def overflow(slope: torch.Tensor) -> torch.Tensor:
        return slope.masked_fill(slope.abs() > 65504, math.inf)

    def make_half(**options: Any) -> Trainer:
        """A training whose gradients are infinite where half precision cannot hold them."""
        trainer = make(create, recipe, **options)
        for weight in trainer.network.parameters():
            weight.register_hook(overflow)  # type: ignore[no-untyped-call]
        return trainer

    @contextmanager
    def scale(precision: MixedPrecision, device: torch.device) -> Iterator[Accelerator]:
        # Accelerate scales for fp16 on CUDA alone. A power of 2 leaves the bits of a step alone.
        with create_accelerator(precision, device) as accelerator:
            accelerator.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**20, growth_interval=2)
            yield accelerator

    plain = make_half()
    plain.fit(train, val)
    monkeypatch.setattr("planetvision.training.trainer.create_accelerator", scale)
    counter = Cut(-1)
    expected = make_half(callbacks=[counter])
    expected.fit(train, val)
    assert expected.state.val_loss != plain.state.val_loss  # steps were left out
    for moment in range(1, counter.count + 1, 3):
        folder = tmp_path / str(moment)
        with pytest.raises(CutOff):
            make_half(checkpoints=folder, callbacks=[Cut(moment)]).fit(train, val)
        again = make_half()
        again.fit(train, val, resume=folder)
        check_same(again, expected)


def test_checkpoint_of_other_settings_is_refused_with_the_differences(
    create: Create, train: ImageDataset, val: ImageDataset, tmp_path: Path
) -> None:
    with pytest.raises(CutOff):
        make(create, checkpoints=tmp_path, callbacks=[Cut(9)]).fit(train, val)
    stages = (replace(RECIPE.stages[0], learning_rate=0.5), *RECIPE.stages[1:])
    other = replace(RECIPE, stages=stages, label_smoothing=0.2)
    with pytest.raises(CheckpointError) as caught:
        make(create, other, seed=1).fit(val, train, resume=tmp_path)
    assert [line.split(":")[0] for line in caught.value.differences] == [
        "recipe.stages[0].learning_rate",
        "recipe.label_smoothing",
        "seed",
        "train.images",
        "train.sha256",
        "val.images",
        "val.sha256",
    ]
    assert "recipe.label_smoothing: it was 0.1, now it is 0.2" in str(caught.value)
    assert "Resume with its settings, or start a new training" in str(caught.value)


def test_missing_or_damaged_checkpoint_is_an_error_of_its_own(
    create: Create, train: ImageDataset, val: ImageDataset, tmp_path: Path
) -> None:
    with pytest.raises(
        CheckpointError, match=r"no checkpoint in .*Name the folder of an interrupted"
    ):
        make(create).fit(train, val, resume=tmp_path / "nothing")
    with pytest.raises(CutOff):
        make(create, checkpoints=tmp_path / "run", callbacks=[Cut(9)]).fit(train, val)
    for name, content in (("epoch.pt", b"damage"), ("settings.json", b"{")):
        shutil.copytree(tmp_path / "run", tmp_path / name)
        (tmp_path / name / name).write_bytes(content)
        with pytest.raises(CheckpointError, match=r"is damaged.*Start a new training"):
            make(create).fit(train, val, resume=tmp_path / name)
    (tmp_path / "run" / "stage.pt").unlink()
    with pytest.raises(CheckpointError, match="interrupted before its first stage"):
        make(create).fit(train, val, resume=tmp_path / "run")


def test_checkpoint_of_another_format_names_the_version(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    checkpoints.start({})
    settings = json.loads((tmp_path / "settings.json").read_text())
    settings.update(format=99, versions={"planetvision": "7.0"})
    (tmp_path / "settings.json").write_text(json.dumps(settings))
    with pytest.raises(CheckpointError, match=r"has the format 99.*Use planetvision 7\.0"):
        checkpoints.load({})


def test_new_training_removes_the_checkpoints_of_an_earlier_one(
    create: Create, train: ImageDataset, val: ImageDataset, tmp_path: Path
) -> None:
    with pytest.raises(CutOff):
        make(create, checkpoints=tmp_path, callbacks=[Cut(9)]).fit(train, val)
    assert (tmp_path / "epoch.pt").exists()
    with pytest.raises(CutOff):
        make(create, checkpoints=tmp_path, callbacks=[Cut(1)], seed=1).fit(train, val)
    assert not (tmp_path / "epoch.pt").exists()


def test_full_disk_leaves_the_checkpoint_before_and_the_training_goes_on(
    create: Create,
    train: ImageDataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recipe = replace(RECIPE, stages=RECIPE.stages[:1])
    saved: list[bytes] = []

    def fill(path: Path, write_it: Callable[[Path], object]) -> None:
        if path.name == "epoch.pt" and saved:
            raise OutputError(f"'{path}' cannot be written: No space left on device.")
        write_atomically(path, write_it)
        if path.name == "epoch.pt":
            saved.append(path.read_bytes())

    monkeypatch.setattr("planetvision.training.checkpoint.write_atomically", fill)
    monkeypatch.setattr(Checkpoints, "save_stage", lambda self, state: None)
    with pytest.warns(TrainingWarning, match=r"could not be written: .*No space .* continues"):
        history = make(create, recipe, checkpoints=tmp_path).fit(train, train)
    assert len(history) > 1
    assert (tmp_path / "epoch.pt").read_bytes() == saved[0]


def test_loss_that_is_not_finite_names_the_last_checkpoint(
    create: Create, train: ImageDataset, val: ImageDataset, tmp_path: Path
) -> None:
    class Poison(Callback):
        def on_step_end(self, state: TrainingState, loss: float) -> None:
            if len(state.history) == 2:
                torch.nn.init.constant_(state.network.get_parameter("head.1.bias"), math.nan)

    stage = replace(RECIPE.stages[0], ema_decay=None, patience=None)
    recipe = replace(RECIPE, stages=(stage,), batch_size=24)  # an epoch is a step
    said = r"A weight is nan in .* The last checkpoint, after epoch 2, is in "
    with pytest.raises(TrainingError, match=said):
        make(create, recipe, checkpoints=tmp_path, callbacks=[Poison()]).fit(train, val)


def test_full_disk_where_a_stage_begins_leaves_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoints = Checkpoints(tmp_path)
    checkpoints.start({})
    checkpoints.save_stage({"stage": 0})
    checkpoints.save_epoch({"stage": 0, "history": [1]})

    def fill(path: Path, write_it: Callable[[Path], object]) -> None:
        raise OutputError(f"'{path}' cannot be written: No space left on device.")

    with monkeypatch.context() as patch:
        patch.setattr("planetvision.training.checkpoint.write_atomically", fill)
        with pytest.warns(TrainingWarning, match="previous checkpoint is kept"):
            checkpoints.save_stage({"stage": 1})
    checkpoints.save_epoch({"stage": 1, "history": [1, 2]})
    assert checkpoints.load({}) == ({"stage": 0}, {"stage": 0, "history": [1]})


def test_hook_that_refuses_a_new_training_leaves_the_checkpoints_of_the_earlier(
    create: Create, train: ImageDataset, val: ImageDataset, tmp_path: Path
) -> None:
    log = tmp_path / "log.csv"
    with pytest.raises(CutOff):
        make(create, checkpoints=tmp_path / "c", callbacks=[CSVLogger(log), Cut(9)]).fit(train, val)
    kept = (tmp_path / "c" / "epoch.pt").read_bytes()
    with pytest.raises(OutputExistsError):
        make(create, checkpoints=tmp_path / "c", callbacks=[CSVLogger(log)]).fit(train, val)
    assert (tmp_path / "c" / "epoch.pt").read_bytes() == kept


@pytest.mark.slow
def test_log_of_a_training_that_was_cut_off_before_its_first_checkpoint_is_replaced(
    create: Create, train: ImageDataset, val: ImageDataset, tmp_path: Path
) -> None:
    class CutBeforeSaving(Callback):
        def on_epoch_end(self, state: TrainingState, record: EpochRecord) -> None:
            raise CutOff

    log = CSVLogger(tmp_path / "log.csv")
    with pytest.raises(CutOff):
        make(create, checkpoints=tmp_path / "c", callbacks=[log, CutBeforeSaving()]).fit(train, val)
    assert (tmp_path / "log.csv").exists()
    assert not (tmp_path / "c" / "epoch.pt").exists()
    resumed = make(create, callbacks=[CSVLogger(tmp_path / "log.csv")])
    history = resumed.fit(train, val, resume=tmp_path / "c")
    assert resumed.state.is_resumed
    assert (tmp_path / "log.csv").read_text().count("\n") == len(history) + 1


@pytest.mark.parametrize("change", ["pixels", "seed", "framing"])
def test_other_images_in_memory_are_other_data(create: Create, tmp_path: Path, change: str) -> None:
    generator = np.random.default_rng(0)
    arrays = [generator.integers(0, 256, (32, 32, 3), dtype=np.uint8) for _ in range(6)]

    def make_images(**changes: Any) -> ImageDataset:
        images = changes.pop("images", arrays)
        settings = {"input_spec": InputSpec(image_size=32), **changes}
        return ImageDataset(images, [0, 1, 2] * 2, **settings)

    others: dict[str, dict[str, Any]] = {
        "pixels": {"images": [255 - array for array in arrays]},
        "seed": {"seed": 9},
        "framing": {"input_spec": InputSpec(image_size=32, framing="squash")},
    }
    recipe = replace(RECIPE, stages=(replace(RECIPE.stages[0], epochs=1, patience=None),))
    make(create, recipe, checkpoints=tmp_path).fit(make_images())
    make(create, recipe).fit(make_images(), resume=tmp_path)
    with pytest.raises(CheckpointError, match=r"train\."):
        make(create, recipe).fit(make_images(**others[change]), resume=tmp_path)
