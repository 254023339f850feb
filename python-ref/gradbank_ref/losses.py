"""The real losses of sentence-transformers: building them, and one forward and backward pass with all its stages."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.losses import (
    CachedMultipleNegativesRankingLoss,
    MultipleNegativesRankingLoss,
)
from sentence_transformers.util import cos_sim, dot_score

from gradbank_ref.dropout import GivenDropout
from gradbank_ref.errors import InvalidParameters
from gradbank_ref.forward_record import ForwardRecord
from gradbank_ref.marked_rows import mark, watched
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
    kind = description.get("class")
    if kind not in LOSSES:
        raise InvalidParameters(f"loss class is {kind!r}; expected one of {', '.join(LOSSES)}")
    options = keyword_arguments(description.get("options") or {})
    try:
        return LOSSES[kind](model, **options)
    except TypeError as error:
        raise InvalidParameters(f"{kind}: {error}") from error


def keyword_arguments(options: dict[str, Any]) -> dict[str, Any]:
    """Keyword arguments of a ranking loss of sentence-transformers from what a message can say."""
    arguments = dict(options)
    if "similarity_fct" in arguments:
        name = arguments["similarity_fct"]
        if name not in SIMILARITIES:
            raise InvalidParameters(f"similarity_fct is {name!r}; expected one of {', '.join(SIMILARITIES)}")
        arguments["similarity_fct"] = SIMILARITIES[name]
    if "directions" in arguments:
        arguments["directions"] = tuple(arguments["directions"])
    return arguments


def loss_step(
    model: SentenceTransformer,
    loss: Loss,
    features: list[Features],
    scale: float = 1.0,
    dropout: GivenDropout | None = None,
) -> LossStep:
    """Run the loss forward and backward.

    ``scale`` is the factor given to backward (1 / gradient accumulation steps). It reaches the parameter gradients; the
    loss and dL/dE are those of the unscaled loss.
    """
    model.zero_grad(set_to_none=True)
    record = ForwardRecord([len(column["input_ids"]) for column in features])
    listeners = [record] if dropout is None else [record, dropout]
    with nullcontext() if dropout is None else dropout.active(), watched(model, listeners):
        value = loss(mark(features), None)
        value.backward(torch.tensor(scale, dtype=value.dtype))
    gradients = {
        name: parameter.grad.detach().clone()
        for name, parameter in named_parameters(model).items()
        if parameter.grad is not None
    }
    model.zero_grad(set_to_none=True)
    embeddings = [record.embeddings(column) for column in record.columns()]
    return LossStep(float(value.detach()), embeddings, list(record.gradients(scale).values()), gradients)


def embedding_loss(loss: Loss, columns: list[torch.Tensor]) -> tuple[float, list[torch.Tensor]]:
    """The loss and its gradients as the loss itself computes them from given embeddings, one tensor a column."""
    leaves = [column.clone().requires_grad_() for column in columns]
    if isinstance(loss, CachedMultipleNegativesRankingLoss):
        value = loss.calculate_loss([[leaf] for leaf in leaves], with_backward=True)
    else:
        value = loss.compute_loss_from_embeddings(leaves, None)
        value.backward()
    return float(value.detach()), [leaf.grad for leaf in leaves]
