"""Conversions between the outputs of backbones: vectors, feature maps and tokens."""

from __future__ import annotations

import math

import torch

from planetvision.core.errors import SettingsError
from planetvision.models.backbones.spec import FeatureLayout


def pool_features(output: torch.Tensor) -> torch.Tensor:
    """Returns one vector per image: the mean over positions or tokens, if there are any.

    Convention: (N, C), (N, C, h, w) or (N, L, C) in, (N, C) out.

    Raises:
        SettingsError: If the output has another shape.
    """
    if not isinstance(output, torch.Tensor) or output.ndim not in (2, 3, 4):
        given = tuple(output.shape) if isinstance(output, torch.Tensor) else type(output).__name__
        raise SettingsError(
            "A backbone must return features of shape (N, C), (N, C, h, w) or (N, L, C), got "
            f"{given}. Change what it returns."
        )
    if output.ndim == 4:
        return output.mean(dim=(2, 3))
    if output.ndim == 3:
        return output.mean(dim=1)
    return output


def to_feature_map(output: torch.Tensor, layout: FeatureLayout | None) -> torch.Tensor | None:
    """Returns a layer's output as (N, C, h, w), or None if it has no two spatial axes.

    Args:
        output: The output.
        layout: Its layout; None infers it. Of four axes, the two of equal size are spatial, since
            inputs are square. Three axes are class tokens, if any, and the tokens of a square grid.
    """
    if output.ndim == 4:
        _, second, third, fourth = output.shape
        if layout is None:
            layout = "NHWC" if second == third != fourth else "NCHW"
        return output.permute(0, 3, 1, 2) if layout == "NHWC" else output
    if output.ndim == 3:
        side = math.isqrt(output.shape[1])
        extra = output.shape[1] - side * side
        tokens = output[:, extra:]
        return tokens.transpose(1, 2).reshape(output.shape[0], -1, side, side)
    return None


def summarize_channels(output: object, layout: FeatureLayout | None) -> torch.Tensor | None:
    """Returns the mean and the standard deviation of each channel over the positions, (N, 2 C).

    Args:
        output: The output of a layer.
        layout: As for `to_feature_map`.

    Returns:
        Vectors, (N, C), unchanged; None for objects that are not tensors with a channel axis.
    """
    if not isinstance(output, torch.Tensor):
        return None
    feature_map = to_feature_map(output, layout)
    if feature_map is None:
        return output.float() if output.ndim == 2 else None
    std, mean = torch.std_mean(feature_map.float(), dim=(2, 3), correction=0)
    return torch.cat([mean, std], dim=1)
