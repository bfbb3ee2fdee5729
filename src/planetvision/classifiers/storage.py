"""Saved models: folders of safetensors and JSON, without pickle."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from planetvision.classifiers.model_card import render_card
from planetvision.core.devices import list_versions
from planetvision.core.errors import ModelFormatError, SettingsError, itemize
from planetvision.core.files import (
    create_output_folder,
    format_json,
    hash_file,
    write_atomically,
    write_json,
    write_text,
)
from planetvision.core.renamed import rename_config
from planetvision.core.settings import InputSpec, Label, Recipe
from planetvision.inference.calibrator import Calibrator
from planetvision.models.backbones.weights import find_mismatches
from planetvision.models.network import PlanetNet, create_network

FORMAT_VERSION = 2
CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
TRUST_FILE = "trust.safetensors"
CARD_FILE = "MODEL_CARD.md"
SUMS_FILE = "SHA256SUMS"
MODEL_FILES = (CONFIG_FILE, WEIGHTS_FILE, TRUST_FILE, CARD_FILE, SUMS_FILE)
# The file that lists the models of a VotingPlanetClassifier.
VOTING_FILE = "voting.json"
# The fields of the config that the fingerprint covers, in the order in which they are hashed.
_COVERED = ("classes", "backbone", "head", "preprocessing", "trust")
_COPY = (
    f"Save the model again, or copy the whole folder ({CONFIG_FILE}, {WEIGHTS_FILE} and "
    f"{TRUST_FILE})."
)
_RESTORE = (
    "Restore the file. To change a setting, load the model, change it with set_params() and save "
    "the model."
)


@dataclass(frozen=True, kw_only=True)
class SavedModel:
    """Content of a model's folder.

    Args:
        network: The network.
        classes: The label of each logit.
        head: The registered head.
        head_options: Its keyword arguments.
        recipe: The recipe of its training.
        calibrator: The calibrator; None in models of format version 1.
        settings: The classifier's arguments.
        weights: The source of the backbone's initial weights, as `weights_` of the classifier.
        metrics: The scores, as `metrics_` of the classifier.
        data: The description of the training data, from `describe_data`; None in models saved
            before it was recorded.
        versions: The versions of the packages that saved it.
    """

    network: PlanetNet
    classes: tuple[Label, ...]
    head: str
    head_options: Mapping[str, Any]
    recipe: Recipe
    calibrator: Calibrator | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    weights: str | Mapping[str, str] = ""
    metrics: Mapping[str, Any] = field(default_factory=dict)
    data: Mapping[str, Any] | None = None
    versions: Mapping[str, str] = field(default_factory=dict)


class _Part(NamedTuple):
    """The content of a file of tensors, and its header."""

    tensors: Mapping[str, torch.Tensor]
    header: Mapping[str, str]


def save_model(
    model: SavedModel,
    folder: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    half: bool = False,
) -> Path:
    """Writes the model and returns its folder.

    The folder also has `MODEL_CARD.md` and `SHA256SUMS`, which is written last and read by
    `planetvision verify` and `sha256sum -c`. The header of the weights has a copy of the config,
    and the headers of both tensor files have the fingerprint, so that loading detects edits. If
    overwriting another model is interrupted, `load_model` loads a complete model or reports that
    the files do not match.

    Args:
        model: The model.
        folder: The folder, which must be new or empty.
        overwrite: Whether an existing model may be replaced.
        half: Whether the weights are written in half precision. Tensors with values over 65,504,
            which half precision cannot hold, are written unchanged.

    Raises:
        OutputExistsError: If the folder is not empty and `overwrite` is false.
        OutputError: If it cannot be written.
    """
    target = create_output_folder(folder, overwrite=overwrite)
    for name in (SUMS_FILE, CARD_FILE, VOTING_FILE):
        (target / name).unlink(missing_ok=True)  # of the model that was there before
    network = model.network
    config = {
        "format_version": FORMAT_VERSION,
        "classes": list(model.classes),
        "backbone": {
            "name": network.spec.name,
            "weights": model.weights if isinstance(model.weights, str) else dict(model.weights),
            "licence": network.spec.licence,
        },
        "head": {"name": model.head, "options": dict(model.head_options)},
        "preprocessing": network.input_spec.to_dict(),
        "recipe": model.recipe.to_dict(),
        "trust": model.calibrator.to_dict() if model.calibrator else None,
        "settings": dict(model.settings),
        "metrics": dict(model.metrics),
        "data": None if model.data is None else dict(model.data),
        "versions": list_versions(),
    }
    tensors = {
        name: _narrow(value.detach().to("cpu").contiguous().clone(), half=half)
        for name, value in network.state_dict().items()
    }
    trusted = model.calibrator.to_tensors() if model.calibrator else {}
    # In all three files, so that files of different models are detected.
    fingerprint = _fingerprint(config, tensors, trusted)
    header = {"format": "pt", "fingerprint": fingerprint}
    # The copy lets loading name the edited field of `config.json`.
    with_config = {**header, "config": json.dumps(config)}
    config["fingerprint"] = fingerprint
    write_atomically(target / WEIGHTS_FILE, lambda path: save_file(tensors, path, with_config))
    if trusted:
        write_atomically(target / TRUST_FILE, lambda path: save_file(trusted, path, header))
    write_json(target / CONFIG_FILE, config)
    if not trusted:
        (target / TRUST_FILE).unlink(missing_ok=True)  # of the model that was there before
    # Last, so that the model is saved even if one of these fails.
    write_text(target / CARD_FILE, render_card(config, threshold=_get_threshold(model)))
    names = list_model_files(has_trust=bool(trusted))
    sums = "".join(f"{hash_file(target / name)}  {name}\n" for name in names)
    write_text(target / SUMS_FILE, sums)
    return target


def _narrow(tensor: torch.Tensor, *, half: bool) -> torch.Tensor:
    """Returns the tensor in half precision, if requested and if its values fit."""
    if not half or not tensor.is_floating_point():
        return tensor
    narrow = tensor.half()
    return tensor if bool((narrow.isinf() & tensor.isfinite()).any()) else narrow


def list_model_files(*, has_trust: bool) -> list[str]:
    """Returns the names of a model's files, without `SHA256SUMS`."""
    return [CARD_FILE, CONFIG_FILE, WEIGHTS_FILE, *([TRUST_FILE] if has_trust else [])]


