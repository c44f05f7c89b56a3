"""What can go wrong, in the terms of the domain. How each is told over HTTP stands in app/http/problems.py."""

from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

BreakType = Literal["missing", "null", "type", "range", "length", "pattern", "enum", "unknown", "rule"]


class BrokenField(Struct, frozen=True):
    """One broken rule.

    Attributes:
        type: the kind of rule.
        field: the wire path of the value, such as ``exercises[0].sets[2].weight``; ``body`` for a rule across fields.
        message: a sentence for the person who sent it.
    """

    type: BreakType
    field: str
    message: str


class IronTrackError(Exception):
    """A failure that the caller is told about, in one sentence."""

    sentence = "Something went wrong."

    def __init__(self, message: str | None = None) -> None:
        self.message = message or self.sentence
        super().__init__(self.message)


class Malformed(IronTrackError):
    """The request can not be read at all."""

    sentence = "The request could not be read."


class UnknownMediaType(IronTrackError):
    """The request is in a format that is not understood."""

    sentence = "Send JSON, with Content-Type: application/json."


class Unauthorized(IronTrackError):
    """Nobody is signed in, or the credentials are not good."""

    sentence = "Sign in to do this."


class Forbidden(IronTrackError):
    """The caller is known and may not do this."""

    sentence = "You are not allowed to do this."


class NotFound(IronTrackError):
    """There is no such thing, as far as the caller may know."""

    sentence = "There is nothing here."


class Conflict(IronTrackError):
    """The state of what is stored forbids it."""

    sentence = "This conflicts with what is stored."


class Gone(IronTrackError):
    """It was deleted, and stays so."""

    sentence = "This was deleted."


class PreconditionFailed(IronTrackError):
    """The caller's If-Match names a version that is no longer the stored one."""

    sentence = "It was changed in the meantime; read it again."


class Unavailable(IronTrackError):
    """A part that is needed is away or busy; the same request may succeed later.

    Attributes:
        retry_after: seconds after which a further try makes sense.
    """

    sentence = "The service is busy; try again in a moment."

    def __init__(self, message: str | None = None, retry_after: int = 1) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class TooManyRequests(IronTrackError):
    """A rate limit is used up.

    Attributes:
        limit: requests allowed in a window.
        reset: Unix seconds at which the window ends.
        retry_after: seconds until then.
    """

    sentence = "Too many requests; slow down."

    def __init__(self, limit: int, reset: int, retry_after: int, message: str | None = None) -> None:
        super().__init__(message)
        self.limit = limit
        self.reset = reset
        self.retry_after = retry_after


class RuleBroken(IronTrackError):
    """The request was understood and breaks rules; every broken one is listed."""

    sentence = "The request breaks a rule."

    def __init__(self, details: Sequence[BrokenField]) -> None:
        super().__init__(details[0].message if len(details) == 1 else None)
        self.details = tuple(details)

    @classmethod
    def of(cls, field: str, message: str, kind: BreakType = "rule") -> "RuleBroken":
        """One broken rule about one field."""
        return cls([BrokenField(kind, field, message)])
