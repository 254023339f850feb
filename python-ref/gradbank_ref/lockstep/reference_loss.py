"""Building the loss that gradbank's is held against: one that comes with gradbank_ref, or a class of the user's."""

from __future__ import annotations

import importlib.util
import inspect
import itertools
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.losses import (
    CachedMultipleNegativesRankingLoss,
    MultipleNegativesRankingLoss,
)

from gradbank_ref.contaccum import ContAccumLoss
from gradbank_ref.errors import InvalidParameters
from gradbank_ref.losses import LOSSES, build_loss, keyword_arguments
from gradbank_ref.models import named_parameters

_OWN = {**LOSSES, "ContAccum": ContAccumLoss}
_numbers = itertools.count(1)

LossBuilder = Callable[[SentenceTransformer], torch.nn.Module]


def reference_loss(description: dict[str, Any]) -> LossBuilder:
    """What builds the loss ``{class, options}`` or ``{file, class, options}`` over a model.

    A file is a Python file of the user's; it is run once. Its class is built as ``Class(model, **options)`` and called
    with features and labels (None). For a subclass of sentence-transformers' ranking losses, ``similarity_fct`` may be
    given by name.

    Raises:
        InvalidParameters: no such class, file, or option.
    """
    unknown = sorted(set(description) - {"file", "class", "options"})
    if unknown:
        raise InvalidParameters(f"loss has {', '.join(unknown)}; expected class, options and perhaps file")
    name, options = description.get("class"), dict(description.get("options") or {})
    if description.get("file") is None:
        if name not in _OWN:
            raise InvalidParameters(
                f"loss class is {name!r}; expected one of {', '.join(_OWN)}, or a class in a Python file: "
                "{file, class, options}"
            )
        if name == "ContAccum":
            return lambda model: _checked(_built(ContAccumLoss, model, options, name), model, name)
        return lambda model: _checked(build_loss(model, description), model, name)
    kind = _class_of(Path(description["file"]), name)
    if issubclass(kind, MultipleNegativesRankingLoss | CachedMultipleNegativesRankingLoss):
        options = keyword_arguments(options)
    where = f"{name} of {description['file']}"
    return lambda model: _checked(_built(kind, model, options, where), model, where)


def _built(kind: type, model: SentenceTransformer, options: dict[str, Any], where: str) -> torch.nn.Module:
    try:
        inspect.signature(kind).bind(model, **options)
    except TypeError as error:
        raise InvalidParameters(f"{where} cannot be built with the options {options}: {error}") from error
    return kind(model, **options)


def _checked(loss: torch.nn.Module, model: SentenceTransformer, where: str) -> torch.nn.Module:
    """The loss in its model's precision, if all that it trains is the transformer."""
    trained = {id(parameter) for parameter in named_parameters(model).values()}
    others = [name for name, own in loss.named_parameters() if own.requires_grad and id(own) not in trained]
    if others:
        raise InvalidParameters(
            f"{where} trains parameters besides the transformer's: {', '.join(others)}. gradbank has no such "
            "parameters: make them buffers or plain numbers (requires_grad False)"
        )
    return loss.to(next(model.parameters()).dtype)


def _class_of(file: Path, name: Any) -> type[torch.nn.Module]:
    if not file.is_file():
        raise InvalidParameters(f"loss file {str(file)!r} does not exist (looked for {str(file.resolve())!r})")
    module = _run(file)
    kind = getattr(module, name, None) if isinstance(name, str) else None
    if not (inspect.isclass(kind) and issubclass(kind, torch.nn.Module)):
        there = [
            key
            for key, value in vars(module).items()
            if inspect.isclass(value) and issubclass(value, torch.nn.Module) and value.__module__ == module.__name__
        ]
        given = "has no class" if kind is None else "has something that is no torch.nn.Module under the name"
        raise InvalidParameters(f"{file} {given} {name!r}; its loss classes: {', '.join(sorted(there)) or 'none'}")
    return kind


def _run(file: Path) -> ModuleType:
    # A number of its own: an edited file is read anew, and two files of one name do not meet.
    name = f"gradbank_reference_{next(_numbers)}_{file.stem}"
    specification = importlib.util.spec_from_file_location(name, file)
    if specification is None or specification.loader is None:
        raise InvalidParameters(f"loss file {str(file)!r} is no Python file: expected a name that ends in .py")
    module = importlib.util.module_from_spec(specification)
    sys.modules[name] = module
    # What lies beside the file can be imported, as when Python runs it.
    sys.path.insert(0, str(file.resolve().parent))
    try:
        specification.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise InvalidParameters(f"{file} cannot be run: {type(error).__name__}: {error}") from error
    finally:
        sys.path.remove(str(file.resolve().parent))
    return module
