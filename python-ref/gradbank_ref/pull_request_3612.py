"""The loss of sentence-transformers' pull request 3612 (ContAccum on GradCache), in its own semantics.

Told from its behaviour, defects included, on top of the installed CachedMultipleNegativesRankingLoss: what it caches,
counts and weighs must be comparable step by step. gradbank's own losses do otherwise where the pull request errs.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import torch
from sentence_transformers.sentence_transformer.losses import CachedMultipleNegativesRankingLoss
from sentence_transformers.util import cos_sim
from torch import Tensor
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments


class PullRequest3612Loss(CachedMultipleNegativesRankingLoss):
    """CachedMultipleNegativesRankingLoss whose rows and candidates are the batch and the batches cached before it.

    Args:
        model, scale, similarity_fct, mini_batch_size, show_progress_bar: as in the installed loss. The pull request
            knows one direction, queries to documents, and no hardness.
        use_cont_accum: cache batches at all.
        cache_size: forward passes kept per column, whatever their rows; None means 0.
        prev_cache: keep them over optimizer steps. Otherwise ``on_optimizer_step`` forgets them, so that only the
            batches of one accumulation group see each other.

    Raises:
        ValueError: ``use_cont_accum`` without a positive ``cache_size``.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        scale: float = 20.0,
        similarity_fct: Callable[[Tensor, Tensor], Tensor] = cos_sim,
        mini_batch_size: int = 32,
        show_progress_bar: bool = False,
        use_cont_accum: bool = False,
        cache_size: int | None = None,
        prev_cache: bool = False,
    ) -> None:
        super().__init__(
            model,
            scale=scale,
            similarity_fct=similarity_fct,
            mini_batch_size=mini_batch_size,
            show_progress_bar=show_progress_bar,
        )
        self.use_cont_accum = use_cont_accum
        self.cache_size = 0 if cache_size is None else cache_size
        self.prev_cache = prev_cache
        if use_cont_accum and self.cache_size <= 0:
            raise ValueError(f"cache_size is {cache_size}; with use_cont_accum it must be a positive integer")
        self._query_cache: deque[Tensor] | None = None
        self._candidate_caches: list[deque[Tensor]] = []
        self._empty: list[Tensor] = []
        self._forwarded: list[Tensor] = []

    @property
    def cached_rows(self) -> int:
        """Queries in the cache."""
        return sum(len(batch) for batch in self._query_cache or ())

    def bank_columns(self) -> list[Tensor] | None:
        """Cached rows of each column, oldest first; None when nothing is to be cached, [] before the first batch.

        The cache holds embeddings as the model gave them. With cosine similarity they are normalised here, so that they
        compare with those of a bank that keeps normalised rows.
        """
        if not self.use_cont_accum:
            return None
        if self._query_cache is None:
            return []
        columns = [
            torch.cat([empty, *cache])
            for empty, cache in zip(self._empty, (self._query_cache, *self._candidate_caches), strict=True)
        ]
        if self.similarity_fct is not cos_sim:
            return columns
        return [torch.nn.functional.normalize(column, dim=1) for column in columns]

    def reset_cont_cache(self) -> None:
        """Forget all cached batches."""
        for cache in (self._query_cache, *self._candidate_caches):
            if cache is not None:
                cache.clear()

    def on_optimizer_step(self) -> None:
        """To be called after each optimizer step."""
        if self.use_cont_accum and not self.prev_cache:
            self.reset_cont_cache()

    def forward(self, sentence_features: Iterable[dict[str, Tensor]], labels: Tensor | None = None) -> Tensor:
        value = super().forward(sentence_features, labels)
        # The trainer never switches the loss to evaluation, only the model: evaluation batches are cached, too.
        if self.use_cont_accum and self.training:
            self._push(self._forwarded)
        self._forwarded = []
        return value

    def calculate_loss(
        self, reps: list[list[Tensor]], labels: Tensor | None = None, *, with_backward: bool = False
    ) -> Tensor:
        queries, *columns = (torch.cat(chunks) for chunks in reps)
        self._forwarded = [column.detach().clone() for column in (queries, *columns)]
        caches: list[Iterable[Tensor]] = []
        if self.use_cont_accum and self.training and self._query_cache:
            queries = torch.cat([queries, *self._query_cache])
            caches = [*self._candidate_caches]
        # A column that the first batch did not have was never cached.
        cached = [*caches, *([()] * (len(columns) - len(caches)))]
        candidates = torch.cat(
            [part for column, earlier in zip(columns, cached, strict=False) for part in (column, *earlier)]
        )
        rows = len(queries)
        parts = []
        for begin in range(0, rows, self.mini_batch_size):
            scores = self.similarity_fct(queries[begin : begin + self.mini_batch_size], candidates) * self.scale
            own = torch.arange(begin, begin + len(scores), device=scores.device)
            part = torch.nn.functional.cross_entropy(scores, own) * (len(scores) / rows)
            if with_backward:
                part.backward()
                part = part.detach()
            parts.append(part)
        return torch.stack(parts).sum()

    def get_config_dict(self) -> dict[str, Any]:
        return {
            **super().get_config_dict(),
            "use_cont_accum": self.use_cont_accum,
            "cache_size": self.cache_size,
            "prev_cache": self.prev_cache,
        }

    def _push(self, columns: list[Tensor]) -> None:
        if self._query_cache is None:
            self._query_cache = deque(maxlen=self.cache_size)
            self._candidate_caches = [deque(maxlen=self.cache_size) for _ in columns[1:]]
            self._empty = [column[:0] for column in columns]
        for cache, column in zip((self._query_cache, *self._candidate_caches), columns, strict=False):
            cache.append(column)


class OptimizerStepCallback(TrainerCallback):
    """Tells a loss of each optimizer step: after the update, before logging and evaluation."""

    def __init__(self, loss: PullRequest3612Loss) -> None:
        self.loss = loss

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **keywords: Any
    ) -> None:
        self.loss.on_optimizer_step()
