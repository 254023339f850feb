"""Methods that compute losses and their gradients."""

from __future__ import annotations

from typing import Any

import torch

from gradbank_ref import losses
from gradbank_ref.dropout import GivenDropout, masks_of
from gradbank_ref.errors import InvalidParameters
from gradbank_ref.session import Session
from gradbank_ref.tokens import column_features
from gradbank_ref.wire import Reply, Tensors

OUTPUTS = ("embeddings", "embedding_gradients", "parameter_gradients")


def loss_step(
    session: Session,
    tensors: Tensors,
    *,
    model: str,
    loss: dict[str, Any],
    columns: int,
    scale: float = 1.0,
    outputs: list[str] | None = None,
) -> Reply:
    """One forward and backward pass of a real loss.

    Tensors in: ``column<c>.input_ids``, ``column<c>.lengths`` and, for training with dropout,
    ``column<c>.dropout.<site>`` for every site (uint8, 1 = keep, all rows padded to the column's longest text).
    Without masks the model runs in eval mode.

    Tensors out: ``column<c>.embeddings``, ``column<c>.embedding_gradients``, ``parameters.<name>`` (gradients; only
    those pass on ``scale``).
    """
    wanted = OUTPUTS if outputs is None else tuple(outputs)
    unknown = sorted(set(wanted) - set(OUTPUTS))
    if unknown:
        raise InvalidParameters(f"outputs has {', '.join(unknown)}; expected some of {', '.join(OUTPUTS)}")
    encoder = session.model(model)
    features = column_features(encoder, tensors, columns)
    masks = masks_of(tensors, columns)
    dropout = None if masks is None else GivenDropout(encoder, masks, features)
    encoder.eval()
    step = losses.loss_step(encoder, losses.build_loss(encoder, loss), features, scale, dropout)
    out: Tensors = {}
    for name in ("embeddings", "embedding_gradients"):
        if name in wanted:
            out |= {f"column{column}.{name}": value.numpy() for column, value in enumerate(getattr(step, name))}
    if "parameter_gradients" in wanted:
        out |= {f"parameters.{name}": value.numpy() for name, value in step.parameter_gradients.items()}
    return Reply({"loss": step.loss}, out)


def embedding_loss(session: Session, tensors: Tensors, *, loss: dict[str, Any], dtype: str = "float64") -> Reply:
    """The loss of given embeddings ``column<c>`` and the gradients ``gradient<c>``, by the loss's own computation."""
    names = [f"column{column}" for column in range(len(tensors))]
    if set(names) != set(tensors) or len(names) < 2:
        raise InvalidParameters(f"got the tensors {', '.join(tensors) or 'none'}; expected column0, column1, ...")
    if dtype not in ("float32", "float64"):
        raise InvalidParameters(f"dtype is {dtype!r}; expected float32 or float64")
    embeddings = [torch.from_numpy(tensors[name]).to(getattr(torch, dtype)) for name in names]
    # The losses ask their model for its first module only to refuse static embeddings.
    value, gradients = losses.embedding_loss(
        losses.build_loss(torch.nn.Sequential(torch.nn.Identity()), loss), embeddings
    )
    return Reply({"loss": value}, {f"gradient{column}": gradient.numpy() for column, gradient in enumerate(gradients)})
