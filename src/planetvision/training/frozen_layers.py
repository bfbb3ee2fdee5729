"""TrainableLayers: what learns in a network runs on what the frozen part below it gave before."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass

import torch
from torch import nn

from planetvision.inference.features import Extract
from planetvision.models.backbones.shapes import pool_features
from planetvision.models.network import PlanetNet

__all__ = ["FrozenLayers", "TrainableLayers", "find_frozen_layers", "split_network"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Call:
    """A call of a frozen module in the forward pass, and the shape that it gives one image."""

    module: nn.Module
    shape: torch.Size


class _AllRecorded(Exception):
    pass


class FrozenLayers:
    """The modules of a backbone that stay as they are and lie below those that learn.

    All that the others need of them is the output of some of their calls: the last one of a chain
    of blocks; several, where ways through the network join.

    Args:
        network: The network.
        calls: The calls of frozen modules in a forward pass, in order.
        needed: The positions of those whose output is needed.
    """

    def __init__(self, network: PlanetNet, calls: Sequence[_Call], needed: Sequence[int]) -> None:
        self.network = network
        self.calls = tuple(calls)
        self.needed = tuple(needed)

    def record(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Returns what is needed of a batch of images; what lies above is not run.

        Convention: `images` as for the network; the first axis of each result is the batch.
        """
        outputs: dict[int, torch.Tensor] = {}

        def keep(position: int, _: nn.Module, output: torch.Tensor) -> None:
            if position in self.needed:
                outputs[position] = output
            if len(outputs) == len(self.needed):
                raise _AllRecorded

        with _watching([call.module for call in self.calls], keep), suppress(_AllRecorded):
            self.network.backbone(self.network.normalize(images))
        return tuple(outputs[position] for position in self.needed)

    def replay(self, outputs: Sequence[torch.Tensor]) -> torch.Tensor:
        """Returns the pooled features, (N, C), of the images of which these were recorded."""
        return _run_above(self.network, self.calls, dict(zip(self.needed, outputs, strict=True)))


class TrainableLayers(nn.Module):
    """A network from what was recorded of its frozen part to the logits.

    Args:
        frozen: The frozen part.
    """

    def __init__(self, frozen: FrozenLayers) -> None:
        super().__init__()
        self.network = frozen.network
        self._replay = frozen.replay

    def forward(self, *outputs: torch.Tensor) -> torch.Tensor:
        """Returns the logits, (N, num_classes)."""
        logits: torch.Tensor = self.network.head(self._replay(outputs))
        return logits


@torch.enable_grad()
def split_network(network: PlanetNet) -> tuple[Extract, nn.Module] | None:
    """Returns the frozen part of a network, and the part above it that learns.

    The first is a function from images to tensors, the second a module from those to logits.
    None if the two cannot be told apart.
    """
    if not any(weight.requires_grad for weight in network.backbone.parameters()):
        return lambda images: (network.forward_features(images),), network.head
    frozen = find_frozen_layers(network)
    return None if frozen is None else (frozen.record, TrainableLayers(frozen))


def find_frozen_layers(network: PlanetNet) -> FrozenLayers | None:
    """Returns the part of the backbone below all that learns, or None where it has none.

    What is needed of it is found by trial: an output is, if the features are not numbers where it
    is not. Nothing of the backbone's code is assumed but that it calls its modules in the same
    order for every batch, so any `nn.Module` will do. One that does not keep to that has no frozen
    part either: a replay must give the features of two noise images to the bit.
    """
    size = network.input_spec.image_size
    device = network.mean.device
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(2, 3, size, size, generator=generator).to(device)
    was_training = network.training
    network.eval()
    try:
        return _find_frozen_part(network, images)
    finally:
        network.train(was_training)


