"""Where the server may listen, and how it claims the place."""

from __future__ import annotations

import errno
import ipaddress
import os
import socket as unix
import stat
from pathlib import Path

import zmq

from gradbank_ref.errors import UnusableEndpoint

_EXPECTED = "expected ipc://PATH or tcp://HOST:PORT"


def check_endpoint(endpoint: str, *, has_keys: bool) -> None:
    """Refuse what is no ipc or tcp endpoint, and TCP that others can reach unless CURVE keys protect it."""
    scheme, separator, place = endpoint.partition("://")
    if not separator or scheme not in ("ipc", "tcp") or not place:
        raise UnusableEndpoint(f"the endpoint is {endpoint!r}; {_EXPECTED}")
    if scheme == "ipc":
        return
    host, separator, port = place.rpartition(":")
    if not separator or not host or not (port == "*" or port.isdecimal()):
        raise UnusableEndpoint(f"the endpoint is {endpoint!r}; {_EXPECTED}")
    if not has_keys and not _is_loopback(host):
        raise UnusableEndpoint(
            f"the endpoint {endpoint} can be reached from other machines, and there are no keys: whoever reaches it "
            'could run code here. Make keys with "gradbank bridge keys" and give --keys server.keys, or listen on '
            "127.0.0.1 or ipc://"
        )


def bind(socket: zmq.Socket, endpoint: str) -> str:
    """Bind, and return the endpoint as it became: with the port that was chosen for ``*``.

    An ipc socket file is readable for its owner only. One that a dead server left behind is replaced; one that a living
    server listens on, or a file of another kind, is not.
    """
    scheme, _, place = endpoint.partition("://")
    if scheme == "ipc":
        _check_socket_file(Path(place))
    elif place.startswith("["):
        socket.ipv6 = True
    mask = os.umask(0o077)
    try:
        # ZeroMQ takes a name for that of a network interface.
        socket.bind(endpoint.replace("tcp://localhost:", "tcp://127.0.0.1:"))
    except zmq.ZMQError as error:
        if error.errno == errno.EADDRINUSE:
            raise _in_use(endpoint) from None
        raise UnusableEndpoint(f"cannot listen on {endpoint}: {error}") from None
    finally:
        os.umask(mask)
    return socket.last_endpoint.decode().rstrip("\0")


def remove_socket_file(endpoint: str) -> None:
    """Remove an ipc endpoint's file."""
    if endpoint.startswith("ipc://"):
        Path(endpoint.removeprefix("ipc://")).unlink(missing_ok=True)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.removeprefix("[").removesuffix("]")).is_loopback
    except ValueError:
        return False


def _check_socket_file(path: Path) -> None:
    """ZeroMQ would replace any file without asking."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        raise UnusableEndpoint(f"cannot listen on ipc://{path}: {error}") from None
    if not stat.S_ISSOCK(mode):
        raise UnusableEndpoint(f"cannot listen on ipc://{path}: that file exists and is no socket. Name another path")
    with unix.socket(unix.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            return
        except OSError as error:
            raise UnusableEndpoint(f"cannot listen on ipc://{path}: {error}") from None
    raise _in_use(f"ipc://{path}")


def _in_use(endpoint: str) -> UnusableEndpoint:
    return UnusableEndpoint(
        f"cannot listen on {endpoint}: another program does already. End it, or give another --endpoint"
    )
