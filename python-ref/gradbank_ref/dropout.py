"""Dropout with masks that the caller gives.

In train mode, every call of ``torch.nn.functional.dropout`` inside a forward pass takes the mask of the next dropout
site. Masks arrive per column, for all its rows, padded to its longest text; each forward pass says which rows of which
column it computes (two extra features that a pre-hook removes), and their part of the mask is cut out. This works for
the mini-batches of the cached loss (each of its two passes), and for sentence-transformers 6.2's merged forward pass of
several columns.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from sentence_transformers import SentenceTransformer
from transformers import PreTrainedConfig

from gradbank_ref.errors import DropoutMismatch
from gradbank_ref.tokens import Features

ROWS, COLUMNS = "dropout_rows", "dropout_columns"


@dataclass(frozen=True)
class DropoutSite:
    """One place where a model drops out.

    ``kind`` "attention" has masks [rows, heads, length, length], "hidden" has [rows, length, hidden size].
    """

    name: str
    kind: str
    rate: float


def dropout_sites(config: PreTrainedConfig) -> list[DropoutSite]:
    """The dropout sites of an architecture, in the order of computation.

    DistilBERT has no dropout after its attention's output projection; the other architectures have one.
    """
    distilbert = config.model_type == "distilbert"
    hidden = config.dropout if distilbert else config.hidden_dropout_prob
    attention = config.attention_dropout if distilbert else config.attention_probs_dropout_prob
    layers = config.n_layers if distilbert else config.num_hidden_layers
    sites = [DropoutSite("embeddings", "hidden", hidden)]
    for layer in range(layers):
        sites.append(DropoutSite(f"layer{layer}.attention", "attention", attention))
        if not distilbert:
            sites.append(DropoutSite(f"layer{layer}.attention_output", "hidden", hidden))
        sites.append(DropoutSite(f"layer{layer}.output", "hidden", hidden))
    return sites


class GivenDropout:
    """Feeds given masks (uint8, 1 = keep) to the dropout calls of a model.

    Args:
        model: a model loaded with eager attention.
        columns: per column, one mask for every dropout site by name. A site of rate 0 needs none.
    """

    def __init__(self, model: SentenceTransformer, columns: list[Mapping[str, torch.Tensor]]) -> None:
        self.model = model
        self.columns = columns
        self.sites = dropout_sites(model[0].config)
        self._pending: list[tuple[DropoutSite, torch.Tensor | None]] | None = None
        self._seen: list[set[int]] = [set() for _ in columns]
        for column, masks in enumerate(columns):
            self._check_names(column, masks)

    def mark(self, features: list[Features]) -> list[Features]:
        """Add to every column's features which rows they are, and check the masks' shapes against them."""
        for column, own in enumerate(features):
            rows, width = own["input_ids"].shape
            for site in self.sites:
                mask = self.columns[column].get(site.name)
                if mask is not None:
                    self._check_shape(column, site, mask, rows, width)
            own[ROWS] = torch.arange(rows)
            own[COLUMNS] = torch.full((rows,), column)
        return features

    @contextmanager
    def active(self) -> Iterator[None]:
        """Put the model in train mode and serve the masks; afterwards check that every row was served."""
        functional = torch.nn.functional
        original, was_training = functional.dropout, self.model.training
        hooks = [
            self.model.register_forward_pre_hook(self._begin_forward),
            self.model.register_forward_hook(self._end_forward),
        ]
        functional.dropout = self._dropout
        self.model.train()
        try:
            yield
        finally:
            functional.dropout = original
            self.model.train(was_training)
            for hook in hooks:
                hook.remove()
        for column, seen in enumerate(self._seen):
            rows = next((len(mask) for mask in self.columns[column].values()), 0)
            missing = sorted(set(range(rows)) - seen)
            if missing:
                raise DropoutMismatch(f"no forward pass used the masks of column {column}, rows {missing}")

    def _begin_forward(self, module: torch.nn.Module, arguments: tuple[Any, ...]) -> None:
        features = arguments[0]
        rows, columns = features.pop(ROWS, None), features.pop(COLUMNS, None)
        if rows is None or columns is None:
            raise DropoutMismatch("a forward pass does not say which rows it computes; call mark() on its features")
        width = features["input_ids"].shape[1]
        for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
            self._seen[column].add(row)
        self._pending = [(site, self._cut(site, rows, columns, width)) for site in self.sites]

    def _end_forward(self, module: torch.nn.Module, arguments: tuple[Any, ...], output: Any) -> None:
        left = [site.name for site, _ in self._pending or []]
        self._pending = None
        if left:
            raise DropoutMismatch(f"a forward pass called dropout too seldom: the masks of {', '.join(left)} are left")

    def _cut(self, site: DropoutSite, rows: torch.Tensor, columns: torch.Tensor, width: int) -> torch.Tensor | None:
        parts = []
        for column in columns.unique_consecutive().tolist():
            mask = self.columns[column].get(site.name)
            if mask is None:
                return None
            part = mask[rows[columns == column]]
            axes = (1,) if site.kind == "hidden" else (2, 3)
            for axis in axes:
                part = part.narrow(axis, 0, min(width, part.shape[axis]))
                if part.shape[axis] < width:
                    # A merged forward pads this column to a wider one; padding reaches no embedding, so keep it.
                    shape = list(part.shape)
                    shape[axis] = width - shape[axis]
                    part = torch.cat([part, part.new_ones(shape)], dim=axis)
            parts.append(part)
        return torch.cat(parts)

    def _dropout(
        self, input: torch.Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
    ) -> torch.Tensor:
        if not self._pending:
            raise DropoutMismatch(
                f"dropout of a tensor of shape {list(input.shape)} was called beyond the {len(self.sites)} known "
                "sites of a forward pass"
            )
        site, mask = self._pending.pop(0)
        if not training or inplace or p != site.rate:
            raise DropoutMismatch(
                f"site {site.name} was called with p={p}, training={training}, inplace={inplace}; expected "
                f"p={site.rate}, training, not in place"
            )
        if mask is None:
            return input
        if mask.shape != input.shape:
            raise DropoutMismatch(
                f"site {site.name} drops out a tensor of shape {list(input.shape)}, its mask has {list(mask.shape)}"
            )
        return input * (mask.to(input.dtype) / (1 - p))

    def _check_names(self, column: int, masks: Mapping[str, torch.Tensor]) -> None:
        needed = {site.name for site in self.sites if site.rate > 0}
        known = {site.name for site in self.sites}
        missing, unknown = sorted(needed - set(masks)), sorted(set(masks) - known)
        if missing or unknown:
            raise DropoutMismatch(
                f"column {column}: missing masks: {', '.join(missing) or 'none'}; unknown masks: "
                f"{', '.join(unknown) or 'none'}; the model's sites: {', '.join(site.name for site in self.sites)}"
            )
        for site in self.sites:
            if site.rate == 0 and site.name in masks and not bool(masks[site.name].all()):
                raise DropoutMismatch(f"column {column}: site {site.name} has rate 0 but its mask drops values")

    def _check_shape(self, column: int, site: DropoutSite, mask: torch.Tensor, rows: int, width: int) -> None:
        config = self.model[0].config
        expected = (
            [rows, config.num_attention_heads, width, width]
            if site.kind == "attention"
            else [rows, width, config.hidden_size]
        )
        if list(mask.shape) != expected:
            raise DropoutMismatch(
                f"column {column}: the mask of {site.name} has shape {list(mask.shape)}; expected {expected}"
            )
