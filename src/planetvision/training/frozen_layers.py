"""Splitting a network into frozen layers and the trainable layers that use their outputs."""

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

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Call:
    """A call of a frozen module in the forward pass, and the shape of its output per image."""

    module: nn.Module
    shape: torch.Size


class _AllRecorded(Exception):
    pass


class FrozenLayers:
    """Frozen modules of a backbone before the trainable ones.

    The trainable layers need the outputs of some of their calls: the last one of a chain of
    blocks, or several where branches join.

    Args:
        network: The network.
        calls: The calls of frozen modules in a forward pass, in order.
        needed: The positions of the calls whose outputs are needed.
    """

    def __init__(self, network: PlanetNet, calls: Sequence[_Call], needed: Sequence[int]) -> None:
        self.network = network
        self.calls = tuple(calls)
        self.needed = tuple(needed)

    def record(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Returns the needed outputs for a batch of images, without running later layers.

        Convention: `images` as for the network; the first axis of each output is the batch.
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

    def compute_features(self, outputs: Sequence[torch.Tensor]) -> torch.Tensor:
        """Returns the pooled features, (N, C), from recorded outputs."""
        return _run_above(self.network, self.calls, dict(zip(self.needed, outputs, strict=True)))


class TrainableLayers(nn.Module):
    """Module from the recorded outputs of the frozen layers to logits.

    Args:
        frozen: The frozen layers.
    """

    def __init__(self, frozen: FrozenLayers) -> None:
        super().__init__()
        self.network = frozen.network
        self._compute_features = frozen.compute_features

    def forward(self, *outputs: torch.Tensor) -> torch.Tensor:
        """Returns the logits, (N, num_classes)."""
        logits: torch.Tensor = self.network.head(self._compute_features(outputs))
        return logits


@torch.enable_grad()
def split_network(network: PlanetNet) -> tuple[Extract, nn.Module] | None:
    """Returns the frozen and the trainable part of a network.

    The first is a function from images to tensors, the second a module from these to logits.
    Returns None if the network cannot be split.
    """
    if not any(weight.requires_grad for weight in network.backbone.parameters()):
        return lambda images: (network.forward_features(images),), network.head
    frozen = find_frozen_layers(network)
    return None if frozen is None else (frozen.record, TrainableLayers(frozen))


def find_frozen_layers(network: PlanetNet) -> FrozenLayers | None:
    """Returns the frozen layers before all trainable ones, or None if there are none.

    Needed outputs are found by trial: an output is needed if the features become NaN when it is
    NaN. The backbone can be any `nn.Module` that calls its modules in the same order for every
    batch. As a check, the features of two noise images must be equal to the bit when they are
    computed from recorded outputs.
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
    # Outputs after a trainable module require a gradient.
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
    # The image itself is not cached, so it must reach trainable layers only through the calls.
    if not calls or _is_lacking(network, calls, outputs):
        return None
    needed = [
        position
        for position in outputs
        if _is_lacking(network, calls, {**outputs, position: outputs[position] * torch.nan})
    ]
    part = FrozenLayers(network, calls, needed)
    if not needed or not torch.equal(
        part.compute_features([outputs[each] for each in needed]), features
    ):
        logger.info("outputs of the frozen layers of %s cannot be reused", network.spec.name)
        return None
    return part


def _list_frozen(module: nn.Module) -> Iterator[nn.Module]:
    """Yields the largest modules without trainable weights."""
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
    """Returns whether the features need more than these outputs."""
    return bool(_run_above(network, calls, outputs).isnan().any())


def _run_above(
    network: PlanetNet, calls: Sequence[_Call], outputs: Mapping[int, torch.Tensor]
) -> torch.Tensor:
    """Returns the pooled features, with these outputs in place of the calls at their positions.

    Other calls, and the images, are replaced by NaN without computation.
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
    """Calls `see` with the position, the module and the output of each call."""
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
    """Replaces the forward pass of these modules by `give` inside the block."""
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
