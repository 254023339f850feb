"""Dropout with masks that the caller gives.

In train mode, every call of ``torch.nn.functional.dropout`` inside a forward pass takes the mask of the next dropout
site. Masks arrive per column, for all its rows, padded to its longest text; each forward pass says which rows of which
column it computes (``marked_rows``), and their part of the mask is cut out. This works for the mini-batches of the
cached loss (each of its two passes), and for sentence-transformers 6.2's merged forward pass of several columns.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from sentence_transformers import SentenceTransformer
from transformers import PreTrainedConfig

from gradbank_ref.errors import DropoutMismatch, InvalidParameters
from gradbank_ref.marked_rows import ForwardRows
from gradbank_ref.tokens import Features
from gradbank_ref.wire import Tensors

Masks = Mapping[str, torch.Tensor]
"""Masks of one column, by the site's name."""


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


def masks_of(tensors: Tensors, columns: int) -> list[Masks] | None:
    """The masks among the tensors ``column<c>.input_ids``, ``.lengths`` and ``.dropout.<site>``, one map a column; None
    when there is no mask."""
    masks: list[dict[str, torch.Tensor]] = [{} for _ in range(columns)]
    for name, value in tensors.items():
        parts = re.fullmatch(r"column(\d+)\.(input_ids|lengths|dropout\.(.+))", name)
        if parts is None or int(parts[1]) >= columns:
            raise InvalidParameters(f"tensor {name!r} belongs to none of the {columns} columns")
        if parts[3] is None:
            continue
        if value.dtype != "uint8" or value.max(initial=0) > 1:
            raise InvalidParameters(
                f"tensor {name!r} is {value.dtype} up to {value.max(initial=0)}; expected uint8, 0 or 1"
            )
        masks[int(parts[1])][parts[3]] = torch.from_numpy(value)
    return list(masks) if any(masks) else None


class GivenDropout:
    """Feeds given masks (uint8, 1 = keep) to the dropout calls of a model. It listens to the model's forward passes
    (``marked_rows.watched``).

    Args:
        model: a model loaded with eager attention.
        columns: per column, one mask for every dropout site by name. A site of rate 0 needs none.
        features: the columns' features, against which the masks' shapes are checked.
    """

    def __init__(self, model: SentenceTransformer, columns: Sequence[Masks], features: Sequence[Features]) -> None:
        self.model = model
        self.columns = columns
        self.sites = dropout_sites(model[0].config)
        self._pending: list[tuple[DropoutSite, torch.Tensor | None]] | None = None
        self._seen: list[set[int]] = [set() for _ in columns]
        for column, (masks, own) in enumerate(zip(columns, features, strict=True)):
            self._check_names(column, masks)
            for site in self.sites:
                if site.name in masks:
                    self._check_shape(column, site, masks[site.name], *own["input_ids"].shape)

    @contextmanager
    def active(self) -> Iterator[None]:
        """Put the model in train mode and serve the masks; afterwards check that every row was served."""
        functional = torch.nn.functional
        original, was_training = functional.dropout, self.model.training
        functional.dropout = self._dropout
        self.model.train()
        try:
            yield
        finally:
            functional.dropout = original
            self.model.train(was_training)
        for column, seen in enumerate(self._seen):
            rows = next((len(mask) for mask in self.columns[column].values()), 0)
            missing = sorted(set(range(rows)) - seen)
            if missing:
                raise DropoutMismatch(f"no forward pass used the masks of column {column}, rows {missing}")

    def begin(self, rows: ForwardRows) -> None:
        """Cut out the masks of a forward pass."""
        for row, column in zip(rows.rows.tolist(), rows.columns.tolist(), strict=True):
            self._seen[column].add(row)
        self._pending = [(site, self._cut(site, rows)) for site in self.sites]

    def end(self, rows: ForwardRows, embeddings: torch.Tensor) -> None:
        """Check that a forward pass took all its masks."""
        left = [site.name for site, _ in self._pending or []]
        self._pending = None
        if left:
            raise DropoutMismatch(f"a forward pass called dropout too seldom: the masks of {', '.join(left)} are left")

    def _cut(self, site: DropoutSite, rows: ForwardRows) -> torch.Tensor | None:
        width = rows.width
        parts = []
        for column in rows.columns.unique_consecutive().tolist():
            mask = self.columns[column].get(site.name)
            if mask is None:
                return None
            part = mask[rows.rows[rows.columns == column]]
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

    def _check_names(self, column: int, masks: Masks) -> None:
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
