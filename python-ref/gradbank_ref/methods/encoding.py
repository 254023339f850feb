"""Methods that tokenize and encode."""

from __future__ import annotations

import torch

from gradbank_ref import tokens
from gradbank_ref.errors import InvalidParameters
from gradbank_ref.session import Session
from gradbank_ref.wire import Reply, Tensors


def tokenize(
    session: Session, tensors: Tensors, *, model: str, texts: list[str], max_length: int | None = None
) -> Reply:
    """Token ids of all texts, concatenated (``input_ids``), and their ``lengths``; special tokens included."""
    input_ids, lengths = tokens.tokenize(session.model(model), texts, max_length)
    return Reply({}, {"input_ids": input_ids, "lengths": lengths})


def encode(
    session: Session,
    tensors: Tensors,
    *,
    model: str,
    texts: list[str] | None = None,
    batch_size: int = 32,
    max_length: int | None = None,
) -> Reply:
    """Embeddings of texts by ``model.encode``, or of the tensors ``input_ids`` and ``lengths`` by one forward pass each
    ``batch_size`` rows."""
    encoder = session.model(model)
    if (texts is None) == (not tensors):
        raise InvalidParameters("encode needs either texts or the tensors input_ids and lengths")
    encoder.eval()
    if texts is not None:
        with tokens.limited_length(encoder, max_length):
            return Reply({}, {"embeddings": encoder.encode(texts, batch_size=batch_size, show_progress_bar=False)})
    if set(tensors) != {"input_ids", "lengths"}:
        raise InvalidParameters(f"encode got the tensors {', '.join(tensors)}; expected input_ids and lengths")
    ends = tensors["lengths"].cumsum()
    parts = []
    with torch.no_grad():
        for begin in range(0, len(ends), batch_size):
            lengths = tensors["lengths"][begin : begin + batch_size]
            first = 0 if begin == 0 else int(ends[begin - 1])
            input_ids = tensors["input_ids"][first : first + int(lengths.sum())]
            parts.append(encoder(tokens.padded_features(encoder, input_ids, lengths))["sentence_embedding"])
    return Reply({}, {"embeddings": torch.cat(parts).numpy()})
