"""Two processes of a launcher train as one does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

SCRIPT = """
import json
import os
import sys
import time
from pathlib import Path

from planetvision.core.errors import SettingsError
from planetvision.core.settings import InputSpec, Recipe, Stage
from planetvision.data.loading import ImageDataset
from planetvision.models.network import create_network
from planetvision.training.callbacks import Callback
from planetvision.training.checkpoint import Checkpoints
from planetvision.training.trainer import Trainer

data, out = map(Path, sys.argv[1:3])
paths = sorted(data.glob("*/*.png"))
spec = InputSpec(image_size=32)
# Odd numbers: the last batch cannot be shared equally.
train, val = (
    ImageDataset([str(paths[row]) for row in rows], [row // 8 for row in rows], input_spec=spec)
    for rows in (range(0, 24, 2), range(1, 15, 2))
)
stages = (
    Stage(name="head", epochs=2, learning_rate=1e-2, views=2),
    Stage(name="tail", epochs=2, learning_rate=1e-2, views=2, trainable_blocks=2),
    Stage(
        name="all",
        epochs=2,
        learning_rate=1e-3,
        trainable_blocks=None,
        ema_decay=0.9,
        accumulation_steps=2,
        batch_size=5,
    ),
)


class Keep(Callback):
    def __init__(self, shown):
        self.losses = []
        self.shown = shown
        self.computed = {}

    def on_stage_begin(self, trainer, stage):
        self.computed.setdefault(stage.name, sum(self.shown))

    def on_step_end(self, trainer, loss):
        self.losses.append(loss)


class NotingTheWriter(Checkpoints):
    def _save(self, name, state):
        (self.folder.parent / f"writer-{os.getpid()}").touch()
        return super()._save(name, state)


def run(mode):
    folder = out / mode
    folder.mkdir(exist_ok=True)
    shown = []
    network = create_network("tiny", num_classes=3, weights="none", input_spec=spec, seed=0)
    forward_features = network.forward_features
    network.forward_features = lambda images: shown.append(len(images)) or forward_features(images)
    keep = Keep(shown)
    batch_size = 9 if mode == "odd" else 10
    trainer = Trainer(
        network,
        Recipe(name="test", stages=stages, batch_size=batch_size, augmentation="light"),
        device="cpu",
        num_workers=0,
        callbacks=[keep],
        max_minutes=0.02 if mode == "late" else None,
    )
    trainer.checkpoints = NotingTheWriter(folder / "checkpoint")
    if mode == "late" and not trainer.state.is_main_process:
        time.sleep(1)
    history = trainer.fit(train, val)
    if trainer.state.is_main_process:
        records = [(one.train_loss, one.train_accuracy, one.val_accuracy) for one in history]
        weights = [float(weight.sum()) for weight in network.parameters()]
        result = {
            "losses": keep.losses,
            "records": records,
            "weights": weights,
            "computed": keep.computed,
        }
        with (folder / "result.json").open("x") as file:
            json.dump(result, file)


for mode in sys.argv[3:]:
    run(mode)
try:
    run("odd")
except SettingsError as error:
    (out / f"refused-{os.getpid()}.txt").write_text(str(error))
"""


def launch(folder: Path, data: Path, *launcher: str, modes: Sequence[str]) -> None:
    """Runs the script once for all of these trainings: each start takes seconds."""
    folder.mkdir()
    script = folder / "script.py"
    script.write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, *launcher, str(script), str(data), str(folder), *modes],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for mode in modes:
        assert len(list((folder / mode).glob("writer-*"))) == 1


def read_result(folder: Path) -> Any:
    return json.loads((folder / "result.json").read_text())


TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2")


@pytest.fixture(scope="module")
def shared(disc_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two processes of torchrun wrote."""
    folder = tmp_path_factory.mktemp("processes") / "shared"
    launch(folder, disc_folder, *TORCHRUN, modes=("whole", "late"))
    return folder


@pytest.mark.slow
def test_two_processes_take_the_steps_of_one(
    shared: Path, disc_folder: Path, tmp_path: Path
) -> None:
    launch(tmp_path / "alone", disc_folder, modes=("whole",))
    one, two = (read_result(folder / "whole") for folder in (tmp_path / "alone", shared))
    assert two["losses"] == pytest.approx(one["losses"], rel=1e-4)
    assert two["weights"] == pytest.approx(one["weights"], rel=1e-3, abs=1e-3)
    # Two views of 12 images, and 7 images: half of them each.
    assert (one["computed"]["head"], two["computed"]["head"]) == (24 + 7, 12 + 4)
    for here, there in zip(two["records"], one["records"], strict=True):
        assert here == pytest.approx(there, rel=1e-4)  # of 7 images: none is counted twice


@pytest.mark.slow
def test_batch_that_cannot_be_shared_out_is_refused(shared: Path) -> None:
    messages = [path.read_text() for path in shared.glob("refused-*.txt")]
    assert len(messages) == 2
    expected = "the batch size 9 cannot be shared equally between 2 processes"
    assert all(expected in message for message in messages)


@pytest.mark.slow
def test_processes_whose_time_is_over_at_different_moments_end_together(shared: Path) -> None:
    assert len(read_result(shared / "late")["records"]) < 6
