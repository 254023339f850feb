"""The real evaluators of sentence-transformers."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.evaluation import BaseEvaluator
from sentence_transformers.base.evaluation.sequential import SequentialEvaluator
from sentence_transformers.sentence_transformer.evaluation import (
    EmbeddingSimilarityEvaluator,
    InformationRetrievalEvaluator,
    TripletEvaluator,
)

from gradbank_ref.errors import InvalidParameters

EVALUATORS: dict[str, type[BaseEvaluator]] = {
    "EmbeddingSimilarityEvaluator": EmbeddingSimilarityEvaluator,
    "TripletEvaluator": TripletEvaluator,
}


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


@dataclass
class Evaluation:
    """What an evaluator gave and wrote."""

    metrics: list[dict[str, float]]
    """One dictionary an evaluation."""
    primary_metric: str
    files: dict[str, str]
    """The text of every CSV file by its name, after all evaluations."""


class GivenEmbeddings:
    """Stands in for a model: every text has a given embedding."""

    def __init__(self, texts: list[str], embeddings: np.ndarray, similarity_fn_name: str) -> None:
        if embeddings.ndim != 2 or len(embeddings) != len(texts):
            raise InvalidParameters(
                f"{len(texts)} texts came with embeddings of shape {embeddings.shape}; expected one row a text"
            )
        self.similarity_fn_name = similarity_fn_name
        self.model_card_data = self
        self._embeddings = dict(zip(texts, embeddings, strict=True))

    def encode(self, texts: list[str], truncate_dim: int | None = None, **options: Any) -> np.ndarray:
        return np.stack([self._embeddings[text][:truncate_dim] for text in texts])

    encode_query = encode_document = encode

    def set_evaluation_metrics(self, *arguments: Any) -> None:
        """There is no model card."""


def make_evaluator(specification: dict[str, Any]) -> BaseEvaluator:
    """An evaluator of ``class`` with the keyword arguments ``options``.

    Of a SequentialEvaluator, ``evaluators`` are specifications, and ``main_score`` is the index of the score that it
    takes (default: the last).
    """
    name, options = specification["class"], specification.get("options") or {}
    if name == "SequentialEvaluator":
        evaluators = [make_evaluator(part) for part in options["evaluators"]]
        index = options.get("main_score", -1)
        return SequentialEvaluator(evaluators, main_score_function=lambda scores: scores[index])
    if name not in EVALUATORS:
        known = ", ".join([*EVALUATORS, "SequentialEvaluator"])
        raise InvalidParameters(f"there is no evaluator {name!r}; evaluators: {known}")
    return EVALUATORS[name](**options)


def run_evaluator(
    evaluator: BaseEvaluator, model: SentenceTransformer | GivenEmbeddings, progress: list[dict[str, float]]
) -> Evaluation:
    """Evaluates once for every entry of ``progress`` (``epoch`` and ``steps``, or neither), into the same folder."""
    # The Trainer's epoch is a float, also where it is whole.
    places = [{**place, "epoch": float(place["epoch"])} if "epoch" in place else place for place in progress]
    with tempfile.TemporaryDirectory() as folder:
        results = [evaluator(model, output_path=folder, **place) for place in places]
        # Bytes, as reading text would hide which line ends were written.
        files = {file.name: file.read_bytes().decode() for file in sorted(Path(folder).iterdir())}
    metrics = [{key: float(value) for key, value in result.items()} for result in results]
    return Evaluation(metrics, evaluator.primary_metric, files)
