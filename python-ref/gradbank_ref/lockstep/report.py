"""Tensors on their way to the client: their norms, their rounding, and whole or as a sketch."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gradbank_ref.lockstep.sketch import BLOCK, sketch
from gradbank_ref.wire import Tensors

_PIECE = 128 * BLOCK


@dataclass(frozen=True)
class Record:
    """One tensor in float32 and, where it could be computed, in float64.

    ``replay_equal``: for a replay, whether it repeats the first pass bit by bit.
    """

    stage: str
    name: str
    single: Tensor
    double: Tensor | None = None
    replay_equal: bool | None = None


def report(records: Iterable[Record], whole: int | None) -> tuple[list[dict[str, Any]], Tensors]:
    """Entries ``{stage, name, shape, norm, non_finite, noise, sketch_noise, sent}`` and their frames.

    Frame ``value.<i>`` or ``sketch.<i>`` belongs to entry i: float64, or float32 values where there is no other. Frames
    may be views of weights that the next step changes.

    Args:
        whole: tensors of more elements are sketched; None: none is.
    """
    entries: list[dict[str, Any]] = []
    frames: Tensors = {}
    for index, record in enumerate(records):
        entry, kind, frame = _measure(record, whole)
        entries.append(entry)
        frames[f"{kind}.{index}"] = frame.contiguous().numpy()
    return entries, frames


def _measure(record: Record, whole: int | None) -> tuple[dict[str, Any], str, Tensor]:
    single, double = record.single, record.double
    value = single if double is None else double
    sketched = whole is not None and value.numel() > whole
    noisy = double is not None and record.stage != "labels"
    sums = _sums(record, value, single if noisy else None)
    norm = float(torch.linalg.vector_norm(sums.norms))
    entry: dict[str, Any] = {
        "stage": record.stage,
        "name": record.name,
        "shape": list(value.shape),
        "norm": norm,
        "non_finite": 0 if math.isfinite(norm) else _count_non_finite(record.stage, value),
        "noise": sums.noise(value.numel()) if noisy else None,
        "sketch_noise": _noise_of(sums.noise_sketch) if noisy and sketched else None,
        "sent": "sketch" if sketched else "value",
    }
    if record.replay_equal is not None:
        entry["replay_equal"] = record.replay_equal
    if sketched:
        return entry, "sketch", sums.sketch
    return entry, "value", value if value.is_floating_point() else value.to(torch.float64)


@dataclass(frozen=True)
class _Sums:
    """Norms of a tensor's pieces, largest differences and norms of the differences, and sketches of both."""

    norms: Tensor
    largest: Tensor
    distances: Tensor
    sketch: Tensor
    noise_sketch: Tensor

    def noise(self, elements: int) -> dict[str, float] | None:
        distance = float(torch.linalg.vector_norm(self.distances))
        return _finite_noise(float(self.largest.max()), distance / math.sqrt(max(elements, 1)))


def _sums(record: Record, value: Tensor, single: Tensor | None) -> _Sums:
    """All sums in one pass over the tensor; pieces of it fit into the processor's cache."""
    nothing = torch.zeros(1, dtype=torch.float64)
    norms, largest, distances, sketches, noise_sketches = [nothing], [nothing], [nothing], [], []
    scores = record.stage == "scores"
    flat, rounded = value.reshape(-1), None if single is None else single.reshape(-1)
    for begin in range(0, len(flat), _PIECE):
        raw = flat[begin : begin + _PIECE].to(torch.float64)
        # Minus infinity marks what is no candidate: it counts as nothing, here and in the sketch.
        masked = raw.isneginf() if scores else None
        piece = raw if masked is None else raw.masked_fill(masked, 0)
        norms.append(torch.linalg.vector_norm(piece, keepdim=True))
        sketches.append(sketch(piece))
        if rounded is None:
            continue
        # In float64, to which torch promotes the two.
        difference = rounded[begin : begin + _PIECE] - raw
        if masked is not None:
            difference = difference.masked_fill(masked & rounded[begin : begin + _PIECE].isneginf(), 0)
        largest.append(torch.linalg.vector_norm(difference, math.inf, keepdim=True))
        distances.append(torch.linalg.vector_norm(difference, keepdim=True))
        # A sketch is linear: the difference of sketches is the sketch of the difference.
        noise_sketches.append(sketch(difference))
    return _Sums(
        torch.cat(norms),
        torch.cat(largest),
        torch.cat(distances),
        torch.cat(sketches or [nothing[:0]]),
        torch.cat(noise_sketches or [nothing[:0]]),
    )


def _noise_of(differences: Tensor) -> dict[str, float] | None:
    rms = float(torch.linalg.vector_norm(differences)) / math.sqrt(max(len(differences), 1))
    return _finite_noise(float(differences.abs().max()), rms)


def _finite_noise(largest: float, rms: float) -> dict[str, float] | None:
    """None where the two results differ by what is no number: that measures nothing."""
    return {"max": largest, "rms": rms} if math.isfinite(largest) and math.isfinite(rms) else None


def _count_non_finite(stage: str, value: Tensor) -> int:
    wrong = ~value.isfinite()
    return int((wrong & ~value.isneginf() if stage == "scores" else wrong).sum())
