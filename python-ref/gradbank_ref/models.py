"""Loading sentence-transformers models and naming their parameters."""

from __future__ import annotations

from pathlib import Path

import torch
from sentence_transformers import SentenceTransformer

from gradbank_ref.errors import InvalidParameters

DTYPES = {"float32": torch.float32, "float64": torch.float64}


def load(folder: str, dtype: str = "float32", attention: str = "eager") -> SentenceTransformer:
    """Load a model folder on the CPU, in eval mode.

    ``attention`` is transformers' attn_implementation: "eager" spells the computation out (and calls dropout visibly),
    "sdpa" is what users run by default.
    """
    if dtype not in DTYPES:
        raise InvalidParameters(f"dtype is {dtype!r}; expected one of {', '.join(DTYPES)}")
    if not Path(folder).is_dir():
        raise InvalidParameters(f"model folder {folder!r} does not exist or is not a folder")
    model = SentenceTransformer(folder, device="cpu", model_kwargs={"attn_implementation": attention})
    return model.to(DTYPES[dtype]).eval()


def named_parameters(model: SentenceTransformer) -> dict[str, torch.nn.Parameter]:
    """The transformer's parameters under the names that they have in model.safetensors."""
    return dict(model[0].model.named_parameters())
