"""Which rows of which column a forward pass computes.

Losses split columns into mini-batches and merge columns into one forward pass, so that a pass does not tell whose
embeddings it makes. Two extra features travel with the tokens and tell it: the losses slice and concatenate them like
every other feature. A hook takes them out before the model runs and puts them back after it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from sentence_transformers import SentenceTransformer
from torch import Tensor

from gradbank_ref.errors import InvalidParameters
from gradbank_ref.tokens import Features

ROWS, COLUMNS = "gradbank_rows", "gradbank_columns"


@dataclass(frozen=True)
class ForwardRows:
    """The rows of one forward pass: each one's place in its column and its column (int64 [rows]), and the padded
    length of the texts."""

    rows: Tensor
    columns: Tensor
    width: int


class ForwardListener(Protocol):
    """Who is told of each forward pass."""

    def begin(self, rows: ForwardRows) -> None:
        """Before the model runs."""

    def end(self, rows: ForwardRows, embeddings: Tensor) -> None:
        """After it: its embeddings, [rows, dimension]."""


def mark(features: Sequence[Features]) -> list[Features]:
    """Copies of every column's features that say which rows they are."""
    marked = []
    for column, own in enumerate(features):
        rows = torch.arange(len(own["input_ids"]))
        marked.append({**own, ROWS: rows, COLUMNS: torch.full_like(rows, column)})
    return marked


@contextmanager
def watched(model: SentenceTransformer, listeners: Sequence[ForwardListener]) -> Iterator[None]:
    """Tell ``listeners`` of the model's forward passes, whose features ``mark`` made.

    Raises:
        InvalidParameters: a forward pass has features without the marks.
    """
    current: ForwardRows | None = None

    def before(module: torch.nn.Module, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> None:
        nonlocal current
        features = arguments[0] if arguments else keywords["input"]
        if ROWS not in features or COLUMNS not in features:
            raise InvalidParameters(
                f"a forward pass got the features {', '.join(features)}, without {ROWS} and {COLUMNS}: the loss must "
                "hand all features that it was given to the model"
            )
        current = ForwardRows(features.pop(ROWS), features.pop(COLUMNS), features["input_ids"].shape[1])
        for listener in listeners:
            listener.begin(current)

    def after(module: torch.nn.Module, arguments: tuple[Any, ...], keywords: dict[str, Any], output: Any) -> None:
        nonlocal current
        rows, current = current, None
        # A loss may hand the same features to the model again.
        (arguments[0] if arguments else keywords["input"]).update({ROWS: rows.rows, COLUMNS: rows.columns})
        for listener in listeners:
            listener.end(rows, output["sentence_embedding"])

    hooks = [
        model.register_forward_pre_hook(before, with_kwargs=True),
        model.register_forward_hook(after, with_kwargs=True),
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
