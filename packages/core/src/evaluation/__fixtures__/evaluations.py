"""Writes evaluations.jsonl: what sentence-transformers' InformationRetrievalEvaluator measures and writes.

Run with the environment of python-ref: python packages/core/src/evaluation/__fixtures__/evaluations.py
Each line holds one case. A text is its own embedding, in decimals, so that both sides score the same numbers; many
documents are copies of others, so that the order of ties counts.
"""

import pathlib
import tempfile
from json import dumps

import numpy as np
import torch
from sentence_transformers.sentence_transformer.evaluation import InformationRetrievalEvaluator
from sentence_transformers.util import cos_sim, dot_score

generator = np.random.default_rng(8)


class CardData:
    def set_evaluation_metrics(self, *arguments):
        pass


class ReadingModel:
    """Reads an embedding from its text."""

    similarity_fn_name = "cosine"
    similarity = staticmethod(cos_sim)
    model_card_data = CardData()

    def encode_query(self, texts, truncate_dim=None, **options):
        return read(texts)[:, :truncate_dim]

    encode_document = encode_query


def read(texts) -> torch.Tensor:
    return torch.tensor([[float(number) for number in text.split()] for text in texts])


def write_text(vector) -> str:
    return " ".join(f"{number:g}" for number in vector)


def make_texts(rows: int, dimension: int, is_whole: bool) -> list[str]:
    if is_whole:
        return [write_text(vector) for vector in generator.integers(-3, 4, (rows, dimension))]
    return [write_text(vector) for vector in generator.normal(size=(rows, dimension)).round(2)]


def make_ids(rows: int, prefix: str) -> list[str]:
    """Ids whose order is neither that of the rows nor that of UTF-16, and some that are numbers."""
    special = ["\ue000", "\U0001f642", "\uffff", "\ud7ff", "é", "Z", "a", "", "10", "9"]
    ids = special + [f"{prefix}{number}" for number in range(rows - len(special))]
    return [ids[index] for index in generator.permutation(rows)]


def run(name: str, rows: int, queries: int, dimension: int, is_whole: bool, relevant: int, **options) -> dict:
    texts = make_texts(rows, dimension, is_whole)
    for copy, original in generator.integers(0, rows, (rows, 2)):
        texts[copy] = texts[original]
    corpus = dict(zip(make_ids(rows, "d"), texts, strict=True))
    query_ids = make_ids(queries + 2, "q")
    query_texts = dict(zip(query_ids, make_texts(queries + 2, dimension, is_whole), strict=True))
    ids = list(corpus)
    scores = dot_score(read(query_texts.values()), read(texts)).numpy()
    # Mostly good documents, so that no metric stays zero.
    near = [np.argsort(-row, kind="stable")[: max(8, rows // 6)] for row in scores]
    relevant_docs = {
        query: sorted({ids[i] for i in generator.choice(near[row], generator.integers(1, relevant + 1))})
        for row, query in enumerate(query_ids[:queries])
    }
    relevant_docs[query_ids[queries]] = []
    relevant_docs["no such query"] = [ids[0]]
    relevant_docs[query_ids[0]].append("no such document")

    functions = {"cosine": cos_sim, "dot": dot_score}
    python_options = dict(options)
    if "score_functions" in options:
        python_options["score_functions"] = {key: functions[key] for key in options["score_functions"]}
    evaluator = InformationRetrievalEvaluator(
        query_texts, corpus, {key: set(value) for key, value in relevant_docs.items()}, name=name, **python_options
    )
    with tempfile.TemporaryDirectory() as folder:
        first = evaluator(ReadingModel(), output_path=folder)
        evaluator(ReadingModel(), output_path=folder, epoch=0.5, steps=11)
        (path,) = pathlib.Path(folder).iterdir()
        return {
            "name": name,
            "options": options,
            "queries": list(query_texts.items()),
            "corpus": list(corpus.items()),
            "relevantDocs": list(relevant_docs.items()),
            "metrics": first,
            "primaryMetric": evaluator.primary_metric,
            "fileName": path.name,
            "csv": path.read_text(),
        }


cases = [
    run("", rows=60, queries=12, dimension=6, is_whole=False, relevant=1),
    run("many-ties", rows=150, queries=15, dimension=2, is_whole=True, relevant=5, score_functions=["dot"]),
    run(
        "small-cutoffs",
        rows=40,
        queries=9,
        dimension=2,
        is_whole=True,
        relevant=4,
        score_functions=["dot"],
        corpus_chunk_size=7,
        mrr_at_k=[1, 3],
        ndcg_at_k=[5, 2],
        accuracy_at_k=[2],
        precision_recall_at_k=[4, 1],
        map_at_k=[3],
    ),
    run("few-documents", rows=11, queries=10, dimension=5, is_whole=False, relevant=3, corpus_chunk_size=4),
    run("both", rows=80, queries=10, dimension=5, is_whole=False, relevant=3, score_functions=["dot", "cosine"]),
    run(
        "main-dot",
        rows=80,
        queries=10,
        dimension=5,
        is_whole=False,
        relevant=3,
        score_functions=["dot", "cosine"],
        main_score_function="dot",
        truncate_dim=3,
    ),
]
path = pathlib.Path(__file__).with_suffix(".jsonl")
path.write_text("".join(dumps(case) + "\n" for case in cases))
