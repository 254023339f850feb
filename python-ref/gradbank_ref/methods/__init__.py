"""The registry: every method by name, and the module of this package that has it.

A method is ``def name(session, tensors, *, parameter, ...) -> Reply``. Modules load on first use, so that the server
listens before torch and sentence-transformers are imported.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable

from gradbank_ref.errors import UnknownMethod
from gradbank_ref.wire import Reply

METHODS: dict[str, str] = {
    "hello": "process",
    "set_threads": "process",
    "echo": "process",
    "goodbye": "process",
    "sink": "process",
    "source": "process",
    "shutdown": "process",
    "make_model": "models",
    "minilm_folder": "models",
    "load_model": "models",
    "release": "models",
    "parameters": "models",
    "set_parameters": "models",
    "dropout_sites": "models",
    "tokenize": "encoding",
    "encode": "encoding",
    "loss_step": "losses",
    "embedding_loss": "losses",
    "contaccum_loss": "contaccum",
    "train": "training",
    "train_run": "training",
    "read_trainer_state": "training",
    "lockstep_open": "lockstep",
    "lockstep_step": "lockstep",
    "lockstep_update": "lockstep",
    "lockstep_pull": "lockstep",
    "lockstep_gradients": "lockstep",
    "lockstep_state": "lockstep",
    "lockstep_activations": "lockstep",
    "lockstep_close": "lockstep",
    "information_retrieval": "evaluation",
    "evaluate": "evaluation",
    "evaluate_operator": "operators",
    "check_onnx": "operators",
    "run_onnx": "operators",
    "benchmark_prepare": "benchmark",
    "benchmark_round": "benchmark",
    "benchmark_memory": "benchmark",
    "benchmark_evaluate": "benchmark",
}


def find_method(name: str) -> Callable[..., Reply]:
    """The function of a method."""
    if name not in METHODS:
        raise UnknownMethod(f"there is no method {name!r}; methods: {', '.join(sorted(METHODS))}")
    return getattr(importlib.import_module(f"{__name__}.{METHODS[name]}"), name)
