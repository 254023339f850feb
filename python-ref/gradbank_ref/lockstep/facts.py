"""What the reference is: facts that both sides must share, and the environment, which may differ."""

from __future__ import annotations

import hashlib
import json
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling

from gradbank_ref.dropout import dropout_sites
from gradbank_ref.lockstep.optimizer import UpdateArguments, decayed_names
from gradbank_ref.models import named_parameters

_PACKAGES = ("sentence-transformers", "transformers", "tokenizers", "numpy", "gradbank-ref")
_OLD_NAMES = {".LayerNorm.gamma": ".LayerNorm.weight", ".LayerNorm.beta": ".LayerNorm.bias"}


def facts(
    folder: Path,
    model: SentenceTransformer,
    loss: torch.nn.Module,
    loss_class: str,
    arguments: UpdateArguments,
    dropout: bool,
) -> dict[str, Any]:
    """Plain values by name, compared one by one with the other side's.

    Hashes are SHA-256: ``weights`` over each parameter's name and its float32 bytes, in the order of the names;
    ``parameter_names`` and ``decayed`` over sorted names, one a line; ``tokenizer`` over tokenizer.json. Parameters are
    those in the folder's weight file.
    """
    transformer = _transformer_folder(folder)
    stored = _stored(transformer, model)
    weights = hashlib.sha256()
    for name, parameter in stored.items():
        weights.update(name.encode())
        weights.update(parameter.detach().to(torch.float32).contiguous().numpy().astype("<f4", copy=False).data)
    rates = {site.kind: site.rate for site in reversed(dropout_sites(model[0].config))}
    pooling = next((module.pooling_mode for module in model if isinstance(module, Pooling)), None)
    tokenizer = transformer / "tokenizer.json"
    return {
        "weights": weights.hexdigest(),
        "parameters": sum(parameter.numel() for parameter in stored.values()),
        "parameter_names": _hash("\n".join(stored).encode()),
        "decayed": _hash("\n".join(sorted(decayed_names(model) & set(stored))).encode()),
        "tokenizer": _hash(tokenizer.read_bytes()) if tokenizer.is_file() else None,
        "vocabulary_size": model[0].config.vocab_size,
        "max_sequence_length": model.max_seq_length,
        "dimension": model.get_embedding_dimension(),
        "pooling": list(pooling) if isinstance(pooling, tuple) else pooling,
        "normalize": any(isinstance(module, Normalize) for module in model),
        "hidden_dropout": rates["hidden"],
        "attention_dropout": rates["attention"],
        "dropout": dropout,
        "dtype": "float32",
        "loss": loss_class,
        **_loss_options(loss),
        **vars(arguments),
    }


def environment() -> dict[str, str | int]:
    """Versions, threads and device."""
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        **{package.replace("-", "_"): version(package) for package in _PACKAGES},
        "threads": torch.get_num_threads(),
        "device": "cpu",
        "platform": platform.platform(),
    }


def _loss_options(loss: torch.nn.Module) -> dict[str, Any]:
    """Options that a loss tells about itself, where they are plain values."""
    options = loss.get_config_dict() if hasattr(loss, "get_config_dict") else {}
    plain = {}
    for name, value in options.items():
        if isinstance(value, list | tuple):
            plain[f"loss.{name}"] = [str(item) for item in value]
        elif value is None or isinstance(value, str | int | float | bool):
            plain[f"loss.{name}"] = value
    return plain


def _stored(transformer: Path, model: SentenceTransformer) -> dict[str, torch.nn.Parameter]:
    """Parameters in the folder's weight file, in the order of their names. Others were drawn at random."""
    parameters = dict(sorted(named_parameters(model).items()))
    file, index = transformer / "model.safetensors", transformer / "model.safetensors.index.json"
    if index.is_file():
        names = set(json.loads(index.read_text())["weight_map"])
    elif file.is_file():
        with safe_open(file, framework="np") as weights:
            names = set(weights.keys())
    else:
        return parameters
    for old, new in _OLD_NAMES.items():
        names = {name.removesuffix(old) + new if name.endswith(old) else name for name in names}
    # The file of a model with a head puts a prefix before the names of the bare encoder.
    bare = {name.split(".", cut)[cut] for name in names for cut in range(name.count(".") + 1)}
    return {name: parameter for name, parameter in parameters.items() if name in bare}


def _transformer_folder(folder: Path) -> Path:
    modules = folder / "modules.json"
    if not modules.is_file():
        return folder
    return folder / json.loads(modules.read_text())[0]["path"]


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
