import csv
import io
from pathlib import Path

import numpy as np
import pytest
from conftest import TEXTS, Client

from gradbank_ref.errors import InvalidParameters


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


def test_similarity_metrics_and_csv_of_a_model(client: Client, model_folders: dict[str, Path]) -> None:
    model = client("load_model", folder=str(model_folders["bert"])).result["model"]
    options = {"sentences1": TEXTS[:4], "sentences2": [TEXTS[0], *TEXTS[5:8]], "scores": [5, 1, 2, 0.5], "name": "sts"}
    evaluator = {"class": "EmbeddingSimilarityEvaluator", "options": options}
    result = client("evaluate", model=model, evaluator=evaluator, progress=[{}, {"epoch": 0.5, "steps": 3}]).result
    first, second = result["metrics"]
    assert first == second
    assert set(first) == {"sts_pearson_cosine", "sts_spearman_cosine"}
    assert result["primary_metric"] == "sts_spearman_cosine"
    correlations = f"{first['sts_pearson_cosine']},{first['sts_spearman_cosine']}"
    assert result["files"] == {
        "similarity_evaluation_sts_results.csv": "epoch,steps,cosine_pearson,cosine_spearman\r\n"
        f"-1,-1,{correlations}\r\n0.5,3,{correlations}\r\n"
    }


def test_several_evaluators_of_given_embeddings(client: Client) -> None:
    embeddings = np.array([[1, 0, 0], [2, 1, 0], [0, 1, 5]], np.float32)
    triplet = {"anchors": ["a"], "positives": ["b"], "negatives": ["c"], "similarity_fn_names": ["dot", "manhattan"]}
    parts = [
        {"class": "TripletEvaluator", "options": triplet},
        {"class": "TripletEvaluator", "options": {**triplet, "name": "wide", "margin": 3, "truncate_dim": 2}},
    ]
    for main_score, expected in ((0, 1), (1, 0)):
        evaluator = {"class": "SequentialEvaluator", "options": {"evaluators": parts, "main_score": main_score}}
        result = client("evaluate", {"embeddings": embeddings}, texts=["a", "b", "c"], evaluator=evaluator).result
        assert result["primary_metric"] == "sequential_score"
        assert result["metrics"] == [
            {
                "dot_accuracy": 1,
                "manhattan_accuracy": 1,
                "max_accuracy": 1,
                "wide_dot_accuracy": 0,
                "wide_manhattan_accuracy": 0,
                "wide_max_accuracy": 0,
                "sequential_score": expected,
            }
        ]
    header = "epoch,steps,accuracy_dot,accuracy_manhattan\r\n"
    assert result["files"] == {
        "triplet_evaluation_results.csv": f"{header}-1,-1,1.0,1.0\r\n",
        "triplet_evaluation_wide_results.csv": f"{header}-1,-1,0.0,0.0\r\n",
    }


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"evaluator": {"class": "MSEEvaluator"}, "texts": ["a"]}, "there is no evaluator 'MSEEvaluator'"),
        ({"texts": ["a", "b"]}, r"2 texts came with embeddings of shape \(1, 2\)"),
        ({}, "either model, or texts"),
        ({"texts": ["a"], "model": "m"}, "either model, or texts"),
    ],
)
def test_evaluations_that_are_refused(client: Client, parameters: dict, message: str) -> None:
    options = {"anchors": ["a"], "positives": ["a"], "negatives": ["a"]}
    evaluator = {"class": "TripletEvaluator", "options": options}
    with pytest.raises(InvalidParameters, match=message):
        client("evaluate", {"embeddings": np.ones((1, 2), np.float32)}, **{"evaluator": evaluator, **parameters})
