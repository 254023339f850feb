"""The ZeroMQ ROUTER server: ``python -m gradbank_ref.server --endpoint ipc://...``.

Answers one request at a time. Prints one JSON line on stdout when it listens; everything that libraries print goes to
stderr. Ends on the ``shutdown`` method; on a signal; with ``--end-with-stdin`` when stdin closes, which is how it
learns that its parent died; with ``--exit-with-client`` when its last client has gone.
"""

from __future__ import annotations

import argparse
import contextlib
import inspect
import json
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import zmq

from gradbank_ref import PROTOCOL
from gradbank_ref.endpoint import bind, check_endpoint, remove_socket_file
from gradbank_ref.errors import InvalidParameters, MalformedMessage, StalledClient, UnusableEndpoint, UnusableKeys
from gradbank_ref.keys import protect, read_server_keys
from gradbank_ref.methods import find_method
from gradbank_ref.peers import ConnectionWatch, Peers
from gradbank_ref.session import Session
from gradbank_ref.wire import LARGEST_FRAME, Buffer, Reply, Request, decode_request, encode_error, encode_reply

# Over TCP a dead machine is noticed after a minute. Shorter would not do: while one large frame travels, no heartbeat
# does. Over ipc the kernel tells at once when a process ends, and one that is suspended lives.
HEARTBEAT_INTERVAL = 5_000
HEARTBEAT_TIMEOUT = 60_000

LONGEST_SENDING = 60.0
"""Seconds that a request waits for the reply before it to be sent."""

COPIED = 65_536
"""Bytes up to which a frame is copied when it is sent; larger ones are sent from where they lie."""


class Dispatcher:
    """Answers messages: finds the client's session, calls the method, turns exceptions into error replies."""

    def __init__(self, session_timeout: float = 3600, largest_frame: int = LARGEST_FRAME) -> None:
        """``session_timeout``: seconds of silence after which a client's models are freed."""
        self.peers = Peers(session_timeout)
        self.largest_frame = largest_frame
        self.stopped = False
        self.sending: list[zmq.MessageTracker] = []
        """Frames that may be on their way still: views of weights perhaps, which the next request may change."""

    def answer(self, identity: bytes, frames: Sequence[Buffer]) -> list[Buffer]:
        """Answer one message of the connection ``identity``."""
        request_id: int | None = None
        try:
            request = decode_request(frames)
            request_id = request.id
            return self._reply(identity, request)
        # A user's file may call sys.exit.
        except (Exception, SystemExit) as error:
            if isinstance(error, MalformedMessage) and request_id is None:
                request_id = error.request_id
            return encode_error(request_id, type(error).__name__, _text_of(error), traceback.format_exc())

    def _reply(self, identity: bytes, request: Request) -> list[Buffer]:
        self._wait_until_sent()
        if request.method == "hello":
            session = Session()
            reply = call(session, request)
            self.peers.greet(identity, session, request.params["largest_frame"])
            reply.result["largest_frame"] = self.largest_frame
        elif request.method == "goodbye":
            reply = call(Session(), request)
            self.peers.release(identity)
        else:
            session = self.peers.get(identity).session
            reply = call(session, request)
            self.stopped = session.stopped
        if request.method == "goodbye":
            return encode_reply(request.id, reply)
        # The time of the computation is not silence of the client.
        return encode_reply(request.id, reply, self.peers.get(identity).largest_frame)

    def _wait_until_sent(self) -> None:
        """A client that got its reply finds nothing to wait for; one that another client holds up is told."""
        try:
            for frame in self.sending:
                frame.wait(LONGEST_SENDING)
        except zmq.NotDone:
            raise StalledClient(
                f"the reply to an earlier request could not be sent within {LONGEST_SENDING:g} seconds: another client "
                "does not read it. Resume or end that client, and ask again"
            ) from None
        self.sending.clear()


def call(session: Session, request: Request) -> Reply:
    """Call the method that a request names, after checking its parameters against the method's signature."""
    method = find_method(request.method)
    signature = inspect.signature(method)
    try:
        signature.bind(session, request.tensors, **request.params)
    except TypeError as error:
        accepted = [
            name + ("" if parameter.default is inspect.Parameter.empty else " (optional)")
            for name, parameter in list(signature.parameters.items())[2:]
        ]
        raise InvalidParameters(
            f"method {request.method!r}: {error}. It accepts: {', '.join(accepted) or 'no parameters'}"
        ) from None
    return method(session, request.tensors, **request.params)


def serve(options: argparse.Namespace, ready: Callable[[str], None], end: Callable[[int], None]) -> None:
    """Listen until ``shutdown``. ``ready`` is called once with the endpoint; ``end`` when the last client has gone."""
    check_endpoint(options.endpoint, has_keys=options.keys is not None)
    keys = read_server_keys(options.keys) if options.keys is not None else None
    with _router(options) as socket, contextlib.ExitStack() as stack:
        if keys is not None:
            stack.callback(protect(socket, keys).stop)
        watch = ConnectionWatch(socket)
        stack.callback(watch.close)
        ready(bind(socket, options.endpoint))
        if options.exit_with_client:
            watch.follow(lambda: end(0))
        _answer_all(socket, Dispatcher(options.session_timeout, options.max_message_size), watch)


