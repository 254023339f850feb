"""What a loss remembers from batch to batch, copied from the float32 loss to the float64 one.

A loss of the user's keeps its bank, queue or counters where it likes: every attribute that is made of tensors and plain
values is taken for state.
"""

from __future__ import annotations

from collections import deque
from typing import Any

import torch
from torch import Tensor

_OF_EVERY_MODULE = set(vars(torch.nn.Module()))
_PLAIN = (int, float, complex, str, bytes, bool, type(None), torch.dtype, torch.device)


def copy_state(
    source: torch.nn.Module, target: torch.nn.Module, source_model: torch.nn.Module, target_model: torch.nn.Module
) -> None:
    """Give ``target`` the state of ``source``, a loss of the same class, with floating-point numbers in the precision
    of its own model. The two models keep theirs."""
    dtype = next(target_model.parameters()).dtype
    targets = _modules(target, target_model)
    for name, module in _modules(source, source_model).items():
        for attribute, value in vars(module).items():
            if attribute in _OF_EVERY_MODULE:
                continue
            copied = _copy(value, dtype)
            if copied is not NotImplemented:
                setattr(targets[name], attribute, copied)
        own = targets[name]._buffers
        for buffer, value in module._buffers.items():
            own[buffer] = _copy(value, dtype)


def _modules(loss: torch.nn.Module, model: torch.nn.Module) -> dict[str, torch.nn.Module]:
    inside = {id(module) for module in model.modules()}
    return {name: module for name, module in loss.named_modules() if id(module) not in inside}


def _copy(value: Any, dtype: torch.dtype) -> Any:
    """A copy, or NotImplemented for what is no state: functions, models, files, ..."""
    if isinstance(value, Tensor):
        return value.detach().to(dtype if value.is_floating_point() else value.dtype, copy=True)
    if isinstance(value, _PLAIN):
        return value
    if type(value) is dict:
        copied = {key: _copy(item, dtype) for key, item in value.items()}
        return NotImplemented if any(item is NotImplemented for item in copied.values()) else copied
    if type(value) in (list, tuple, deque):
        items = [_copy(item, dtype) for item in value]
        if any(item is NotImplemented for item in items):
            return NotImplemented
        return deque(items, value.maxlen) if isinstance(value, deque) else type(value)(items)
    return NotImplemented
