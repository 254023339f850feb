"""Golden values of the losses in float64 (reference notes, section 4.6)."""

from typing import Any

import numpy as np
import pytest
from conftest import Client

CASES: list[tuple[str, dict[str, Any], int, float, float, float, list[float]]] = [
    ("default", {}, 2, 1.5416079018348965, -1.232036856754, 0.504203578299, [2.424066579361, 4.651633116174]),
    (
        "default, triplets",
        {},
        3,
        2.0590211581765203,
        -1.147799546316,
        0.509587202996,
        [2.270111409325, 4.707352981887, 0.351051832990],
    ),
    (
        "dot product",
        {"similarity_fct": "dot_score", "scale": 1.0},
        2,
        1.6124392852095415,
        0.095822387442,
        -0.195049805047,
        [0.405169884103, 0.545505518468],
    ),
    (
        "symmetric, per direction",
        {"scale": 50.0, "directions": ["query_to_doc", "doc_to_query"], "partition_mode": "per_direction"},
        2,
        2.17697464713787,
        -1.616132248433,
        0.642949669882,
        [4.829180157987, 6.398335234810],
    ),
    (
        "symmetric, joint",
        {"directions": ["query_to_doc", "doc_to_query"]},
        2,
        2.49349669899605,
        -1.342748903827,
        0.494189730269,
        [3.531277226176, 4.865342809457],
    ),
    (
        "all directions, joint, triplets",
        {"directions": ["query_to_doc", "query_to_query", "doc_to_query", "doc_to_doc"]},
        3,
        3.288227988355932,
        -1.284468534672,
        0.483913409137,
        [3.460592658374, 4.814372591306, 0.153013668103],
    ),
    (
        "in-batch hardness",
        {"hardness_mode": "in_batch_negatives", "hardness_strength": 9.0},
        3,
        9.879036893766646,
        -1.145260696673,
        0.514650877701,
        [2.549298883922, 5.000759910044, 0.250573133806],
    ),
    (
        "hard-negative hardness",
        {"hardness_mode": "hard_negatives", "hardness_strength": 5.0},
        3,
        3.7651835216041194,
        -1.147799546316,
        0.509902989316,
        [2.426292492640, 4.871157327234, 2.338485912210],
    ),
    (
        "all-negatives hardness",
        {"hardness_mode": "all_negatives", "hardness_strength": 5.0},
        3,
        6.389400933511423,
        -1.150101980251,
        0.514536844118,
        [2.462570544566, 4.935127321029, 0.728653834878],
    ),
]


def matrix(offset: int) -> np.ndarray:
    row, column = np.arange(4)[:, None], np.arange(5)[None, :]
    return np.sin(1.0 + offset + 7 * row + 3 * column)


@pytest.mark.parametrize("kind", ["MultipleNegativesRankingLoss", "CachedMultipleNegativesRankingLoss"])
@pytest.mark.parametrize(
    ("options", "columns", "loss", "anchor", "positive", "norms"),
    [case[1:] for case in CASES],
    ids=[case[0] for case in CASES],
)
def test_golden_values(
    client: Client,
    kind: str,
    options: dict[str, Any],
    columns: int,
    loss: float,
    anchor: float,
    positive: float,
    norms: list[float],
) -> None:
    extra = {"mini_batch_size": 3} if kind.startswith("Cached") else {}
    tensors = {f"column{column}": matrix(100 * column) for column in range(columns)}
    reply = client("embedding_loss", tensors, loss={"class": kind, "options": options | extra})
    assert reply.result["loss"] == pytest.approx(loss, rel=1e-12)
    assert reply.tensors["gradient0"][0, 0] == pytest.approx(anchor, rel=1e-10)
    assert reply.tensors["gradient1"][0, 0] == pytest.approx(positive, rel=1e-10)
    found = [np.linalg.norm(reply.tensors[f"gradient{column}"]) for column in range(columns)]
    assert found == pytest.approx(norms, rel=1e-10)
