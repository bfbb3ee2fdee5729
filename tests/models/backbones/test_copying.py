"""Copies of a network's modules on the same weights."""

from __future__ import annotations

import functools
import threading
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from planetvision.models.backbones.copying import copy_structure

IMAGES = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))


class Backbone(nn.Module):
    """Returns what a hook of its own keeps, and refers to its modules in many ways."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 3)])
        self.order: dict[str, list[Any]] = {
            "all": [("first", self.blocks[0]), ("others", [*self.blocks[1:]])]
        }
        self.run = self.run_blocks
        self.lock = threading.Lock()  # cannot be copied or pickled
        self.own: list[Any] = []
        self.own.append(self.own)
        self.blocks[-1].register_forward_hook(self.create_hook(how))

    def create_hook(self, how: str) -> Callable[..., None]:
        def of_closure(_module: nn.Module, _inputs: object, output: torch.Tensor) -> None:
            self.kept = output

        def of_default(
            _module: nn.Module, _inputs: object, output: torch.Tensor, owner: Backbone = self
        ) -> None:
            owner.kept = output

        hooks: dict[str, Callable[..., None]] = {
            "closure": of_closure,
            "default": of_default,
            "method": self.keep,
            "partial": functools.partial(Backbone.keep, self),
        }
        return hooks[how]

    def keep(self, _module: nn.Module, _inputs: object, output: torch.Tensor) -> None:
        self.kept = output

    def run_blocks(self, images: torch.Tensor) -> None:
        (_, first), (_, others) = self.order["all"]
        images = first(images)
        for block in others:
            images = block(images)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        with self.lock:
            self.run(images)
        return self.kept


@pytest.mark.parametrize("how", ["closure", "default", "method", "partial"])
def test_copy_runs_its_own_modules_on_the_same_weights(how: str) -> None:
    backbone = Backbone(how).eval()
    copied = copy_structure(backbone)
    assert not set(map(id, copied.modules())) & set(map(id, backbone.modules()))
    assert list(map(id, copied.parameters())) == list(map(id, backbone.parameters()))
    assert list(map(id, copied.buffers())) == list(map(id, backbone.buffers()))
    seen: list[nn.Module] = []
    for part in copied.blocks:
        part.register_forward_hook(lambda module, *_: seen.append(module))
    found = copied(IMAGES)
    assert seen == list(copied.blocks)
    assert not hasattr(backbone, "kept")
    assert torch.equal(found, backbone(IMAGES))
    assert len(seen) == 3
    assert copied.lock is backbone.lock


def test_modes_and_hooks_of_the_copy_are_its_own() -> None:
    backbone = Backbone("method").train()
    copied = copy_structure(backbone).eval()
    assert all(part.training for part in backbone.modules())
    assert not any(part.training for part in copied.modules())
    with torch.no_grad():
        backbone.get_parameter("blocks.0.weight").mul_(2)
    assert torch.equal(copied(IMAGES), backbone.eval()(IMAGES))


def test_torchscript_is_shared_and_a_graph_module_is_copied() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # later versions advise torch.export
        script = torch.jit.script(nn.Conv2d(3, 4, 3))
    traced = torch.fx.symbolic_trace(nn.Sequential(nn.Conv2d(4, 4, 3), nn.ReLU()))
    backbone = nn.Sequential(script, traced)
    copied = copy_structure(backbone)
    assert copied[0] is script
    seen: list[object] = []
    copied[1].get_submodule("0").register_forward_hook(lambda *given: seen.append(given))
    assert torch.equal(copied(IMAGES), backbone(IMAGES))
    assert len(seen) == 1


def test_hooks_see_the_modules_of_a_compiled_one() -> None:
    compiled: Any = torch.compile(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()), backend="eager")
    backbone = nn.Sequential(compiled)
    copied = copy_structure(backbone)
    seen: list[object] = []
    copied.get_submodule("0._orig_mod.0").register_forward_hook(lambda *given: seen.append(given))
    assert torch.equal(copied(IMAGES), backbone(IMAGES))
    assert len(seen) == 1
