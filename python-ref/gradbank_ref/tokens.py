"""Token ids on the wire: the ids of all texts concatenated, and the length of each text."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from sentence_transformers import SentenceTransformer

from gradbank_ref.errors import InvalidParameters
from gradbank_ref.wire import Tensors

Features = dict[str, torch.Tensor]


@contextmanager
def limited_length(model: SentenceTransformer, max_length: int | None) -> Iterator[None]:
    """Let the model's tokenizer cut texts at ``max_length`` tokens for a while."""
    if max_length is None:
        yield
        return
    before = model.max_seq_length
    model.max_seq_length = max_length
    try:
        yield
    finally:
        model.max_seq_length = before


def tokenize(
    model: SentenceTransformer, texts: list[str], max_length: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Tokenize as sentence-transformers does; returns ids (int64, concatenated) and lengths (int64)."""
    with limited_length(model, max_length):
        features = model.preprocess(texts)
    mask = features["attention_mask"].bool()
    return features["input_ids"][mask].numpy().astype(np.int64), mask.sum(dim=1).numpy().astype(np.int64)


def padded_features(model: SentenceTransformer, input_ids: np.ndarray, lengths: np.ndarray) -> Features:
    """The features that the model's own tokenizer would give for these ids: padded to the longest text."""
    if input_ids.ndim != 1 or lengths.ndim != 1:
        raise InvalidParameters(
            f"input_ids has shape {list(input_ids.shape)} and lengths {list(lengths.shape)}; expected one axis each"
        )
    if len(lengths) == 0 or lengths.min() < 1:
        raise InvalidParameters(f"lengths is {lengths.tolist()}; expected at least one text, each of at least 1 token")
    if int(lengths.sum()) != len(input_ids):
        raise InvalidParameters(f"lengths sum to {int(lengths.sum())} but there are {len(input_ids)} input_ids")
    rows, width = len(lengths), int(lengths.max())
    attention_mask = torch.arange(width)[None, :] < torch.from_numpy(lengths)[:, None]
    padded = torch.full((rows, width), model.tokenizer.pad_token_id, dtype=torch.int64)
    padded[attention_mask] = torch.from_numpy(input_ids.astype(np.int64))
    features = {"input_ids": padded, "attention_mask": attention_mask.to(torch.int64)}
    if "token_type_ids" in model.tokenizer.model_input_names:
        features["token_type_ids"] = torch.zeros_like(padded)
    return features


def column_features(model: SentenceTransformer, tensors: Tensors, columns: int) -> list[Features]:
    """Features of ``column0`` ... from ``column<c>.input_ids`` and ``column<c>.lengths``."""
    features = []
    for column in range(columns):
        pair = [tensors.get(f"column{column}.{part}") for part in ("input_ids", "lengths")]
        if pair[0] is None or pair[1] is None:
            raise InvalidParameters(
                f"column {column} needs the tensors 'column{column}.input_ids' and 'column{column}.lengths'; "
                f"got: {', '.join(tensors) or 'none'}"
            )
        features.append(padded_features(model, *pair))
    rows = [len(column["input_ids"]) for column in features]
    if len(set(rows)) > 1:
        raise InvalidParameters(f"the columns have {rows} rows; expected the same number in each")
    return features


def token_rows(features: Features) -> list[tuple[int, ...]]:
    """Token ids of each text, without padding."""
    return [
        tuple(ids[mask.bool()].tolist())
        for ids, mask in zip(features["input_ids"], features["attention_mask"], strict=True)
    ]
