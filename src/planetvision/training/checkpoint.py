"""Checkpoints, from which an interrupted training resumes."""

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
from planetvision.core.renamed import rename_recipe
from planetvision.core.settings import Recipe
from planetvision.models.network import PlanetNet
from planetvision.training.datasets import TrainingData, describe_data

logger = logging.getLogger(__name__)

_FORMAT = 1
_MISSING = "nothing"


class Checkpoints:
    """Folder of the checkpoints of one training.

    `settings.json` describes the network, the data and the settings. `stage.pt` holds the network
    before the current stage. `epoch.pt` holds the trainable weights and the optimizer after the
    last complete epoch of the stage. Files are written atomically and hold only tensors, numbers
    and names, so that loading them executes no code.

    Args:
        folder: The folder, which is created if missing.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        self._is_behind = False

    def start(self, settings: Mapping[str, Any]) -> None:
        """Starts a new training, and removes the checkpoints of an earlier one.

        Raises:
            OutputError: If the folder cannot be written.
        """
        create_output_folder(self.folder, overwrite=True)
        for name in ("stage.pt", "epoch.pt"):
            (self.folder / name).unlink(missing_ok=True)
        described = {"format": _FORMAT, "versions": list_versions(), "settings": settings}
        write_json(self.folder / "settings.json", described)

    def save_stage(self, state: Mapping[str, Any]) -> None:
        """Writes the state before a stage, and removes the last epoch of the stage before."""
        self._is_behind = not self._save("stage.pt", state)
        if not self._is_behind:
            (self.folder / "epoch.pt").unlink(missing_ok=True)

    def save_epoch(self, state: Mapping[str, Any]) -> None:
        """Writes the state after an epoch.

        If the state before the stage could not be written, the last epoch of the stage before is
        kept.
        """
        if not self._is_behind:
            self._save("epoch.pt", state)

    def load(self, settings: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any] | None]:
        """Returns the last states from `save_stage` and `save_epoch`.

        The second is None if no epoch of the stage is complete.

        Args:
            settings: The settings of the training to resume.

        Raises:
            CheckpointError: If there is no checkpoint, it is damaged, or its settings differ; all
                differences are listed.
        """
        self._check_settings(settings)
        for leftover in self.folder.glob(".*.pt"):  # of an interrupted write
            leftover.unlink(missing_ok=True)
        stage = self._load("stage.pt")
        if stage is None:
            raise CheckpointError(
                f"There is no checkpoint in '{self.folder}': the training was interrupted before "
                "its first stage. Start a new training.",
                path=str(self.folder),
            )
        epoch = self._load("epoch.pt")
        if epoch is not None and epoch["stage"] != stage["stage"]:
            epoch = None  # interrupted between the two files, at the start of the stage
        return stage, epoch

    def describe(self) -> str:
        """Returns a sentence about the last checkpoint, for messages."""
        epoch = self._load("epoch.pt") or self._load("stage.pt")
        if epoch is None:
            return f"There is no checkpoint in '{self.folder}' yet."
        return f"The last checkpoint, after epoch {len(epoch['history'])}, is in '{self.folder}'."

    def _save(self, name: str, state: Mapping[str, Any]) -> bool:
        try:
            write_atomically(self.folder / name, lambda file: _write(file, state))
        except (OutputError, RuntimeError) as error:  # torch's writer raises the second
            warnings.warn(
                f"A checkpoint could not be written: {error} The training continues, and the "
                "previous checkpoint is kept.",
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
        # torch raises many types for damaged files, and advises to read them unsafely.
        except Exception as cause:
            raise CheckpointError(
                f"The checkpoint '{path}' is damaged. Start a new training.", path=str(path)
            ) from cause
        return state

    def _check_settings(self, settings: Mapping[str, Any]) -> None:
        path = self.folder / "settings.json"
        try:
            saved = json.loads(path.read_text(encoding="utf-8"))
            earlier = dict(saved["settings"])
            if "recipe" in earlier:
                earlier["recipe"] = rename_recipe(earlier["recipe"])
            if earlier.get("scheduler", _MISSING) is None:  # once a setting beside the recipe
                del earlier["scheduler"]
            version, versions = saved["format"], dict(saved["versions"])
        except FileNotFoundError as cause:
            raise CheckpointError(
                f"There is no checkpoint in '{self.folder}'. Name the folder of an interrupted "
                "training.",
                path=str(self.folder),
            ) from cause
        except (OSError, ValueError, KeyError, TypeError) as cause:
            raise CheckpointError(
                f"'{path}' is damaged ({cause}). Start a new training.", path=str(path)
            ) from cause
        if version != _FORMAT:
            raise CheckpointError(
                f"The checkpoint '{self.folder}' has the format {version}, and this version reads "
                f"{_FORMAT}. Use planetvision {versions.get('planetvision', '(unknown)')}.",
                path=str(self.folder),
            )
        # JSON has lists for tuples.
        present = json.loads(json.dumps(settings))
        differences = list(_compare(earlier, present))
        if differences:
            raise CheckpointError(
                itemize(
                    f"The checkpoint '{self.folder}' belongs to another training. Resume with its "
                    "settings, or start a new training. Differences:",
                    differences,
                    limit=20,
                ),
                path=str(self.folder),
                differences=differences,
            )
        changed = list(_compare(versions, dict(list_versions())))
        if changed:
            logger.warning(
                "the checkpoint '%s' was written by other versions, so the last bits of the result "
                "may differ (%s)",
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
    """Returns the settings that must be equal to resume from a checkpoint.

    Args:
        network: The network.
        recipe: The recipe.
        train: The training images.
        val: The validation images.
        settings: Other settings that the result depends on, as JSON values.
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
        # Without this, a power failure can leave a file without its content.
        file.flush()
        os.fsync(file.fileno())


def _compare(earlier: Any, present: Any, name: str = "") -> Iterator[str]:
    """Yields the differences of two settings, with dotted names."""
    if isinstance(earlier, dict) and isinstance(present, dict):
        for key in dict.fromkeys([*earlier, *present]):
            inner = f"{name}.{key}" if name else key
            yield from _compare(earlier.get(key, _MISSING), present.get(key, _MISSING), inner)
    elif isinstance(earlier, list) and isinstance(present, list) and len(earlier) == len(present):
        for index, pair in enumerate(zip(earlier, present, strict=True)):
            yield from _compare(*pair, f"{name}[{index}]")
    elif earlier != present:
        yield f"{name}: it was {earlier!r}, now it is {present!r}"
