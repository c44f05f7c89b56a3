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


def _watch(adapted: Any, _: Any) -> None:
    connection: Connection[Any] = adapted.driver_connection
    connection.add_query_logger(_note_query)


def install() -> None:
    """Watch every engine made from now on. SQLAlchemy prepares its statements, which the driver's log doesn't show."""
    event.listen(Pool, "connect", _watch)
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
