"""Methods that evaluate a model."""

from __future__ import annotations

from typing import Any

from gradbank_ref.evaluation import evaluate_retrieval
from gradbank_ref.session import Session
from gradbank_ref.tokens import limited_length
from gradbank_ref.wire import Reply, Tensors


def information_retrieval(
    session: Session,
    tensors: Tensors,
    *,
    model: str,
    queries: dict[str, str],
    corpus: dict[str, str],
    relevant_docs: dict[str, list[str]],
    name: str = "",
    options: dict[str, Any] | None = None,
    max_length: int | None = None,
) -> Reply:
    """Metrics by key, and the CSV that sentence-transformers wrote (its name and text)."""
    encoder = session.model(model)
    with limited_length(encoder, max_length):
        metrics, csv, csv_file = evaluate_retrieval(encoder, queries, corpus, relevant_docs, name, options)
    return Reply({"metrics": metrics, "csv": csv, "csv_file": csv_file})
