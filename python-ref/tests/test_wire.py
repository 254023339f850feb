import msgpack
import numpy as np
import pytest

from gradbank_ref import wire
from gradbank_ref.errors import MalformedMessage
from gradbank_ref.server import answer
from gradbank_ref.session import Session
from gradbank_ref.wire import Reply, Request

HEADER = {"protocol": 1, "id": 7, "method": "echo", "params": {}, "tensors": []}


@pytest.mark.parametrize("dtype", list(wire.DTYPES))
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 3), (2, 0, 4), (2, 3, 4)])
def test_tensors_come_back_bit_by_bit(dtype: str, shape: tuple[int, ...]) -> None:
    count = int(np.prod(shape)) * wire.DTYPES[dtype].itemsize
    content = np.random.default_rng(3).integers(0, 2 if dtype == "bool" else 256, count, dtype=np.uint8).tobytes()
    tensor = np.frombuffer(content, wire.DTYPES[dtype]).reshape(shape)
    decoded = wire.decode_request(wire.encode_request(Request(1, "echo", {"a": [1.5, None]}, {"x": tensor})))
    assert decoded.params == {"a": [1.5, None]}
    assert decoded.tensors["x"].dtype == wire.DTYPES[dtype]
    assert decoded.tensors["x"].shape == shape
    assert decoded.tensors["x"].tobytes() == content


def test_non_contiguous_and_big_endian_tensors_are_sent_by_value() -> None:
    tensor = np.arange(6, dtype=">f4").reshape(2, 3).T
    _, tensors = wire.decode_reply(wire.encode_reply(1, Reply({}, {"x": tensor})))
    np.testing.assert_array_equal(tensors["x"], tensor)


def test_numpy_scalars_in_results_are_numbers() -> None:
    header, _ = wire.decode_reply(wire.encode_reply(1, Reply({"a": np.float32(1.5), "b": np.int64(3)})))
    assert header["result"] == {"a": 1.5, "b": 3}


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        ([], "no frames"),
        ([b"\xc1"], "not a msgpack header"),
        ([msgpack.packb([1, 2])], "holds a list"),
        ([msgpack.packb({**HEADER, "protocol": 2})], "speaks protocol 2; this server speaks 1"),
        ([msgpack.packb({**HEADER, "id": "x"})], "id is 'x'"),
        ([msgpack.packb({**HEADER, "method": 3})], "method is 3"),
        ([msgpack.packb({**HEADER, "params": [1]})], "params is a list"),
        ([msgpack.packb(HEADER), b"abc"], "lists 0 tensors but 1 frames"),
        ([msgpack.packb({**HEADER, "tensors": 3})], "tensors is a int"),
        ([msgpack.packb({**HEADER, "tensors": [3]}), b""], "tensor 0 is specified by 3"),
        (
            [msgpack.packb({**HEADER, "tensors": [{"name": "x", "dtype": "float32", "shape": [2, 3]}]}), b"\0" * 20],
            r"'x' of dtype float32 and shape \[2, 3\] needs 24 bytes; frame 1 has 20",
        ),
        (
            [msgpack.packb({**HEADER, "tensors": [{"name": "x", "dtype": "complex64", "shape": []}]}), b"\0" * 8],
            "dtype 'complex64'",
        ),
        (
            [msgpack.packb({**HEADER, "tensors": [{"name": "x", "dtype": "uint8", "shape": [-1]}]}), b""],
            r"shape \[-1\]",
        ),
        (
            [msgpack.packb({**HEADER, "tensors": [{"name": "x", "dtype": "uint8", "shape": [1]}] * 2}), b"a", b"b"],
            "'x' is listed twice",
        ),
    ],
)
def test_malformed_messages_are_refused(frames: list[bytes], message: str) -> None:
    with pytest.raises(MalformedMessage, match=message):
        wire.decode_request(frames)
    header, _ = wire.decode_reply(answer(Session(), frames))
    assert header["ok"] is False
    assert header["error"]["type"] == "MalformedMessage"


def test_an_error_reply_carries_the_id_even_when_only_the_tensors_are_broken() -> None:
    header, _ = wire.decode_reply(answer(Session(), [msgpack.packb(HEADER), b"abc"]))
    assert header["id"] == 7
