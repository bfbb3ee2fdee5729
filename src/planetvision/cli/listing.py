"""The commands that describe this installation: `list` and `doctor`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from planetvision.core.errors import UnknownNameError
from planetvision.core.registry import Registry


def list_entries(
    family: Annotated[
        str | None, typer.Argument(help="One family, such as backbones; by default all.")
    ] = None,
    pattern: Annotated[
        str, typer.Argument(help="Glob pattern of the names, such as 'resnet*'.")
    ] = "*",
) -> None:
    """List the names that options accept, with a summary of each."""
    registries = {registry.family: registry for registry in _list_registries()}
    if family is not None and family not in registries:
        raise UnknownNameError.among(
            f"Unknown family {family!r}.",
            known=list(registries),
            remedy=f"Known: {', '.join(registries)}.",
            family="families",
            name=family,
        )
    for name in [family] if family else registries:
        registry = registries[name]
        typer.echo(f"{name}:")
        specs = registry.specs(pattern)
        width = max((len(spec.name) for spec in specs), default=0)
        for spec in specs:
            extra = f"  [{spec.extra}]" if spec.extra else ""
            typer.echo(f"  {spec.name:<{width}}  {spec.summary}{extra}")
        for prefix in registry.prefixes() if pattern == "*" else ():
            typer.echo(f"  {prefix}:{'A+B' if prefix == 'ensemble' else 'NAME'}")


def doctor() -> None:
    """Show versions, devices, performance options, weights, the released model and extras."""
    from planetvision.workflows.doctor import examine

    for heading, facts in examine().items():
        typer.echo(f"{heading}:")
        width = max(len(name) for name in facts)
        for name, value in facts.items():
            typer.echo(f"  {name:<{width}}  {value}")


def _list_registries() -> list[Registry[Any, Any]]:
    # Imported here: help texts need none of these packages.
    from planetvision.data import DECODERS
    from planetvision.explain import EXPLAINERS
    from planetvision.imaging import POLICIES
    from planetvision.inference import OOD_SCORES
    from planetvision.models import BACKBONES, HEADS
    from planetvision.training import LOSSES, OPTIMIZERS, RECIPES, SCHEDULES

    return [
        BACKBONES,
        HEADS,
        POLICIES,
        SCHEDULES,
        OPTIMIZERS,
        LOSSES,
        RECIPES,
        OOD_SCORES,
        EXPLAINERS,
        DECODERS,
    ]
