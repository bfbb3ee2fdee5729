"""Trainable layers on cached outputs of frozen layers give the logits of the whole network."""

from __future__ import annotations

import logging

import pytest
import torch
from torch import nn

from planetvision.core.settings import InputSpec
from planetvision.models.backbones.spec import BackboneSpec
from planetvision.models.network import PlanetNet, create_network
from planetvision.training.frozen_layers import TrainableLayers, find_frozen_layers

SPEC = InputSpec(image_size=32)


def get_images(network: PlanetNet, count: int = 3) -> torch.Tensor:
    size = network.input_spec.image_size
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(1))


def check(network: PlanetNet) -> int:
    """Compares the split with the network; returns the number of cached tensors per image."""
    frozen = find_frozen_layers(network)
    assert frozen is not None
    images = get_images(network)
    network.eval()
    with torch.no_grad():
        recorded = frozen.record(images)
        assert torch.equal(TrainableLayers(frozen)(*recorded), network(images))
    return len(recorded)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "blocks", "kept"),
    [
        ("tiny", 1, 1),
        ("tiny", 3, 1),
        ("resnet50", 2, 1),
        ("timm:vit_tiny_patch16_224", 3, 1),
        ("timm:convnext_atto", 2, 1),
        ("torchvision:googlenet", 3, 2),  # branches that join
        ("ensemble:tiny+tiny", 2, 2),
    ],
)
@pytest.mark.filterwarnings("ignore:.*no pretrained weights")
def test_split_of_any_backbone_equals_the_network_to_the_bit(
    name: str, blocks: int, kept: int
) -> None:
    network = create_network(name, num_classes=3, weights="none", seed=0)
    network.set_trainable(blocks)
    assert check(network) == kept


class Recurrent(nn.Module):
    """Calls one module several times, and takes an early output past the blocks that learn."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, stride=4)
        self.step = nn.Conv2d(8, 8, 3, padding=1)
        self.last = nn.Conv2d(8, 8, 1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        first = self.stem(images)
        middle = self.step(self.step(first) * 2).relu()
        return torch.cat([self.last(middle).mean(dim=(2, 3)), first.amax(dim=(2, 3))], dim=1)


class Stray(Recurrent):
    """Looks at the image itself behind the blocks that learn."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return super().forward(images) + images.mean()


class Fickle(Recurrent):
    """Draws random numbers."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return super().forward(images) + torch.rand(())


def wrap(backbone: nn.Module) -> PlanetNet:
    spec = BackboneSpec(name="own", summary="", build=lambda pretrained=True: backbone, input=SPEC)
    network = PlanetNet(backbone, nn.Linear(16, 3), input_spec=SPEC, spec=spec)
    network.set_trainable(1)
    return network


def test_module_that_is_called_twice_and_an_output_past_the_blocks_are_found() -> None:
    assert check(wrap(Recurrent())) == 2


@pytest.mark.parametrize("kind", [Stray, Fickle])
def test_backbone_that_cannot_be_split_has_no_frozen_layers(
    kind: type[Recurrent], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="planetvision"):
        assert find_frozen_layers(wrap(kind())) is None


@pytest.mark.parametrize("blocks", [0, 4, None])
def test_backbone_that_is_all_frozen_or_all_free_has_no_frozen_part(blocks: int | None) -> None:
    network = create_network("tiny", num_classes=3, weights="none", input_spec=SPEC, seed=0)
    network.set_trainable(blocks)
    assert find_frozen_layers(network) is None


def test_search_leaves_the_network_and_the_generators_alone() -> None:
    network = create_network("tiny", num_classes=3, weights="none", input_spec=SPEC, seed=0)
    network.set_trainable(2)
    network.train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    state = torch.random.get_rng_state()
    frozen = find_frozen_layers(network)
    assert frozen is not None
    assert torch.equal(torch.random.get_rng_state(), state)
    assert network.training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all("forward" not in part.__dict__ for part in network.modules())
    assert not any(part._forward_hooks for part in network.modules())


def test_gradients_of_trainable_layers_are_those_of_the_network() -> None:
    network = create_network("tiny", num_classes=3, weights="none", input_spec=SPEC, seed=0)
    network.set_trainable(2)
    network.train()
    frozen = find_frozen_layers(network)
    assert frozen is not None
    images, targets = get_images(network), torch.tensor([0, 1, 2])
    learning = [weight for weight in network.parameters() if weight.requires_grad]
    losses = (
        nn.functional.cross_entropy(logits, targets)
        for logits in (network(images), TrainableLayers(frozen)(*frozen.record(images)))
    )
    for one, other in zip(*(torch.autograd.grad(loss, learning) for loss in losses), strict=True):
        torch.testing.assert_close(one, other)
