from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import TEXTS, Client, column_tensors

from gradbank_ref.errors import InvalidParameters

PLAIN = {"class": "MultipleNegativesRankingLoss"}
BATCHES = [
    [[TEXTS[0], TEXTS[5]], [TEXTS[1], TEXTS[6]], [TEXTS[2], TEXTS[7]]],
    [[TEXTS[3], TEXTS[1]], [TEXTS[4], TEXTS[2]]],
    [[TEXTS[5], TEXTS[0]], [TEXTS[6], TEXTS[3]], [TEXTS[7], TEXTS[4]], [TEXTS[2], TEXTS[1]]],
    [[TEXTS[1], TEXTS[4]], [TEXTS[0], TEXTS[2]]],
]
ARGUMENTS = {"learning_rate": 1e-3, "warmup_steps": 1, "weight_decay": 0.1, "max_grad_norm": 0.5}


def steps_by_hand(client: Client, folder: Path, accumulation: int) -> tuple[dict[str, np.ndarray], list[float]]:
    """Clipping, AdamW and schedule in numpy, from the gradients of loss_step."""
    model = client("load_model", folder=str(folder)).result["model"]
    weights = {name: value.astype(np.float64) for name, value in client("parameters", model=model).tensors.items()}
    first = {name: np.zeros_like(value) for name, value in weights.items()}
    second = {name: np.zeros_like(value) for name, value in weights.items()}
    losses = []
    total = len(BATCHES) // accumulation
    graded: set[str] = set()
    for step in range(total):
        gradients = {name: np.zeros_like(value) for name, value in weights.items()}
        for batch in BATCHES[step * accumulation : (step + 1) * accumulation]:
            tensors = column_tensors(client, model, [list(column) for column in zip(*batch, strict=True)])
            reply = client("loss_step", tensors, model=model, loss=PLAIN, columns=2, scale=1 / accumulation)
            losses.append(reply.result["loss"])
            for name in gradients:
                if name in reply.tensors:
                    graded.add(name)
                    gradients[name] += reply.tensors[name]
        norm = np.sqrt(sum((value**2).sum() for value in gradients.values()))
        factor = min(1, 0.5 / (norm + 1e-6))
        rate = 1e-3 * (step if step < 1 else (total - step) / (total - 1))
        for name in graded:
            gradient = gradients[name] * factor
            first[name] = 0.9 * first[name] + 0.1 * gradient
            second[name] = 0.999 * second[name] + 0.001 * gradient**2
            if name.endswith("weight") and "LayerNorm" not in name:
                weights[name] *= 1 - rate * 0.1
            corrected = np.sqrt(second[name] / (1 - 0.999 ** (step + 1))) + 1e-8
            weights[name] -= rate / (1 - 0.9 ** (step + 1)) * first[name] / corrected
        client("set_parameters", {name: value.astype(np.float32) for name, value in weights.items()}, model=model)
    return weights, losses


@pytest.mark.parametrize("accumulation", [1, 2])
def test_the_trainer_takes_the_given_batches_in_order(
    client: Client, model_folders: dict[str, Path], accumulation: int
) -> None:
    arguments = {**ARGUMENTS, "gradient_accumulation_steps": accumulation}
    reply = client(
        "train",
        folder=str(model_folders["bert"]),
        loss=PLAIN,
        columns=["anchor", "positive"],
        batches=BATCHES,
        arguments=arguments,
    )
    expected, losses = steps_by_hand(client, model_folders["bert"], accumulation)
    assert reply.result["steps"] == len(BATCHES) // accumulation
    assert reply.result["batch_losses"] == pytest.approx(losses, rel=1e-4)
    assert set(reply.tensors) == set(expected)
    start = client("parameters", model=client("load_model", folder=str(model_folders["bert"])).result["model"]).tensors
    moved = 0.0
    for name, value in expected.items():
        # Adam turns a gradient that is zero but for rounding (the keys' biases) into a step of full size.
        if name.endswith("attention.self.key.bias"):
            continue
        np.testing.assert_allclose(reply.tensors[name], value, atol=2e-5, err_msg=name)
        moved = max(moved, np.abs(reply.tensors[name] - start[name]).max())
    assert moved > 3e-4


def test_the_log_has_every_step(client: Client, model_folders: dict[str, Path]) -> None:
    arguments: dict[str, Any] = {"learning_rate": 1e-3, "warmup_ratio": 0.25, "max_steps": 4}
    reply = client(
        "train",
        folder=str(model_folders["mpnet"]),
        loss={"class": "CachedMultipleNegativesRankingLoss", "options": {"mini_batch_size": 2}},
        columns=["a", "b"],
        batches=BATCHES,
        arguments=arguments,
        dropout=True,
    )
    steps = [entry for entry in reply.result["log_history"] if "grad_norm" in entry]
    assert [entry["step"] for entry in steps] == [1, 2, 3, 4]
    assert [entry["learning_rate"] for entry in steps] == pytest.approx([0, 1e-3, 1e-3 * 2 / 3, 1e-3 / 3])
    assert [entry["loss"] for entry in steps] == pytest.approx(reply.result["batch_losses"], abs=1e-4)


def test_ragged_rows_are_refused(client: Client, model_folders: dict[str, Path]) -> None:
    with pytest.raises(InvalidParameters, match=r"batch 0, row 0 has 1 texts; expected 2: a, b"):
        client(
            "train",
            folder=str(model_folders["bert"]),
            loss=PLAIN,
            columns=["a", "b"],
            batches=[[["x"]]],
            arguments={},
        )


def test_benchmark_steps_are_the_trainers(client: Client, model_folders: dict[str, Path]) -> None:
    folder = str(model_folders["bert"])
    trained = client(
        "train",
        folder=folder,
        loss=PLAIN,
        columns=["a", "b"],
        batches=BATCHES,
        arguments={"learning_rate": 1e-3, "warmup_steps": 1},
        attention="sdpa",
    )
    prepared = client(
        "benchmark_prepare",
        folder=folder,
        loss=PLAIN,
        batches=BATCHES,
        learning_rate=1e-3,
        warmup_steps=1,
        total_steps=4,
        threads=1,
        dropout=False,
    )
    assert prepared.result["threads"] == 1
    rounds = [client("benchmark_round", steps=2).result for _ in range(2)]
    assert [len(done["seconds"]) for done in rounds] == [2, 2]
    assert all(second > 0 for done in rounds for second in done["seconds"])
    assert [loss for done in rounds for loss in done["losses"]] == pytest.approx(
        trained.result["batch_losses"], rel=1e-5
    )
    memory = client("benchmark_memory").result
    assert 50e6 < memory["resident"] <= memory["peak"]
    evaluated = client(
        "benchmark_evaluate",
        queries={"q": TEXTS[0]},
        corpus={"d1": TEXTS[0], "d2": TEXTS[1]},
        relevant_docs={"q": ["d1"]},
    )
    assert evaluated.result["ndcg_at_10"] == 1


def test_a_benchmark_must_be_prepared(client: Client) -> None:
    with pytest.raises(InvalidParameters, match="call benchmark_prepare first"):
        client("benchmark_round", steps=1)
