"""Registry: names, duplicates, suggestions, prefixes, plugins."""

from __future__ import annotations

import importlib
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import FrozenInstanceError, dataclass
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from planetvision.core.errors import (
    DuplicateNameError,
    PluginError,
    PluginWarning,
    SettingsError,
    UnknownNameError,
)
from planetvision.core.registry import Entry, Registry, summarize
from planetvision.models.heads import HEADS

Gadgets: TypeAlias = Registry[Entry, Callable[..., Any]]
GADGET = """
from planetvision.core.registry import Entry
GADGET = Entry(name="{name}", build=dict, summary="a gadget from outside")
"""


def create_entry(name: str, summary: str = "a summary") -> Entry:
    return Entry(name=name, build=dict, summary=summary)


@pytest.fixture
def gadgets() -> Gadgets:
    registry: Gadgets = Registry("gadgets", Entry)
    registry.add(create_entry("linear"))
    registry.add(create_entry("mlp"))
    return registry


Install = Callable[..., str]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Puts a package with an entry point on the path, and returns its module's name."""
    modules: list[str] = []

    def install_package(
        distribution: str, code: str, *, points: str, family: str = "gadgets"
    ) -> str:
        module = f"{distribution.replace('-', '_')}_module"
        site = tmp_path / distribution
        info = site / f"{distribution.replace('-', '_')}-1.0.dist-info"
        info.mkdir(parents=True)
        (site / f"{module}.py").write_text(code)
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n"
        )
        lines = points.format(module=module)
        (info / "entry_points.txt").write_text(f"[planetvision.{family}]\n{lines}\n")
        monkeypatch.syspath_prepend(site)
        modules.append(module)
        return module

    yield install_package
    for module in modules:
        sys.modules.pop(module, None)


def test_get_gives_the_entry_that_was_added(gadgets: Gadgets) -> None:
    entry = create_entry("new_2", summary="a new one")
    assert gadgets.add(entry) is entry
    assert gadgets.get("new_2") is entry
    assert gadgets.names() == ["linear", "mlp", "new_2"]
    assert [spec.name for spec in gadgets] == ["linear", "mlp", "new_2"]
    assert len(gadgets) == 3
    assert "new_2" in gadgets
    assert "newer" not in gadgets
    assert repr(gadgets) == "Registry('gadgets': linear, mlp, new_2)"


def test_register_decorates_a_function_whose_docstring_is_the_summary(gadgets: Gadgets) -> None:
    @gadgets.register("gizmo", source="a test")
    def build() -> None:
        """Does nothing."""

    entry = gadgets.get("gizmo")
    assert (entry.build, entry.summary, entry.source) == (build, "Does nothing.", "a test")
    gadgets.register("gizmo", summary="mine", replace=True)(build)
    assert gadgets.get("gizmo").summary == "mine"
    with pytest.raises(DuplicateNameError, match="'gizmo'"):
        gadgets.register("gizmo")(build)


def test_register_with_a_misspelt_field_suggests_the_nearest(gadgets: Gadgets) -> None:
    with pytest.raises(UnknownNameError, match=r"no field 'extras'\. Did you mean 'extra'\?"):
        gadgets.register("gizmo", extras="fits")


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [("l*", ["linear"]), ("*l*", ["linear", "mlp"]), ("mlp", ["mlp"]), ("MLP", []), ("x*", [])],
)
def test_names_and_specs_are_those_that_match_the_pattern(
    gadgets: Gadgets, pattern: str, expected: list[str]
) -> None:
    assert gadgets.names(pattern) == expected
    assert [spec.name for spec in gadgets.specs(pattern)] == expected


def test_entry_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        create_entry("linear").name = "other"  # type: ignore[misc]


@pytest.mark.parametrize("name", ["Linear", "two words", "kebab-case", "", "2d", "timm:resnet"])
def test_add_with_a_name_not_in_snake_case_raises(gadgets: Gadgets, name: str) -> None:
    with pytest.raises(SettingsError, match=r"A gadget name must be lower-case letters.*got "):
        gadgets.add(create_entry(name))
    assert gadgets.names() == ["linear", "mlp"]


def test_add_of_a_taken_name_raises_and_keeps_the_old(gadgets: Gadgets) -> None:
    old = gadgets.get("mlp")
    with pytest.raises(
        DuplicateNameError, match=r"The gadget 'mlp' exists already \(a summary\)\. .*replace=True"
    ) as caught:
        gadgets.add(create_entry("mlp", summary="mine"))
    assert (caught.value.family, caught.value.name) == ("gadgets", "mlp")
    assert gadgets.get("mlp") is old


