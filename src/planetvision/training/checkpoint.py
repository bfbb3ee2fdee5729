"""Checkpoints: the files from which a training that was cut off goes on."""

from __future__ import annotations

import json
import logging
import os
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from planetvision.core.devices import list_versions
from planetvision.core.errors import CheckpointError, OutputError, TrainingWarning, itemize
from planetvision.core.files import create_output_folder, write_atomically, write_json
from planetvision.core.settings import Recipe
from planetvision.models.network import PlanetNet
from planetvision.training.datasets import TrainingData, describe_data

__all__ = ["Checkpoints", "describe_training"]

logger = logging.getLogger(__name__)

_FORMAT = 1
_MISSING = "nothing"


class Checkpoints:
    """The folder of the checkpoints of one training.

    `settings.json` says what is trained on what and how. `stage.pt` holds the whole network as it
    was before the present stage, `epoch.pt` what the stage has changed since, with its optimizer,
    after its last whole epoch. Each file appears whole or not at all. They hold tensors, numbers
    and names, and are read as nothing else.

    Args:
        folder: The folder; it is made where it is missing.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        self._is_behind = False

    def start(self, settings: Mapping[str, Any]) -> None:
        """Begins a new training: what an earlier one left here is removed.

        Raises:
            OutputError: If the folder cannot be written.
        """
        create_output_folder(self.folder, overwrite=True)
        for name in ("stage.pt", "epoch.pt"):
            (self.folder / name).unlink(missing_ok=True)
        described = {"format": _FORMAT, "versions": list_versions(), "settings": settings}
        write_json(self.folder / "settings.json", described)

    def save_stage(self, state: Mapping[str, Any]) -> None:
        """Writes where a stage begins; the epochs of the one before are done with."""
        self._is_behind = not self._save("stage.pt", state)
        if not self._is_behind:
            (self.folder / "epoch.pt").unlink(missing_ok=True)

    def save_epoch(self, state: Mapping[str, Any]) -> None:
        """Writes what a stage has changed, after an epoch.

        Where the beginning of the stage could not be written, the epochs of the one before stay.
        """
        if not self._is_behind:
            self._save("epoch.pt", state)

    def load(self, settings: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any] | None]:
        """Returns what `save_stage` and `save_epoch` wrote last.

        The second is None where no epoch of the stage is done.

        Args:
            settings: Those of the training that shall go on.

        Raises:
            CheckpointError: If there is no checkpoint, it is damaged, or its settings are others;
                all of those are named.
        """
        self._check_settings(settings)
        for leftover in self.folder.glob(".*.pt"):  # cut off while it was written
            leftover.unlink(missing_ok=True)
        stage = self._load("stage.pt")
        if stage is None:
            raise CheckpointError(
                f"There is no checkpoint in '{self.folder}': the training was cut off before its "
                "first stage. Train anew.",
                path=str(self.folder),
            )
        epoch = self._load("epoch.pt")
        if epoch is not None and epoch["stage"] != stage["stage"]:
            epoch = None  # cut off between the two files: the stage begins
        return stage, epoch

    def describe(self) -> str:
        """Returns what a message says of the last checkpoint."""
        epoch = self._load("epoch.pt") or self._load("stage.pt")
        if epoch is None:
            return f"There is no checkpoint in '{self.folder}' yet."
        return f"The last checkpoint, after epoch {len(epoch['history'])}, is in '{self.folder}'."

    def _save(self, name: str, state: Mapping[str, Any]) -> bool:
        try:
            write_atomically(self.folder / name, lambda file: _write(file, state))
        except (OutputError, RuntimeError) as error:  # torch's writer raises the second
            warnings.warn(
                f"A checkpoint could not be written: {error} The training goes on, and the one "
                "before is still there.",
                TrainingWarning,
                stacklevel=2,
            )
            return False
        return True

    def _load(self, name: str) -> dict[str, Any] | None:
        path = self.folder / name
        if not path.exists():
            return None
        try:
            state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        # torch raises many kinds on damaged files, and advises to read them unsafely.
        except Exception as cause:
            raise CheckpointError(
                f"The checkpoint '{path}' is damaged. Train anew.", path=str(path)
            ) from cause
        return state

    def _check_settings(self, settings: Mapping[str, Any]) -> None:
        path = self.folder / "settings.json"
        try:
            saved = json.loads(path.read_text(encoding="utf-8"))
            earlier = saved["settings"]
            version, versions = saved["format"], dict(saved["versions"])
        except FileNotFoundError as cause:
            raise CheckpointError(
                f"There is no checkpoint in '{self.folder}'. Name the folder of a training that "
                "was cut off.",
                path=str(self.folder),
            ) from cause
        except (OSError, ValueError, KeyError, TypeError) as cause:
            raise CheckpointError(
                f"'{path}' is damaged ({cause}). Train anew.", path=str(path)
            ) from cause
        if version != _FORMAT:
            raise CheckpointError(
                f"The checkpoint '{self.folder}' has the format {version}, and this version reads "
                f"{_FORMAT}. Go on with planetvision {versions.get('planetvision', '(unknown)')}.",
                path=str(self.folder),
            )
        # JSON has lists for tuples.
        present = json.loads(json.dumps(settings))
        differences = list(_compare(earlier, present))
        if differences:
            raise CheckpointError(
                itemize(
                    f"The checkpoint '{self.folder}' is of another training. Go on with its "
                    "settings, or train anew. What differs:",
                    differences,
                    limit=20,
                ),
                path=str(self.folder),
                differences=differences,
            )
        changed = list(_compare(versions, dict(list_versions())))
        if changed:
            logger.warning(
                "the checkpoint '%s' was written by other versions, so the result may differ in "
                "the last bits (%s)",
                self.folder,
                "; ".join(changed),
            )


def describe_training(
    network: nn.Module,
    recipe: Recipe,
    *,
    train: TrainingData,
    val: TrainingData | None,
    **settings: Any,
) -> dict[str, Any]:
    """Returns what must be the same for a training to go on from a checkpoint.

    Args:
        network: What is trained.
        recipe: The stages.
        train: The training images.
        val: The validation images.
        settings: What else the result depends on, as JSON can hold it.
    """
    shapes = {name: list(value.shape) for name, value in network.state_dict().items()}
    described: dict[str, Any] = {"parameters": shapes}
    if isinstance(network, PlanetNet):
        described["backbone"] = network.spec.name
        described["input"] = network.input_spec.to_dict()
        described["channels_last"] = network.spec.channels_last
    return {
        "recipe": recipe.to_dict(),
        **settings,
        "network": described,
        "train": describe_data(train),
        "val": None if val is None else describe_data(val),
    }


def _write(path: Path, state: Mapping[str, Any]) -> None:
    with path.open("wb") as file:
        torch.save(dict(state), file)
        # Else a machine that loses power may have the name and not the content.
        file.flush()
        os.fsync(file.fileno())


def _compare(earlier: Any, present: Any, name: str = "") -> Iterator[str]:
    """Yields how two settings differ, with dotted names."""
    if isinstance(earlier, dict) and isinstance(present, dict):
        for key in dict.fromkeys([*earlier, *present]):
            inner = f"{name}.{key}" if name else key
            yield from _compare(earlier.get(key, _MISSING), present.get(key, _MISSING), inner)
    elif isinstance(earlier, list) and isinstance(present, list) and len(earlier) == len(present):
        for index, pair in enumerate(zip(earlier, present, strict=True)):
            yield from _compare(*pair, f"{name}[{index}]")
    elif earlier != present:
        yield f"{name}: it was {earlier!r}, now it is {present!r}"