def is_model_folder(folder: str | os.PathLike[str]) -> bool:
    """Returns whether the folder is that of a saved classifier, complete or not."""
    return any(Path(folder, name).is_file() for name in (CONFIG_FILE, VOTING_FILE))


def read_sums(folder: str | os.PathLike[str]) -> tuple[dict[str, str], list[int]]:
    """Returns the SHA-256 of each file in `SHA256SUMS`, and the numbers of invalid lines.

    Args:
        folder: The model's folder.

    Raises:
        OSError: If the file does not exist or cannot be read.
    """
    text = Path(folder, SUMS_FILE).read_bytes().decode("utf-8", errors="surrogateescape")
    sums, damaged = {}, []
    *lines, rest = text.split("\n")
    for number, line in enumerate([*lines, rest] if rest else lines, start=1):
        found = re.fullmatch(r"([0-9a-f]{64}) [ *]([^/\\\0]+)", line.removesuffix("\r"))
        if found and found[2] not in ("..", "."):
            sums[found[2]] = found[1]
        else:
            damaged.append(number)
    return sums, damaged


def load_model(folder: str | os.PathLike[str], *, performance: str = "auto") -> SavedModel:
    """Returns the model in a folder, without any download.

    Settings and tensors are compared with the fingerprint and the copy of the config. Models that
    were saved without these are loaded unchecked.

    Args:
        folder: The folder.
        performance: As for `create_network`.

    Raises:
        ModelFormatError: If a file is missing, damaged or edited, the files belong to different
            models, or the folder was written by a newer version.
        UnknownNameError: If its backbone or head is not registered here.
    """
    root = Path(folder)
    config = read_config(root)
    parts = {WEIGHTS_FILE: _read_tensors(root, WEIGHTS_FILE)}
    if config.get("trust") is not None:
        parts[TRUST_FILE] = _read_tensors(root, TRUST_FILE)
    _check_integrity(root, config, parts)
    config = rename_config(config)
    try:
        network = create_network(
            config["backbone"]["name"],
            num_classes=len(config["classes"]),
            head=config["head"]["name"],
            head_options=config["head"]["options"],
            weights="none",
            input_spec=InputSpec.from_dict(config["preprocessing"]),
            seed=0,
            performance=performance,
        )
        model = SavedModel(
            network=network,
            classes=tuple(config["classes"]),
            head=config["head"]["name"],
            head_options=config["head"]["options"],
            recipe=Recipe.from_dict(config["recipe"]),
            calibrator=_create_trust(config.get("trust"), parts, root),
            settings=config["settings"],
            weights=config["backbone"]["weights"],
            metrics=config["metrics"],
            data=_check_data(config.get("data")),
            versions=config["versions"],
        )
    except LookupError as cause:
        if isinstance(cause, SettingsError):
            raise type(cause)(
                f"The model in '{root}' needs an entry that is not registered: {cause} If it is "
                "your own or a plugin's, import or install what registers it first."
            ) from cause
        raise _damaged(root, f"{CONFIG_FILE} lacks {cause}") from cause
    except (TypeError, AttributeError, SettingsError) as cause:
        raise _damaged(root, f"{CONFIG_FILE} is not as planetvision writes it ({cause})") from cause
    _fill(network, parts[WEIGHTS_FILE].tensors, root)
    network.eval()
    return model