def test_add_with_replace_puts_the_new_in_its_place(gadgets: Gadgets) -> None:
    gadgets.add(create_entry("mlp", summary="mine"), replace=True)
    assert gadgets.get("mlp").summary == "mine"
    assert gadgets.names() == ["linear", "mlp"]


def test_get_with_misspelt_name_suggests_nearest(gadgets: Gadgets) -> None:
    with pytest.raises(UnknownNameError) as caught:
        gadgets.get("Liner")
    assert str(caught.value) == (
        "Unknown gadget 'Liner'. Did you mean 'linear'? Known: linear, mlp."
    )
    assert caught.value.suggestions == ("linear",)
    assert (caught.value.family, caught.value.name) == ("gadgets", "Liner")


def test_get_with_a_name_like_no_other_suggests_nothing(gadgets: Gadgets) -> None:
    with pytest.raises(UnknownNameError) as caught:
        gadgets.get("zzz")
    assert str(caught.value) == "Unknown gadget 'zzz'. Known: linear, mlp."


def test_get_with_something_else_than_a_string_says_what_it_got(gadgets: Gadgets) -> None:
    with pytest.raises(SettingsError, match=r"by its name, a string; got 3 of type int"):
        gadgets.get(3)  # type: ignore[arg-type]


def test_remove_takes_the_entry_out_and_unknown_names_raise(gadgets: Gadgets) -> None:
    gadgets.remove("mlp")
    assert gadgets.names() == ["linear"]
    with pytest.raises(UnknownNameError, match="Unknown gadget 'mlp'"):
        gadgets.remove("mlp")


def test_prefix_makes_entries_on_the_spot_and_is_not_listed(gadgets: Gadgets) -> None:
    gadgets.add_prefix("timm", lambda rest: create_entry("made", summary=f"made from {rest}"))
    assert gadgets.get("timm:resnet:18").summary == "made from resnet:18"
    assert gadgets.prefixes() == ["timm"]
    assert gadgets.names() == ["linear", "mlp"]
    with pytest.raises(UnknownNameError, match=r"Unknown gadget 'tim:x'\..* mlp, timm:NAME\."):
        gadgets.get("tim:x")


def test_plugin_is_listed_without_being_imported(gadgets: Gadgets, install: Install) -> None:
    module = install("good-plugin", GADGET.format(name="gizmo"), points="gizmo = {module}:GADGET")
    assert gadgets.names() == ["gizmo", "linear", "mlp"]
    assert "gizmo" in gadgets
    assert module not in sys.modules
    assert gadgets.get("gizmo").summary == "a gadget from outside"
    assert module in sys.modules


def test_plugin_of_another_family_is_not_listed(gadgets: Gadgets, install: Install) -> None:
    install("other-plugin", "", points="gizmo = {module}:GADGET", family="heads")
    assert gadgets.names() == ["linear", "mlp"]


def test_plugin_function_under_our_decorator_is_found_by_its_name(install: Install) -> None:
    code = (
        "from planetvision import register_head\n"
        "@register_head('outside_head', summary='registered by a plugin')\n"
        "def build(feature_size, num_classes): ...\n"
    )
    install("head-plugin", code, points="outside_head = {module}:build", family="heads")
    try:
        assert HEADS.get("outside_head").summary == "registered by a plugin"
    finally:
        HEADS.remove("outside_head")


def test_broken_plugin_fails_only_its_own_name_and_says_whose_it_is(
    gadgets: Gadgets, install: Install
) -> None:
    install("good-plugin", GADGET.format(name="gizmo"), points="gizmo = {module}:GADGET")
    install("bad-plugin", "1 / 0", points="widget = {module}:GADGET")
    assert gadgets.names() == ["gizmo", "linear", "mlp", "widget"]
    with pytest.raises(
        PluginError,
        match=r"The gadget 'widget' of the installed package 'bad-plugin' failed to load: "
        r"ZeroDivisionError: division by zero\. Update or uninstall 'bad-plugin'\.",
    ) as caught:
        gadgets.get("widget")
    assert (caught.value.name, caught.value.distribution) == ("widget", "bad-plugin")
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    with pytest.warns(PluginWarning, match="bad-plugin") as warned:
        assert [spec.name for spec in gadgets.specs()] == ["gizmo", "linear", "mlp"]
    assert len(warned) == 1


def test_name_declared_by_two_packages_names_both(gadgets: Gadgets, install: Install) -> None:
    for distribution in ("plugin-b", "plugin-a"):
        install(distribution, GADGET.format(name="gizmo"), points="gizmo = {module}:GADGET")
    assert gadgets.names() == ["gizmo", "linear", "mlp"]
    with pytest.raises(
        PluginError, match=r"'gizmo' is declared by several installed packages: plugin-a, plugin-b"
    ):
        gadgets.get("gizmo")


