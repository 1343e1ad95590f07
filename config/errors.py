"""The root of the errors that the server's rooms raise on purpose; what is done about each is said where it is caught.

    ServerError          ``reason``: a stable code, never renamed; the text is for people
    ├── TryAgain         something is away, behind or full: the same may be asked again
    ├── OperatorError    ends an operator's command in one line, which says what to do
    └── ...              the rest: what was asked can't be done, and asking again changes nothing

``api.errors.ApiError`` is the form that a client sees.  ``world/`` knows no other room, so its two errors are plain
``ValueError`` and ``LookupError``; the SDK has a tree of its own (``chunkcrawl.errors``).
"""

from __future__ import annotations

__all__ = ["OperatorError", "ServerError", "TryAgain"]


class ServerError(Exception):
    """The root."""

    #: A stable code, for whoever branches on it; where a client is told of it, the wire contract's.
    reason: str = "internal_error"


class TryAgain(ServerError):
    """Something is away, behind or full at the moment: the same may be asked again."""

    reason = "unavailable"


class OperatorError(ServerError):
    """Ends an operator's command; the text is one line that says what to do."""

    reason = "failed"
