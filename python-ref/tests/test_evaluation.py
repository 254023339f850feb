import csv
import io
from pathlib import Path

import pytest
from conftest import TEXTS, Client


def test_retrieval_metrics_and_csv(client: Client, model_folders: dict[str, Path]) -> None:
    model = client("load_model", folder=str(model_folders["bert"])).result["model"]
    corpus = {f"d{index}": text for index, text in enumerate(TEXTS)}
    queries = {"q0": TEXTS[0], "q1": TEXTS[1]}
    relevant = {"q0": ["d0"], "q1": ["d1"]}
    reply = client(
        "information_retrieval", model=model, queries=queries, corpus=corpus, relevant_docs=relevant, name="x"
    )
    assert reply.result["metrics"]["x_cosine_ndcg@10"] == 1
    assert reply.result["metrics"]["x_cosine_precision@5"] == pytest.approx(0.2)
    assert reply.result["csv_file"] == "Information-Retrieval_evaluation_x_results.csv"
    header, row = csv.reader(io.StringIO(reply.result["csv"]))
    assert header[:3] == ["epoch", "steps", "cosine-Accuracy@1"]
    assert float(row[header.index("cosine-NDCG@10")]) == 1

    worse = client(
        "information_retrieval",
        model=model,
        queries=queries,
        corpus={key: text for key, text in corpus.items() if key not in ("d0",)},
        relevant_docs={"q0": ["d0"], "q1": ["d1"]},
        options={"ndcg_at_k": [3], "batch_size": 4},
    ).result["metrics"]
    assert worse["cosine_ndcg@3"] == pytest.approx(0.5)
