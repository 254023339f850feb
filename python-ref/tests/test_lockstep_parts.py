"""Parts of lockstep by themselves: caught scores, copied state, reported numbers, recorded passes."""

import math
from collections import deque

import pytest
import torch
from torch import nn

from gradbank_ref.errors import InvalidParameters
from gradbank_ref.forward_record import ForwardRecord
from gradbank_ref.lockstep.loss_state import copy_state
from gradbank_ref.lockstep.report import Record, report
from gradbank_ref.lockstep.score_record import ScoreRecord
from gradbank_ref.lockstep.sketch import sketch
from gradbank_ref.marked_rows import ForwardRows


class Plain(nn.Module):
    pass


class PerDirection(nn.Module):
    partition_mode = "per_direction"
    directions = ("doc_to_query", "query_to_doc")


def test_scores_are_caught_in_every_way_of_calling() -> None:
    scores = torch.randn(3, 5, generator=torch.Generator().manual_seed(1))
    calls = [
        (lambda: torch.logsumexp(scores, 1), scores),
        (lambda: torch.logsumexp(input=scores, dim=-1, keepdim=True), scores),
        (lambda: torch.logsumexp(scores, [1]), scores),
        (lambda: scores.logsumexp(1), scores),
        (lambda: scores.logsumexp(dim=(-1,)), scores),
        (lambda: torch.logsumexp(scores.T, 0), scores),
        (lambda: nn.functional.cross_entropy(scores, torch.tensor([4, 0, 2])), scores),
        (lambda: nn.CrossEntropyLoss()(scores, target=torch.tensor([4, 0, 2])), scores),
        (lambda: nn.functional.cross_entropy(scores, scores.softmax(dim=1)), scores),
    ]
    for number, (call, expected) in enumerate(calls):
        record = ScoreRecord()
        with record.active():
            inside = call()
        assert torch.equal(inside, call())
        found, labels, reason = record.result(Plain())
        assert reason is None
        assert torch.equal(found[""], expected), number
        assert labels.tolist() == ([4, 0, 2] if number in (6, 7) else [0, 1, 2])
    for call in (lambda: torch.logsumexp(scores[0], 0), lambda: torch.logsumexp(scores, (0, 1))):
        record = ScoreRecord()
        with record.active():
            call()
        assert record.result(Plain()) == ({}, None, None)


def test_chunks_and_directions_are_put_together() -> None:
    first, second = torch.randn(5, 4), torch.randn(5, 7)
    record = ScoreRecord()
    with record.active():
        for begin in (0, 2, 4):
            torch.logsumexp(first[begin : begin + 2], 1)
            nn.functional.cross_entropy(second[begin : begin + 2], torch.arange(begin, min(begin + 2, 5)))
    found, labels, _ = record.result(PerDirection())
    assert list(found) == ["query_to_doc", "doc_to_query"]
    assert torch.equal(found["query_to_doc"], first)
    assert torch.equal(found["doc_to_query"], second)
    assert labels.tolist() == [0, 1, 2, 3, 4]
    with record.active():
        torch.logsumexp(first, 1)
    assert record.result(PerDirection())[2] == "7 softmaxes of a matrix cannot be of 2 directions"


def test_state_is_copied_in_the_models_precision() -> None:
    def loss(dtype: torch.dtype) -> nn.Module:
        module = nn.Module()
        module.model = nn.Linear(2, 2).to(dtype)
        module.inner = nn.Module()
        module.register_buffer("queue", torch.zeros(2, dtype=dtype))
        return module

    source, target = loss(torch.float32), loss(torch.float64)
    source.queue += 0.5
    source.rows = deque([torch.ones(2), torch.zeros(1)], maxlen=3)
    source.table = {"ids": [(torch.tensor([1, 2]), "a", None)], 3: 1.5}
    source.inner.steps = 7
    source.function = target.function = len
    source.mixed = [torch.ones(1), len]
    target.mixed = untouched = object()
    copy_state(source, target, source.model, target.model)
    assert target.queue.tolist() == [0.5, 0.5]
    assert target.queue.dtype == torch.float64
    assert (target.rows.maxlen, [row.dtype for row in target.rows]) == (3, [torch.float64] * 2)
    assert target.table["ids"][0][0].tolist() == [1, 2]
    assert target.table["ids"][0][1:] == ("a", None)
    assert target.inner.steps == 7
    assert target.mixed is untouched
    assert target.model.weight.dtype == torch.float64
    source.rows[0].add_(1)
    assert target.rows[0].tolist() == [1, 1]
    assert not torch.equal(source.model.weight.double(), target.model.weight)


