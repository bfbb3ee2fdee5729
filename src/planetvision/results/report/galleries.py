"""The pictures of a report: mistakes, and maps of the evidence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from planetvision.core.errors import ImageError, count
from planetvision.core.text import format_share
from planetvision.data.images import read_image
from planetvision.results.evaluation_data import EvaluationData
from planetvision.results.explanations import Explanation, Explanations
from planetvision.results.html.blocks import Block, Gallery, Link
from planetvision.results.html.page import pair_images
from planetvision.results.plots.gallery import Tile
from planetvision.results.predictions import Prediction
from planetvision.results.sampling import take_in_turn

_MAX_MISTAKES = 24
_MAX_EXPLAINED = 14
_MAX_COLD = 12
_READ_SIZE = 448


def list_mistakes(evaluation: EvaluationData) -> Iterator[Block]:
    """Returns the wrong answers, each beside its map, the most confident first."""
    wrong = evaluation.misclassified
    if not wrong:
        yield "No image is most like another class than the true one."
        return
    yield (
        f"{count(len(wrong), 'image')} most like another class than the true one, the surest "
        "first, each beside where the network found the evidence for its answer."
    )
    maps = {item.path: item for item in evaluation.explanations or () if not item.error}
    sources = dict(zip(evaluation.predictions.paths, evaluation.predictions.sources, strict=True))
    tiles = [
        _create_mistake(answer, label, sources, maps) for answer, label in wrong[:_MAX_MISTAKES]
    ]
    yield Gallery(tuple(tile for tile in tiles if tile is not None), wide=True)
    if len(wrong) > _MAX_MISTAKES:
        yield Link(f"all {len(wrong)} in mistakes.csv", "mistakes.csv")


def _create_mistake(
    answer: Prediction, label: Any, sources: Mapping[str, Any], maps: Mapping[str, Explanation]
) -> Tile | None:
    item = maps.get(answer.path)
    if item is not None:
        picture = pair_images(item.image, item.overlay)
    else:
        try:
            image = read_image(sources[answer.path], stretch="linear", min_size=_READ_SIZE)
        except ImageError:  # it was there when it was predicted, and is gone now
            return None
        picture = pair_images(image, image)
    lines = (
        f"true: {label}, given {format_share(answer.probabilities[label])}",
        *(() if answer.known else ("called unknown",)),
        answer.path,
    )
    return Tile(picture, f"{answer.top_label}  {format_share(answer.confidence)}", lines, "bad")


def list_explanations(evaluation: EvaluationData) -> Iterator[Block]:
    """Returns maps of each class, and those with the evidence beside the disc."""
    explanations = evaluation.explanations
    assert explanations is not None
    if explanations.verdict is not None:
        yield str(explanations.verdict)
    rows = [row for row, item in enumerate(explanations) if not item.error]
    turns = take_in_turn([str(explanations[row].label) for row in rows], _MAX_EXPLAINED)
    yield Gallery(tuple(_create_map(explanations, rows[turn]) for turn in turns), wide=True)
    cold = explanations.list_background()
    if cold:
        assert explanations.checks is not None
        measured = int(np.isfinite(explanations.checks.energy_on_body).sum())
        yield (
            f"Of {count(measured, 'image')} with a disc and a map, {len(cold)} have more evidence "
            "beside the disc than on it, for their size. The first of them:"
        )
        tiles = tuple(_create_map(explanations, row) for row in cold[:_MAX_COLD])
        yield Gallery(tiles, wide=True)
        if len(cold) > _MAX_COLD:
            yield Link(f"all {len(cold)} in explanations.csv", "explanations.csv")


def _create_map(explanations: Explanations, row: int) -> Tile:
    item = explanations[row]
    lines = [f"evidence for {item.subject}, {item.method}", Path(item.path).name]
    if explanations.checks is not None and np.isfinite(explanations.checks.energy_on_body[row]):
        energy, share = explanations.checks.energy_on_body[row], explanations.checks.body_share[row]
        lines.append(f"{format_share(energy)} on the body, {format_share(share)} by chance")
    return Tile(pair_images(item.image, item.overlay), item.answer, tuple(lines))
