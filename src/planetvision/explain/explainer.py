"""Explains the images of a catalog, a batch at a time."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from planetvision.core.errors import SettingsError
from planetvision.core.settings import Label, Tta
from planetvision.data.catalog import Catalog
from planetvision.data.survey import warn_of_conversion
from planetvision.explain.checks import judge_explanations
from planetvision.explain.measuring import measure_items
from planetvision.explain.registry import EXPLAINERS, ExplainerSpec
from planetvision.explain.variants import contrast_classes, look_at_layers
from planetvision.inference import Calibrator
from planetvision.inference.calibrator import calibrate_outputs
from planetvision.inference.outputs import compute_outputs
from planetvision.inference.predictor import load_views
from planetvision.models.backbones.copying import copy_structure
from planetvision.models.network import PlanetNet
from planetvision.results import UNKNOWN, Explanation, Explanations


@dataclass(frozen=True, kw_only=True)
class MapSettings:
    """Which map explains an image.

    Args:
        method: The registered explainer.
        target: The class to explain; None explains the most probable class of each image.
        against: The class to contrast it with: the map then explains the difference of the two
            logits. Where `target` is None and this is the most probable class, the map contrasts
            it with the second most probable.
        layers: The dotted names of backbone layers to use; None finds them.
    """

    method: str = "gradcam"
    target: Label | None = None
    against: Label | None = None
    layers: Sequence[str] | None = None

    def check(self, classes: Sequence[Label]) -> None:
        """Checks the settings for a model of these classes.

        Raises:
            SettingsError: If `target` or `against` is not one of `classes`, they are the same, or
                the method does not use classes or layers that are given. Names all problems.
        """
        explainer = EXPLAINERS.get(self.method)
        problems = []
        for name, label in (("target", self.target), ("against", self.against)):
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
                    f"`{name}` must be one of the model's classes "
                    f"({', '.join(map(str, classes))}), got {label!r}."
                )
        if self.target is not None and self.target == self.against and not problems:
            problems.append(
                f"`against` must be another class than `target`, got {self.against!r} for both. "
                "Name another, or leave it out."
            )
        if self.layers is not None and not explainer.uses_layers:
            able = [spec.name for spec in EXPLAINERS.added() if spec.uses_layers]
            problems.append(
                f"'{explainer.name}' uses no layers, got `layers` {self.layers!r}. Leave them out, "
                f"or use one of: {', '.join(able)}."
            )
        elif self.layers is not None and (isinstance(self.layers, str) or not self.layers):
            problems.append(
                f"`layers` must be a list with one name or more, got {self.layers!r}. Pass "
                "['layer4'], for example."
            )
        if problems:
            raise SettingsError.from_problems(problems)


def explain_catalog(
    network: PlanetNet,
    catalog: Catalog,
    settings: MapSettings,
    *,
    classes: Sequence[Label],
    device: torch.device,
    pairs: Sequence[tuple[Label | None, Label | None]] | None = None,
    checked: Collection[int] | None = (),
    tta: Tta | None = None,
    calibrator: Calibrator | None = None,
    rejection_rate: float = 0.0,
    batch_size: int = 16,
) -> Explanations:
    """Returns one explanation per image, with the answer of prediction or an error.

    The answer includes test-time augmentation; the map explains the framed image alone.

    Args:
        network: The network; explainers run on a copy in evaluation mode that shares its weights.
        catalog: The images.
        settings: The method, the classes and the layers.
        classes: The label of each logit.
        device: Where to run.
        pairs: The `target` and `against` of each image, in place of those of `settings`.
        checked: The rows whose maps are fully checked, at 32 passes and four more maps per image;
            None checks all. For the others only the share on the body is measured.
        tta: As for `predict_catalog`.
        calibrator: As for `predict_catalog`.
        rejection_rate: As for `predict_catalog`.
        batch_size: Images per pass.

    Raises:
        SettingsError: As for `MapSettings.check`.
        ExplanationError: If the method cannot explain this network or these layers.
    """
    settings.check(classes)
    explainer = EXPLAINERS.get(settings.method)
    threshold = calibrator.get_threshold(rejection_rate) if calibrator else math.inf
    spec = network.input_spec if tta is None else replace(network.input_spec, tta=tta)
    network.move_to(device)
    layers = settings.layers
    shared: dict[str, Any] = {"method": settings.method, "layers": ()}
    if explainer.uses_layers:
        # The network itself remembers the layers that it has found; a copy would not.
        shared["layers"] = network.feature_layers if layers is None else tuple(layers)
    shown = copy_structure(network).eval()
    if layers is not None:
        shown = look_at_layers(shown, layers)
    if pairs is None:
        pairs = [(settings.target, settings.against)] * len(catalog)
    items: list[Explanation] = []
    is_stretched = []
    for start in range(0, len(catalog), batch_size):
        rows = slice(start, start + batch_size)
        loaded = [load_views(source, spec) for source in catalog.sources[rows]]
        answers = iter(
            _explain_images(
                shown,
                [views.pixels.to(device) for views in loaded if views.pixels is not None],
                explainer,
                classes,
                pairs=[
                    pair for pair, views in zip(pairs[rows], loaded, strict=True) if not views.error
                ],
                calibrator=calibrator,
                threshold=threshold,
            )
        )
        is_stretched += [views.is_stretched for views in loaded]
        for name, views in zip(catalog.names[rows], loaded, strict=True):
            if views.pixels is None:
                items.append(Explanation.create_failed(name, views.error, **shared))
            else:
                pixels = views.pixels[0, 0].permute(1, 2, 0).contiguous().numpy()
                items.append(Explanation(path=name, image=pixels, **next(answers), **shared))
    checks = measure_items(items, shown, explainer, classes, checked=checked)
    warn_of_conversion(catalog, is_stretched, network.input_spec.stretch)
    verdict = judge_explanations(checks) if checks.deletion_curves is not None else None
    return Explanations(items=tuple(items), checks=checks, verdict=verdict)


def _explain_images(
    network: PlanetNet,
    images: Sequence[torch.Tensor],
    explainer: ExplainerSpec,
    classes: Sequence[Label],
    *,
    pairs: Sequence[tuple[Label | None, Label | None]],
    calibrator: Calibrator | None,
    threshold: float,
) -> list[dict[str, Any]]:
    """Returns the fields of `Explanation` that the network decides, for each image."""
    if not images:
        return []
    needs_levels = calibrator is not None and calibrator.needs_levels
    outputs = compute_outputs(network, images, levels=needs_levels)
    probabilities, novelty = calibrate_outputs(outputs, calibrator)
    known = novelty <= threshold
    answers = probabilities.argmax(axis=1)
    second = np.argsort(probabilities, axis=1, kind="stable")[:, -2].tolist()
    wanted = [
        answer if target is None else classes.index(target)
        for answer, (target, _) in zip(answers.tolist(), pairs, strict=True)
    ]
    rivals: list[int | None] = []
    for explained, runner_up, (_, against) in zip(wanted, second, pairs, strict=True):
        rival = None if against is None else classes.index(against)
        rivals.append(runner_up if rival is not None and rival == explained else rival)
    framed = torch.stack([views[0, 0] for views in images])
    maps = _draw_maps(network, framed, explainer, wanted, rivals).float().cpu()
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
            wanted,
            rivals,
            strict=True,
        )
    ]


def _draw_maps(
    network: PlanetNet,
    images: torch.Tensor,
    explainer: ExplainerSpec,
    targets: Sequence[int],
    rivals: Sequence[int | None],
) -> torch.Tensor:
    """Returns the map of each image, for its target alone or against its rival."""
    layers = network.feature_layers if explainer.uses_layers else None
    whole = torch.tensor(targets, device=images.device)
    if not any(rival is not None for rival in rivals):
        return explainer.build(network, images, whole).detach()
    pairs = list(zip(targets, rivals, strict=True))
    maps: dict[int, torch.Tensor] = {}
    for target, rival in dict.fromkeys(pairs):
        rows = [row for row, pair in enumerate(pairs) if pair == (target, rival)]
        if rival is None:
            found = explainer.build(network, images[rows], whole[rows]).detach()
        else:
            contrast = contrast_classes(network, target, rival, layers=layers)
            found = explainer.build(contrast, images[rows], torch.zeros_like(whole[rows])).detach()
        maps |= dict(zip(rows, found, strict=True))
    return torch.stack([maps[row] for row in range(len(images))])
