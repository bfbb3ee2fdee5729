"""Optimizers by name, of the library, of timm and of torch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from planetvision.core.errors import SettingsError, UnknownNameError
from planetvision.training.optimizers import OPTIMIZERS, list_optimizers, register_optimizer


def make_groups() -> tuple[torch.nn.Parameter, list[dict[str, Any]]]:
    weight = torch.nn.Parameter(torch.ones(2, 2))
    return weight, [{"params": [weight], "lr": 0.05, "weight_decay": 0.1}]


@pytest.fixture
def name() -> Iterator[str]:
    yield "optimizer_of_a_test"
    if "optimizer_of_a_test" in OPTIMIZERS:
        OPTIMIZERS.remove("optimizer_of_a_test")


@pytest.mark.parametrize(
    "name", [*list_optimizers(), "timm:lamb", "timm:lion", "torch:RAdam", "torch:Rprop"]
)
def test_optimizer_takes_groups_and_a_step(name: str) -> None:
    weight, groups = make_groups()
    if name == "torch:Rprop":
        del groups[0]["weight_decay"]
    optimizer = OPTIMIZERS.get(name).create(groups, learning_rate=0.5, options={})
    assert optimizer.param_groups[0]["lr"] == 0.05
    (weight**2).sum().backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    assert (weight < 1).all()
    assert OPTIMIZERS.get(name).summary


def test_options_reach_the_optimizer_and_wrong_ones_are_named() -> None:
    _, groups = make_groups()
    spec = OPTIMIZERS.get("sgd")
    made = spec.create(groups, learning_rate=1.0, options={"momentum": 0.5})
    assert made.param_groups[0]["momentum"] == 0.5
    assert made.param_groups[0]["nesterov"]
    with pytest.raises(SettingsError, match=r"'sgd' cannot be built .*momentun.* `optimizer_opt"):
        spec.create(groups, learning_rate=1.0, options={"momentun": 0.5})


def test_unknown_optimizers_get_a_suggestion() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'adam' or 'adamw'"):
        OPTIMIZERS.get("adamv")
    with pytest.raises(UnknownNameError, match=r"no optimizer 'lambb'\. Did you mean 'lamb"):
        OPTIMIZERS.get("timm:lambb")
    with pytest.raises(UnknownNameError, match=r"torch\.optim has no optimizer 'Radam'"):
        OPTIMIZERS.get("torch:Radam")
    with pytest.raises(SettingsError, match="torch:LBFGS"):
        OPTIMIZERS.get("torch:LBFGS")


def test_registered_optimizer_is_listed_and_built(name: str) -> None:
    @register_optimizer(name, source="a test")
    def build(groups: list[dict[str, Any]], lr: float) -> torch.optim.Optimizer:
        """Plain steps."""
        return torch.optim.SGD(groups, lr=lr)

    assert name in list_optimizers()
    spec = OPTIMIZERS.get(name)
    assert (spec.summary, spec.source) == ("Plain steps.", "a test")
    with pytest.raises(SettingsError, match="cannot be built with the options"):
        spec.create(make_groups()[1], learning_rate=1.0, options={"momentum": 0.5})
