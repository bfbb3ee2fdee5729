"""Every loss, and one that a user adds."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from planetvision.core.errors import SettingsError, UnknownNameError
from planetvision.training.losses import LOSSES, list_losses, register_loss


@pytest.fixture
def name() -> Iterator[str]:
    yield "loss_of_a_test"
    if "loss_of_a_test" in LOSSES:
        LOSSES.remove("loss_of_a_test")


@pytest.mark.parametrize("name", list_losses())
def test_loss_is_one_number_an_image_and_small_where_right(name: str) -> None:
    logits = torch.tensor([[9.0, 0.0, 0.0], [0.0, 9.0, 0.0]], requires_grad=True)
    targets = torch.tensor([[1.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    losses = LOSSES.get(name).create({})(logits, targets)
    assert losses.shape == (2,)
    assert 0 <= losses[0] < 0.01 < 1 < losses[1]
    losses.sum().backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    assert logits.grad[1, 1] > 0 > logits.grad[1, 0]


def test_unknown_losses_and_options_are_refused() -> None:
    with pytest.raises(UnknownNameError, match=r"Unknown loss 'focl'\. Did you mean 'focal'"):
        LOSSES.get("focl")
    with pytest.raises(SettingsError, match=r"The loss 'focal' takes no option 'gama'\. .* gamma"):
        LOSSES.get("focal").create({"gama": 1.0})


def test_registered_loss_is_listed_and_takes_its_options(name: str) -> None:
    @register_loss(name)
    def margin(logits: torch.Tensor, targets: torch.Tensor, *, by: float = 1.0) -> torch.Tensor:
        """A margin."""
        return (by - (logits * targets).sum(dim=1)).clamp(min=0)

    assert name in list_losses()
    assert LOSSES.get(name).summary == "A margin."
    loss = LOSSES.get(name).create({"by": 3.0})
    assert loss(torch.ones(1, 2), torch.tensor([[1.0, 0.0]])).tolist() == [2.0]
