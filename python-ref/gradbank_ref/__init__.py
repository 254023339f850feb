"""The Python reference of gradbank: real sentence-transformers and torch, asked over ZeroMQ."""

PROTOCOL = 1
"""Version of the wire protocol. A client that speaks another one is refused."""
