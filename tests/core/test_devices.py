"""The machine: seeds, devices, precision, and Accelerate's process-wide state."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, GradientState, PartialState
from hypothesis import given
from hypothesis import strategies as st

from planetvision.core.devices import (
    create_accelerator,
    derive_seed,
    resolve_device,
    resolve_precision,
    seeded,
)
from planetvision.core.errors import SettingsError

CPU = torch.device("cpu")
CUDA = torch.device("cuda")
HOLDERS = (PartialState, AcceleratorState, GradientState)


@pytest.fixture
def fresh_accelerate(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Accelerate as a new process has it; afterwards as it was."""
    monkeypatch.delenv("ACCELERATE_MIXED_PRECISION", raising=False)
    kept = [dict(holder._shared_state) for holder in HOLDERS]
    for holder in HOLDERS:
        holder._shared_state.clear()
    yield
    for holder, state in zip(HOLDERS, kept, strict=True):
        holder._shared_state.clear()
        holder._shared_state.update(state)


def draw() -> tuple[float, float, float]:
    return random.random(), float(np.random.rand()), float(torch.rand(()))  # noqa: NPY002


def use_cuda_devices(monkeypatch: pytest.MonkeyPatch, *, count: int, current: int = 0) -> None:
    """PyTorch as on a machine with so many CUDA devices."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: current)


def test_derive_seed_keeps_the_values_of_the_first_release() -> None:
    # Worked out once; a change would give every user another split and another training.
    assert derive_seed() == 6510301506637419378
    assert derive_seed(0, "split") == 1251430729483087474
    assert derive_seed(7, "augmentation", 3, 1) == 6061864169173749096


@given(st.lists(st.integers() | st.text(), max_size=4))
def test_derive_seed_lies_in_the_range_of_a_generator_seed(parts: list[int | str]) -> None:
    assert 0 <= derive_seed(*parts) < 2**63


def test_derive_seed_depends_on_every_part_its_type_and_order() -> None:
    seeds = [derive_seed(*parts) for parts in ((1, 2), (2, 1), (1, "2"), (12,), (1,), (1, 2, 0))]
    assert len(set(seeds)) == len(seeds)


def test_derive_seed_of_numpy_values_is_that_of_plain_ones() -> None:
    assert derive_seed(np.int64(7), np.str_("split")) == derive_seed(7, "split")  # type: ignore[arg-type]


def test_derive_seed_is_the_same_in_another_process() -> None:
    code = "from planetvision.core.devices import derive_seed; print(derive_seed(3, 'venus', 'x'))"
    environment = {**os.environ, "PYTHONHASHSEED": "123"}
    answer = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert int(answer.stdout) == derive_seed(3, "venus", "x")


def test_seeded_gives_the_same_numbers_for_the_same_seed_only() -> None:
    with seeded(5):
        first = draw()
    with seeded(5):
        second = draw()
    with seeded(6):
        third = draw()
    assert first == second
    assert all(left != right for left, right in zip(first, third, strict=True))


def test_seeded_takes_the_largest_seed() -> None:
    with seeded(2**63 - 1):
        assert all(0 <= number < 1 for number in draw())


@pytest.mark.parametrize("fails", [False, True])
def test_seeded_restores_all_three_states(fails: bool) -> None:
    with seeded(1):
        undisturbed = [draw(), draw()]
    with seeded(1):
        disturbed = [draw()]
        try:
            with seeded(2):
                draw()
                if fails:
                    raise RuntimeError("inside")
        except RuntimeError:
            pass
        disturbed.append(draw())
    assert disturbed == undisturbed


def test_resolve_device_auto_takes_cuda_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert resolve_device("auto") == CPU
    use_cuda_devices(monkeypatch, count=1)
    assert resolve_device("auto") == torch.device("cuda:0")
    assert resolve_device("cpu") == CPU


@pytest.mark.parametrize("device", ["auto", "cuda"])
def test_resolve_device_without_an_index_takes_the_current_one(
    monkeypatch: pytest.MonkeyPatch, device: str
) -> None:
    use_cuda_devices(monkeypatch, count=3, current=2)
    resolved = resolve_device(device)
    assert (resolved.type, resolved.index) == ("cuda", 2)
    # The answer must not move with the current device.
    use_cuda_devices(monkeypatch, count=3, current=1)
    assert resolved != resolve_device(device)
    assert resolve_device("cuda:0") == torch.device("cuda:0")


@pytest.mark.parametrize("device", ["gpu", "", "cuda:", "cuda:x"])
def test_resolve_device_with_an_unknown_name_names_the_known(device: str) -> None:
    with pytest.raises(
        SettingsError, match=rf"must be 'auto', 'cpu', 'cuda' or 'cuda:N', got '{device}'"
    ):
        resolve_device(device)


@pytest.mark.parametrize("device", ["cuda", "cuda:0"])
def test_resolve_device_without_cuda_says_so(monkeypatch: pytest.MonkeyPatch, device: str) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(
        SettingsError, match=rf"`device` is '{device}', but PyTorch sees no CUDA device"
    ):
        resolve_device(device)


def test_resolve_device_beyond_the_last_gives_their_number(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    use_cuda_devices(monkeypatch, count=2)
    assert resolve_device("cuda:1") == torch.device("cuda:1")
    with pytest.raises(SettingsError, match=r"'cuda:2', but there are only 2 CUDA devices"):
        resolve_device("cuda:2")


def test_resolve_device_of_another_kind_raises() -> None:
    with pytest.raises(SettingsError, match="must be a CPU or CUDA device, got 'meta'"):
        resolve_device("meta")


def test_resolve_precision_on_the_cpu() -> None:
    assert resolve_precision("auto", CPU) == "no"
    assert resolve_precision("fp32", CPU) == "no"
    assert resolve_precision("bf16", CPU) == "bf16"
    with pytest.raises(SettingsError, match="'fp16' needs a CUDA device, and the device is the CP"):
        resolve_precision("fp16", CPU)


@pytest.mark.parametrize(("supported", "expected"), [(True, "bf16"), (False, "fp16")])
def test_resolve_precision_auto_on_cuda_follows_the_hardware(
    monkeypatch: pytest.MonkeyPatch, supported: bool, expected: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: supported)
    assert resolve_precision("auto", CUDA) == expected
    assert resolve_precision("fp32", CUDA) == "no"
    assert resolve_precision("fp16", CUDA) == "fp16"


def test_resolve_precision_with_an_unknown_name_names_the_known() -> None:
    with pytest.raises(
        SettingsError, match=r"one of 'auto', 'fp32', 'fp16', 'bf16', got 'float16'"
    ):
        resolve_precision("float16", CPU)  # type: ignore[arg-type]


@pytest.mark.usefixtures("fresh_accelerate")
def test_two_accelerators_one_after_the_other_have_their_own_precision() -> None:
    for precision in ("no", "bf16", "no"):
        with create_accelerator(precision, CPU) as accelerator:
            assert accelerator.mixed_precision == precision
            assert accelerator.device == CPU
            with accelerator.autocast():
                product = torch.ones(2, 2) @ torch.ones(2, 2)
            assert product.dtype == (torch.bfloat16 if precision == "bf16" else torch.float32)
    assert all(not holder._shared_state for holder in HOLDERS)
    assert "ACCELERATE_MIXED_PRECISION" not in os.environ


@pytest.mark.usefixtures("fresh_accelerate")
def test_accelerator_inside_a_callers_leaves_the_callers_as_it_was() -> None:
    theirs = Accelerator(cpu=True, mixed_precision="bf16", gradient_accumulation_steps=3)
    before = [dict(holder._shared_state) for holder in HOLDERS]
    variable = os.environ.get("ACCELERATE_MIXED_PRECISION")
    with create_accelerator("no", CPU) as ours:
        assert ours.mixed_precision == "no"
        assert ours.gradient_accumulation_steps == 1
    assert theirs.mixed_precision == "bf16"
    assert theirs.gradient_accumulation_steps == 3
    assert [dict(holder._shared_state) for holder in HOLDERS] == before
    assert os.environ.get("ACCELERATE_MIXED_PRECISION") == variable
    assert Accelerator().mixed_precision == "bf16"


@pytest.mark.usefixtures("fresh_accelerate")
def test_accelerator_that_fails_inside_leaves_no_state() -> None:
    with pytest.raises(RuntimeError, match="inside"), create_accelerator("bf16", CPU):
        raise RuntimeError("inside")
    assert all(not holder._shared_state for holder in HOLDERS)
    with create_accelerator("no", CPU) as accelerator:
        assert accelerator.mixed_precision == "no"
