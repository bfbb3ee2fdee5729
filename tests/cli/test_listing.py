"""The commands `list` and `doctor`."""

from __future__ import annotations

from tests.calling import TrainedRun, call


def test_list_names_every_family_and_one(run: TrainedRun) -> None:
    everything = call("list")
    assert everything.code == 0
    for line in (
        "backbones:",
        "heads:",
        "augmentations:",
        "schedulers:",
        "recipes:",
        "explainers:",
    ):
        assert line in everything.out.splitlines()
    assert "  timm:NAME" in everything.out
    heads = call("list", "heads")
    assert [line.split()[0] for line in heads.out.splitlines()][:3] == ["heads:", "linear", "mlp"]
    assert "backbones:" not in heads.out
    some = call("list", "backbones", "*net50")
    assert [line.split()[0] for line in some.out.splitlines()] == ["backbones:", "resnet50"]
    unknown = call("list", "backbone")
    assert unknown.code == 2
    assert "Did you mean 'backbones'?" in unknown.err


def test_doctor_shows_the_facts() -> None:
    result = call("doctor")
    assert result.code == 0
    assert [line for line in result.out.splitlines() if not line.startswith(" ")] == [
        "versions:",
        "machine:",
        "performance:",
        "weights:",
        "released model:",
        "extras:",
    ]
