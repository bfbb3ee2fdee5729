"""Heads: networks that turn pooled features into one logit a class, by name."""

from planetvision.heads.registry import HEADS, HeadSpec, list_heads, register_head

__all__ = ["HEADS", "HeadSpec", "list_heads", "register_head"]
