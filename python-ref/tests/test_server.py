import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zmq

from gradbank_ref import wire
from gradbank_ref.methods import METHODS, find_method
from gradbank_ref.wire import Request


class Server:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.endpoint = f"ipc://{folder}/socket"
        command = [sys.executable, "-m", "gradbank_ref.server", "--endpoint", self.endpoint, "--threads", "1"]
        self.process = subprocess.Popen(
            [*command, "--temporary-folder", str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parent.parent,
        )
        self.ready = json.loads(self.process.stdout.readline())
        self.socket = zmq.Context.instance().socket(zmq.DEALER)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.connect(self.endpoint)

    def ask(self, method: str, tensors: dict[str, np.ndarray] | None = None, **params: Any) -> tuple[dict, dict]:
        self.socket.send_multipart(wire.encode_request(Request(5, method, params, tensors or {})))
        return self.receive()

    def receive(self) -> tuple[dict, dict]:
        assert self.socket.poll(60_000), "no reply within a minute"
        return wire.decode_reply(self.socket.recv_multipart())


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    folder = tmp_path / "endpoint"
    folder.mkdir()
    running = Server(folder)
    yield running
    running.socket.close()
    running.process.kill()
    running.process.wait()


def test_hello_errors_and_shutdown(server: Server) -> None:
    assert server.ready == {"ready": True, "protocol": 1, "endpoint": server.endpoint, "pid": server.process.pid}
    header, _ = server.ask("hello")
    assert header["id"] == 5
    assert header["result"]["threads"] == 1
    assert header["result"]["torch"].startswith("2.13.0")
    assert header["result"]["sentence_transformers"].startswith("6.2.")

    tensor = np.arange(6, dtype=np.int64).reshape(2, 3)
    header, tensors = server.ask("echo", {"x": tensor}, value={"a": [1, "b"]})
    assert header["result"] == {"value": {"a": [1, "b"]}}
    np.testing.assert_array_equal(tensors["x"], tensor)

    header, _ = server.ask("set_threads", threads=0)
    assert header["error"]["type"] == "InvalidParameters"
    assert "threads is 0" in header["error"]["message"]
    assert "process.py" in header["error"]["traceback"]
    header, _ = server.ask("set_threads", thread=2)
    assert "It accepts: threads" in header["error"]["message"]
    header, _ = server.ask("no_such_method")
    assert "there is no method 'no_such_method'" in header["error"]["message"]
    server.socket.send_multipart([b"junk"])
    header, _ = server.receive()
    assert header["error"]["type"] == "MalformedMessage"

    header, _ = server.ask("shutdown")
    assert header["ok"] is True
    assert server.process.wait(timeout=20) == 0
    assert not server.folder.exists()


def test_ends_when_stdin_closes_but_not_on_ctrl_c(server: Server) -> None:
    os.kill(server.process.pid, signal.SIGINT)
    assert server.ask("echo", value=1)[0]["result"] == {"value": 1}
    server.process.stdin.close()
    assert server.process.wait(timeout=20) == 0
    assert not server.folder.exists()


def test_every_registered_method_exists() -> None:
    for name in METHODS:
        assert find_method(name).__name__ == name
        assert find_method(name).__doc__
