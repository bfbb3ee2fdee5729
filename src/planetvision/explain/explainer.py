"""Explains the images of a catalog, a batch at a time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from scipy.special import softmax

from planetvision.backbones.layers import evaluating
from planetvision.data.catalog import Catalog, Label
from planetvision.data.survey import warn_of_conversion
from planetvision.errors import SettingsError
from planetvision.explain.registry import EXPLAINERS, Explainer
from planetvision.inference import Trust
from planetvision.inference.evidence import collect_evidence
from planetvision.inference.predictor import load_views
from planetvision.network import PlanetNet
from planetvision.results import UNKNOWN, Explanation, Explanations

__all__ = ["explain_catalog"]


def explain_catalog(
    network: PlanetNet,
    catalog: Catalog,
    *,
    classes: Sequence[Label],
    device: torch.device,
    method: str = "gradcam",
    target: Label | None = None,
    trust: Trust | None = None,
    rejection_rate: float = 0.0,
    batch_size: int = 16,
) -> Explanations:
    """Returns one explanation an image; those that cannot be read carry an error.

    The answer is that of prediction, test-time augmentation included; the map is of the framed
    image alone.

    Args:
        network: The network; its training mode, gradients and hooks are left as they were.
        catalog: The images.
        classes: The label of each logit.
        device: Where to run.
        method: The registered explainer.
        target: The class to explain; None explains the most probable one of each image.
        trust: As for `predict_catalog`.
        rejection_rate: As for `predict_catalog`.
        batch_size: Images a pass.

    Raises:
        SettingsError: If `target` is not one of `classes`.
        ExplanationError: If the method cannot explain this network.
    """
    explainer = EXPLAINERS.get(method).build
    if target is not None and target not in classes:
        raise SettingsError(
            f"`target` must be one of the model's classes ({', '.join(map(str, classes))}), "
            f"got {target!r}."
        )
    threshold = trust.get_threshold(rejection_rate) if trust else math.inf
    network.to(device)
    items: list[Explanation] = []
    is_stretched: list[bool] = []
    with evaluating(network):
        layers = network.feature_layers if method == "gradcam" else ()
        for start in range(0, len(catalog), batch_size):
            sources = catalog.sources[start : start + batch_size]
            loaded = [load_views(source, network.input_spec) for source in sources]
            readable = [views.pixels.to(device) for views in loaded if views.pixels is not None]
            answers = iter(
                _explain_images(network, readable, explainer, classes, target, trust, threshold)
            )
            is_stretched += [views.is_stretched for views in loaded]
            for name, views in zip(catalog.names[start:], loaded, strict=False):
                shared: dict[str, Any] = {"path": name, "method": method, "layers": layers}
                if views.pixels is None:
                    items.append(_no_explanation(views.error, shared))
                else:
                    pixels = views.pixels[0].permute(1, 2, 0).contiguous().numpy()
                    items.append(Explanation(image=pixels, **next(answers), **shared))
    warn_of_conversion(catalog, is_stretched, network.input_spec.stretch)
    return Explanations(items=tuple(items))


def _no_explanation(error: str, shared: dict[str, Any]) -> Explanation:
    return Explanation(
        image=np.zeros((1, 1, 3), dtype=np.uint8),
        heatmap=np.zeros((1, 1), dtype=np.float32),
        label=None,
        confidence=float("nan"),
        target=None,
        error=error,
        known=False,
        **shared,
    )


def _explain_images(
    network: PlanetNet,
    images: Sequence[torch.Tensor],
    explainer: Explainer,
    classes: Sequence[Label],
    target: Label | None,
    trust: Trust | None,
    threshold: float,
) -> list[dict[str, Any]]:
    """Returns the fields of `Explanation` that the network decides, for each image."""
    if not images:
        return []
    evidence = collect_evidence(network, images)
    probabilities = softmax(evidence.logits, axis=1)
    known = np.ones(len(images), dtype=bool)
    if trust is not None:
        probabilities = trust.calibrate(evidence.logits)
        known = trust.get_novelty(evidence) <= threshold
    answers = probabilities.argmax(axis=1)
    wanted = answers if target is None else np.full(len(answers), classes.index(target))
    targets = torch.from_numpy(wanted).to(images[0].device)
    framed = torch.stack([views[0] for views in images])
    maps = explainer(network, framed, targets).detach().float().cpu()
    peaks = maps.amax(dim=(1, 2), keepdim=True)
    heatmaps = torch.where(peaks > 0, maps / peaks.clamp(min=1e-30), 0.0).numpy()
    return [
        {
            "heatmap": heatmap,
            "label": classes[answer] if is_known else UNKNOWN,
            "known": is_known,
            "confidence": confidence,
            "target": classes[explained],
        }
        for heatmap, answer, is_known, confidence, explained in zip(
            heatmaps,
            answers.tolist(),
            known.tolist(),
            probabilities.max(axis=1).tolist(),
            wanted.tolist(),
            strict=True,
        )
    ]
