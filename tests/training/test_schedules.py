"""Schedules: values worked by hand, the range of every registered one, PyTorch's as reference."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.optim.lr_scheduler import OneCycleLR

from planetvision.core.errors import DuplicateNameError, UnknownNameError
from planetvision.training.schedules import (
    SCHEDULES,
    SchedulerSpec,
    list_schedulers,
    register_scheduler,
)

NAMES = list_schedulers()


@pytest.fixture
def scheduler_name() -> Iterator[str]:
    yield "scheduler_of_a_test"
    if "scheduler_of_a_test" in SCHEDULES:
        SCHEDULES.remove("scheduler_of_a_test")


def get_rates(name: str, total_steps: int, warmup_steps: int) -> list[float]:
    schedule = SCHEDULES.get(name).build
    return [schedule(step, total_steps, warmup_steps) for step in range(total_steps)]


@pytest.mark.parametrize("name", NAMES)
@given(st.integers(1, 2000), st.data())
def test_schedule_stays_between_0_and_1_at_every_step(
    name: str, total_steps: int, data: st.DataObject
) -> None:
    warmup_steps = data.draw(st.integers(0, total_steps))
    rates = get_rates(name, total_steps, warmup_steps)
    assert all(0 <= rate <= 1 for rate in rates)
    assert max(rates) > 0


@pytest.mark.parametrize("name", ["cosine", "linear", "step", "constant"])
@given(st.integers(2, 500), st.data())
def test_schedule_rises_in_the_warm_up_to_1_and_never_after(
    name: str, total_steps: int, data: st.DataObject
) -> None:
    warmup_steps = data.draw(st.integers(0, total_steps - 1))
    rates = get_rates(name, total_steps, warmup_steps)
    assert rates[warmup_steps] == 1.0
    rise, fall = rates[: warmup_steps + 1], rates[warmup_steps:]
    assert all(left < right for left, right in pairwise(rise))
    assert all(left >= right for left, right in pairwise(fall))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        # Eleven steps: a warm-up of three (1/4, 2/4, 3/4), then eight.
        ("cosine", [1, 0.96194, 0.85355, 0.69134, 0.5, 0.30866, 0.14645, 0.03806]),
        ("linear", [1, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125]),
        ("step", [1, 1, 1, 0.1, 0.1, 0.1, 0.01, 0.01]),
        ("constant", [1, 1, 1, 1, 1, 1, 1, 1]),
    ],
)
def test_schedule_has_the_values_worked_by_hand(name: str, expected: list[float]) -> None:
    rates = get_rates(name, total_steps=11, warmup_steps=3)
    assert rates == pytest.approx([0.25, 0.5, 0.75, *expected], abs=1e-5)


def test_step_falls_at_exact_thirds() -> None:
    assert get_rates("step", 9, 0) == pytest.approx([1] * 3 + [0.1] * 3 + [0.01] * 3)
    assert get_rates("step", 300, 0) == pytest.approx([1] * 100 + [0.1] * 100 + [0.01] * 100)


def test_schedule_that_is_all_warm_up_never_reaches_the_peak() -> None:
    assert get_rates("cosine", 3, 3) == [0.25, 0.5, 0.75]


def test_schedule_past_its_end_stays_at_the_end() -> None:
    ends = {"cosine": 0.0, "linear": 0.0, "step": 0.01, "constant": 1.0, "one_cycle": 4e-6}
    for name, end in ends.items():
        for step in (10, 11, 1000):
            assert SCHEDULES.get(name).build(step, 10, 0) == pytest.approx(end), name


def test_one_cycle_has_the_values_worked_by_hand() -> None:
    rates = get_rates("one_cycle", 10, 0)
    # Up to the third step by half a cosine from 1/25; down to a 250,000th at the last.
    assert rates[0] == pytest.approx(0.04)
    assert rates[1] == pytest.approx(0.04 + 0.96 * 0.5)
    assert rates[2] == 1.0
    assert rates[9] == pytest.approx(4e-6)
    assert get_rates("one_cycle", 10, 5) == rates, "it has its own warm-up"


def test_one_cycle_follows_that_of_pytorch() -> None:
    total_steps = 1000
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0, momentum=0.9)
    reference = OneCycleLR(optimizer, max_lr=1.0, total_steps=total_steps)
    expected = []
    for _ in range(total_steps):
        expected.append(reference.get_last_lr()[0])
        optimizer.step()
        if len(expected) < total_steps:
            reference.step()
    ours = get_rates("one_cycle", total_steps, 0)
    assert ours == pytest.approx(expected, abs=1e-9)


def test_registered_schedule_is_used_as_given(scheduler_name: str) -> None:
    @register_scheduler(scheduler_name)
    def halves(step: int, total_steps: int, warmup_steps: int) -> float:
        """The full rate, then half of it."""
        return 1.0 if step < total_steps / 2 else 0.5

    spec = SCHEDULES.get(scheduler_name)
    assert isinstance(spec, SchedulerSpec)
    assert spec.build is halves
    assert spec.summary == "The full rate, then half of it."
    assert get_rates(scheduler_name, 4, 0) == [1.0, 1.0, 0.5, 0.5]


def test_built_in_schedules_are_listed_with_a_summary() -> None:
    assert {"cosine", "one_cycle", "linear", "step", "constant"} <= set(list_schedulers())
    assert all(SCHEDULES.get(name).summary for name in NAMES)


def test_taken_name_is_refused_and_unknown_name_is_answered() -> None:
    with pytest.raises(DuplicateNameError, match="The scheduler 'cosine' exists already"):
        register_scheduler("cosine")(lambda step, total_steps, warmup_steps: 1.0)
    with pytest.raises(UnknownNameError, match=r"Unknown scheduler 'cosin'\. Did you mean"):
        SCHEDULES.get("cosin")
