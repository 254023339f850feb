"""Scores of a loss, caught where its softmax takes them: this works for any loss that calls torch's functions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from gradbank_ref.contaccum import DIRECTIONS


class ScoreRecord:
    """Matrices [rows, candidates] that a loss gives to ``logsumexp`` or ``cross_entropy``, in the order of calls."""

    def __init__(self) -> None:
        self._scores: list[Tensor] = []
        self._targets: list[Tensor | None] = []

    @contextmanager
    def active(self) -> Iterator[None]:
        """Catch the calls of a forward pass."""
        functional = torch.nn.functional
        functions = torch.logsumexp, torch.Tensor.logsumexp, functional.cross_entropy
        logsumexp, method, cross_entropy = functions

        def caught_logsumexp(input: Tensor, dim: Any, *arguments: Any, **keywords: Any) -> Tensor:
            self._keep(input, dim)
            return logsumexp(input, dim, *arguments, **keywords)

        def caught_method(input: Tensor, dim: Any, *arguments: Any, **keywords: Any) -> Tensor:
            self._keep(input, dim)
            return method(input, dim, *arguments, **keywords)

        def caught_cross_entropy(input: Tensor, target: Tensor, *arguments: Any, **keywords: Any) -> Tensor:
            self._keep(input, 1, target)
            return cross_entropy(input, target, *arguments, **keywords)

        torch.logsumexp = caught_logsumexp
        torch.Tensor.logsumexp = caught_method
        functional.cross_entropy = caught_cross_entropy
        try:
            yield
        finally:
            torch.logsumexp, torch.Tensor.logsumexp, functional.cross_entropy = functions

    def result(self, loss: torch.nn.Module) -> tuple[dict[str, Tensor], Tensor | None, str | None]:
        """Scores by direction ("" for the joint partition), labels (int64 [rows]), and why there is neither.

        Chunks of rows are put together. With ``loss.partition_mode`` "per_direction", a loss takes the softmax once a
        direction and chunk. Without a softmax over a matrix there are no scores, and no reason is given.
        """
        if not self._scores:
            return {}, None, None
        names = score_names(loss)
        if len(self._scores) % len(names):
            return {}, None, f"{len(self._scores)} softmaxes of a matrix cannot be of {len(names)} directions"
        scores = {}
        for index, name in enumerate(names):
            chunks = self._scores[index :: len(names)]
            widths = sorted({chunk.shape[1] for chunk in chunks})
            if len(widths) > 1:
                return {}, None, f"softmaxes of matrices with {widths} columns cannot be put together"
            scores[name] = torch.cat(chunks)
        rows = len(scores[names[0]])
        targets = [target for target in self._targets[:: len(names)] if target is not None]
        labels = torch.cat(targets) if targets else torch.arange(rows)
        if len(labels) != rows:
            return {}, None, f"{len(labels)} labels do not belong to {rows} rows"
        return scores, labels, None

    def _keep(self, scores: Tensor, dim: Any, target: Tensor | None = None) -> None:
        if scores.ndim != 2:
            return
        axes = tuple(axis % 2 for axis in (dim if isinstance(dim, Sequence) else (dim,)))
        if len(axes) != 1:
            return
        # A softmax down the columns has its rows there.
        rows = scores if axes == (1,) else scores.T
        self._scores.append(rows.detach().clone())
        whole = target is not None and target.ndim == 1 and not target.is_floating_point()
        self._targets.append(target.detach().clone() if whole else None)


def score_names(loss: torch.nn.Module) -> list[str]:
    """Names of a loss's softmaxes: its directions, in sentence-transformers' order, or "" alone."""
    if getattr(loss, "partition_mode", "joint") != "per_direction":
        return [""]
    return sorted(loss.directions, key=DIRECTIONS.index)
