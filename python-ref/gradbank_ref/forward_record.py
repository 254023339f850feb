"""What a loss's forward passes made: embeddings of each column, their repetitions, and the loss's gradients."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gradbank_ref.errors import InvalidParameters
from gradbank_ref.marked_rows import ForwardRows


@dataclass(frozen=True)
class _WithGradient:
    rows: ForwardRows
    embeddings: Tensor


class ForwardRecord:
    """Collects embeddings by column and row, whatever the loss does with mini-batches and merged columns.

    A row that comes again belongs to another pass: the second one of GradCache is its replay.

    Args:
        rows: rows of each column.
    """

    def __init__(self, rows: Sequence[int]) -> None:
        self._rows = list(rows)
        self._counts = [[0] * count for count in rows]
        self._passes: list[list[Tensor]] = [[] for _ in rows]
        self._with_gradient: list[_WithGradient] = []

    def begin(self, rows: ForwardRows) -> None:
        """Nothing is to be done before a forward pass."""

    def end(self, rows: ForwardRows, embeddings: Tensor) -> None:
        """Keep a forward pass's embeddings."""
        if embeddings.requires_grad:
            embeddings.retain_grad()
            self._with_gradient.append(_WithGradient(rows, embeddings))
        places: dict[tuple[int, int], tuple[list[int], list[int]]] = defaultdict(lambda: ([], []))
        for index, (row, column) in enumerate(zip(rows.rows.tolist(), rows.columns.tolist(), strict=True)):
            number = self._counts[column][row]
            self._counts[column][row] += 1
            target, source = places[column, number]
            target.append(row)
            source.append(index)
        detached = embeddings.detach()
        for (column, number), (target, source) in places.items():
            passes = self._passes[column]
            if number == len(passes):
                passes.append(detached.new_zeros(self._rows[column], detached.shape[1]))
            passes[number][target] = detached[source]

    def columns(self) -> list[int]:
        """Columns that the loss embedded.

        Raises:
            InvalidParameters: it embedded some rows of a column only.
        """
        for column, counts in enumerate(self._counts):
            missing = [row for row, count in enumerate(counts) if count == 0]
            if missing and len(missing) < len(counts):
                raise InvalidParameters(
                    f"the loss embedded column {column} without its rows {missing}; expected all rows or none"
                )
        return [column for column, passes in enumerate(self._passes) if passes]

    def embeddings(self, column: int) -> Tensor:
        """Embeddings of a column's first pass, [rows, dimension]."""
        return self._passes[column][0]

    def replayed(self, column: int) -> Tensor | None:
        """Embeddings of a column's last pass; None where not every row came more than once."""
        times = min(self._counts[column])
        return self._passes[column][times - 1] if times > 1 else None

    def gradients(self, scale: float = 1.0) -> dict[int, Tensor]:
        """Gradient of the loss with respect to each column's embeddings, after ``backward`` with the factor ``scale``,
        which is divided out. Columns without one are left out."""
        sums: dict[int, Tensor] = {}
        for each in self._with_gradient:
            gradient = each.embeddings.grad
            if gradient is None:
                continue
            for column in each.rows.columns.unique().tolist():
                here = each.rows.columns == column
                if column not in sums:
                    sums[column] = torch.zeros_like(self._passes[column][0])
                sums[column].index_add_(0, each.rows.rows[here], gradient[here])
        return {column: sums[column] / scale for column in sorted(sums)}
