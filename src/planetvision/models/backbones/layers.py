"""Analysis of modules: feature size, blocks and spatial layers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn

from planetvision.models.backbones.copying import copy_structure
from planetvision.models.backbones.ensemble import EnsembleBackbone
from planetvision.models.backbones.shapes import pool_features, to_feature_map

# Names in timm and torchvision of the norm before the attention of a transformer block.
_FIRST_NORMS = ("norm1", "ln_1")


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Sets evaluation mode in the block, and restores the mode of each submodule afterwards."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, mode in modes:
            part.training = mode


def _black_image(backbone: nn.Module, image_size: int) -> torch.Tensor:
    weight = next(backbone.parameters(), torch.empty(0))
    return torch.zeros(1, 3, image_size, image_size, device=weight.device, dtype=weight.dtype)


@torch.no_grad()
def measure_feature_size(backbone: nn.Module, image_size: int) -> int:
    """Returns the length of the pooled features, from a forward pass of one black image."""
    with evaluating(backbone):
        features = pool_features(backbone(_black_image(backbone, image_size)))
    return features.shape[1]


def list_members(backbone: nn.Module) -> list[tuple[str, nn.Module]]:
    """Returns the members of an ensemble with their dotted prefixes.

    Any other backbone is its own only member.
    """
    if isinstance(backbone, EnsembleBackbone):
        return [(f"members.{index}.", member) for index, member in enumerate(backbone.members)]
    return [("", backbone)]


def find_blocks(
    backbone: nn.Module, block_layers: Sequence[str] | None = None
) -> list[list[nn.Module]]:
    """Returns the blocks of a backbone from input to output, each as a list of modules.

    A block is an item of a container (`nn.Sequential`, `nn.ModuleList`) among the backbone's
    children; layers between containers, such as a stem, are one block. Without a container each
    child is a block, and a child with most of the weights is searched for blocks. A block of an
    ensemble holds the blocks of its members at the same depth, counted from the output.

    Args:
        backbone: The module.
        block_layers: Dotted names of the blocks, if known.
    """
    if block_layers is not None:
        return [[backbone.get_submodule(name)] for name in block_layers]
    parts = [_find_part_blocks(part) for _, part in list_members(backbone)]
    depth = max(len(blocks) for blocks in parts)
    padded: list[list[list[nn.Module]]] = [
        [[]] * (depth - len(blocks)) + blocks for blocks in parts
    ]
    return [[module for block in level for module in block] for level in zip(*padded, strict=True)]


def _learned_children(module: nn.Module) -> list[nn.Module]:
    return [child for child in module.children() if next(child.parameters(), None) is not None]


def _is_container(module: nn.Module) -> bool:
    return isinstance(module, nn.Sequential | nn.ModuleList)


def _find_part_blocks(module: nn.Module) -> list[list[nn.Module]]:
    children = _learned_children(module)
    while len(children) == 1:  # a wrapper, whose only child has the blocks
        module, children = children[0], _learned_children(children[0])
    if not children:
        return [[module]]
    if _is_container(module):
        return [[child] for child in children]
    if not any(map(_is_container, children)):
        return _find_nested_blocks(module, children)
    blocks: list[list[nn.Module]] = []
    between: list[nn.Module] = []
    for child in children:
        if not _is_container(child):
            between.append(child)
            continue
        if between:
            blocks.append(between)
            between = []
        blocks += [[item] for item in _learned_children(child)]
    return [*blocks, between] if between else blocks


def _find_nested_blocks(module: nn.Module, children: Sequence[nn.Module]) -> list[list[nn.Module]]:
    """Returns each child as a block, but the blocks inside a child with most of the weights."""
    half = sum(weight.numel() for weight in module.parameters()) / 2
    blocks: list[list[nn.Module]] = []
    for child in children:
        size = sum(weight.numel() for weight in child.parameters())
        inside = size > half and any(map(_is_container, _learned_children(child)))
        blocks += _find_part_blocks(child) if inside else [[child]]
    return blocks


def _is_spatial(output: object) -> bool:
    if not isinstance(output, torch.Tensor):
        return False
    feature_map = to_feature_map(output, None)
    return feature_map is not None and feature_map.shape[-1] == feature_map.shape[-2] > 1


def _attention_parts(backbone: nn.Module) -> set[nn.Module]:
    """Modules inside attention, whose outputs have four axes but are no feature maps."""
    return {
        part
        for module in backbone.modules()
        if "Attention" in type(module).__name__
        for part in module.modules()
        if part is not module
    }


@torch.no_grad()
def list_feature_layers(backbone: nn.Module, image_size: int) -> tuple[str, ...]:
    """Returns the dotted names of the layers with a spatial output, in the order of their calls.

    For tokens these are the first norms of the blocks. After the attention of the last block only
    the class token affects the result, and the other tokens have no gradient.

    Args:
        backbone: The module.
        image_size: The side of its input in pixels.
    """
    finished: list[str] = []

    def record(name: str) -> Callable[..., None]:
        def hook(_module: nn.Module, _inputs: object, output: object) -> None:
            if _is_spatial(output):
                tokens = isinstance(output, torch.Tensor) and output.ndim == 3
                if not tokens or name.endswith(_FIRST_NORMS):
                    finished.append(name)

        return hook

    watched = copy_structure(backbone).eval()
    left_out = _attention_parts(watched)
    for name, module in watched.named_modules():
        if name and module not in left_out:
            module.register_forward_hook(record(name))
    watched(_black_image(watched, image_size))
    # A layer that is called twice counts at its last call.
    return tuple(reversed(dict.fromkeys(reversed(finished))))


def find_feature_layers(backbone: nn.Module, image_size: int) -> tuple[str, ...]:
    """Returns the dotted name of the last layer with a spatial output, one per member.

    Args:
        backbone: The module.
        image_size: The side of its input in pixels.
    """
    finished = list_feature_layers(backbone, image_size)
    layers = []
    for prefix, _ in list_members(backbone):
        names = [name for name in finished if name.startswith(prefix)]
        if not names:
            return ()
        layers.append(names[-1])
    return tuple(layers)
