"""Writes permutations.jsonl, the orders of torch and numpy that mersenne-twister.test.ts and pcg64.test.ts expect.

Run with the environment of python-ref: python packages/core/src/random/__fixtures__/permutations.py
Short orders are stored whole, long ones as the SHA-256 of their little-endian int32 bytes.
"""

import hashlib
import json
import pathlib

import numpy as np
import torch

SEEDS = [0, 1, 12, 42, 43, 2**31, 2**32 - 1, 2**32 + 5, 2**53 - 1]
LENGTHS = [0, 1, 2, 3, 10, 33, 623, 625, 1000, 70_000, 300_001]


def record(order: np.ndarray) -> dict:
    order = order.astype("<i4")
    entry = {"length": len(order), "sha256": hashlib.sha256(order.tobytes()).hexdigest()}
    if len(order) <= 33:
        entry["order"] = order.tolist()
    return entry


def torch_entries(seed: int) -> list[dict]:
    entries = []
    for length in LENGTHS:
        generator = torch.Generator().manual_seed(seed)
        first = record(torch.randperm(length, generator=generator).numpy())
        second = record(torch.randperm(length, generator=generator).numpy())
        entries.append({**first, "seed": seed, "again": second["sha256"]})
    return entries


def numpy_entries(seed: int) -> list[dict]:
    entries = []
    for length in LENGTHS:
        generator = np.random.default_rng(seed)
        first = record(generator.permutation(length))
        second = record(generator.permutation(length))
        entries.append({**first, "seed": seed, "again": second["sha256"]})
    return entries


entries = [{"library": "torch", **entry} for seed in SEEDS for entry in torch_entries(seed)]
entries += [{"library": "numpy", **entry} for seed in SEEDS for entry in numpy_entries(seed)]
path = pathlib.Path(__file__).with_suffix(".jsonl")
path.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
print(f"torch {torch.__version__}, numpy {np.__version__}: {len(entries)} orders in {path.name}")
