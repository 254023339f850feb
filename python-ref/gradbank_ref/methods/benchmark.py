"""Methods that time training. A server has at most one benchmark; preparing another replaces it."""

from __future__ import annotations

from typing import Any

import torch

from gradbank_ref.benchmark import Benchmark, memory, reset_peak_memory
from gradbank_ref.errors import InvalidParameters
from gradbank_ref.evaluation import evaluate_retrieval
from gradbank_ref.losses import build_loss
from gradbank_ref.models import load
from gradbank_ref.session import Session
from gradbank_ref.training import Batches, check_batches
from gradbank_ref.wire import Reply, Tensors


def benchmark_prepare(
    session: Session,
    tensors: Tensors,
    *,
    folder: str,
    loss: dict[str, Any],
    batches: Batches,
    learning_rate: float,
    threads: int | None = None,
    dropout: bool = True,
    max_length: int | None = None,
    mini_batch_size: int | None = None,
    warmup_steps: int = 0,
    total_steps: int | None = None,
    max_grad_norm: float = 1.0,
    attention: str = "sdpa",
    seed: int = 42,
) -> Reply:
    """Load the model and make the optimizer; no step runs yet.

    ``mini_batch_size`` is a shorthand for that option of the cached loss. Attention is "sdpa" by default, the one that
    sentence-transformers picks by itself.
    """
    check_batches([f"column {index}" for index in range(len(batches[0][0]))] if batches and batches[0] else [], batches)
    if threads is not None:
        torch.set_num_threads(threads)
    session.benchmark = None
    torch.manual_seed(seed)
    model = load(folder, attention=attention)
    if max_length is not None:
        model.max_seq_length = max_length
    options = dict(loss.get("options") or {})
    if mini_batch_size is not None:
        options["mini_batch_size"] = mini_batch_size
    session.benchmark = Benchmark(
        model,
        build_loss(model, {**loss, "options": options}),
        batches,
        learning_rate=learning_rate,
        warmup_steps=warmup_steps,
        total_steps=total_steps,
        max_grad_norm=max_grad_norm,
        dropout=dropout,
    )
    return Reply({"threads": torch.get_num_threads(), "peak_reset": reset_peak_memory()})


def benchmark_round(session: Session, tensors: Tensors, *, steps: int) -> Reply:
    """Run the next steps; seconds and loss of each."""
    done = _benchmark(session).round(steps)
    return Reply({"seconds": done.seconds, "losses": done.losses})


def benchmark_memory(session: Session, tensors: Tensors) -> Reply:
    """Resident bytes of the server now, and its peak since benchmark_prepare."""
    now, peak = memory()
    return Reply({"resident": now, "peak": peak})


def benchmark_evaluate(
    session: Session,
    tensors: Tensors,
    *,
    queries: dict[str, str],
    corpus: dict[str, str],
    relevant_docs: dict[str, list[str]],
    name: str = "",
    options: dict[str, Any] | None = None,
) -> Reply:
    """Retrieval metrics with the benchmark's current weights; ``ndcg_at_10`` is its primary one."""
    metrics, _, _ = evaluate_retrieval(_benchmark(session).model, queries, corpus, relevant_docs, name, options)
    ndcg = next(value for key, value in metrics.items() if key.endswith("ndcg@10"))
    return Reply({"ndcg_at_10": ndcg, "metrics": metrics})


def _benchmark(session: Session) -> Benchmark:
    if session.benchmark is None:
        raise InvalidParameters("no benchmark is prepared; call benchmark_prepare first")
    return session.benchmark
