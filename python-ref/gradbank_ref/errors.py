"""Errors that the server raises on purpose. Each message says what was given, where, and what was expected."""


class GradbankReferenceError(Exception):
    """Base of the server's own errors."""


class MalformedMessage(GradbankReferenceError):
    """A multipart message that does not follow the wire protocol."""


class UnknownMethod(GradbankReferenceError):
    """A request for a method that the server does not have."""


class InvalidParameters(GradbankReferenceError):
    """Parameters or tensors of a request that cannot be used."""


class UnknownHandle(GradbankReferenceError):
    """A model handle that was never given out or was released."""


class DropoutMismatch(GradbankReferenceError):
    """Dropout masks that do not fit the dropout calls of the model: count, name, shape or rate."""
