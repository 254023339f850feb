"""The written-out formula: golden values (reference notes, section 4.6), and the installed losses where they agree."""

from typing import Any

import numpy as np
import pytest
from conftest import Client

from gradbank_ref.errors import InvalidParameters

GOLDEN: list[tuple[str, int, bool, float, float, float, list[float]]] = [
    ("pairs", 2, True, 2.4341565751124685, -0.509962694547, 0.203425540113, [1.014688715133, 1.926467593875]),
    (
        "triplets",
        3,
        True,
        3.022801987323705,
        -0.472936699896,
        0.204784508921,
        [1.025257026702, 1.946885564229, 0.148281127520],
    ),
    (
        "documents only, pairs",
        2,
        False,
        2.32190333015423,
        -1.274906736368,
        0.508746433590,
        [2.536721787833, 4.813368492778],
    ),
    (
        "documents only, triplets",
        3,
        False,
        3.0769814423023485,
        -1.182341749740,
        0.512057110567,
        [2.563142566754, 4.867113380171, 0.156611783983],
    ),
]


def matrix(offset: int, rows: int = 4) -> np.ndarray:
    row, column = np.arange(rows)[:, None], np.arange(5)[None, :]
    return np.sin(1.0 + offset + 7 * row + 3 * column)


def normalized(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def golden_tensors(columns: int) -> dict[str, np.ndarray]:
    current = {f"column{column}": matrix(100 * column) for column in range(columns)}
    return current | {f"bank{column}": normalized(matrix(1000 + 100 * column, rows=6)) for column in range(columns)}


@pytest.mark.parametrize(
    ("columns", "cache_queries", "loss", "anchor", "positive", "norms"),
    [case[1:] for case in GOLDEN],
    ids=[case[0] for case in GOLDEN],
)
def test_golden_values(
    client: Client,
    columns: int,
    cache_queries: bool,
    loss: float,
    anchor: float,
    positive: float,
    norms: list[float],
) -> None:
    reply = client("contaccum_loss", golden_tensors(columns), options={"cache_queries": cache_queries})
    assert reply.result["loss"] == pytest.approx(loss, rel=1e-12)
    assert reply.tensors["gradient0"][0, 0] == pytest.approx(anchor, rel=1e-10)
    assert reply.tensors["gradient1"][0, 0] == pytest.approx(positive, rel=1e-10)
    found = [np.linalg.norm(reply.tensors[f"gradient{column}"]) for column in range(columns)]
    assert found == pytest.approx(norms, rel=1e-10)


ALL_DIRECTIONS = ["query_to_doc", "query_to_query", "doc_to_query", "doc_to_doc"]
OPTIONS: list[dict[str, Any]] = [
    {},
    {"similarity_fct": "dot_score", "scale": 1.0},
    {"directions": ["query_to_doc", "doc_to_query"], "partition_mode": "per_direction", "scale": 50.0},
    {"directions": ALL_DIRECTIONS},
    *(
        {"directions": ALL_DIRECTIONS, "hardness_mode": mode, "hardness_strength": 5.0}
        for mode in ("in_batch_negatives", "hard_negatives", "all_negatives")
    ),
]


@pytest.mark.parametrize("columns", [2, 4])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_without_a_bank_it_is_the_installed_loss(client: Client, options: dict[str, Any], columns: int) -> None:
    tensors = {f"column{column}": matrix(100 * column, rows=7) for column in range(columns)}
    formula = client("contaccum_loss", tensors, options=options)
    for kind in ("MultipleNegativesRankingLoss", "CachedMultipleNegativesRankingLoss"):
        extra = {"mini_batch_size": 3} if kind.startswith("Cached") else {}
        installed = client("embedding_loss", tensors, loss={"class": kind, "options": options | extra})
        assert formula.result["loss"] == pytest.approx(installed.result["loss"], rel=1e-12)
        for name, value in installed.tensors.items():
            np.testing.assert_allclose(formula.tensors[name], value, atol=1e-12, rtol=1e-10, err_msg=name)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_the_bank_is_the_rest_of_a_larger_batch(client: Client, options: dict[str, Any]) -> None:
    """With cached queries as rows, the loss is that of batch and bank as one batch; so are the batch's gradients."""
    cosine = options.get("similarity_fct") != "dot_score"
    rows = {f"column{column}": matrix(100 * column, rows=7) for column in range(3)}
    whole = client("embedding_loss", rows, loss={"class": "MultipleNegativesRankingLoss", "options": options})
    split = {name: value[:3] for name, value in rows.items()} | {
        name.replace("column", "bank"): normalized(value[3:]) if cosine else value[3:] for name, value in rows.items()
    }
    reply = client("contaccum_loss", split, options=options)
    assert reply.result["loss"] == pytest.approx(whole.result["loss"], rel=1e-12)
    current = client("contaccum_loss", split, options=options | {"row_weighting": "current"})
    assert current.result["loss"] == pytest.approx(whole.result["loss"] * 7 / 3, rel=1e-12)
    for name, value in whole.tensors.items():
        np.testing.assert_allclose(reply.tensors[name], value[:3], atol=1e-12, rtol=1e-10, err_msg=name)
        np.testing.assert_allclose(current.tensors[name], value[:3] * 7 / 3, atol=1e-12, rtol=1e-10, err_msg=name)


def test_duplicates_are_out_when_one_of_the_two_is_cached(client: Client) -> None:
    """By hand, with dot products of numbers. Texts: the bank's first positive is the batch's first anchor; the batch's
    second negative is the bank's second anchor; both rows of the batch have one negative, which stays."""
    values = {"column0": [1.0, 2.0], "column1": [0.5, -1.0], "column2": [0.2, 0.3]}
    values |= {"bank0": [-0.5, 1.5], "bank1": [0.7, 0.1], "bank2": [0.4, -0.2]}
    texts = {"column0": [1, 2], "column1": [3, 4], "column2": [5, 7], "bank0": [6, 7], "bank1": [1, 9], "bank2": [8, 8]}
    tensors = {name: np.array(value)[:, None] for name, value in values.items()}
    tensors |= {f"{name}.texts": np.array(value) for name, value in texts.items()}
    reply = client("contaccum_loss", tensors, options={"similarity_fct": "dot_score", "scale": 1.0})

    anchors = values["column0"] + values["bank0"]
    documents = [*values["column1"], *values["bank1"], *values["column2"], *values["bank2"]]
    left_out = {(0, 2), (3, 5)}
    losses = [
        np.log(sum(np.exp(anchor * x) for place, x in enumerate(documents) if (row, place) not in left_out))
        - anchor * documents[row]
        for row, anchor in enumerate(anchors)
    ]
    assert reply.result["loss"] == pytest.approx(np.mean(losses), rel=1e-12)


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        ({"bank1": None}, {}, "the bank has 1 columns, the batch 2"),
        ({"bank1": np.zeros((5, 5))}, {}, r"have \[5, 6\] rows"),
        ({"bank0.texts": np.zeros(6, np.int64), "bank1.texts": np.zeros(6, np.int64)}, {}, "on one side only"),
        ({}, {"directions": ["doc_to_query"]}, "expected query_to_doc"),
        ({}, {"row_weighting": "none"}, "row_weighting is 'none'"),
        ({}, {"mini_batch_size": 3}, "unexpected keyword argument 'mini_batch_size'"),
    ],
)
def test_what_does_not_fit_is_refused(
    client: Client, change: dict[str, Any], options: dict[str, Any], message: str
) -> None:
    tensors = {name: value for name, value in (golden_tensors(2) | change).items() if value is not None}
    with pytest.raises(InvalidParameters, match=message):
        client("contaccum_loss", tensors, options=options)
