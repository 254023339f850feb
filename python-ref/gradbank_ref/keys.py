"""CURVE keys of the server: who may connect. ``gradbank bridge keys`` writes the file.

``{"version": 1, "kind": "gradbank-server-keys", "server": {"public", "secret"}, "clients": [public, ...]}``, each key
40 characters of Z85 (https://rfc.zeromq.org/spec/32).
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zmq
from zmq.auth.thread import ThreadAuthenticator
from zmq.utils import z85

from gradbank_ref.errors import UnusableKeys

KIND = "gradbank-server-keys"
_DOMAIN = "gradbank"


@dataclass(frozen=True)
class ServerKeys:
    """The server's own key pair, and the public keys of the clients that it lets in."""

    public: bytes
    secret: bytes
    clients: frozenset[bytes]

    def callback(self, domain: str, key: bytes) -> bool:
        """Whether a client's public key is allowed: what pyzmq's authenticator calls."""
        return key in self.clients


def read_server_keys(path: str) -> ServerKeys:
    """Read a file of keys, which must belong to its owner alone."""
    try:
        mode = Path(path).stat().st_mode
        content = json.loads(Path(path).read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise _unusable(path, str(error)) from None
    if os.name == "posix" and mode & 0o077:
        raise UnusableKeys(f"others may read the keys in {path} (mode {mode & 0o777:04o}). Run: chmod 600 {path}")
    if not isinstance(content, dict) or content.get("kind") != KIND or content.get("version") != 1:
        raise _unusable(path, f"expected a map of kind {KIND!r} and version 1. A server needs server.keys")
    pair, clients = content.get("server"), content.get("clients")
    if not isinstance(pair, dict) or not isinstance(clients, list) or not clients:
        raise _unusable(path, "expected server: {public, secret} and clients: [public key, ...]")
    return ServerKeys(
        _key(path, "server.public", pair.get("public")),
        _key(path, "server.secret", pair.get("secret")),
        frozenset(_key(path, f"clients[{index}]", key) for index, key in enumerate(clients)),
    )


def protect(socket: zmq.Socket, keys: ServerKeys) -> ThreadAuthenticator:
    """Let only allowed clients connect to a socket that is not bound yet. The authenticator is to be stopped."""
    authenticator = ThreadAuthenticator(socket.context)
    authenticator.start()
    authenticator.configure_curve_callback(domain=_DOMAIN, credentials_provider=keys)
    socket.zap_domain = _DOMAIN.encode()
    socket.curve_secretkey = keys.secret
    socket.curve_publickey = keys.public
    socket.curve_server = True
    return authenticator


def _key(path: str, field: str, value: Any) -> bytes:
    try:
        if len(z85.decode(value)) == 32:
            return value.encode("ascii")
    except (AttributeError, KeyError, TypeError, ValueError):
        pass
    raise _unusable(path, f"{field} is no CURVE key; expected 40 characters of Z85")


def _unusable(path: str, what: str) -> UnusableKeys:
    return UnusableKeys(f'the keys in {path} cannot be used: {what}. "gradbank bridge keys" makes new ones')
