"""Slices: which images fall into one, and how many of them are right."""

from __future__ import annotations

import numpy as np
import pytest

from planetvision.data import Catalog
from planetvision.data.survey import survey_catalog
from planetvision.evaluation import wilson_interval
from planetvision.evaluation.slices import DISC_SIZE, LIT_SHARE, compute_slices, list_traits
from planetvision.render import render_body


def create_catalog(number: int, **parts: object) -> Catalog:
    images = tuple(np.zeros((4, 4, 3), np.uint8) for _ in range(number))
    return Catalog(sources=images, **parts)  # type: ignore[arg-type]


def test_slices_count_right_answers_with_wilson_intervals() -> None:
    right = np.array([True, True, False, True, False])
    frame = compute_slices(right, {"probe": ["Galileo", "Galileo", "Galileo", "Juno", "Juno"]})
    assert frame.columns.tolist() == ["by", "value", "images", "right", "accuracy", "low", "high"]
    low, high = wilson_interval(2, 3) or (0, 0)
    assert frame.iloc[0].tolist() == ["probe", "Galileo", 3, 2, 2 / 3, low, high]
    assert frame.iloc[1].tolist()[:5] == ["probe", "Juno", 2, 1, 0.5]


def test_groups_are_a_trait_only_if_one_has_several_images() -> None:
    assert list_traits(create_catalog(3, groups=("a", "b", "c"))) == {}
    groups = list_traits(create_catalog(3, groups=(7, 7, 9)))["group"]
    assert groups == ["7", "7", "alone in its group"]


def test_attribute_of_one_value_or_of_too_many_is_left_out() -> None:
    attributes = {
        "licence": ("public",) * 40,
        "note": tuple(f"frame {number}" for number in range(40)),
        "probe": ("Cassini", None) * 20,
    }
    traits = list_traits(create_catalog(40, attributes=attributes))
    assert set(traits) == {"probe"}
    assert traits["probe"][:2] == ["Cassini", "not known"]


def test_few_numbers_stay_and_many_are_cut_into_quarters() -> None:
    attributes = {
        "natural": ("1", "0") * 10,
        "phase": tuple(str(10 * number) for number in range(20)),
    }
    traits = list_traits(create_catalog(20, attributes=attributes))
    assert set(traits["natural"]) == {"0", "1"}
    frame = compute_slices(np.ones(20, bool), {"phase": traits["phase"]})
    assert frame["value"].tolist() == ["0 to 47.5", "47.5 to 95", "95 to 142.5", "142.5 to 190"]
    assert frame["images"].tolist() == [5, 5, 5, 5]


@pytest.mark.parametrize(
    ("start", "step", "first"), [(2451545, 3.3, "2451545 to 2451577"), (59000, 0.3, "59000 to")]
)
def test_quarters_of_large_numbers_are_told_apart(start: float, step: float, first: str) -> None:
    cells = tuple(start + step * number for number in range(40))
    frame = compute_slices(
        np.ones(40, bool), list_traits(create_catalog(40, attributes={"day": cells}))
    )
    assert frame["images"].tolist() == [10] * 4
    assert frame["value"][0].startswith(first)


def test_numbers_with_gaps_are_cut_and_the_gaps_are_a_slice() -> None:
    cells = (*(float(number) for number in range(12)), None, float("nan"))
    values = list_traits(create_catalog(14, attributes={"km": cells}))["km"]
    assert values[-2] == "not known"
    assert values[0] == "0 to 2.75"


@pytest.mark.parametrize(("phase", "lit"), [(20.0, "over 75 %"), (100.0, "25 to 50 %")])
def test_disc_is_sorted_by_its_size_and_by_what_is_lit(phase: float, lit: str) -> None:
    rendered = render_body("mars", image_size=128, seed=3, phase_angle_degrees=phase)
    catalog = Catalog(sources=(rendered.image, np.zeros((64, 64, 3), np.uint8)))
    traits = list_traits(catalog, survey_catalog(catalog).images)
    covered = rendered.mask.mean()
    assert 0.1 < covered < 0.3
    assert traits == {DISC_SIZE: ["10 to 30 %", "no disc found"], LIT_SHARE: [lit, "no disc found"]}


def test_slices_of_the_disc_are_in_the_order_of_size() -> None:
    values = ["over 30 %", "no disc found", "under 1 %", "10 to 30 %"]
    frame = compute_slices(np.ones(4, bool), {DISC_SIZE: values})
    assert frame["value"].tolist() == ["under 1 %", "10 to 30 %", "over 30 %", "no disc found"]
