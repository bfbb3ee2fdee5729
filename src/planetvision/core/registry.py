"""`Registry`: named, frozen entries of one family, with plugins found by entry point."""

from __future__ import annotations

import dataclasses
import fnmatch
import inspect
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from typing import Any, Generic, TypeVar

from planetvision.core.errors import (
    DuplicateNameError,
    PluginError,
    PluginWarning,
    SettingsError,
    UnknownNameError,
)

SpecT = TypeVar("SpecT", bound="Entry")
BuilderT = TypeVar("BuilderT", bound=Callable[..., Any])


@dataclass(frozen=True, kw_only=True)
class Entry:
    """The fields of every registry entry.

    Args:
        name: The key: lower-case letters, digits and underscores.
        build: Builds the object; each family documents its signature.
        summary: One line for `planetvision list`.
        extra: The extra of planetvision that the entry needs, if any.
        source: Where the method or the weights come from.
    """

    name: str
    build: Callable[..., Any]
    summary: str
    extra: str | None = None
    source: str = ""

    @classmethod
    def from_function(
        cls: type[SpecT], build: Callable[..., Any], *, summary: str = "", **fields: Any
    ) -> SpecT:
        """Returns the entry of a function.

        Args:
            build: The function.
            summary: One line for listings; by default the first line of the docstring.
            fields: The other fields of the entry.
        """
        return cls(build=build, summary=summary or summarize(build), **fields)

    def check_keywords(self, options: Mapping[str, Any], *, noun: str, given: int) -> None:
        """Checks that `build` accepts keyword arguments of these names.

        Args:
            options: The keyword arguments.
            noun: The name of the family in messages.
            given: The number of positional arguments before them.

        Raises:
            SettingsError: If `build` does not accept one of them.
        """
        signature = inspect.signature(self.build).parameters
        if any(item.kind is inspect.Parameter.VAR_KEYWORD for item in signature.values()):
            return
        parameters = list(signature)[given:]
        strange = [name for name in options if name not in parameters]
        if strange:
            raise SettingsError(
                f"The {noun} '{self.name}' takes no option {', '.join(map(repr, strange))}. "
                f"It takes: {', '.join(parameters) or 'none'}."
            )


def summarize(function: Callable[..., Any]) -> str:
    """Returns the first line of a function's docstring, or the empty string."""
    lines = (function.__doc__ or "").strip().splitlines()
    return lines[0].strip() if lines else ""


