import json
import os
import signal
import socket as unix
import stat
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zmq

from gradbank_ref import __version__, wire
from gradbank_ref.endpoint import check_endpoint
from gradbank_ref.errors import NotGreeted, UnusableEndpoint
from gradbank_ref.methods import METHODS, find_method
from gradbank_ref.peers import Peers
from gradbank_ref.server import Dispatcher
from gradbank_ref.session import Session
from gradbank_ref.wire import Request

CLIENT = {
    "gradbank": "0.0.0",
    "byte_order": "little",
    "dtypes": ["float32"],
    "device": "cpu",
    "threads": 1,
    "largest_frame": 2**32,
}

# The server with one more method, which takes its time.
WITH_NAP = """
import sys, time, types
from gradbank_ref.methods import METHODS
from gradbank_ref.server import main
from gradbank_ref.wire import Reply
module = types.ModuleType("gradbank_ref.methods.nap")
def nap(session, tensors, *, seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass
    return Reply()
module.nap = nap
sys.modules[module.__name__] = module
METHODS["nap"] = "nap"
main()
"""

# The server with shorter times.
IMPATIENT = """
from gradbank_ref import server
server.HEARTBEAT_INTERVAL, server.HEARTBEAT_TIMEOUT, server.LONGEST_SENDING = 200, 1000, 1
server.main()
"""


class Client:
    def __init__(self, endpoint: str, **options: Any) -> None:
        self.socket = zmq.Context.instance().socket(zmq.DEALER)
        self.socket.setsockopt(zmq.LINGER, 0)
        for name, value in options.items():
            setattr(self.socket, name, value)
        self.socket.connect(endpoint)

    def send(self, method: str, tensors: dict[str, np.ndarray] | None = None, **params: Any) -> None:
        self.socket.send_multipart(wire.encode_request(Request(5, method, params, tensors or {})))

    def ask(self, method: str, tensors: dict[str, np.ndarray] | None = None, **params: Any) -> tuple[dict, dict]:
        self.send(method, tensors, **params)
        return self.receive()

    def receive(self, seconds: float = 60) -> tuple[dict, dict]:
        assert self.socket.poll(seconds * 1000), f"no reply within {seconds} s"
        return wire.decode_reply(self.socket.recv_multipart())

    def hello(self) -> dict:
        header, _ = self.ask("hello", **CLIENT)
        assert header["ok"], header
        return header["result"]


