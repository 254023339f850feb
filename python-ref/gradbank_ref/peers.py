"""Who is connected: one session a peer, so that no client sees the models of another."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import zmq
from zmq.utils.monitor import recv_monitor_message

from gradbank_ref.errors import NotGreeted
from gradbank_ref.session import Session


@dataclass
class Peer:
    """A client that has said hello."""

    session: Session
    largest_frame: int
    """Bytes of the largest frame that it accepts."""
    last_request: float = field(default_factory=time.monotonic)


class Peers:
    """Greeted clients by the identity that the ROUTER socket gave to their connection."""

    def __init__(self, timeout: float) -> None:
        """``timeout``: seconds after which the session of a silent client is dropped."""
        self.timeout = timeout
        self._peers: dict[bytes, Peer] = {}

    def __len__(self) -> int:
        return len(self._peers)

    def greet(self, identity: bytes, session: Session, largest_frame: int) -> None:
        """Keep a new client; of one that greets again, the new session."""
        self._peers[identity] = Peer(session, largest_frame)

    def get(self, identity: bytes) -> Peer:
        """The client behind a connection."""
        peer = self._peers.get(identity)
        if peer is None:
            raise NotGreeted(
                "this connection has no session: it has not said hello, or it was silent for more than "
                f"{self.timeout:g} seconds. Close it and connect again; models are to be loaded again"
            )
        peer.last_request = time.monotonic()
        return peer

    def release(self, identity: bytes) -> None:
        """Forget a client and all that it loaded."""
        self._peers.pop(identity, None)

    def release_all(self) -> None:
        """Forget everybody."""
        self._peers.clear()

    def release_silent(self) -> None:
        """Forget the clients that were silent for too long."""
        oldest = time.monotonic() - self.timeout
        for identity in [key for key, peer in self._peers.items() if peer.last_request < oldest]:
            self.release(identity)


class ConnectionWatch:
    """Follows the connections of a socket that is not bound yet, by its monitor's events."""

    def __init__(self, socket: zmq.Socket) -> None:
        self._monitor = socket.get_monitor_socket(
            zmq.EVENT_ACCEPTED | zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED
        )
        self._open: set[int] = set()
        self._had_client = False
        self._thread: threading.Thread | None = None

    def all_gone(self) -> bool:
        """Whether since the last call there was a moment with no connection, after at least one real client."""
        gone = False
        while self._thread is None and self._monitor.poll(0):
            gone |= self._next()
        return gone

    def follow(self, when_all_gone: Callable[[], None]) -> None:
        """From now on follow in a thread, which calls back even while the main thread computes."""

        def run() -> None:
            with contextlib.suppress(zmq.ContextTerminated):
                while not self._next():
                    continue
                when_all_gone()
            self._monitor.close(linger=0)

        self._thread = threading.Thread(target=run, daemon=True, name="connection-watch")
        self._thread.start()

    def close(self) -> None:
        """Stop following. A thread ends when the socket's context is terminated, which waits for this or that."""
        if self._thread is None:
            self._monitor.close(linger=0)

    def _next(self) -> bool:
        """Whether the next event is the end of the last connection.

        Something that connects but does not speak the protocol is no client; while it is connected it counts.
        """
        event = recv_monitor_message(self._monitor)
        if event["event"] == zmq.EVENT_HANDSHAKE_SUCCEEDED:
            self._had_client = True
        elif event["event"] == zmq.EVENT_ACCEPTED:
            self._open.add(int(event["value"]))
        else:
            self._open.discard(int(event["value"]))
            return self._had_client and not self._open
        return False
