"""Explains the images of a catalog, a batch at a time."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import torch

from planetvision.backbones.layers import evaluating
from planetvision.data.catalog import Catalog, Label
from planetvision.data.survey import warn_of_conversion
from planetvision.errors import SettingsError
from planetvision.explain.checks import (
    check_explanations,
    create_body_masks,
    judge_explanations,
    measure_body_share,
    measure_energy,
)
from planetvision.explain.checks.perturbation import STEPS
from planetvision.explain.registry import EXPLAINERS, ExplainerSpec
from planetvision.explain.variants import contrast_classes, look_at_layers
from planetvision.inference import Trust
from planetvision.inference.evidence import collect_evidence
from planetvision.inference.predictor import load_views
from planetvision.inference.trust import judge_evidence
from planetvision.network import PlanetNet
from planetvision.results import UNKNOWN, Explanation, ExplanationChecks, Explanations

__all__ = ["explain_catalog"]


def explain_catalog(
    network: PlanetNet,
    catalog: Catalog,
    *,
    classes: Sequence[Label],
    device: torch.device,
    method: str = "gradcam",
    target: Label | None = None,
    against: Label | None = None,
    layers: Sequence[str] | None = None,
    checked: Collection[int] | None = (),
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
        against: The class that it is set against: the map then explains the difference of their
            two logits. An image whose most probable class this is, where `target` is None, is
            explained against its second most probable.
        layers: The dotted names of the backbone's layers to look at; None takes those that are
            found.
        checked: The rows whose maps are checked in full, which takes some forty passes an image;
            None is all. Of the others it is only measured how much lies on the body.
        trust: As for `predict_catalog`.
        rejection_rate: As for `predict_catalog`.
        batch_size: Images a pass.

    Raises:
        SettingsError: If `target` or `against` is not one of `classes`, they are the same, or the
            method has no use for classes or layers that are given.
        ExplanationError: If the method cannot explain this network, or not by these layers.
    """
    explainer = EXPLAINERS.get(method)
    _check_settings(explainer, classes, target=target, against=against, layers=layers)
    threshold = trust.get_threshold(rejection_rate) if trust else math.inf
    network.to(device)
    items: list[Explanation] = []
    is_stretched: list[bool] = []
    with evaluating(network):
        shown = look_at_layers(network, layers) if layers is not None else network
        looked_at = shown.feature_layers if explainer.uses_layers else ()
        for start in range(0, len(catalog), batch_size):
            sources = catalog.sources[start : start + batch_size]
            loaded = [load_views(source, network.input_spec) for source in sources]
            readable = [views.pixels.to(device) for views in loaded if views.pixels is not None]
            answers = iter(
                _explain_images(
                    shown,
                    readable,
                    explainer,
                    classes,
                    target=target,
                    against=against,
                    trust=trust,
                    threshold=threshold,
                )
            )
            is_stretched += [views.is_stretched for views in loaded]
            for name, views in zip(catalog.names[start:], loaded, strict=False):
                shared: dict[str, Any] = {"method": method, "layers": looked_at}
                if views.pixels is None:
                    items.append(Explanation.create_failed(name, views.error, **shared))
                else:
                    pixels = views.pixels[0].permute(1, 2, 0).contiguous().numpy()
                    items.append(Explanation(path=name, image=pixels, **next(answers), **shared))
        checks = _check_items(items, shown, explainer, classes, device=device, checked=checked)
    warn_of_conversion(catalog, is_stretched, network.input_spec.stretch)
    return Explanations(items=tuple(items), checks=checks, verdict=judge_explanations(checks))


def _check_items(
    items: Sequence[Explanation],
    network: PlanetNet,
    explainer: ExplainerSpec,
    classes: Sequence[Label],
    *,
    device: torch.device,
    checked: Collection[int] | None,
) -> ExplanationChecks:
    """Returns the figures of the maps: of all where they lie, of those checked the rest too."""
    rows = [row for row, item in enumerate(items) if not item.error]
    chosen = [row for row in rows if checked is None or row in checked]
    checks = ExplanationChecks.create_unmeasured(len(items), STEPS if chosen else 0)
    if not rows:
        return checks
    pixels = torch.stack([torch.from_numpy(items[row].image).permute(2, 0, 1) for row in rows])
    maps = torch.stack([torch.from_numpy(items[row].heatmap) for row in rows])
    masks = create_body_masks(pixels)
    checks.energy_on_body[rows] = measure_energy(maps, masks)
    checks.body_share[rows] = measure_body_share(masks)
    pairs: dict[tuple[Label, Label] | None, list[int]] = {}
    for at, row in enumerate(rows):
        if row in chosen:
            item = items[row]
            pair = None
            if item.against is not None and item.target is not None:
                pair = (item.target, item.against)
            pairs.setdefault(pair, []).append(at)
    for pair, places in pairs.items():
        subject = network
        targets = [classes.index(_get_explained(items[rows[at]])) for at in places]
        if pair is not None:
            first, second = map(classes.index, pair)
            looked_at = network.feature_layers if explainer.uses_layers else None
            subject = contrast_classes(network, first, second, layers=looked_at)
            targets = [0] * len(places)
        measured = check_explanations(
            subject,
            explainer.build,
            pixels[places].to(device),
            torch.tensor(targets, device=device),
            maps[places],
            masks[places],
        )
        checks.put([rows[at] for at in places], measured)
    return checks