class Server:
    def __init__(self, endpoint: str, *arguments: str, code: str | None = None) -> None:
        command = [sys.executable, *(["-c", code] if code else ["-m", "gradbank_ref.server"])]
        self.process = subprocess.Popen(
            [*command, "--endpoint", endpoint, "--threads", "1", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=Path(__file__).parent.parent,
        )
        self.clients: list[Client] = []

    def ready(self) -> dict:
        line = self.process.stdout.readline()
        assert line, self.process.stderr.read().decode()
        self.line = json.loads(line)
        return self.line

    def client(self, **options: Any) -> Client:
        self.clients.append(Client(self.line["endpoint"], **options))
        return self.clients[-1]

    def failure(self) -> str:
        """What it says when it does not start."""
        assert self.process.wait(timeout=60) == 1
        return self.process.stderr.read().decode()

    def stop(self) -> None:
        for client in self.clients:
            client.socket.close()
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            pipe.close()


@pytest.fixture
def start() -> Iterator[Callable[..., Server]]:
    running: list[Server] = []

    def run(endpoint: str, *arguments: str, **options: Any) -> Server:
        running.append(Server(endpoint, *arguments, **options))
        return running[-1]

    yield run
    for server in running:
        server.stop()


def test_hello_errors_and_shutdown(start: Callable[..., Server], tmp_path: Path) -> None:
    folder = tmp_path / "endpoint"
    folder.mkdir()
    endpoint = f"ipc://{folder}/socket"
    server = start(endpoint, "--temporary-folder", str(folder), "--max-message-size", "1048576")
    assert server.ready() == {"ready": True, "protocol": 2, "endpoint": endpoint, "pid": server.process.pid}
    assert stat.S_IMODE((folder / "socket").stat().st_mode) == 0o700
    client = server.client()

    header, _ = client.ask("echo", value=1)
    assert header["error"]["type"] == "NotGreeted"
    header, _ = client.ask("hello", **{**CLIENT, "byte_order": "big"})
    assert header["error"]["type"] == "IncompatibleClient"
    said = client.hello()
    assert said["gradbank_ref"] == __version__
    assert said["threads"] == 1
    assert said["torch"].startswith("2.13.0")
    assert said["sentence_transformers"].startswith("6.2.")
    assert said["largest_frame"] == 1048576
    assert said["byte_order"] == sys.byteorder

    tensor = np.arange(6, dtype=np.int64).reshape(2, 3)
    header, tensors = client.ask("echo", {"x": tensor}, value={"a": [1, "b"]})
    assert header["id"] == 5
    assert header["result"] == {"value": {"a": [1, "b"]}}
    np.testing.assert_array_equal(tensors["x"], tensor)
    header, _ = client.ask("sink", {"x": tensor, "y": tensor})
    assert header["result"] == {"bytes": 96}
    _, tensors = client.ask("source", count=2, elements=100)
    assert list(tensors) == ["tensor0", "tensor1"]
    np.testing.assert_array_equal(tensors["tensor1"], np.arange(100))

    header, _ = client.ask("set_threads", threads=0)
    assert header["error"]["type"] == "InvalidParameters"
    assert "threads is 0" in header["error"]["message"]
    assert "process.py" in header["error"]["traceback"]
    header, _ = client.ask("set_threads", thread=2)
    assert "It accepts: threads" in header["error"]["message"]
    header, _ = client.ask("no_such_method")
    assert "there is no method 'no_such_method'" in header["error"]["message"]
    client.socket.send_multipart([b"junk"])
    header, _ = client.receive()
    assert header["error"]["type"] == "MalformedMessage"

    # A frame that is too large ends its client's connection and nothing else.
    other = server.client()
    other.hello()
    other.socket.send_multipart([b"header", bytes(2 * 1048576)])
    assert client.ask("echo", value=3)[0]["result"] == {"value": 3}
    assert other.ask("echo", value=1)[0]["error"]["type"] == "NotGreeted"

    header, _ = client.ask("shutdown")
    assert header["ok"] is True
    assert server.process.wait(timeout=20) == 0
    assert not folder.exists()


def test_ends_when_stdin_closes_but_not_on_ctrl_c(start: Callable[..., Server], tmp_path: Path) -> None:
    folder = tmp_path / "endpoint"
    folder.mkdir()
    server = start(f"ipc://{folder}/socket", "--end-with-stdin", "--temporary-folder", str(folder), code=WITH_NAP)
    server.ready()
    client = server.client()
    client.hello()
    os.kill(server.process.pid, signal.SIGINT)
    assert client.ask("echo", value=1)[0]["result"] == {"value": 1}
    client.send("nap", seconds=600)
    server.process.stdin.close()
    assert server.process.wait(timeout=20) == 0
    assert not folder.exists()


def test_otherwise_ends_on_a_signal_but_not_with_stdin(start: Callable[..., Server], tmp_path: Path) -> None:
    server = start(f"ipc://{tmp_path}/socket")
    server.ready()
    server.process.stdin.close()
    header, _ = server.client().ask("no_such_method")
    assert header["error"]["type"] == "NotGreeted"
    server.process.terminate()
    assert server.process.wait(timeout=20) == 128 + signal.SIGTERM
    assert not (tmp_path / "socket").exists()


@pytest.mark.parametrize("seconds", [0, 600], ids=["idle", "in the middle of a computation"])
def test_exits_with_its_last_client(start: Callable[..., Server], tmp_path: Path, seconds: int) -> None:
    server = start(f"ipc://{tmp_path}/socket", "--exit-with-client", code=WITH_NAP)
    server.ready()
    with unix.socket(unix.AF_UNIX) as stranger:
        stranger.connect(str(tmp_path / "socket"))
    first, second = server.client(), server.client()
    first.hello()
    second.hello()
    second.socket.close()
    first.send("nap", seconds=seconds)
    time.sleep(1)
    assert server.process.poll() is None
    first.socket.close()
    assert server.process.wait(timeout=20) == 0
    assert not (tmp_path / "socket").exists()


def test_over_tcp_a_client_that_gives_no_sign_of_life_counts_as_gone(start: Callable[..., Server]) -> None:
    server = start("tcp://127.0.0.1:*", "--exit-with-client", code=IMPATIENT)
    endpoint = server.ready()["endpoint"]
    code = f"""
import time, zmq
socket = zmq.Context().socket(zmq.DEALER)
socket.connect({endpoint!r})
print(flush=True)
time.sleep(600)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as client:
        try:
            client.stdout.readline()
            time.sleep(2)
            assert server.process.poll() is None
            client.send_signal(signal.SIGSTOP)
            assert server.process.wait(timeout=20) == 0
        finally:
            client.kill()


def test_a_client_that_does_not_read_holds_others_up_only_for_a_while(
    start: Callable[..., Server], tmp_path: Path
) -> None:
    server = start(f"ipc://{tmp_path}/socket", code=IMPATIENT)
    server.ready()
    lazy, other = server.client(rcvhwm=1, sndhwm=100), server.client()
    lazy.hello()
    other.hello()
    requests = 8
    for _ in range(requests):
        lazy.send("source", count=1, elements=10**6)
    time.sleep(0.5)
    header, _ = other.ask("echo", value=1)
    assert header["error"]["type"] == "StalledClient"
    for _ in range(requests):
        header, tensors = lazy.receive()
        if header["ok"]:
            np.testing.assert_array_equal(tensors["tensor0"], np.arange(10**6, dtype=np.float32))
    assert other.ask("echo", value=1)[0]["ok"]


def test_the_shutdown_of_a_server_that_exits_with_its_client_is_answered(
    start: Callable[..., Server], tmp_path: Path
) -> None:
    server = start(f"ipc://{tmp_path}/socket", "--exit-with-client")
    server.ready()
    client = server.client()
    client.hello()
    assert client.ask("shutdown")[0]["ok"] is True
    assert server.process.wait(timeout=20) == 0


def test_says_why_it_cannot_listen(start: Callable[..., Server], tmp_path: Path) -> None:
    running = start("tcp://127.0.0.1:*")
    endpoint = running.ready()["endpoint"]
    assert endpoint.startswith("tcp://127.0.0.1:")
    local = start(f"ipc://{tmp_path}/live")
    local.ready()
    (tmp_path / "notes.txt").write_text("mine")
    refused = {
        endpoint: "another program does already",
        f"ipc://{tmp_path}/live": "another program does already",
        f"ipc://{tmp_path}/notes.txt": "exists and is no socket",
        f"ipc://{tmp_path}/no/folder": "cannot listen",
        f"ipc://{tmp_path}/{'x' * 200}": "cannot listen",
        "tcp://0.0.0.0:*": "there are no keys",
    }
    for place, message in refused.items():
        assert message in start(place).failure()
    assert (tmp_path / "notes.txt").read_text() == "mine"
    header, _ = local.client().ask("no_such_method")
    assert header["error"]["type"] == "NotGreeted"


def test_replaces_the_socket_of_a_dead_server(start: Callable[..., Server], tmp_path: Path) -> None:
    dead = start(f"ipc://{tmp_path}/socket")
    dead.ready()
    dead.process.kill()
    dead.process.wait()
    assert (tmp_path / "socket").exists()
    living = start(f"ipc://{tmp_path}/socket")
    living.ready()
    assert living.client().ask("echo")[0]["error"]["type"] == "NotGreeted"


def write_keys(path: Path, server: tuple[bytes, bytes], clients: list[bytes]) -> None:
    content = {
        "version": 1,
        "kind": "gradbank-server-keys",
        "server": {"public": server[0].decode(), "secret": server[1].decode()},
        "clients": [key.decode() for key in clients],
    }
    path.write_text(json.dumps(content))
    path.chmod(0o600)


def test_with_keys_only_an_allowed_client_gets_an_answer(start: Callable[..., Server], tmp_path: Path) -> None:
    pair, allowed, other = zmq.curve_keypair(), zmq.curve_keypair(), zmq.curve_keypair()
    write_keys(tmp_path / "server.keys", pair, [allowed[0]])
    server = start("tcp://0.0.0.0:*", "--keys", str(tmp_path / "server.keys"))
    port = server.ready()["endpoint"].rpartition(":")[2]
    server.line["endpoint"] = f"tcp://127.0.0.1:{port}"

    def keys(own: tuple[bytes, bytes], server_key: bytes) -> dict[str, bytes]:
        return {"curve_publickey": own[0], "curve_secretkey": own[1], "curve_serverkey": server_key}

    strangers = [
        server.client(),
        server.client(**keys(other, pair[0])),
        server.client(**keys(allowed, other[0])),
        server.client(plain_username=b"a", plain_password=b"b"),
    ]
    for stranger in strangers:
        stranger.send("echo")
    friend = server.client(**keys(allowed, pair[0]))
    friend.hello()
    assert friend.ask("echo", value=1)[0]["result"] == {"value": 1}
    time.sleep(1)
    assert not any(stranger.socket.poll(0) for stranger in strangers)


def test_refuses_keys_that_it_cannot_use(start: Callable[..., Server], tmp_path: Path) -> None:
    pair = zmq.curve_keypair()
    path = tmp_path / "server.keys"

    def failure(content: object, mode: int = 0o600) -> str:
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        path.chmod(mode)
        return start(f"ipc://{tmp_path}/socket", "--keys", str(path)).failure()

    write_keys(path, pair, [pair[0]])
    good = json.loads(path.read_text())
    assert "mode 0644" in failure(good, 0o644)
    assert "cannot be used" in failure("{")
    assert "A server needs server.keys" in failure({**good, "kind": "gradbank-client-keys"})
    assert "clients[0] is no CURVE key" in failure({**good, "clients": ["x" * 39]})
    assert "server.secret is no CURVE key" in failure({**good, "server": {"public": pair[0].decode()}})


@pytest.mark.parametrize("endpoint", ["ipc://x", "tcp://127.0.0.1:1", "tcp://localhost:*", "tcp://[::1]:1"])
def test_this_machine_needs_no_keys(endpoint: str) -> None:
    check_endpoint(endpoint, has_keys=False)


@pytest.mark.parametrize(
    "endpoint", ["tcp://*:1", "tcp://0.0.0.0:1", "tcp://10.1.2.3:1", "tcp://eth0:1", "tcp://[::]:1"]
)
def test_other_machines_need_keys(endpoint: str) -> None:
    with pytest.raises(UnusableEndpoint, match="there are no keys"):
        check_endpoint(endpoint, has_keys=False)
    check_endpoint(endpoint, has_keys=True)


@pytest.mark.parametrize(
    "endpoint", ["", "ipc://", "inproc://x", "tcp://1234", "tcp://:1", "tcp://127.0.0.1:x", "/tmp/x"]
)
def test_what_is_no_endpoint(endpoint: str) -> None:
    with pytest.raises(UnusableEndpoint, match="expected ipc://PATH or tcp://HOST:PORT"):
        check_endpoint(endpoint, has_keys=True)


def test_no_client_sees_the_models_of_another() -> None:
    dispatcher = Dispatcher()

    def ask(identity: bytes, method: str, **params: Any) -> dict:
        return wire.decode_reply(dispatcher.answer(identity, wire.encode_request(Request(1, method, params))))[0]

    for identity in (b"a", b"b"):
        assert ask(identity, "hello", **CLIENT)["ok"]
    handle = dispatcher.peers.get(b"a").session.add_model(object())
    assert ask(b"b", "release", model=handle)["error"]["type"] == "UnknownHandle"
    assert ask(b"a", "release", model=handle)["ok"]
    dispatcher.peers.get(b"a").session.add_model(object())
    assert ask(b"a", "goodbye")["ok"]
    assert ask(b"a", "echo")["error"]["type"] == "NotGreeted"
    assert ask(b"b", "echo")["ok"]
    assert len(dispatcher.peers) == 1


def test_silent_clients_are_forgotten_and_others_are_not() -> None:
    peers = Peers(timeout=0.2)
    peers.greet(b"silent", Session(), 1024)
    peers.greet(b"busy", Session(), 1024)
    for _ in range(4):
        time.sleep(0.1)
        peers.get(b"busy")
        peers.release_silent()
    with pytest.raises(NotGreeted, match=r"silent for more than 0\.2 seconds"):
        peers.get(b"silent")
    assert len(peers) == 1


def test_a_method_that_calls_exit_or_has_no_text_is_an_error_reply(monkeypatch: pytest.MonkeyPatch) -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise ValueError

    def mute(session: Session, tensors: wire.Tensors) -> None:
        raise Mute

    dispatcher = Dispatcher()
    dispatcher.answer(b"a", wire.encode_request(Request(1, "hello", CLIENT)))
    for method, kind in [(lambda session, tensors: sys.exit(3), "SystemExit"), (mute, "Mute")]:
        monkeypatch.setattr("gradbank_ref.server.find_method", lambda name, method=method: method)
        header, _ = wire.decode_reply(dispatcher.answer(b"a", wire.encode_request(Request(2, "echo"))))
        assert header["error"]["type"] == kind
        assert header["id"] == 2


def test_the_versions_agree() -> None:
    project = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text())["project"]
    package = json.loads((Path(__file__).parents[2] / "packages" / "bridge" / "package.json").read_text())
    assert __version__ == project["version"] == package["version"]


def test_every_registered_method_exists() -> None:
    for name in METHODS:
        assert find_method(name).__name__ == name
        assert find_method(name).__doc__
