"""Two processes of a launcher train as one does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = """
import json
import os
import sys
import time
from pathlib import Path

from planetvision.core.settings import InputSpec, Recipe, Stage
from planetvision.data.loading import ImageDataset
from planetvision.models.network import create_network
from planetvision.training.callbacks import Callback
from planetvision.training.checkpoint import Checkpoints
from planetvision.training.trainer import Trainer

data, out = map(Path, sys.argv[1:3])
mode = sys.argv[3]
paths = sorted(data.glob("*/*.png"))
spec = InputSpec(image_size=32)
# Odd numbers: the last batch cannot be shared equally.
train, val = (
    ImageDataset([str(paths[row]) for row in rows], [row // 8 for row in rows], input_spec=spec)
    for rows in (range(0, 24, 2), range(1, 15, 2))
)
losses = []
shown = []
computed = {}


class Keep(Callback):
    def on_stage_begin(self, state, stage):
        computed.setdefault(stage.name, sum(shown))

    def on_step_end(self, state, loss):
        losses.append(loss)


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


class NotingTheWriter(Checkpoints):
    def _save(self, name, state):
        (out / f"writer-{os.getpid()}").touch()
        return super()._save(name, state)


network = create_network("tiny", num_classes=3, weights="none", input_spec=spec, seed=0)
forward_features = network.forward_features
network.forward_features = lambda images: shown.append(len(images)) or forward_features(images)
trainer = Trainer(
    network,
    Recipe(name="test", stages=stages, batch_size=9 if mode == "odd" else 10, augmentation="light"),
    device="cpu",
    num_workers=0,
    callbacks=[Keep()],
    max_minutes=0.02 if mode == "late" else None,
)
trainer.checkpoints = NotingTheWriter(out / "checkpoint")
if mode == "late" and not trainer.state.is_main_process:
    time.sleep(1)
history = trainer.fit(train, val)
if trainer.state.is_main_process:
    records = [(one.train_loss, one.train_accuracy, one.val_accuracy) for one in history]
    weights = [float(weight.sum()) for weight in network.parameters()]
    result = {"losses": losses, "records": records, "weights": weights, "computed": computed}
    with (out / "result.json").open("x") as file:
        json.dump(result, file)
"""


def run(folder: Path, data: Path, *launcher: str, mode: str = "whole") -> Any:
    folder.mkdir()
    script = folder / "script.py"
    script.write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, *launcher, str(script), str(data), str(folder), mode],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if mode == "odd":
        return done.stderr
    assert done.returncode == 0, done.stderr
    assert len(list(folder.glob("writer-*"))) == 1
    return json.loads((folder / "result.json").read_text())


TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2")


def test_two_processes_take_the_steps_of_one(disc_folder: Path, tmp_path: Path) -> None:
    alone = run(tmp_path / "alone", disc_folder)
    shared = run(tmp_path / "shared", disc_folder, *TORCHRUN)
    assert shared["losses"] == pytest.approx(alone["losses"], rel=1e-4)
    assert shared["weights"] == pytest.approx(alone["weights"], rel=1e-3, abs=1e-3)
    # Two views of 12 images, and 7 images: half of them each.
    assert (alone["computed"]["head"], shared["computed"]["head"]) == (24 + 7, 12 + 4)
    for here, there in zip(shared["records"], alone["records"], strict=True):
        assert here == pytest.approx(there, rel=1e-4)  # of 7 images: none is counted twice


def test_batch_that_cannot_be_shared_out_is_refused(disc_folder: Path, tmp_path: Path) -> None:
    said = run(tmp_path / "odd", disc_folder, *TORCHRUN, mode="odd")
    assert "the batch size 9 cannot be shared equally between 2 processes" in said


def test_processes_whose_time_is_over_at_different_moments_end_together(
    disc_folder: Path, tmp_path: Path
) -> None:
    result = run(tmp_path / "late", disc_folder, *TORCHRUN, mode="late")
    assert len(result["records"]) < 6
