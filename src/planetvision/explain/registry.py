"""`EXPLAINERS`: the registry of attribution methods."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from planetvision.core.registry import Entry, Registry

if TYPE_CHECKING:
    import torch

    from planetvision.models.network import PlanetNet


Explainer: TypeAlias = "Callable[[PlanetNet, torch.Tensor, torch.Tensor], torch.Tensor]"


@dataclass(frozen=True, kw_only=True)
class ExplainerSpec(Entry):
    """An attribution method.

    `build(network, images, targets)` is the method itself: framed uint8 images (N, 3, S, S) and
    class indices (N,) in, non-negative maps of evidence (N, h, w) on any scale out. The network is
    in evaluation mode and is a copy for this call that shares the weights: the method may add hooks
    to it but must not change the weights.

    Args:
        uses_layers: Whether it uses the network's `feature_layers`, which can then be chosen.
        uses_target: Whether the map depends on the class; otherwise all classes share one map.
    """

    build: Explainer
    uses_layers: bool = False
    uses_target: bool = True


EXPLAINERS: Registry[ExplainerSpec, Explainer] = Registry("explainers", ExplainerSpec)
register_explainer = EXPLAINERS.register
list_explainers = EXPLAINERS.names


@register_explainer(
    "gradcam",
    source="Selvaraju et al. 2017, Grad-CAM, doi:10.1109/ICCV.2017.74",
    uses_layers=True,
)
def _gradcam(network: PlanetNet, images: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Activations of the last spatial layer, weighted by the mean gradient of the class score."""
    from planetvision.explain.gradcam import compute_gradcam

    return compute_gradcam(network, images, targets)


@register_explainer(
    "gradcam_plus_plus",
    source="Chattopadhay et al. 2018, Grad-CAM++, doi:10.1109/WACV.2018.00097",
    uses_layers=True,
)
def _gradcam_plus_plus(
    network: PlanetNet, images: torch.Tensor, targets: torch.Tensor
) -> torch.Tensor:
    """Grad-CAM by the positive gradients; finds several regions where Grad-CAM finds one."""
    from planetvision.explain.gradcam import compute_gradcam_plus_plus

    return compute_gradcam_plus_plus(network, images, targets)


@register_explainer(
    "layercam",
    source="Jiang et al. 2021, LayerCAM, doi:10.1109/TIP.2021.3089943",
    uses_layers=True,
)
def _layercam(network: PlanetNet, images: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Activations, each weighted by its own gradient; works for early, finer layers too."""
    from planetvision.explain.gradcam import compute_layercam

    return compute_layercam(network, images, targets)


@register_explainer(
    "eigencam",
    source="Muhammad & Yeasin 2020, Eigen-CAM, doi:10.1109/IJCNN48605.2020.9206626",
    uses_layers=True,
    uses_target=False,
)
def _eigencam(network: PlanetNet, images: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """The main response of the last spatial layer, the same for every class; no gradients."""
    from planetvision.explain.eigencam import compute_eigencam

    return compute_eigencam(network, images, targets)


@register_explainer(
    "scorecam",
    source="Wang et al. 2020, Score-CAM, doi:10.1109/CVPRW50498.2020.00020",
    uses_layers=True,
)
def _scorecam(network: PlanetNet, images: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Activations, weighted by the class score of the image masked by each; slow, no gradients."""
    from planetvision.explain.scorecam import compute_scorecam

    return compute_scorecam(network, images, targets)


@register_explainer(
    "integrated_gradients",
    source="Sundararajan et al. 2017, Axiomatic Attribution, arXiv:1703.01365",
)
def _integrated_gradients(
    network: PlanetNet, images: torch.Tensor, targets: torch.Tensor
) -> torch.Tensor:
    """The contribution of each pixel on the path from black; fine-grained, for every backbone."""
    from planetvision.explain.integrated_gradients import compute_integrated_gradients

    return compute_integrated_gradients(network, images, targets)


@register_explainer(
    "attention_rollout",
    source="Abnar & Zuidema 2020, Attention Flow, doi:10.18653/v1/2020.acl-main.385",
    uses_target=False,
)
def _attention_rollout(
    network: PlanetNet, images: torch.Tensor, targets: torch.Tensor
) -> torch.Tensor:
    """The patches that a vision transformer attends to, the same for every class."""
    from planetvision.explain.attention_rollout import compute_attention_rollout

    return compute_attention_rollout(network, images, targets)


@register_explainer("occlusion", source="Zeiler & Fergus 2014, doi:10.1007/978-3-319-10590-1_53")
def _occlusion(network: PlanetNet, images: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """The drop in the class probability when a patch is covered; slow, no gradients."""
    from planetvision.explain.occlusion import compute_occlusion

    return compute_occlusion(network, images, targets)
