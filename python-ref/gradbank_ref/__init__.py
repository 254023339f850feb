"""The Python reference of gradbank: real sentence-transformers and torch, asked over ZeroMQ."""

__version__ = "0.0.0"
"""Version of gradbank-ref. A gradbank of another version refuses to compare with it."""

PROTOCOL = 2
"""Version of the wire protocol. A client that speaks another one is refused."""
