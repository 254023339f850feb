"""The real losses of sentence-transformers: building them, and one forward and backward pass with all its stages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.losses import (
    CachedMultipleNegativesRankingLoss,
    MultipleNegativesRankingLoss,
)
from sentence_transformers.util import cos_sim, dot_score

from gradbank_ref.errors import InvalidParameters
from gradbank_ref.models import named_parameters
from gradbank_ref.pull_request_3612 import PullRequest3612Loss
from gradbank_ref.tokens import Features

LOSSES = {
    "MultipleNegativesRankingLoss": MultipleNegativesRankingLoss,
    "CachedMultipleNegativesRankingLoss": CachedMultipleNegativesRankingLoss,
    "PullRequest3612": PullRequest3612Loss,
}
SIMILARITIES = {"cos_sim": cos_sim, "dot_score": dot_score}

Loss = MultipleNegativesRankingLoss | CachedMultipleNegativesRankingLoss


@dataclass(frozen=True)
class LossStep:
    """Stages of one loss: the loss, embeddings and dL/dE per column [rows, dimension], and parameter gradients."""

    loss: float
    embeddings: list[torch.Tensor]
    embedding_gradients: list[torch.Tensor]
    parameter_gradients: dict[str, torch.Tensor]


def build_loss(model: torch.nn.Module, description: dict[str, Any]) -> Loss:
    """Build a loss from ``{class, options}``; options are its keyword arguments, similarity_fct by name."""
    kind, options = description.get("class"), dict(description.get("options") or {})
    if kind not in LOSSES:
        raise InvalidParameters(f"loss class is {kind!r}; expected one of {', '.join(LOSSES)}")
    if "similarity_fct" in options:
        name = options["similarity_fct"]
        if name not in SIMILARITIES:
            raise InvalidParameters(f"similarity_fct is {name!r}; expected one of {', '.join(SIMILARITIES)}")
        options["similarity_fct"] = SIMILARITIES[name]
    if "directions" in options:
        options["directions"] = tuple(options["directions"])
    try:
        return LOSSES[kind](model, **options)
    except TypeError as error:
        raise InvalidParameters(f"{kind}: {error}") from error


def loss_step(model: SentenceTransformer, loss: Loss, features: list[Features], scale: float = 1.0) -> LossStep:
    """Run the loss forward and backward.

    ``scale`` is the factor given to backward (1 / gradient accumulation steps). It reaches the parameter gradients; the
    loss and dL/dE are those of the unscaled loss.
    """
    model.zero_grad(set_to_none=True)
    stages = _Stages(loss)
    value = loss(features, None)
    embedding_gradients = stages.gradients(value)
    value.backward(torch.tensor(scale, dtype=value.dtype))
    gradients = {
        name: parameter.grad.detach().clone()
        for name, parameter in named_parameters(model).items()
        if parameter.grad is not None
    }
    model.zero_grad(set_to_none=True)
    return LossStep(float(value.detach()), stages.embeddings(), embedding_gradients, gradients)


def embedding_loss(loss: Loss, columns: list[torch.Tensor]) -> tuple[float, list[torch.Tensor]]:
    """The loss and its gradients as the loss itself computes them from given embeddings, one tensor a column."""
    leaves = [column.clone().requires_grad_() for column in columns]
    if isinstance(loss, CachedMultipleNegativesRankingLoss):
        value = loss.calculate_loss([[leaf] for leaf in leaves], with_backward=True)
    else:
        value = loss.compute_loss_from_embeddings(leaves, None)
        value.backward()
    return float(value.detach()), [leaf.grad for leaf in leaves]


class _Stages:
    """Catches the embeddings where a loss hands them to its own computation."""

    def __init__(self, loss: Loss) -> None:
        self._cached = isinstance(loss, CachedMultipleNegativesRankingLoss)
        self._columns: list[list[torch.Tensor]] = []
        name = "calculate_loss" if self._cached else "compute_loss_from_embeddings"
        compute = getattr(loss, name)

        def catch(embeddings: Any, *arguments: Any, **keywords: Any) -> torch.Tensor:
            self._columns = [column if self._cached else [column] for column in embeddings]
            return compute(embeddings, *arguments, **keywords)

        setattr(loss, name, catch)

    def embeddings(self) -> list[torch.Tensor]:
        return [torch.cat([chunk.detach() for chunk in column]) for column in self._columns]

    def gradients(self, loss: torch.Tensor) -> list[torch.Tensor]:
        if self._cached:
            return [torch.cat([chunk.grad for chunk in column]) for column in self._columns]
        return list(torch.autograd.grad(loss, [column[0] for column in self._columns], retain_graph=True))
