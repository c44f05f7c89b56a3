"""Errors of PostgreSQL in the terms of the domain: by SQLSTATE, then by the constraint's name.

The sentence of a named constraint stands beside it in the models, as ``info={"field": …, "message": …}``; that of an
enumeration follows from its members.
"""

from collections.abc import Iterator
from functools import cache

from asyncpg import InterfaceError, InternalClientError
from sqlalchemy import Constraint, Enum, Index, MetaData
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from app.errors import BreakType, BrokenField, Conflict, IronTrackError, NotFound, RuleBroken, Unavailable

_UNAVAILABLE_STATES = ("08", "53", "57P", "58", "25006")  # the last: the server has become a standby
_BUSY_STATES = {"40001", "40P01", "55P03", "57014", "25P03", "25P04"}
_FOREIGN_KEY, _RESTRICT = "23503", "23001"
_DATA_STATES: dict[str, tuple[BreakType, str]] = {
    "22001": ("length", "A text is too long."),
    "22003": ("range", "A number is out of range."),
    "22008": ("range", "A date or time is out of range."),
    "22P05": ("pattern", "A text has a character that can't be stored."),
    "22021": ("pattern", "A text has a character that can't be stored."),
}


def translate(error: BaseException, metadata: MetaData) -> IronTrackError | None:
    """What a failed statement means to the caller; None when it is a bug of ours or not from the database at all."""
    # InternalClientError: PgBouncer said why it closes the connection while nothing had been asked, and somebody asks
    # before it is closed.
    if isinstance(error, (OSError, InterfaceError, InternalClientError, PoolTimeoutError, TimeoutError)):
        return Unavailable("The database can't be reached; try again in a moment.")
    cause = error.orig if isinstance(error, DBAPIError) else error
    state = getattr(cause, "sqlstate", None)
    if not isinstance(state, str):
        return _lost_connection(error)
    if state.startswith(_UNAVAILABLE_STATES):
        return Unavailable("The database can't be reached; try again in a moment.")
    if state in _BUSY_STATES:
        return Unavailable("Others change the same thing; try again in a moment.")
    deepest = _deepest(cause)
    if state == _FOREIGN_KEY and "still referenced" in (getattr(deepest, "detail", None) or ""):
        # What PostgreSQL 18 calls a restrict violation was a foreign key violation before.
        state = _RESTRICT
    return _violation(state, getattr(deepest, "constraint_name", None) or "", metadata)


def _deepest(error: BaseException | None) -> BaseException | None:
    """The error of asyncpg itself, below the adapter of SQLAlchemy."""
    while error is not None and error.__cause__ is not None:
        error = error.__cause__
    return error


def _lost_connection(error: BaseException) -> IronTrackError | None:
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return Unavailable("The database can't be reached; try again in a moment.")
    return None


def _violation(state: str, name: str, metadata: MetaData) -> IronTrackError | None:
    field, message = _sentences(metadata).get(name, ("body", ""))
    match state:
        case "23505" | "23P01":
            return Conflict(message or "This exists already.")
        case _ if state == _FOREIGN_KEY:
            return NotFound(message or "Something that this refers to does not exist.") if name else None
        case _ if state == _RESTRICT:
            return Conflict(message or "It is in use.")
        case "23514":
            return RuleBroken.of(field, message or "A value breaks a rule.")
        case "23502":
            return RuleBroken.of(field, message or "A required value is missing.", "null")
        case _ if state in _DATA_STATES:
            kind, sentence = _DATA_STATES[state]
            return RuleBroken([BrokenField(kind, "body", sentence)])
    return None


@cache
def _sentences(metadata: MetaData) -> dict[str, tuple[str, str]]:
    written = {
        str(item.name): (item.info.get("field", "body"), item.info["message"])
        for item in _named(metadata)
        if item.name and "message" in item.info
    }
    return {**dict(_enumerations(metadata)), **written}


def _enumerations(metadata: MetaData) -> Iterator[tuple[str, tuple[str, str]]]:
    for table in metadata.tables.values():
        for column in table.columns:
            if isinstance(column.type, Enum):
                first, *others = column.name.removesuffix("_snapshot").split("_")
                field = first + "".join(word.title() for word in others)
                yield f"ck_{table.name}_{column.type.name}", (field, f"Expected one of {', '.join(column.type.enums)}.")


def _named(metadata: MetaData) -> Iterator[Constraint | Index]:
    for table in metadata.tables.values():
        yield from table.constraints
        yield from table.indexes