@contextlib.contextmanager
def _router(options: argparse.Namespace) -> Iterator[zmq.Socket]:
    context = zmq.Context()
    socket = context.socket(zmq.ROUTER)
    socket.setsockopt(zmq.LINGER, 2000)
    socket.setsockopt(zmq.MAXMSGSIZE, options.max_message_size)
    if options.endpoint.startswith("tcp:"):
        socket.setsockopt(zmq.HEARTBEAT_IVL, HEARTBEAT_INTERVAL)
        socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, HEARTBEAT_TIMEOUT)
    try:
        yield socket
    finally:
        socket.close()
        context.term()


def _answer_all(socket: zmq.Socket, dispatcher: Dispatcher, watch: ConnectionWatch) -> None:
    while not dispatcher.stopped:
        if not socket.poll(1000):
            dispatcher.peers.release_silent()
        # Before the messages: a client's hello comes after the event of its connection.
        if watch.all_gone():
            dispatcher.peers.release_all()
        if socket.poll(0):
            identity, *frames = socket.recv_multipart(copy=False)
            dispatcher.sending += _send(socket, [identity.bytes, *dispatcher.answer(identity.bytes, frames)])


def _send(socket: zmq.Socket, frames: list[Buffer]) -> list[zmq.MessageTracker]:
    """Send a message. The trackers are done when the memory of its large frames is needed no more."""
    trackers = []
    for index, frame in enumerate(frames):
        more = zmq.SNDMORE if index + 1 < len(frames) else 0
        if len(frame) > COPIED:
            trackers.append(socket.send(frame, more, copy=False, track=True))
        else:
            socket.send(frame, more)
    return trackers


def _wait_for_stdin(end: Callable[[int], None]) -> None:
    while os.read(0, 4096):
        continue
    end(0)


def _text_of(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as failure:
        return f"(its str() failed with {type(failure).__name__})"


def _clean_up(endpoint: str | None, folder: str | None) -> None:
    if endpoint is not None:
        remove_socket_file(endpoint)
    if folder is not None:
        try:
            Path(folder).rmdir()
        except OSError as error:
            print(f"could not remove the temporary folder: {error}", file=sys.stderr)


def _bytes(text: str) -> int:
    size = int(text)
    if not 1024 <= size < 2**63:
        raise argparse.ArgumentTypeError(f"{text}; expected at least 1024 bytes")
    return size


def parse_options(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="gradbank_ref.server", description=__doc__)
    parser.add_argument("--endpoint", required=True, help="ipc://PATH or tcp://HOST:PORT; port * for any free one")
    parser.add_argument("--keys", help="server.keys of `gradbank bridge keys`; needed for TCP beyond this machine")
    parser.add_argument("--threads", type=int, help="threads of torch; default: torch's own choice")
    parser.add_argument(
        "--session-timeout",
        type=float,
        default=3600,
        help="seconds of silence after which a client's models are freed; default: 3600",
    )
    parser.add_argument(
        "--max-message-size",
        type=_bytes,
        default=LARGEST_FRAME,
        help="bytes of the largest frame; a client that sends a larger one is disconnected; default: 4 GiB",
    )
    parser.add_argument("--exit-with-client", action="store_true", help="end when the last client has gone")
    parser.add_argument("--end-with-stdin", action="store_true", help="end when stdin closes, and not on Ctrl-C")
    parser.add_argument("--temporary-folder", help="empty folder to remove at the end, besides the ipc socket in it")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    """Entry point of the command line."""
    options = parse_options(arguments)
    if options.threads is not None:
        # Read when torch is first imported, which no module above does.
        os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = str(options.threads)
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    announce = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    bound: str | None = None

    def ready(endpoint: str) -> None:
        nonlocal bound
        bound = endpoint
        line = {"ready": True, "protocol": PROTOCOL, "endpoint": endpoint, "pid": os.getpid()}
        announce.write(json.dumps(line) + "\n")
        announce.flush()

    def end(status: int) -> None:
        """End at once, also in the middle of a computation: nobody waits for its result."""
        _clean_up(bound, options.temporary_folder)
        os._exit(status)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: end(128 + number))
    if options.end_with_stdin:
        # Ctrl-C in a terminal reaches the whole process group; the parent decides when to stop.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        threading.Thread(target=_wait_for_stdin, args=(end,), daemon=True, name="stdin-watch").start()
    try:
        serve(options, ready, end)
    except (UnusableEndpoint, UnusableKeys) as error:
        sys.exit(f"gradbank_ref.server: {error}")
    _clean_up(bound, options.temporary_folder)


if __name__ == "__main__":
    main()
