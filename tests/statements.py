"""Counts what is sent to PostgreSQL, BEGIN and COMMIT included."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from asyncpg import Connection
from sqlalchemy import Engine, event


class Statements(list[str]):
    """The statements sent so far, in their order; ``len`` of it is what a budget is compared with."""


_active: list[Statements] = []


def _note(statement: str) -> None:
    for statements in _active:
        statements.append(" ".join(statement.split()))


def _note_cursor(_: Any, __: Any, statement: str, *___: Any) -> None:
    _note(statement)


_time_and_log = Connection._time_and_log


def _note_and_log(connection: "Connection[Any]", query: str, *rest: Any) -> Any:
    _note(query)
    return _time_and_log(connection, query, *rest)


def install() -> None:
    """Watch every connection of the app, which are those that log their statements.

    The loggers are called too late, when the answer may be there already; and they never see what SQLAlchemy prepares.
    """
    Connection._time_and_log = _note_and_log
    event.listen(Engine, "before_cursor_execute", _note_cursor)


@contextmanager
def counted() -> Iterator[Statements]:
    """What is sent while the block runs."""
    statements = Statements()
    _active.append(statements)
    try:
        yield statements
    finally:
        _active.remove(statements)
