"""Writes mixed.safetensors, expected-mixed.json and float32.safetensors with the PyPI package safetensors (and torch)."""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file

here = Path(__file__).parent
special = [
    0.0,
    -0.0,
    1.0,
    -1.5,
    65504.0,
    6.103515625e-05,
    5.960464477539063e-08,
    float("inf"),
    float("-inf"),
    0.333251953125,
]
tensors = {
    "f64": torch.tensor([[0.1, -2.5e300], [1e-320, 3.0]], dtype=torch.float64),
    "f32": torch.tensor([[0.1, 1e-45, 3.4028234663852886e38]], dtype=torch.float32),
    "f16": torch.tensor(special, dtype=torch.float16),
    "bf16": torch.tensor([*special, 3.0e38], dtype=torch.bfloat16),
    "embeddings.position_ids": torch.arange(5, dtype=torch.int64).reshape(1, 5) - 2,
    "i32": torch.tensor([-7, 2**31 - 1], dtype=torch.int32),
    "u8": torch.tensor([[0], [255]], dtype=torch.uint8),
    "scalar": torch.tensor(2.5),
    "empty": torch.zeros(0, 3),
    'ü "quoted"\n': torch.tensor([4.0]),
}
save_file(tensors, here / "mixed.safetensors", metadata={"format": "pt", "note": "grün"})


def number(value: float) -> float | str:
    # JSON has no infinities; these are the words that JavaScript's Number understands.
    return {float("inf"): "Infinity", float("-inf"): "-Infinity"}.get(value, value)


expected = {
    name: {
        "dtype": str(tensor.dtype).removeprefix("torch."),
        "shape": list(tensor.shape),
        "values": [
            number(value)
            for value in (tensor.to(torch.float32) if tensor.is_floating_point() else tensor).flatten().tolist()
        ],
    }
    for name, tensor in tensors.items()
}
here.joinpath("expected-mixed.json").write_text(json.dumps(expected) + "\n")

save_file(
    {
        "encoder.layer.10.weight": torch.arange(6, dtype=torch.float32).reshape(2, 3) / 7,
        "encoder.layer.2.weight": torch.tensor([[-1.25]]),
        "Z": torch.tensor(9.0),
        "é": torch.tensor([1.0, 2.0]),
        "nothing": torch.zeros(2, 0),
    },
    here / "float32.safetensors",
    metadata={"format": "pt"},
)

save_file(
    {
        "b.f32": torch.tensor([1.5, -0.0]),
        "a.f64": torch.tensor([[0.1], [-2.5e300], [float("inf")]], dtype=torch.float64),
        "z.i64": torch.tensor([2**62, -1], dtype=torch.int64),
        "c.i32": torch.tensor([-7], dtype=torch.int32),
        "a.u8": torch.tensor([3, 255, 0], dtype=torch.uint8),
        "a.i64": torch.tensor(5, dtype=torch.int64),
    },
    here / "typed.safetensors",
)
