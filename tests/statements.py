"""Counts what is sent to PostgreSQL, BEGIN and COMMIT included."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from asyncpg import Connection
from asyncpg.connection import LoggedQuery
from sqlalchemy import Engine, event
from sqlalchemy.pool import Pool


class Statements(list[str]):
    """The statements sent so far, in their order; ``len`` of it is what a budget is compared with."""


_active: list[Statements] = []


def _note(statement: str) -> None:
    for statements in _active:
        statements.append(" ".join(statement.split()))


def _note_query(query: LoggedQuery) -> None:
    _note(query.query)


def _note_cursor(_: Any, __: Any, statement: str, *___: Any) -> None:
    _note(statement)


_add_query_logger = Connection.add_query_logger


def _watch(connection: "Connection[Any]", callback: Any) -> None:
    _add_query_logger(connection, callback)
    _add_query_logger(connection, _note_query)


def install() -> None:
    """Watch every connection that the app makes from now on, each of which it logs the statements of. SQLAlchemy prepares its
    statements, which the driver's log doesn't show."""
    Connection.add_query_logger = _watch
    event.listen(Pool, "connect", lambda adapted, _: _add_query_logger(adapted.driver_connection, _note_query))
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
