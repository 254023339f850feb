"""Frames of the wire protocol.

A message is a list of frames ``[header, tensor 0, tensor 1, ...]``. The header is msgpack:

* request: ``{protocol, id, method, params, tensors: [{name, dtype, shape}]}``
* reply: ``{protocol, id, ok: true, result, tensors}``
* failed reply: ``{protocol, id, ok: false, error: {type, message, traceback}}``

Tensor frames are raw little-endian values in row-major order. Their length is checked against dtype and shape.
Decoded tensors may be written to.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgpack
import numpy as np

from gradbank_ref import PROTOCOL
from gradbank_ref.errors import MalformedMessage, MessageTooLarge

LARGEST_FRAME = 4 * 2**30
"""Bytes that a frame may have unless the server or the client says otherwise."""

LARGEST_HEADER = 256 * 2**20
"""Bytes that a header may have."""

MOST_FRAMES = 65_536
"""Frames that a message may have."""

DTYPES: dict[str, np.dtype] = {
    "float32": np.dtype("<f4"),
    "float64": np.dtype("<f8"),
    "int32": np.dtype("<i4"),
    "int64": np.dtype("<i8"),
    "uint8": np.dtype("u1"),
    "bool": np.dtype("?"),
}
_NAMES = {dtype: name for name, dtype in DTYPES.items()}

Tensors = dict[str, np.ndarray]
Buffer = Any
"""A frame: bytes, a zmq.Frame, or an array of bytes. Its ``len`` is its number of bytes."""


@dataclass(frozen=True)
class Request:
    """One decoded request."""

    id: int
    method: str
    params: dict[str, Any] = field(default_factory=dict)
    tensors: Tensors = field(default_factory=dict)


@dataclass(frozen=True)
class Reply:
    """What a method returns: a msgpack-able result and named tensors."""

    result: dict[str, Any] = field(default_factory=dict)
    tensors: Mapping[str, np.ndarray] = field(default_factory=dict)


def encode_request(request: Request) -> list[Buffer]:
    """Encode a request. The server never does; Python clients and the tests do."""
    specifications, frames = encode_tensors(request.tensors)
    header = {
        "protocol": PROTOCOL,
        "id": request.id,
        "method": request.method,
        "params": request.params,
        "tensors": specifications,
    }
    return [msgpack.packb(header), *frames]


def encode_reply(request_id: int | None, reply: Reply, largest_frame: int = LARGEST_FRAME) -> list[Buffer]:
    """Encode a successful reply. Its frames are views of the tensors.

    ``largest_frame``: bytes that the client accepts.
    """
    specifications, frames = encode_tensors(reply.tensors)
    for specification, frame in zip(specifications, frames, strict=True):
        if len(frame) > largest_frame:
            raise MessageTooLarge(
                f"tensor {specification['name']!r} of the reply has {len(frame)} bytes; the client accepts "
                f"{largest_frame}. Give the client a greater maxMessageSize"
            )
    header = {"protocol": PROTOCOL, "id": request_id, "ok": True, "result": reply.result, "tensors": specifications}
    return [msgpack.packb(header, default=_plain_number), *frames]


def encode_error(request_id: int | None, kind: str, message: str, traceback: str) -> list[Buffer]:
    """Encode a failed reply. ``request_id`` is None when the request was too broken to have one."""
    error = {"type": kind, "message": message, "traceback": traceback}
    header = {"protocol": PROTOCOL, "id": request_id, "ok": False, "error": error}
    # Python keeps undecodable bytes of a file's name as lone surrogates, which UTF-8 cannot express.
    return [msgpack.packb(header, unicode_errors="replace")]


def decode_header(frame: Buffer) -> dict[str, Any]:
    """Decode the first frame of any message and check its protocol version."""
    if len(frame) > LARGEST_HEADER:
        raise MalformedMessage(f"the header has {len(frame)} bytes; at most {LARGEST_HEADER} are allowed")
    try:
        header = msgpack.unpackb(frame, strict_map_key=False)
    except Exception as error:
        raise MalformedMessage(f"frame 0 ({len(frame)} bytes) is not a msgpack header: {error}") from error
    if not isinstance(header, dict):
        raise MalformedMessage(f"frame 0 holds a {type(header).__name__}; expected a map with protocol, id, method")
    if header.get("protocol") != PROTOCOL:
        raise MalformedMessage(
            f"the message speaks protocol {header.get('protocol')!r}; this server speaks {PROTOCOL}. "
            "Install gradbank and gradbank-ref from the same version"
        )
    return header


def decode_request(frames: Sequence[Buffer]) -> Request:
    """Decode and check a request."""
    if not frames:
        raise MalformedMessage("the message has no frames; expected a header frame")
    header = decode_header(frames[0])
    request_id, method, params = header.get("id"), header.get("method"), header.get("params", {})
    if not _is_integer(request_id):
        raise MalformedMessage(f"the header's id is {request_id!r}; expected an integer")
    try:
        if not isinstance(method, str):
            raise MalformedMessage(f"request {request_id}: method is {method!r}; expected a string")
        if not isinstance(params, dict) or any(not isinstance(key, str) for key in params):
            raise MalformedMessage(
                f"request {request_id}: params is a {type(params).__name__}; expected a map of names"
            )
        return Request(request_id, method, params, decode_tensors(header.get("tensors", []), frames[1:]))
    except MalformedMessage as error:
        error.request_id = request_id
        raise


def decode_reply(frames: Sequence[Buffer]) -> tuple[dict[str, Any], Tensors]:
    """Decode a reply into its header and tensors. The server never does; Python clients and the tests do."""
    header = decode_header(frames[0])
    return header, decode_tensors(header.get("tensors", []), frames[1:])


def encode_tensors(tensors: Mapping[str, np.ndarray]) -> tuple[list[dict[str, Any]], list[np.ndarray]]:
    """Split tensors into their specifications (for the header) and their bytes, without a copy where possible."""
    specifications, frames = [], []
    for name, tensor in tensors.items():
        array = np.asarray(tensor)
        dtype = _NAMES.get(array.dtype.newbyteorder("<"))
        if dtype is None:
            raise MalformedMessage(f"tensor {name!r} has dtype {array.dtype}; expected one of {', '.join(DTYPES)}")
        specifications.append({"name": name, "dtype": dtype, "shape": list(array.shape)})
        frames.append(array.astype(DTYPES[dtype], order="C", copy=False).reshape(-1).view(np.uint8))
    return specifications, frames


def decode_tensors(specifications: Any, frames: Sequence[Buffer]) -> Tensors:
    """Check every frame against its specification and return writable arrays over the frames' own memory."""
    if not isinstance(specifications, list):
        raise MalformedMessage(f"the header's tensors is a {type(specifications).__name__}; expected a list")
    if len(specifications) != len(frames):
        raise MalformedMessage(f"the header lists {len(specifications)} tensors but {len(frames)} frames follow it")
    if len(frames) >= MOST_FRAMES:
        raise MalformedMessage(f"the message has {len(frames) + 1} frames; at most {MOST_FRAMES} are allowed")
    tensors: Tensors = {}
    for index, (specification, frame) in enumerate(zip(specifications, frames, strict=True)):
        name, dtype, shape = _checked_specification(index, specification)
        if name in tensors:
            raise MalformedMessage(f"tensor {name!r} is listed twice")
        needed = math.prod(shape) * DTYPES[dtype].itemsize
        if needed != len(frame):
            raise MalformedMessage(
                f"tensor {name!r} of dtype {dtype} and shape {shape} needs {needed} bytes; frame {index + 1} has "
                f"{len(frame)}"
            )
        array = np.frombuffer(frame, DTYPES[dtype]).reshape(shape)
        # A small frame starts at any byte of ZeroMQ's buffer; bytes of Python cannot be written to.
        tensors[name] = array if array.flags.aligned and array.flags.writeable else array.copy()
    return tensors


def _checked_specification(index: int, specification: Any) -> tuple[str, str, list[int]]:
    if not isinstance(specification, dict):
        raise MalformedMessage(f"tensor {index} is specified by {specification!r}; expected {{name, dtype, shape}}")
    name, dtype, shape = specification.get("name"), specification.get("dtype"), specification.get("shape")
    if not isinstance(name, str):
        raise MalformedMessage(f"tensor {index} has the name {name!r}; expected a string")
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise MalformedMessage(f"tensor {name!r} has dtype {dtype!r}; expected one of {', '.join(DTYPES)}")
    if not isinstance(shape, list) or any(not _is_integer(size) or size < 0 for size in shape):
        raise MalformedMessage(f"tensor {name!r} has shape {shape!r}; expected a list of integers >= 0")
    return name, dtype, shape


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _plain_number(value: Any) -> Any:
    """Numpy scalars come out of many libraries; msgpack takes Python numbers only."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"a {type(value).__name__} cannot be sent in a result; send it as a tensor or a plain value")
