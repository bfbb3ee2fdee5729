"""Attention rollout: which patches the answer of a transformer has been gathered from."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import torch
from torch import nn

from planetvision.core.errors import ExplanationError
from planetvision.explain.activations import average_maps
from planetvision.models.backbones.copying import copy_structure
from planetvision.models.backbones.layers import list_members
from planetvision.models.network import PlanetNet

_Keep: TypeAlias = "Callable[[torch.Tensor], None]"


@torch.no_grad()
def compute_attention_rollout(
    network: PlanetNet, images: torch.Tensor, targets: torch.Tensor
) -> torch.Tensor:
    """Returns how much of each patch flows into the answer through all layers of attention.

    Each layer mixes the tokens half by its attention, the mean over its heads, and half as they
    were (the skip connection); the product of all layers is read at the class token, or as the
    mean over the patches where the backbone pools those. It is the same map for every class.

    Convention: framed uint8 images (N, 3, S, S) in; maps (N, h, w), a value a patch, not negative,
    out. An ensemble gives the mean of its members' maps, each scaled to 1.

    Args:
        network: In evaluation mode; its backbone is a vision transformer of timm or torchvision.
        images: The images, on the network's device.
        targets: Ignored.

    Raises:
        ExplanationError: If the backbone, or a member of it, has no attention over all patches.

    References:
        Abnar & Zuidema, Quantifying Attention Flow in Transformers, 2020, section 3 and
        equation 1, doi:10.18653/v1/2020.acl-main.385.
    """
    kept: list[list[torch.Tensor]] = []
    network = copy_structure(network)  # its attention is changed, and other threads may run it
    members = [member for _, member in list_members(network.backbone)]
    for member in members:
        weights: list[torch.Tensor] = []
        kept.append(weights)
        for module in member.modules():
            _watch(module, weights.append)
    network(images)
    maps = []
    for member, weights in zip(members, kept, strict=True):
        shapes = {tuple(one.shape) for one in weights}
        if len(shapes) != 1 or len(weights[0]) != len(images):  # windows come many an image
            raise _no_rollout(network)
        maps.append(_roll_out(weights, member))
    return average_maps(maps)


def _watch(module: nn.Module, keep: _Keep) -> None:
    """Lets `keep` see the attention weights (N, L, L) of a module that has some.

    What is not an attention of each token to each gives an empty tensor.
    """

    def check(weights: torch.Tensor, tokens: torch.Tensor) -> None:
        is_global = tokens.ndim == 3 and weights.shape == (*tokens.shape[:2], tokens.shape[1])
        keep(weights if is_global else weights.new_empty(0))

    if isinstance(module, nn.MultiheadAttention):
        _watch_torch(module, check)
    elif hasattr(module, "fused_attn") and isinstance(
        getattr(module, "attn_drop", None), nn.Module
    ):
        _watch_timm(module, check)


def _watch_torch(module: nn.Module, keep: Callable[[torch.Tensor, torch.Tensor], None]) -> None:
    def ask(_module: nn.Module, inputs: Any, keywords: Any) -> Any:
        return inputs, {**keywords, "need_weights": True, "average_attn_weights": True}

    def take(_module: nn.Module, inputs: Any, output: Any) -> None:
        keep(output[1], inputs[0])

    module.register_forward_pre_hook(ask, with_kwargs=True)
    module.register_forward_hook(take)


def _watch_timm(module: Any, keep: Callable[[torch.Tensor, torch.Tensor], None]) -> None:
    """The weights pass through a dropout, but only where attention is not fused."""
    seen: list[torch.Tensor] = []

    def notice(_module: nn.Module, _inputs: object, weights: torch.Tensor) -> None:
        seen.append(weights)

    def take(_module: nn.Module, inputs: Any, _output: object) -> None:
        for weights in seen:
            keep(weights.mean(dim=1), inputs[0])
        seen.clear()

    module.fused_attn = False
    module.attn_drop.register_forward_hook(notice)
    module.register_forward_hook(take)


def _roll_out(weights: list[torch.Tensor], member: nn.Module) -> torch.Tensor:
    count = weights[0].shape[-1]
    same = torch.eye(count, device=weights[0].device)
    flow = same.expand_as(weights[0])
    for one in weights:
        mixed = one.float() + same
        flow = (mixed / mixed.sum(dim=-1, keepdim=True)) @ flow
    side = math.isqrt(count)
    first = count - side * side
    reads_token = first > 0 and getattr(member, "global_pool", "token") == "token"
    answer = flow[:, 0] if reads_token else flow[:, first:].mean(dim=1)
    return answer[:, first:].reshape(-1, side, side)


def _no_rollout(network: PlanetNet) -> ExplanationError:
    return ExplanationError(
        "'attention_rollout' needs a transformer in which every patch attends to every other, such "
        "as 'timm:vit_tiny_patch16_224', and the backbone "
        f"'{network.spec.name}' has another kind of attention, or none. Use 'gradcam', 'layercam', "
        "'integrated_gradients' or 'occlusion', which work with it."
    )
