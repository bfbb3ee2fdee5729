"""`copy_structure`: a copy of a network that shares its weights."""

from __future__ import annotations

import functools
import operator
from collections import OrderedDict
from collections.abc import Mapping
from types import CellType, FunctionType, MethodType
from typing import Any, TypeVar

import torch
from torch import nn

_ModuleT = TypeVar("_ModuleT", bound=nn.Module)

# Attributes of every module: hooks, submodules, modes. The copy has its own containers for these.
_OWN = frozenset(vars(nn.Module()))
# Types of most attributes, which hold no module.
_PLAIN = (bool, int, float, str, type(None))
# Attributes are searched for modules no deeper than this, since a container may hold itself.
_MAX_DEPTH = 4


def copy_structure(network: _ModuleT) -> _ModuleT:
    """Returns a copy with new modules that share the parameters and buffers of `network`.

    Hooks, modes and attributes set on the copy do not affect the network. This makes it safe to
    record the outputs of layers while other threads run the same network.

    References to the network's modules are replaced by references to their copies in attributes,
    lists, tuples, dicts, bound methods and closures. All other objects are shared, whether or not
    they can be copied. TorchScript modules are shared too, because they take no hooks. A module
    that `torch.compile` returned runs uncompiled in the copy.

    Args:
        network: The network, which is not changed.
    """
    parts = list(network.modules())
    copies: dict[int, nn.Module] = {
        # Without __new__ of the class: that of a `torch.fx.GraphModule` makes another class.
        id(part): part if isinstance(part, torch.jit.ScriptModule) else object.__new__(type(part))
        for part in parts
    }
    for part in parts:
        copied = copies[id(part)]
        if copied is not part:
            copied.__dict__.update(
                {
                    name: value
                    if type(value) in _PLAIN
                    else (_copy_own(value, copies) if name in _OWN else _replace(value, copies))
                    for name, value in part.__dict__.copy().items()
                }
            )
        if "_orig_mod" in copied._modules:
            # `torch.compile` made it: its compiled code runs the modules that it was made of.
            copied.__dict__["forward"] = copied._modules["_orig_mod"]
    copied_network = copies[id(network)]
    assert isinstance(copied_network, type(network))
    return copied_network


def _copy_own(value: Any, copies: Mapping[int, nn.Module]) -> Any:
    if not isinstance(value, dict | set):
        return value
    own = value.copy()
    if own and isinstance(own, dict):
        for key, item in own.items():
            own[key] = _replace(item, copies)
    return own


def _replace(value: Any, copies: Mapping[int, nn.Module], depth: int = 0) -> Any:
    """Returns the value with modules replaced by their copies; the same value if it holds none."""
    if id(value) in copies:
        return copies[id(value)]
    kind = type(value)
    if kind in _PLAIN or depth == _MAX_DEPTH:
        return value
    if kind is MethodType:
        parts = [value.__func__, value.__self__]
    elif kind is functools.partial:
        parts = [value.func, *value.args, *value.keywords.values()]
    elif kind is FunctionType:
        return _rebind(value, copies)
    elif kind is list or kind is tuple:
        parts = list(value)
    elif kind is dict or kind is OrderedDict:
        parts = list(value.values())
    else:
        return value
    replaced = [_replace(part, copies, depth + 1) for part in parts]
    if all(new is old for new, old in zip(replaced, parts, strict=True)):
        return value
    if kind is MethodType:
        return MethodType(replaced[0], replaced[1])
    if kind is functools.partial:
        count = 1 + len(value.args)
        keywords = dict(zip(value.keywords, replaced[count:], strict=True))
        return functools.partial(replaced[0], *replaced[1:count], **keywords)
    if kind is list or kind is tuple:
        return kind(replaced)
    return kind(zip(value, replaced, strict=True))


def _rebind(function: FunctionType, copies: Mapping[int, nn.Module]) -> FunctionType:
    """Returns the function with the modules in its closure and defaults replaced by copies."""
    cells = function.__closure__ or ()
    replaced = tuple(_replace_cell(cell, copies) for cell in cells)
    defaults = _replace(function.__defaults__, copies, _MAX_DEPTH - 1)
    if defaults is function.__defaults__ and all(map(operator.is_, replaced, cells)):
        return function
    rebound = FunctionType(
        function.__code__, function.__globals__, function.__name__, defaults, replaced or None
    )
    rebound.__kwdefaults__ = function.__kwdefaults__
    rebound.__dict__.update(function.__dict__)
    return rebound


def _replace_cell(cell: CellType, copies: Mapping[int, nn.Module]) -> CellType:
    try:
        content = cell.cell_contents
    except ValueError:  # an unbound name
        return cell
    return CellType(copies[id(content)]) if id(content) in copies else cell
