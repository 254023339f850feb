"""Methods about the server process itself."""

from __future__ import annotations

import os
import platform
import sys
from importlib.metadata import version

import numpy as np
import torch

from gradbank_ref import PROTOCOL, __version__
from gradbank_ref.errors import IncompatibleClient, InvalidParameters
from gradbank_ref.session import Session
from gradbank_ref.wire import DTYPES, Reply, Tensors

_PACKAGES = {
    "torch": "torch",
    "sentence_transformers": "sentence-transformers",
    "transformers": "transformers",
    "tokenizers": "tokenizers",
    "numpy": "numpy",
    "onnxruntime": "onnxruntime",
}


def hello(
    session: Session,
    tensors: Tensors,
    *,
    gradbank: str,
    byte_order: str,
    dtypes: list,
    device: str,
    threads: int,
    largest_frame: int,
) -> Reply:
    """The first request of a connection. Both sides say who they are; the client compares the versions.

    ``gradbank``: the client's version. ``byte_order``, ``dtypes``, ``largest_frame`` (bytes): what it can read.
    ``device``, ``threads``: how it computes. The server adds its own ``largest_frame`` to the reply.
    """
    if byte_order != "little":
        raise IncompatibleClient(
            f"the client of gradbank {gradbank} has byte order {byte_order!r}; tensors travel little-endian"
        )
    # msgpack in JavaScript writes whole numbers from 2**32 as floats.
    if isinstance(largest_frame, bool) or largest_frame != int(largest_frame) or largest_frame < 1:
        raise InvalidParameters(f"largest_frame is {largest_frame!r}; expected a number of bytes")
    versions = {key: version(package) for key, package in _PACKAGES.items()}
    return Reply(
        {
            "protocol": PROTOCOL,
            "gradbank_ref": __version__,
            "python": platform.python_version(),
            **versions,
            "dtypes": list(DTYPES),
            "byte_order": sys.byteorder,
            "device": "cpu",
            "threads": torch.get_num_threads(),
            "pid": os.getpid(),
        }
    )


def goodbye(session: Session, tensors: Tensors) -> Reply:
    """The last request of a connection: the server then frees all that the client loaded."""
    return Reply()


def set_threads(session: Session, tensors: Tensors, *, threads: int) -> Reply:
    """Set torch's threads within an operator."""
    if not isinstance(threads, int) or threads < 1:
        raise InvalidParameters(f"threads is {threads!r}; expected an integer >= 1")
    torch.set_num_threads(threads)
    return Reply({"threads": torch.get_num_threads()})


def echo(session: Session, tensors: Tensors, *, value: object = None) -> Reply:
    """Send everything back: what a client uses to check its side of the wire."""
    return Reply({"value": value}, tensors)


def sink(session: Session, tensors: Tensors) -> Reply:
    """Take tensors and tell their bytes: how fast a client can send."""
    return Reply({"bytes": sum(tensor.nbytes for tensor in tensors.values())})


def source(session: Session, tensors: Tensors, *, count: int, elements: int) -> Reply:
    """Send ``count`` float32 tensors of so many elements, 0, 1, 2 ...: how fast a client can receive."""
    for name, value in (("count", count), ("elements", elements)):
        if not isinstance(value, int) or value < 0:
            raise InvalidParameters(f"{name} is {value!r}; expected an integer >= 0")
    tensor = np.arange(elements, dtype=np.float32)
    return Reply({}, {f"tensor{index}": tensor for index in range(count)})


def shutdown(session: Session, tensors: Tensors) -> Reply:
    """End the server after this reply."""
    session.stopped = True
    return Reply()
