"""`InitialModel`: a trained model to fine-tune from."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from planetvision.core.errors import SettingsError, count
from planetvision.core.settings import Label
from planetvision.models.network import PlanetNet


@dataclass(frozen=True, kw_only=True, eq=False)
class InitialModel:
    """Trained network with its classes.

    Args:
        network: The network.
        classes: The label of each of its logits.
        origin: The source of the initial weights in models that are fine-tuned from it.
    """

    network: PlanetNet
    classes: tuple[Label, ...]
    origin: str

    @torch.no_grad()
    def copy_to(self, network: PlanetNet, classes: Sequence[Label]) -> bool:
        """Copies the weights of the backbone to a network, and those of the head if they fit.

        The weights of the head fit if the classes, their order and the shapes are equal.

        Args:
            network: The network.
            classes: The label of each of its logits.

        Returns:
            Whether the weights of the head were copied.

        Raises:
            SettingsError: If the network has another backbone, or one with other shapes, for
                example because of another `image_size`.
        """
        if network.spec.name != self.network.spec.name:
            raise SettingsError(
                f"`init_from` must be a model with the backbone '{network.spec.name}', got "
                f"{self.origin}, which has '{self.network.spec.name}'. Pass "
                f"backbone='{self.network.spec.name}'."
            )
        self._check_shapes(network)
        network.backbone.load_state_dict(self.network.backbone.state_dict())
        is_built_alike = _list_shapes(network.head) == _list_shapes(self.network.head)
        if tuple(classes) != self.classes or not is_built_alike:
            return False
        network.head.load_state_dict(self.network.head.state_dict())
        return True

    def _check_shapes(self, network: PlanetNet) -> None:
        asked, given = (_list_shapes(one.backbone) for one in (network, self.network))
        different = [name for name in {**asked, **given} if asked.get(name) != given.get(name)]
        if not different:
            return
        name = different[0]
        here, there = (
            f"{tuple(shapes[name])}" if name in shapes else "none" for shapes in (asked, given)
        )
        sizes = [one.input_spec.image_size for one in (network, self.network)]
        remedy = "Build the backbone as in that model, or use `weights`."
        if sizes[0] != sizes[1]:
            remedy = f"Pass image_size={sizes[1]}, as that model has."
        raise SettingsError(
            f"`init_from` must be a model whose backbone '{network.spec.name}' has the "
            f"shapes of this one, got {self.origin}, with {count(len(different), 'tensor')} of "
            f"other shapes: '{name}' is {there} there and {here} here. {remedy}"
        )


def _list_shapes(module: nn.Module) -> dict[str, torch.Size]:
    return {name: value.shape for name, value in module.state_dict().items()}


def read_initial_model(source: Any) -> InitialModel:
    """Returns the model to fine-tune from.

    Args:
        source: The folder of a saved model, or a trained `PlanetClassifier`.

    Raises:
        SettingsError: If it is neither.
        NotFittedError: If the classifier is not trained.
        ModelFormatError: If the folder holds no model that can be loaded.
        UnknownNameError: If its backbone or head is not registered here.
    """
    from planetvision.classifiers.storage import load_model

    if isinstance(source, str | os.PathLike):
        model = load_model(source)
        # The folder of a run's model is always "model", so its parent is part of the name.
        name = "/".join(Path(source).absolute().parts[-2:])
        return InitialModel(
            network=model.network, classes=model.classes, origin=f"the model '{name}'"
        )
    # Checked on the type: the property of an untrained classifier raises a clearer error.
    if hasattr(type(source), "input_spec") and source.input_spec:
        network = getattr(source, "network_", None)
        if isinstance(network, PlanetNet):
            return InitialModel(
                network=network,
                classes=tuple(source.classes_.tolist()),
                origin="a trained classifier",
            )
    raise SettingsError(
        "`init_from` must be the folder of a saved model, or a trained PlanetClassifier, got "
        f"{source!r}. Pass 'runs/eyes/model', for example."
    )
