"""The real InformationRetrievalEvaluator of sentence-transformers."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.evaluation import InformationRetrievalEvaluator


def evaluate_retrieval(
    model: SentenceTransformer,
    queries: dict[str, str],
    corpus: dict[str, str],
    relevant_docs: dict[str, list[str]],
    name: str = "",
    options: dict[str, Any] | None = None,
) -> tuple[dict[str, float], str, str]:
    """All metrics, the text of the CSV file that the evaluator wrote, and the name of that file.

    ``options`` are further keyword arguments of the evaluator (batch_size, corpus_chunk_size, mrr_at_k, ...).
    """
    evaluator = InformationRetrievalEvaluator(
        queries,
        corpus,
        {query: set(documents) for query, documents in relevant_docs.items()},
        name=name,
        **(options or {}),
    )
    with tempfile.TemporaryDirectory() as folder:
        metrics = evaluator(model, output_path=folder)
        file = Path(folder) / evaluator.csv_file
        return {key: float(value) for key, value in metrics.items()}, file.read_bytes().decode(), file.name
