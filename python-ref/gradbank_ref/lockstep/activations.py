"""Outputs of the encoder's modules in one forward pass: the way along which a difference is traced."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import torch
from sentence_transformers import SentenceTransformer
from torch import Tensor

from gradbank_ref.dropout import GivenDropout, Masks
from gradbank_ref.marked_rows import mark, watched
from gradbank_ref.tokens import Features


def activations(model: SentenceTransformer, features: Features, masks: Masks | None) -> list[tuple[str, Tensor]]:
    """Name and output of every linear layer, layer normalisation and the embeddings' dropout, in the order of
    computation: [tokens, width], real tokens only, row after row. The last one is ``pooling``, [rows, dimension].

    What has no row for each token (a pooler) is left out: no embedding depends on it.
    """
    found: list[tuple[str, Tensor]] = []
    real = features["attention_mask"].bool()
    hooks = []
    for name, module in model[0].model.named_modules():
        if isinstance(module, torch.nn.Linear | torch.nn.LayerNorm) or name == "embeddings.dropout":

            def keep(module: torch.nn.Module, arguments: Any, output: Tensor, name: str = name) -> None:
                if output.shape[:2] == real.shape and output.ndim == 3:
                    found.append((name, output[real]))

            hooks.append(module.register_forward_hook(keep))
    model.eval()
    dropout = None if masks is None else GivenDropout(model, [masks], [features])
    listeners = [] if dropout is None else [dropout]
    try:
        with torch.no_grad(), nullcontext() if dropout is None else dropout.active(), watched(model, listeners):
            pooled = model(mark([features])[0])["sentence_embedding"]
    finally:
        for hook in hooks:
            hook.remove()
    return [*found, ("pooling", pooled)]
