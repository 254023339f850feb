"""Methods about the server process itself."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version

import torch

from gradbank_ref import PROTOCOL
from gradbank_ref.errors import InvalidParameters
from gradbank_ref.session import Session
from gradbank_ref.wire import Reply, Tensors

_PACKAGES = {
    "torch": "torch",
    "sentence_transformers": "sentence-transformers",
    "transformers": "transformers",
    "tokenizers": "tokenizers",
    "numpy": "numpy",
    "onnxruntime": "onnxruntime",
}


def hello(session: Session, tensors: Tensors) -> Reply:
    """Who answers: protocol, versions, threads and process id."""
    versions = {key: version(package) for key, package in _PACKAGES.items()}
    return Reply(
        {
            "protocol": PROTOCOL,
            "python": platform.python_version(),
            **versions,
            "threads": torch.get_num_threads(),
            "pid": os.getpid(),
        }
    )


def set_threads(session: Session, tensors: Tensors, *, threads: int) -> Reply:
    """Set torch's threads within an operator."""
    if not isinstance(threads, int) or threads < 1:
        raise InvalidParameters(f"threads is {threads!r}; expected an integer >= 1")
    torch.set_num_threads(threads)
    return Reply({"threads": torch.get_num_threads()})


def echo(session: Session, tensors: Tensors, *, value: object = None) -> Reply:
    """Send everything back: what a client uses to check its side of the wire."""
    return Reply({"value": value}, tensors)


def shutdown(session: Session, tensors: Tensors) -> Reply:
    """End the server after this reply."""
    session.stopped = True
    return Reply()
