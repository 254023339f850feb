"""The pull request's loss against the written-out formula, forward by forward, and under the real trainer."""

from collections import deque
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import TEXTS, Client, column_tensors

from gradbank_ref.contaccum import Bank, RankingOptions, contaccum_loss
from gradbank_ref.pull_request_3612 import PullRequest3612Loss
from gradbank_ref.tokens import column_features

# A batch of 3, one of 2, ...: rows enter and leave with their batch.
SIZES = [3, 3, 2, 3, 3]


def features_of(client: Client, model: str, rows: int, columns: int, shift: int) -> list[dict[str, torch.Tensor]]:
    texts = [[TEXTS[(shift + row * columns + column) % len(TEXTS)] for row in range(rows)] for column in range(columns)]
    return column_features(client.session.model(model), column_tensors(client, model, texts), columns)


@pytest.mark.parametrize("prev_cache", [True, False])
@pytest.mark.parametrize("columns", [2, 3])
def test_it_is_the_formula_over_a_deque_of_batches(
    client: Client, model_folders: dict[str, Path], columns: int, prev_cache: bool
) -> None:
    handle = client("load_model", folder=str(model_folders["bert"]), dtype="float64").result["model"]
    model = client.session.model(handle)
    loss = PullRequest3612Loss(model, mini_batch_size=2, use_cont_accum=True, cache_size=2, prev_cache=prev_cache)
    batches: deque[list[torch.Tensor]] = deque(maxlen=2)
    for number, rows in enumerate(SIZES):
        features = features_of(client, handle, rows, columns, shift=3 * number)
        model.zero_grad()
        value = loss([dict(column) for column in features])
        value.backward()
        gradient = model[0].model.embeddings.word_embeddings.weight.grad.clone()

        model.zero_grad()
        embeddings = [model(dict(column))["sentence_embedding"] for column in features]
        normalized = [torch.nn.functional.normalize(column.detach(), dim=1) for column in embeddings]
        bank = Bank([torch.cat(column) for column in zip(*batches, strict=True)]) if batches else None
        formula = contaccum_loss(embeddings, bank, RankingOptions())
        formula.backward()
        assert float(value.detach()) == pytest.approx(float(formula.detach()), rel=1e-12)
        expected = model[0].model.embeddings.word_embeddings.weight.grad
        torch.testing.assert_close(gradient, expected, rtol=1e-9, atol=1e-12)
        assert expected.abs().max() > 1e-3

        batches.append(normalized)
        assert loss.cached_rows == sum(len(batch[0]) for batch in batches)
        if number == 1:
            loss.on_optimizer_step()
            if not prev_cache:
                batches.clear()
            assert loss.cached_rows == (6 if prev_cache else 0)


def test_without_cont_accum_it_is_the_installed_loss(client: Client, model_folders: dict[str, Path]) -> None:
    handle = client("load_model", folder=str(model_folders["bert"])).result["model"]
    tensors = column_tensors(client, handle, [TEXTS[:5], TEXTS[3:8]])
    replies = [
        client("loss_step", tensors, model=handle, loss={"class": name, "options": {"mini_batch_size": 2}}, columns=2)
        for name in ("PullRequest3612", "CachedMultipleNegativesRankingLoss")
    ]
    assert replies[0].result["loss"] == pytest.approx(replies[1].result["loss"], rel=1e-6)
    for name, value in replies[1].tensors.items():
        assert replies[0].tensors[name] == pytest.approx(value, rel=1e-4, abs=1e-6), name


def test_evaluation_reads_and_fills_the_cache_unless_the_loss_itself_is_told(
    client: Client, model_folders: dict[str, Path]
) -> None:
    """The pull request's defect: its guard is the loss's training flag, which no trainer switches."""
    handle = client("load_model", folder=str(model_folders["bert"])).result["model"]
    loss = PullRequest3612Loss(client.session.model(handle), use_cont_accum=True, cache_size=4)
    batch = [features_of(client, handle, 3, 2, shift) for shift in (0, 4)]
    with torch.no_grad():
        alone = float(loss(batch[0]))
        assert loss.cached_rows == 3
        assert float(loss(batch[0])) > alone + 0.1
        assert loss.cached_rows == 6
        loss.eval()
        assert float(loss(batch[0])) == pytest.approx(alone, rel=1e-6)
        assert loss.cached_rows == 6


@pytest.mark.parametrize("cache_size", [None, 0, -1])
def test_a_cache_needs_a_size(client: Client, model_folders: dict[str, Path], cache_size: int | None) -> None:
    handle = client("load_model", folder=str(model_folders["bert"])).result["model"]
    with pytest.raises(ValueError, match=f"cache_size is {cache_size}; with use_cont_accum"):
        PullRequest3612Loss(client.session.model(handle), use_cont_accum=True, cache_size=cache_size)


@pytest.mark.parametrize("prev_cache", [True, False])
def test_the_trainer_resets_it_after_each_optimizer_step(
    client: Client, model_folders: dict[str, Path], prev_cache: bool
) -> None:
    """The same batch again and again at learning rate 0: only the cache changes the loss."""
    batches = [[[TEXTS[row], TEXTS[row + 3]] for row in range(4)]] * 6
    options: dict[str, Any] = {"use_cont_accum": True, "cache_size": 4, "prev_cache": prev_cache, "mini_batch_size": 3}
    reply = client(
        "train",
        folder=str(model_folders["bert"]),
        loss={"class": "PullRequest3612", "options": options},
        columns=["anchor", "positive"],
        batches=batches,
        arguments={"learning_rate": 0.0, "gradient_accumulation_steps": 2},
        every_step=True,
    )
    losses = reply.result["batch_losses"]
    if prev_cache:
        assert all(after > before + 0.1 for before, after in pairwise(losses[:5]))
        assert losses[5] == pytest.approx(losses[4], rel=1e-6)
    else:
        assert losses[::2] == pytest.approx([losses[0]] * 3, rel=1e-6)
        assert losses[1::2] == pytest.approx([losses[1]] * 3, rel=1e-6)
        assert losses[1] > losses[0] + 0.1


def test_the_weights_of_every_step(client: Client, model_folders: dict[str, Path]) -> None:
    batches = [[[TEXTS[row + shift], TEXTS[row + 3]] for row in range(4)] for shift in range(4)]
    shared: dict[str, Any] = {
        "folder": str(model_folders["bert"]),
        "loss": {"class": "MultipleNegativesRankingLoss"},
        "columns": ["anchor", "positive"],
    }
    whole = client("train", **shared, batches=batches, arguments={"learning_rate": 1e-3}, every_step=True)
    name = "encoder.layer.0.output.dense.weight"
    assert [f"steps.{step}.{name}" in whole.tensors for step in range(5)] == [True] * 4 + [False]
    assert (whole.tensors[f"steps.3.{name}"] == whole.tensors[f"parameters.{name}"]).all()
    begun = client(
        "train", **shared, batches=batches[:2], arguments={"learning_rate": 1e-3, "lr_scheduler_type": "constant"}
    )
    constant = client(
        "train",
        **shared,
        batches=batches,
        arguments={"learning_rate": 1e-3, "lr_scheduler_type": "constant"},
        every_step=True,
    )
    assert constant.tensors[f"steps.1.{name}"] == pytest.approx(begun.tensors[f"parameters.{name}"], abs=1e-7)
    assert abs(constant.tensors[f"steps.1.{name}"] - constant.tensors[f"steps.2.{name}"]).max() > 1e-4
