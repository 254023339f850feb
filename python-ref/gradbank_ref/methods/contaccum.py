"""Methods that compute the loss with a bank by its written-out formula."""

from __future__ import annotations

from typing import Any

import torch

from gradbank_ref import contaccum
from gradbank_ref.errors import InvalidParameters
from gradbank_ref.session import Session
from gradbank_ref.wire import Reply, Tensors


def contaccum_loss(session: Session, tensors: Tensors, *, options: dict[str, Any]) -> Reply:
    """The loss of given embeddings with a frozen bank, and its gradients, in float64.

    ``options`` are those of ``contaccum.RankingOptions``. Tensors in: ``column<c>`` and, with a bank, ``bank<c>``; to
    take duplicates out, ``column<c>.texts`` and ``bank<c>.texts`` (int64, equal numbers for equal texts).

    Tensors out: ``gradient<c>``.
    """
    columns = numbered(tensors, "column", "")
    if columns is None or len(columns) < 2:
        raise InvalidParameters(f"got the tensors {', '.join(tensors) or 'none'}; expected column0, column1, ...")
    leaves = [column.to(torch.float64).requires_grad_() for column in columns]
    value = contaccum.contaccum_loss(leaves, bank_of(tensors), contaccum.parse_options(options))
    value.backward()
    return Reply(
        {"loss": float(value.detach())}, {f"gradient{column}": leaf.grad.numpy() for column, leaf in enumerate(leaves)}
    )


def bank_of(tensors: Tensors) -> contaccum.Bank | None:
    """The bank among a request's tensors."""
    columns = numbered(tensors, "bank", "")
    if columns is None:
        return None
    return contaccum.Bank(columns, numbered(tensors, "bank", ".texts"), numbered(tensors, "column", ".texts"))


def numbered(tensors: Tensors, prefix: str, suffix: str) -> list[torch.Tensor] | None:
    """The tensors ``<prefix>0<suffix>``, ``<prefix>1<suffix>``, ... or None when there is none."""
    found = []
    while (value := tensors.get(f"{prefix}{len(found)}{suffix}")) is not None:
        found.append(torch.from_numpy(value))
    return found or None
