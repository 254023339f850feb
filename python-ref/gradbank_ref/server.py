"""The ZeroMQ ROUTER server: ``python -m gradbank_ref.server --endpoint ipc://...``.

Answers one request at a time. Prints one JSON line on stdout when it listens; everything that libraries print goes to
stderr. Ends on the ``shutdown`` method, or when stdin closes, which is how it learns that its parent died.
"""

from __future__ import annotations

import argparse
import inspect
import json
import os
import signal
import sys
import threading
import traceback
from pathlib import Path
from typing import Any

import zmq

from gradbank_ref import PROTOCOL
from gradbank_ref.errors import InvalidParameters, MalformedMessage
from gradbank_ref.methods import find_method
from gradbank_ref.session import Session
from gradbank_ref.wire import Reply, Request, decode_header, decode_request, encode_error, encode_reply


def answer(session: Session, frames: list[bytes]) -> list[bytes]:
    """Answer one message. An exception of any method becomes an error reply with its traceback."""
    request_id: int | None = None
    try:
        request_id = _readable_id(frames)
        request = decode_request(frames)
        return encode_reply(request.id, call(session, request))
    except Exception as error:
        return encode_error(request_id, type(error).__name__, str(error), traceback.format_exc())


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


def serve(endpoint: str, ready: Any = None) -> None:
    """Listen on ``endpoint`` until ``shutdown``. ``ready`` is called once with the endpoint when it listens."""
    session = Session()
    context = zmq.Context()
    socket = context.socket(zmq.ROUTER)
    socket.setsockopt(zmq.LINGER, 2000)
    try:
        socket.bind(endpoint)
        if ready is not None:
            ready(endpoint)
        while True:
            identity, *frames = socket.recv_multipart()
            socket.send_multipart([identity, *answer(session, frames)])
            if session.stopped:
                return
    finally:
        socket.close()
        context.term()


def _readable_id(frames: list[bytes]) -> int | None:
    """The id of a request whose rest may be broken, so that the error reply reaches the right caller."""
    try:
        request_id = decode_header(frames[0]).get("id")
    except (MalformedMessage, IndexError):
        return None
    return request_id if isinstance(request_id, int) else None


def _end_when_stdin_closes(endpoint: str, folder: str | None) -> None:
    """Watch stdin in a thread. The process exits even in the middle of a computation: nobody waits for its result."""

    def watch() -> None:
        while os.read(0, 4096):
            continue
        _remove_endpoint(endpoint, folder)
        os._exit(0)

    threading.Thread(target=watch, daemon=True, name="stdin-watch").start()


def _remove_endpoint(endpoint: str, folder: str | None) -> None:
    if endpoint.startswith("ipc://"):
        Path(endpoint.removeprefix("ipc://")).unlink(missing_ok=True)
    if folder is not None:
        try:
            Path(folder).rmdir()
        except OSError as error:
            print(f"could not remove the temporary folder: {error}", file=sys.stderr)


def main(arguments: list[str] | None = None) -> None:
    """Entry point of the command line."""
    parser = argparse.ArgumentParser(prog="gradbank_ref.server", description=__doc__)
    parser.add_argument("--endpoint", required=True, help="ZeroMQ endpoint to bind, for example ipc:///run/x.sock")
    parser.add_argument("--threads", type=int, help="threads of torch; default: torch's own choice")
    parser.add_argument("--temporary-folder", help="empty folder to remove at the end, besides the ipc socket in it")
    options = parser.parse_args(arguments)
    if options.threads is not None:
        # Read when torch is first imported, which no module above does.
        os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = str(options.threads)
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    # Ctrl-C in a terminal reaches the whole process group; the parent decides when to stop.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    announce = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def ready(endpoint: str) -> None:
        line = {"ready": True, "protocol": PROTOCOL, "endpoint": endpoint, "pid": os.getpid()}
        announce.write(json.dumps(line) + "\n")
        announce.flush()

    _end_when_stdin_closes(options.endpoint, options.temporary_folder)
    serve(options.endpoint, ready)
    _remove_endpoint(options.endpoint, options.temporary_folder)


if __name__ == "__main__":
    main()
