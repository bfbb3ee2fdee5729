"""`EXPLAINERS`: the methods that draw a map of evidence, by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from planetvision.registry import Entry, Registry

if TYPE_CHECKING:
    import torch

    from planetvision.network import PlanetNet

__all__ = ["EXPLAINERS", "Explainer", "ExplainerSpec", "list_explainers", "register_explainer"]

Explainer: TypeAlias = "Callable[[PlanetNet, torch.Tensor, torch.Tensor], torch.Tensor]"


@dataclass(frozen=True, kw_only=True)
class ExplainerSpec(Entry):
    """A method of explanation.

    `build(network, images, targets)` is the method itself: framed uint8 images (N, 3, S, S) and
    class indices (N,) in, maps of evidence (N, h, w) out, not negative, on any scale. The network
    comes in evaluation mode; the method leaves modes, gradients and hooks as it found them.
    """

    build: Explainer


EXPLAINERS: Registry[ExplainerSpec] = Registry("explainers", ExplainerSpec)


def register_explainer(
    name: str, *, summary: str = "", source: str = "", replace: bool = False
) -> Callable[[Explainer], Explainer]:
    """Registers a function of (network, images, targets) as the explainer `name`.

    Args:
        name: The name to choose it by.
        summary: One line for listings; by default the first line of the docstring.
        source: Where the method comes from.
        replace: Whether an entry of that name may be replaced.
    """
    return EXPLAINERS.register(name, summary=summary, source=source, replace=replace)


def list_explainers() -> list[str]:
    """Returns the names of the methods of explanation."""
    return EXPLAINERS.names()


@register_explainer("gradcam", source="Selvaraju et al. 2017, Grad-CAM, doi:10.1109/ICCV.2017.74")
def _gradcam(network: PlanetNet, images: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Activations of the last spatial layer, weighted by the mean gradient of the class score."""
    from planetvision.explain.gradcam import compute_gradcam

    return compute_gradcam(network, images, targets)


@register_explainer("occlusion", source="Zeiler & Fergus 2014, doi:10.1007/978-3-319-10590-1_53")
def _occlusion(network: PlanetNet, images: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """How much the class's probability falls when a patch is covered; slow, needs no gradients."""
    from planetvision.explain.occlusion import compute_occlusion

    return compute_occlusion(network, images, targets)