def _find_frozen_part(network: PlanetNet, images: torch.Tensor) -> FrozenLayers | None:
    seen: list[tuple[nn.Module, object]] = []
    frozen = list(_list_frozen(network.backbone))
    with _watching(frozen, lambda _, module, output: seen.append((module, output))):
        features = network.forward_features(images)
    # What lies behind a module that learns has a gradient.
    below = [(module, output) for module, output in seen if not _has_gradient(output)]
    modules = {module for module, _ in below}
    recorded = [
        output
        for _, output in below
        if isinstance(output, torch.Tensor) and _is_batch(output, len(images))
    ]
    if (
        not features.requires_grad
        or len(recorded) < len(below)
        or len(below) < sum(module in modules for module, _ in seen)
    ):
        return None
    calls = [
        _Call(module, output.shape[1:]) for (module, _), output in zip(below, recorded, strict=True)
    ]
    outputs = dict(enumerate(recorded))
    # The image itself is never given: it must not reach what learns but through the calls.
    if not calls or _is_lacking(network, calls, outputs):
        return None
    needed = [
        position
        for position in outputs
        if _is_lacking(network, calls, {**outputs, position: outputs[position] * torch.nan})
    ]
    part = FrozenLayers(network, calls, needed)
    if not needed or not torch.equal(part.replay([outputs[each] for each in needed]), features):
        logger.info("the frozen part of %s cannot be replayed", network.spec.name)
        return None
    return part


def _list_frozen(module: nn.Module) -> Iterator[nn.Module]:
    """Yields the largest modules in which nothing learns."""
    for child in module.children():
        if any(weight.requires_grad for weight in child.parameters()):
            yield from _list_frozen(child)
        else:
            yield child


def _has_gradient(output: object) -> bool:
    return isinstance(output, torch.Tensor) and output.requires_grad


def _is_batch(output: torch.Tensor, num_images: int) -> bool:
    return output.is_floating_point() and output.ndim > 1 and len(output) == num_images


def _is_lacking(
    network: PlanetNet, calls: Sequence[_Call], outputs: Mapping[int, torch.Tensor]
) -> bool:
    """Returns whether the features need what these outputs do not give."""
    return bool(_run_above(network, calls, outputs).isnan().any())


def _run_above(
    network: PlanetNet, calls: Sequence[_Call], outputs: Mapping[int, torch.Tensor]
) -> torch.Tensor:
    """Returns the pooled features, with these outputs in place of the calls at their positions.

    The other calls, and the images, give what is not a number, at no cost.
    """
    first = next(iter(outputs.values()))
    nothing = torch.full((), torch.nan, dtype=first.dtype, device=first.device)
    position = itertools.count()

    def give(module: nn.Module) -> torch.Tensor:
        at = next(position)
        assert calls[at].module is module, "the backbone calls its modules in another order"
        return outputs[at] if at in outputs else nothing.expand(len(first), *calls[at].shape)

    size = network.input_spec.image_size
    with _replacing([call.module for call in calls], give):
        return pool_features(network.backbone(nothing.expand(len(first), 3, size, size)))


@contextmanager
def _watching(
    modules: Sequence[nn.Module], see: Callable[[int, nn.Module, torch.Tensor], None]
) -> Iterator[None]:
    """Shows the position, the module and the output of each of their calls."""
    position = itertools.count()

    def hook(module: nn.Module, _: object, output: torch.Tensor) -> None:
        see(next(position), module, output)

    with ExitStack() as stack:
        for module in dict.fromkeys(modules):
            stack.callback(module.register_forward_hook(hook).remove)
        yield


@contextmanager
def _replacing(
    modules: Sequence[nn.Module], give: Callable[[nn.Module], torch.Tensor]
) -> Iterator[None]:
    """Lets each call of these modules return what `give` gives, and runs none of them."""
    unique = list(dict.fromkeys(modules))
    earlier = [module.__dict__.get("forward") for module in unique]
    for module in unique:
        module.__dict__["forward"] = lambda *_, module=module, **__: give(module)
    try:
        yield
    finally:
        for module, forward in zip(unique, earlier, strict=True):
            del module.__dict__["forward"]
            if forward is not None:
                module.__dict__["forward"] = forward