class Registry(Generic[SpecT, BuilderT]):
    """The entries of one family, by name.

    An entry is registered, made on demand from a name with a prefix (`timm:resnet18`), or declared
    by an installed package under the entry-point group. Plugins are listed from their metadata and
    imported only when their name is used.

    Args:
        family: The plural noun of the family, such as "backbones"; the entry-point group is
            `planetvision.<family>`.
        spec_type: The class of the entries.
    """

    def __init__(self, family: str, spec_type: type[SpecT]) -> None:
        self.family = family
        self.spec_type = spec_type
        self._entries: dict[str, SpecT] = {}
        self._prefixes: dict[str, Callable[[str], SpecT]] = {}
        self._compared: set[str] = set()

    @property
    def group(self) -> str:
        """The entry-point group that plugins of this family use."""
        return f"planetvision.{self.family}"

    @property
    def noun(self) -> str:
        """The family in the singular, for messages."""
        singular = self.family.removesuffix("es" if self.family.endswith("sses") else "s")
        return singular.replace("_", " ").replace("ood", "OOD")

    def add(self, spec: SpecT, *, replace: bool = False) -> SpecT:
        """Adds an entry and returns it.

        Args:
            spec: The entry.
            replace: Whether an entry of the same name may be replaced.

        Raises:
            SettingsError: If the name is not lower snake case.
            DuplicateNameError: If the name is taken and `replace` is false.
        """
        name = spec.name
        if not name.isidentifier() or name != name.lower():
            raise SettingsError(
                f"A {self.noun} name must be lower-case letters, digits and underscores, "
                f"got {name!r}. Use a name such as 'my_{self.noun.replace(' ', '_')}'."
            )
        if name in self._entries and not replace:
            raise DuplicateNameError(
                f"The {self.noun} '{name}' exists already ({self._entries[name].summary}). "
                "Choose another name, or pass replace=True to put yours in its place.",
                family=self.family,
                name=name,
            )
        self._entries[name] = spec
        return spec

    def register(
        self,
        name: str,
        *,
        summary: str = "",
        source: str = "",
        replace: bool = False,
        **fields: Any,
    ) -> Callable[[BuilderT], BuilderT]:
        """Returns a decorator that registers a function as the `build` of an entry.

        `register_backbone`, `register_head` and the like are this method of the registry of their
        family.

        Args:
            name: The name of the entry.
            summary: One line for listings; by default the first line of the docstring.
            source: Where the method or the weights come from.
            replace: Whether an entry of the same name may be replaced.
            fields: The other fields of the family's entries, such as `input` of a `BackboneSpec`.

        Raises:
            UnknownNameError: If entries of this family have no such field.

        Example:
            >>> from planetvision import register_head
            >>> from planetvision.models import HEADS
            >>> @register_head("normed")
            ... def normed(feature_size, num_classes):
            ...     "Layer norm, then one linear layer."
            ...     from torch import nn
            ...     norm = nn.LayerNorm(feature_size)
            ...     return nn.Sequential(norm, nn.Linear(feature_size, num_classes))
            >>> HEADS.get("normed").summary
            'Layer norm, then one linear layer.'
            >>> HEADS.remove("normed")
        """
        known = [field.name for field in dataclasses.fields(self.spec_type)]
        for field in fields:
            if field not in known:
                raise UnknownNameError.among(
                    f"The entry of a {self.noun} has no field {field!r}.",
                    known=known,
                    remedy=f"Its fields are: {', '.join(known)}.",
                    family=self.family,
                    name=field,
                )

        def add(build: BuilderT) -> BuilderT:
            spec = self.spec_type.from_function(
                build, name=name, summary=summary, source=source, **fields
            )
            self.add(spec, replace=replace)
            return build

        return add

    def add_prefix(self, prefix: str, resolve: Callable[[str], SpecT]) -> None:
        """Makes entries of the names `prefix:REST` by `resolve(REST)`."""
        self._prefixes[prefix] = resolve

    def remove(self, name: str) -> None:
        """Removes a registered entry; unknown names raise as in `get`."""
        self.get(name)
        self._entries.pop(name, None)

    def get(self, name: str) -> SpecT:
        """Returns the entry called `name`.

        Raises:
            UnknownNameError: If there is none; the message suggests the nearest names.
            PluginError: If the name belongs to an installed plugin that does not load.
        """
        if not isinstance(name, str):
            raise SettingsError(
                f"A {self.noun} is chosen by its name, a string; got {name!r} "
                f"of type {type(name).__name__}. Known: {', '.join(self.names())}."
            )
        if name in self._entries:
            self._warn_of_shadowed(name)
            return self._entries[name]
        prefix, colon, rest = name.partition(":")
        if colon and prefix in self._prefixes:
            return self._prefixes[prefix](rest)
        points = [point for point in self._entry_points() if point.name == name]
        if points:
            return self._load(points)
        raise self._unknown(name)

    def names(self, pattern: str = "*") -> list[str]:
        """Returns the sorted names of all entries, including plugins but not prefixes.

        Args:
            pattern: A glob pattern that the names must match, such as `resnet*`.
        """
        names = {*self._entries, *(point.name for point in self._entry_points())}
        return sorted(name for name in names if fnmatch.fnmatchcase(name, pattern))

    def added(self) -> list[SpecT]:
        """Returns the registered entries in the order of registration; imports nothing."""
        return list(self._entries.values())

    def prefixes(self) -> list[str]:
        """Returns the prefixes of names whose entries are made on demand, such as `timm`."""
        return sorted(self._prefixes)

    def specs(self, pattern: str = "*") -> list[SpecT]:
        """Returns all entries that load, sorted by name; warns of each plugin that does not.

        Args:
            pattern: A glob pattern that the names must match, such as `resnet*`.
        """
        specs = []
        for name in self.names(pattern):
            try:
                specs.append(self.get(name))
            except PluginError as error:
                warnings.warn(str(error), PluginWarning, stacklevel=2)
        return specs

    def __contains__(self, name: object) -> bool:
        return name in self.names()

    def __iter__(self) -> Iterator[SpecT]:
        return iter(self.specs())

    def __len__(self) -> int:
        return len(self.names())

    def __repr__(self) -> str:
        return f"Registry({self.family!r}: {', '.join(self.names())})"

    def _entry_points(self) -> list[metadata.EntryPoint]:
        return list(metadata.entry_points(group=self.group))

    def _load(self, points: list[metadata.EntryPoint]) -> SpecT:
        name = points[0].name
        owners = sorted({point.dist.name if point.dist else "?" for point in points})
        if len(owners) > 1:
            raise PluginError(
                f"The {self.noun} '{name}' is declared by several installed packages: "
                f"{', '.join(owners)}. Uninstall all but one.",
                name=name,
                distribution=", ".join(owners),
            )
        owner = owners[0]
        try:
            loaded = points[0].load()
            named = isinstance(loaded, self.spec_type) and loaded.name == name
            if named and name not in self._entries:
                self.add(loaded, replace=True)  # another thread may have loaded it since
            self._compared.add(name)
        # A plugin is third-party code: whatever it raises must fail its own name only.
        except Exception as cause:
            raise PluginError(
                f"The {self.noun} '{name}' of the installed package '{owner}' failed to load: "
                f"{type(cause).__name__}: {cause}. Update or uninstall '{owner}'.",
                name=name,
                distribution=owner,
            ) from cause
        if name not in self._entries:
            raise PluginError(
                f"The entry point '{points[0].value}' of the installed package '{owner}' gave no "
                f"{self.noun} called '{name}'. It must name an instance of "
                f"{self.spec_type.__name__}, or a function that planetvision's decorator "
                f"registers as '{name}'.",
                name=name,
                distribution=owner,
            )
        return self._entries[name]

    def _warn_of_shadowed(self, name: str) -> None:
        """Warns, once per name, of an installed plugin that a registered entry hides."""
        if name in self._compared:
            return
        self._compared.add(name)
        home = getattr(self._entries[name].build, "__module__", None) or ""
        for point in self._entry_points():
            # A plugin that was imported by hand has registered its own entry: that is the one.
            if point.name == name and point.module.split(".")[0] != home.split(".")[0]:
                owner = point.dist.name if point.dist else "?"
                warnings.warn(
                    f"The installed package '{owner}' offers a {self.noun} '{name}', but that "
                    f"name is taken ({self._entries[name].summary}), and '{owner}' is not used. "
                    f"Rename its entry point, or register it with replace=True.",
                    PluginWarning,
                    stacklevel=4,
                )

    def _unknown(self, name: str) -> UnknownNameError:
        known = self.names()
        made = [f"{prefix}:NAME" for prefix in self.prefixes()]
        return UnknownNameError.among(
            f"Unknown {self.noun} {name!r}.",
            known=known,
            remedy=f"Known: {', '.join([*known, *made])}.",
            family=self.family,
            name=name,
        )