def test_reports_count_what_is_no_number() -> None:
    double = torch.tensor([3.0, 4.0, -math.inf], dtype=torch.float64)
    single = torch.tensor([3.5, 4.0, -math.inf])
    records = [
        Record("scores", "masked", single, double),
        Record("scores", "one-sided", single, torch.tensor([3.0, 4.0, 1.0], dtype=torch.float64)),
        Record("loss", "infinite", single, double),
        Record("loss", "none", torch.tensor([1.0, math.nan])),
        Record("bank", "empty", torch.zeros(0, 3), torch.zeros(0, 3, dtype=torch.float64)),
    ]
    entries, frames = report(records, None)
    masked, one_sided, infinite, none, empty = entries
    assert (masked["norm"], masked["non_finite"]) == (5.0, 0)
    assert masked["noise"] == {"max": 0.5, "rms": pytest.approx(0.5 / math.sqrt(3))}
    assert one_sided["noise"] is None
    assert (infinite["non_finite"], infinite["noise"]) == (1, None)
    assert (none["non_finite"], none["noise"]) == (1, None)
    assert (empty["norm"], empty["noise"], empty["shape"]) == (0.0, {"max": 0.0, "rms": 0.0}, [0, 3])
    assert frames["value.0"].tolist() == [3.0, 4.0, -math.inf]
    assert frames["value.4"].shape == (0, 3)


def test_sketches_notice_what_norms_do_not() -> None:
    values = torch.randn(1000, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    swapped = values.clone()
    swapped[[300, 301]] = values[[301, 300]]
    difference = (sketch(values) - sketch(swapped)).abs()
    assert sketch(values).shape == (4,)
    assert (difference > 1e-3).tolist() == [False, True, False, False]
    assert torch.equal(sketch(values.reshape(10, 100)), sketch(values))
    assert torch.allclose(sketch(2 * values), 2 * sketch(values))
    assert sketch(torch.zeros(0)).shape == (0,)


def test_rows_are_put_where_they_belong() -> None:
    """Two columns in shuffled mini-batches, a merged one, one row twice in a pass, and a third pass."""
    record = ForwardRecord([3, 2])
    rows = torch.arange(10.0).reshape(5, 2).requires_grad_()

    def forward(places: list[tuple[int, int]], values: torch.Tensor) -> None:
        record.end(
            ForwardRows(torch.tensor([row for _, row in places]), torch.tensor([column for column, _ in places]), 4),
            values,
        )

    forward([(0, 2)], rows[:1].detach())
    with pytest.raises(InvalidParameters, match=r"column 0 without its rows \[0, 1\]"):
        record.columns()
    forward([(0, 1), (1, 0), (0, 0)], rows[1:4].detach())
    forward([(1, 1)], rows[4:].detach())
    assert record.columns() == [0, 1]
    assert record.embeddings(0).tolist() == rows[[3, 1, 0]].tolist()
    assert record.embeddings(1).tolist() == rows[[2, 4]].tolist()
    assert (record.replayed(0), record.replayed(1)) == (None, None)
    again = rows * 3
    forward([(0, 0), (0, 0), (0, 1), (0, 2), (1, 0)], again)
    assert record.replayed(0).tolist() == again[[0, 2, 3]].tolist()
    assert record.replayed(1) is None
    (again.sum(dim=1) * torch.tensor([1.0, 2.0, 4.0, 8.0, 16.0])).sum().mul(0.5).backward()
    gradients = record.gradients(scale=0.5)
    assert gradients[0].tolist() == [[3, 3], [4, 4], [8, 8]]
    assert gradients[1].tolist() == [[16, 16], [0, 0]]
