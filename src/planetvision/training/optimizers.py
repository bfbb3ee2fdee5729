"""`OPTIMIZERS`: the registry of optimizers; the prefixes `timm:` and `torch:` name theirs."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from planetvision.core.errors import SettingsError, UnknownNameError
from planetvision.core.registry import Entry, Registry

if TYPE_CHECKING:
    import torch


ParameterGroups: TypeAlias = list[dict[str, Any]]
OptimizerBuilder: TypeAlias = Callable[..., "torch.optim.Optimizer"]


@dataclass(frozen=True, kw_only=True)
class OptimizerSpec(Entry):
    """Registry entry of an optimizer.

    `build(groups, lr=..., **options)` returns it. Each parameter group has `params`, `lr` and
    `weight_decay`; `options` are the stage's `optimizer_options`.
    """

    build: OptimizerBuilder

    def create(
        self, groups: ParameterGroups, *, learning_rate: float, options: Mapping[str, Any]
    ) -> torch.optim.Optimizer:
        """Returns the optimizer.

        Raises:
            SettingsError: If the optimizer does not accept one of the options or its value.
        """
        try:
            return self.build(groups, lr=learning_rate, **options)
        except (TypeError, ValueError) as cause:
            raise SettingsError(
                f"The optimizer '{self.name}' cannot be built with the options {dict(options)!r}: "
                f"{cause}. Change `optimizer_options`."
            ) from cause


OPTIMIZERS: Registry[OptimizerSpec, OptimizerBuilder] = Registry("optimizers", OptimizerSpec)
register_optimizer = OPTIMIZERS.register
list_optimizers = OPTIMIZERS.names


@register_optimizer("adam", source="Kingma and Ba (2015), arXiv:1412.6980")
def _adam(groups: ParameterGroups, **options: Any) -> torch.optim.Optimizer:
    """Adam."""
    import torch

    return torch.optim.Adam(groups, **options)


@register_optimizer("adamw", source="Loshchilov and Hutter (2019), arXiv:1711.05101")
def _adamw(groups: ParameterGroups, **options: Any) -> torch.optim.Optimizer:
    """Adam with decoupled weight decay."""
    import torch

    return torch.optim.AdamW(groups, **options)


@register_optimizer("sgd", source="Sutskever et al. (2013), ICML")
def _sgd(groups: ParameterGroups, **options: Any) -> torch.optim.Optimizer:
    """Stochastic gradient descent with Nesterov momentum 0.9."""
    import torch

    return torch.optim.SGD(groups, **{"momentum": 0.9, "nesterov": True, **options})


def _resolve_timm(rest: str) -> OptimizerSpec:
    optim: Any = importlib.import_module("timm.optim")
    known = optim.list_optimizers()
    if rest not in known:
        raise UnknownNameError.among(
            f"timm has no optimizer {rest!r}.",
            known=known,
            remedy=f"It has {', '.join(known)}.",
            family="optimizers",
            name=f"timm:{rest}",
        )
    return OptimizerSpec(
        name=f"timm:{rest}",
        build=partial(optim.create_optimizer_v2, opt=rest),
        summary=optim.get_optimizer_info(rest).description,
        source="timm",
    )


def _resolve_torch(rest: str) -> OptimizerSpec:
    import torch

    known = sorted(
        name
        for name, value in vars(torch.optim).items()
        if isinstance(value, type)
        and issubclass(value, torch.optim.Optimizer)
        and value is not torch.optim.Optimizer
    )
    if rest not in known:
        raise UnknownNameError.among(
            f"torch.optim has no optimizer {rest!r}.",
            known=known,
            remedy=f"It has {', '.join(known)}.",
            family="optimizers",
            name=f"torch:{rest}",
        )
    if rest == "LBFGS":
        raise SettingsError(
            "The optimizer 'torch:LBFGS' evaluates the loss several times per step, which the "
            "training loop does not support. Choose another, such as 'adamw'."
        )
    return OptimizerSpec(
        name=f"torch:{rest}",
        build=getattr(torch.optim, rest),
        summary=f"{rest} of torch.optim",
        source="torch",
    )


OPTIMIZERS.add_prefix("timm", _resolve_timm)
OPTIMIZERS.add_prefix("torch", _resolve_torch)
