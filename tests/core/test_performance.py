"""Performance options."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import joblib
import pytest
import torch

from planetvision.core import performance as performance
from planetvision.core.errors import SettingsError
from planetvision.core.performance import (
    PERFORMANCE_OPTIONS,
    apply_performance,
    get_num_workers,
    resolve_performance,
)
from planetvision.models.network import create_network


@pytest.fixture(autouse=True)
def without_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PLANETVISION_PERFORMANCE", raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)


@pytest.fixture
def started_threads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers of threads that PyTorch, which has eight, is told to use."""
    told: list[int] = []
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    monkeypatch.setattr(torch, "set_num_threads", told.append)
    return told


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("auto", set(PERFORMANCE_OPTIONS)),
        ("all", set(PERFORMANCE_OPTIONS)),
        ("none", set()),
        ("threads", {"threads"}),
        ("allocator+channels_last", {"allocator", "channels_last"}),
    ],
)
def test_resolve_tuning_names_the_levers(given: str, expected: set[str]) -> None:
    assert resolve_performance(given) == expected


def test_auto_is_what_the_variable_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLANETVISION_PERFORMANCE", "threads")
    assert resolve_performance("auto") == {"threads"}
    assert resolve_performance("all") == set(PERFORMANCE_OPTIONS)
    monkeypatch.setenv("PLANETVISION_PERFORMANCE", "turbo")
    with pytest.raises(SettingsError, match=r"`PLANETVISION_PERFORMANCE` must be .*got 'turbo'"):
        resolve_performance("auto")


@pytest.mark.parametrize("wrong", ["", "turbo", "allocator,threads", True, None])
def test_unknown_lever_is_told_with_those_that_there_are(wrong: str) -> None:
    with pytest.raises(
        SettingsError, match=r"`performance` must .*Known: allocator, threads, chann"
    ):
        resolve_performance(wrong)


def test_tune_machine_pulls_no_lever_that_is_off(
    monkeypatch: pytest.MonkeyPatch, started_threads: list[int]
) -> None:
    pulled: list[str] = []
    keep = lambda: pulled.append("allocator") or True  # type: ignore[func-returns-value] # noqa: E731
    monkeypatch.setattr(performance, "_keep_freed_memory", keep)
    monkeypatch.setattr(joblib, "cpu_count", lambda: 2)
    assert apply_performance("none") == frozenset()
    assert (pulled, started_threads) == ([], [])
    assert apply_performance("all") == {"allocator", "threads"}
    assert (pulled, started_threads) == (["allocator"], [2])


@pytest.mark.parametrize(("cores", "expected"), [(2, [2]), (8, []), (64, [])])
def test_threads_are_lowered_to_the_cores_and_never_raised(
    monkeypatch: pytest.MonkeyPatch, started_threads: list[int], cores: int, expected: list[int]
) -> None:
    monkeypatch.setattr(joblib, "cpu_count", lambda: cores)
    apply_performance("threads")
    assert started_threads == expected


def test_threads_that_the_user_chose_stay(
    monkeypatch: pytest.MonkeyPatch, started_threads: list[int]
) -> None:
    monkeypatch.setattr(joblib, "cpu_count", lambda: 2)
    monkeypatch.setenv("OMP_NUM_THREADS", "8")
    assert "threads" not in apply_performance("threads")
    assert started_threads == []


def test_channels_last_is_a_matter_of_memory_and_not_of_results() -> None:
    images = torch.randint(256, (2, 3, 64, 64), dtype=torch.uint8)
    formats, logits = {}, {}
    for options in ("all", "none"):
        network = create_network(
            "efficientnet_lite0", num_classes=3, weights="none", seed=0, performance=options
        ).eval()
        convolution = next(
            weight for weight in network.backbone.parameters() if weight.shape[1:] == (3, 3, 3)
        )
        formats[options] = convolution.is_contiguous(memory_format=torch.channels_last)
        shown = network.normalize(images)
        assert shown.is_contiguous(memory_format=torch.channels_last) == formats[options]
        with torch.no_grad():
            logits[options] = network(images)
    assert formats == {"all": True, "none": False}
    torch.testing.assert_close(logits["all"], logits["none"], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    ("requested", "num_images", "cores", "expected"),
    [
        (3, 1, 2, 3),
        (0, 10_000, 64, 0),
        (None, 255, 64, 0),
        (None, 10_000, 2, 0),
        (None, 10_000, 4, 2),
        (None, 10_000, 64, 8),
    ],
)
def test_get_num_workers_follows_request_images_and_cores(
    monkeypatch: pytest.MonkeyPatch,
    requested: int | None,
    num_images: int,
    cores: int,
    expected: int,
) -> None:
    monkeypatch.setattr(joblib, "cpu_count", lambda: cores)
    assert get_num_workers(requested, num_images) == expected


def test_thread_starts_no_loader_processes_unless_asked_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joblib, "cpu_count", lambda: 8)
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(get_num_workers, None, 10_000).result() == 0
        assert pool.submit(get_num_workers, 3, 10_000).result() == 3
