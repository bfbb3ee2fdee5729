"""`check_explanations`: all figures of a set of maps."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from planetvision.core.devices import derive_seed
from planetvision.explain.checks.energy import measure_body_share, measure_energy
from planetvision.explain.checks.perturbation import STEPS, measure_area, measure_curves
from planetvision.explain.checks.randomization import MAX_IMAGES, randomize_network
from planetvision.explain.checks.similarity import (
    average_known,
    compare_maps,
    create_maps,
    measure_stability,
    resize_maps,
)
from planetvision.explain.registry import Explainer
from planetvision.models.backbones.copying import copy_structure
from planetvision.models.network import PlanetNet
from planetvision.results.explanation_checks import ExplanationChecks

# A network that has learned nothing often finds nothing that speaks for a class: of EfficientNets
# with shuffled weights Grad-CAM is 0 everywhere for about three images in ten.
_NUM_NETWORKS = 2


def check_explanations(
    network: PlanetNet,
    explainer: Explainer,
    images: torch.Tensor,
    targets: torch.Tensor,
    maps: torch.Tensor,
    masks: torch.Tensor,
    *,
    shuffled: Sequence[PlanetNet] | None = None,
    seed: int = 0,
    batch_size: int = 32,
) -> ExplanationChecks:
    """Returns the figures of each map.

    It costs 32 forward passes per image and four calls of the explainer: two of the image moved,
    and two of networks with shuffled weights.

    Convention: framed uint8 images (N, 3, S, S), at least one, class indices (N,), both on any
    device; maps (N, h, w), not negative; bool masks (N, S, S).

    Args:
        network: The network; its modes, weights and gradients are left as they were.
        explainer: The method that made the maps, as registered.
        images: The images.
        targets: The classes that the maps explain.
        maps: What the explainer gave for them.
        masks: Where the body is, all False where there is none: see `create_body_masks`.
        shuffled: What `shuffle_network` gave for this network; None makes them, adapted to these
            images.
        seed: What the shuffled weights are drawn by.
        batch_size: Images per pass.
    """
    checks = ExplanationChecks.create_unmeasured(len(images), STEPS)
    device = network.mean.device
    network = copy_structure(network).eval()
    networks = shuffled or shuffle_network(network, images, seed=seed)
    # The images of one part lie on the device together, and a picture for each of their steps.
    for part in torch.split(torch.arange(len(images)), batch_size):
        measured = _check_part(
            network,
            networks,
            explainer,
            images[part].to(device),
            targets[part].to(device),
            maps[part],
            masks[part],
            seed=seed,
            batch_size=batch_size,
        )
        checks.put(part.tolist(), measured)
    return checks


def shuffle_network(network: PlanetNet, images: torch.Tensor, *, seed: int = 0) -> list[PlanetNet]:
    """Returns the networks with shuffled weights that maps are compared with.

    Args:
        network: The network, which stays as it is.
        images: Framed images, as for `randomize_network`, on any device.
        seed: What the order of the weights is drawn by.
    """
    some = images[:MAX_IMAGES].to(network.mean.device)
    return [
        randomize_network(network, some, seed=derive_seed(seed, number))
        for number in range(_NUM_NETWORKS)
    ]


def _check_part(
    network: PlanetNet,
    shuffled: Sequence[PlanetNet],
    explainer: Explainer,
    images: torch.Tensor,
    targets: torch.Tensor,
    maps: torch.Tensor,
    masks: torch.Tensor,
    *,
    seed: int,
    batch_size: int,
) -> ExplanationChecks:
    size = images.shape[-1]
    curves = measure_curves(network, images, targets, maps, batch_size=batch_size, seed=seed)
    stability = measure_stability(network, explainer, images, targets, maps, batch_size=batch_size)
    similarities = []
    for other in shuffled:
        others = create_maps(other, explainer, images, targets, batch_size=batch_size)
        similarities.append(compare_maps(resize_maps(maps, size), resize_maps(others, size)))
    return ExplanationChecks(
        energy_on_body=measure_energy(maps, masks),
        body_share=measure_body_share(masks),
        deletion=measure_area(curves.deletion),
        insertion=measure_area(curves.insertion),
        stability=stability,
        randomized=average_known(similarities),
        deletion_curves=curves.deletion,
        insertion_curves=curves.insertion,
    )