def test_plugin_with_the_name_of_an_entry_is_passed_over_with_one_warning(
    gadgets: Gadgets, install: Install
) -> None:
    module = install("same-plugin", GADGET.format(name="mlp"), points="mlp = {module}:GADGET")
    with pytest.warns(PluginWarning, match=r"'same-plugin' offers a gadget 'mlp', but that name"):
        assert gadgets.get("mlp").summary == "a summary"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gadgets.get("mlp")
        gadgets.get("linear")
    assert module not in sys.modules


def test_plugin_that_was_imported_by_hand_is_no_rival_of_its_own_entry(install: Install) -> None:
    code = (
        "from planetvision import register_head\n"
        "@register_head('outside_head', summary='registered by a plugin')\n"
        "def build(feature_size, num_classes): ...\n"
    )
    module = install("head-plugin", code, points="outside_head = {module}:build", family="heads")
    importlib.import_module(module)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert HEADS.get("outside_head").summary == "registered by a plugin"
    finally:
        HEADS.remove("outside_head")


def test_plugin_that_gives_nothing_says_what_was_expected(
    gadgets: Gadgets, install: Install
) -> None:
    install("empty-plugin", "def build(): ...", points="gizmo = {module}:build")
    with pytest.raises(
        PluginError,
        match=r"The entry point 'empty_plugin_module:build' of the installed package "
        r"'empty-plugin' gave no gadget called 'gizmo'\. It must name an instance of Entry",
    ):
        gadgets.get("gizmo")


def test_plugin_that_two_threads_load_at_once_is_the_same_for_both(install: Install) -> None:
    install("fast-plugin", GADGET.format(name="gizmo"), points="gizmo = {module}:GADGET")
    ready = threading.Barrier(2)

    class Slow(Registry[Entry, Callable[..., Any]]):
        def add(self, spec: Entry, *, replace: bool = False) -> Entry:
            ready.wait(timeout=30)
            return super().add(spec, replace=replace)

    gadgets = Slow("gadgets", Entry)
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(gadgets.get, ["gizmo", "gizmo"])
    assert first is second is gadgets.get("gizmo")


@pytest.mark.parametrize("given", ["mlp", "other", "Not Snake Case"])
def test_plugin_whose_entry_has_another_name_changes_nothing(
    gadgets: Gadgets, install: Install, given: str
) -> None:
    install("odd-plugin", GADGET.format(name=given), points="gizmo = {module}:GADGET")
    with pytest.raises(PluginError, match=r"'odd-plugin' gave no gadget called 'gizmo'"):
        gadgets.get("gizmo")
    assert gadgets.names() == ["gizmo", "linear", "mlp"]
    assert gadgets.get("mlp").summary == "a summary"
    with pytest.warns(PluginWarning, match="odd-plugin"):
        assert [spec.name for spec in gadgets.specs()] == ["linear", "mlp"]


def test_plugin_with_a_name_that_we_refuse_fails_only_its_own_name(
    gadgets: Gadgets, install: Install
) -> None:
    install("odd-plugin", GADGET.format(name="Odd-Name"), points="Odd-Name = {module}:GADGET")
    with pytest.raises(PluginError, match=r"package 'odd-plugin' failed to load: SettingsError"):
        gadgets.get("Odd-Name")
    with pytest.warns(PluginWarning, match="odd-plugin"):
        assert [spec.name for spec in gadgets.specs()] == ["linear", "mlp"]


def test_specs_without_broken_plugins_warn_of_nothing(gadgets: Gadgets) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert [spec.name for spec in gadgets.specs()] == ["linear", "mlp"]


def test_subclass_registry_takes_plugins_of_its_own_type_only(install: Install) -> None:
    @dataclass(frozen=True, kw_only=True)
    class SpecialEntry(Entry):
        pass

    registry: Registry[SpecialEntry, Callable[..., Any]] = Registry("gadgets", SpecialEntry)
    install("good-plugin", GADGET.format(name="gizmo"), points="gizmo = {module}:GADGET")
    with pytest.raises(PluginError, match="It must name an instance of SpecialEntry"):
        registry.get("gizmo")


def test_summarize_gives_the_first_line_of_the_docstring() -> None:
    def documented() -> None:
        """
        The first line.

        The second.
        """

    def bare() -> None: ...

    assert summarize(documented) == "The first line."
    assert summarize(bare) == ""
