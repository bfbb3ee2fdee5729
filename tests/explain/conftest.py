"""Networks whose evidence is known: one feature, brightness, decides between two classes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from timm.models import VisionTransformer
from torch import nn

from planetvision.core.settings import InputSpec
from planetvision.models.backbones.spec import BackboneSpec
from planetvision.models.network import PlanetNet


@pytest.fixture
def wrap() -> Callable[..., PlanetNet]:
    """Makes a network of 32 pixels and 2 classes of a backbone and the fields of its spec."""

    def create(backbone: nn.Module, *, features: int = 1, **fields: Any) -> PlanetNet:
        spec = BackboneSpec(
            name="by_hand",
            build=nn.Identity,
            summary="",
            input=InputSpec(image_size=32, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)),
            **fields,
        )
        head = nn.Linear(features, 2, bias=False)
        return PlanetNet(backbone, head, input_spec=spec.input, spec=spec).eval()

    return create


@pytest.fixture
def bright_network(wrap: Callable[..., PlanetNet]) -> PlanetNet:
    """Its one feature is brightness over 0.5; 'bright' is for it, 'dark' against."""
    patches = nn.Conv2d(3, 1, 4, stride=4)
    nn.init.constant_(patches.weight, 1 / 48)
    nn.init.constant_(patches.bias, -0.5)  # type: ignore[arg-type]
    network = wrap(nn.Sequential(patches, nn.ReLU()))
    network.head.weight.data = torch.tensor([[-50.0], [50.0]])
    return network


@pytest.fixture
def bright_transformer(wrap: Callable[..., PlanetNet]) -> PlanetNet:
    """Its class token attends to bright patches by exp(4), to dark ones by 1, and patches to all.

    A token is (brightness, 1 for the class token and 0 for a patch).
    """
    backbone = VisionTransformer(
        img_size=32,
        patch_size=4,
        num_classes=0,
        embed_dim=2,
        depth=1,
        num_heads=1,
        mlp_ratio=0.5,
        norm_layer=nn.Identity,
    )
    tensors = {name: torch.zeros_like(value) for name, value in backbone.state_dict().items()}
    tensors["patch_embed.proj.weight"][0] = 1 / 48
    tensors["cls_token"][..., 1] = 1
    tensors["blocks.0.attn.qkv.weight"][0] = torch.tensor([0.0, 4 * 2**0.5])  # scores / sqrt(2)
    tensors["blocks.0.attn.qkv.weight"][2] = torch.tensor([1.0, 0.0])
    tensors["blocks.0.attn.qkv.weight"][4] = torch.tensor([1.0, 0.0])
    tensors["blocks.0.attn.proj.weight"] = torch.eye(2)
    backbone.load_state_dict(tensors)
    network = wrap(backbone, features=2)
    network.head.weight.data = torch.tensor([[-50.0, 0.0], [50.0, 0.0]])
    return network
