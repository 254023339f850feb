"""One precision of a lockstep comparison: a model, its loss and its optimizer."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field

import torch
from sentence_transformers import SentenceTransformer
from torch import Tensor

from gradbank_ref.dropout import GivenDropout, Masks
from gradbank_ref.errors import InvalidParameters
from gradbank_ref.forward_record import ForwardRecord
from gradbank_ref.lockstep.loss_state import copy_state
from gradbank_ref.lockstep.optimizer import UpdateArguments, build_optimizer, clip
from gradbank_ref.lockstep.score_record import ScoreRecord
from gradbank_ref.marked_rows import mark, watched
from gradbank_ref.models import named_parameters
from gradbank_ref.tokens import Features

Stages = dict[tuple[str, str], Tensor]
"""Tensors by stage and name, named as packages/bridge/src/lockstep/reference-side.ts says."""


@dataclass(frozen=True)
class Batch:
    """Features of each column and, for training with dropout, each column's masks."""

    features: list[Features]
    masks: list[Masks] | None = None


@dataclass
class BatchResult:
    """What a batch's passes made, and why some of it is not there."""

    tensors: Stages = field(default_factory=dict)
    scores_unavailable: str | None = None


class Side:
    """A model, a loss and an optimizer, which take steps.

    Args:
        model: loaded with eager attention. In eval mode, except for batches with dropout masks.
        loss: a loss over this model.
    """

    def __init__(self, model: SentenceTransformer, loss: torch.nn.Module, arguments: UpdateArguments) -> None:
        self.model = model
        self.loss = loss
        self.arguments = arguments
        self.optimizer = build_optimizer(model, arguments)

    def forget_gradients(self) -> None:
        """Begin an accumulation group."""
        self.model.zero_grad(set_to_none=True)

    def forward_backward(self, name: str, batch: Batch, scale: float) -> BatchResult:
        """The stages of a batch up to its bank; adds ``scale`` times the gradient to the parameters' gradients.

        Gradients of embeddings are those of the unscaled loss.
        """
        features = batch.features
        self.model.eval()
        dropout = None if batch.masks is None else GivenDropout(self.model, batch.masks, features)
        record, scores = ForwardRecord([len(column["input_ids"]) for column in features]), ScoreRecord()
        listeners = [record] if dropout is None else [record, dropout]
        with nullcontext() if dropout is None else dropout.active(), watched(self.model, listeners):
            with scores.active():
                value = self.loss(mark(features), None)
            self._check(value)
            value.backward(torch.full_like(value, scale))
        found = BatchResult()
        tensors = found.tensors
        columns = record.columns()
        for column in columns:
            tensors["embeddings", f"{name}.column{column}"] = record.embeddings(column)
        by_direction, labels, found.scores_unavailable = scores.result(self.loss)
        for direction, matrix in by_direction.items():
            tensors["scores", f"{name}.{direction}" if direction else name] = matrix
        if labels is not None:
            tensors["labels", name] = labels
        tensors["loss", name] = value.detach().reshape(())
        for column, gradient in record.gradients(scale).items():
            tensors["embedding-gradients", f"{name}.column{column}"] = gradient
        for column in columns:
            replayed = record.replayed(column)
            if replayed is not None:
                tensors["replayed-embeddings", f"{name}.column{column}"] = replayed
        tensors |= self.bank(f"{name}.")
        return found

    def gradients(self) -> dict[str, Tensor]:
        """Gradients of the parameters that have one, before clipping."""
        return {
            name: parameter.grad
            for name, parameter in named_parameters(self.model).items()
            if parameter.grad is not None
        }

    def update(self, learning_rate: float, gradients: Mapping[str, Tensor]) -> Stages:
        """Clip ``gradients``, which stay as they are, update the weights and tell the loss."""
        for name, parameter in named_parameters(self.model).items():
            gradient = gradients.get(name)
            parameter.grad = None if gradient is None else gradient.to(parameter.dtype, copy=True)
        norm = clip(self.model, self.arguments.max_grad_norm)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        self.optimizer.step()
        self.forget_gradients()
        if hasattr(self.loss, "on_optimizer_step"):
            self.loss.on_optimizer_step()
        tensors: Stages = {("clip-norm", "norm"): norm}
        updated = self.updated()
        for key, moment in (("exp_avg", "first"), ("exp_avg_sq", "second")):
            tensors |= {
                ("moments", f"{moment}.{name}"): self.optimizer.state[parameter][key]
                for name, parameter in updated.items()
            }
        tensors |= {("weights", name): parameter.detach() for name, parameter in updated.items()}
        return tensors | self.bank("")

    def updated(self) -> dict[str, torch.nn.Parameter]:
        """Parameters that an update has changed: those that ever had a gradient."""
        return {
            name: parameter
            for name, parameter in named_parameters(self.model).items()
            if parameter in self.optimizer.state
        }

    def bank(self, prefix: str) -> Stages:
        """Rows that the loss has cached, oldest first; nothing for a loss that has no ``bank_columns()``."""
        columns = self.loss.bank_columns() if hasattr(self.loss, "bank_columns") else None
        return {("bank", f"{prefix}column{column}"): rows.detach() for column, rows in enumerate(columns or [])}

    def take_over(self, other: Side) -> None:
        """Go on from the weights, the moments and the loss's state of a side in another precision."""
        theirs = named_parameters(other.model)
        with torch.no_grad():
            for name, parameter in named_parameters(self.model).items():
                parameter.copy_(theirs[name])
                state = self.optimizer.state.get(parameter, {})
                for key, value in state.items():
                    value.copy_(other.optimizer.state[theirs[name]][key])
        copy_state(other.loss, self.loss, other.model, self.model)

    def _check(self, value: object) -> None:
        kind = type(self.loss).__name__
        if not isinstance(value, Tensor) or value.numel() != 1 or not value.is_floating_point():
            given = f"a tensor of shape {list(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
            raise InvalidParameters(f"{kind}'s forward returned {given}; expected a scalar tensor, the loss")
        if not value.requires_grad:
            raise InvalidParameters(f"{kind}'s forward returned a loss that does not depend on the model's weights")
