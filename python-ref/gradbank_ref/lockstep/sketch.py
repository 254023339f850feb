"""Sketches: one number for every 256 elements of a tensor, by which large tensors are compared.

A sum with weights of different sizes and signs: elements that are swapped, scaled or replaced change it. The same as in
packages/bridge/src/comparison/sketch.ts.
"""

from __future__ import annotations

import torch
from torch import Tensor

BLOCK = 256


def _weight(i: int) -> float:
    size = (i * 2654435761 % 2**32) / 2**32 + 0.5
    return -size if (i * 2246822519 % 2**32).bit_count() % 2 else size


WEIGHTS = torch.tensor([_weight(i) for i in range(1, BLOCK + 1)], dtype=torch.float64)


def sketch(values: Tensor) -> Tensor:
    """Sketch of a tensor of any shape: float64 [blocks], the last block filled up with zeros."""
    flat = values.reshape(-1).to(torch.float64)
    rest = -len(flat) % BLOCK
    if rest:
        flat = torch.nn.functional.pad(flat, (0, rest))
    return flat.view(-1, BLOCK) @ WEIGHTS