def _fingerprint(
    config: Mapping[str, Any],
    tensors: Mapping[str, torch.Tensor],
    trusted: Mapping[str, torch.Tensor],
) -> str:
    """Returns the SHA-256, in hexadecimal, of everything that the predictions depend on."""
    digest = hashlib.sha256(json.dumps([config.get(name) for name in _COVERED]).encode())
    for group in (tensors, trusted):
        for name, value in sorted(group.items()):
            digest.update(f"{name} {value.dtype} {tuple(value.shape)} ".encode())
            # A new tensor, since the strides of tensors with at most one value can be arbitrary.
            values = torch.empty(value.numel(), dtype=value.dtype).copy_(value.flatten())
            if len(values):
                digest.update(values.view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _get_threshold(model: SavedModel) -> float | None:
    """Returns the OOD threshold at the model's rejection rate; None if unknown."""
    rate = model.settings.get("rejection_rate")
    if model.calibrator is None or rate is None:
        return None
    try:
        return model.calibrator.get_threshold(rate)
    except SettingsError:  # a wrong rate, which prediction will report
        return None


def _damaged(root: Path, what: str, remedy: str = _COPY) -> ModelFormatError:
    return ModelFormatError(
        f"'{root}' does not hold a model that can be loaded: {what}. {remedy}", path=str(root)
    )


def read_config(root: Path) -> dict[str, Any]:
    """Returns the content of `config.json`, without reading tensors.

    Raises:
        ModelFormatError: If there is no model, or it is damaged or written by a newer version.
    """
    if not root.is_dir():
        raise ModelFormatError(
            f"There is no model folder '{root}'. Name the folder that `save` wrote, such as "
            "'runs/eyes/model'.",
            path=str(root),
        )
    missing = [name for name in (CONFIG_FILE, WEIGHTS_FILE) if not (root / name).is_file()]
    if missing:
        raise _damaged(root, f"{' and '.join(missing)} missing")
    try:
        config = json.loads((root / CONFIG_FILE).read_text(encoding="utf-8"))
        version = config["format_version"]
    except (ValueError, TypeError, KeyError) as cause:
        raise _damaged(root, f"{CONFIG_FILE} is not as planetvision writes it") from cause
    if not isinstance(version, int) or version > FORMAT_VERSION:
        writer = config.get("versions", {}).get("planetvision", "unknown")
        raise ModelFormatError(
            f"The model in '{root}' has format version {version!r}, written by planetvision "
            f"{writer}; this planetvision reads up to {FORMAT_VERSION}. "
            "Update it: pip install --upgrade planetvision",
            path=str(root),
        )
    return dict(config)


def _check_data(data: object) -> Mapping[str, Any] | None:
    if data is not None and not isinstance(data, Mapping):
        raise TypeError(f"'data' must be an object, got {data!r}")
    return data


def _read_tensors(root: Path, name: str) -> _Part:
    try:
        with safe_open(root / name, framework="pt") as file:
            header = file.metadata() or {}
        return _Part(load_file(root / name), header)
    except (SafetensorError, OSError) as cause:
        raise _damaged(root, f"{name} cannot be read ({cause})") from cause


def _check_integrity(root: Path, config: Mapping[str, Any], parts: Mapping[str, _Part]) -> None:
    """Checks that the config and the tensors were saved together and not edited.

    The fingerprint covers the tensors and the fields `_COVERED`. The other fields are compared with
    their copy in the header of the weights or, in older models, with the hash in `SHA256SUMS`.
    """
    fingerprint = config.get("fingerprint")
    for name, part in parts.items():
        if part.header.get("fingerprint", fingerprint) != fingerprint:
            what = (
                f"{CONFIG_FILE} has the `fingerprint` {fingerprint}, {name} has "
                f"{part.header['fingerprint']}: they belong to two models, as if saving was "
                "interrupted"
            )
            raise _damaged(root, what)
    weights = parts[WEIGHTS_FILE]
    trusted = parts[TRUST_FILE].tensors if TRUST_FILE in parts else {}
    try:
        text = weights.header.get("config")
        copy = None if text is None else dict(json.loads(text))
    except (ValueError, TypeError) as cause:
        raise _damaged(root, f"the header of {WEIGHTS_FILE} is damaged ({cause})") from cause
    problems = [] if copy is None else _list_edits(config, copy)
    if problems:
        raise _damaged(root, itemize(f"{CONFIG_FILE} was edited:", problems, limit=5), _RESTORE)
    # The copy has the fields in the order in which they were hashed.
    found = _fingerprint(config if copy is None else copy, weights.tensors, trusted)
    fits = fingerprint in (None, found)
    sums = _read_sums_if_any(root)
    covered = ", ".join(f"`{name}`" for name in _COVERED)
    listed = sums.get(CONFIG_FILE)
    if copy is None and listed and listed not in (given := _hash_config(root, config)):
        what = (
            f"{CONFIG_FILE} was edited, in {'another field than' if fits else 'one of'} {covered}: "
            f"its SHA-256 is {given[0]}, {SUMS_FILE} lists {listed}"
        )
        raise _damaged(root, what, _RESTORE)
    if not fits:
        changed = [name for name in parts if sums.get(name) not in (None, hash_file(root / name))]
        what = (
            f"the tensors in {' and '.join(changed or parts)} or the fields {covered} of "
            f"{CONFIG_FILE} were changed: their fingerprint is {found}, {CONFIG_FILE} has "
            f"{fingerprint}"
        )
        raise _damaged(root, what, _RESTORE)


def _list_edits(given: Mapping[str, Any], saved: Mapping[str, Any]) -> list[str]:
    here, there = (
        _flatten({name: value for name, value in config.items() if name != "fingerprint"})
        for config in (given, saved)
    )
    return [
        f"`{field}` is {here.get(field, 'missing')}, expected {there.get(field, 'none')}"
        for field in {**there, **here}
        if here.get(field) != there.get(field)
    ]


def _flatten(value: Any, field: str = "") -> dict[str, str]:
    """Returns the JSON text of each value by its field, such as `recipe.stages[0].epochs`."""
    if not value or not isinstance(value, dict | list):
        return {field: json.dumps(value, ensure_ascii=False)}
    parts = (
        {f"{field}.{name}" if field else name: part for name, part in value.items()}
        if isinstance(value, dict)
        else {f"{field}[{place}]": part for place, part in enumerate(value)}
    )
    return {key: text for name, part in parts.items() for key, text in _flatten(part, name).items()}


def _hash_config(root: Path, config: Mapping[str, Any]) -> tuple[str, str]:
    """Returns the SHA-256 of `config.json` as stored, and in the layout of `save_model`."""
    text = format_json(config).encode(errors="backslashreplace")
    return hash_file(root / CONFIG_FILE), hashlib.sha256(text).hexdigest()


def _read_sums_if_any(root: Path) -> dict[str, str]:
    try:
        return read_sums(root)[0]
    except FileNotFoundError:
        return {}
    except OSError as cause:
        raise _damaged(root, f"{SUMS_FILE} cannot be read ({cause.strerror or cause})") from cause


def _create_trust(
    fields: Mapping[str, Any] | None, parts: Mapping[str, _Part], root: Path
) -> Calibrator | None:
    if fields is None:
        return None
    try:
        return Calibrator.from_parts(fields, parts[TRUST_FILE].tensors)
    except (KeyError, ValueError, TypeError) as cause:
        if isinstance(cause, SettingsError):
            raise  # its score is not registered here
        what = f"'trust' in {CONFIG_FILE} and {TRUST_FILE} do not fit ({cause})"
        raise _damaged(root, what) from cause


def _fill(network: PlanetNet, tensors: Mapping[str, torch.Tensor], root: Path) -> None:
    expected = network.state_dict()
    problems = find_mismatches(tensors, expected)
    if problems:
        raise _damaged(root, itemize(f"{WEIGHTS_FILE} does not fit:", problems, limit=5))
    with torch.no_grad():
        for name, place in expected.items():
            place.copy_(tensors[name])
