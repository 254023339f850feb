import msgpack
import numpy as np
import pytest

from gradbank_ref import wire
from gradbank_ref.errors import MalformedMessage, MessageTooLarge
from gradbank_ref.server import Dispatcher
from gradbank_ref.wire import Reply, Request

HEADER = {"protocol": 2, "id": 7, "method": "echo", "params": {}, "tensors": []}


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
        ([msgpack.packb({**HEADER, "protocol": 1})], "speaks protocol 1; this server speaks 2"),
        ([msgpack.packb({**HEADER, "id": "x"})], "id is 'x'"),
        ([msgpack.packb({**HEADER, "id": True})], "id is True"),
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
        ([msgpack.packb({**HEADER, "tensors": [{"name": "x", "dtype": [], "shape": []}]}), b""], r"dtype \[\]"),
        (
            [msgpack.packb({**HEADER, "tensors": [{"name": "x", "dtype": "uint8", "shape": [True]}]}), b"a"],
            r"shape \[True\]",
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
    header, _ = wire.decode_reply(Dispatcher().answer(b"peer", frames))
    assert header["ok"] is False
    assert header["error"]["type"] == "MalformedMessage"


def test_an_error_reply_carries_the_id_even_when_only_the_tensors_are_broken() -> None:
    header, _ = wire.decode_reply(Dispatcher().answer(b"peer", [msgpack.packb(HEADER), b"abc"]))
    assert header["id"] == 7


def test_too_many_frames_and_too_large_headers_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "MOST_FRAMES", 3)
    monkeypatch.setattr(wire, "LARGEST_HEADER", 1000)
    tensors = {str(index): np.zeros(2) for index in range(3)}
    with pytest.raises(MalformedMessage, match="has 4 frames; at most 3"):
        wire.decode_request(wire.encode_request(Request(1, "echo", {}, tensors)))
    with pytest.raises(MalformedMessage, match="at most 1000"):
        wire.decode_request(wire.encode_request(Request(1, "echo", {"value": "x" * 1000})))


def test_a_reply_with_a_frame_that_the_client_refuses_is_not_sent() -> None:
    with pytest.raises(MessageTooLarge, match="'x' of the reply has 80 bytes; the client accepts 79"):
        wire.encode_reply(1, Reply({}, {"x": np.zeros(10)}), largest_frame=79)
    assert len(wire.encode_reply(1, Reply({}, {"x": np.zeros(10)}), largest_frame=80)) == 2


@pytest.mark.parametrize("offset", [0, 1])
def test_decoded_tensors_are_writable_and_copied_only_if_they_must_be(offset: int) -> None:
    specifications = [{"name": "x", "dtype": "float64", "shape": [2, 4]}]
    memory = np.zeros(64 + offset, np.uint8)
    tensor = wire.decode_tensors(specifications, [memoryview(memory)[offset:]])["x"]
    assert np.shares_memory(tensor, memory) == (offset == 0)
    tensor[:] = 1
    assert wire.decode_tensors(specifications, [bytes(64)])["x"].flags.writeable


def test_an_error_that_is_no_unicode_and_one_that_has_no_text_are_reported() -> None:
    header, _ = wire.decode_reply(wire.encode_error(1, "OSError", "no file \udcff", "line 1"))
    assert header["error"]["message"] == "no file ?"


def test_broken_requests_never_break_the_server() -> None:
    """Valid messages with bytes changed, cut off, inserted and frames lost: always one reply, and never a crash."""
    random = np.random.default_rng(11)
    dispatcher = Dispatcher()
    tensors = {"x": np.arange(6, dtype=np.float32), "y": np.ones((2, 2), np.int64)}
    errors = 0
    for _ in range(3000):
        frames = [
            bytearray(bytes(frame)) for frame in wire.encode_request(Request(7, "release", {"model": "m"}, tensors))
        ]
        for _ in range(random.integers(1, 4)):
            frame = frames[random.integers(len(frames)) if random.random() < 0.3 else 0]
            place = int(random.integers(len(frame) + 1))
            kind = random.integers(4)
            if kind == 0:
                del frame[place:]
            elif kind == 1:
                frame[place:place] = random.bytes(3)
            elif kind == 2:
                frame[place : place + 1] = random.bytes(1)
            elif len(frames) > 1:
                frames.pop()
        header, _ = wire.decode_reply(dispatcher.answer(b"peer", [bytes(frame) for frame in frames]))
        errors += not header["ok"]
    assert errors == 3000
    assert len(dispatcher.peers) == 0
