"""A backbone for planetvision: dilated convolutions at full stride, trained from scratch."""

from __future__ import annotations

from torch import nn

from planetvision import InputSpec, register_backbone

__all__ = ["dilated_net"]


@register_backbone("dilated_net", input=InputSpec(image_size=64))
def dilated_net() -> nn.Module:
    """Four convolutions with growing dilation, 64 px, from scratch."""
    layers: list[nn.Module] = []
    channels = 3
    for width, stride, dilation in [(16, 2, 1), (32, 2, 1), (64, 2, 2), (64, 1, 4)]:
        convolution = nn.Conv2d(
            channels, width, 3, stride=stride, padding=dilation, dilation=dilation, bias=False
        )
        layers.append(nn.Sequential(convolution, nn.BatchNorm2d(width), nn.ReLU()))
        channels = width
    return nn.Sequential(*layers)
