"""Measures the maps of explanations: where the evidence lies, and the results of the checks."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import torch

from planetvision.core.settings import Label
from planetvision.explain.checks import (
    check_explanations,
    create_body_masks,
    measure_body_share,
    measure_energy,
    shuffle_network,
)
from planetvision.explain.checks.perturbation import STEPS
from planetvision.explain.registry import ExplainerSpec
from planetvision.explain.variants import contrast_classes
from planetvision.models.network import PlanetNet
from planetvision.results import Explanation, ExplanationChecks

# Images whose maps are measured together.
_PART = 64


def measure_items(
    items: Sequence[Explanation],
    network: PlanetNet,
    explainer: ExplainerSpec,
    classes: Sequence[Label],
    *,
    checked: Collection[int] | None,
) -> ExplanationChecks:
    """Returns the figures of the maps: of all where they lie, of those checked the rest too.

    Args:
        items: The explanations, those that failed too.
        network: The network that they explain, in evaluation mode.
        explainer: The method that made the maps.
        classes: The label of each logit.
        checked: The rows whose maps are checked in full; None is all.
    """
    rows = [row for row, item in enumerate(items) if not item.error]
    chosen = [row for row in rows if checked is None or row in checked]
    checks = ExplanationChecks.create_unmeasured(len(items), STEPS if chosen else 0)
    masks: dict[int, torch.Tensor] = {}
    for start in range(0, len(rows), _PART):
        part = rows[start : start + _PART]
        found = create_body_masks(_stack_images(items, part))
        checks.energy_on_body[part] = measure_energy(_stack_maps(items, part), found)
        checks.body_share[part] = measure_body_share(found)
        masks |= {
            row: found[at] for at, row in enumerate(part) if checked is None or row in checked
        }
    if not chosen:
        return checks
    shuffled = shuffle_network(network, _stack_images(items, chosen[:_PART]))
    looked_at = network.feature_layers if explainer.uses_layers else None
    for pair, alike in _group_by_pair(items, chosen).items():
        asked = [network, *shuffled]
        targets = [classes.index(_get_explained(items[row])) for row in alike]
        if pair is not None:
            first, second = map(classes.index, pair)
            asked = [contrast_classes(one, first, second, layers=looked_at) for one in asked]
            targets = [0] * len(alike)
        for start in range(0, len(alike), _PART):
            part = alike[start : start + _PART]
            measured = check_explanations(
                asked[0],
                explainer.build,
                _stack_images(items, part),
                torch.tensor(targets[start : start + _PART]),
                _stack_maps(items, part),
                torch.stack([masks[row] for row in part]),
                shuffled=asked[1:],
            )
            checks.put(part, measured)
    return checks


def _group_by_pair(
    items: Sequence[Explanation], rows: Sequence[int]
) -> dict[tuple[Label, Label] | None, list[int]]:
    """The rows that set the same class against the same other; None for those of one class."""
    pairs: dict[tuple[Label, Label] | None, list[int]] = {}
    for row in rows:
        item, pair = items[row], None
        if item.against is not None and item.target is not None:
            pair = (item.target, item.against)
        pairs.setdefault(pair, []).append(row)
    return pairs


def _get_explained(item: Explanation) -> Label:
    """The class that a map is checked by: its own, or the answer where it is of no class."""
    explained = item.target if item.target is not None else item.top_label
    assert explained is not None
    return explained


def _stack_images(items: Sequence[Explanation], rows: Sequence[int]) -> torch.Tensor:
    return torch.stack([torch.from_numpy(items[row].image).permute(2, 0, 1) for row in rows])


def _stack_maps(items: Sequence[Explanation], rows: Sequence[int]) -> torch.Tensor:
    return torch.stack([torch.from_numpy(items[row].heatmap) for row in rows])
