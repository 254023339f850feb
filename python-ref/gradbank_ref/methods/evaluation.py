"""Methods that evaluate a model."""

from __future__ import annotations

from typing import Any

from gradbank_ref.errors import InvalidParameters
from gradbank_ref.evaluation import GivenEmbeddings, evaluate_retrieval, make_evaluator, run_evaluator
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


def evaluate(
    session: Session,
    tensors: Tensors,
    *,
    evaluator: dict[str, Any],
    model: str | None = None,
    texts: list[str] | None = None,
    similarity_fn_name: str = "cosine",
    progress: list[dict[str, float]] | None = None,
    max_length: int | None = None,
) -> Reply:
    """Metrics of every evaluation, the name of the primary one, and the CSV files that sentence-transformers wrote.

    ``evaluator`` holds ``class`` and ``options``; ``progress`` the epoch and steps of every evaluation (default: one
    evaluation without). What is evaluated is ``model``, or else the tensor ``embeddings``: one row for each of
    ``texts``, to be compared by ``similarity_fn_name``.
    """
    run = make_evaluator(evaluator)
    places = [{}] if progress is None else progress
    if (model is None) == (texts is None) or (texts is None) != (not tensors):
        raise InvalidParameters("evaluate needs either model, or texts and the tensor embeddings")
    if texts is not None:
        result = run_evaluator(run, GivenEmbeddings(texts, tensors["embeddings"], similarity_fn_name), places)
    else:
        encoder = session.model(model)
        with limited_length(encoder, max_length):
            result = run_evaluator(run, encoder, places)
    return Reply({"metrics": result.metrics, "primary_metric": result.primary_metric, "files": result.files})
