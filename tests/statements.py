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


def _note_cursor(_: Any, __: Any, statement: str, *___: Any) -> None:
    _note(statement)


_time_and_log = Connection._time_and_log


def _note_and_log(connection: "Connection[Any]", query: str, *rest: Any) -> Any:
    _note(query)
    return _time_and_log(connection, query, *rest)


def _log_nothing(_: LoggedQuery) -> None:
    """Only connections with a logger take notice of their statements at all."""


def install() -> None:
    """Watch every connection of SQLAlchemy, and every other that logs its statements, as all of the app's do.

    The loggers are called too late, when the answer may be there already; and they never see what SQLAlchemy prepares.
    """
    Connection._time_and_log = _note_and_log
    event.listen(Pool, "connect", lambda adapted, _: adapted.driver_connection.add_query_logger(_log_nothing))
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