def _get_explained(item: Explanation) -> Label:
    """The class that a map is checked by: its own, or the answer where it is of no class."""
    explained = item.target if item.target is not None else item.top_label
    assert explained is not None
    return explained


def _check_settings(
    explainer: ExplainerSpec,
    classes: Sequence[Label],
    *,
    target: Label | None,
    against: Label | None,
    layers: Sequence[str] | None,
) -> None:
    problems = []
    for name, label in (("target", target), ("against", against)):
        if label is None:
            continue
        if not explainer.uses_target:
            able = [spec.name for spec in EXPLAINERS.added() if spec.uses_target]
            problems.append(
                f"The map of '{explainer.name}' is the same for every class, got `{name}` "
                f"{label!r}. Leave it out, or use one of: {', '.join(able)}."
            )
        elif label not in classes:
            problems.append(
                f"`{name}` must be one of the model's classes ({', '.join(map(str, classes))}), "
                f"got {label!r}."
            )
    if target is not None and target == against and not problems:
        problems.append(
            f"`against` must be another class than `target`, got {against!r} for both. Name "
            "another, or leave it out."
        )
    if layers is not None and not explainer.uses_layers:
        able = [spec.name for spec in EXPLAINERS.added() if spec.uses_layers]
        problems.append(
            f"'{explainer.name}' looks at no layers, got `layers` {layers!r}. Leave them out, or "
            f"use one of: {', '.join(able)}."
        )
    elif layers is not None and (isinstance(layers, str) or not layers):
        problems.append(
            f"`layers` must be a list with one name or more, got {layers!r}. Pass ['layer4'], for "
            "example."
        )
    if problems:
        raise SettingsError.from_problems(problems)


def _explain_images(
    network: PlanetNet,
    images: Sequence[torch.Tensor],
    explainer: ExplainerSpec,
    classes: Sequence[Label],
    *,
    target: Label | None,
    against: Label | None,
    trust: Trust | None,
    threshold: float,
) -> list[dict[str, Any]]:
    """Returns the fields of `Explanation` that the network decides, for each image."""
    if not images:
        return []
    evidence = collect_evidence(network, images)
    probabilities, novelty = judge_evidence(evidence, trust)
    known = novelty <= threshold
    answers = probabilities.argmax(axis=1)
    wanted = answers if target is None else np.full(len(answers), classes.index(target))
    rivals: list[int] | None = None
    if against is not None:
        rival = classes.index(against)
        second = np.argsort(probabilities, axis=1, kind="stable")[:, -2]
        rivals = np.where(wanted == rival, second, rival).tolist()
    others: Sequence[int | None] = [None] * len(images) if rivals is None else rivals
    framed = torch.stack([views[0] for views in images])
    maps = _draw_maps(network, framed, explainer, wanted.tolist(), rivals).float().cpu()
    peaks = maps.amax(dim=(1, 2), keepdim=True)
    heatmaps = torch.where(peaks > 0, maps / peaks.clamp(min=1e-30), 0.0).numpy()
    return [
        {
            "heatmap": heatmap,
            "label": classes[answer] if is_known else UNKNOWN,
            "top_label": classes[answer],
            "known": is_known,
            "confidence": confidence,
            "target": classes[explained] if explainer.uses_target else None,
            "against": None if other is None else classes[other],
        }
        for heatmap, answer, is_known, confidence, explained, other in zip(
            heatmaps,
            answers.tolist(),
            known.tolist(),
            probabilities.max(axis=1).tolist(),
            wanted.tolist(),
            others,
            strict=True,
        )
    ]


def _draw_maps(
    network: PlanetNet,
    images: torch.Tensor,
    explainer: ExplainerSpec,
    targets: Sequence[int],
    rivals: Sequence[int] | None,
) -> torch.Tensor:
    """Returns the map of each image, for its target alone or against its rival."""
    if rivals is None:
        return explainer.build(
            network, images, torch.tensor(targets, device=images.device)
        ).detach()
    layers = network.feature_layers if explainer.uses_layers else None
    pairs = list(zip(targets, rivals, strict=True))
    maps: dict[int, torch.Tensor] = {}
    for target, rival in dict.fromkeys(pairs):
        rows = [row for row, pair in enumerate(pairs) if pair == (target, rival)]
        contrast = contrast_classes(network, target, rival, layers=layers)
        first = torch.zeros(len(rows), dtype=torch.int64, device=images.device)
        found = explainer.build(contrast, images[rows], first).detach()
        maps |= dict(zip(rows, found, strict=True))
    return torch.stack([maps[row] for row in range(len(images))])
