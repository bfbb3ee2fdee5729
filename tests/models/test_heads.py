"""Heads: one contract for every registered one, and what the built-in ones are made of."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import nn

from planetvision.core.devices import seeded
from planetvision.core.errors import DuplicateNameError, SettingsError, UnknownNameError
from planetvision.models.heads import HEADS, HeadSpec, list_heads, register_head

NAMES = list_heads()


@pytest.fixture
def head_name() -> Iterator[str]:
    yield "head_of_a_test"
    if "head_of_a_test" in HEADS:
        HEADS.remove("head_of_a_test")


@pytest.mark.parametrize("name", NAMES)
def test_head_turns_features_into_logits_and_learns(name: str) -> None:
    with seeded(0):
        head = HEADS.get(name).create(12, 5, {})
        features = torch.randn(8, 12)
        targets = torch.arange(8) % 5
    logits = head(features)
    assert logits.shape == (8, 5)
    torch.autograd.backward(nn.functional.cross_entropy(logits, targets))
    parameters = list(head.parameters())
    assert parameters
    assert all(parameter.grad is not None for parameter in parameters)
    assert any(float(parameter.grad.abs().sum()) > 0 for parameter in parameters)  # type: ignore[union-attr]


@pytest.mark.parametrize("name", NAMES)
def test_head_under_one_seed_has_the_same_weights(name: str) -> None:
    states = []
    for seed in (3, 3, 4):
        with seeded(seed):
            states.append(HEADS.get(name).create(12, 5, {}).state_dict())
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
    assert any(not torch.equal(states[0][key], states[2][key]) for key in states[0])


@pytest.mark.parametrize("name", NAMES)
def test_head_refuses_an_option_that_it_does_not_know(name: str) -> None:
    with pytest.raises(SettingsError, match=rf"The head '{name}' takes no option 'dropuot'\. It "):
        HEADS.get(name).create(12, 5, {"dropuot": 0.1})


def test_linear_is_the_affine_map() -> None:
    head = HEADS.get("linear").create(2, 3, {})
    assert isinstance(head, nn.Linear)
    with torch.no_grad():
        head.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]]))
        head.bias.copy_(torch.tensor([0.0, 0.0, 10.0]))
    assert head(torch.tensor([[3.0, 4.0]])).tolist() == [[3.0, 8.0, 17.0]]


def test_linear_with_dropout_drops_in_training_only() -> None:
    head = HEADS.get("linear").create(200, 3, {"dropout": 0.5})
    features = torch.ones(1, 200)
    with seeded(0), torch.no_grad():
        head.train()
        assert not torch.equal(head(features), head(features))
        head.eval()
        assert torch.equal(head(features), head(features))


def test_mlp_by_default_is_the_published_head() -> None:
    head = HEADS.get("mlp").create(1536, 7, {})
    assert isinstance(head, nn.Sequential)
    shapes = [tuple(layer.weight.shape) for layer in head if isinstance(layer, nn.Linear)]
    assert shapes == [(1024, 1536), (512, 1024), (7, 512)]
    assert sum(isinstance(layer, nn.ReLU) for layer in head) == 2
    assert [layer.p for layer in head if isinstance(layer, nn.Dropout)] == [0.5, 0.5]
    # The last layer gives logits: nothing follows it.
    assert isinstance(head[-1], nn.Linear)


def test_mlp_options_change_sizes_and_dropout() -> None:
    head = HEADS.get("mlp").create(10, 4, {"hidden_sizes": [6], "dropout": 0.25})
    assert isinstance(head, nn.Sequential)
    assert [type(layer).__name__ for layer in head] == ["Linear", "ReLU", "Dropout", "Linear"]
    assert [tuple(p.shape) for p in head.parameters()] == [(6, 10), (6,), (4, 6), (4,)]
    assert isinstance(head[2], nn.Dropout)
    assert head[2].p == 0.25


def test_registered_head_is_built_with_its_options(head_name: str) -> None:
    @register_head(head_name, source="a test")
    def build(feature_size: int, num_classes: int, *, scale: float = 1.0) -> nn.Module:
        """A linear layer of one weight."""
        linear = nn.Linear(feature_size, num_classes, bias=False)
        nn.init.constant_(linear.weight, scale)
        return linear

    spec = HEADS.get(head_name)
    assert isinstance(spec, HeadSpec)
    assert (spec.summary, spec.source) == ("A linear layer of one weight.", "a test")
    assert head_name in list_heads()
    logits = spec.create(3, 2, {"scale": 2.0})(torch.ones(1, 3))
    assert logits.tolist() == [[6.0, 6.0]]
    with pytest.raises(SettingsError, match=r"takes no option 'x', 'y'\. It takes: scale\."):
        spec.check_options({"x": 1, "scale": 1, "y": 2})


def test_registered_head_with_any_options_takes_them_all(head_name: str) -> None:
    @register_head(head_name)
    def build(feature_size: int, num_classes: int, **options: bool) -> nn.Module:
        return nn.Linear(feature_size, num_classes, **options)

    head = HEADS.get(head_name).create(3, 2, {"bias": False})
    assert [name for name, _ in head.named_parameters()] == ["weight"]


def test_taken_name_is_refused_and_unknown_name_is_answered() -> None:
    with pytest.raises(DuplicateNameError, match="The head 'linear' exists already"):
        register_head("linear")(lambda feature_size, num_classes: nn.Identity())
    with pytest.raises(UnknownNameError, match=r"Unknown head 'liner'\. Did you mean 'linear'"):
        HEADS.get("liner")
