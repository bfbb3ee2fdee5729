"""Slices: the accuracy on groups of images that share a property."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from planetvision.data.catalog import Catalog
from planetvision.data.survey import SurveyedImage
from planetvision.evaluation.metrics import wilson_interval

if TYPE_CHECKING:
    import pandas as pd


DISC_SIZE = "size of the disc"
LIT_SHARE = "lit share of the disc"
_NO_BODY = "no disc found"
_ALONE = "alone in its group"

# The share of the frame that the body covers, and the share of the body that is lit.
_SIZES = ((0.01, "under 1 %"), (0.1, "1 to 10 %"), (0.3, "10 to 30 %"), (1.0, "over 30 %"))
_LIT = ((0.25, "under 25 %"), (0.5, "25 to 50 %"), (0.75, "50 to 75 %"), (1.0, "over 75 %"))
# A column with more values than this is binned if it is of numbers, and else tells images apart.
_MAX_VALUES = 30
_MAX_NUMBERS = 8
_NUM_BINS = 4


def list_traits(
    catalog: Catalog, bodies: Sequence[SurveyedImage] | None = None
) -> dict[str, list[str]]:
    """Returns the value of each image for whatever images can be grouped by.

    These are the group, where groups have several images, and those of one image together; each
    attribute of the catalog that has
    from 2 to 30 values, and numbers in quarters where they have more than 8; and the size of the
    disc and its lit share as the disc finder sees them.

    Args:
        catalog: The images.
        bodies: What the survey noted of each; None leaves size and lit share out.
    """
    traits: dict[str, list[str]] = {}
    sizes = Counter(catalog.groups or ())
    if len(sizes) < len(catalog.groups or ()):
        traits["group"] = [
            str(group) if sizes[group] > 1 else _ALONE for group in catalog.groups or ()
        ]
    for name, cells in catalog.attributes.items():
        values = _name_values(cells)
        if 1 < len(set(values)) <= _MAX_VALUES:
            traits[name] = values
    if bodies is not None:
        found = [image.body if image.has_body else None for image in bodies]
        traits[DISC_SIZE] = [
            _NO_BODY if body is None else _find_bin(body.area_fraction, _SIZES) for body in found
        ]
        traits[LIT_SHARE] = [
            _NO_BODY if body is None else _find_bin(body.lit_fraction, _LIT) for body in found
        ]
    return traits


def compute_slices(
    right: npt.NDArray[np.bool_], traits: Mapping[str, Sequence[str]]
) -> pd.DataFrame:
    """Returns one row per slice: `by`, `value`, `images`, `right`, `accuracy`, `low` and `high`.

    `low` and `high` are the ends of Wilson's 95 % interval.

    Args:
        right: Whether the answer is right, of each image.
        traits: What the images are grouped by, as `list_traits` gives it.
    """
    import pandas as pd

    rows = []
    for by, values in traits.items():
        column = np.array(values, dtype=object)
        for value in _sort_values(by, values):
            inside = column == value
            hits, total = int(right[inside].sum()), int(inside.sum())
            low, high = wilson_interval(hits, total) or (math.nan, math.nan)
            rows.append((by, value, total, hits, hits / total, low, high))
    columns = ["by", "value", "images", "right", "accuracy", "low", "high"]
    return pd.DataFrame(rows, columns=columns)


def _sort_values(by: str, values: Sequence[str]) -> list[str]:
    ranks = {DISC_SIZE: _SIZES, LIT_SHARE: _LIT}.get(by)
    present = dict.fromkeys(values)
    if ranks is None:
        return sorted(present, key=_rank_value)
    order = [name for _, name in ranks] + [_NO_BODY]
    return [name for name in order if name in present]


def _rank_value(value: str) -> tuple[bool, float, str]:
    """Numbers and ranges of numbers by their first, and before names."""
    try:
        return False, float(value.split(" to ")[0]), value
    except ValueError:
        return True, 0.0, value


def _find_bin(share: float, bins: Sequence[tuple[float, str]]) -> str:
    return next((name for edge, name in bins if share <= edge), bins[-1][1])


def _name_values(cells: Sequence[Any]) -> list[str]:
    """The values as text; many different numbers as the quarter that each lies in."""
    import pandas as pd

    numbers = pd.to_numeric(pd.Series(cells, dtype=object), errors="coerce").to_numpy(float)
    empty = [cell is None or cell == "" or cell != cell for cell in cells]
    is_number = np.isfinite(numbers)
    names = ["not known" if gone else str(cell) for cell, gone in zip(cells, empty, strict=True)]
    if not (is_number | np.array(empty)).all() or len(set(numbers[is_number])) <= _MAX_NUMBERS:
        return names
    edges = np.unique(np.quantile(numbers[is_number], np.linspace(0, 1, _NUM_BINS + 1)))
    bins = np.searchsorted(edges[1:-1], numbers, side="left")
    texts = _write_edges(edges)
    ranges = [f"{low} to {high}" for low, high in itertools.pairwise(texts)]
    return [
        ranges[place] if known else name
        for place, known, name in zip(bins.tolist(), is_number, names, strict=True)
    ]


def _write_edges(edges: npt.NDArray[np.float64]) -> list[str]:
    """The edges with as few digits as tell them apart, from 4."""
    for digits in range(4, 17):
        texts = [f"{edge:.{digits}g}" for edge in edges]
        if len(set(texts)) == len(texts) and not any("e" in text for text in texts):
            return texts
    return [repr(edge) for edge in edges.tolist()]
