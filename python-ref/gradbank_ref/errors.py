"""Errors that the server raises on purpose. Each message says what was given, where, and what was expected."""


class GradbankReferenceError(Exception):
    """Base of the server's own errors."""


class MalformedMessage(GradbankReferenceError):
    """A multipart message that does not follow the wire protocol. ``request_id`` is None where it could not be read."""

    def __init__(self, message: str, request_id: int | None = None) -> None:
        super().__init__(message)
        self.request_id = request_id


class MessageTooLarge(GradbankReferenceError):
    """A reply with a frame that the client would not accept."""


class NotGreeted(GradbankReferenceError):
    """A request on a connection that has not said hello, or whose session is gone."""


class StalledClient(GradbankReferenceError):
    """A request that cannot be taken because another client does not read its reply."""


class IncompatibleClient(GradbankReferenceError):
    """A client whose numbers are laid out differently."""


class UnusableEndpoint(GradbankReferenceError):
    """An endpoint at which the server cannot or must not listen."""


class UnusableKeys(GradbankReferenceError):
    """A file of CURVE keys that cannot be read or must not be trusted."""


class UnknownMethod(GradbankReferenceError):
    """A request for a method that the server does not have."""


class InvalidParameters(GradbankReferenceError):
    """Parameters or tensors of a request that cannot be used."""


class UnknownHandle(GradbankReferenceError):
    """A model handle that was never given out or was released."""


class DropoutMismatch(GradbankReferenceError):
    """Dropout masks that do not fit the dropout calls of the model: count, name, shape or rate."""
